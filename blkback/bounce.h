/* SPDX-License-Identifier: MIT */
/*
 * bounce.h - a channel's bounce buffers: many small ones and a few for the
 * largest io, page-aligned, and resident only once they have been used. Who
 * finds none waits in line.
 *
 * Thread: the channel's. Allocates: in bounce_init only.
 */
#ifndef BLKBACK_BOUNCE_H
#define BLKBACK_BOUNCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/annotate.h"
#include "util/list.h"

#define BOUNCE_SMALL_MAX 64u

/* Buffers of one size. */
struct bounce_class {
	uint8_t *base;
	size_t each_bytes;
	unsigned nr, nr_free;
	uint8_t *free[BOUNCE_SMALL_MAX];
	struct list waiting;
};

struct bounce {
	struct bounce_class small, large;
};

/* depth: ios in flight; largest_bytes: of one io. -ENOMEM. */
int bounce_init(struct bounce *b, unsigned depth,
		size_t largest_bytes) PV_MUST_CHECK;
void bounce_fini(struct bounce *b); /* zeroed is fine */

/* Buffers of size_bytes; at most what bounce_init was told. */
static inline struct bounce_class *bounce_class(struct bounce *b,
						size_t size_bytes)
{
	return size_bytes <= b->small.each_bytes ? &b->small : &b->large;
}

/* NULL: none is free; wait is in line now and gets the next but those before.
 */
uint8_t *bounce_get(struct bounce_class *c, struct list *wait);
/* Who is next for buf now, off the line; or NULL, and buf is free. */
struct list *bounce_put(struct bounce_class *c, uint8_t *buf);

#endif /* BLKBACK_BOUNCE_H */
