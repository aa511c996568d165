/* SPDX-License-Identifier: MIT */
/* worker_fair.c - budgets: busy sources of a data thread share it by cost. */
#include "tests/unit/worker_rig.h"

#include "util/num.h"

/* Between two rounds: each has been polled as often as the others. */
static int take_all_away(void *arg)
{
	struct busy *b = arg;

	for (int i = 0; i < 3; i++)
		worker_remove(&b[i].src);
	return 0;
}

static int add_all(void *arg)
{
	struct busy *b = arg;
	int err = 0;

	for (int i = 0; i < 3 && !err; i++)
		err = worker_add(b[i].worker, &b[i].src);
	return err;
}

static void is_fair_between_busy_sources(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct busy b[3];
	unsigned least = ~0u, most = 0;

	memset(b, 0, sizeof(b));
	for (int i = 0; i < 3; i++) {
		b[i].src.ops = &busy_ops;
		b[i].src.fd = b[i].src.extra_fd = -1;
		b[i].worker = w;
	}
	UNIT_CHECK(worker_call(w, add_all, b) == 0);
	UNIT_CHECK(wait_for(&b[0].nr_polls, 10000));
	worker_call(w, take_all_away, b);
	for (int i = 0; i < 3; i++) {
		unsigned n = atomic_load(&b[i].nr_polls);

		least = n < least ? n : least;
		most = n > most ? n : most;
		UNIT_CHECK(!b[i].over_budget);
	}
	UNIT_CHECK(least == most);
	worker_close(w);
}

/* A source that always has more, in pieces of its own cost. */
struct glutton {
	struct work_source src;
	struct worker *worker;
	unsigned piece; /* the cost of each */
	uint64_t begun; /* the cost of all */
	bool overdrawn; /* began something with nothing left */
	_Atomic unsigned nr_polls;
};

static unsigned glutton_poll(struct work_source *src, unsigned budget)
{
	struct glutton *g = container_of(src, struct glutton, src);
	unsigned cost = 0;

	while (cost < budget)
		cost += g->piece;
	g->overdrawn |= cost >= budget + g->piece;
	g->begun += cost;
	bump(&g->nr_polls);
	return cost;
}

static const struct work_source_ops glutton_ops = {
	.poll = glutton_poll,
	.arm = never_arm,
};

#define NR_GLUTTONS 100

static int add_gluttons(void *arg)
{
	struct glutton *g = arg;
	int err = 0;

	for (int i = 0; i < NR_GLUTTONS && !err; i++)
		err = worker_add(g[i].worker, &g[i].src);
	return err;
}

static int take_gluttons_away(void *arg)
{
	struct glutton *g = arg;

	for (int i = 0; i < NR_GLUTTONS; i++)
		worker_remove(&g[i].src);
	return 0;
}

/* Requests of 4 KiB beside such of 64 KiB and of 1 MiB. */
static void shares_by_cost_not_by_number(void)
{
	static const unsigned pieces[] = { 1, 16, 256, 7 };
	struct worker *w = open_worker(SPIN_NS);
	struct glutton *g = calloc(NR_GLUTTONS, sizeof(*g));
	uint64_t least = UINT64_MAX, most = 0;

	UNIT_REQUIRE(g != NULL);
	for (unsigned i = 0; i < NR_GLUTTONS; i++) {
		g[i].src.ops = &glutton_ops;
		g[i].src.fd = g[i].src.extra_fd = -1;
		g[i].worker = w;
		g[i].piece = pieces[i % ARRAY_SIZE(pieces)];
	}
	UNIT_CHECK(worker_call(w, add_gluttons, g) == 0);
	UNIT_CHECK(wait_for(&g[0].nr_polls, 1000));
	worker_call(w, take_gluttons_away, g);
	for (unsigned i = 0; i < NR_GLUTTONS; i++) {
		least = g[i].begun < least ? g[i].begun : least;
		most = g[i].begun > most ? g[i].begun : most;
		UNIT_CHECK(!g[i].overdrawn);
	}
	/* 1,000 rounds of 64 units: a piece is 0.4 % of that. */
	UNIT_CHECK(most * 100 <= least * 101);
	worker_close(w);
	free(g);
}

static void lets_one_that_is_alone_work_without_pause(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct glutton g = {
		.src = { .ops = &glutton_ops, .fd = -1, .extra_fd = -1 },
		.piece = 256
	};

	UNIT_CHECK(add(w, &g.src) == 0);
	UNIT_CHECK(wait_for(&g.nr_polls, 1000));
	take_away(w, &g.src);
	UNIT_CHECK(g.begun == 256ull * atomic_load(&g.nr_polls));
	worker_close(w);
}

UNIT_MAIN("worker_fair", UNIT_TEST(is_fair_between_busy_sources),
	  UNIT_TEST(shares_by_cost_not_by_number),
	  UNIT_TEST(lets_one_that_is_alone_work_without_pause))
