/* SPDX-License-Identifier: MIT */
/*
 * limiter.c - limits: what passes in a simulated minute, who gets how much of
 * a shared limit, what a change does, and which texts are limits.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "util/clock.h"
#include "util/limiter.h"
#include "util/num.h"

#define START_NS  (100 * NS_PER_S)
#define USERS_MAX 20u

/* A user that always has a next operation, and what it got. */
struct load {
	struct limiter_user users[2];
	enum limiter_direction direction;
	uint64_t size_bytes;
	uint64_t due_ns;
	uint64_t nr, nr_bytes;
};

static struct limiter limiter, other;
static struct load loads[USERS_MAX];

static void set(struct limiter *l, const char *text, uint64_t now_ns)
{
	struct limiter_rates rates;

	UNIT_CHECK(limiter_parse(LIMITER_DISKS, text, &rates) == 0);
	limiter_set(l, &rates, now_ns);
}

static void start(const char *text)
{
	limiter_init(&limiter);
	limiter_init(&other);
	set(&limiter, text, START_NS);
	memset(loads, 0, sizeof(loads));
	for (unsigned i = 0; i < USERS_MAX; i++) {
		limiter_user_join(&loads[i].users[0], &limiter);
		loads[i].size_bytes = 4096;
		loads[i].due_ns = START_NS;
	}
}

/* Each of nr users does all that it may, waking exactly when it was told. */
static void run(unsigned nr, uint64_t from_ns, uint64_t until_ns)
{
	for (uint64_t now = from_ns; now < until_ns;) {
		uint64_t next = until_ns;

		for (unsigned i = 0; i < nr; i++) {
			struct load *l = &loads[i];

			while (l->due_ns <= now) {
				uint64_t due =
					limiter_admit(l->users, 2, l->direction,
						      l->size_bytes, now);

				l->nr += !due;
				l->nr_bytes += due ? 0 : l->size_bytes;
				l->due_ns = due ? due : now;
				UNIT_REQUIRE(!due || due > now);
				if (l->nr > 100000000)
					return;
			}
			next = l->due_ns < next ? l->due_ns : next;
		}
		now = next;
	}
}

/* want, plus or minus permille thousandths. */
static bool near(uint64_t got, uint64_t want, uint64_t permille)
{
	return got * 1000 >= want * (1000 - permille) &&
	       got * 1000 <= want * (1000 + permille);
}

static void holds_operations_to_their_rate(void)
{
	start("iops=100,burst-ms=0");
	run(1, START_NS, START_NS + 60 * NS_PER_S);
	UNIT_CHECK(loads[0].nr == 5999); /* the first one is due at 10 ms */
}

static void holds_bytes_to_their_rate_whatever_the_size(void)
{
	static const uint64_t sizes[] = { 512, 4096, 65536, 1048576 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		start("bytes=10000000");
		loads[0].size_bytes = sizes[i];
		run(1, START_NS, START_NS + 60 * NS_PER_S);
		UNIT_CHECK(near(loads[0].nr_bytes, 600000000, 3));
	}
}

static void counts_a_flush_as_an_operation_without_bytes(void)
{
	start("bytes=4096,iops=50,burst-ms=0");
	loads[0].size_bytes = 0;
	run(1, START_NS, START_NS + 10 * NS_PER_S);
	UNIT_CHECK(near(loads[0].nr, 500, 3));
}

static void lets_a_burst_pass_that_was_saved_up(void)
{
	start("iops=1000,burst-ms=500");
	/* Nothing at first; in a minute half a second's worth, no more. */
	run(1, START_NS + 60 * NS_PER_S, START_NS + 60 * NS_PER_S + 1);
	UNIT_CHECK(loads[0].nr == 500);
}

static void holds_the_directions_apart(void)
{
	start("read-iops=100,write-bytes=409600");
	loads[1].direction = LIMITER_WRITE;
	run(2, START_NS, START_NS + 10 * NS_PER_S);
	UNIT_CHECK(near(loads[0].nr, 1000, 10));
	UNIT_CHECK(near(loads[1].nr, 1000, 10));
	start("iops=100");
	loads[1].direction = LIMITER_WRITE;
	run(2, START_NS, START_NS + 10 * NS_PER_S);
	UNIT_CHECK(near(loads[0].nr + loads[1].nr, 1000, 10));
	start("write-iops=1");
	UNIT_CHECK(limiter_admit(loads[0].users, 2, LIMITER_READ, 4096,
				 START_NS) == 0);
	UNIT_CHECK(limiter_admit(loads[0].users, 2, LIMITER_WRITE, 4096,
				 START_NS) > START_NS);
}

