/* SPDX-License-Identifier: MIT */
/*
 * account.h - what a queue did and how long its guest waited.
 *
 *	latency		from the round in which a request was found (held back
 *			by a limit or not) to the end of the batch in which it
 *			was answered
 *	depth		requests in flight, sampled after each batch that
 *			consumed any
 *	busy		time in which the guest had requests unanswered
 *	stalled		of that, the gaps of ACCOUNT_STALL_NS and more in which
 *			not one of them was answered: each such gap counts in
 *			whole, from the last answer, or from when the first
 *			request was found
 *	ring-full	time in which the guest could not have put another
 *			request into the ring: as many were in it or in flight
 *			as it holds. From the batch that found it so, or left it
 *			so, to the end of the batch that answered
 *	throttled	time in which a limit held a request back
 *
 * A guest has too little I/O when it is busy most of the time; it suffers when
 * it is stalled; throttled says that a limit is why, ring-full that more depth
 * would help. The clock is read once for a batch.
 *
 * Thread: the queue's data thread writes; account_copy may be called on any.
 * Logs: never.
 */
#ifndef BLKBACK_ACCOUNT_H
#define BLKBACK_ACCOUNT_H

#include <stdbool.h>

#include "blkback/parse.h"
#include "util/clock.h"
#include "util/hist.h"

#define ACCOUNT_STALL_NS (10 * NS_PER_MS)

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

/* A time that adds up, and since when it is running: 0 = it is not. */
struct account_time {
	uint64_t total_ns, since_ns;
};

#define ACCOUNT_BATCH_MAX 64u

/* A zeroed one is valid. */
struct account {
	struct account_figures kinds[ACCOUNT_NR_KINDS];
	uint64_t nr_refused; /* not a request at all: bad words */
	struct hist depth;
	struct account_time busy, stalled, ring_full, throttled;
	uint64_t answered_ns; /* the last answer */
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

/* How things stand at the end of a batch. */
struct account_state {
	uint64_t begun_ns, now_ns; /* of the batch */
	uint32_t nr_in_flight;
	bool consumed;	/* requests in this batch */
	bool waiting;	/* the guest has a request unanswered */
	bool was_full;	/* the ring, as this batch began */
	bool ring_full; /* as it ends */
	bool throttled;
};
void account_batch(struct account *a, const struct account_state *state);

/*
 * Add what from shows now to to, the caller's, whose times then all stand
 * still. from may be written meanwhile.
 */
void account_add(struct account *to, const struct account *from,
		 uint64_t now_ns);

/*
 * The figures as lines "NAME VALUE": "read-ops 17", "busy-ns 12345". Returns
 * the length; -ENAMETOOLONG. Of one that nobody writes.
 */
#define ACCOUNT_TEXT_MAX 3072
int account_format(const struct account *a, char *buf,
		   size_t size) PV_MUST_CHECK;

/*
 * The histograms, whole, of one that nobody writes. Name number i, as in
 * account_format's "NAME-p50", or NULL after the last. Its buckets as lines
 * "LOW COUNT", LOW the smallest value that is counted there (util/hist.h),
 * those that count nothing left out: as many as are sure to fit, from bucket
 * *from on, where the next ones begin afterwards. Returns the length, 0 when
 * there are no more; -ENAMETOOLONG.
 */
#define ACCOUNT_PAGE_MAX 3500
const char *account_hist_name(unsigned i);
int account_format_hist(const struct account *a, unsigned i, unsigned *from,
			char buf[ACCOUNT_PAGE_MAX]) PV_MUST_CHECK;

#endif /* BLKBACK_ACCOUNT_H */
