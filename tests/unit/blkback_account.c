/* SPDX-License-Identifier: MIT */
/* blkback_account.c - figures of a queue: what counts, and which times run. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blkback/account.h"
#include "monitor/stats.h"
#include "util/num.h"

#define T0 (50 * NS_PER_S)
#define MS NS_PER_MS

static struct account account, sum;

static void start(void)
{
	memset(&account, 0, sizeof(account));
}

static void answer(enum blk_kind kind, uint64_t size_bytes, int err,
		   uint64_t begun_ns)
{
	struct blk_io io = { .kind = kind, .size_bytes = size_bytes };

	account_answer(&account, &io, begun_ns != 0, err, begun_ns);
}

/* A batch of 1 us that ends at now. */
static void batch(uint64_t now_ns, uint32_t nr_in_flight, bool consumed)
{
	struct times_state state = {
		.begun_ns = now_ns - 1000,
		.now_ns = now_ns,
		.waiting = nr_in_flight > 0,
	};

	account_batch(&account, &state, nr_in_flight, consumed);
}

static const struct account *at(uint64_t now_ns)
{
	memset(&sum, 0, sizeof(sum));
	account_add(&sum, &account, now_ns);
	return &sum;
}

static void counts_by_kind(void)
{
	start();
	answer(BLK_READ, 4096, 0, T0);
	answer(BLK_READ, 8192, -EIO, T0);
	answer(BLK_WRITE, 512, 0, T0);
	answer(BLK_WRITE_FLUSHED, 1024, 0, T0);
	answer(BLK_FLUSH, 0, 0, T0);
	answer(BLK_DISCARD, 1 << 20, 0, T0);
	answer(BLK_READ, 4096, -EINVAL, 0);
	batch(T0 + 5 * MS, 0, true);
	at(T0 + 5 * MS);
	UNIT_CHECK(sum.kinds[ACCOUNT_READ].nr == 2);
	UNIT_CHECK(sum.kinds[ACCOUNT_READ].nr_errors == 1);
	UNIT_CHECK(sum.kinds[ACCOUNT_READ].nr_bytes == 4096);
	UNIT_CHECK(sum.kinds[ACCOUNT_WRITE].nr == 2);
	UNIT_CHECK(sum.kinds[ACCOUNT_WRITE].nr_bytes == 1536);
	UNIT_CHECK(sum.kinds[ACCOUNT_FLUSH].nr == 1);
	UNIT_CHECK(sum.kinds[ACCOUNT_DISCARD].nr_bytes == 1 << 20);
	UNIT_CHECK(sum.nr_refused == 1);
}

static void times_a_request_from_its_round_to_its_batch_s_end(void)
{
	start();
	batch(T0, 2, true);
	answer(BLK_READ, 4096, 0, T0 - 1000);
	answer(BLK_WRITE, 4096, 0, T0 - 1000);
	batch(T0 + MS, 0, false);
	for (int i = 0; i < 2; i++)
		UNIT_CHECK(account.kinds[i].latency_ns.max == MS + 1000 &&
			   hist_count(&account.kinds[i].latency_ns) == 1);
	/* More answers than a batch holds are timed all the same. */
	for (unsigned i = 0; i < 3 * ACCOUNT_BATCH_MAX; i++)
		answer(BLK_READ, 512, 0, clock_now_ns());
	batch(clock_now_ns(), 0, false);
	UNIT_CHECK(hist_count(&account.kinds[ACCOUNT_READ].latency_ns) ==
		   3 * ACCOUNT_BATCH_MAX + 1);
}

static void samples_the_depth_of_batches_that_consumed(void)
{
	start();
	batch(T0, 7, true);
	batch(T0 + MS, 5, false);
	batch(T0 + 2 * MS, 9, true);
	UNIT_CHECK(hist_count(&account.depth) == 2);
	UNIT_CHECK(account.depth.sum == 16 && account.depth.max == 9);
}

