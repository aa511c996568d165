/* SPDX-License-Identifier: MIT */
/* pattern.c - see pattern.h. */
#include "blkfront/tools/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define PATTERN_MAGIC 0x7076626c6b31u /* "pvblk1" */
#define NR_WORDS      ((PATTERN_UNIT - 32) / sizeof(uint64_t))

/* 512 bytes as they are on the disk, in the machine's order. */
struct unit {
	uint64_t magic;
	uint64_t offset_bytes;
	uint64_t run;
	uint32_t generation;
	uint32_t crc; /* of all the rest */
	uint64_t words[NR_WORDS];
};

_Static_assert(sizeof(struct unit) == PATTERN_UNIT, "one unit");

static uint32_t unit_crc(const struct unit *u)
{
	uLong crc = crc32_z(0, (const Bytef *)u, offsetof(struct unit, crc));

	return (uint32_t)crc32_z(crc, (const Bytef *)u->words,
				 sizeof(u->words));
}

/* Bytes that neither repeat nor compress, and differ from write to write. */
static void fill_words(struct unit *u)
{
	uint64_t x = (u->offset_bytes ^ u->run) * 0x9e3779b97f4a7c15u +
		     u->generation;

	for (unsigned i = 0; i < NR_WORDS; i++) {
		x ^= x >> 30;
		x *= 0xbf58476d1ce4e5b9u;
		x ^= x >> 27;
		u->words[i] = x += i;
	}
}

void pattern_fill(void *buf, size_t size_bytes, uint64_t offset_bytes,
		  uint64_t run, uint32_t generation)
{
	uint8_t *to = buf;

	for (size_t at = 0; at < size_bytes; at += PATTERN_UNIT) {
		struct unit u = { .magic = PATTERN_MAGIC,
				  .offset_bytes = offset_bytes + at,
				  .run = run,
				  .generation = generation };

		fill_words(&u);
		u.crc = unit_crc(&u);
		memcpy(to + at, &u, sizeof(u));
	}
}

/* What is wrong with a unit, or NULL. text: room for a sentence. */
static const char *unit_fault(const struct unit *u, uint64_t offset_bytes,
			      uint64_t run, uint32_t generation, char *text)
{
	if (u->magic != PATTERN_MAGIC)
		return "holds what was not written by a benchmark";
	if (u->crc != unit_crc(u))
		return "its checksum is wrong: bytes of it were changed";
	if (u->run != run)
		return "holds what an earlier run wrote: a write was lost";
	if (u->offset_bytes != offset_bytes) {
		snprintf(text, PATTERN_WHY_MAX,
			 "holds what was written to byte %llu",
			 (unsigned long long)u->offset_bytes);
		return text;
	}
	if (u->generation != generation) {
		snprintf(text, PATTERN_WHY_MAX,
			 "holds write %u of that place, not %u: a write was "
			 "lost",
			 u->generation, generation);
		return text;
	}
	return NULL;
}

int pattern_check(const void *buf, size_t size_bytes, uint64_t offset_bytes,
		  uint64_t run, uint32_t generation, char *why)
{
	const uint8_t *from = buf;
	char text[PATTERN_WHY_MAX];

	for (size_t at = 0; at < size_bytes; at += PATTERN_UNIT) {
		const char *fault;
		struct unit u;

		memcpy(&u, from + at, sizeof(u));
		fault = unit_fault(&u, offset_bytes + at, run, generation,
				   text);
		if (!fault)
			continue;
		snprintf(why, PATTERN_WHY_MAX, "byte %llu: %.120s",
			 (unsigned long long)(offset_bytes + at), fault);
		return -EILSEQ;
	}
	return 0;
}
