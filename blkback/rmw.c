/* SPDX-License-Identifier: MIT */
/*
 * rmw.c - 512-byte sectors over 4096-byte ones: see rmw.h. What needs attention
 * gets a struct rmw_io, takes its range here and is carried out by rmw_io.c.
 *
 * Called by queue.c through storage.h on the data thread.
 */
#include "blkback/rmw_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/num.h"

static struct rmw_channel *channel_of(struct storage_channel *ch)
{
	return (struct rmw_channel *)ch;
}

static bool is_whole(const struct storage_io *io)
{
	return (io->offset_bytes | io->size_bytes) % RMW_MEDIUM_BYTES == 0;
}

/* What the medium wants of memory is more than a frontend promises. */
static bool memory_fits(const struct rmw_channel *c,
			const struct storage_io *io)
{
	uint32_t align = rmw_storage_of(c)->below->desc.align_bytes;

	if (align <= RMW_SECTOR_BYTES)
		return true;
	for (unsigned i = 0; i < io->nr_iov; i++)
		if (((uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len) %
		    align)
			return false;
	return true;
}

static int check(const struct rmw_channel *c, const struct storage_io *io)
{
	if (!num_range_within(io->offset_bytes, io->size_bytes,
			      storage_size_bytes(c->channel.st)) ||
	    (io->offset_bytes | io->size_bytes) % RMW_SECTOR_BYTES ||
	    !io->size_bytes)
		return -EINVAL;
	if (io->op == STORAGE_DISCARD)
		return io->secure && !is_whole(io) ? -EINVAL : 0;
	return io->size_bytes > RMW_LARGEST_IO ? -EINVAL : 0;
}

static void set_range(struct rmw_io *r, bool bounced)
{
	const struct storage_io *io = r->user;
	uint64_t last = io->offset_bytes + io->size_bytes;

	if (io->op == STORAGE_DISCARD) {
		r->range.start =
			rmw_round_down(io->offset_bytes + RMW_MEDIUM_BYTES - 1);
		r->range.end = rmw_round_down(last);
	} else {
		r->range.start = rmw_round_down(io->offset_bytes);
		r->range.end = rmw_round_down(last + RMW_MEDIUM_BYTES - 1);
	}
	r->range.exclusive = bounced && io->op == STORAGE_WRITE;
}

static int rmw_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct rmw_channel *c = channel_of(ch);
	struct rmw_storage *rs = rmw_storage_of(c);
	bool bounced, granted = true;
	struct rmw_io *r;
	int err;

	if (io->op == STORAGE_FLUSH)
		return rs->below->ops->submit(c->below, io);
	bounced = io->op != STORAGE_DISCARD &&
		  (!is_whole(io) || !memory_fits(c, io));
	err = check(c, io);
	if (err)
		return err;
	if (io->op == STORAGE_READ && !bounced)
		return rs->below->ops->submit(c->below, io);
	assert(!list_empty(&c->free)); /* depth is the most in flight */
	r = container_of(c->free.next, struct rmw_io, link);
	list_del(&r->link);
	r->user = io;
	set_range(r, bounced);
	r->holds_range = io->op != STORAGE_READ;
	if (r->range.start >= r->range.end) {
		/* A discard without a whole sector. */
		r->holds_range = false;
		rmw_end_later(r, 0);
		return 0;
	}
	if (r->holds_range) {
		pthread_mutex_lock(&rs->lock);
		granted = ranges_take(&rs->ranges, &r->range);
		pthread_mutex_unlock(&rs->lock);
	}
	if (granted)
		rmw_begin(r);
	return 0;
}

static bool rmw_flush(struct storage_channel *ch)
{
	struct rmw_channel *c = channel_of(ch);

	c->unflushed = !rmw_storage_of(c)->below->ops->flush(c->below);
	return !c->unflushed;
}

/* Ranges that became free, and what was over at once. */
static unsigned run_woken(struct rmw_channel *c)
{
	struct rmw_storage *rs = rmw_storage_of(c);
	struct list ready, done;
	unsigned nr = 0;
	uint64_t junk;
	ssize_t n;

	list_init(&ready);
	list_init(&done);
	pthread_mutex_lock(&rs->lock);
	list_splice(&ready, &c->ready);
	n = read(c->event_fd, &junk, sizeof(junk));
	(void)n;
	atomic_store_explicit(&c->woken, false, memory_order_relaxed);
	pthread_mutex_unlock(&rs->lock);
	list_splice(&done, &c->done);
	for (; !list_empty(&done); nr++) {
		struct rmw_io *r = container_of(done.next, struct rmw_io, link);

		list_del(&r->link);
		rmw_end(r, r->result);
	}
	for (; !list_empty(&ready); nr++) {
		struct rmw_io *r =
			container_of(ready.next, struct rmw_io, link);

		list_del(&r->link);
		rmw_begin(r);
	}
	return nr;
}

