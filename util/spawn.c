/* SPDX-License-Identifier: MIT */
/* spawn.c - fork and exec of a child that talks to us. See spawn.h. */
#include "util/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int close_stdio(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		return errno;
	return 0;
}

/* In the child; only calls that are safe there. Returns an errno. */
static int become(const struct spawn *s, pid_t parent)
{
	sigset_t none;
	int err;

	if (s->dies_with_us && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return errno;
	if (s->dies_with_us && getppid() != parent)
		return ESRCH;
	if (s->sock == SPAWN_FD ? fcntl(s->sock, F_SETFD, 0) < 0
				: dup2(s->sock, SPAWN_FD) < 0)
		return errno;
	err = s->no_stdio ? close_stdio() : 0;
	if (err)
		return err;
	if (close_range(SPAWN_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return errno;
	signal(SIGINT, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(s->program, (char *const *)(uintptr_t)s->argv);
	return errno;
}

static void child(const struct spawn *s, pid_t parent, int report)
{
	int err = 0;
	ssize_t n;

	if (report == SPAWN_FD) {
		report = fcntl(report, F_DUPFD_CLOEXEC, SPAWN_FD + 1);
		if (report < 0)
			_exit(127);
	}
	err = become(s, parent);
	n = write(report, &err, sizeof(err));
	(void)n; /* the exit status says enough then */
	_exit(127);
}

int spawn(const struct spawn *s, pid_t *ret_pid)
{
	pid_t parent = getpid(), pid;
	int report[2], err = 0;
	ssize_t n;

	/* Closed by a successful exec; else it carries the errno. */
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(report[0]);
		close(report[1]);
		return err;
	}
	if (pid == 0)
		child(s, parent, report[1]);
	close(report[1]);
	do
		n = read(report[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == 0) {
		*ret_pid = pid;
		return 0;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return n == (ssize_t)sizeof(err) ? -err : -EIO;
}
