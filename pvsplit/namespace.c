/* SPDX-License-Identifier: MIT */
/* namespace.c - see namespace.h. */
#include "pvsplit/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <unistd.h>

#include "pvsplit/link.h"

int namespace_enter_pids(int pid_ns, int *ret_own)
{
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), err;

	if (own < 0)
		return -errno;
	if (pid_ns >= 0 ? setns(pid_ns, CLONE_NEWPID) < 0
			: unshare(CLONE_NEWPID) < 0) {
		err = -errno;
		close(own);
		return err;
	}
	*ret_own = own;
	return 0;
}

int namespace_leave_pids(int own)
{
	int err = setns(own, CLONE_NEWPID) < 0 ? -errno : 0;

	close(own);
	return err;
}

int namespace_make_own(void)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", flags, NULL) < 0)
		return -errno;
	/* for programs that look for interfaces there; the rest do without */
	if (mount("sysfs", "/sys", "sysfs", flags, NULL) < 0)
		errno = 0;
	return link_up("lo");
}
