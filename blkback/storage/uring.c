/* SPDX-License-Identifier: MIT */
/*
 * uring.c - files and block devices, in the worker.
 *
 * What can be answered without waiting is answered inside submit(): everything
 * on tmpfs, and reads that the page cache holds (RWF_NOWAIT). The rest goes to
 * the kernel in batches through one io_uring per channel.
 *
 * The fence. A killed process's requests stay under way in the kernel, and
 * neither its end nor its parent's wait() waits for direct I/O. The kernel
 * frees a ring only when its last request is over, and with it the ring's
 * registered files. So each ring registers the writing end of a pipe that
 * nobody else has open; the monitor keeps the reading end: its hang-up is the
 * proof that nothing of the ring can touch disk or guest memory any more. (The
 * ring's own descriptor cannot be kept: the kernel refuses to send it over a
 * socket.) docs/recovery.md has the measurements. For this the worker must not
 * hand out the writing end or the ring.
 *
 * Neighbours: file.h. Thread: see storage.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkback/storage/done.h"
#include "blkback/storage/drivers.h"
#include "blkback/storage/file.h"

#define REAP_BATCH     64u
#define SUBMIT_TRIES   100
#define SQPOLL_IDLE_MS 2 /* then the kernel's thread sleeps */
#define FILE_IDX       0 /* in the ring's registered files */
#define NR_REGISTERED  2

struct uring_channel {
	struct storage_channel channel;
	struct done_list done;
	struct file_storage *file;
	bool memory, direct, sqpoll;
	bool has_ring;
	bool requeued; /* by poll(), which then flushes */
	int fence_fd;  /* the pipe's reading end */
	struct io_uring ring;
};

static struct uring_channel *channel_of(struct storage_channel *ch)
{
	return (struct uring_channel *)ch;
}

/* Is io_uring to be had here? 0, or why not. */
static int try_ring(void)
{
	struct io_uring ring;
	int err = io_uring_queue_init(1, &ring, 0);

	if (!err)
		io_uring_queue_exit(&ring);
	return err;
}

/* Where io_uring is forbidden the other engine serves the same files. */
static int uring_open(const struct storage_desc *desc, const int *fds,
		      struct storage **ret)
{
	const struct storage_ops *other;
	int err;

	if (desc->flags & FILE_MEMORY)
		return file_open(desc, fds, &storage_uring, NULL, ret);
	err = try_ring();
	if (!err)
		return file_open(desc, fds, &storage_uring, "io_uring", ret);
	other = storage_by_name("aio");
	if (!other || desc->flags & FILE_URING)
		return err;
	return other->open(desc, fds, ret);
}

static int init_ring(struct io_uring *ring, unsigned depth, bool sqpoll)
{
	/* Completions wait for our next look instead of interrupting us. */
	struct io_uring_params params = { .flags = IORING_SETUP_COOP_TASKRUN |
						   IORING_SETUP_TASKRUN_FLAG };
	int err;

	if (sqpoll) {
		params.flags = IORING_SETUP_SQPOLL;
		params.sq_thread_idle = SQPOLL_IDLE_MS;
	}
	err = io_uring_queue_init_params(depth, ring, &params);
	if (sqpoll)
		return err;

	if (err == -EINVAL) {
		memset(&params, 0, sizeof(params));
		err = io_uring_queue_init_params(depth, ring, &params);
	}
	return err;
}

static int open_ring(struct uring_channel *c, unsigned depth)
{
	int fds[NR_REGISTERED], ends[2];
	int err = init_ring(&c->ring, depth, c->sqpoll);

	if (err)
		return err;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		err = -errno;
		goto fail;
	}
	fds[FILE_IDX] = c->file->fd;
	fds[1] = ends[1];
	err = io_uring_register_files(&c->ring, fds, NR_REGISTERED);
	close(ends[1]);
	if (err) {
		close(ends[0]);
		goto fail;
	}
	c->fence_fd = ends[0];
	c->has_ring = true;
	return 0;

fail:
	io_uring_queue_exit(&c->ring);
	return err;
}

