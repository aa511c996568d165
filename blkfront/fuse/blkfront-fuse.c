/* SPDX-License-Identifier: MIT */
/*
 * blkfront-fuse.c - one split disk as the file MOUNTPOINT/disk: what is asked
 * for, mounting, the beginning and the end. disk.h has the other parts.
 */
#include "blkfront/fuse/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkfront/fuse/mount_ns.h"
#include "util/log.h"

#define PROGRAM	      "blkfront-fuse"
#define BUFFERS_BYTES (16u << 20) /* for each server */
#define WHY_BYTES     256

struct options {
	struct blkfront_config config;
	bool readonly;
	char *mountpoint;
};

/* ---- starting ---------------------------------------------------------------
 */

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " [--run-dir DIR] --domain N --vdev V"
		" [--read-only]\n"
		"       [--queues N] [--on-loss reissue|queue|fail]"
		" MOUNTPOINT\n"
		"Shows domain N's disk V as the file MOUNTPOINT/" DISK_NAME
		".\n"
		"  --run-dir DIR  run directory of brokerd\n"
		"  --domain N     whose disk: this guest's domain id\n"
		"  --vdev V       virtual device number, e.g. 51712 for xvda\n"
		"  --read-only    never write, even if the disk allows it\n"
		"  --queues N     threads with a ring each; default 2, or\n"
		"                 1 on one CPU\n"
		"  --on-loss P    when the backend is gone: reissue (wait, the\n"
		"                 default), queue (fail what it had) or fail\n");
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

static int parse_policy(const char *text, enum blkfront_policy *ret)
{
	static const char *const names[] = {
		[BLKFRONT_REISSUE] = "reissue",
		[BLKFRONT_QUEUE] = "queue",
		[BLKFRONT_FAIL] = "fail",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum blkfront_policy)i;
			return 0;
		}
	}
	log_error("--on-loss wants reissue, queue or fail, not '%s'", text);
	return -EINVAL;
}

/* A second thread pays where it has a CPU; more share /dev/fuse's one lock. */
static uint32_t default_queues(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
}

static int parse_queues(const char *text, uint32_t *ret)
{
	if (num_parse_u32(text, SERVERS_MAX, ret) == 0 && *ret > 0)
		return 0;
	log_error("--queues wants a number from 1 to %u, not '%s'", SERVERS_MAX,
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
		{ "queues", required_argument, NULL, 'q' },
		{ "on-loss", required_argument, NULL, 'l' },
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
		case 'q':
			err = parse_queues(optarg, &opt->config.nr_queues);
			break;
		case 'l':
			err = parse_policy(optarg, &opt->config.policy);
			break;
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
	if (!opt->config.nr_queues)
		opt->config.nr_queues = default_queues();
	opt->config.buf_bytes = (uint64_t)BUFFERS_BYTES * opt->config.nr_queues;
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
		fuse_session_new(&fuse_args, &disk_ops, sizeof(disk_ops), disk);
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
	disk->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (disk->stop_fd < 0)
		return -errno;
	disk->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return disk->signal_fd < 0 ? -errno : 0;
}

static void open_server(struct disk *disk, unsigned nr)
{
	struct server *server = &disk->servers[nr];

	server->disk = disk;
	server->nr = nr;
	server->queue = blkfront_queue(disk->bf, nr);
	pthread_mutex_init(&server->lock, NULL);
	list_init(&server->free);
	for (unsigned i = 0; i < NR_REQUESTS; i++)
		list_add_tail(&server->free, &server->requests[i].link);
}

static int open_disk(struct disk *disk, struct options *opt)
{
	char why[WHY_BYTES];
	int err;

	opt->config.resized = disk_resized;
	opt->config.resized_arg = disk;
	err = blkfront_open(&opt->config, &disk->bf, why, sizeof(why));
	if (err) {
		log_error("%s", why);
		return err;
	}
	blkfront_info(disk->bf, &disk->info);
	disk->size_bytes = disk->info.size_bytes;
	disk->readonly = opt->readonly || disk->info.readonly;
	disk->servers = calloc(opt->config.nr_queues, sizeof(struct server));
	if (!disk->servers)
		return -ENOMEM;
	bytes_init(&disk->bytes, disk->bf);
	pthread_mutex_init(&disk->buffers_lock, NULL);
	disk->nr_servers = opt->config.nr_queues;
	for (unsigned i = 0; i < disk->nr_servers; i++)
		open_server(disk, i);
	return 0;
}

static void close_servers(struct disk *disk)
{
	for (unsigned i = 0; i < disk->nr_servers; i++) {
		free(disk->servers[i].buf.mem);
		pthread_mutex_destroy(&disk->servers[i].lock);
	}
	if (!disk->nr_servers)
		return;
	free(disk->servers);
	bytes_fini(&disk->bytes);
	pthread_mutex_destroy(&disk->buffers_lock);
}

/* What is in flight is answered while the kernel can still hear it. */
static void close_disk(struct disk *disk)
{
	if (disk->session) {
		disk_drain(disk);
		blkfront_close(disk->bf);
		if (disk->home >= 0 && mount_ns_return(disk->home))
			log_warn("cannot unmount: no way back to the mount "
				 "namespace");
		fuse_session_unmount(disk->session);
		fuse_session_destroy(disk->session);
	} else {
		blkfront_close(disk->bf);
	}
	close_servers(disk);
	if (disk->stop_fd >= 0)
		close(disk->stop_fd);
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
	disk->signal_fd = disk->stop_fd = disk->home = -1;
	err = str_printf(disk->path, sizeof(disk->path), "%s/" DISK_NAME,
			 mountpoint);
	if (err >= 0)
		err = open_disk(disk, opt);
	if (!err)
		err = open_signals(disk);
	if (!err)
		err = mount_disk(disk, opt);
	if (!err) {
		signal(SIGCHLD, SIG_IGN); /* loops.c's end by themselves */
		prepare_for_writeback();
		disk->home = mount_ns_leave();
		puts("ready");
		fflush(stdout);
		err = disk_serve(disk);
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
