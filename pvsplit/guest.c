/* SPDX-License-Identifier: MIT */
/* guest.c - starting a guest and running programs in it. See guest.h. */
#include "pvsplit/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pvsplit/namespace.h"
#include "util/clock.h"

#define START_NS (30 * NS_PER_S)
#define CLOSE_NS (20 * NS_PER_S)
#define STOP_NS	 (20 * NS_PER_S)

/* ---- what must be there ---- */

static int need_device(const char *command, const char *path,
		       unsigned dev_major, unsigned dev_minor, const char *what)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode) ||
	    major(st.st_rdev) != dev_major || minor(st.st_rdev) != dev_minor)
		return complain(-ENODEV,
				"%s: there is no %s, which %s need; load the "
				"kernel module or make the device visible here",
				command, path, what);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return complain(-errno,
				"%s: %s cannot be opened: %s; %s need "
				"it",
				command, path, strerror(errno), what);
	close(fd);
	return 0;
}

int guest_requirements(const char *command, unsigned nr_disks, unsigned nr_vifs)
{
	int err = 0;

	if (geteuid() != 0)
		return complain(-EPERM,
				"%s: needs root for namespaces, mounts and "
				"interfaces; run it with sudo",
				command);
	if (nr_disks)
		err = need_device(command, "/dev/fuse", 10, 229, "disks");
	if (!err && nr_disks)
		err = need_device(command, "/dev/loop-control", 10, 237,
				  "disks");
	if (!err && nr_vifs)
		err = need_device(command, "/dev/net/tun", 10, 200,
				  "interfaces");
	return err;
}

/* ---- start ---- */

static void run_init(struct pvsplit *ps, const struct guest_config *config,
		     int sock)
{
	int low, high;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* domain 0's connections are not the guest's */
	low = sock < config->log_fd ? sock : config->log_fd;
	high = sock < config->log_fd ? config->log_fd : sock;
	if (low > 3)
		close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
	guest_init(ps, config, sock);
}

static int fork_init(struct pvsplit *ps, const struct guest_config *config,
		     const int sock[2], pid_t *ret)
{
	int own, err, back;
	pid_t pid;

	err = namespace_enter_pids(-1, &own);
	if (err)
		return err;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_init(ps, config, sock[1]);
	err = pid < 0 ? -errno : 0;
	back = namespace_leave_pids(own);
	if (!err && back) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	*ret = pid;
	return err ? err : back;
}

static int open_ns(pid_t pid, const char *kind, int *ret)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

/* The next report from inside. -EINTR, -ETIMEDOUT, -EPIPE, or its own error. */
static int await_report(struct pvsplit *ps, struct guest *g,
			uint64_t timeout_ns)
{
	int n = pvsplit_wait_fd(ps, g->sock, clock_now_ns() + timeout_ns);

	if (n < 0)
		return n;
	if (n == 0)
		return -ETIMEDOUT;
	if (recv(g->sock, &g->report, sizeof(g->report), 0) !=
	    sizeof(g->report))
		return -EPIPE;
	return g->report.err;
}

