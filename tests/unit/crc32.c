/* SPDX-License-Identifier: MIT */
/* crc32.c - the sum is zlib's, whatever is summed and in whatever parts. */
#include "util/crc32.h"

#include <zlib.h>

#include "tests/unit/unit.h"

#define NR_BYTES 400u

static uint8_t bytes[NR_BYTES];

static void fill(void)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < NR_BYTES; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (uint8_t)(state >> 56);
	}
}

static void is_the_sum_of_zlib_at_every_length_and_alignment(void)
{
	fill();
	for (unsigned start = 0; start < 8; start++)
		for (unsigned len = 0; start + len <= NR_BYTES; len++)
			UNIT_CHECK(crc32_add(0, bytes + start, len) ==
				   crc32_z(0, bytes + start, len));
}

static void may_be_taken_in_parts(void)
{
	uint32_t whole = crc32_add(0, bytes, NR_BYTES);

	for (unsigned len = 0; len <= NR_BYTES; len++)
		UNIT_CHECK(crc32_add(crc32_add(0, bytes, len), bytes + len,
				     NR_BYTES - len) == whole);
}

UNIT_MAIN("crc32", UNIT_TEST(is_the_sum_of_zlib_at_every_length_and_alignment),
	  UNIT_TEST(may_be_taken_in_parts))
