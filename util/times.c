/* SPDX-License-Identifier: MIT */
/* times.c - times that add up. See times.h. */
#include "util/times.h"

#include "util/hist.h"

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static void run_span(struct times_span *t, bool on, uint64_t begun_ns,
		     uint64_t now_ns)
{
	if (on && !t->since_ns) {
		set(&t->since_ns, begun_ns);
	} else if (!on && t->since_ns) {
		hist_add(&t->total_ns, now_ns - t->since_ns);
		set(&t->since_ns, 0);
	}
}

/* Since when the guest has been waiting for an answer. */
static uint64_t gap_begin(uint64_t busy_since_ns, uint64_t answered_ns)
{
	return busy_since_ns > answered_ns ? busy_since_ns : answered_ns;
}

void times_batch(struct times *t, const struct times_state *state)
{
	uint64_t now_ns = state->now_ns;

	/* What came and was answered in one batch made it busy, too. */
	run_span(&t->busy, state->answered || state->waiting, state->begun_ns,
		 now_ns);
	if (state->answered) {
		uint64_t gap_ns =
			now_ns - gap_begin(t->busy.since_ns, t->answered_ns);

		if (gap_ns >= TIMES_STALL_NS)
			hist_add(&t->stalled.total_ns, gap_ns);
		set(&t->answered_ns, now_ns);
	}
	run_span(&t->busy, state->waiting, state->begun_ns, now_ns);
	if (state->was_full)
		run_span(&t->ring_full, true, state->begun_ns, now_ns);
	run_span(&t->ring_full, state->ring_full, now_ns, now_ns);
	run_span(&t->throttled, state->throttled, now_ns, now_ns);
}

/* ---- readers ---- */

static void add_span(struct times_span *to, const struct times_span *from,
		     uint64_t now_ns)
{
	uint64_t since_ns = get(&from->since_ns);

	to->total_ns += get(&from->total_ns);
	if (since_ns && now_ns > since_ns)
		to->total_ns += now_ns - since_ns;
}

/* A gap that has not ended counts as soon as it is long enough. */
static void add_open_gap(struct times *to, const struct times *from,
			 uint64_t now_ns)
{
	uint64_t since_ns = get(&from->busy.since_ns);
	uint64_t begin_ns = gap_begin(since_ns, get(&from->answered_ns));

	if (since_ns && now_ns > begin_ns &&
	    now_ns - begin_ns >= TIMES_STALL_NS)
		to->stalled.total_ns += now_ns - begin_ns;
}

void times_add(struct times *to, const struct times *from, uint64_t now_ns)
{
	add_span(&to->busy, &from->busy, now_ns);
	add_span(&to->stalled, &from->stalled, now_ns);
	add_open_gap(to, from, now_ns);
	add_span(&to->ring_full, &from->ring_full, now_ns);
	add_span(&to->throttled, &from->throttled, now_ns);
}
