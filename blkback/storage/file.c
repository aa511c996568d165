/* SPDX-License-Identifier: MIT */
/*
 * file.c - what every engine does alike with a file or a block device in the
 * worker: see file.h. Thread: open, close and size the control thread, the rest
 * the channel's.
 */
#include "blkback/storage/file.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open(const struct storage_desc *desc, const int *fds,
	      const struct storage_ops *ops, const char *engine,
	      struct storage **ret)
{
	struct file_storage *f;
	size_t len;

	if (desc->nr_fds != 1)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	storage_init(&f->storage, ops, desc);
	len = strnlen(desc->how, sizeof(desc->how));
	if (engine && len < sizeof(desc->how))
		snprintf(f->storage.desc.how + len, sizeof(desc->how) - len,
			 ", %s", engine);
	f->fd = fds[0];
	/* Without one everything goes by system calls. */
	if (desc->flags & FILE_MEMORY &&
	    window_open(f->fd, desc->size_bytes, desc->flags & STORAGE_READONLY,
			&f->window))
		f->window = NULL;
	*ret = &f->storage;
	return 0;
}

void file_close(struct storage *st)
{
	if (!st)
		return;
	window_close(file_of(st)->window);
	close(file_of(st)->fd);
	free(st);
}

int file_size(struct storage *st, uint64_t *ret_bytes)
{
	int fd = file_of(st)->fd;
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

int file_check(struct storage *st, struct storage_io *io)
{
	if (!storage_fits(st, io) ||
	    (io->op != STORAGE_FLUSH && !io->size_bytes))
		return -EINVAL;
	if (io->op == STORAGE_DISCARD && io->secure)
		return -EOPNOTSUPP;
	io->done_bytes = 0;
	io->state = 0;
	return 0;
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

bool file_answered(struct storage_io *io, int res, int *result)
{
	if (res == -EAGAIN || res == -EINTR) {
		*result = -EIO;
		return ++io->state > FILE_RETRIES_MAX;
	}
	if (io->op == STORAGE_FLUSH || io->op == STORAGE_DISCARD) {
		*result = res;
		return true;
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

/* One piece, the usual case, costs the kernel less than a vector of one. */
static ssize_t transfer_one(int fd, const struct storage_io *io, off_t at)
{
	return io->op == STORAGE_READ
		       ? pread(fd, io->iov->iov_base, io->iov->iov_len, at)
		       : pwrite(fd, io->iov->iov_base, io->iov->iov_len, at);
}

static ssize_t transfer_many(int fd, const struct storage_io *io, off_t at,
			     int flags)
{
	return io->op == STORAGE_READ
		       ? preadv2(fd, io->iov, (int)io->nr_iov, at, flags)
		       : pwritev2(fd, io->iov, (int)io->nr_iov, at, flags);
}

static int transfer(int fd, const struct storage_io *io, int flags)
{
	off_t at = (off_t)(io->offset_bytes + io->done_bytes);
	ssize_t n = io->nr_iov == 1 && !flags
			    ? transfer_one(fd, io, at)
			    : transfer_many(fd, io, at, flags);

	/* At most 2 GiB less a page: an int. */
	return n < 0 ? -errno : (int)n;
}

static int attempt(struct file_storage *f, const struct storage_io *io)
{
	switch (io->op) {
	case STORAGE_READ:
	case STORAGE_WRITE: return transfer(f->fd, io, 0);
	case STORAGE_FLUSH: return fdatasync(f->fd) ? -errno : 0;
	case STORAGE_DISCARD:
		return fallocate(f->fd, FILE_PUNCH, (off_t)io->offset_bytes,
				 (off_t)io->size_bytes)
			       ? -errno
			       : 0;
	}
	return -EOPNOTSUPP;
}

/* By system calls. */
static int do_now(struct file_storage *f, struct storage_io *io)
{
	int result;

	while (!file_answered(io, attempt(f, io), &result))
		continue;
	return io->op == STORAGE_FLUSH ? file_flushed(f, result) : result;
}

int file_do_now(struct file_storage *f, struct storage_io *io)
{
	bool data = io->op == STORAGE_READ || io->op == STORAGE_WRITE;
	int err;

	if (!f->window)
		return do_now(f, io);
	if (data && window_copy(f->window, io))
		return 0;
	if (io->op == STORAGE_DISCARD)
		window_punch(f->window, io->offset_bytes, io->size_bytes);
	err = do_now(f, io);
	if (!err && io->op == STORAGE_WRITE)
		window_wrote(f->window, io->offset_bytes, io->size_bytes);
	return err;
}

bool file_read_cached(struct file_storage *f, struct storage_io *io)
{
	int n = transfer(f->fd, io, RWF_NOWAIT);

	if (n <= 0 || (uint64_t)n > io->size_bytes)
		return false;
	advance(io, (size_t)n);
	return io->done_bytes == io->size_bytes;
}

int file_flushed(struct file_storage *f, int err)
{
	/* Direct writes tell their own errors; nothing else hangs on order. */
	if (f->storage.desc.flags & FILE_DIRECT)
		return err;
	if (err)
		atomic_store_explicit(&f->flush_error, err,
				      memory_order_relaxed);
	return atomic_load_explicit(&f->flush_error, memory_order_relaxed);
}
