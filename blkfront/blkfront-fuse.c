/* SPDX-License-Identifier: MIT */
/*
 * blkfront-fuse.c - one split disk as the file MOUNTPOINT/disk.
 *
 * One thread serves both sides: requests from /dev/fuse become ios of
 * blkfront, their completions become replies. Nothing waits for anything: as
 * many requests are in flight as there are buffers; when there are none,
 * /dev/fuse is not read until some are. Data is copied once in each direction,
 * between the kernel and the region that is shared with the backend.
 *
 * The file is opened with direct I/O, so that pages are cached by whoever uses
 * it (a file system on a loop device with --direct-io=on) and not twice.
 */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkfront/blkfront.h"
#include "blkfront/bytes.h"
#include "blkfront/mount_ns.h"
#include "util/list.h"
#include "util/log.h"
#include "util/num.h"
#include "util/spin.h"

#define PROGRAM	  "blkfront-fuse"
#define DISK_NAME "disk"
#define DISK_INO  2u

#define IO_MAX_BYTES  (1u << 20) /* of one read or write of the kernel's */
#define BUFFERS_BYTES (16u << 20)
#define NR_REQUESTS   256u
#define BATCH	      64u /* requests read before completions are looked at */
#define ATTR_SECONDS  3600.0
#define DRAIN_NS      (5 * NS_PER_S)
#define WHY_BYTES     256

/* A request of the kernel's that is in flight. */
struct request {
	struct bytes_req bytes;
	struct blkfront_io flush;
	fuse_req_t fuse;
	struct list link; /* in disk.free */
	struct disk *disk;
};

struct disk {
	struct blkfront *bf;
	struct bytes bytes;
	struct blkfront_info info;
	bool readonly;
	struct fuse_session *session;
	struct fuse_buf buf; /* what was read from /dev/fuse */
	int signal_fd;
	int home; /* the mount namespace of the file; -1: we never left */
	struct spin spin;
	struct request requests[NR_REQUESTS];
	struct list free;
	unsigned nr_active;
	void *spare; /* a largest request's buffer: the next one has room */
};

struct options {
	struct blkfront_config config;
	bool readonly;
	char *mountpoint;
};

/* ---- requests ------------------------------------------------------------ */

static struct request *request_take(struct disk *disk, fuse_req_t fuse)
{
	struct request *rq =
		container_of(disk->free.next, struct request, link);

	list_del(&rq->link);
	rq->fuse = fuse;
	rq->disk = disk;
	disk->nr_active++;
	return rq;
}

static void request_put(struct request *rq)
{
	list_add_head(&rq->disk->free, &rq->link);
	rq->disk->nr_active--;
}

/* May another request be read? Holds a buffer that is enough for any. */
static bool have_room(struct disk *disk)
{
	if (list_empty(&disk->free))
		return false;
	if (!disk->spare)
		disk->spare =
			blkfront_buf_alloc(disk->bf, bytes_need(IO_MAX_BYTES));
	return disk->spare != NULL;
}

static int take_buffer(struct disk *disk, struct request *rq)
{
	int err = bytes_prepare(&disk->bytes, &rq->bytes);

	if (err != -ENOBUFS || !disk->spare)
		return err;
	blkfront_buf_free(disk->bf, disk->spare, bytes_need(IO_MAX_BYTES));
	disk->spare = NULL;
	return bytes_prepare(&disk->bytes, &rq->bytes);
}

/* What programs may see of our errors: a lost disk is an I/O error. */
static int reply_errno(int result)
{
	switch (result) {
	case -ENOSPC:
	case -EROFS:
	case -EOPNOTSUPP:
	case -EINVAL: return -result;
	}
	return EIO;
}

static void rw_done(struct bytes_req *bytes)
{
	struct request *rq = container_of(bytes, struct request, bytes);

	if (bytes->result)
		fuse_reply_err(rq->fuse, reply_errno(bytes->result));
	else if (bytes->write)
		fuse_reply_write(rq->fuse, bytes->size_bytes);
	else
		fuse_reply_buf(rq->fuse, (const char *)bytes->data,
			       bytes->size_bytes);
	bytes_release(&rq->disk->bytes, bytes);
	request_put(rq);
}

