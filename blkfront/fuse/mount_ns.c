/* SPDX-License-Identifier: MIT */
/* mount_ns.c - see mount_ns.h. Used by blkfront-fuse.c and loops.c. */
#include "blkfront/fuse/mount_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

int mount_ns_leave(void)
{
	int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int err;

	if (home < 0)
		return -errno;
	if (unshare(CLONE_NEWNS)) {
		err = -errno;
		goto fail;
	}
	/* Nothing of home's comes here, and what came along must not stay: a
	 * copy of a mount keeps a file system from being unmounted. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    umount2("/", MNT_DETACH)) {
		err = -errno;
		return mount_ns_return(home) ? -ENOTRECOVERABLE : err;
	}
	return home;

fail:
	close(home);
	return err;
}

int mount_ns_return(int home)
{
	int err = 0;

	/* setns wants a root that no other thread shares: one that was joined
	 * just now may not have let go of it yet. */
	if (unshare(CLONE_FS) || setns(home, CLONE_NEWNS))
		err = -errno;
	close(home);
	return err;
}
