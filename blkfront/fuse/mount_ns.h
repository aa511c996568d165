/* SPDX-License-Identifier: MIT */
/*
 * mount_ns.h - leave the mount namespace in which our disk will be mounted.
 *
 * When a process is the last one of a mount namespace, its exit unmounts what
 * is mounted there. If that is a file system on a loop device on our own file,
 * the kernel writes it back through us while we are exiting: the process, and
 * every sync(2) of the machine, then hang for ever. So the server of a disk
 * must not be a member of the namespace of those who mount it.
 *
 * Thread: a program's only one; the moves are that thread's and those' that it
 * starts later. Logs: never.
 */
#ifndef BLKFRONT_FUSE_MOUNT_NS_H
#define BLKFRONT_FUSE_MOUNT_NS_H

#include "util/annotate.h"

/*
 * Move to a mount namespace of our own in which nothing but the root file
 * system is mounted. Returns a descriptor that leads back, or -errno: -EPERM
 * without privilege, where nothing has changed.
 */
int mount_ns_leave(void) PV_MUST_CHECK;
/* Go back home; takes the descriptor over. */
int mount_ns_return(int home) PV_MUST_CHECK;

#endif /* BLKFRONT_FUSE_MOUNT_NS_H */
