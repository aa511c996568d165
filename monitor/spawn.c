/* SPDX-License-Identifier: MIT */
/* spawn.c - fork and exec of a worker. See spawn.h. */
#include "monitor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/monitor.h"

/*
 * In the child; only calls that are safe there. Ctrl-C reaches the whole
 * process group: the worker ignores it, the monitor ends the worker.
 */
static int become_worker(const char *program, const char *const *argv,
			 pid_t monitor_pid, int sock)
{
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return errno;
	if (getppid() != monitor_pid)
		return ESRCH;
	if (sock == MONITOR_WORKER_FD ? fcntl(sock, F_SETFD, 0) < 0
				      : dup2(sock, MONITOR_WORKER_FD) < 0)
		return errno;
	if (close_range(MONITOR_WORKER_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return errno;
	signal(SIGINT, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(program, (char *const *)(uintptr_t)argv);
	return errno;
}

static void child(const char *program, const char *const *argv,
		  pid_t monitor_pid, int sock, int report)
{
	int err = 0;
	ssize_t n;

	if (report == MONITOR_WORKER_FD) {
		report = fcntl(report, F_DUPFD_CLOEXEC, MONITOR_WORKER_FD + 1);
		if (report < 0)
			_exit(127);
	}
	err = become_worker(program, argv, monitor_pid, sock);
	n = write(report, &err, sizeof(err));
	(void)n; /* the exit status says enough then */
	_exit(127);
}

int monitor_spawn(const char *program, const char *const *argv, int sock,
		  pid_t *ret_pid)
{
	pid_t monitor_pid = getpid(), pid;
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
		child(program, argv, monitor_pid, sock, report[1]);
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
