/* SPDX-License-Identifier: MIT */
/* bucket.c - token buckets: what is taken when, to the nanosecond. */
#include "tests/unit/unit.h"

#include "util/bucket.h"
#include "util/clock.h"

#define START_NS (7 * NS_PER_S)

static struct bucket bucket;

static void start(uint64_t rate, uint64_t burst)
{
	bucket = (struct bucket){ 0 };
	bucket_set(&bucket, rate, burst, START_NS);
}

static void begins_empty(void)
{
	start(1000, 100);
	UNIT_CHECK(bucket_available(&bucket, START_NS) == 0);
	UNIT_CHECK(bucket_take(&bucket, 1, START_NS) == START_NS + NS_PER_MS);
}

static void fills_by_its_rate_up_to_its_burst(void)
{
	start(1000, 100);
	UNIT_CHECK(bucket_available(&bucket, START_NS + 999999) == 0);
	UNIT_CHECK(bucket_available(&bucket, START_NS + NS_PER_MS) == 1);
	UNIT_CHECK(bucket_available(&bucket, START_NS + 99 * NS_PER_MS) == 99);
	UNIT_CHECK(bucket_available(&bucket, START_NS + NS_PER_S) == 100);
}

static void gives_what_is_saved_at_once_and_the_rest_in_time(void)
{
	uint64_t now = START_NS + NS_PER_S;

	start(1000, 100);
	UNIT_CHECK(bucket_take(&bucket, 100, now) == now);
	UNIT_CHECK(bucket_take(&bucket, 5, now) == now + 5 * NS_PER_MS);
	UNIT_CHECK(bucket_take(&bucket, 1, now) == now + 6 * NS_PER_MS);
}

static void makes_takers_wait_in_their_order(void)
{
	start(10, 0);
	for (uint64_t i = 1; i <= 20; i++)
		UNIT_CHECK(bucket_take(&bucket, 1, START_NS) ==
			   START_NS + i * NS_PER_S / 10);
}

static void lets_one_wait_that_wants_more_than_the_burst(void)
{
	start(1000, 10);
	UNIT_CHECK(bucket_take(&bucket, 5000, START_NS) ==
		   START_NS + 5 * NS_PER_S);
}

static void takes_back_what_was_not_needed(void)
{
	start(1000, 10);
	bucket_take(&bucket, 1000, START_NS);
	bucket_give_back(&bucket, 990);
	UNIT_CHECK(bucket_take(&bucket, 1, START_NS) ==
		   START_NS + 11 * NS_PER_MS);
	bucket_give_back(&bucket, 1000000);
	UNIT_CHECK(bucket_available(&bucket, START_NS) == 10);
}

/* A rate that divides no second, asked at odd moments. */
static void never_drifts(void)
{
	uint64_t now = START_NS, taken = 0;

	start(7, 1);
	while (taken < 7 * 1000) {
		now = bucket_take(&bucket, 1, now);
		taken++;
	}
	UNIT_CHECK(now == START_NS + 1000 * NS_PER_S);
	start(999999937, 10);
	for (int i = 0; i < 1000003; i++)
		bucket_available(&bucket, START_NS + (uint64_t)i % 10);
	/* After 9 ns: 8.999999433 tokens. */
	UNIT_CHECK(bucket_take(&bucket, 8, START_NS + 9) == START_NS + 9);
	UNIT_CHECK(bucket_take(&bucket, 1, START_NS + 9) == START_NS + 10);
}

static void stands_still_when_time_goes_back(void)
{
	start(1000, 100);
	UNIT_CHECK(bucket_available(&bucket, START_NS + NS_PER_S) == 100);
	UNIT_CHECK(bucket_available(&bucket, START_NS) == 100);
	bucket_take(&bucket, 100, START_NS);
	UNIT_CHECK(bucket_available(&bucket, START_NS + NS_PER_S) == 0);
}

static void keeps_what_is_owed_over_a_change(void)
{
	start(1000, 100);
	bucket_take(&bucket, 1000, START_NS);
	bucket_set(&bucket, 4000, 100, START_NS + NS_PER_S / 2);
	/* 500 are owed still: an eighth of a second. */
	UNIT_CHECK(bucket_take(&bucket, 0, START_NS + NS_PER_S / 2) ==
		   START_NS + NS_PER_S / 2 + NS_PER_S / 8);
	bucket_set(&bucket, 4000, 3, START_NS + 9 * NS_PER_S);
	UNIT_CHECK(bucket_available(&bucket, START_NS + 9 * NS_PER_S) == 3);
}

static void has_no_limit_at_rate_zero(void)
{
	start(0, 0);
	UNIT_CHECK(bucket_take(&bucket, UINT64_C(1) << 50, START_NS) ==
		   START_NS);
	UNIT_CHECK(bucket_available(&bucket, START_NS) == UINT64_MAX);
	bucket_give_back(&bucket, 5);
	bucket_set(&bucket, 1, 1, START_NS);
	UNIT_CHECK(bucket_available(&bucket, START_NS) == 0);
}

static void does_not_overflow_at_its_bounds(void)
{
	start(BUCKET_RATE_MAX, BUCKET_BURST_MAX);
	UNIT_CHECK(bucket_available(&bucket, UINT64_MAX) == BUCKET_BURST_MAX);
	start(1, 1);
	for (int i = 0; i < 1000; i++)
		bucket_take(&bucket, BUCKET_BURST_MAX, START_NS);
	UNIT_CHECK(bucket_take(&bucket, 1, START_NS) == UINT64_MAX);
}

UNIT_MAIN("bucket", UNIT_TEST(begins_empty),
	  UNIT_TEST(fills_by_its_rate_up_to_its_burst),
	  UNIT_TEST(gives_what_is_saved_at_once_and_the_rest_in_time),
	  UNIT_TEST(makes_takers_wait_in_their_order),
	  UNIT_TEST(lets_one_wait_that_wants_more_than_the_burst),
	  UNIT_TEST(takes_back_what_was_not_needed), UNIT_TEST(never_drifts),
	  UNIT_TEST(stands_still_when_time_goes_back),
	  UNIT_TEST(keeps_what_is_owed_over_a_change),
	  UNIT_TEST(has_no_limit_at_rate_zero),
	  UNIT_TEST(does_not_overflow_at_its_bounds))
