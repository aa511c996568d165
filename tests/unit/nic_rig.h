/* SPDX-License-Identifier: MIT */
/*
 * nic_rig.h - for the tests of NIC drivers: a network namespace with the
 * interfaces that one needs, the driver at one end of the wire and a packet
 * socket with vnet headers at the other, and frames that show by themselves
 * whether they came through whole.
 *
 * The program says in `way` how its driver is reached and what it can do.
 */
#ifndef TESTS_UNIT_NIC_RIG_H
#define TESTS_UNIT_NIC_RIG_H

#include "netback/nic.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/clock.h"

#define PATIENCE_MS   5000
#define QUIET_MS      50 /* nothing more comes */
#define ETHERTYPE_OWN 0x88b5u
#define MTU	      1500u

struct nic_way {
	const char *driver;
	int family;		       /* of its sockets; 0: none */
	const char *name;	       /* what acquire is asked for */
	void (*make)(void);	       /* the interfaces that must be there */
	const char *(*far)(void);      /* the interface at the other end */
	const char *wire;	       /* whose link and MTU are the uplink's */
	const char *const *interfaces; /* made by make; NULL-terminated */
	uint32_t nr_queues;	       /* as many as it can have */
	bool gso; /* segmented by the receiver: one frame stays one */
	/* One that can be full; NULL: any that begin_queues makes. */
	void (*make_narrow)(void);
};

static const struct nic_way way;
static struct nic_desc desc;
static struct nic *nic;
static int far_fd = -1;
/* What the last recv returned, and how much of it was looked at. */
static struct nic_frame burst[NIC_BURST_MAX];
static int burst_at, burst_nr;
static unsigned burst_queue;

static const uint8_t near_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t far_mac[6] = { 2, 0, 0, 0, 0, 2 };

static inline void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

/* ---- links --------------------------------------------------------------- */

static inline struct nl_sock *route(void)
{
	struct nl_sock *sock = nl_socket_alloc();

	must(sock && !nl_connect(sock, NETLINK_ROUTE), "netlink");
	return sock;
}

/* Change what want says of the interface. */
static inline void link_apply(const char *ifname, struct rtnl_link *want)
{
	struct nl_sock *sock = route();
	struct rtnl_link *link;

	must(!rtnl_link_get_kernel(sock, 0, ifname, &link), ifname);
	must(!rtnl_link_change(sock, link, want, 0), ifname);
	rtnl_link_put(link);
	rtnl_link_put(want);
	nl_socket_free(sock);
}

static inline void link_set_up(const char *ifname, bool up)
{
	struct rtnl_link *want = rtnl_link_alloc();

	if (up)
		rtnl_link_set_flags(want, IFF_UP);
	else
		rtnl_link_unset_flags(want, IFF_UP);
	link_apply(ifname, want);
}

static inline void link_set_mtu(const char *ifname, uint32_t mtu)
{
	struct rtnl_link *want = rtnl_link_alloc();

	rtnl_link_set_mtu(want, mtu);
	link_apply(ifname, want);
}

static inline void link_delete(const char *ifname)
{
	struct nl_sock *sock = route();
	struct rtnl_link *link;

	if (!rtnl_link_get_kernel(sock, 0, ifname, &link)) {
		rtnl_link_delete(sock, link);
		rtnl_link_put(link);
	}
	nl_socket_free(sock);
}

static inline void make_bridge(const char *ifname)
{
	struct nl_sock *sock = route();

	must(!rtnl_link_bridge_add(sock, ifname), "making a bridge");
	nl_socket_free(sock);
	link_set_up(ifname, true);
}

static inline void make_veth(const char *ifname, const char *peer)
{
	struct nl_sock *sock = route();

	must(!rtnl_link_veth_add(sock, ifname, peer, getpid()),
	     "making a veth pair");
	nl_socket_free(sock);
	link_set_up(ifname, true);
	link_set_up(peer, true);
}

/* ---- the two ends -------------------------------------------------------- */

static inline unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned nr = 0;

	while (readdir(d))
		nr++;
	closedir(d);
	return nr;
}

static inline void far_open(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL) };
	int one = 1, room = 64 << 20;

	far_fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(far_fd >= 0, "a packet socket");
	must(!setsockopt(far_fd, SOL_PACKET, PACKET_VNET_HDR, &one,
			 sizeof(one)),
	     "PACKET_VNET_HDR");
	must(!setsockopt(far_fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
			 sizeof(one)),
	     "PACKET_IGNORE_OUTGOING");
	must(!setsockopt(far_fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
			 sizeof(room)),
	     "SO_RCVBUFFORCE");
	at.sll_ifindex = (int)if_nametoindex(way.far());
	must(!bind(far_fd, (struct sockaddr *)&at, sizeof(at)), way.far());
}

