/* SPDX-License-Identifier: MIT */
/*
 * file.h - regular files and block devices: what the engines that drive them
 * (uring.c, aio.c) have in common. file_acquire.c is the monitor's half, file.c
 * the worker's.
 *
 * A target is /PATH, or WORD[+WORD]:/PATH. The words: `uring` or `aio`, this
 * engine and no other; `sqpoll`, io_uring with a thread of the kernel's that
 * looks for work; `cached`, through the page cache. Without the name of an
 * engine the worker takes io_uring, or aio where io_uring is forbidden.
 */
#ifndef BLKBACK_STORAGE_FILE_H
#define BLKBACK_STORAGE_FILE_H

#include <fcntl.h>

#include "blkback/storage.h"
#include "blkback/storage/window.h"

/* In desc.flags. Found: */
#define FILE_DIRECT 0x100u /* opened with O_DIRECT */
#define FILE_MEMORY 0x200u /* tmpfs: no call ever waits for a device */
/* Asked: */
#define FILE_URING  0x400u /* io_uring or nothing */
#define FILE_SQPOLL 0x800u

#define FILE_PUNCH	 (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define FILE_RETRIES_MAX 16u /* of one io that the kernel did not take */

/* A target whose words name this engine, or none and it is the usual one. */
bool file_claims_uring(const char *target);
bool file_claims_aio(const char *target);
int file_acquire(const char *target, uint32_t flags, struct storage_desc *desc,
		 int fds[STORAGE_FDS_MAX], char *why, size_t why_size);

struct file_storage {
	struct storage storage;
	int fd;
	struct window *window; /* of a file in memory; NULL: none to be had */
	/* Why a flush failed, for good: file_flushed(). Any data thread's. */
	_Atomic int flush_error;
};

static inline struct file_storage *file_of(struct storage *st)
{
	return (struct file_storage *)st;
}

/* The seam's open, close and size, the same for every engine. */
int file_open(const struct storage_desc *desc, const int *fds,
	      const struct storage_ops *ops, const char *engine,
	      struct storage **ret) PV_MUST_CHECK;
void file_close(struct storage *st);
int file_size(struct storage *st, uint64_t *ret_bytes);

/* May io be submitted? 0; -EINVAL out of range; -EOPNOTSUPP. Readies it. */
int file_check(struct storage *st, struct storage_io *io) PV_MUST_CHECK;

/*
 * The kernel's answer to one attempt at io. True: io is over, with *result.
 * False: go on with what is left of it.
 */
bool file_answered(struct storage_io *io, int res, int *result);

/* All of io, here and now; returns its result. */
int file_do_now(struct file_storage *f, struct storage_io *io);
/* Read what the page cache holds. True: that was all of it. */
bool file_read_cached(struct file_storage *f, struct storage_io *io);

/*
 * The result of a flush whose fdatasync said err. The kernel tells a failed
 * write-back of the page cache once and takes the pages for clean then: what
 * was lost stays lost, so from then on every flush of this storage fails.
 */
int file_flushed(struct file_storage *f, int err);

#endif /* BLKBACK_STORAGE_FILE_H */
