/* SPDX-License-Identifier: MIT */
/*
 * uring_acquire.c - opens a file or a block device in the monitor, decides how
 * it will be reached, and refuses what cannot be a disk with one sentence.
 *
 * O_DIRECT only when the file takes memory and offsets at 512 bytes, since a
 * guest's buffers promise no more; else the page cache.
 *
 * The file is locked (flock): nobody else may hold it as a disk, writers alone.
 * The lock belongs to the open file, which requests in the kernel hold as well;
 * so it also keeps a new driver domain from starting while requests of a dead
 * one are still on their way to the disk.
 */
#include "blkback/storage/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"

#define LOCK_WAIT_NS (1 * NS_PER_S)

bool uring_claims(const char *target)
{
	return target[0] == '/';
}

static int explain_open(int err, const char *target, bool readonly, char *why,
			size_t why_size)
{
	const char *text;

	switch (err) {
	case ENOENT: text = "no such file: create it first"; break;
	case EACCES:
		text = readonly ? "permission denied: let the driver domain's "
				  "user read it"
				: "permission denied: let the driver domain's "
				  "user write it, or attach it read-only";
		break;
	case EPERM:
	case EROFS: text = "is read-only: attach it read-only (mode r)"; break;
	case ENOTDIR: text = "a part of the path is no directory"; break;
	case EBUSY: text = "is in use by the system"; break;
	default: text = strerrordesc_np(err); break;
	}
	snprintf(why, why_size, "%s: %s", target, text);
	return -err;
}

static int check_type(const struct stat *st, const char *target, char *why,
		      size_t why_size)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	snprintf(why, why_size,
		 "%s: is %s: a disk is a regular file or a block device",
		 target,
		 S_ISDIR(st->st_mode) ? "a directory"
				      : "neither a file nor a block device");
	return S_ISDIR(st->st_mode) ? -EISDIR : -ENOTBLK;
}

