/* SPDX-License-Identifier: MIT */
/*
 * files.c - a directory with one file in it, as long as the disk.
 *
 * The file is opened with direct I/O, so that pages are cached by whoever uses
 * it (a file system on a loop device with --direct-io=on) and not twice. Called
 * by libfuse on a server's thread.
 */
#include "blkfront/fuse/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fill_attr(const struct disk *disk, fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_uid = getuid();
	st->st_gid = getgid();
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0700;
		st->st_nlink = 2;
		return 0;
	}
	if (ino != DISK_INO)
		return -ENOENT;
	st->st_mode = S_IFREG | (disk->readonly ? 0400 : 0600);
	st->st_nlink = 1;
	st->st_size = (off_t)disk_size(disk);
	st->st_blocks = (blkcnt_t)(disk_size(disk) / 512);
	st->st_blksize = (blksize_t)(disk->info.physical_bytes < 4096
					     ? 4096
					     : disk->info.physical_bytes);
	return 0;
}

static void op_getattr(fuse_req_t fuse, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (fill_attr(fuse_req_userdata(fuse), ino, &st))
		fuse_reply_err(fuse, ENOENT);
	else
		fuse_reply_attr(fuse, &st, ATTR_SECONDS);
}

/* As on a block device: truncating is allowed and changes nothing. */
static void op_setattr(fuse_req_t fuse, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	(void)attr;
	if (to_set &
	    (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		fuse_reply_err(fuse, EPERM);
	else
		op_getattr(fuse, ino, fi);
}

static void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = DISK_INO,
		.attr_timeout = ATTR_SECONDS,
		.entry_timeout = ATTR_SECONDS,
	};

	if (parent != FUSE_ROOT_ID || strcmp(name, DISK_NAME) != 0 ||
	    fill_attr(fuse_req_userdata(fuse), DISK_INO, &entry.attr))
		fuse_reply_err(fuse, ENOENT);
	else
		fuse_reply_entry(fuse, &entry);
}

static void op_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	static const struct {
		const char *name;
		fuse_ino_t ino;
	} entries[] = {
		{ ".", FUSE_ROOT_ID },
		{ "..", FUSE_ROOT_ID },
		{ DISK_NAME, DISK_INO },
	};
	char buf[256];
	size_t used = 0;

	(void)fi;
	if (ino != FUSE_ROOT_ID) {
		fuse_reply_err(fuse, ENOTDIR);
		return;
	}
	if (size > sizeof(buf))
		size = sizeof(buf);
	for (off_t i = off < 0 ? 0 : off; i < (off_t)ARRAY_SIZE(entries); i++) {
		struct stat st;
		size_t bytes;

		fill_attr(fuse_req_userdata(fuse), entries[i].ino, &st);
		bytes = fuse_add_direntry(fuse, buf + used, size - used,
					  entries[i].name, &st, i + 1);
		if (bytes > size - used)
			break;
		used += bytes;
	}
	fuse_reply_buf(fuse, buf, used);
}

/* The directory holds one file and stays so. */
static void op_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	fuse_reply_err(fuse, EPERM);
}

static void op_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(fuse, EPERM);
}

static void op_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);

	if (ino != DISK_INO) {
		fuse_reply_err(fuse, EISDIR);
		return;
	}
	if (disk->readonly && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(fuse, EROFS);
		return;
	}
	fi->direct_io = 1;
	fuse_reply_open(fuse, fi);
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->max_write = IO_MAX_BYTES;
	conn->max_read = IO_MAX_BYTES; /* as in the mount's options */
	conn->max_background = NR_REQUESTS;
	conn->congestion_threshold = NR_REQUESTS * 3 / 4;
	conn->want |=
		conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ);
}

const struct fuse_lowlevel_ops disk_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readdir = op_readdir,
	.mknod = op_mknod,
	.unlink = op_unlink,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
};
