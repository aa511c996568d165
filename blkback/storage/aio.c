/* SPDX-License-Identifier: MIT */
/*
 * aio.c - files and block devices where io_uring is forbidden: the same targets
 * as uring.c, which hands them over, or by name (aio:/PATH).
 *
 * Direct reads and writes go to the kernel in batches through libaio. What it
 * would do only while the caller waits (the page cache, flushes, discards) runs
 * on the threads of pool.c; reads that the page cache holds and tmpfs are
 * answered inside submit().
 *
 * No fence is needed: the kernel waits for all of a process's aio while it
 * takes its memory down (exit_aio), which is before it can be reaped, and the
 * calls of its threads are over then as well.
 *
 * Neighbours: file.h, pool.h. Thread: see storage.h.
 */
#include <errno.h>
#include <libaio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blkback/storage/done.h"
#include "blkback/storage/drivers.h"
#include "blkback/storage/file.h"
#include "blkback/storage/pool.h"
#include "util/list.h"

#define REAP_BATCH 64u

/* One io under way. */
struct aio_slot {
	struct iocb iocb;
	struct pool_job job;
	struct aio_channel *channel;
	struct storage_io *io;
	struct aio_slot *next; /* free, or done by the pool */
	int res;
};

struct aio_channel {
	struct storage_channel channel;
	struct done_list done;
	struct file_storage *file;
	bool memory, direct, has_pool;
	io_context_t ctx; /* only for direct I/O */
	int event_fd;	  /* written when one of ours is done; or -1 */
	struct aio_slot *slots, *free;
	struct iocb **batch; /* not yet taken by the kernel */
	unsigned nr_batch;
	/* What the pool is done with. Written by its threads, under lock. */
	pthread_mutex_t lock;
	struct aio_slot *pool_done;
};

static struct aio_channel *channel_of(struct storage_channel *ch)
{
	return (struct aio_channel *)ch;
}

static int aio_open(const struct storage_desc *desc, const int *fds,
		    struct storage **ret)
{
	return file_open(desc, fds, &storage_aio,
			 desc->flags & FILE_MEMORY ? NULL : "libaio", ret);
}

/* ---- channels -------------------------------------------------------------
 */

static void aio_channel_close(struct storage_channel *ch)
{
	struct aio_channel *c = channel_of(ch);

	if (!ch)
		return;
	if (c->ctx)
		io_destroy(c->ctx);
	if (c->has_pool)
		pool_put();
	if (c->event_fd >= 0)
		close(c->event_fd);
	pthread_mutex_destroy(&c->lock);
	free(c->batch);
	free(c->slots);
	free(c);
}

static int make_slots(struct aio_channel *c, unsigned depth)
{
	c->slots = calloc(depth, sizeof(*c->slots));
	c->batch = calloc(depth, sizeof(struct iocb *));
	if (!c->slots || !c->batch)
		return -ENOMEM;
	for (unsigned i = depth; i-- > 0;) {
		c->slots[i].channel = c;
		c->slots[i].next = c->free;
		c->free = &c->slots[i];
	}
	return 0;
}

static int make_asynchronous(struct aio_channel *c, unsigned depth)
{
	int err = make_slots(c, depth);

	if (err)
		return err;
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event_fd < 0)
		return -errno;
	err = pool_get();
	if (err)
		return err;
	c->has_pool = true;
	return c->direct ? io_setup((int)depth, &c->ctx) : 0;
}

static int aio_channel_open(struct storage *st, unsigned depth,
			    struct storage_channel **ret)
{
	struct aio_channel *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	c->file = file_of(st);
	c->memory = st->desc.flags & FILE_MEMORY;
	c->direct = st->desc.flags & FILE_DIRECT;
	c->event_fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	done_list_init(&c->done);
	if (!c->memory)
		err = make_asynchronous(c, depth);
	if (err) {
		aio_channel_close(&c->channel);
		return err;
	}
	*ret = &c->channel;
	return 0;
}

/* ---- what waits: on a thread of the pool's ----------------------------------
 */

static void run_in_pool(struct pool_job *job)
{
	struct aio_slot *slot = container_of(job, struct aio_slot, job);
	struct aio_channel *c = slot->channel;

	slot->res = file_do_now(c->file, slot->io);
	/* The channel may be closed once its last io is seen on the list. */
	pthread_mutex_lock(&c->lock);
	slot->next = c->pool_done;
	c->pool_done = slot;
	eventfd_write(c->event_fd, 1);
	pthread_mutex_unlock(&c->lock);
}

/* ---- submitting -------------------------------------------------------------
 */