static unsigned rmw_poll(struct storage_channel *ch)
{
	struct rmw_channel *c = channel_of(ch);
	struct rmw_storage *rs = rmw_storage_of(c);
	unsigned nr = rs->below->ops->poll(c->below);

	/* Pairs with rmw_wake(). */
	if (atomic_load_explicit(&c->woken, memory_order_acquire))
		nr += run_woken(c);
	if (c->unflushed && !rmw_flush(ch)) {
		/* Somebody has to call us again. */
		pthread_mutex_lock(&rs->lock);
		rmw_wake(c);
		pthread_mutex_unlock(&rs->lock);
	}
	return nr;
}

static int rmw_wait_fd(struct storage_channel *ch)
{
	struct rmw_channel *c = channel_of(ch);

	return c->epoll_fd;
}

static int rmw_fence_fd(struct storage_channel *ch)
{
	struct rmw_channel *c = channel_of(ch);

	return rmw_storage_of(c)->below->ops->fence_fd(c->below);
}

static void rmw_channel_close(struct storage_channel *ch)
{
	struct rmw_channel *c = channel_of(ch);

	if (!c)
		return;
	if (c->below)
		rmw_storage_of(c)->below->ops->channel_close(c->below);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	if (c->event_fd >= 0)
		close(c->event_fd);
	bounce_fini(&c->bounce);
	free(c->ios);
	free(c);
}

/* Without a descriptor below, poll() is enough for us too. */
static int open_fds(struct rmw_channel *c)
{
	int fds[2], below = rmw_storage_of(c)->below->ops->wait_fd(c->below);

	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event_fd < 0)
		return -errno;
	if (below < 0)
		return 0;
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll_fd < 0)
		return -errno;
	fds[0] = below;
	fds[1] = c->event_fd;
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		struct epoll_event ev = { .events = EPOLLIN };

		if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fds[i], &ev))
			return -errno;
	}
	return 0;
}

static int rmw_channel_open(struct storage *st, unsigned depth,
			    struct storage_channel **ret)
{
	struct storage *below = ((struct rmw_storage *)st)->below;
	struct rmw_channel *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	c->event_fd = c->epoll_fd = -1;
	list_init(&c->free);
	list_init(&c->ready);
	list_init(&c->done);
	c->ios = calloc(depth, sizeof(*c->ios));
	if (!c->ios)
		goto fail;
	for (unsigned i = 0; i < depth; i++) {
		c->ios[i].channel = c;
		c->ios[i].part.done = rmw_part_done;
		list_add_tail(&c->free, &c->ios[i].link);
	}
	/* What begins within a sector touches one more. */
	err = bounce_init(&c->bounce, depth, RMW_LARGEST_IO + RMW_MEDIUM_BYTES);
	if (!err)
		err = below->ops->channel_open(below, depth, &c->below);
	if (!err)
		err = open_fds(c);
	if (err)
		goto fail;
	*ret = &c->channel;
	return 0;

fail:
	rmw_channel_close(&c->channel);
	return err;
}

static int rmw_size(struct storage *st, uint64_t *ret_bytes)
{
	struct storage *below = ((struct rmw_storage *)st)->below;
	int err = storage_look_again(below);

	if (err < 0)
		return err;
	*ret_bytes = rmw_round_down(storage_size_bytes(below));
	return 0;
}

static void rmw_close(struct storage *st)
{
	struct rmw_storage *rs = (struct rmw_storage *)st;

	if (!rs)
		return;
	pthread_mutex_destroy(&rs->lock);
	free(rs);
}

/* What waits here for others goes on as they end. */
static void rmw_give_up(struct storage_channel *ch)
{
	struct storage *below = ((struct rmw_storage *)ch->st)->below;

	if (below->ops->give_up)
		below->ops->give_up(((struct rmw_channel *)ch)->below);
}

static const struct storage_ops rmw_ops = {
	.name = "rmw",
	.close = rmw_close,
	.size = rmw_size,
	.channel_open = rmw_channel_open,
	.channel_close = rmw_channel_close,
	.submit = rmw_submit,
	.flush = rmw_flush,
	.poll = rmw_poll,
	.wait_fd = rmw_wait_fd,
	.fence_fd = rmw_fence_fd,
	.give_up = rmw_give_up,
};

int rmw_open(struct storage *below, struct storage **ret)
{
	struct storage_desc desc = below->desc;
	struct rmw_storage *rs;

	if (desc.sector_bytes != RMW_MEDIUM_BYTES)
		return -EINVAL;
	rs = calloc(1, sizeof(*rs));
	if (!rs)
		return -ENOMEM;
	desc.size_bytes = rmw_round_down(storage_size_bytes(below));
	desc.sector_bytes = RMW_SECTOR_BYTES;
	if (desc.physical_bytes < RMW_MEDIUM_BYTES)
		desc.physical_bytes = RMW_MEDIUM_BYTES;
	if (desc.align_bytes > RMW_SECTOR_BYTES)
		desc.align_bytes = RMW_SECTOR_BYTES;
	storage_init(&rs->storage, &rmw_ops, &desc);
	rs->below = below;
	pthread_mutex_init(&rs->lock, NULL);
	ranges_init(&rs->ranges);
	*ret = &rs->storage;
	return 0;
}