static struct request *rw_begin(fuse_req_t fuse, bool write, size_t size_bytes,
				uint64_t offset_bytes)
{
	struct disk *disk = fuse_req_userdata(fuse);
	struct request *rq = request_take(disk, fuse);
	int err;

	rq->bytes = (struct bytes_req){
		.write = write,
		.offset_bytes = offset_bytes,
		.size_bytes = size_bytes,
		.done = rw_done,
	};
	err = take_buffer(disk, rq);
	if (err) {
		fuse_reply_err(fuse, ENOMEM);
		request_put(rq);
		return NULL;
	}
	return rq;
}

/* How much of [off, off + size) lies on the disk. */
static size_t clip(const struct disk *disk, off_t off, size_t size_bytes)
{
	uint64_t at = (uint64_t)off;

	if (off < 0 || at >= disk->info.size_bytes)
		return 0;
	if (size_bytes > disk->info.size_bytes - at)
		size_bytes = (size_t)(disk->info.size_bytes - at);
	return size_bytes < IO_MAX_BYTES ? size_bytes : IO_MAX_BYTES;
}

static void op_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	size_t size_bytes = clip(disk, off, size);
	struct request *rq;

	(void)ino;
	(void)fi;
	if (size_bytes == 0) {
		fuse_reply_buf(fuse, NULL, 0);
		return;
	}
	rq = rw_begin(fuse, false, size_bytes, (uint64_t)off);
	if (rq)
		bytes_start(&disk->bytes, &rq->bytes);
}

static void op_write(fuse_req_t fuse, fuse_ino_t ino, const char *data,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	size_t size_bytes = clip(disk, off, size);
	struct request *rq;

	(void)ino;
	(void)fi;
	if (disk->readonly || size_bytes == 0) {
		if (disk->readonly)
			fuse_reply_err(fuse, EROFS);
		else if (size)
			fuse_reply_err(fuse, ENOSPC);
		else
			fuse_reply_write(fuse, 0);
		return;
	}
	rq = rw_begin(fuse, true, size_bytes, (uint64_t)off);
	if (!rq)
		return;
	memcpy(rq->bytes.data, data, size_bytes);
	bytes_start(&disk->bytes, &rq->bytes);
}

static void flush_done(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, flush);

	fuse_reply_err(rq->fuse, io->result ? reply_errno(io->result) : 0);
	request_put(rq);
}

static void op_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	struct request *rq;
	int err;

	(void)ino;
	(void)datasync;
	(void)fi;
	/* A backend that offers no flush has no cache to flush. */
	if (!disk->info.flush || disk->readonly) {
		fuse_reply_err(fuse, 0);
		return;
	}
	rq = request_take(disk, fuse);
	rq->flush = (struct blkfront_io){ .op = BLKFRONT_FLUSH,
					  .done = flush_done };
	err = blkfront_submit(disk->bf, &rq->flush);
	if (err) {
		fuse_reply_err(fuse, reply_errno(err));
		request_put(rq);
	}
}

/* ---- the two files --------------------------------------------------------
 */

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
	st->st_size = (off_t)disk->info.size_bytes;
	st->st_blocks = (blkcnt_t)(disk->info.size_bytes / 512);
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

static const struct fuse_lowlevel_ops fuse_ops = {
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
};

/* ---- serving ---------------------------------------------------------------
 */

/* Returns the number of requests taken, or -errno; -ENODEV: unmounted. */
static int take_requests(struct disk *disk)
{
	int nr = 0;

	while ((unsigned)nr < BATCH && have_room(disk)) {
		int got = fuse_session_receive_buf(disk->session, &disk->buf);

		if (got == -EAGAIN || got == -EINTR)
			break;
		if (got == 0)
			return -ENODEV;
		if (got < 0)
			return got;
		fuse_session_process_buf(disk->session, &disk->buf);
		if (fuse_session_exited(disk->session))
			return -ENODEV;
		nr++;
	}
	return nr;
}

/* Sleep until there may be work. Returns whether we are to end. */
static bool wait_for_work(struct disk *disk, bool take)
{
	struct pollfd pfd[] = {
		{ .fd = disk->signal_fd, .events = POLLIN },
		{ .fd = blkfront_fd(disk->bf), .events = POLLIN },
		{ .fd = take ? fuse_session_fd(disk->session) : -1,
		  .events = POLLIN },
	};

	if (blkfront_arm(disk->bf))
		return false;
	poll(pfd, ARRAY_SIZE(pfd), -1);
	return pfd[0].revents != 0;
}

