/* SPDX-License-Identifier: MIT */
/* blkfront_pattern.c - blocks that say what they are: what a check finds. */
#include <errno.h>
#include <string.h>

#include "blkfront/tools/pattern.h"
#include "tests/unit/unit.h"

#define AT    8192u
#define BYTES 4096u
#define RUN   77u

static uint8_t block[BYTES];
static char why[PATTERN_WHY_MAX];

static int check(void)
{
	why[0] = '\0';
	return pattern_check(block, BYTES, AT, RUN, 3, why);
}

static void what_was_filled_is_right(void)
{
	pattern_fill(block, BYTES, AT, RUN, 3);
	UNIT_CHECK(check() == 0);
}

static void no_two_writes_are_alike(void)
{
	uint8_t other[BYTES];

	pattern_fill(block, BYTES, AT, RUN, 3);
	pattern_fill(other, BYTES, AT, RUN, 4);
	for (unsigned i = 0; i < BYTES; i += PATTERN_UNIT)
		UNIT_CHECK(memcmp(block + i + 32, other + i + 32, 480) != 0);
	UNIT_CHECK(memcmp(block + 32, block + PATTERN_UNIT + 32, 480) != 0);
}

static void finds_any_changed_bit(void)
{
	for (unsigned bit = 0; bit < BYTES * 8; bit += 7) {
		pattern_fill(block, BYTES, AT, RUN, 3);
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		UNIT_CHECK(check() == -EILSEQ);
	}
}

static void finds_a_lost_write(void)
{
	pattern_fill(block, BYTES, AT, RUN, 3);
	pattern_fill(block + 1024, 512, AT + 1024, RUN, 2);
	UNIT_CHECK(check() == -EILSEQ);
	UNIT_CHECK(
		strstr(why, "byte 9216: holds write 2 of that place, not 3"));
}

static void finds_a_write_of_an_earlier_run(void)
{
	pattern_fill(block, BYTES, AT, RUN - 1, 3);
	UNIT_CHECK(check() == -EILSEQ);
	UNIT_CHECK(strstr(why, "byte 8192: holds what an earlier run wrote"));
}

static void finds_a_write_that_went_elsewhere(void)
{
	pattern_fill(block, BYTES, AT + 512, RUN, 3);
	UNIT_CHECK(check() == -EILSEQ);
	UNIT_CHECK(strstr(why, "holds what was written to byte 8704"));
}

static void finds_what_nobody_wrote(void)
{
	memset(block, 0, BYTES);
	UNIT_CHECK(check() == -EILSEQ);
	UNIT_CHECK(strstr(why, "byte 8192: holds what was not written"));
}

UNIT_MAIN("blkfront_pattern", UNIT_TEST(what_was_filled_is_right),
	  UNIT_TEST(no_two_writes_are_alike), UNIT_TEST(finds_any_changed_bit),
	  UNIT_TEST(finds_a_lost_write),
	  UNIT_TEST(finds_a_write_of_an_earlier_run),
	  UNIT_TEST(finds_a_write_that_went_elsewhere),
	  UNIT_TEST(finds_what_nobody_wrote))