static void shares_bytes_evenly_whatever_the_sizes(void)
{
	uint64_t total = 0;

	start("bytes=50000000");
	for (unsigned i = 0; i < USERS_MAX; i++)
		loads[i].size_bytes = i % 2 ? 4096 : 1048576;
	run(USERS_MAX, START_NS, START_NS + 60 * NS_PER_S);
	for (unsigned i = 0; i < USERS_MAX; i++) {
		UNIT_CHECK(near(loads[i].nr_bytes, 3000000000 / USERS_MAX, 20));
		total += loads[i].nr_bytes;
	}
	UNIT_CHECK(near(total, 3000000000, 10));
}

/*
 * A thread that comes late finds more than a quantum: it serves its users in
 * turn, so many operations each, until all of them have to wait.
 */
static void serve_late(unsigned nr, uint64_t now)
{
	for (bool busy = true; busy; now += 1000) {
		uint64_t until_ns = now + NS_PER_MS;

		busy = false;
		for (unsigned i = 0; i < nr; i++) {
			struct load *l = &loads[i];

			for (unsigned n = 0; n < 64 && l->due_ns <= now; n++) {
				uint64_t due =
					limiter_admit(l->users, 2, l->direction,
						      l->size_bytes, now);

				l->nr_bytes += due ? 0 : l->size_bytes;
				l->due_ns = due ? due : now;
			}
			busy |= l->due_ns < until_ns;
		}
	}
}

static void shares_what_was_saved_up_evenly_too(void)
{
	start("bytes=1048576");
	loads[0].size_bytes = 242;
	loads[1].size_bytes = 1442;
	for (unsigned i = 1; i <= 1000; i++)
		serve_late(2, START_NS + i * 50 * NS_PER_MS);
	UNIT_CHECK(near(loads[0].nr_bytes, 25 * 1048576, 50));
	UNIT_CHECK(near(loads[1].nr_bytes, 25 * 1048576, 50));
}

static void obeys_two_limiters_the_tighter_one_rules(void)
{
	start("iops=1000");
	set(&other, "bytes=409600", START_NS);
	limiter_user_join(&loads[0].users[1], &other);
	run(2, START_NS, START_NS + 10 * NS_PER_S);
	UNIT_CHECK(near(loads[0].nr, 1000, 10));
	UNIT_CHECK(near(loads[1].nr, 9000, 20));
}

static void changes_while_users_wait(void)
{
	start("iops=1");
	run(1, START_NS, START_NS + 1);
	UNIT_CHECK(loads[0].due_ns == START_NS + NS_PER_S);
	set(&limiter, "iops=1000", START_NS + NS_PER_MS);
	loads[0].due_ns = START_NS + NS_PER_MS; /* woken */
	run(1, START_NS + NS_PER_MS, START_NS + NS_PER_S);
	UNIT_CHECK(near(loads[0].nr, 1000, 5));
	set(&limiter, "", START_NS + NS_PER_S);
	UNIT_CHECK(!limiter_user_limited(&loads[0].users[0]));
	for (int i = 0; i < 100000; i++)
		if (limiter_admit(loads[0].users, 2, LIMITER_WRITE, 1 << 20,
				  START_NS + NS_PER_S))
			UNIT_CHECK(false);
}