/* The driver as the monitor and the worker use it, and its other end. */
static inline bool begin_queues(uint32_t nr_queues)
{
	const struct nic_ops *ops = nic_by_name(way.driver);
	const struct nic_request req = { .name = way.name,
					 .nr_queues = nr_queues };
	int fds[NIC_FDS_MAX];
	char why[256] = "";

	way.make();
	if (ops->acquire(&req, &desc, fds, why, sizeof(why))) {
		fprintf(stderr, "acquire: %s\n", why);
		return false;
	}
	if (ops->open(&desc, fds, &nic))
		return false;
	if (ops->carrier)
		ops->carrier(nic, true);
	far_open();
	return true;
}

/* A socket in place of the driver's own. */
static inline void make_wire(const char *driver)
{
	int room = 1 << 20, wire[2];

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
			 0, wire),
	     "a socket pair");
	far_fd = wire[1];
	must(!setsockopt(far_fd, SOL_SOCKET, SO_SNDBUFFORCE, &room,
			 sizeof(room)),
	     "SO_SNDBUFFORCE");
	desc = (struct nic_desc){ .mtu = MTU, .nr_queues = 1, .nr_fds = 1 };
	must(!nic_by_name(driver)->open(&desc, wire, &nic), "opening");
}

static inline void end(void)
{
	if (nic)
		nic->ops->close(nic);
	nic = NULL;
	if (far_fd >= 0)
		close(far_fd);
	far_fd = -1;
	burst_at = burst_nr = 0;
	for (const char *const *i = way.interfaces; *i; i++)
		link_delete(*i);
}

/* ---- frames -------------------------------------------------------------- */

/* Byte i of the payload of frame nr. */
static inline uint8_t pattern(uint32_t nr, uint32_t i)
{
	return (uint8_t)((nr * 2654435761u + i * 40503u) >> 8);
}

static inline void addresses(uint8_t *buf, bool to_far)
{
	memcpy(buf, to_far ? far_mac : near_mac, 6);
	memcpy(buf + 6, to_far ? near_mac : far_mac, 6);
}

/* A frame without IP, its number in front. */
static inline void plain_frame(uint8_t *buf, uint32_t size_bytes, bool to_far,
			       uint32_t nr)
{
	addresses(buf, to_far);
	buf[12] = ETHERTYPE_OWN >> 8;
	buf[13] = ETHERTYPE_OWN & 0xff;
	for (uint32_t i = PACKET_ETH_BYTES; i < size_bytes; i++)
		buf[i] = pattern(nr, i);
}

static inline void put_be16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

#define TCP_BYTES      20u
#define HEADERS_V4     (PACKET_ETH_BYTES + 20u + TCP_BYTES)
#define HEADERS_V6     (PACKET_ETH_BYTES + 40u + TCP_BYTES)
#define HEADERS(ipv6)  ((ipv6) ? HEADERS_V6 : HEADERS_V4)
#define TCP_AT(ipv6)   (HEADERS(ipv6) - TCP_BYTES)
#define TCP_SUM(ipv6)  (TCP_AT(ipv6) + 16u)
#define TCP_FIRST_SEQ  1000u
#define PROTO_TCP_BYTE 6u

static inline void ip_header(uint8_t *ip, bool ipv6, uint32_t l4_bytes)
{
	uint16_t sum;

	if (ipv6) {
		memset(ip, 0, 40);
		ip[0] = 0x60;
		put_be16(ip + 4, l4_bytes);
		ip[6] = PROTO_TCP_BYTE;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[23] = 1;
		ip[39] = 2;
		return;
	}
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put_be16(ip + 2, 20 + l4_bytes);
	ip[8] = 64;
	ip[9] = PROTO_TCP_BYTE;
	ip[12] = ip[16] = 10;
	ip[15] = 1;
	ip[19] = 2;
	sum = (uint16_t)~packet_sum_fold(packet_sum(ip, 20, 0));
	memcpy(ip + 10, &sum, sizeof(sum));
}

