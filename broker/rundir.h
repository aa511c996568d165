/* SPDX-License-Identifier: MIT */
/*
 * rundir.h - the daemon's directory: one daemon each, nothing stale in it.
 *
 * Thread: the daemon's, before it serves. Logs: every failure, one line.
 */
#ifndef BROKER_RUNDIR_H
#define BROKER_RUNDIR_H

#include "util/annotate.h"

/*
 * Make path (mode 0755) when it is missing, take its lock, and remove the
 * sockets of a daemon that died. Before anything is made: -ENAMETOOLONG when a
 * domain's socket would not fit an address. -EBUSY another daemon serves it;
 * -EPERM it is not ours alone to write; -ENOTEMPTY something there is not a
 * daemon's.
 * Returns a descriptor that holds the lock until it is closed.
 */
int rundir_open(const char *path) PV_MUST_CHECK;

#endif /* BROKER_RUNDIR_H */
