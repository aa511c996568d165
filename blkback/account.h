/* SPDX-License-Identifier: MIT */
/*
 * account.h - what a queue did and how long its guest waited.
 *
 *	latency		from the round in which a request was found (held back
 *			by a limit or not) to the end of the batch in which it
 *			was answered
 *	depth		requests in flight, sampled after each batch that
 *			consumed any
 *	times		busy, stalled, ring-full, throttled: see util/times.h
 *
 * The clock is read once for a batch.
 *
 * Thread: the queue's data thread writes; account_copy may be called on any.
 * Logs: never.
 */
#ifndef BLKBACK_ACCOUNT_H
#define BLKBACK_ACCOUNT_H

#include <stdbool.h>

#include "blkback/parse.h"
#include "util/figures.h"
#include "util/hist.h"
#include "util/times.h"

enum account_kind {
	ACCOUNT_READ,
	ACCOUNT_WRITE,
	ACCOUNT_FLUSH,
	ACCOUNT_DISCARD,
};
#define ACCOUNT_NR_KINDS 4u

struct account_figures {
	uint64_t nr;	    /* answered, errors included */
	uint64_t nr_errors; /* answered with an error */
	uint64_t nr_bytes;  /* carried out; 0 for a flush */
	struct hist latency_ns;
};

#define ACCOUNT_BATCH_MAX 64u

/* A zeroed one is valid. */
struct account {
	struct account_figures kinds[ACCOUNT_NR_KINDS];
	uint64_t nr_refused; /* not a request at all: bad words */
	struct hist depth;
	struct times times;
	/* Answered in this batch, to be timed at its end. */
	struct account_answer {
		enum account_kind kind;
		uint64_t begun_ns;
	} batch[ACCOUNT_BATCH_MAX];
	unsigned nr_batch;
	bool answered; /* anything in this batch */
};

/* A request is answered. io: as parsed; parsed: it was one. */
void account_answer(struct account *a, const struct blk_io *io, bool parsed,
		    int err, uint64_t begun_ns);

/*
 * The end of a batch. state: answered is ours to fill in. nr_in_flight:
 * requests, as it ends; consumed: it took some.
 */
void account_batch(struct account *a, struct times_state *state,
		   uint32_t nr_in_flight, bool consumed);

/*
 * Add what from shows now to to, the caller's, whose times then all stand
 * still. from may be written meanwhile.
 */
void account_add(struct account *to, const struct account *from,
		 uint64_t now_ns);

/* ---- of one that nobody writes ---- */

void account_put(const struct account *a, struct figures *f);
/* Histogram i, and what it is called there; NULL after the last. */
const struct hist *account_hist(const struct account *a, unsigned i,
				const char **ret_name);

#endif /* BLKBACK_ACCOUNT_H */
