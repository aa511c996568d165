/* SPDX-License-Identifier: MIT */
/*
 * waiting.h - frames that wait for a guest's buffers: a queue of copies,
 * bounded in bytes.
 *
 * Its memory is allocated when the first frame waits, WAITING_BYTES in one
 * piece, and kept until waiting_free.
 *
 * Pure. Used by queue_wait.c. Data thread.
 */
#ifndef NETBACK_WAITING_H
#define NETBACK_WAITING_H

#include "netback/queue.h"

#define WAITING_BYTES (128u * 1024) /* frames, and what is noted of each */

/* Zero-initialise. */
struct waiting {
	uint8_t *buf;	     /* NULL: not allocated */
	uint32_t first, end; /* offsets in it */
	uint32_t wrap;	     /* where they go on at 0; 0: they do not */
	uint32_t nr;
};

/* Copy the frame behind the others. -ENOBUFS: there is no room. */
int waiting_add(struct waiting *w, const struct frame *frame,
		const struct queue_hash *hash, uint64_t now_ns) PV_MUST_CHECK;
/* The first one, and since when it waits; valid until it is dropped. */
bool waiting_first(const struct waiting *w, struct frame *ret,
		   struct queue_hash *ret_hash,
		   uint64_t *ret_since_ns) PV_MUST_CHECK;
void waiting_drop_first(struct waiting *w);
/* All of them, and the memory. */
void waiting_free(struct waiting *w);

#endif /* NETBACK_WAITING_H */
