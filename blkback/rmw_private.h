/* SPDX-License-Identifier: MIT */
/*
 * rmw_private.h - what rmw.c (the storage) and rmw_io.c (one io's parts) share.
 */
#ifndef BLKBACK_RMW_PRIVATE_H
#define BLKBACK_RMW_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "blkback/bounce.h"
#include "blkback/ranges.h"
#include "blkback/rmw.h"

#define RMW_MEDIUM_BYTES 4096u
#define RMW_SECTOR_BYTES 512u
#define RMW_LARGEST_IO	 ((uint64_t)STORAGE_IOV_MAX * RMW_MEDIUM_BYTES)

struct rmw_storage {
	struct storage storage;
	struct storage *below;
	/*
	 * Guards ranges, and of every channel: ready, woken's changes and the
	 * writes to event_fd.
	 */
	pthread_mutex_t lock;
	struct ranges ranges;
};

/* What follows when the part that is under way is over. */
enum next {
	NEXT_END,
	NEXT_READ_TAIL,
	NEXT_WRITE,
};

struct rmw_io {
	struct storage_io part; /* below */
	struct iovec part_iov;
	struct storage_io *user;
	struct rmw_channel *channel;
	struct list link; /* free, ready, done, or waiting for a buffer */
	struct range range;
	bool holds_range;
	enum next next;
	uint8_t *buf; /* of range, when it is bounced */
	int result;
};

struct rmw_channel {
	struct storage_channel channel;
	struct storage_channel *below;
	struct rmw_io *ios; /* depth of them */
	struct list free;
	struct list ready; /* their ranges are free now */
	struct list done;  /* over without anything to wait for */
	/* There is something in ready or done: event_fd is readable. */
	_Atomic bool woken;
	bool unflushed; /* below has not taken all of what poll() submitted */
	int event_fd, epoll_fd;
	struct bounce bounce;
};

static inline struct rmw_storage *rmw_storage_of(const struct rmw_channel *c)
{
	return (struct rmw_storage *)c->channel.st;
}

static inline uint64_t rmw_round_down(uint64_t bytes)
{
	return bytes - bytes % RMW_MEDIUM_BYTES;
}

/* With the storage's lock held: c's poll() has something to do. */
void rmw_wake(struct rmw_channel *c);
/* The range is r's (or it needs none): carry it out. */
void rmw_begin(struct rmw_io *r);
/* r is over: give back what it has, call done. Not from inside submit(). */
void rmw_end(struct rmw_io *r, int result);
/* The same in the next poll(). */
void rmw_end_later(struct rmw_io *r, int result);
storage_done_fn rmw_part_done;

#endif /* BLKBACK_RMW_PRIVATE_H */
