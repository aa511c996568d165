/* SPDX-License-Identifier: MIT */
/*
 * limit.h - a queue's limits: whether the next request may be consumed yet.
 *
 * A request is copied off the ring into queue_limit.raw and stays there, not
 * consumed, until its disk's limits and its group's let it pass. The record
 * does not know of it: should the worker die, its successor finds it in the
 * ring. So nothing is in flight that a limit holds back, and the frontend's
 * ring is what fills up.
 *
 * What a request costs is taken from its own words, before they are checked: a
 * frontend that lies pays for what it says. An indirect one counts whole pages.
 *
 * Thread: the queue's data thread. Logs: never.
 */
#ifndef BLKBACK_LIMIT_H
#define BLKBACK_LIMIT_H

#include <stdbool.h>

#include "blkback/parse.h"
#include "util/limiter.h"

struct queue_limit {
	struct limiter_member member; /* of its disk's, and its group's */
	struct blk_raw raw;	      /* the next request, once it was taken */
	uint64_t found_ns;	      /* when that was */
	bool holding;		      /* ... and could not be admitted yet */
};

/* Data of the request in bytes; 0 for one that has none. */
uint64_t blk_raw_size(const struct blk_raw *raw, enum blk_layout layout);
/* What it costs the data thread, see worker_cost(): 1..BLK_SEGMENTS_MAX. */
unsigned blk_raw_cost(const struct blk_raw *raw);

/*
 * May l->raw be consumed? 0: yes, and it is paid for; else not before that
 * time. Only with limiter_member_limited().
 */
uint64_t queue_limit_admit(struct queue_limit *l, enum blk_layout layout,
			   uint64_t now_ns);

#endif /* BLKBACK_LIMIT_H */
