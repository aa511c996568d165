/* SPDX-License-Identifier: MIT */
/*
 * strict_disk.h - a storage in memory that does what the test says: when an io
 * is over, in which order, with which result; and that counts whatever does not
 * consist of whole sectors. One io is carried out at one instant, when it is
 * completed. Neighbour of blkback_rmw.c.
 */
#ifndef TESTS_UNIT_STRICT_DISK_H
#define TESTS_UNIT_STRICT_DISK_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blkback/storage.h"
#include "util/num.h"

#define STRICT_DEPTH 64u

struct strict_disk {
	struct storage storage;
	pthread_mutex_t lock; /* bytes */
	uint8_t *bytes;
	uint64_t new_size_bytes; /* what size() says */
	_Atomic unsigned nr_crooked;
	bool no_fd; /* wait_fd is -1 */
};

struct strict_channel {
	struct storage_channel channel;
	struct storage_io *ios[STRICT_DEPTH];
	unsigned nr;
	unsigned nr_submitted, nr_flushes; /* ever */
	bool held;			   /* complete nothing in poll() */
	int fail_submit;		   /* the next submit's result */
	int fail_result;		   /* the next io's */
	unsigned random;
	int event_fd;
};

static inline struct strict_channel *strict_of(struct storage_channel *ch)
{
	return (struct strict_channel *)ch;
}

static inline int strict_size(struct storage *st, uint64_t *ret_bytes)
{
	*ret_bytes = ((struct strict_disk *)st)->new_size_bytes;
	return 0;
}

static struct strict_channel *strict_last; /* opened; per test, one thread */

static inline int strict_channel_open(struct storage *st, unsigned depth,
				      struct storage_channel **ret)
{
	struct strict_channel *c = calloc(1, sizeof(*c));

	if (!c || depth > STRICT_DEPTH)
		abort();
	c->channel.st = st;
	c->random = 1;
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	strict_last = c;
	*ret = &c->channel;
	return 0;
}

static inline void strict_channel_close(struct storage_channel *ch)
{
	close(strict_of(ch)->event_fd);
	free(ch);
}

/* Readable while something is under way. */
static inline void strict_signal(struct strict_channel *c)
{
	uint64_t word = 1;
	ssize_t n;

	if (c->nr)
		n = write(c->event_fd, &word, sizeof(word));
	else
		n = read(c->event_fd, &word, sizeof(word));
	(void)n;
}

static inline int strict_submit(struct storage_channel *ch,
				struct storage_io *io)
{
	struct strict_channel *c = strict_of(ch);
	struct strict_disk *d = (struct strict_disk *)ch->st;
	uint64_t sum = 0;
	int err = c->fail_submit;

	for (unsigned i = 0; i < io->nr_iov; i++)
		sum += io->iov[i].iov_len;
	if (io->op != STORAGE_FLUSH &&
	    ((io->offset_bytes | io->size_bytes) %
		     d->storage.desc.sector_bytes ||
	     !io->size_bytes ||
	     (io->op != STORAGE_DISCARD && sum != io->size_bytes) ||
	     !num_range_within(io->offset_bytes, io->size_bytes,
			       storage_size_bytes(&d->storage))))
		d->nr_crooked++;
	c->fail_submit = 0;
	if (err)
		return err;
	if (c->nr == STRICT_DEPTH)
		abort();
	c->nr_submitted++;
	c->nr_flushes += io->op == STORAGE_FLUSH;
	c->ios[c->nr++] = io;
	strict_signal(c);
	return 0;
}

static inline bool strict_flush(struct storage_channel *ch)
{
	(void)ch;
	return true;
}

static inline void strict_carry_out(struct strict_disk *d,
				    const struct storage_io *io)
{
	uint8_t *at = d->bytes + io->offset_bytes;

	pthread_mutex_lock(&d->lock);
	if (io->op == STORAGE_DISCARD)
		memset(at, 0, io->size_bytes);
	for (unsigned i = 0; i < io->nr_iov; i++) {
		if (io->op == STORAGE_WRITE)
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		else if (io->op == STORAGE_READ)
			memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	pthread_mutex_unlock(&d->lock);
}

/* The idx-th of what is under way is over now. */
static inline void strict_complete(struct strict_channel *c, unsigned idx)
{
	struct strict_disk *d = (struct strict_disk *)c->channel.st;
	struct storage_io *io = c->ios[idx];

	c->nr--;
	memmove(&c->ios[idx], &c->ios[idx + 1],
		(c->nr - idx) * sizeof(c->ios[0]));
	strict_signal(c);
	io->result = c->fail_result;
	c->fail_result = 0;
	if (!io->result)
		strict_carry_out(d, io);
	io->done(io);
}

/* Up to three of what is under way, any of them. */
static inline unsigned strict_poll(struct storage_channel *ch)
{
	struct strict_channel *c = strict_of(ch);
	unsigned nr = 0, want;

	if (c->held)
		return 0;
	want = (unsigned)rand_r(&c->random) % 4;
	for (; nr < want && c->nr; nr++)
		strict_complete(c, (unsigned)rand_r(&c->random) % c->nr);
	return nr;
}

static inline int strict_wait_fd(struct storage_channel *ch)
{
	struct strict_disk *d = (struct strict_disk *)ch->st;

	return d->no_fd ? -1 : strict_of(ch)->event_fd;
}

static inline int strict_fence_fd(struct storage_channel *ch)
{
	return strict_of(ch)->event_fd;
}

static const struct storage_ops strict_ops = {
	.name = "strict",
	.size = strict_size,
	.channel_open = strict_channel_open,
	.channel_close = strict_channel_close,
	.submit = strict_submit,
	.flush = strict_flush,
	.poll = strict_poll,
	.wait_fd = strict_wait_fd,
	.fence_fd = strict_fence_fd,
};

static inline void strict_open(struct strict_disk *d, uint64_t size_bytes,
			       uint32_t sector_bytes)
{
	struct storage_desc desc = {
		.size_bytes = size_bytes,
		.sector_bytes = sector_bytes,
		.physical_bytes = sector_bytes,
		.align_bytes = 1,
		.flags = STORAGE_CAN_DISCARD | STORAGE_CAN_DISCARD_SECURE,
		.discard_granularity_bytes = sector_bytes,
	};

	memset(d, 0, sizeof(*d));
	storage_init(&d->storage, &strict_ops, &desc);
	pthread_mutex_init(&d->lock, NULL);
	d->new_size_bytes = size_bytes;
	d->bytes = calloc(1, size_bytes);
	if (!d->bytes)
		abort();
}

static inline void strict_close(struct strict_disk *d)
{
	free(d->bytes);
	pthread_mutex_destroy(&d->lock);
}

#endif /* TESTS_UNIT_STRICT_DISK_H */