static void is_busy_while_the_guest_waits(void)
{
	start();
	batch(T0, 1, true); /* found 1 us before */
	UNIT_CHECK(at(T0 + 2 * MS)->times.busy.total_ns == 2 * MS + 1000);
	answer(BLK_READ, 512, 0, T0);
	batch(T0 + 3 * MS, 0, false);
	UNIT_CHECK(at(T0 + 9 * MS)->times.busy.total_ns == 3 * MS + 1000);
	/* Found and answered in one batch. */
	answer(BLK_READ, 512, 0, T0 + 9 * MS);
	batch(T0 + 10 * MS, 0, true);
	UNIT_CHECK(at(T0 + 99 * MS)->times.busy.total_ns == 3 * MS + 2000);
}

static void calls_long_gaps_between_answers_a_stall(void)
{
	start();
	batch(T0 + 1000, 8, true); /* waits from T0 on */
	answer(BLK_READ, 512, 0, T0);
	batch(T0 + 9 * MS, 7, false); /* 9 ms: none */
	UNIT_CHECK(at(T0 + 9 * MS)->times.stalled.total_ns == 0);
	answer(BLK_READ, 512, 0, T0);
	batch(T0 + 19 * MS, 6, false); /* 10 ms */
	UNIT_CHECK(at(T0 + 19 * MS)->times.stalled.total_ns == 10 * MS);
	/* One that goes on is seen as soon as it is one. */
	UNIT_CHECK(at(T0 + 28 * MS)->times.stalled.total_ns == 10 * MS);
	UNIT_CHECK(at(T0 + 39 * MS)->times.stalled.total_ns == 30 * MS);
	/* A batch without an answer does not end it. */
	batch(T0 + 30 * MS, 7, true);
	UNIT_CHECK(at(T0 + 39 * MS)->times.stalled.total_ns == 30 * MS);
	for (int i = 0; i < 7; i++)
		answer(BLK_READ, 512, 0, T0);
	batch(T0 + 49 * MS, 0, false);
	UNIT_CHECK(at(T0 + 999 * MS)->times.stalled.total_ns == 40 * MS);
	/* Idle is no stall: the gap begins when there is a request. */
	batch(T0 + 999 * MS, 1, true);
	answer(BLK_READ, 512, 0, T0 + 999 * MS);
	batch(T0 + 1000 * MS, 0, false);
	UNIT_CHECK(at(T0 + 2000 * MS)->times.stalled.total_ns == 40 * MS);
}

static void adds_up_full_rings_and_limits(void)
{
	struct times_state state = { .begun_ns = T0,
				     .now_ns = T0,
				     .waiting = true };

	start();
	state.ring_full = state.throttled = true;
	account_batch(&account, &state, 0, false);
	state.now_ns = T0 + 4 * MS;
	account_batch(&account, &state, 0, false);
	UNIT_CHECK(at(T0 + 5 * MS)->times.ring_full.total_ns == 5 * MS);
	state.ring_full = false;
	state.now_ns = T0 + 6 * MS;
	account_batch(&account, &state, 0, false);
	UNIT_CHECK(at(T0 + 8 * MS)->times.ring_full.total_ns == 6 * MS);
	UNIT_CHECK(at(T0 + 8 * MS)->times.throttled.total_ns == 8 * MS);
	/* Found full, and answered in the same batch. */
	state.was_full = true;
	state.begun_ns = T0 + 8 * MS;
	state.now_ns = T0 + 9 * MS;
	account_batch(&account, &state, 0, false);
	UNIT_CHECK(at(T0 + 20 * MS)->times.ring_full.total_ns == 7 * MS);
	/* Found full, and still so. */
	state.begun_ns = T0 + 20 * MS;
	state.now_ns = T0 + 21 * MS;
	state.ring_full = true;
	account_batch(&account, &state, 0, false);
	UNIT_CHECK(at(T0 + 30 * MS)->times.ring_full.total_ns == 17 * MS);
}

static void adds_queues_up(void)
{
	start();
	answer(BLK_READ, 4096, 0, T0);
	batch(T0 + MS, 3, true);
	at(T0 + MS);
	account_add(&sum, &account, T0 + MS);
	UNIT_CHECK(sum.kinds[ACCOUNT_READ].nr_bytes == 8192);
	UNIT_CHECK(hist_count(&sum.depth) == 2);
	UNIT_CHECK(sum.times.busy.since_ns == 0 &&
		   sum.times.busy.total_ns == 2000);
}

