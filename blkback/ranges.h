/* SPDX-License-Identifier: MIT */
/*
 * ranges.h - who may touch which part of a disk now, first come, first served.
 *
 * An exclusive range waits for every earlier range that it overlaps, and every
 * later one waits for it; ranges that are not exclusive do not wait for each
 * other. A range waits only for earlier ones, so nobody starves and nothing can
 * deadlock. Costs nothing to speak of while nothing exclusive is there.
 *
 * Thread: the caller holds one lock around all calls. Allocates: never; the
 * elements are embedded in what waits.
 */
#ifndef BLKBACK_RANGES_H
#define BLKBACK_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "util/list.h"

struct ranges {
	struct list exclusive, others; /* in the order of their coming */
	uint64_t next_ticket;
};

struct range {
	uint64_t start, end; /* end: the first that is not in it */
	bool exclusive;
	/* ours: */
	struct list link;
	uint64_t ticket;
	unsigned nr_before; /* earlier ones that it waits for */
};

void ranges_init(struct ranges *rs);
/* start, end and exclusive are set. True: it may go ahead at once. */
bool ranges_take(struct ranges *rs, struct range *r);
/* is_free(arg, other): other waited for r as the last, and may go ahead. */
typedef void ranges_free_fn(void *arg, struct range *other);
void ranges_drop(struct ranges *rs, struct range *r, ranges_free_fn *is_free,
		 void *arg);

#endif /* BLKBACK_RANGES_H */
