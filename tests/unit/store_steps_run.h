/* SPDX-License-Identifier: MIT */
/*
 * store_steps_run.h - a whole history: run it, and make one that fails shorter.
 */
#ifndef TESTS_UNIT_STORE_STEPS_RUN_H
#define TESTS_UNIT_STORE_STEPS_RUN_H

#include "tests/unit/store_steps.h"

#define HISTORY_MAX 4096u

struct history {
	struct step steps[HISTORY_MAX];
	unsigned nr;
	/* Compare the trees after every so many steps, or after one; and always
	 * at the end. 0: not. */
	unsigned audit, audit_after;
	/* Before step i, when set. */
	void (*before)(unsigned i);
	void (*enter)(void);
	bool (*leave)(void);
};

/* splitmix64 */
static inline uint64_t history_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9E3779B97F4A7C15ull);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

/* All of them, or some that follow each other: so that they meet. */
static inline void history_narrow(uint8_t *n, uint64_t choice)
{
	static const uint8_t widths[] = { 0, 3, 6, 12 };
	uint8_t width = widths[choice % ARRAY_SIZE(widths)];

	if (width)
		*n = (uint8_t)(*n % width + (choice >> 8) % 32);
}

static inline void history_fill(struct history *h, unsigned nr, uint64_t seed)
{
	uint64_t paths = history_random(&seed), conns = history_random(&seed);

	memset(h, 0, sizeof(*h));
	h->nr = nr;
	for (unsigned i = 0; i < nr; i++) {
		uint64_t r = history_random(&seed);

		memcpy(&h->steps[i], &r, sizeof(h->steps[i]));
		history_narrow(&h->steps[i].path, paths);
		history_narrow(&h->steps[i].who, conns);
	}
}

static inline unsigned long history_setting(const char *name,
					    unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/* A second passes at every look: nobody is ever paused for what he writes. */
static inline uint64_t history_now_ns(void)
{
	static uint64_t now_ns;

	return now_ns += 1000000000u;
}

/* A store with domains 0 to 3, and a node /s where all may write. */
static inline bool history_begin(struct rig *rig)
{
	static const struct xsd_ops ops = { .output = rig_has_output,
					    .dropped = rig_dropped,
					    .now_ns = history_now_ns };
	struct model_answer ignored;
	struct rig_conn *c = &rig->conns[0];

	memset(rig, 0, sizeof(*rig));
	rig->ops = &ops;
	for (unsigned i = 0; i < MODEL_CONNS; i++)
		rig->conns[i].rig = rig;
	model_init(&rig->m);
	rig->m.new_quota.nodes = xsd_limits_domu.nodes;
	rig->m.new_quota.node_bytes = xsd_limits_domu.node_bytes;
	rig->m.new_quota.perms = xsd_limits_domu.perms;
	rig->m.new_quota.watches = xsd_limits_domu.watches;
	rig->m.new_quota.transactions = xsd_limits_domu.transactions;
	if (xsd_open(0x5eed, &ops, &rig->xsd))
		return false;
	for (uint32_t domid = 0; domid < 4; domid++) {
		if (xsd_domain_create(rig->xsd, domid, ++rig->life, "guest"))
			return false;
		model_domain_create(&rig->m, domid, "guest");
	}
	if (!rig_open(rig, 0) || rig_exchange(c, XS_MKDIR, 0, "/s", 3, 0) ||
	    rig_exchange(c, XS_SET_PERMS, 0, "/s\0b0", 6, 0))
		return false;
	model_request(&rig->m, 0, NULL, XS_MKDIR, "/s", "", 0, &ignored);
	model_request(&rig->m, 0, NULL, XS_SET_PERMS, "/s", "b0", 3, &ignored);
	return true;
}

static inline void history_end(struct rig *rig)
{
	for (unsigned i = 0; i < MODEL_CONNS; i++)
		rig_dropped(&rig->conns[i]);
	xsd_close(rig->xsd);
	model_fini(&rig->m);
}

static inline bool history_audits(const struct history *h, unsigned done)
{
	return done == h->nr || done == h->audit_after ||
	       (h->audit && done % h->audit == 0);
}

/*
 * Run it. Returns the number of the step where store and model differ, or nr;
 * why (as rig.why) is empty then.
 */
static inline unsigned history_run(const struct history *h, FILE *trace,
				   char why[512])
{
	static struct rig rig;
	unsigned i = 0;

	if (!history_begin(&rig))
		rig_differ(&rig, "no store");
	rig.trace = trace;
	rig.enter = h->enter;
	rig.leave = h->leave;
	for (; i < h->nr && !rig.why[0]; i++) {
		if (h->before)
			h->before(i);
		step_run(&rig, &h->steps[i]);
		if (!rig.why[0] && history_audits(h, i + 1))
			rig_compare_trees(&rig);
	}
	memcpy(why, rig.why, sizeof(rig.why));
	history_end(&rig);
	return why[0] ? i - 1 : i;
}

/* Take out of a failing history whatever it fails without. */
static inline void history_shrink(struct history *h)
{
	static struct history less;
	char why[512];

	for (unsigned chunk = h->nr / 2; chunk; chunk /= 2) {
		for (unsigned at = 0; at < h->nr;) {
			unsigned gone = chunk < h->nr - at ? chunk : h->nr - at;

			less = *h;
			less.nr -= gone;
			memmove(less.steps + at, less.steps + at + gone,
				(less.nr - at) * sizeof(less.steps[0]));
			if (history_run(&less, NULL, why) < less.nr || why[0])
				*h = less;
			else
				at += gone;
		}
	}
}

/* Whether store and model agree all along; else say all about it. */
static inline bool history_holds(struct history *h)
{
	char why[512];
	unsigned at = history_run(h, NULL, why);

	if (!why[0])
		return true;
	printf("step %u of %u: %s\n", at, h->nr, why);
	h->nr = at + 1;
	h->audit = 1;
	history_shrink(h);
	printf("the shortest history that fails (%u steps):\n", h->nr);
	history_run(h, stdout, why);
	printf("%s\n", why);
	return false;
}

#endif /* TESTS_UNIT_STORE_STEPS_RUN_H */
