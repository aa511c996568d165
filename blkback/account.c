/* SPDX-License-Identifier: MIT */
/* account.c - figures of a queue. See account.h. */
#include "blkback/account.h"

#include <errno.h>
#include <stdio.h>

#include "util/num.h"

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
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

static void run_time(struct account_time *t, bool on, uint64_t begun_ns,
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

void account_batch(struct account *a, const struct account_state *state)
{
	uint64_t now_ns = state->now_ns;

	if (state->consumed)
		hist_record(&a->depth, state->nr_in_flight);
	/* What came and was answered in one batch made it busy, too. */
	run_time(&a->busy, a->answered || state->waiting, state->begun_ns,
		 now_ns);
	if (a->answered) {
		uint64_t gap_ns =
			now_ns - gap_begin(a->busy.since_ns, a->answered_ns);

		if (gap_ns >= ACCOUNT_STALL_NS)
			hist_add(&a->stalled.total_ns, gap_ns);
		set(&a->answered_ns, now_ns);
		a->answered = false;
	}
	run_time(&a->busy, state->waiting, state->begun_ns, now_ns);
	if (state->was_full)
		run_time(&a->ring_full, true, state->begun_ns, now_ns);
	run_time(&a->ring_full, state->ring_full, now_ns, now_ns);
	run_time(&a->throttled, state->throttled, now_ns, now_ns);
	time_answers(a, now_ns);
}

/* ---- readers ---- */

static void add_time(struct account_time *to, const struct account_time *from,
		     uint64_t now_ns)
{
	uint64_t since_ns = get(&from->since_ns);

	to->total_ns += get(&from->total_ns);
	if (since_ns && now_ns > since_ns)
		to->total_ns += now_ns - since_ns;
}

/* A gap that has not ended counts as soon as it is long enough. */
static void add_open_gap(struct account *to, const struct account *from,
			 uint64_t now_ns)
{
	uint64_t since_ns = get(&from->busy.since_ns);
	uint64_t begin_ns = gap_begin(since_ns, get(&from->answered_ns));

	if (since_ns && now_ns > begin_ns &&
	    now_ns - begin_ns >= ACCOUNT_STALL_NS)
		to->stalled.total_ns += now_ns - begin_ns;
}

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
	add_time(&to->busy, &from->busy, now_ns);
	add_time(&to->stalled, &from->stalled, now_ns);
	add_open_gap(to, from, now_ns);
	add_time(&to->ring_full, &from->ring_full, now_ns);
	add_time(&to->throttled, &from->throttled, now_ns);
}

/* ---- text ---- */

struct text {
	char *buf;
	size_t size, len;
	int err;
};

static void put(struct text *t, const char *prefix, const char *name,
		uint64_t value)
{
	int n;

	if (t->err)
		return;
	n = str_printf(t->buf + t->len, t->size - t->len, "%s%s %llu\n", prefix,
		       name, (unsigned long long)value);
	if (n < 0)
		t->err = n;
	else
		t->len += (size_t)n;
}

static void put_hist(struct text *t, const char *prefix, const struct hist *h)
{
	put(t, prefix, "-sum", h->sum);
	put(t, prefix, "-mean", hist_mean(h));
	put(t, prefix, "-p50", hist_percentile(h, 500000));
	put(t, prefix, "-p90", hist_percentile(h, 900000));
	put(t, prefix, "-p99", hist_percentile(h, 990000));
	put(t, prefix, "-p999", hist_percentile(h, 999000));
	put(t, prefix, "-max", h->max);
}

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

static void put_kind(struct text *t, unsigned kind,
		     const struct account_figures *f)
{
	put(t, kind_names[kind], "-ops", f->nr);
	put(t, kind_names[kind], "-errors", f->nr_errors);
	put(t, kind_names[kind], "-bytes", f->nr_bytes);
	put_hist(t, hist_names[kind], &f->latency_ns);
}

int account_format(const struct account *a, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };

	for (unsigned i = 0; i < ACCOUNT_NR_KINDS; i++)
		put_kind(&t, i, &a->kinds[i]);
	put(&t, "refused", "", a->nr_refused);
	put_hist(&t, hist_names[ACCOUNT_NR_KINDS], &a->depth);
	put(&t, "busy-ns", "", a->busy.total_ns);
	put(&t, "stalled-ns", "", a->stalled.total_ns);
	put(&t, "ring-full-ns", "", a->ring_full.total_ns);
	put(&t, "throttled-ns", "", a->throttled.total_ns);
	return t.err ? t.err : (int)t.len;
}

const char *account_hist_name(unsigned i)
{
	return i < ARRAY_SIZE(hist_names) ? hist_names[i] : NULL;
}

#define BUCKET_LINE_MAX 35u /* of a value below 2^40, and a count */

int account_format_hist(const struct account *a, unsigned i, unsigned *from,
			char buf[ACCOUNT_PAGE_MAX])
{
	const struct hist *h =
		i < ACCOUNT_NR_KINDS ? &a->kinds[i].latency_ns : &a->depth;
	struct text t = { .buf = buf, .size = ACCOUNT_PAGE_MAX };
	unsigned bucket = *from;

	for (; bucket < HIST_NR_BUCKETS && t.len + BUCKET_LINE_MAX < t.size;
	     bucket++) {
		char low[24];

		if (!h->counts[bucket])
			continue;
		snprintf(low, sizeof(low), "%llu",
			 (unsigned long long)hist_bucket_low(bucket));
		put(&t, low, "", h->counts[bucket]);
	}
	if (t.err)
		return t.err;
	*from = bucket;
	return (int)t.len;
}
