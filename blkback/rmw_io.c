/* SPDX-License-Identifier: MIT */
/*
 * rmw_io.c - one io that is not whole sectors, or that others have to wait for.
 *
 * It becomes one io of the storage below at a time: first its range of the disk
 * (writes, discards; rmw.c takes it), then a bounce buffer (what is not whole
 * sectors), then the parts. Who has a buffer waits for nothing, so the line for
 * buffers always moves on.
 *
 * Neighbours: ranges.c (who waits for whom), bounce.c (buffers). Called by
 * rmw.c on the channel's thread.
 */
#include "blkback/rmw_private.h"

#include <unistd.h>

#include "util/iov.h"

/* Both edges of a write that is no longer than this are read in one go. */
#define READ_WHOLE_MAX (16u << 10)

void rmw_wake(struct rmw_channel *c)
{
	uint64_t one = 1;
	ssize_t n;

	if (atomic_load_explicit(&c->woken, memory_order_relaxed))
		return;
	n = write(c->event_fd, &one, sizeof(one));
	(void)n; /* it is empty: there is room */
	/* Pairs with rmw_poll(). */
	atomic_store_explicit(&c->woken, true, memory_order_release);
}

void rmw_end_later(struct rmw_io *r, int result)
{
	struct rmw_channel *c = r->channel;
	struct rmw_storage *rs = rmw_storage_of(c);

	r->result = result;
	list_add_tail(&c->done, &r->link);
	pthread_mutex_lock(&rs->lock);
	rmw_wake(c);
	pthread_mutex_unlock(&rs->lock);
}

/* ---- parts ----------------------------------------------------------------
 */

/* The part is filled in but for what is always the same. */
static void submit(struct rmw_io *r, enum next next)
{
	struct rmw_channel *c = r->channel;
	int err;

	r->next = next;
	c->unflushed = true;
	err = rmw_storage_of(c)->below->ops->submit(c->below, &r->part);
	if (err)
		rmw_end_later(r, err);
}

/* [start, end) of the disk, to or from its place in the buffer. */
static void submit_bounced(struct rmw_io *r, enum storage_op op, uint64_t start,
			   uint64_t end, enum next next)
{
	r->part.op = op;
	r->part.offset_bytes = start;
	r->part.size_bytes = end - start;
	r->part_iov.iov_base = r->buf + (start - r->range.start);
	r->part_iov.iov_len = end - start;
	r->part.iov = &r->part_iov;
	r->part.nr_iov = 1;
	submit(r, next);
}

/* The edges are in the buffer: put the bytes between them. */
static void write_bounced(struct rmw_io *r)
{
	const struct storage_io *io = r->user;

	iov_gather(r->buf + (io->offset_bytes - r->range.start), io->iov,
		   io->nr_iov);
	submit_bounced(r, STORAGE_WRITE, r->range.start, r->range.end,
		       NEXT_END);
}

static void read_tail(struct rmw_io *r)
{
	submit_bounced(r, STORAGE_READ, r->range.end - RMW_MEDIUM_BYTES,
		       r->range.end, NEXT_WRITE);
}

static void read_edges(struct rmw_io *r)
{
	const struct storage_io *io = r->user;
	uint64_t start = r->range.start, end = r->range.end;
	bool head = io->offset_bytes != start;
	bool tail = io->offset_bytes + io->size_bytes != end;

	if (!head && !tail)
		write_bounced(r);
	else if (head && tail && end - start <= READ_WHOLE_MAX)
		submit_bounced(r, STORAGE_READ, start, end, NEXT_WRITE);
	else if (head)
		submit_bounced(r, STORAGE_READ, start, start + RMW_MEDIUM_BYTES,
			       tail ? NEXT_READ_TAIL : NEXT_WRITE);
	else
		read_tail(r);
}

static void begin_bounced(struct rmw_io *r)
{
	if (r->user->op == STORAGE_READ)
		submit_bounced(r, STORAGE_READ, r->range.start, r->range.end,
			       NEXT_END);
	else
		read_edges(r);
}

static bool is_bounced(const struct rmw_io *r)
{
	return r->user->op == STORAGE_READ || r->range.exclusive;
}

static struct bounce_class *class_of(struct rmw_io *r)
{
	return bounce_class(&r->channel->bounce, r->range.end - r->range.start);
}

void rmw_begin(struct rmw_io *r)
{
	if (is_bounced(r)) {
		r->buf = bounce_get(class_of(r), &r->link);
		if (r->buf)
			begin_bounced(r);
		return;
	}
	r->part.op = r->user->op;
	r->part.secure = r->user->secure;
	r->part.offset_bytes = r->range.start;
	r->part.size_bytes = r->range.end - r->range.start;
	r->part.iov = r->user->iov;
	r->part.nr_iov = r->user->nr_iov;
	submit(r, NEXT_END);
}

/* ---- the end ---------------------------------------------------------------
 */

static void put_buffer(struct rmw_io *r)
{
	struct list *next = bounce_put(class_of(r), r->buf);

	if (next) {
		struct rmw_io *other = container_of(next, struct rmw_io, link);

		other->buf = r->buf;
		begin_bounced(other);
	}
	r->buf = NULL;
}

/* With the lock held. */
static void range_is_free(void *arg, struct range *range)
{
	struct rmw_io *r = container_of(range, struct rmw_io, range);

	(void)arg;
	list_add_tail(&r->channel->ready, &r->link);
	rmw_wake(r->channel);
}

void rmw_end(struct rmw_io *r, int result)
{
	struct rmw_channel *c = r->channel;
	struct rmw_storage *rs = rmw_storage_of(c);
	struct storage_io *io = r->user;

	if (r->buf)
		put_buffer(r);
	if (r->holds_range) {
		pthread_mutex_lock(&rs->lock);
		ranges_drop(&rs->ranges, &r->range, range_is_free, NULL);
		pthread_mutex_unlock(&rs->lock);
	}
	list_add_head(&c->free, &r->link);
	io->result = result;
	io->done(io);
}

void rmw_part_done(struct storage_io *part)
{
	struct rmw_io *r = container_of(part, struct rmw_io, part);
	const struct storage_io *io = r->user;

	if (part->result || r->next == NEXT_END) {
		if (!part->result && io->op == STORAGE_READ)
			iov_scatter(r->buf +
					    (io->offset_bytes - r->range.start),
				    io->iov, io->nr_iov);
		rmw_end(r, part->result);
	} else if (r->next == NEXT_READ_TAIL) {
		read_tail(r);
	} else {
		write_bounced(r);
	}
}