static void gives_a_resting_user_s_share_to_the_others(void)
{
	start("bytes=4194304");
	run(2, START_NS, START_NS + NS_PER_S);
	/* What one has reserved would be the other's wait. */
	limiter_user_rest(&loads[0].users[0]);
	limiter_user_rest(&loads[1].users[0]);
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++)
		UNIT_CHECK(!loads[0].users[0].shares[i].credit &&
			   !loads[0].users[0].shares[i].reserved);
	/* Everything that passed, and nothing else, was paid. */
	UNIT_CHECK(limiter.buckets[LIMITER_BYTES].level ==
		   (__int128)limiter.buckets[LIMITER_BYTES].at_ns * 4194304 -
			   (__int128)START_NS * 4194304 -
			   (__int128)(loads[0].nr_bytes + loads[1].nr_bytes) *
				   NS_PER_S);
	limiter_user_join(&loads[0].users[0], NULL);
	UNIT_CHECK(!limiter_user_limited(&loads[0].users[0]));
}

/* ---- several threads ---- */

static void *use_for_a_while(void *arg)
{
	struct load *l = arg;
	uint64_t now = clock_now_ns(), until = now + NS_PER_S / 2;

	while ((now = clock_now_ns()) < until)
		if (!limiter_admit(l->users, 2, l->direction, l->size_bytes,
				   now))
			l->nr++;
	limiter_user_rest(&l->users[0]);
	return NULL;
}

static void holds_over_several_threads(void)
{
	pthread_t threads[3];
	uint64_t begin = clock_now_ns(), took, nr = 0;

	start("");
	set(&limiter, "iops=20000,burst-ms=0", begin);
	for (int i = 0; i < 3; i++)
		UNIT_REQUIRE(!pthread_create(&threads[i], NULL, use_for_a_while,
					     &loads[i]));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	took = clock_now_ns() - begin;
	for (int i = 0; i < 3; i++)
		nr += loads[i].nr;
	UNIT_CHECK(nr <= 20000 * took / NS_PER_S + 1);
	/* Not stuck; how much depends on what else runs here. */
	UNIT_CHECK(nr >= 200);
}

/* ---- text
 * -------------------------------------------------------------------- */

static void reads_and_writes_text(void)
{
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];

	UNIT_CHECK(limiter_parse(LIMITER_DISKS, "", &rates) == 0);
	UNIT_CHECK(!limiter_rates_any(&rates));
	UNIT_CHECK(limiter_format(LIMITER_DISKS, &rates, text, sizeof(text)) ==
			   0 &&
		   !*text);
	UNIT_CHECK(limiter_parse(LIMITER_DISKS,
				 "write-bytes=1048576,iops=7,burst-ms=0",
				 &rates) == 0);
	UNIT_CHECK(rates.per_second[LIMITER_OPS] == 7);
	UNIT_CHECK(rates.per_second[LIMITER_WRITE_BYTES] == 1048576);
	UNIT_CHECK(rates.burst_ms == 0 && limiter_rates_any(&rates));
	UNIT_CHECK(limiter_format(LIMITER_DISKS, &rates, text, sizeof(text)) >
		   0);
	UNIT_CHECK(!strcmp(text, "iops=7,write-bytes=1048576,burst-ms=0"));
	UNIT_CHECK(limiter_format(LIMITER_DISKS, &rates, text, 10) ==
		   -ENAMETOOLONG);
}

static void knows_the_words_of_networks(void)
{
	static const char all[] =
		"packets=1,bytes=4096,rx-packets=2,rx-bytes=4097,"
		"tx-packets=3,tx-bytes=4098";
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];

	UNIT_CHECK(limiter_parse(LIMITER_NETWORKS, all, &rates) == 0);
	UNIT_CHECK(rates.per_second[LIMITER_READ_OPS] == 2);
	UNIT_CHECK(rates.per_second[LIMITER_WRITE_BYTES] == 4098);
	UNIT_CHECK(limiter_format(LIMITER_NETWORKS, &rates, text,
				  sizeof(text)) > 0);
	UNIT_CHECK(!strcmp(text, all));
	UNIT_CHECK(limiter_parse(LIMITER_NETWORKS, "iops=5", &rates) ==
		   -EINVAL);
	UNIT_CHECK(limiter_parse(LIMITER_DISKS, "packets=5", &rates) ==
		   -EINVAL);
}