static void kill_init(struct guest *g)
{
	if (g->init > 0) {
		kill(g->init, SIGKILL);
		while (waitpid(g->init, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

static void close_all(struct guest *g)
{
	int fds[] = { g->sock, g->net_fd, g->mount_fd, g->pid_fd };

	for (unsigned i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	g->sock = g->net_fd = g->mount_fd = g->pid_fd = -1;
	g->init = -1;
}

void guest_stop(struct guest *guest)
{
	static const struct pvsplit calm = { .signal_fd = -1 };
	int status;

	if (guest->init <= 0)
		return;
	shutdown(guest->sock, SHUT_WR);
	if (process_wait(&calm, guest->init, clock_now_ns() + STOP_NS, &status))
		kill_init(guest);
	close_all(guest);
}

int guest_start(struct pvsplit *ps, const struct guest_config *config,
		struct guest *ret)
{
	struct guest g = {
		.config = config, .net_fd = -1, .mount_fd = -1, .pid_fd = -1
	};
	int sock[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return complain(-errno, "%s: cannot make a socket: %s",
				config->command, strerror(errno));
	err = fork_init(ps, config, sock, &g.init);
	close(sock[1]);
	g.sock = sock[0];
	if (err) {
		g.init = -1;
		goto fail;
	}
	err = open_ns(g.init, "pid", &g.pid_fd);
	if (err)
		goto fail;
	err = await_report(ps, &g, START_NS);
	if (err && err == g.report.err) {
		guest_stop(&g); /* it said why; let it take down in order */
		return err;
	}
	if (!err)
		err = open_ns(g.init, "net", &g.net_fd);
	if (!err)
		err = open_ns(g.init, "mnt", &g.mount_fd);
	if (err)
		goto fail;
	*ret = g;
	return 0;

fail:
	complain(err, "%s: cannot make the guest: %s; nothing of it remains",
		 config->command,
		 err == -EINTR ? "interrupted" : strerror(-err));
	kill_init(&g);
	close_all(&g);
	return err;
}

/* ---- inside ---- */

struct inside {
	const struct guest *guest;
	char dir[PATH_MAX];
};

static int go_inside(void *arg)
{
	struct inside *in = arg;

	/* joining mounts wants a root and a directory shared with no thread */
	if (unshare(CLONE_FS) < 0 ||
	    setns(in->guest->mount_fd, CLONE_NEWNS) < 0 ||
	    setns(in->guest->net_fd, CLONE_NEWNET) < 0)
		return -errno;
	/* joining the mounts left us at their root */
	if (chdir(in->dir) < 0)
		return chdir("/") < 0 ? -errno : 0;
	return 0;
}

static char **make_env(struct pvsplit *ps, const struct guest *g,
		       const char *const *more)
{
	const struct guest_config *c = g->config;
	unsigned n = 0, nr_more = 0, size;
	char **env;

	while (more && more[nr_more])
		nr_more++;
	size = c->nr_disks + nr_more + 3;
	env = calloc(size, sizeof(*env));
	if (!env)
		return NULL;
	if (asprintf(&env[n++], "PVSPLIT_DOMID=%u", c->domid) < 0 ||
	    asprintf(&env[n++], "XENSTORED_PATH=%s/%u/xenstore", ps->run_dir,
		     c->domid) < 0)
		goto fail;
	for (unsigned i = 0; i < c->nr_disks; i++, n++) {
		if (asprintf(&env[n], "PVSPLIT_DISK_%s=%s", c->disks[i].vdev,
			     g->report.loops[i]) < 0)
			goto fail;
		for (char *p = env[n] + 13; *p != '='; p++)
			*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A'
							   : *p);
	}
	for (unsigned i = 0; i < nr_more; i++, n++)
		if (asprintf(&env[n], "%s", more[i]) < 0)
			goto fail;
	return env;

fail:
	env[n ? n - 1 : 0] = NULL; /* what asprintf left is undefined */
	for (unsigned i = 0; i + 1 < n; i++)
		free(env[i]);
	free(env);
	return NULL;
}

int guest_exec(struct pvsplit *ps, const struct guest *guest,
	       struct process_spec *spec, pid_t *ret)
{
	struct inside in = { .guest = guest };
	char **env = make_env(ps, guest, spec->env);
	int own, err, back;

	if (!env)
		return -ENOMEM;
	if (!getcwd(in.dir, sizeof(in.dir)))
		snprintf(in.dir, sizeof(in.dir), "/");
	spec->env = (const char *const *)env;
	spec->prepare = go_inside;
	spec->arg = &in;
	spec->dies_with_us = true;
	err = namespace_enter_pids(guest->pid_fd, &own);
	if (!err) {
		err = process_start(spec, ret);
		back = namespace_leave_pids(own);
		err = err ? err : back;
	}
	for (unsigned i = 0; env[i]; i++)
		free(env[i]);
	free(env);
	spec->env = NULL;
	return err;
}

int guest_close_disks(struct pvsplit *ps, struct guest *guest)
{
	const char request = GUEST_CLOSE_DISKS;
	int err = 0;

	if (send(guest->sock, &request, 1, MSG_NOSIGNAL) != 1)
		err = -errno;
	if (!err)
		err = await_report(ps, guest, CLOSE_NS);
	if (err)
		return complain(err,
				"%s: the guest did not give its disks back: "
				"%s; end what uses them",
				guest->config->command, strerror(-err));
	return 0;
}
