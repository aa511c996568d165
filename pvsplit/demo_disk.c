/* SPDX-License-Identifier: MIT */
/*
 * demo_disk.c - the demo's disk part: a file system made and filled through
 * blkfront, the backend killed meanwhile, the image checked from outside. See
 * demo.h, demo_watch.h.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pvsplit/demo.h"
#include "pvsplit/demo_watch.h"
#include "pvsplit/device.h"
#include "pvsplit/service.h"
#include "util/num.h"

/* The worker is killed when that much of the tree has reached the disk. */
#define KILL_AT_PERCENT 35u
#define LOOK_NS		(200 * NS_PER_US)
#define PROGRESS_NS	(100 * NS_PER_MS)
/* A file system is larger than its files, but not by much. */
#define COPY_LIMIT_NS (60 * NS_PER_S)

struct disk_part {
	struct demo *d;
	struct demo_tree tree;
	struct device dev;
	char source[DEMO_PATH_MAX], sums[DEMO_PATH_MAX];
	char target[DEMO_PATH_MAX], image[DEMO_PATH_MAX];
	const char *loop;
	double copy_seconds;
	uint64_t pause_ns;
	pid_t killed, successor;
};

/* ---- the data ---- */

static int make_data(struct disk_part *p)
{
	static const char script[] =
		"cd \"$0\" && find . -type f -print0 | sort -z | "
		"xargs -0 sha256sum >\"$1\"";
	const char *const argv[] = { "sh",	"-c",	 script,
				     p->source, p->sums, NULL };
	int err = demo_tree_make(p->source, &p->tree);

	if (err)
		return complain(err,
				"demo: cannot make the files: %s; make "
				"room in %s",
				strerror(-err), p->d->dir);
	err = demo_run(p->d, NULL, argv, NULL);
	if (!err)
		demo_say(
			p->d,
			"a tree of %u files in %u directories, %.1f MB that do "
			"not compress, and their SHA-256 sums",
			p->tree.nr_files, p->tree.nr_dirs,
			(double)p->tree.size_bytes / 1e6);
	return err;
}

/* ---- the guest's work ---- */

static int make_file_system(struct disk_part *p)
{
	const struct guest *guest = &p->d->alice.guest;
	const char *const mkfs[] = { "mkfs.ext4", "-q", "-F", p->loop, NULL };
	const char *const mount[] = { "mount", p->loop, p->target, NULL };
	int err;

	demo_say(p->d, "alice$ mkfs.ext4 %s", p->loop);
	err = demo_run(p->d, guest, mkfs, NULL);
	if (err)
		return err;
	if (mkdir(p->target, 0700) < 0)
		return complain(-errno, "demo: cannot make %s: %s", p->target,
				strerror(errno));
	demo_say(p->d, "alice$ mount %s /files", p->loop);
	return demo_run(p->d, guest, mount, NULL);
}

/* Every directory reaches the disk before the next one is begun. */
static int start_copy(struct disk_part *p, pid_t *ret)
{
	static const char script[] =
		"cd \"$0\"; for dir in *; do cp -a \"$dir\" \"$1\"; "
		"sync -f \"$1\"; done";
	const char *const argv[] = { "sh",	"-ec",	   script,
				     p->source, p->target, NULL };

	demo_say(p->d, "alice$ for dir in *; do cp -a $dir /files; sync -f "
		       "/files; done");
	return demo_spawn(p->d, &p->d->alice.guest, argv, ret);
}

/* The monitor's one child, or 0. */
static pid_t find_worker(struct disk_part *p)
{
	DIR *dir = opendir("/proc");
	pid_t monitor, found = 0;
	struct dirent *e;
	uint32_t pid;

	if (!dir || service_pid(p->d->ps, "storage", &monitor)) {
		if (dir)
			closedir(dir);
		return 0;
	}
	while (!found && (e = readdir(dir)) != NULL)
		if (!num_parse_u32(e->d_name, INT32_MAX, &pid) &&
		    process_parent((pid_t)pid) == monitor &&
		    process_state((pid_t)pid) != 'Z')
			found = (pid_t)pid;
	closedir(dir);
	return found;
}

static int kill_worker(struct disk_part *p, struct disk_watch *w)
{
	p->killed = find_worker(p);
	if (!p->killed)
		return complain(-ESRCH, "demo: blkbackd has no worker process");
	disk_watch_restart(w);
	if (kill(p->killed, SIGKILL) < 0)
		return complain(-errno, "demo: cannot kill the worker: %s",
				strerror(errno));
	demo_progress(p->d, NULL, 0, 0);
	demo_say(p->d,
		 "# kill -9 %d: blkbackd's worker is gone, with %u requests "
		 "waiting",
		 p->killed, w->in_flight);
	return 0;
}

/* Look at the disk until the copy ends; kill the worker on the way. */
static int watch_copy(struct disk_part *p, struct disk_watch *w, pid_t pid,
		      int *status)
{
	uint64_t begun = w->written_bytes, now = clock_now_ns();
	uint64_t deadline_ns = now + COPY_LIMIT_NS, shown_ns = 0;
	int err;

	for (;; pvsplit_pause(LOOK_NS)) {
		uint64_t written;
		pid_t ended = waitpid(pid, status, WNOHANG);

		if (ended)
			return ended < 0 ? -errno : 0;
		err = disk_watch_look(w);
		if (err)
			return err;
		now = clock_now_ns();
		if (now >= deadline_ns)
			return complain(-ETIMEDOUT,
					"demo: the copy does not end");
		written = w->written_bytes - begun;
		if (!p->killed && w->in_flight &&
		    written * 100 >= p->tree.size_bytes * KILL_AT_PERCENT) {
			err = kill_worker(p, w);
			if (err)
				return err;
		}
		if (now - shown_ns > PROGRESS_NS) {
			demo_progress(p->d, "copy", written,
				      p->tree.size_bytes);
			shown_ns = now;
		}
	}
}

