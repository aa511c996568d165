/* SPDX-License-Identifier: MIT */
/*
 * bounce.c - see bounce.h. Called by rmw.c, on the channel's thread.
 */
#include "blkback/bounce.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SMALL_BYTES (16u << 10)
#define LARGE_NR    4u

static int class_init(struct bounce_class *c, unsigned nr, size_t each_bytes)
{
	uint8_t *base =
		mmap(NULL, nr * each_bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	c->base = base;
	c->each_bytes = each_bytes;
	c->nr = nr;
	list_init(&c->waiting);
	/* The lowest on top: few are ever touched. */
	for (unsigned i = nr; i-- > 0;)
		c->free[c->nr_free++] = base + i * each_bytes;
	return 0;
}

static void class_fini(struct bounce_class *c)
{
	if (c->base)
		munmap(c->base, c->nr * c->each_bytes);
	c->base = NULL;
}

int bounce_init(struct bounce *b, unsigned depth, size_t largest_bytes)
{
	unsigned nr = depth < BOUNCE_SMALL_MAX ? depth : BOUNCE_SMALL_MAX;
	int err;

	memset(b, 0, sizeof(*b));
	err = class_init(&b->small, nr, SMALL_BYTES);
	if (!err)
		err = class_init(&b->large, LARGE_NR, largest_bytes);
	if (err)
		bounce_fini(b);
	return err;
}

void bounce_fini(struct bounce *b)
{
	class_fini(&b->small);
	class_fini(&b->large);
}

uint8_t *bounce_get(struct bounce_class *c, struct list *wait)
{
	if (c->nr_free)
		return c->free[--c->nr_free];
	list_add_tail(&c->waiting, wait);
	return NULL;
}

struct list *bounce_put(struct bounce_class *c, uint8_t *buf)
{
	struct list *next = c->waiting.next;

	if (list_empty(&c->waiting)) {
		c->free[c->nr_free++] = buf;
		return NULL;
	}
	list_del(next);
	return next;
}
