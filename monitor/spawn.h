/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - fork and exec of a worker. Private to monitor/.
 *
 * The worker has standard input, output and error of the monitor, sock as
 * MONITOR_WORKER_FD, and nothing else; it dies with the monitor.
 */
#ifndef MONITOR_SPAWN_H
#define MONITOR_SPAWN_H

#include <sys/types.h>

#include "util/annotate.h"

/* Returns 0, or the -errno of what failed, exec included. sock stays ours. */
int monitor_spawn(const char *program, const char *const *argv, int sock,
		  pid_t *ret_pid) PV_MUST_CHECK;

#endif /* MONITOR_SPAWN_H */
