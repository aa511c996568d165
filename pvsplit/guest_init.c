/* SPDX-License-Identifier: MIT */
/*
 * guest_init.c - process 1 of a guest: brings interfaces and disks up, waits,
 * takes them down. Runs in the namespaces that it makes; talks to guest.c over
 * one socket, whose end of file means "the end". See guest.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pvsplit/guest.h"
#include "pvsplit/link.h"
#include "pvsplit/namespace.h"
#include "util/clock.h"
#include "util/num.h"

#define FRONTEND_NS   (15 * NS_PER_S)
#define END_NS	      (5 * NS_PER_S)
#define STRAGGLERS_NS (3 * NS_PER_S)
#define UNMOUNT_NS    (5 * NS_PER_S)
#define RETRY_NS      (10 * NS_PER_MS)
#define UNMOUNTS_MAX  64

/* A frontend process; out is the pipe that said "ready". */
struct frontend {
	pid_t pid;
	int out;
};

struct init {
	struct pvsplit *ps;
	const struct guest_config *config;
	int sock, child_fd;
	struct frontend disks[GUEST_DISKS_MAX], vifs[GUEST_VIFS_MAX];
	int loop_fds[GUEST_DISKS_MAX];
	struct guest_report report;
};

/* ---- up ---- */

static int refuse(const struct init *in, int err, const char *what)
{
	return complain(err,
			"%s: cannot %s: %s; is this a restricted "
			"container?",
			in->config->command, what, strerror(-err));
}

/* And a tmpfs that only this guest sees, for the disks' mount points. */
static int make_namespaces(struct init *in)
{
	char dir[PATH_MAX];
	int err = namespace_make_own();

	if (err)
		return refuse(in, err, "make namespaces");
	err = str_printf(dir, sizeof(dir), "%s/%s", in->ps->run_dir, GUEST_DIR);
	if (err < 0)
		return refuse(in, err, "name the mount point");
	if ((mkdir(dir, 0700) < 0 && errno != EEXIST) ||
	    mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV,
		  "mode=0700,size=1m") < 0)
		return refuse(in, -errno, "mount a tmpfs");
	return 0;
}

static int start_frontend(struct init *in, const char *const *argv,
			  const char *what, struct frontend *ret)
{
	char program[PATH_MAX];
	const char *words[12] = { program };
	struct process_spec spec = { .argv = words,
				     .in = PROCESS_NULL,
				     .err = in->config->log_fd,
				     .own_session = true,
				     .ignore_sigpipe = true };
	int err = process_program(argv[0], program, sizeof(program));

	if (err)
		return err;
	for (unsigned i = 1; argv[i] && i < ARRAY_SIZE(words) - 1; i++)
		words[i] = argv[i];
	err = process_start_ready(in->ps, &spec, clock_now_ns() + FRONTEND_NS,
				  &ret->pid, &ret->out);
	if (!err)
		return 0;
	return complain(err,
			"%s: %s of %s did not start: %s; see the guest's "
			"log in %s/log",
			in->config->command, argv[0], what,
			err == -EPIPE ? "it ended" : strerror(-err),
			in->ps->run_dir);
}

static int bring_up_vif(struct init *in, unsigned i)
{
	const struct guest_vif *vif = &in->config->vifs[i];
	char domid[12], handle[12], ifname[16];
	const char *const argv[] = {
		"netfront-tap", "--run-dir", in->ps->run_dir, "--domain", domid,
		"--vif",	handle,	     "--ifname",      ifname,	  NULL
	};
	int err;

	snprintf(domid, sizeof(domid), "%u", in->config->domid);
	snprintf(handle, sizeof(handle), "%u", vif->handle);
	snprintf(ifname, sizeof(ifname), "eth%u", i);
	err = start_frontend(in, argv, ifname, &in->vifs[i]);
	if (err)
		return err;
	err = link_up(ifname);
	if (!err && *vif->ip)
		err = link_add_address(ifname, vif->ip);
	if (!err && *vif->gw)
		err = link_add_default_route(ifname, vif->gw);
	if (err)
		return complain(err,
				"%s: %s: cannot set %s%s%s: %s; check ip= and "
				"gw=",
				in->config->command, ifname,
				*vif->ip ? vif->ip : "it up",
				*vif->gw ? " and gateway " : "", vif->gw,
				strerror(-err));
	return 0;
}