/* A TCP segment, whole checksum. Returns the frame's size. */
static inline uint32_t tcp_frame(uint8_t *buf, bool ipv6, uint32_t data_bytes,
				 bool to_far)
{
	uint32_t size_bytes = HEADERS(ipv6) + data_bytes;
	uint8_t *tcp = buf + TCP_AT(ipv6);

	addresses(buf, to_far);
	put_be16(buf + 12, ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	ip_header(buf + PACKET_ETH_BYTES, ipv6, TCP_BYTES + data_bytes);
	memset(tcp, 0, TCP_BYTES);
	put_be16(tcp, 1111);
	put_be16(tcp + 2, 2222);
	put_be16(tcp + 6, TCP_FIRST_SEQ);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = 0x10;
	put_be16(tcp + 14, 512);
	for (uint32_t i = 0; i < data_bytes; i++)
		buf[HEADERS(ipv6) + i] = pattern(0, i);
	must(!packet_fill_csum(buf, size_bytes), "a checksum");
	return size_bytes;
}

/* The same without: what the pseudo header adds up to. */
static inline void blank_csum(uint8_t *buf, bool ipv6, uint32_t size_bytes)
{
	struct packet_meta meta = {
		.gso = ipv6 ? PACKET_GSO_TCPV6 : PACKET_GSO_TCPV4,
		.gso_size = 1,
	};
	struct packet_layout layout;

	must(!packet_check_meta(buf,
				size_bytes < PACKET_HEAD_MAX ? size_bytes
							     : PACKET_HEAD_MAX,
				size_bytes, &meta, &layout),
	     "a blank checksum");
}

/* ---- the driver's end ---------------------------------------------------- */

/* In pieces, as a guest's frames are. */
static inline int near_send(unsigned queue, const uint8_t *bytes,
			    uint32_t size_bytes, struct packet_meta meta)
{
	struct frame f = { .size_bytes = size_bytes, .meta = meta };
	uint32_t at, step;

	f.head_bytes =
		size_bytes < PACKET_HEAD_MAX ? size_bytes : PACKET_HEAD_MAX;
	memcpy(f.head, bytes, f.head_bytes);
	must(!packet_check_meta(f.head, f.head_bytes, size_bytes, &f.meta,
				&f.layout),
	     "the headers");
	step = (size_bytes - f.head_bytes) / FRAME_PARTS_MAX + 1;
	for (at = f.head_bytes; at < size_bytes; at += step)
		f.parts[f.nr_parts++] = (struct frame_part){
			(const void PV_SHARED *)(bytes + at),
			size_bytes - at < step ? size_bytes - at : step,
		};
	return nic->ops->send(nic, queue, &f);
}

static inline bool near_wait(int timeout_ms)
{
	struct pollfd fds[NIC_QUEUES_MAX];

	for (uint32_t i = 0; i < desc.nr_queues; i++)
		fds[i] =
			(struct pollfd){ nic->ops->wait_fd(nic, i), POLLIN, 0 };
	return poll(fds, desc.nr_queues, timeout_ms) > 0;
}

/* From the far end, and not the kernel's own. */
static inline bool near_is_ours(const struct nic_frame *f)
{
	return !memcmp(f->data + 6, far_mac, 6);
}

/* The next frame of the far end's, by bursts of any queue. */
static inline const struct nic_frame *near_next(unsigned max, int timeout_ms)
{
	uint64_t end_ns =
		clock_now_ns() + (uint64_t)timeout_ms * 1000 * NS_PER_US;

	do {
		while (burst_at < burst_nr) {
			const struct nic_frame *f = &burst[burst_at++];

			if (near_is_ours(f))
				return f;
		}
		burst_at = burst_nr = 0;
		for (unsigned q = 0; !burst_nr && q < desc.nr_queues; q++) {
			burst_queue = q;
			burst_nr = nic->ops->recv(nic, q, burst, max);
		}
		if (burst_nr < 0)
			return NULL;
		if (!burst_nr)
			near_wait(10);
	} while (clock_now_ns() < end_ns);
	return NULL;
}

/* ---- the other end ------------------------------------------------------- */

static inline void far_send(const uint8_t *bytes, uint32_t size_bytes,
			    const struct virtio_net_hdr *hdr)
{
	static const struct virtio_net_hdr none;
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)(hdr ? hdr : &none), sizeof(*hdr) },
		{ (void *)(uintptr_t)bytes, size_bytes },
	};
	struct pollfd room = { far_fd, POLLOUT, 0 };

	must(poll(&room, 1, PATIENCE_MS) > 0, "the far end's room");
	must(writev(far_fd, iov, 2) > 0, "the far end's sending");
}

/* The next frame of the driver's, or 0 when none comes in time. */
static inline uint32_t far_receive(uint8_t *buf, uint32_t room,
				   struct virtio_net_hdr *hdr, int timeout_ms)
{
	uint64_t end_ns =
		clock_now_ns() + (uint64_t)timeout_ms * 1000 * NS_PER_US;
	struct iovec iov[2] = { { hdr, sizeof(*hdr) }, { buf, room } };
	struct pollfd some = { far_fd, POLLIN, 0 };

	while (clock_now_ns() < end_ns) {
		ssize_t n = readv(far_fd, iov, 2);

		if (n < 0)
			poll(&some, 1, 10);
		else if (!memcmp(buf + 6, near_mac, 6))
			return (uint32_t)((size_t)n - sizeof(*hdr));
	}
	return 0;
}

/* ---- the program --------------------------------------------------------- */

/* A namespace of our own. False: said why not. */
static inline bool nic_rig_begin(void)
{
	int fd;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		puts("skipped: needs root and a network namespace");
		return false;
	}
	/* The kernel is to have nothing to say. */
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
	if (fd >= 0) {
		must(write(fd, "1", 1) == 1, "disable_ipv6");
		close(fd);
	}
	return true;
}

/* Does this kernel have sockets of that family? False: said why not. */
static inline bool nic_rig_has(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		printf("skipped: sockets of family %d: %s\n", family,
		       strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

#endif /* TESTS_UNIT_NIC_RIG_H */
