/* SPDX-License-Identifier: MIT */
/* process.c - starting, waiting for and ending programs. See process.h. */
#include "pvsplit/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"

static int redirect(int to, int from)
{
	int fd = from;

	if (from == PROCESS_INHERIT)
		return 0;
	if (from == PROCESS_NULL) {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	if (fd == to) {
		int flags = fcntl(fd, F_GETFD);

		return fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) < 0 ? -errno : 0;
	}
	return dup2(fd, to) < 0 ? -errno : 0;
}

/* In the child: everything between fork and exec. Returns -errno. */
static int become(const struct process_spec *spec, pid_t parent)
{
	sigset_t none;
	int err = 0;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, spec->ignore_sigpipe ? SIG_IGN : SIG_DFL);
	if (spec->dies_with_us) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			return -ECANCELED; /* it died before we asked */
	}
	if (spec->own_session && setsid() < 0)
		return -errno;
	err = redirect(STDIN_FILENO, spec->in);
	if (!err)
		err = redirect(STDOUT_FILENO, spec->out);
	if (!err)
		err = redirect(STDERR_FILENO, spec->err);
	if (!err && spec->prepare)
		err = spec->prepare(spec->arg);
	if (!err && spec->dir && chdir(spec->dir) < 0)
		err = -errno;
	for (unsigned i = 0; !err && spec->env && spec->env[i]; i++) {
		const char *equals = strchr(spec->env[i], '=');
		char *name =
			strndup(spec->env[i], (size_t)(equals - spec->env[i]));

		if (!name || setenv(name, equals + 1, 1) < 0)
			err = -ENOMEM;
		free(name);
	}
	if (err)
		return err;
	/* exec takes its strings as char * and does not change them */
	execvp(spec->argv[0], (char *const *)(uintptr_t)spec->argv);
	return -errno;
}

int process_start(const struct process_spec *spec, pid_t *ret)
{
	int report[2] = { -1, -1 }, err = 0;
	pid_t parent = getpid(), pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(report[0]);
		close(report[1]);
		return err;
	}
	if (pid == 0) {
		/* a new namespace of pids may give the parent number 0 */
		err = become(spec, getppid() ? parent : 0);
		n = write(report[1], &err, sizeof(err));
		_exit(n == sizeof(err) ? 126 : 127);
	}
	close(report[1]);
	do
		n = read(report[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == sizeof(err)) {
		waitpid(pid, NULL, 0);
		return err;
	}
	*ret = pid;
	return 0;
}

int process_wait(const struct pvsplit *ps, pid_t pid, uint64_t deadline_ns,
		 int *status)
{
	int fd = pidfd_open(pid, 0), n;

	if (fd < 0)
		return errno == ESRCH ? -ECHILD : -errno;
	n = pvsplit_wait_fd(ps, fd, deadline_ns);
	close(fd);
	if (n <= 0)
		return n ? n : -ETIMEDOUT;
	return waitpid(pid, status, 0) < 0 ? -errno : 0;
}

void process_end(pid_t pid, uint64_t grace_ns)
{
	static const struct pvsplit calm = { .signal_fd = -1 };
	int status;

	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	if (process_wait(&calm, pid, clock_now_ns() + grace_ns, &status) !=
	    -ETIMEDOUT)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

int process_exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_wait_ready(const struct pvsplit *ps, int fd, uint64_t deadline_ns)
{
	char line[64];
	size_t len = 0;

	for (;;) {
		int n = pvsplit_wait_fd(ps, fd, deadline_ns);
		ssize_t got;
		char c;

		if (n <= 0)
			return n ? n : -ETIMEDOUT;
		got = read(fd, &c, 1);
		if (got <= 0)
			return got == 0 ? -EPIPE : -errno;
		if (c == '\n') {
			if (len == 5 && !memcmp(line, "ready", 5))
				return 0;
			len = 0;
		} else if (len < sizeof(line)) {
			line[len++] = c;
		}
	}
}

int process_start_ready(const struct pvsplit *ps, struct process_spec *spec,
			uint64_t deadline_ns, pid_t *ret, int *ret_out)
{
	int out[2] = { -1, -1 }, err;
	pid_t pid = 0;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	spec->out = out[1];
	err = process_start(spec, &pid);
	close(out[1]);
	if (err)
		goto fail;
	err = process_wait_ready(ps, out[0], deadline_ns);
	if (err) {
		process_end(pid, NS_PER_S);
		goto fail;
	}
	*ret = pid;
	*ret_out = out[0];
	return 0;

fail:
	close(out[0]);
	return err;
}

int process_program(const char *name, char *buf, size_t size)
{
	static const char *const places[] = { "", "../libexec/pvsplit/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return complain(-errno,
				"%s: cannot find our own place: %s; "
				"is /proc mounted?",
				name, strerror(errno));
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (str_printf(buf, size, "%s%s%s", self, places[i], name) >
			    0 &&
		    access(buf, X_OK) == 0)
			return 0;
	return complain(-ENOENT,
			"%s: no such program in %s; build it with 'make' or "
			"install pvsplit again",
			name, self);
}

bool process_have(const char *name)
{
	const char *path = getenv("PATH");
	char buf[PATH_MAX];

	if (strchr(name, '/'))
		return access(name, X_OK) == 0;
	while (path && *path) {
		int len = (int)strcspn(path, ":");

		if (str_printf(buf, sizeof(buf), "%.*s/%s", len, path, name) >
			    0 &&
		    access(buf, X_OK) == 0)
			return true;
		path += len;
		if (*path)
			path++;
	}
	return false;
}

/* ---- /proc/PID/stat ---- */

/*
 * The text after "(comm) ": fields from the third on. comm may hold anything,
 * so its end is the last ')'.
 */
static int read_stat(pid_t pid, char *buf, size_t size, const char **fields)
{
	char path[40], *close_paren;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n <= 0)
		return -ESRCH;
	buf[n] = '\0';
	close_paren = strrchr(buf, ')');
	if (!close_paren || close_paren[1] != ' ')
		return -ESRCH;
	*fields = close_paren + 2;
	return 0;
}

#define STAT_STARTTIME 22 /* as proc(5) counts */

int process_start_time(pid_t pid, uint64_t *ret)
{
	char buf[1024], *end;
	const char *f;
	int err = read_stat(pid, buf, sizeof(buf), &f);

	if (err)
		return err;
	for (int i = 3; i < STAT_STARTTIME; i++) {
		f = strchr(f, ' ');
		if (!f)
			return -ESRCH;
		f++;
	}
	*ret = strtoull(f, &end, 10);
	return end == f ? -ESRCH : 0;
}

pid_t process_parent(pid_t pid)
{
	char buf[1024];
	const char *f;

	if (read_stat(pid, buf, sizeof(buf), &f) || !f[0] || f[1] != ' ')
		return -ESRCH;
	return (pid_t)strtol(f + 2, NULL, 10);
}

char process_state(pid_t pid)
{
	char buf[1024];
	const char *f;

	return read_stat(pid, buf, sizeof(buf), &f) ? '\0' : f[0];
}