static int mount_disk(struct init *in, unsigned i)
{
	const struct guest_disk *disk = &in->config->disks[i];
	const char *const argv[] = { "mount",
				     "-o",
				     disk->readonly ? "ro" : "rw",
				     in->report.loops[i],
				     disk->mount,
				     NULL };
	struct process_spec spec = { .argv = argv,
				     .in = PROCESS_NULL,
				     .out = in->config->log_fd,
				     .err = in->config->log_fd };
	int status = 0, err;
	pid_t pid;

	err = process_start(&spec, &pid);
	if (!err)
		err = process_wait(in->ps, pid, UINT64_MAX, &status);
	if (err)
		return complain(err,
				"%s: cannot run mount: %s; install the "
				"package mount",
				in->config->command, strerror(-err));
	if (!status)
		return 0;
	return complain(-EINVAL,
			"%s: %s cannot be mounted at %s: does the directory "
			"exist and the disk hold a file system? see the "
			"guest's log in %s/log",
			in->config->command, disk->vdev, disk->mount,
			in->ps->run_dir);
}

static int disk_dir(struct init *in, unsigned i, char *buf, size_t size)
{
	int n = str_printf(buf, size, "%s/%s/%s", in->ps->run_dir, GUEST_DIR,
			   in->config->disks[i].vdev);

	return n < 0 ? n : 0;
}

static int bring_up_disk(struct init *in, unsigned i)
{
	const struct guest_disk *disk = &in->config->disks[i];
	char domid[12], handle[12], dir[PATH_MAX], file[PATH_MAX];
	const char *const argv[] = {
		"blkfront-fuse", "--run-dir", in->ps->run_dir,
		"--domain",	 domid,	      "--vdev",
		handle,		 dir,	      NULL
	};
	int err = disk_dir(in, i, dir, sizeof(dir));

	if (err || mkdir(dir, 0700) < 0)
		return refuse(in, err ? err : -errno, "make a mount point");
	snprintf(domid, sizeof(domid), "%u", in->config->domid);
	snprintf(handle, sizeof(handle), "%u", disk->handle);
	err = start_frontend(in, argv, disk->vdev, &in->disks[i]);
	if (err)
		return err;
	err = str_printf(file, sizeof(file), "%s/disk", dir);
	if (err >= 0)
		err = loopdev_attach(file, disk->readonly, in->report.loops[i],
				     &in->loop_fds[i]);
	if (err)
		return complain(err,
				"%s: no loop device for %s: %s; see "
				"/dev/loop-control and losetup(8)",
				in->config->command, disk->vdev,
				strerror(-err));
	return *disk->mount ? mount_disk(in, i) : 0;
}

static int bring_up(struct init *in)
{
	int err = make_namespaces(in);

	for (unsigned i = 0; !err && i < in->config->nr_vifs; i++)
		err = bring_up_vif(in, i);
	for (unsigned i = 0; !err && i < in->config->nr_disks; i++)
		err = bring_up_disk(in, i);
	return err;
}

/* ---- down ---- */

static bool is_frontend(const struct init *in, pid_t pid)
{
	for (unsigned i = 0; i < GUEST_DISKS_MAX; i++)
		if (in->disks[i].pid == pid)
			return true;
	for (unsigned i = 0; i < GUEST_VIFS_MAX; i++)
		if (in->vifs[i].pid == pid)
			return true;
	return false;
}

/* SIGKILL to all but us and the frontends. Returns how many still live. */
static unsigned kill_round(const struct init *in)
{
	DIR *dir = opendir("/proc");
	unsigned alive = 0;
	struct dirent *e;
	uint32_t pid;

	while (dir && (e = readdir(dir)) != NULL) {
		if (num_parse_u32(e->d_name, INT32_MAX, &pid) || pid == 1 ||
		    is_frontend(in, (pid_t)pid) ||
		    process_state((pid_t)pid) == 'Z')
			continue;
		kill((pid_t)pid, SIGKILL);
		alive++;
	}
	if (dir)
		closedir(dir);
	return alive;
}

/* Reap what ended; a frontend that did is said and forgotten. */
static void reap(struct init *in, bool expected)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct frontend *f = NULL;

		for (unsigned i = 0; i < GUEST_DISKS_MAX; i++)
			if (in->disks[i].pid == pid)
				f = &in->disks[i];
		for (unsigned i = 0; i < GUEST_VIFS_MAX; i++)
			if (in->vifs[i].pid == pid)
				f = &in->vifs[i];
		if (!f)
			continue;
		f->pid = 0;
		if (!expected)
			complain(
				0,
				"%s: a frontend of domain %u ended with status "
				"%d; see the guest's log in %s/log",
				in->config->command, in->config->domid,
				process_exit_code(status), in->ps->run_dir);
	}
}