static void judge_kill(struct disk_part *p, struct handshake *h)
{
	char what[128] = "";
	int changed = handshake_check(h, what, sizeof(what));

	p->successor = find_worker(p);
	demo_result(p->d,
		    p->killed && p->successor > 0 && p->successor != p->killed,
		    "backend killed during the copy",
		    "I/O paused %.0f ms (longest wait for a completion after "
		    "the kill)",
		    (double)p->pause_ns / 1e6);
	demo_result(p->d, changed == 0, "no new handshake", "%s",
		    changed < 0	   ? strerror(-changed)
		    : changed == 1 ? what
				   : "state 4 throughout, same ring-ref "
				     "and event-channel");
}

static int copy(struct disk_part *p)
{
	struct handshake handshake;
	struct disk_watch w;
	uint64_t start_ns;
	int status = 0, err;
	pid_t pid;

	err = handshake_watch(p->d->ps, &p->dev, &handshake);
	if (!err)
		err = disk_watch_open(p->loop, &w);
	if (err)
		return complain(err, "demo: cannot watch the disk: %s",
				strerror(-err));
	start_ns = clock_now_ns();
	err = start_copy(p, &pid);
	if (!err)
		err = watch_copy(p, &w, pid, &status);
	demo_progress(p->d, NULL, 0, 0);
	p->copy_seconds = (double)(clock_now_ns() - start_ns) / 1e9;
	p->pause_ns = w.longest_ns;
	disk_watch_close(&w);
	if (err)
		return err;
	demo_result(p->d, status == 0, "copy through blkfront",
		    "%u files, %.1f MB in %.2f s, %.0f MB/s", p->tree.nr_files,
		    (double)p->tree.size_bytes / 1e6, p->copy_seconds,
		    (double)p->tree.size_bytes / 1e6 / p->copy_seconds);
	judge_kill(p, &handshake);
	return 0;
}

static int give_back(struct disk_part *p)
{
	const char *const sync[] = { "sync", "-f", p->target, NULL };
	const char *const umount[] = { "umount", p->target, NULL };
	const struct guest *guest = &p->d->alice.guest;
	int err;

	demo_say(p->d, "alice$ sync; umount /files");
	err = demo_run(p->d, guest, sync, NULL);
	if (!err)
		err = demo_run(p->d, guest, umount, NULL);
	if (!err)
		err = guest_close_disks(p->d->ps, &p->d->alice.guest);
	if (err)
		return err;
	demo_say(p->d, "$ pvsplit block-detach alice xvda");
	return device_detach(p->d->ps, "demo", &p->dev, false,
			     clock_now_ns() + DEVICE_DETACH_NS);
}

/* ---- behind the driver's back ---- */

static int check_image(struct disk_part *p)
{
	const char *const fsck[] = { "fsck.ext4", "-f", "-n", p->image, NULL };
	const char *const mount[] = { "mount",	"-o",	   "loop,ro",
				      p->image, p->target, NULL };
	const char *const sums[] = {
		"sh",	   "-c",    "cd \"$0\" && sha256sum --quiet -c \"$1\"",
		p->target, p->sums, NULL
	};
	const char *const count[] = {
		"sh", "-c",
		"cd \"$0\" && find . -type f -printf 'x\\n' | wc -l", p->target,
		NULL
	};
	unsigned long nr_found = 0;
	char *out = NULL;
	int err;

	demo_say(p->d, "# fsck.ext4 -fn disk.img");
	err = demo_run(p->d, NULL, fsck, NULL);
	demo_result(p->d, !err, "fsck.ext4 -fn on the image", "%s",
		    err ? "DAMAGED" : "clean");
	demo_say(p->d, "# mount -o loop,ro disk.img; sha256sum -c");
	err = demo_run(p->d, NULL, mount, NULL);
	if (!err)
		err = demo_run(p->d, NULL, count, &out);
	if (!err)
		nr_found = strtoul(out, NULL, 10);
	free(out);
	if (!err)
		err = demo_run(p->d, NULL, sums, NULL);
	demo_result(p->d, !err && nr_found == p->tree.nr_files,
		    "checksums on the image", "%lu of %u files %s", nr_found,
		    p->tree.nr_files, err ? "DIFFER" : "equal the source's");
	if (umount2(p->target, 0) < 0 && !err)
		complain(0, "demo: cannot unmount %s: %s", p->target,
			 strerror(errno));
	return 0;
}

int demo_disk(struct demo *d)
{
	const struct guest_config *config = &d->alice.config;
	struct disk_part *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return complain(-ENOMEM, "demo: out of memory; try again");
	p->d = d;
	p->loop = d->alice.guest.report.loops[0];
	demo_path(d, "tree", p->source, sizeof(p->source));
	demo_path(d, "sums", p->sums, sizeof(p->sums));
	demo_path(d, "files", p->target, sizeof(p->target));
	demo_path(d, "disk.img", p->image, sizeof(p->image));
	demo_head(d, "1. Disk: a file system through blkfront, its backend "
		     "killed meanwhile");
	err = device_find(d->ps, DEVICE_VBD, config->domid,
			  config->disks[0].handle, &p->dev);
	if (err)
		complain(err, "demo: the disk is gone: %s", strerror(-err));
	if (!err)
		err = make_data(p);
	if (!err)
		err = make_file_system(p);
	if (!err)
		err = copy(p);
	if (!err)
		err = give_back(p);
	if (!err)
		err = check_image(p);
	free(p);
	return err;
}