static bool says(const char *text, const char *line)
{
	const char *found = strstr(text, line);

	return found && (found == text || found[-1] == '\n') &&
	       found[strlen(line)] == '\n';
}

static int format(const struct account *a, char *buf, size_t size)
{
	struct figures f = { .buf = buf, .size = size };

	account_put(a, &f);
	return figures_end(&f);
}

static void says_it_in_lines(void)
{
	char text[STATS_TEXT_MAX], small[100];
	struct account *full = malloc(sizeof(*full));

	UNIT_REQUIRE(full != NULL);
	start();
	answer(BLK_WRITE, 4096, 0, T0);
	answer(BLK_WRITE, 4096, -EIO, T0);
	batch(T0 + 16 * MS, 0, true);
	UNIT_CHECK(format(at(T0 + 16 * MS), text, sizeof(text)) ==
		   (int)strlen(text));
	UNIT_CHECK(says(text, "write-ops 2"));
	UNIT_CHECK(says(text, "write-errors 1"));
	UNIT_CHECK(says(text, "write-bytes 4096"));
	UNIT_CHECK(says(text, "write-latency-ns-max 16000000"));
	UNIT_CHECK(says(text, "read-ops 0"));
	UNIT_CHECK(says(text, "depth-p99 0"));
	UNIT_CHECK(says(text, "busy-ns 1000"));
	UNIT_CHECK(format(at(T0), small, sizeof(small)) == -ENAMETOOLONG);
	/* The largest figures there can be fit. */
	memset(full, 0xff, sizeof(*full));
	UNIT_CHECK(format(full, text, sizeof(text)) > 0);
	free(full);
}

/* Every page of a histogram read back is the histogram. */
static void says_histograms_whole(void)
{
	static struct hist back;
	struct account *full = calloc(1, sizeof(*full));
	char page[FIGURES_PAGE_MAX];
	unsigned from = 0, nr_pages = 0;
	const char *name;
	int len;

	UNIT_REQUIRE(full != NULL);
	for (unsigned i = 0; i < HIST_NR_BUCKETS; i += 1 + i % 3)
		full->kinds[ACCOUNT_WRITE].latency_ns.counts[i] =
			UINT64_MAX - i;
	while ((len = figures_page(account_hist(full, ACCOUNT_WRITE, &name),
				   &from, page)) > 0) {
		char *save, *line = strtok_r(page, "\n", &save);

		/* A driver domain may write that much into a node. */
		UNIT_REQUIRE(len <= 2048 && ++nr_pages < 16);
		for (; line; line = strtok_r(NULL, "\n", &save)) {
			char *end;
			uint64_t low = strtoull(line, &end, 10);

			UNIT_REQUIRE(*end == ' ');
			back.counts[hist_bucket(low)] +=
				strtoull(end + 1, NULL, 10);
			UNIT_CHECK(hist_bucket_low(hist_bucket(low)) == low);
		}
	}
	UNIT_CHECK(len == 0 && nr_pages > 1);
	UNIT_CHECK(memcmp(back.counts,
			  full->kinds[ACCOUNT_WRITE].latency_ns.counts,
			  sizeof(back.counts)) == 0);
	from = 0;
	UNIT_CHECK(figures_page(account_hist(full, ACCOUNT_NR_KINDS, &name),
				&from, page) == 0);
	UNIT_CHECK(strcmp(name, "depth") == 0);
	UNIT_CHECK(account_hist(full, ACCOUNT_NR_KINDS + 1, &name) == NULL);
	free(full);
}

UNIT_MAIN("blkback_account", UNIT_TEST(counts_by_kind),
	  UNIT_TEST(times_a_request_from_its_round_to_its_batch_s_end),
	  UNIT_TEST(samples_the_depth_of_batches_that_consumed),
	  UNIT_TEST(is_busy_while_the_guest_waits),
	  UNIT_TEST(calls_long_gaps_between_answers_a_stall),
	  UNIT_TEST(adds_up_full_rings_and_limits), UNIT_TEST(adds_queues_up),
	  UNIT_TEST(says_it_in_lines), UNIT_TEST(says_histograms_whole))
