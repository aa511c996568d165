/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - fork and exec of a program of ours that talks to us.
 *
 * The child has our standard error, one end of a socket pair as SPAWN_FD, and
 * nothing else of ours; no signal is blocked there. SIGINT is ignored: Ctrl-C
 * reaches the whole process group, and it is we who end the child then.
 *
 * Thread: one that has blocked no more than the child may do without. Blocks
 * until the program runs. Logs: never.
 */
#ifndef UTIL_SPAWN_H
#define UTIL_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/annotate.h"

/* The child finds its end of the pair in this descriptor. */
#define SPAWN_FD 3

struct spawn {
	const char *program;	 /* path */
	const char *const *argv; /* NULL-terminated; argv[0] included */
	int sock;		 /* stays ours */
	bool dies_with_us;	 /* killed when we end, however we do */
	bool no_stdio;		 /* standard input and output: /dev/null */
};

/* Returns 0, or the -errno of what failed, exec included. */
int spawn(const struct spawn *s, pid_t *ret_pid) PV_MUST_CHECK;

#endif /* UTIL_SPAWN_H */
