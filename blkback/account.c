/* SPDX-License-Identifier: MIT */
/* account.c - figures of a queue. See account.h. */
#include "blkback/account.h"

#include <stddef.h>

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static enum account_kind kind_of(enum blk_kind kind)
{
	switch (kind) {
	case BLK_READ: return ACCOUNT_READ;
	case BLK_WRITE:
	case BLK_WRITE_FLUSHED: return ACCOUNT_WRITE;
	case BLK_FLUSH: return ACCOUNT_FLUSH;
	case BLK_DISCARD: return ACCOUNT_DISCARD;
	}
	return ACCOUNT_FLUSH;
}

/* ---- the data thread ----------------------------------------------------- */

static void time_answers(struct account *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < a->nr_batch; i++) {
		const struct account_answer *done = &a->batch[i];

		hist_record(&a->kinds[done->kind].latency_ns,
			    now_ns - done->begun_ns);
	}
	a->nr_batch = 0;
}

void account_answer(struct account *a, const struct blk_io *io, bool parsed,
		    int err, uint64_t begun_ns)
{
	struct account_figures *f;
	enum account_kind kind;

	a->answered = true;
	if (!parsed) {
		hist_add(&a->nr_refused, 1);
		return;
	}
	kind = kind_of(io->kind);
	f = &a->kinds[kind];
	hist_add(&f->nr, 1);
	if (err)
		hist_add(&f->nr_errors, 1);
	else
		hist_add(&f->nr_bytes, io->size_bytes);
	if (a->nr_batch == ACCOUNT_BATCH_MAX)
		time_answers(a, clock_now_ns());
	a->batch[a->nr_batch++] = (struct account_answer){ kind, begun_ns };
}

void account_batch(struct account *a, struct times_state *state,
		   uint32_t nr_in_flight, bool consumed)
{
	if (consumed)
		hist_record(&a->depth, nr_in_flight);
	state->answered = a->answered;
	a->answered = false;
	times_batch(&a->times, state);
	time_answers(a, state->now_ns);
}

/* ---- readers ---- */

void account_add(struct account *to, const struct account *from,
		 uint64_t now_ns)
{
	for (unsigned i = 0; i < ACCOUNT_NR_KINDS; i++) {
		to->kinds[i].nr += get(&from->kinds[i].nr);
		to->kinds[i].nr_errors += get(&from->kinds[i].nr_errors);
		to->kinds[i].nr_bytes += get(&from->kinds[i].nr_bytes);
		hist_merge(&to->kinds[i].latency_ns,
			   &from->kinds[i].latency_ns);
	}
	to->nr_refused += get(&from->nr_refused);
	hist_merge(&to->depth, &from->depth);
	times_add(&to->times, &from->times, now_ns);
}

/* ---- text ---- */

static const char *const kind_names[ACCOUNT_NR_KINDS] = {
	[ACCOUNT_READ] = "read",
	[ACCOUNT_WRITE] = "write",
	[ACCOUNT_FLUSH] = "flush",
	[ACCOUNT_DISCARD] = "discard",
};

static const char *const hist_names[ACCOUNT_NR_KINDS + 1] = {
	[ACCOUNT_READ] = "read-latency-ns",
	[ACCOUNT_WRITE] = "write-latency-ns",
	[ACCOUNT_FLUSH] = "flush-latency-ns",
	[ACCOUNT_DISCARD] = "discard-latency-ns",
	[ACCOUNT_NR_KINDS] = "depth",
};

static void put_kind(struct figures *f, unsigned kind,
		     const struct account_figures *figures)
{
	figures_put(f, kind_names[kind], "-ops", figures->nr);
	figures_put(f, kind_names[kind], "-errors", figures->nr_errors);
	figures_put(f, kind_names[kind], "-bytes", figures->nr_bytes);
	figures_put_hist(f, hist_names[kind], &figures->latency_ns);
}

void account_put(const struct account *a, struct figures *f)
{
	for (unsigned i = 0; i < ACCOUNT_NR_KINDS; i++)
		put_kind(f, i, &a->kinds[i]);
	figures_put(f, "refused", "", a->nr_refused);
	figures_put_hist(f, hist_names[ACCOUNT_NR_KINDS], &a->depth);
	figures_put_times(f, &a->times);
}

const struct hist *account_hist(const struct account *a, unsigned i,
				const char **ret_name)
{
	if (i > ACCOUNT_NR_KINDS)
		return NULL;
	*ret_name = hist_names[i];
	return i < ACCOUNT_NR_KINDS ? &a->kinds[i].latency_ns : &a->depth;
}
