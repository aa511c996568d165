/* SPDX-License-Identifier: MIT */
/*
 * file_acquire.c - opens a file or a block device in the monitor, decides how
 * it will be reached, and refuses what cannot be a disk with one sentence.
 *
 * O_DIRECT only when the file takes memory at 512 bytes, since a guest's
 * buffers promise no more, and offsets at the disk's sectors; else the page
 * cache.
 *
 * The file is locked (flock): nobody else may hold it as a disk, writers alone.
 * The lock belongs to the open file, which requests in the kernel hold as well;
 * so it also keeps a new driver domain from starting while requests of a dead
 * one are still on their way to the disk.
 */
#include "blkback/storage/file.h"

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

#define WANTS_AIO 0x1000u /* not kept: the driver's name says it */

/* ---- the words before the path ------------------------------------------- */

static const struct {
	const char *word;
	uint32_t flag;
} words[] = {
	{ "uring", FILE_URING },
	{ "aio", WANTS_AIO },
	{ "sqpoll", FILE_URING | FILE_SQPOLL },
	{ "cached", STORAGE_NO_DIRECT },
};

static uint32_t find_word(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i].word) == len &&
		    strncmp(text, words[i].word, len) == 0)
			return words[i].flag;
	return 0;
}

/*
 * The path of a target, with what its words ask for; NULL: this is no file. All
 * of the words are known ones and what follows is absolute.
 */
static const char *read_target(const char *target, uint32_t *flags)
{
	*flags = 0;
	while (*target != '/') {
		size_t len = strcspn(target, "+:/");
		uint32_t flag = find_word(target, len);

		if (!flag || (target[len] != '+' && target[len] != ':'))
			return NULL;
		*flags |= flag;
		target += len + 1;
		if (target[-1] == ':' && *target != '/')
			return NULL;
	}
	return target;
}

bool file_claims_uring(const char *target)
{
	uint32_t flags;

	return read_target(target, &flags) && !(flags & WANTS_AIO);
}

bool file_claims_aio(const char *target)
{
	uint32_t flags;

	return read_target(target, &flags) && flags & WANTS_AIO;
}

/* ---- the file -------------------------------------------------------------
 */

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
	/* When a guest read is nobody's question; refused to all but owners. */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NOATIME);
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

static uint32_t sector_size(int fd, unsigned long request, uint32_t least)
{
	unsigned size = 0;

	if (ioctl(fd, request, &size) || size < least || size & (size - 1))
		return least;
	return size;
}

/* A file has sectors of 512 bytes, whatever its file system lies on. */
static int find_size(int fd, const struct stat *st, struct storage_desc *d)
{
	if (S_ISREG(st->st_mode)) {
		d->size_bytes = (uint64_t)st->st_size;
		d->sector_bytes = 512;
		d->physical_bytes = st->st_blksize >= 4096 ? 4096 : 512;
		return 0;
	}
	if (ioctl(fd, BLKGETSIZE64, &d->size_bytes))
		return -errno;
	d->sector_bytes = sector_size(fd, BLKSSZGET, 512);
	d->physical_bytes = sector_size(fd, BLKPBSZGET, d->sector_bytes);
	return d->sector_bytes > 4096 ? -EOPNOTSUPP : 0;
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

/*
 * Memory at 512 bytes, offsets at sectors? The kernel's word; the libc here
 * does not know the fields.
 */
static bool takes_direct(int fd, uint32_t sector_bytes)
{
	struct statx stx;

	memset(&stx, 0, sizeof(stx));
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx))
		return false;
	return (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align &&
	       stx.stx_dio_mem_align <= 512 && stx.stx_dio_offset_align &&
	       stx.stx_dio_offset_align <= sector_bytes;
}

static void choose_way(int fd, mode_t mode, struct storage_desc *desc)
{
	struct statfs fs;
	const char *how;

	desc->align_bytes = 1;
	if (S_ISREG(mode) && fstatfs(fd, &fs) == 0 &&
	    fs.f_type == TMPFS_MAGIC) {
		desc->flags |= FILE_MEMORY;
		how = "memory (tmpfs)";
	} else if (desc->flags & STORAGE_NO_DIRECT) {
		how = "page cache, as asked";
	} else if (!takes_direct(fd, desc->sector_bytes)) {
		how = "page cache: no direct I/O at 512 bytes";
	} else if (fcntl(fd, F_SETFL, O_DIRECT)) {
		how = "page cache: direct I/O was refused";
	} else {
		desc->flags |= FILE_DIRECT;
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

static int acquire_path(const char *target, struct storage_desc *d, char *why,
			size_t why_size)
{
	bool readonly = d->flags & STORAGE_READONLY;
	struct stat st;
	int err, fd = open_target(target, readonly, &st, why, why_size);

	if (fd < 0)
		return fd;
	err = find_size(fd, &st, d);
	if (err) {
		snprintf(why, why_size, "%s: cannot find its size: %s", target,
			 strerrordesc_np(-err));
		goto fail;
	}
	err = check_size(d->size_bytes, target, why, why_size);
	if (err)
		goto fail;
	err = lock_target(fd, target, readonly, why, why_size);
	if (err)
		goto fail;
	find_discard(fd, &st, d);
	choose_way(fd, st.st_mode, d);
	return fd;

fail:
	close(fd);
	return err;
}

int file_acquire(const char *target, uint32_t flags, struct storage_desc *desc,
		 int fds[STORAGE_FDS_MAX], char *why, size_t why_size)
{
	struct storage_desc d = { .driver = "uring", .nr_fds = 1 };
	uint32_t asked;
	const char *path = read_target(target, &asked);
	int fd;

	if (!path)
		return -EINVAL;
	if (asked & WANTS_AIO && asked & FILE_URING) {
		snprintf(why, why_size,
			 "%s: asks for both engines: leave one out", target);
		return -EINVAL;
	}
	if (asked & WANTS_AIO)
		snprintf(d.driver, sizeof(d.driver), "aio");
	d.flags = (asked & ~WANTS_AIO) |
		  (flags & (STORAGE_READONLY | STORAGE_NO_DIRECT));
	fd = acquire_path(path, &d, why, why_size);
	if (fd < 0)
		return fd;
	snprintf(d.target, sizeof(d.target), "%s", target);
	fds[0] = fd;
	*desc = d;
	return 0;
}
