/* SPDX-License-Identifier: MIT */
/*
 * process.h - starting programs, waiting for them, ending them.
 *
 * Every wait has a deadline and also ends on a signal (pvsplit_wait_fd).
 * Processes are named by pid and start time, so that a number that was used
 * again is never mistaken for ours. Quiet unless said otherwise.
 */
#ifndef PVSPLIT_PROCESS_H
#define PVSPLIT_PROCESS_H

#include <sys/types.h>

#include "pvsplit/pvsplit.h"

#define PROCESS_INHERIT (-1) /* our own descriptor */
#define PROCESS_NULL	(-2) /* /dev/null */

struct process_spec {
	const char *const *argv; /* argv[0]: a path, or a name to be found */
	int in, out, err;	 /* descriptors, or the values above */
	bool own_session;	 /* no terminal's signals */
	bool dies_with_us;
	bool ignore_sigpipe;
	const char *const
		*env;	 /* more "NAME=value", NULL-terminated; or NULL */
	const char *dir; /* where to start; NULL: here */
	/* Run in the child before it starts the program; -errno: it fails. */
	int (*prepare)(void *arg);
	void *arg;
};

/* Returns 0, or -errno of fork, prepare or exec. *ret: the child's pid. */
int process_start(const struct process_spec *spec, pid_t *ret) PV_MUST_CHECK;

/* Wait for a child. 0 and *status; -ETIMEDOUT; -EINTR; -ECHILD. */
int process_wait(const struct pvsplit *ps, pid_t pid, uint64_t deadline_ns,
		 int *status) PV_MUST_CHECK;
/* SIGTERM, wait, SIGKILL, reap: afterwards the child is gone. */
void process_end(pid_t pid, uint64_t grace_ns);
/* 0..255 as a shell would say it: 128 + signal. */
int process_exit_code(int status);

/* Read until a line says "ready". -EPIPE it ended; -ETIMEDOUT; -EINTR. */
int process_wait_ready(const struct pvsplit *ps, int fd,
		       uint64_t deadline_ns) PV_MUST_CHECK;

/* Start, and wait for "ready" on its standard output; *ret_out reads it. */
int process_start_ready(const struct pvsplit *ps, struct process_spec *spec,
			uint64_t deadline_ns, pid_t *ret,
			int *ret_out) PV_MUST_CHECK;

/*
 * One of our programs: beside the executable, else in ../libexec/pvsplit.
 * Says so when it is not there.
 */
int process_program(const char *name, char *buf, size_t size) PV_MUST_CHECK;
/* Is there such a command in PATH (or at that path)? */
bool process_have(const char *name);

/* When pid started, in clock ticks since boot. -ESRCH. */
int process_start_time(pid_t pid, uint64_t *ret) PV_MUST_CHECK;
/* Parent of pid, or -ESRCH. */
pid_t process_parent(pid_t pid);
/* The state letter of pid ('R', 'S', 'Z', ...), or 0. */
char process_state(pid_t pid);

#endif /* PVSPLIT_PROCESS_H */
