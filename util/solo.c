/* SPDX-License-Identifier: MIT */
/* solo.c - see solo.h. Called by the frontends when they open a device. */
#include "util/solo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "util/num.h"

int solo_take(const char *run_dir, enum solo_kind kind, uint16_t domid,
	      uint32_t handle, int *ret_fd)
{
	/* Nothing is ever written there: any offset is as good as another. */
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)((uint64_t)kind << 48 |
				   (uint64_t)domid << 32 | handle),
		.l_len = 1,
	};
	char path[PATH_MAX];
	int fd = -1, err = 0;

	if (str_printf(path, sizeof(path), "%s/lock", run_dir) >= 0)
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) < 0)
		err = errno == EAGAIN || errno == EACCES ? -EBUSY : 0;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}