static int uring_channel_open(struct storage *st, unsigned depth,
			      struct storage_channel **ret)
{
	struct uring_channel *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	c->file = file_of(st);
	c->memory = st->desc.flags & FILE_MEMORY;
	c->direct = st->desc.flags & FILE_DIRECT;
	c->sqpoll = st->desc.flags & FILE_SQPOLL;
	c->fence_fd = -1;
	done_list_init(&c->done);
	if (!c->memory) {
		int err = open_ring(c, depth);

		if (err) {
			free(c);
			return err;
		}
	}
	*ret = &c->channel;
	return 0;
}

static void uring_channel_close(struct storage_channel *ch)
{
	struct uring_channel *c = channel_of(ch);

	if (!ch)
		return;
	if (c->has_ring) {
		io_uring_queue_exit(&c->ring);
		close(c->fence_fd);
	}
	free(c);
}

static int queue(struct uring_channel *c, struct storage_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);
	uint64_t at = io->offset_bytes + io->done_bytes;

	if (!sqe)
		return -EAGAIN;
	switch (io->op) {
	case STORAGE_READ:
		io_uring_prep_readv(sqe, FILE_IDX, io->iov, io->nr_iov, at);
		break;
	case STORAGE_WRITE:
		io_uring_prep_writev(sqe, FILE_IDX, io->iov, io->nr_iov, at);
		break;
	case STORAGE_FLUSH:
		io_uring_prep_fsync(sqe, FILE_IDX, IORING_FSYNC_DATASYNC);
		break;
	case STORAGE_DISCARD:
		io_uring_prep_fallocate(sqe, FILE_IDX, FILE_PUNCH,
					(off_t)io->offset_bytes,
					(off_t)io->size_bytes);
		break;
	}
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, io);
	return 0;
}

static int uring_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct uring_channel *c = channel_of(ch);
	int err = file_check(ch->st, io);

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
	return queue(c, io);
}

static bool uring_flush(struct storage_channel *ch)
{
	struct uring_channel *c = channel_of(ch);

	if (!c->has_ring)
		return true;
	/* The kernel may be short of memory for a moment. */
	for (int i = 0; io_uring_sq_ready(&c->ring) && i < SUBMIT_TRIES; i++)
		if (io_uring_submit(&c->ring) <= 0)
			sched_yield();
	/* The kernel's thread takes them in its own time. */
	return c->sqpoll || !io_uring_sq_ready(&c->ring);
}

static void completed(struct uring_channel *c, struct storage_io *io, int res)
{
	int result;

	if (!file_answered(io, res, &result)) {
		result = queue(c, io);
		c->requeued |= !result;
		if (!result)
			return;
	} else if (io->op == STORAGE_FLUSH) {
		result = file_flushed(c->file, result);
	}
	done_list_add(&c->done, io, result);
}

static unsigned uring_poll(struct storage_channel *ch)
{
	struct uring_channel *c = channel_of(ch);
	struct io_uring_cqe *cqes[REAP_BATCH];
	unsigned nr;

	if (!c->has_ring)
		return done_list_run(&c->done);
	nr = io_uring_peek_batch_cqe(&c->ring, cqes, REAP_BATCH);
	for (unsigned i = 0; i < nr; i++)
		completed(c, io_uring_cqe_get_data(cqes[i]), cqes[i]->res);
	io_uring_cq_advance(&c->ring, nr);
	/* Parts that were left over: nobody else flushes now. */
	if (c->requeued)
		c->requeued = !uring_flush(ch);
	return done_list_run(&c->done);
}

static int uring_wait_fd(struct storage_channel *ch)
{
	struct uring_channel *c = channel_of(ch);

	return c->has_ring ? c->ring.ring_fd : -1;
}

static int uring_fence_fd(struct storage_channel *ch)
{
	return channel_of(ch)->fence_fd;
}

const struct storage_ops storage_uring = {
	.name = "uring",
	.help = "/PATH\ta regular file or a block device, through io_uring",
	.claims = file_claims_uring,
	.acquire = file_acquire,
	.open = uring_open,
	.close = file_close,
	.size = file_size,
	.channel_open = uring_channel_open,
	.channel_close = uring_channel_close,
	.submit = uring_submit,
	.flush = uring_flush,
	.poll = uring_poll,
	.wait_fd = uring_wait_fd,
	.fence_fd = uring_fence_fd,
};
