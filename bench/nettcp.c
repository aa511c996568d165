/* SPDX-License-Identifier: MIT */
/*
 * nettcp.c - the peer of nettcp.sh, which runs it, and small packets for it.
 *
 *	nettcp relay IFNAME NETNS NETNS
 *
 * The least that joins two TAPs: makes one of that name in each of two network
 * namespaces and passes frames on between them, whole, with their vnet headers:
 * segments stay uncut and checksums blank, as between our guests. One process,
 * one thread, two system calls a frame, no ring and nobody to distrust. Prints
 * "ready", ends when it is killed.
 *
 *	nettcp packet IFNAME NETNS INTERFACE NETNS
 *
 * The same between a TAP in the first namespace and an interface that the
 *second one has, by a packet socket.
 *
 *	nettcp send ADDRESS SECONDS
 *	nettcp receive
 *
 * UDP packets in frames of 64 bytes, as many as can be sent, 64 a system call;
 * and how many thousand a second arrive. The receiver prints "ready", then
 *that, when no more come.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"

#define FRAME_MAX (65550u + 16u) /* with the vnet header */
#define BURST	  64u /* frames of one side before the other's turn */

#define PORT	     5202
#define PACKET_BYTES 22u /* of data, in a frame of 64 */
#define FIRST_MS     5000
#define SILENCE_MS   200

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

/* Returns the packet socket's descriptor, or -errno. */
static int packet_open(const char *netns, const char *ifname)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	int err = enter(netns), one = 1, room = 8 << 20, fd;

	if (err)
		return err;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	at.sll_ifindex = all.mr_ifindex = (int)if_nametoindex(ifname);
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
		       sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all,
		       sizeof(all)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
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

static int run_relay(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] < 0)
			return fds[i];
	puts("ready");
	fflush(stdout);
	return relay(fds);
}

/* ---- small packets ------------------------------------------------------- */

/* For each message the same bytes: nobody looks at them. */
static void fill(struct mmsghdr msgs[BURST])
{
	static char data[PACKET_BYTES];
	static struct iovec piece = { data, sizeof(data) };

	memset(msgs, 0, BURST * sizeof(msgs[0]));
	for (unsigned i = 0; i < BURST; i++) {
		msgs[i].msg_hdr.msg_iov = &piece;
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static int run_send(const char *address, uint32_t seconds)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT) };
	uint64_t end_ns = clock_now_ns() + seconds * NS_PER_S;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct mmsghdr msgs[BURST];

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return -EINVAL;
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return -errno;
	fill(msgs);
	while (clock_now_ns() < end_ns)
		if (sendmmsg(fd, msgs, BURST, 0) < 0 && errno != ENOBUFS &&
		    errno != ECONNREFUSED)
			return -errno;
	close(fd);
	return 0;
}

static int run_receive(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd pfd = { fd, POLLIN, 0 };
	uint64_t nr = 0, first_ns = 0, last_ns = 0;
	struct mmsghdr msgs[BURST];

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		return -errno;
	puts("ready");
	fflush(stdout);
	fill(msgs);
	while (poll(&pfd, 1, nr ? SILENCE_MS : FIRST_MS) > 0) {
		int n = recvmmsg(fd, msgs, BURST, MSG_DONTWAIT, NULL);

		last_ns = clock_now_ns();
		if (!nr)
			first_ns = last_ns;
		nr += n > 0 ? (uint64_t)n : 0;
	}
	close(fd);
	if (last_ns == first_ns)
		return -ETIMEDOUT;
	printf("%.2f\n", (double)nr * 1e6 / (double)(last_ns - first_ns));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint32_t seconds;
	int err;

	if (argc == 5 && !strcmp(what, "relay"))
		err = run_relay((const int[]){ tap_open(argv[3], argv[2]),
					       tap_open(argv[4], argv[2]) });
	else if (argc == 6 && !strcmp(what, "packet"))
		err = run_relay((const int[]){ tap_open(argv[3], argv[2]),
					       packet_open(argv[5], argv[4]) });
	else if (argc == 4 && !strcmp(what, "send") &&
		 !num_parse_u32(argv[3], 1000, &seconds))
		err = run_send(argv[2], seconds);
	else if (argc == 2 && !strcmp(what, "receive"))
		err = run_receive();
	else {
		fprintf(stderr, "usage: nettcp relay IFNAME NETNS NETNS\n"
				"       nettcp packet IFNAME NETNS INTERFACE "
				"NETNS\n"
				"       nettcp send ADDRESS SECONDS\n"
				"       nettcp receive\n");
		return 2;
	}
	if (err)
		fprintf(stderr, "nettcp: %s: %s\n", what, strerror(-err));
	return err ? 1 : 0;
}
