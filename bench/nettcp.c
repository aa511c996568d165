/* SPDX-License-Identifier: MIT */
/*
 * nettcp.c - the least that joins two TAPs, as a peer. Run by nettcp.sh:
 *
 *	nettcp IFNAME NETNS NETNS
 *
 * Makes a TAP of that name in each of two network namespaces and passes frames
 * on between them, whole, with their vnet headers: segments stay uncut and
 * checksums blank, as between our guests. One process, one thread, two system
 * calls a frame, no ring and nobody to distrust. Prints "ready", ends when it
 * is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FRAME_MAX (65550u + 16u) /* with the vnet header */
#define BURST	  64u /* frames of one side before the other's turn */

static int enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 || setns(fd, CLONE_NEWNET) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

/* Returns the TAP's descriptor, or -errno. */
static int tap_open(const char *netns, const char *ifname)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int err = enter(netns), fd;

	if (err)
		return err;
	if (strlen(ifname) >= IFNAMSIZ)
		return -EINVAL;
	memcpy(ifr.ifr_name, ifname, strlen(ifname) + 1);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) <
		    0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* A frame that the other side has no room for is lost, as on a wire. */
static int pass(int from, int to)
{
	static uint8_t frame[FRAME_MAX];

	for (unsigned i = 0; i < BURST; i++) {
		ssize_t n = read(from, frame, sizeof(frame));

		if (n < 0 && errno == EAGAIN)
			return 0;
		/* EIO: an interface is down. */
		if (n < 0 && errno != EIO)
			return -errno;
		if (n > 0 && write(to, frame, (size_t)n) < 0 &&
		    errno != EAGAIN && errno != EIO)
			return -errno;
	}
	return 0;
}

static int relay(const int fds[2])
{
	struct pollfd pfds[2] = { { fds[0], POLLIN, 0 },
				  { fds[1], POLLIN, 0 } };

	for (;;) {
		int err;

		if (poll(pfds, 2, -1) < 0)
			return -errno;
		err = pass(fds[0], fds[1]);
		if (!err)
			err = pass(fds[1], fds[0]);
		if (err)
			return err;
	}
}

int main(int argc, char **argv)
{
	int fds[2], err;

	if (argc != 4) {
		fprintf(stderr, "usage: nettcp IFNAME NETNS NETNS\n");
		return 2;
	}
	for (int i = 0; i < 2; i++) {
		fds[i] = tap_open(argv[2 + i], argv[1]);
		if (fds[i] < 0) {
			fprintf(stderr, "nettcp: a TAP in %s: %s\n",
				argv[2 + i], strerror(-fds[i]));
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	err = relay(fds);
	fprintf(stderr, "nettcp: %s\n", strerror(-err));
	return 1;
}