/*
 * Serve until unmounted (0), told to end (0), or the disk is lost (-errno).
 */
static int serve(struct disk *disk)
{
	for (;;) {
		int reaped = blkfront_poll(disk->bf);
		int taken;

		if (reaped < 0)
			return reaped;
		taken = take_requests(disk);
		if (taken < 0)
			return taken == -ENODEV ? 0 : taken;
		blkfront_kick(disk->bf);
		if (reaped || taken) {
			spin_worked(&disk->spin);
			continue;
		}
		if (spin_again(&disk->spin))
			continue;
		if (wait_for_work(disk, have_room(disk)))
			return 0;
	}
}

/* Let what is in flight finish, within DRAIN_NS. */
static void drain(struct disk *disk)
{
	uint64_t end_ns = clock_now_ns() + DRAIN_NS;

	while (disk->nr_active && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = blkfront_fd(disk->bf),
				      .events = POLLIN };

		if (blkfront_poll(disk->bf) < 0)
			return;
		if (disk->nr_active && !blkfront_arm(disk->bf))
			poll(&pfd, 1, 100);
	}
	if (disk->nr_active)
		log_warn("%u requests were not answered in time",
			 disk->nr_active);
}

/* ---- starting ---------------------------------------------------------------
 */

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " [--run-dir DIR] --domain N --vdev V"
		" [--read-only] MOUNTPOINT\n"
		"Shows domain N's disk V as the file MOUNTPOINT/" DISK_NAME
		".\n"
		"  --run-dir DIR  run directory of brokerd\n"
		"  --domain N     whose disk: this guest's domain id\n"
		"  --vdev V       virtual device number, e.g. 51712 for xvda\n"
		"  --read-only    never write, even if the disk allows it\n");
}

static int parse_number(const char *option, const char *text, uint32_t max,
			uint32_t *ret)
{
	if (num_parse_u32(text, max, ret) == 0)
		return 0;
	log_error("%s wants a number from 0 to %u, not '%s'", option, max,
		  text);
	return -EINVAL;
}

/* Returns 0, 1 when --help was all, or -EINVAL (said what is wrong). */
static int parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'd' },
		{ "vdev", required_argument, NULL, 'v' },
		{ "read-only", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint32_t domid = UINT32_MAX, vdev = UINT32_MAX;
	int c, err = 0;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1 && !err) {
		switch (c) {
		case 'r': opt->config.run_dir = optarg; break;
		case 'd':
			err = parse_number("--domain", optarg,
					   DOMID_FIRST_RESERVED - 1, &domid);
			break;
		case 'v':
			err = parse_number("--vdev", optarg, UINT32_MAX - 1,
					   &vdev);
			break;
		case 'o': opt->readonly = true; break;
		case 'h': usage(stdout); return 1;
		default: err = -EINVAL;
		}
	}
	if (!err &&
	    (domid == UINT32_MAX || vdev == UINT32_MAX || optind != argc - 1)) {
		log_error("needs --domain, --vdev and one MOUNTPOINT");
		err = -EINVAL;
	}
	if (err) {
		usage(stderr);
		return err;
	}
	opt->config.domid = (domid_t)domid;
	opt->config.handle = vdev;
	opt->config.buf_bytes = BUFFERS_BYTES;
	opt->mountpoint = argv[optind];
	return 0;
}

/* All that can be known to fail before anything is touched. */
static int check_mountpoint(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		log_error("cannot mount on %s: %s; make that directory first",
			  path, strerrordesc_np(errno));
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("cannot mount on %s: it is not a directory", path);
		return -ENOTDIR;
	}
	if (access("/dev/fuse", R_OK | W_OK)) {
		log_error("cannot open /dev/fuse: %s; load the kernel's fuse "
			  "module, or run as a user who may use it",
			  strerrordesc_np(errno));
		return -errno;
	}
	return 0;
}

static void fuse_log_line(enum fuse_log_level level, const char *fmt,
			  va_list ap) PV_PRINTF(2, 0);

static void fuse_log_line(enum fuse_log_level level, const char *fmt,
			  va_list ap)
{
	char line[256];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	while (n > 0 && (size_t)n < sizeof(line) && line[n - 1] == '\n')
		line[--n] = '\0';
	log_line(level <= FUSE_LOG_ERR ? LOG_ERROR : LOG_DEBUG, "%s", line);
}