static int open_target(const char *target, bool readonly, struct stat *st,
		       char *why, size_t why_size)
{
	int fd, err;

	/* Opening a pipe or a tape has effects: look before. */
	if (stat(target, st))
		return explain_open(errno, target, readonly, why, why_size);
	err = check_type(st, target, why, why_size);
	if (err)
		return err;
	fd = open(target,
		  (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return explain_open(errno, target, readonly, why, why_size);
	err = fstat(fd, st) ? -errno : check_type(st, target, why, why_size);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int lock_target(int fd, const char *target, bool readonly, char *why,
		       size_t why_size)
{
	const struct timespec pause = { .tv_nsec = 10 * NS_PER_MS };
	uint64_t deadline_ns = clock_now_ns() + LOCK_WAIT_NS;

	while (flock(fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return 0; /* a filesystem without locks */
		if (clock_now_ns() >= deadline_ns) {
			snprintf(why, why_size,
				 "%s: is another disk already: detach that one "
				 "first",
				 target);
			return -EBUSY;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int find_size(int fd, const struct stat *st, uint64_t *ret_bytes,
		     uint32_t *ret_physical)
{
	unsigned physical = 512;
	uint64_t size_bytes;

	if (S_ISREG(st->st_mode)) {
		*ret_bytes = (uint64_t)st->st_size;
		*ret_physical = st->st_blksize >= 4096 ? 4096 : 512;
		return 0;
	}
	if (ioctl(fd, BLKGETSIZE64, &size_bytes))
		return -errno;
	if (ioctl(fd, BLKPBSZGET, &physical) || physical < 512 ||
	    (physical & (physical - 1)))
		physical = 512;
	*ret_bytes = size_bytes;
	*ret_physical = physical;
	return 0;
}

static int check_size(uint64_t size_bytes, const char *target, char *why,
		      size_t why_size)
{
	if (size_bytes && size_bytes % 512 == 0)
		return 0;
	if (!size_bytes)
		snprintf(why, why_size,
			 "%s: is empty: give it a size (truncate -s 1G)",
			 target);
	else
		snprintf(why, why_size,
			 "%s: its size (%llu bytes) is not a multiple of 512: "
			 "truncate it to one",
			 target, (unsigned long long)size_bytes);
	return -EINVAL;
}

/* The kernel's word on alignment; the libc here does not know the fields. */
static bool takes_direct_512(int fd)
{
	struct statx stx;

	memset(&stx, 0, sizeof(stx));
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx))
		return false;
	return (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align &&
	       stx.stx_dio_mem_align <= 512 && stx.stx_dio_offset_align &&
	       stx.stx_dio_offset_align <= 512;
}

static void choose_way(int fd, mode_t mode, uint32_t flags,
		       struct storage_desc *desc)
{
	struct statfs fs;
	const char *how;

	desc->align_bytes = 1;
	if (S_ISREG(mode) && fstatfs(fd, &fs) == 0 &&
	    fs.f_type == TMPFS_MAGIC) {
		desc->flags |= URING_MEMORY;
		how = "memory (tmpfs)";
	} else if (flags & STORAGE_NO_DIRECT) {
		how = "page cache, as asked";
	} else if (!takes_direct_512(fd)) {
		how = "page cache: no direct I/O at 512 bytes";
	} else if (fcntl(fd, F_SETFL, O_DIRECT)) {
		how = "page cache: direct I/O was refused";
	} else {
		desc->flags |= URING_DIRECT;
		desc->align_bytes = 512;
		how = "direct I/O";
	}
	snprintf(desc->how, sizeof(desc->how), "%s", how);
}

/* A number of the device's queue in sysfs, or 0. */
static uint64_t queue_value(dev_t dev, const char *name)
{
	/* A partition has its disk's queue, one step up. */
	static const char *const steps[] = { "", "../" };
	uint64_t value = 0;

	for (size_t i = 0; !value && i < ARRAY_SIZE(steps); i++) {
		char path[96], text[24] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s",
			 major(dev), minor(dev), steps[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(text, sizeof(text), f))
			value = strtoull(text, NULL, 10);
		fclose(f);
	}
	return value;
}

/* Punching a hole past the end changes nothing but says whether it could. */
static void find_discard(int fd, const struct stat *st,
			 struct storage_desc *desc)
{
	uint64_t granularity = 0;

	if (desc->flags & STORAGE_READONLY)
		return;
	if (S_ISREG(st->st_mode)) {
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      st->st_size, 4096) == 0)
			granularity = (uint64_t)st->st_blksize;
	} else if (queue_value(st->st_rdev, "write_zeroes_max_bytes")) {
		granularity = queue_value(st->st_rdev, "discard_granularity");
	}
	if (granularity < desc->sector_bytes ||
	    granularity % desc->sector_bytes || granularity > UINT32_MAX)
		return;
	desc->flags |= STORAGE_CAN_DISCARD;
	desc->discard_granularity_bytes = (uint32_t)granularity;
}

int uring_acquire(const char *target, uint32_t flags, struct storage_desc *desc,
		  int fds[STORAGE_FDS_MAX], char *why, size_t why_size)
{
	bool readonly = flags & STORAGE_READONLY;
	struct storage_desc d = {
		.driver = "uring",
		.sector_bytes = 512,
		.flags = flags & STORAGE_READONLY,
		.nr_fds = 1,
	};
	struct stat st;
	int err, fd = open_target(target, readonly, &st, why, why_size);

	if (fd < 0)
		return fd;
	err = find_size(fd, &st, &d.size_bytes, &d.physical_bytes);
	if (err) {
		snprintf(why, why_size, "%s: cannot find its size: %s", target,
			 strerrordesc_np(-err));
		goto fail;
	}
	err = check_size(d.size_bytes, target, why, why_size);
	if (err)
		goto fail;
	err = lock_target(fd, target, readonly, why, why_size);
	if (err)
		goto fail;
	find_discard(fd, &st, &d);
	choose_way(fd, st.st_mode, flags, &d);
	snprintf(d.target, sizeof(d.target), "%s", target);
	fds[0] = fd;
	*desc = d;
	return 0;

fail:
	close(fd);
	return err;
}
