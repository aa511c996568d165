/* SPDX-License-Identifier: MIT */
/*
 * net_kernel.c - util/segment.c and util/packet_csum.c against Linux: a frame
 * goes into one TAP with all that its vnet header asks for, over a bridge, and
 * out of another TAP whose reader can do nothing. What the kernel made of it is
 * what we make of it, byte by byte. In a network namespace of its own; a
 * failure prints its seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/unit/net_frames.h"
#include "tests/unit/soak.h"
#include "tests/unit/unit.h"
#include "util/segment.h"

/* A TAP's queue holds as many. */
#define SEGMENTS_MAX 400u

static int in = -1, out = -1;
static struct test_frame frame, got;
static uint8_t ours[FRAME_BYTES_MAX];

/* ---- two TAPs and a bridge ----------------------------------------------- */

static int tap_open(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags =
				     (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool link_up(int sock, const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return !ioctl(sock, SIOCSIFFLAGS, &ifr);
}

static bool bridge_add(int sock, const char *name)
{
	struct ifreq ifr = { .ifr_ifindex = (int)if_nametoindex(name) };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "br0");
	return !ioctl(sock, SIOCBRADDIF, &ifr) && link_up(sock, name);
}

/* Returns NULL, or what is missing. */
static const char *kernel_open(void)
{
	int sock;
	bool ok;

	if (geteuid())
		return "needs root";
	if (unshare(CLONE_NEWNET))
		return "cannot make a network namespace";
	in = tap_open("in0", IFF_VNET_HDR);
	out = tap_open("out0", 0);
	if (in < 0 || out < 0)
		return "needs /dev/net/tun";
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok = sock >= 0 && !ioctl(sock, SIOCBRADDBR, "br0") &&
	     bridge_add(sock, "in0") && bridge_add(sock, "out0") &&
	     link_up(sock, "br0");
	if (sock >= 0)
		close(sock);
	return ok ? NULL : "cannot make a bridge";
}

static void kernel_close(void)
{
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	in = out = -1;
}

static bool kernel_send(const struct packet_meta *meta,
			const struct packet_layout *at)
{
	struct virtio_net_hdr hdr;
	struct iovec iov[2] = { { &hdr, sizeof(hdr) },
				{ frame.b, frame.size } };

	packet_to_vnet(meta, at, &hdr);
	return writev(in, iov, 2) == (ssize_t)(sizeof(hdr) + frame.size);
}

/* The next of our frames: the kernel has some of its own to say. */
static bool kernel_recv(void)
{
	struct pollfd p = { .fd = out, .events = POLLIN };

	while (poll(&p, 1, 2000) > 0) {
		ssize_t n = read(out, got.b, sizeof(got.b));

		if (n < 12 || memcmp(got.b + 6, frame.b + 6, 6))
			continue;
		got.size = (uint32_t)n;
		return true;
	}
	return false;
}

static bool kernel_has_more(void)
{
	ssize_t n;

	while ((n = read(out, got.b, sizeof(got.b))) > 0)
		if (n >= 12 && !memcmp(got.b + 6, frame.b + 6, 6))
			return true;
	return false;
}

/* ---- comparing ----------------------------------------------------------- */

static bool same(uint32_t size)
{
	return !packet_fill_csum(ours, size) && kernel_recv() &&
	       got.size == size && !memcmp(got.b, ours, size);
}

static bool segments_are_the_kernels(uint16_t mss)
{
	struct packet_meta meta = { .gso = frame.ipv6 ? PACKET_GSO_TCPV6
						      : PACKET_GSO_TCPV4,
				    .gso_size = mss };
	struct packet_layout at;
	struct segmenter s;
	struct segment seg;

	if (packet_check_meta(frame.b, frame.payload, frame.size, &meta, &at) ||
	    !kernel_send(&meta, &at))
		return false;
	segmenter_init(&s, frame.b, &at, mss);
	while (segmenter_next(&s, ours, &seg)) {
		memcpy(ours + seg.head_bytes, frame.b + seg.payload_at,
		       seg.payload_bytes);
		if (!same(seg.head_bytes + seg.payload_bytes))
			return false;
	}
	return !kernel_has_more();
}

static bool checksum_is_the_kernels(void)
{
	struct packet_meta meta = { .csum_blank = true };
	struct packet_layout at;
	uint16_t pseudo;

	if (packet_check_meta(frame.b, frame.payload, frame.size, &meta, &at))
		return false;
	pseudo = packet_pseudo_sum(frame.b, &at);
	memcpy(frame.b + at.csum, &pseudo, sizeof(pseudo));
	memcpy(ours, frame.b, frame.size);
	return kernel_send(&meta, &at) && same(frame.size);
}

/* A frame by seed; large: one that is worth cutting. */
static void make(uint32_t seed, bool tcp, bool large, uint16_t *ret_mss)
{
	struct frame_wish wish = { .dst = { 2, 0, 0, 0, 0, 2 },
				   .src = { 2, 0, 0, 0, 0, 1 },
				   .tcp = tcp };

	frame_seed(seed);
	wish.ipv6 = frame_random(2);
	wish.vlan = !frame_random(4);
	*ret_mss = (uint16_t)(200 + frame_random(1200));
	wish.payload_bytes =
		large ? 1 + frame_random(frame_random(2) ? 5000 : 65535)
		      : frame_random(1300);
	if (wish.payload_bytes > SEGMENTS_MAX * *ret_mss)
		wish.payload_bytes = SEGMENTS_MAX * *ret_mss;
	frame_make(&frame, &wish);
}

/* ---- cases --------------------------------------------------------------- */

static void segments_are_what_linux_makes(void)
{
	uint32_t rounds = soak_rounds(300, 20000);

	for (uint32_t seed = 0; seed < rounds; seed++) {
		uint16_t mss;
		bool ok;

		make(seed, true, true, &mss);
		ok = segments_are_the_kernels(mss);
		if (!ok)
			fprintf(stderr, "seed %u\n", seed);
		UNIT_REQUIRE(ok);
	}
}

static void checksums_are_what_linux_computes(void)
{
	uint32_t rounds = soak_rounds(600, 20000);

	for (uint32_t seed = 0; seed < rounds; seed++) {
		uint16_t mss;
		bool ok;

		make(seed, seed & 1, false, &mss);
		ok = checksum_is_the_kernels();
		if (!ok)
			fprintf(stderr, "seed %u\n", seed);
		UNIT_REQUIRE(ok);
	}
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(segments_are_what_linux_makes),
		UNIT_TEST(checksums_are_what_linux_computes),
	};
	const char *missing = kernel_open();
	int failed;

	if (missing) {
		kernel_close();
		printf("skipped: %s\nnet_kernel: 0 passed, 0 failed, 2 "
		       "skipped\n",
		       missing);
		return 77;
	}
	failed =
		unit_run("net_kernel", cases, sizeof(cases) / sizeof(cases[0]));
	kernel_close();
	return failed;
}