static void understands_a_rate_as_libxl_writes_it(void)
{
	static const struct {
		const char *text;
		uint64_t per_second;
		uint32_t burst_ms;
	} right[] = {
		{ "62500,50000", 1250000, 50 },
		{ "4096,1000000", 4096, 1000 },
		{ "41,10000", 4100, 10 },
		{ "1000,1", 1000000000, 1 },
		{ "18446744073709551615,0", 0, LIMITER_BURST_MS_DEFAULT },
	};
	static const struct {
		const char *text;
		int err;
	} wrong[] = {
		{ "", -EINVAL },
		{ "62500", -EINVAL },
		{ ",50000", -EINVAL },
		{ "62500,", -EINVAL },
		{ "62500,50000,1", -EINVAL },
		{ "62500, 50000", -EINVAL },
		{ "0x10,50000", -EINVAL },
		{ "000000000000000000000062500,50000", -EINVAL },
		{ "0,50000", -ERANGE },
		{ "204,50000", -ERANGE },
		{ "18446744073709551615,1", -ERANGE },
		{ "1099512,1", -ERANGE },
		{ "1000000000,60000001", -ERANGE },
		{ "1000000000,4294967296", -ERANGE },
	};
	struct limiter_rates rates;

	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		UNIT_CHECK(limiter_parse_xl(right[i].text, &rates) == 0);
		UNIT_CHECK(rates.per_second[LIMITER_WRITE_BYTES] ==
			   right[i].per_second);
		UNIT_CHECK(rates.burst_ms == right[i].burst_ms);
		UNIT_CHECK(!rates.per_second[LIMITER_READ_BYTES] &&
			   !rates.per_second[LIMITER_OPS]);
	}
	rates.burst_ms = 77;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		UNIT_CHECK(limiter_parse_xl(wrong[i].text, &rates) ==
			   wrong[i].err);
	UNIT_CHECK(rates.burst_ms == 77);
}

static void refuses_text_that_is_no_limit(void)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{ "iops", -EINVAL },
		{ "iops=", -EINVAL },
		{ "=5", -EINVAL },
		{ ",", -EINVAL },
		{ "iops=5,", -EINVAL },
		{ ",iops=5", -EINVAL },
		{ "iops=5,iops=6", -EINVAL },
		{ "iop=5", -EINVAL },
		{ "iopss=5", -EINVAL },
		{ "iops=-5", -EINVAL },
		{ "iops=5x", -EINVAL },
		{ "iops= 5", -EINVAL },
		{ "iops=0", -ERANGE },
		{ "bytes=4095", -ERANGE },
		{ "bytes=1099511627777", -ERANGE },
		{ "bytes=99999999999999999999999", -ERANGE },
		{ "burst-ms=60001", -ERANGE },
		{ "burst-ms=1,burst-ms=1", -EINVAL },
	};
	char longest[LIMITER_TEXT_MAX + 1];
	struct limiter_rates rates = { .burst_ms = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		UNIT_CHECK(limiter_parse(LIMITER_DISKS, cases[i].text,
					 &rates) == cases[i].err);
	memset(longest, '1', sizeof(longest) - 1);
	longest[LIMITER_TEXT_MAX] = '\0';
	memcpy(longest, "iops=", 5);
	UNIT_CHECK(limiter_parse(LIMITER_DISKS, longest, &rates) == -EINVAL);
	UNIT_CHECK(rates.burst_ms == 77);
}

UNIT_MAIN("limiter", UNIT_TEST(holds_operations_to_their_rate),
	  UNIT_TEST(holds_bytes_to_their_rate_whatever_the_size),
	  UNIT_TEST(counts_a_flush_as_an_operation_without_bytes),
	  UNIT_TEST(lets_a_burst_pass_that_was_saved_up),
	  UNIT_TEST(holds_the_directions_apart),
	  UNIT_TEST(shares_bytes_evenly_whatever_the_sizes),
	  UNIT_TEST(shares_what_was_saved_up_evenly_too),
	  UNIT_TEST(obeys_two_limiters_the_tighter_one_rules),
	  UNIT_TEST(changes_while_users_wait),
	  UNIT_TEST(gives_a_resting_user_s_share_to_the_others),
	  UNIT_TEST(holds_over_several_threads),
	  UNIT_TEST(reads_and_writes_text),
	  UNIT_TEST(knows_the_words_of_networks),
	  UNIT_TEST(understands_a_rate_as_libxl_writes_it),
	  UNIT_TEST(refuses_text_that_is_no_limit))