static int mount_disk(struct disk *disk, const struct options *opt)
{
	char mount_options[160];
	char program[] = PROGRAM, dash_o[] = "-o";
	char *args[] = { program, dash_o, mount_options, NULL };
	struct fuse_args fuse_args = FUSE_ARGS_INIT(3, args);
	int flags, err;

	err = str_printf(mount_options, sizeof(mount_options),
			 "fsname=pvsplit:d%u/%u,subtype=blkfront,max_read=%u,"
			 "nosuid,nodev,default_permissions%s",
			 opt->config.domid, opt->config.handle, IO_MAX_BYTES,
			 disk->readonly ? ",ro" : "");
	if (err < 0)
		return err;
	fuse_set_log_func(fuse_log_line);
	disk->session =
		fuse_session_new(&fuse_args, &fuse_ops, sizeof(fuse_ops), disk);
	fuse_opt_free_args(&fuse_args);
	if (!disk->session) {
		log_error("cannot start a FUSE session");
		return -EINVAL;
	}
	if (fuse_session_mount(disk->session, opt->mountpoint)) {
		log_error("cannot mount on %s: see the line above; this needs "
			  "root or fusermount3 (package fuse3)",
			  opt->mountpoint);
		fuse_session_destroy(disk->session);
		disk->session = NULL;
		return -EPERM;
	}
	flags = fcntl(fuse_session_fd(disk->session), F_GETFL);
	fcntl(fuse_session_fd(disk->session), F_SETFL, flags | O_NONBLOCK);
	return 0;
}

/*
 * The kernel may write dirty pages back through us to get memory: then we must
 * not wait for memory ourselves. Both need privileges and are done without
 * complaint when there are none.
 */
static void prepare_for_writeback(void)
{
	mlockall(geteuid() == 0 ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT);
#ifdef PR_SET_IO_FLUSHER
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
#endif
}

static int open_signals(struct disk *disk)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	disk->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return disk->signal_fd < 0 ? -errno : 0;
}

static int open_disk(struct disk *disk, const struct options *opt)
{
	char why[WHY_BYTES];
	int err;

	list_init(&disk->free);
	for (unsigned i = 0; i < NR_REQUESTS; i++)
		list_add_tail(&disk->free, &disk->requests[i].link);
	err = blkfront_open(&opt->config, &disk->bf, why, sizeof(why));
	if (err) {
		log_error("%s", why);
		return err;
	}
	blkfront_info(disk->bf, &disk->info);
	disk->readonly = opt->readonly || disk->info.readonly;
	bytes_init(&disk->bytes, disk->bf);
	return 0;
}

/* What is in flight is answered while the kernel can still hear it. */
static void close_disk(struct disk *disk)
{
	if (disk->session) {
		drain(disk);
		blkfront_close(disk->bf);
		if (disk->home >= 0 && mount_ns_return(disk->home))
			log_warn("cannot unmount: no way back to the mount "
				 "namespace");
		fuse_session_unmount(disk->session);
		fuse_session_destroy(disk->session);
		free(disk->buf.mem);
	} else {
		blkfront_close(disk->bf);
	}
	if (disk->signal_fd >= 0)
		close(disk->signal_fd);
	free(disk);
}

static int run(struct options *opt)
{
	char mountpoint[PATH_MAX];
	struct disk *disk;
	int err;

	err = check_mountpoint(opt->mountpoint);
	if (err)
		return err;
	if (!realpath(opt->mountpoint, mountpoint))
		return -errno;
	opt->mountpoint = mountpoint;
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return -ENOMEM;
	disk->signal_fd = disk->home = -1;
	err = open_disk(disk, opt);
	if (!err)
		err = open_signals(disk);
	if (!err)
		err = mount_disk(disk, opt);
	if (!err) {
		prepare_for_writeback();
		disk->home = mount_ns_leave();
		puts("ready");
		fflush(stdout);
		err = serve(disk);
		if (err == -ESHUTDOWN) {
			log_info("the disk was detached");
			err = 0;
		} else if (err) {
			log_error("the disk is lost: %s; unmounting",
				  strerrordesc_np(-err));
		}
	}
	close_disk(disk);
	return err;
}

int main(int argc, char **argv)
{
	struct options opt = { 0 };
	int err;

	log_init(PROGRAM, LOG_INFO);
	err = parse_options(argc, argv, &opt);
	if (err)
		return err > 0 ? 0 : 2;
	return run(&opt) ? 1 : 0;
}
