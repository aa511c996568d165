/* SPDX-License-Identifier: MIT */
/* crc32.c - eight bytes at a time, by eight tables. See crc32.h. */
#include "util/crc32.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0xEDB88320u
#define NR_TABLES  8

/* tables[k][b]: what byte b adds to the sum when k more bytes follow it. */
static uint32_t tables[NR_TABLES][256];

static void fill(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		tables[0][b] = crc;
	}
	for (int k = 1; k < NR_TABLES; k++)
		for (uint32_t b = 0; b < 256; b++) {
			uint32_t crc = tables[k - 1][b];

			tables[k][b] = crc >> 8 ^ tables[0][crc & 0xff];
		}
}

uint32_t crc32_add(uint32_t crc, const void *data, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *at = data;
	uint64_t word;

	pthread_once(&once, fill);
	crc = ~crc;
	for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		word = le64toh(word) ^ crc;
		crc = tables[7][word & 0xff] ^ tables[6][word >> 8 & 0xff] ^
		      tables[5][word >> 16 & 0xff] ^
		      tables[4][word >> 24 & 0xff] ^
		      tables[3][word >> 32 & 0xff] ^
		      tables[2][word >> 40 & 0xff] ^
		      tables[1][word >> 48 & 0xff] ^ tables[0][word >> 56];
	}
	for (; len; at++, len--)
		crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
	return ~crc;
}
