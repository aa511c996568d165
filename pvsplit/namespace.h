/* SPDX-License-Identifier: MIT */
/*
 * namespace.h - namespaces of processes, mounts and networks, for guests and
 * for the demo, which puts all of itself into one set. Quiet; 0 or -errno.
 */
#ifndef PVSPLIT_NAMESPACE_H
#define PVSPLIT_NAMESPACE_H

#include "util/annotate.h"

/*
 * From now until namespace_leave_pids, children are born in another PID
 * namespace: in the one of pid_ns, or (-1) as process 1 of a new one. *ret_own
 * is for the way back.
 */
int namespace_enter_pids(int pid_ns, int *ret_own) PV_MUST_CHECK;
int namespace_leave_pids(int own) PV_MUST_CHECK;

/*
 * As process 1: mounts and a network of our own, nothing of them shared with
 * the outside, /proc and /sys showing what is inside.
 */
int namespace_make_own(void) PV_MUST_CHECK;

#endif /* PVSPLIT_NAMESPACE_H */
