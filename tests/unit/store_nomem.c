/* SPDX-License-Identifier: MIT */
/*
 * store_nomem.c - the store when memory is refused: the model's histories
 * (store_steps_run.h) with each allocation failing in turn. What was answered
 * happened whole, what was refused left no trace, whoever lost an event was
 * cut off; and nothing leaks (asan).
 *
 * The linker sends the allocations of the whole program here (Makefile).
 * STORE_NOMEM_HISTORIES: how many histories of each kind (2, with SOAK 40).
 */
#include "tests/unit/soak.h"
#include "tests/unit/store_steps_run.h"
#include "tests/unit/unit.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);

static struct {
	bool inside; /* a call into the store */
	bool armed;  /* the step is one that may be refused memory */
	bool sticky; /* once refused, always refused */
	bool refused;
	unsigned long left; /* allocations to grant first */
	unsigned one_in;    /* or at random */
	uint64_t random;
	unsigned target; /* the step */
} memory;

static bool refuse(void)
{
	if (!memory.inside || !memory.armed)
		return false;
	if (memory.one_in) {
		if (history_random(&memory.random) % memory.one_in)
			return false;
	} else if (memory.left) {
		memory.left--;
		return false;
	} else {
		memory.armed = memory.sticky;
	}
	memory.refused = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return refuse() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return refuse() ? NULL : __real_realloc(p, size);
}

static void enter(void)
{
	memory.inside = true;
	memory.refused = false;
}

static bool leave(void)
{
	memory.inside = false;
	return memory.refused;
}

static bool ever_refused;

static bool leave_one(void)
{
	ever_refused |= memory.refused;
	return leave();
}

static void before(unsigned i)
{
	memory.armed = memory.one_in || i == memory.target;
}

/* ---- the n-th of one step ------------------------------------------------ */

/* Refuse step the n-th allocation; false when it does not come so far. */
static bool refuse_one(struct history *h, unsigned step, unsigned long n,
		       bool sticky, bool *holds)
{
	char why[512];

	memory.target = step;
	memory.left = n;
	memory.sticky = sticky;
	ever_refused = false;
	h->audit_after = step + 1;
	history_run(h, NULL, why);
	*holds = why[0] == '\0';
	if (!*holds)
		printf("step %u, allocation %lu refused%s: %s\n", step, n,
		       sticky ? " and all that follow" : "", why);
	return ever_refused;
}

/* The steps of one history, each with a few steps after it. */
static bool refuse_each(uint64_t seed, unsigned nr, bool sticky)
{
	static struct history h;
	bool holds = true;

	for (unsigned step = 0; step < nr && holds; step++) {
		unsigned long n = 0;

		history_fill(&h, step + 8, seed);
		h.before = before;
		h.enter = enter;
		h.leave = leave_one;
		while (holds && refuse_one(&h, step, n, sticky, &holds))
			n++;
	}
	return holds;
}

static void refused_once_it_happens_whole_or_not_at_all(void)
{
	unsigned long nr =
		history_setting("STORE_NOMEM_HISTORIES", soak_rounds(2, 40));

	memset(&memory, 0, sizeof(memory));
	for (unsigned long seed = 1; seed <= nr; seed++)
		UNIT_REQUIRE(refuse_each(seed, 60, seed & 1));
}

/* ---- at random ----------------------------------------------------------- */

static void refused_at_random_nothing_is_half_done(void)
{
	unsigned long nr = 10 * history_setting("STORE_NOMEM_HISTORIES",
						soak_rounds(2, 40));
	static struct history h;

	for (unsigned long seed = 1; seed <= nr; seed++) {
		char why[512];

		memset(&memory, 0, sizeof(memory));
		memory.one_in = 4u << seed % 5;
		memory.random = seed;
		history_fill(&h, 300, 1000 + seed);
		h.audit = 8;
		h.before = before;
		h.enter = enter;
		h.leave = leave;
		history_run(&h, NULL, why);
		if (why[0])
			printf("seed %lu: %s\n", seed, why);
		UNIT_REQUIRE(why[0] == '\0');
	}
}

static void a_store_that_cannot_open_leaves_nothing(void)
{
	static const struct xsd_ops ops = { .output = rig_has_output,
					    .dropped = rig_dropped };
	struct xsd *xsd = NULL;
	int err = -ENOMEM;

	memset(&memory, 0, sizeof(memory));
	for (unsigned long n = 0; err; n++) {
		memory.armed = true;
		memory.left = n;
		enter();
		err = xsd_open(1, &ops, &xsd);
		leave();
		UNIT_REQUIRE(n < 100);
		UNIT_CHECK(err == 0 || (err == -ENOMEM && memory.refused));
	}
	xsd_close(xsd);
}

UNIT_MAIN("store_nomem", UNIT_TEST(refused_once_it_happens_whole_or_not_at_all),
	  UNIT_TEST(refused_at_random_nothing_is_half_done),
	  UNIT_TEST(a_store_that_cannot_open_leaves_nothing))