static void queue(struct aio_channel *c, struct aio_slot *slot)
{
	struct storage_io *io = slot->io;
	long long at = (long long)(io->offset_bytes + io->done_bytes);

	if (io->op == STORAGE_READ)
		io_prep_preadv(&slot->iocb, c->file->fd, io->iov,
			       (int)io->nr_iov, at);
	else
		io_prep_pwritev(&slot->iocb, c->file->fd, io->iov,
				(int)io->nr_iov, at);
	io_set_eventfd(&slot->iocb, c->event_fd);
	slot->iocb.data = slot;
	c->batch[c->nr_batch++] = &slot->iocb;
}

static int aio_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct aio_channel *c = channel_of(ch);
	int err = file_check(ch->st, io);
	struct aio_slot *slot;

	if (err)
		return err;
	if (c->memory) {
		done_list_add(&c->done, io, file_do_now(c->file, io));
		return 0;
	}
	if (io->op == STORAGE_READ && !c->direct &&
	    file_read_cached(c->file, io)) {
		done_list_add(&c->done, io, 0);
		return 0;
	}
	slot = c->free;
	if (!slot)
		return -EAGAIN;
	c->free = slot->next;
	slot->io = io;
	if (c->direct && (io->op == STORAGE_READ || io->op == STORAGE_WRITE)) {
		queue(c, slot);
	} else {
		slot->job.run = run_in_pool;
		pool_run(&slot->job);
	}
	return 0;
}

static void finish(struct aio_channel *c, struct aio_slot *slot, int result)
{
	done_list_add(&c->done, slot->io, result);
	slot->next = c->free;
	c->free = slot;
}

static bool aio_flush(struct storage_channel *ch)
{
	struct aio_channel *c = channel_of(ch);
	unsigned first = 0;

	if (!c->nr_batch)
		return true;
	while (first < c->nr_batch) {
		int nr = io_submit(c->ctx, c->nr_batch - first,
				   c->batch + first);

		if (nr == -EAGAIN || nr == -EINTR)
			break;
		if (nr > 0) {
			first += (unsigned)nr;
			continue;
		}
		/* Nothing was taken: it is the first that is at fault. */
		finish(c, c->batch[first++]->data, nr ? nr : -EIO);
	}
	c->nr_batch -= first;
	memmove(c->batch, c->batch + first, c->nr_batch * sizeof(*c->batch));
	return !c->nr_batch;
}

/* ---- reaping ----------------------------------------------------------------
 */

static unsigned reap_kernel(struct aio_channel *c)
{
	struct io_event events[REAP_BATCH];
	struct timespec now = { 0 };
	int nr = c->ctx ? io_getevents(c->ctx, 0, REAP_BATCH, events, &now) : 0;

	for (int i = 0; i < nr; i++) {
		struct aio_slot *slot = events[i].data;
		int result;

		if (file_answered(slot->io, (int)events[i].res, &result))
			finish(c, slot, result);
		else
			queue(c, slot);
	}
	return nr > 0 ? (unsigned)nr : 0;
}

static unsigned reap_pool(struct aio_channel *c)
{
	struct aio_slot *slot, *next;
	unsigned nr = 0;

	pthread_mutex_lock(&c->lock);
	slot = c->pool_done;
	c->pool_done = NULL;
	pthread_mutex_unlock(&c->lock);
	for (; slot; slot = next, nr++) {
		next = slot->next;
		finish(c, slot, slot->res);
	}
	return nr;
}

static unsigned reap(struct aio_channel *c)
{
	return reap_kernel(c) + reap_pool(c);
}

static unsigned aio_poll(struct storage_channel *ch)
{
	struct aio_channel *c = channel_of(ch);
	eventfd_t count;

	if (!c->memory) {
		/* Quiet it only when idle, and look again: nothing is missed.
		 */
		if (!reap(c) && eventfd_read(c->event_fd, &count) == 0)
			reap(c);
		/* What came back in part; nobody else flushes now. */
		if (c->nr_batch)
			aio_flush(ch);
	}
	return done_list_run(&c->done);
}

static int aio_wait_fd(struct storage_channel *ch)
{
	return channel_of(ch)->event_fd;
}

static int aio_no_fence(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

const struct storage_ops storage_aio = {
	.name = "aio",
	.help = "aio:/PATH\tthe same, through libaio",
	.claims = file_claims_aio,
	.acquire = file_acquire,
	.open = aio_open,
	.close = file_close,
	.size = file_size,
	.channel_open = aio_channel_open,
	.channel_close = aio_channel_close,
	.submit = aio_submit,
	.flush = aio_flush,
	.poll = aio_poll,
	.wait_fd = aio_wait_fd,
	.fence_fd = aio_no_fence,
};
