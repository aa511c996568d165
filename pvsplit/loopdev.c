/* SPDX-License-Identifier: MIT */
/* loopdev.c - loop devices. See loopdev.h. */
#include "pvsplit/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONTROL	   "/dev/loop-control"
#define TRIES	   64
#define BLOCK_SIZE 512u

static int configure(int fd, int backing, bool readonly)
{
	struct loop_config config = {
		.fd = (unsigned)backing,
		.block_size = BLOCK_SIZE,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO |
				 (readonly ? LO_FLAGS_READ_ONLY : 0u),
	};

	if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* the file cannot do direct i/o: then through the page cache */
	config.info.lo_flags &= ~(unsigned)LO_FLAGS_DIRECT_IO;
	return ioctl(fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

/* One try: somebody else may take the device between the two calls: -EBUSY. */
static int take_free(int control, int backing, bool readonly,
		     char name[LOOPDEV_NAME_MAX], int *ret_fd)
{
	int number = ioctl(control, LOOP_CTL_GET_FREE), fd, err;

	if (number < 0)
		return -errno;
	snprintf(name, LOOPDEV_NAME_MAX, "/dev/loop%d", number);
	fd = open(name, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = configure(fd, backing, readonly);
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int loopdev_attach(const char *file, bool readonly, char name[LOOPDEV_NAME_MAX],
		   int *ret_fd)
{
	int control, backing, err = -EBUSY;

	backing = open(file, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (backing < 0)
		return -errno;
	control = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (control < 0) {
		err = -errno;
		goto out;
	}
	for (int i = 0; i < TRIES && err == -EBUSY; i++)
		err = take_free(control, backing, readonly, name, ret_fd);
	close(control);
out:
	close(backing);
	return err;
}

void loopdev_detach(int fd)
{
	if (fd < 0)
		return;
	/* when it is busy the kernel clears it at the last close */
	ioctl(fd, LOOP_CLR_FD, 0);
	close(fd);
}

bool loopdev_available(void)
{
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}
