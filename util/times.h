/* SPDX-License-Identifier: MIT */
/*
 * times.h - how long whoever uses a queue waited, and why.
 *
 *	busy		time in which the guest had requests unanswered
 *	stalled		of that, the gaps of TIMES_STALL_NS and more in which
 *			not one of them was answered: each such gap counts in
 *			whole, from the last answer, or from when the first
 *			request was found
 *	ring-full	time in which the guest could not have put another
 *			request into the ring: as many were in it or in flight
 *			as it holds. From the batch that found it so, or left it
 *			so, to the end of the batch that answered
 *	throttled	time in which a limit held a request back
 *
 * A guest has too little when it is busy most of the time; it suffers when it
 * is stalled; throttled says that a limit is why, ring-full that more depth
 * would help. The clock is the caller's, read once for a batch.
 *
 * Thread: the queue's data thread writes; times_add may be called on any, with
 * to its own. Logs: never.
 */
#ifndef UTIL_TIMES_H
#define UTIL_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "util/clock.h"

#define TIMES_STALL_NS (10 * NS_PER_MS)

/* A time that adds up, and since when it is running: 0 = it is not. */
struct times_span {
	uint64_t total_ns, since_ns;
};

/* A zeroed one is valid. */
struct times {
	struct times_span busy, stalled, ring_full, throttled;
	uint64_t answered_ns; /* the last answer */
};

/* How things stand at the end of a batch. */
struct times_state {
	uint64_t begun_ns, now_ns; /* of the batch */
	bool answered;		   /* anything in this batch */
	bool waiting;		   /* the guest has a request unanswered */
	bool was_full;		   /* the ring, as this batch began */
	bool ring_full;		   /* as it ends */
	bool throttled;
};
void times_batch(struct times *t, const struct times_state *state);

/* Add what from shows now to to, whose times then all stand still. */
void times_add(struct times *to, const struct times *from, uint64_t now_ns);

#endif /* UTIL_TIMES_H */
