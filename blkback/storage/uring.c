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
 * Neighbours: uring_acquire.c opened the file. Thread: see storage.h.
 */
#include "blkback/storage/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkback/storage/done.h"
#include "blkback/storage/drivers.h"
#include "util/num.h"

#define REAP_BATCH    64u
#define SUBMIT_TRIES  100
#define RETRIES_MAX   16u /* of one io that the kernel did not take */
#define PUNCH	      (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define FILE_IDX      0 /* in the ring's registered files */
#define NR_REGISTERED 2

struct uring_storage {
	struct storage storage;
	int fd;
};

struct uring_channel {
	struct storage_channel channel;
	struct done_list done;
	int fd;
	bool memory, direct;
	bool has_ring;
	int fence_fd; /* the pipe's reading end */
	struct io_uring ring;
};

static struct uring_channel *channel_of(struct storage_channel *ch)
{
	return (struct uring_channel *)ch;
}

static int uring_open(const struct storage_desc *desc, const int *fds,
		      struct storage **ret)
{
	struct uring_storage *u;

	if (desc->nr_fds != 1)
		return -EINVAL;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	storage_init(&u->storage, &storage_uring, desc);
	u->fd = fds[0];
	*ret = &u->storage;
	return 0;
}

static void uring_close(struct storage *st)
{
	struct uring_storage *u = (struct uring_storage *)st;

	if (!u)
		return;
	close(u->fd);
	free(u);
}

static int uring_size(struct storage *st, uint64_t *ret_bytes)
{
	int fd = ((struct uring_storage *)st)->fd;
	uint64_t size_bytes;
	struct stat sb;

	if (fstat(fd, &sb))
		return -errno;
	if (S_ISREG(sb.st_mode))
		size_bytes = (uint64_t)sb.st_size;
	else if (ioctl(fd, BLKGETSIZE64, &size_bytes))
		return -errno;
	*ret_bytes = size_bytes - size_bytes % st->desc.sector_bytes;
	return 0;
}

static int init_ring(struct io_uring *ring, unsigned depth)
{
	/* Completions wait for our next look instead of interrupting us. */
	struct io_uring_params params = { .flags = IORING_SETUP_COOP_TASKRUN |
						   IORING_SETUP_TASKRUN_FLAG };
	int err = io_uring_queue_init_params(depth, ring, &params);

	if (err == -EINVAL) {
		memset(&params, 0, sizeof(params));
		err = io_uring_queue_init_params(depth, ring, &params);
	}
	return err;
}

static int open_ring(struct uring_channel *c, unsigned depth)
{
	int fds[NR_REGISTERED], ends[2];
	int err = init_ring(&c->ring, depth);

	if (err)
		return err;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		err = -errno;
		goto fail;
	}
	fds[FILE_IDX] = c->fd;
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
	c->fd = ((struct uring_storage *)st)->fd;
	c->memory = st->desc.flags & URING_MEMORY;
	c->direct = st->desc.flags & URING_DIRECT;
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

/* Take n bytes off the front of io's vector. */
static void advance(struct storage_io *io, size_t n)
{
	io->done_bytes += n;
	while (n) {
		size_t step = n < io->iov->iov_len ? n : io->iov->iov_len;

		io->iov->iov_base = (char *)io->iov->iov_base + step;
		io->iov->iov_len -= step;
		n -= step;
		if (!io->iov->iov_len) {
			io->iov++;
			io->nr_iov--;
		}
	}
}

/*
 * A transfer returned res. True: io is over, with *result. False: go on with
 * what is left of it.
 */
static bool transferred(struct storage_io *io, int res, int *result)
{
	if (res == -EAGAIN || res == -EINTR) {
		*result = -EIO;
		return ++io->state > RETRIES_MAX;
	}
	if (res <= 0) {
		/* 0: the file has become shorter than the disk. */
		*result = res ? res : -EIO;
		return true;
	}
	if ((uint64_t)res > io->size_bytes - io->done_bytes) {
		*result = -EIO;
		return true;
	}
	advance(io, (size_t)res);
	*result = 0;
	return io->done_bytes == io->size_bytes;
}

static ssize_t transfer_now(struct uring_channel *c, struct storage_io *io,
			    int flags)
{
	off_t at = (off_t)(io->offset_bytes + io->done_bytes);
	ssize_t n =
		io->op == STORAGE_READ
			? preadv2(c->fd, io->iov, (int)io->nr_iov, at, flags)
			: pwritev2(c->fd, io->iov, (int)io->nr_iov, at, flags);

	return n < 0 ? -errno : n;
}

static void do_now(struct uring_channel *c, struct storage_io *io)
{
	int result = 0;

	if (io->op == STORAGE_FLUSH)
		result = fdatasync(c->fd) ? -errno : 0;
	else if (io->op == STORAGE_DISCARD)
		result = fallocate(c->fd, PUNCH, (off_t)io->offset_bytes,
				   (off_t)io->size_bytes)
				 ? -errno
				 : 0;
	else
		while (!transferred(io, (int)transfer_now(c, io, 0), &result))
			continue;
	done_list_add(&c->done, io, result);
}

/* Read what the page cache holds. True: that was all of it. */
static bool read_cached(struct uring_channel *c, struct storage_io *io)
{
	ssize_t n = transfer_now(c, io, RWF_NOWAIT);

	if (n <= 0 || (uint64_t)n > io->size_bytes)
		return false;
	advance(io, (size_t)n);
	return io->done_bytes == io->size_bytes;
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
		io_uring_prep_fallocate(sqe, FILE_IDX, PUNCH,
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

	if (io->op != STORAGE_FLUSH &&
	    (!io->size_bytes ||
	     !num_range_within(io->offset_bytes, io->size_bytes,
			       storage_size_bytes(ch->st))))
		return -EINVAL;
	if (io->op == STORAGE_DISCARD && io->secure)
		return -EOPNOTSUPP;
	io->done_bytes = 0;
	io->state = 0;
	if (c->memory) {
		do_now(c, io);
		return 0;
	}
	if (io->op == STORAGE_READ && !c->direct && read_cached(c, io)) {
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
	return !io_uring_sq_ready(&c->ring);
}

/* The same for what moves no bytes. */
static bool carried_out(struct storage_io *io, int res, int *result)
{
	*result = res;
	return (res != -EINTR && res != -EAGAIN) || ++io->state > RETRIES_MAX;
}

static void completed(struct uring_channel *c, struct storage_io *io, int res)
{
	bool bytes = io->op == STORAGE_READ || io->op == STORAGE_WRITE;
	int result;

	if (!(bytes ? transferred : carried_out)(io, res, &result)) {
		result = queue(c, io);
		if (!result)
			return;
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
	.claims = uring_claims,
	.acquire = uring_acquire,
	.open = uring_open,
	.close = uring_close,
	.size = uring_size,
	.channel_open = uring_channel_open,
	.channel_close = uring_channel_close,
	.submit = uring_submit,
	.flush = uring_flush,
	.poll = uring_poll,
	.wait_fd = uring_wait_fd,
	.fence_fd = uring_fence_fd,
};
