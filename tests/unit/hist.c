/* SPDX-License-Identifier: MIT */
/* hist.c - log-linear histograms: where values go, what is read back. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>

#include "util/hist.h"
#include "util/num.h"

static struct hist hist;

static void start(void)
{
	memset(&hist, 0, sizeof(hist));
}

static void puts_a_value_into_its_bucket(void)
{
	static const struct {
		uint64_t value;
		unsigned bucket;
		uint64_t low, high;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 15, 15, 15, 15 },
		{ 16, 16, 16, 16 },
		{ 31, 31, 31, 31 },
		{ 32, 32, 32, 33 },
		{ 33, 32, 32, 33 },
		{ 63, 47, 62, 63 },
		{ 64, 48, 64, 67 },
		{ 1000, 111, 992, 1023 },
		{ 1024, 112, 1024, 1087 },
		{ 1000000, 270, 983040, 1015807 },
		{ HIST_VALUE_MAX, 591, UINT64_C(31) << 35, UINT64_MAX },
		{ HIST_VALUE_MAX + 1, 591, UINT64_C(31) << 35, UINT64_MAX },
		{ UINT64_MAX, 591, UINT64_C(31) << 35, UINT64_MAX },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned bucket = hist_bucket(cases[i].value);

		UNIT_CHECK(bucket == cases[i].bucket);
		UNIT_CHECK(hist_bucket_low(bucket) == cases[i].low);
		UNIT_CHECK(hist_bucket_high(bucket) == cases[i].high);
	}
}

/* No gap, no overlap, and no bucket wider than a sixteenth of its least. */
static void covers_every_value_once_within_a_sixteenth(void)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < HIST_NR_BUCKETS; i++) {
		uint64_t low = hist_bucket_low(i), high = hist_bucket_high(i);

		UNIT_CHECK(low == next);
		UNIT_CHECK(hist_bucket(low) == i);
		UNIT_CHECK(hist_bucket(high) == i);
		UNIT_CHECK(i == HIST_NR_BUCKETS - 1 ||
			   (high - low) * HIST_STEPS <= low);
		next = high + 1;
	}
	UNIT_CHECK(next == 0);
}

static void says_nothing_of_nothing(void)
{
	start();
	UNIT_CHECK(hist_count(&hist) == 0);
	UNIT_CHECK(hist_mean(&hist) == 0);
	UNIT_CHECK(hist_percentile(&hist, 0) == 0);
	UNIT_CHECK(hist_percentile(&hist, HIST_PPM) == 0);
}

static void reads_percentiles_of_a_known_set(void)
{
	start();
	for (uint64_t v = 1; v <= 1000; v++)
		hist_record(&hist, v);
	UNIT_CHECK(hist_count(&hist) == 1000);
	UNIT_CHECK(hist.sum == 500500);
	UNIT_CHECK(hist_mean(&hist) == 500);
	UNIT_CHECK(hist.max == 1000);
	UNIT_CHECK(hist_percentile(&hist, 0) == 1);
	UNIT_CHECK(hist_percentile(&hist, 10000) == 10);
	UNIT_CHECK(hist_percentile(&hist, 500000) == 511);
	UNIT_CHECK(hist_percentile(&hist, 900000) == 927);
	UNIT_CHECK(hist_percentile(&hist, 990000) == 991);
	UNIT_CHECK(hist_percentile(&hist, 999000) == 1000);
	UNIT_CHECK(hist_percentile(&hist, HIST_PPM) == 1000);
}

/* p is the least value that ppm of all are not above: ranks round up. */
static void counts_ranks_as_one_does_by_hand(void)
{
	start();
	hist_record(&hist, 1);
	hist_record(&hist, 2);
	hist_record(&hist, 3);
	UNIT_CHECK(hist_percentile(&hist, 333333) == 1);
	UNIT_CHECK(hist_percentile(&hist, 333334) == 2);
	UNIT_CHECK(hist_percentile(&hist, 666666) == 2);
	UNIT_CHECK(hist_percentile(&hist, 666667) == 3);
	start();
	hist.counts[1] = UINT64_C(1) << 62;
	hist.counts[2] = UINT64_C(1) << 62;
	hist.max = 2;
	UNIT_CHECK(hist_percentile(&hist, 500000) == 1);
	UNIT_CHECK(hist_percentile(&hist, 500001) == 2);
}

static void never_says_more_than_the_largest(void)
{
	start();
	hist_record(&hist, 1025);
	UNIT_CHECK(hist_percentile(&hist, 500000) == 1025);
	hist_record(&hist, UINT64_MAX);
	UNIT_CHECK(hist_percentile(&hist, 500000) == 1087);
	UNIT_CHECK(hist_percentile(&hist, HIST_PPM) == UINT64_MAX);
}

static void records_a_value_many_times(void)
{
	start();
	hist_record_many(&hist, 7, 5);
	hist_record_many(&hist, 9, 0);
	UNIT_CHECK(hist_count(&hist) == 5 && hist.sum == 35 && hist.max == 7);
}

static void adds_histograms_up(void)
{
	struct hist sum, other;

	start();
	memset(&other, 0, sizeof(other));
	for (uint64_t v = 0; v < 100; v++)
		hist_record(v % 2 ? &hist : &other, v * v);
	hist_copy(&sum, &hist);
	UNIT_CHECK(memcmp(&sum, &hist, sizeof(sum)) == 0);
	hist_merge(&sum, &other);
	start();
	for (uint64_t v = 0; v < 100; v++)
		hist_record(&hist, v * v);
	UNIT_CHECK(memcmp(&sum, &hist, sizeof(sum)) == 0);
}

#define NR_RACED 200000u

static void *record_many(void *arg)
{
	for (unsigned i = 0; i < NR_RACED; i++)
		hist_record(arg, i % 5000);
	return NULL;
}

static void may_be_read_while_it_is_written(void)
{
	static struct hist copy;
	pthread_t writer;
	uint64_t seen = 0;

	start();
	UNIT_REQUIRE(pthread_create(&writer, NULL, record_many, &hist) == 0);
	while (seen < NR_RACED) {
		uint64_t nr;

		hist_copy(&copy, &hist);
		nr = hist_count(&copy);
		UNIT_CHECK(nr >= seen && nr <= NR_RACED);
		UNIT_CHECK(hist_percentile(&copy, 990000) < 5000);
		seen = nr;
	}
	pthread_join(writer, NULL);
	UNIT_CHECK(hist_mean(&hist) == 2499);
}

UNIT_MAIN("hist", UNIT_TEST(puts_a_value_into_its_bucket),
	  UNIT_TEST(covers_every_value_once_within_a_sixteenth),
	  UNIT_TEST(says_nothing_of_nothing),
	  UNIT_TEST(reads_percentiles_of_a_known_set),
	  UNIT_TEST(counts_ranks_as_one_does_by_hand),
	  UNIT_TEST(never_says_more_than_the_largest),
	  UNIT_TEST(records_a_value_many_times), UNIT_TEST(adds_histograms_up),
	  UNIT_TEST(may_be_read_while_it_is_written))