static void end_stragglers(struct init *in)
{
	uint64_t deadline_ns = clock_now_ns() + STRAGGLERS_NS;

	while (kill_round(in) && clock_now_ns() < deadline_ns) {
		reap(in, false);
		pvsplit_pause(RETRY_NS);
	}
	reap(in, false);
}

static bool is_ours(const struct init *in, const char *source)
{
	for (unsigned i = 0; i < in->config->nr_disks; i++)
		if (*in->report.loops[i] &&
		    !strcmp(in->report.loops[i], source))
			return true;
	return false;
}

/*
 * The mount point of the last mount of one of our loop devices, whoever
 * mounted it. mountinfo writes odd bytes as \ooo; those stay mounted until the
 * namespace goes.
 */
static bool last_mount(const struct init *in, char target[PATH_MAX])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (f && getline(&line, &size, f) > 0) {
		char at[PATH_MAX], source[64];
		const char *dash = strstr(line, " - ");

		if (!dash || sscanf(dash, " - %*s %63s", source) != 1 ||
		    sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 ||
		    !is_ours(in, source))
			continue;
		memcpy(target, at, sizeof(at));
		found = true;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static void unmount(const struct init *in, const char *target)
{
	uint64_t deadline_ns = clock_now_ns() + UNMOUNT_NS;

	while (umount2(target, 0) < 0) {
		if (errno != EBUSY || clock_now_ns() >= deadline_ns) {
			complain(0, "%s: cannot unmount %s: %s; detaching it",
				 in->config->command, target, strerror(errno));
			umount2(target, MNT_DETACH);
			return;
		}
		pvsplit_pause(RETRY_NS);
	}
}

static void end_frontend(struct frontend *f)
{
	if (f->pid > 0)
		process_end(f->pid, END_NS);
	if (f->out >= 0)
		close(f->out);
	*f = (struct frontend){ .out = -1 };
}

/* Unmount, clear the loop devices, end the frontends. */
static void take_down_disks(struct init *in)
{
	char target[PATH_MAX];

	for (int i = 0; i < UNMOUNTS_MAX && last_mount(in, target); i++)
		unmount(in, target);
	for (unsigned i = in->config->nr_disks; i-- > 0;) {
		char dir[PATH_MAX];

		loopdev_detach(in->loop_fds[i]);
		in->loop_fds[i] = -1;
		in->report.loops[i][0] = '\0';
		if (in->disks[i].pid > 0 && !disk_dir(in, i, dir, sizeof(dir)))
			unmount(in, dir);
		end_frontend(&in->disks[i]);
	}
}

static void take_down(struct init *in)
{
	end_stragglers(in);
	take_down_disks(in);
	for (unsigned i = in->config->nr_vifs; i-- > 0;)
		end_frontend(&in->vifs[i]);
}

/* ---- life ---- */

static int open_child_fd(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool report(struct init *in, int err)
{
	in->report.err = err;
	return send(in->sock, &in->report, sizeof(in->report), MSG_NOSIGNAL) ==
	       sizeof(in->report);
}

/* Serve requests until the other end is closed. */
static void live(struct init *in)
{
	struct pollfd fds[2] = { { .fd = in->sock, .events = POLLIN },
				 { .fd = in->child_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	char request;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		while (read(in->child_fd, &info, sizeof(info)) > 0)
			;
		reap(in, false);
		if (!fds[0].revents)
			continue;
		if (recv(in->sock, &request, 1, 0) != 1)
			return;
		if (request == GUEST_CLOSE_DISKS) {
			take_down_disks(in);
			if (!report(in, 0))
				return;
		}
	}
}

_Noreturn void guest_init(struct pvsplit *ps, const struct guest_config *config,
			  int sock)
{
	struct pvsplit own = { .run_dir = ps->run_dir, .signal_fd = sock };
	struct init in = { .ps = &own, .config = config, .sock = sock };
	int err;

	for (unsigned i = 0; i < GUEST_DISKS_MAX; i++) {
		in.disks[i].out = -1;
		in.loop_fds[i] = -1;
	}
	for (unsigned i = 0; i < GUEST_VIFS_MAX; i++)
		in.vifs[i].out = -1;
	in.child_fd = open_child_fd();
	err = in.child_fd < 0 ? refuse(&in, -errno, "watch its children")
			      : bring_up(&in);
	if (report(&in, err) && !err)
		live(&in);
	/* from here on nothing of the other end interrupts */
	own.signal_fd = -1;
	take_down(&in);
	_exit(0);
}
