/* SPDX-License-Identifier: MIT */
/*
 * af_packet.c - an existing interface, through a packet socket.
 *
 * acquire() runs in the monitor and needs CAP_NET_RAW and CAP_NET_ADMIN; the
 * worker has only the socket, and so has its successor: nothing has to be found
 * out about what a dead worker left. All that is asked of the interface,
 * promiscuous reception, ends with the socket. Its addresses and its state are
 * its owner's.
 *
 * The vnet header before each frame carries what the frame leaves to its
 * receiver, both ways: a packet of 64 KiB is one frame. A frame comes as the
 * interface took it, before any of the host's rules, and what the host itself
 * sends there is not shown. The kernel takes a VLAN tag out of a frame; it is
 * put back.
 *
 * Neighbours: link.c (netlink), drivers.c. Thread: the data thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netback/nic/private.h"
#include "util/be.h"
#include "util/list.h"
#include "util/num.h"

/* What waits in the socket: some frames of 64 KiB. */
#define QUEUE_BYTES (8 << 20)

#define TAG_BYTES  FRAME_TAG_BYTES
#define MACS_BYTES (2 * PACKET_MAC_BYTES)
/*
 * Room for a tag, a frame, and one byte more, or a frame that was cut off looks
 * whole. An odd number of cache lines: frames begin in different sets of them.
 */
#define SLOT_BYTES 65600u
/* A burst is to stay in the cache: so much of the memory below is in use. */
#define BURST_BYTES (256u << 10)
#define BURST_MIN   4u

_Static_assert(SLOT_BYTES > TAG_BYTES + NIC_FRAME_MAX, "a slot");
_Static_assert(SLOT_BYTES / 64 % 2 == 1, "a slot");

struct slot {
	struct virtio_net_hdr hdr;
	struct iovec iov[3];
	_Alignas(struct cmsghdr)
		uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
};

struct af_packet {
	struct nic nic;
	int fd;
	unsigned burst; /* frames that BURST_BYTES are likely to hold */
	uint8_t *arena;
	struct mmsghdr msgs[NIC_BURST_MAX];
	struct slot slots[NIC_BURST_MAX];
};

/* ---- monitor ----------------------------------------------------------- */

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno
									: 0;
}

/* As large as the kernel lets us have it. */
static void make_room(int fd)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES))
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, QUEUE_BYTES);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, QUEUE_BYTES))
		(void)set(fd, SOL_SOCKET, SO_SNDBUF, QUEUE_BYTES);
}

static int configure(int fd, int ifindex)
{
	const struct packet_mreq all = {
		.mr_ifindex = ifindex,
		.mr_type = PACKET_MR_PROMISC,
	};
	const struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex,
	};
	int err = set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);

	if (!err)
		err = set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	if (!err)
		err = set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (!err && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all,
			       sizeof(all)) < 0)
		err = -errno;
	if (err)
		return err;
	make_room(fd);
	/* Last: until then nothing comes. */
	return bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ? -errno
								      : 0;
}

static int af_packet_acquire(const struct nic_request *req,
			     struct nic_desc *desc, int fds[NIC_FDS_MAX],
			     char *why, size_t why_size)
{
	struct nic_desc d = { .driver = "af_packet", .nr_queues = 1 };
	struct link_info link;
	int fd, err;

	if (str_printf(d.ifname, sizeof(d.ifname), "%s", req->name) < 0)
		return nic_explain(-ENAMETOOLONG, why, why_size,
				   "the interface");
	err = link_find(d.ifname, &link, why, why_size);
	if (err)
		return err;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return nic_explain(-errno, why, why_size,
				   "making a packet socket");
	err = configure(fd, link.ifindex);
	if (err) {
		close(fd);
		return nic_explain(err, why, why_size,
				   "setting up a packet socket");
	}
	d.mtu = link.mtu;
	d.nr_fds = 1;
	fds[0] = fd;
	*desc = d;
	return 0;
}

/* ---- worker ------------------------------------------------------------ */

static void init_slot(struct af_packet *af, unsigned i)
{
	struct slot *slot = &af->slots[i];
	uint8_t *at = af->arena + (size_t)i * SLOT_BYTES;

	slot->iov[0] = (struct iovec){ &slot->hdr, sizeof(slot->hdr) };
	slot->iov[1] = (struct iovec){ at + TAG_BYTES, MACS_BYTES };
	slot->iov[2] = (struct iovec){ at + TAG_BYTES + MACS_BYTES,
				       NIC_FRAME_MAX + 1 - MACS_BYTES };
	af->msgs[i].msg_hdr = (struct msghdr){
		.msg_iov = slot->iov,
		.msg_iovlen = ARRAY_SIZE(slot->iov),
		.msg_control = slot->control,
		.msg_controllen = sizeof(slot->control),
	};
}

static int af_packet_open(const struct nic_desc *desc, const int *fds,
			  struct nic **ret)
{
	struct af_packet *af;

	if (desc->nr_queues != 1 || desc->nr_fds != 1)
		return -EINVAL;
	af = calloc(1, sizeof(*af));
	if (!af)
		return -ENOMEM;
	af->arena = malloc((size_t)NIC_BURST_MAX * SLOT_BYTES);
	if (!af->arena) {
		free(af);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < NIC_BURST_MAX; i++)
		init_slot(af, i);
	af->nic.ops = &nic_af_packet;
	af->nic.desc = *desc;
	af->fd = fds[0];
	af->burst = NIC_BURST_MAX;
	*ret = &af->nic;
	return 0;
}

static void af_packet_close(struct nic *nic)
{
	struct af_packet *af = container_of(nic, struct af_packet, nic);

	close(af->fd);
	free(af->arena);
	free(af);
}

static int af_packet_send(struct nic *nic, unsigned queue,
			  const struct frame *frame)
{
	struct af_packet *af = container_of(nic, struct af_packet, nic);
	struct virtio_net_hdr hdr;
	struct iovec iov[FRAME_PARTS_MAX + 2];
	unsigned nr;

	(void)queue;
	packet_to_vnet(&frame->meta, &frame->layout, &hdr);
	iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
	nr = frame_iov(frame, iov + 1);
	if (writev(af->fd, iov, (int)nr + 1) >= 0)
		return 0;
	return errno == ENOBUFS ? -EAGAIN : -errno;
}

static unsigned af_packet_flush(struct nic *nic)
{
	(void)nic;
	return 0;
}

/* The tag that the kernel took out, in front of what is left at data. */
static uint8_t *put_tag_back(struct msghdr *msg, uint8_t *data)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct tpacket_auxdata aux;

	if (!c || c->cmsg_level != SOL_PACKET ||
	    c->cmsg_type != PACKET_AUXDATA ||
	    c->cmsg_len < CMSG_LEN(sizeof(aux)))
		return data;
	memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
		return data;
	memmove(data - TAG_BYTES, data, MACS_BYTES);
	data -= TAG_BYTES;
	put_be16(data + MACS_BYTES, aux.tp_status & TP_STATUS_VLAN_TPID_VALID
					    ? aux.tp_vlan_tpid
					    : ETH_P_8021Q);
	put_be16(data + MACS_BYTES + 2, aux.tp_vlan_tci);
	return data;
}

/* What came into slot i: a frame that a guest can be given? */
static bool take_frame(struct af_packet *af, unsigned i, struct nic_frame *ret)
{
	struct slot *slot = &af->slots[i];
	struct mmsghdr *msg = &af->msgs[i];
	uint8_t *start = slot->iov[1].iov_base, *data;

	if (msg->msg_len < sizeof(slot->hdr) + PACKET_ETH_BYTES)
		return false;
	/* Its congestion flag is in the TCP header as well. */
	slot->hdr.gso_type &= (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	if (packet_from_vnet(&slot->hdr, &ret->meta))
		return false;
	data = put_tag_back(&msg->msg_hdr, start);
	ret->data = data;
	ret->size_bytes = msg->msg_len - (uint32_t)sizeof(slot->hdr) +
			  (uint32_t)(start - data);
	return ret->size_bytes <= NIC_FRAME_MAX;
}

/* Down is a state to come back from, removed is not. */
static int receive_error(const struct af_packet *af, int err)
{
	struct sockaddr_ll at;
	socklen_t size = sizeof(at);

	if (err == EAGAIN || err == EINTR)
		return 0;
	if (err == ENETDOWN &&
	    !getsockname(af->fd, (struct sockaddr *)&at, &size) &&
	    at.sll_ifindex > 0)
		return 0;
	return -err;
}

/* So many frames like these n fill BURST_BYTES. */
static void adapt(struct af_packet *af, int n)
{
	uint64_t sum_bytes = 0;

	for (int i = 0; i < n; i++)
		sum_bytes += af->msgs[i].msg_len;
	sum_bytes = (uint64_t)n * BURST_BYTES / (sum_bytes + 1);
	af->burst = sum_bytes < BURST_MIN	? BURST_MIN
		    : sum_bytes > NIC_BURST_MAX ? NIC_BURST_MAX
						: (unsigned)sum_bytes;
}

static int af_packet_recv(struct nic *nic, unsigned queue,
			  struct nic_frame *frames, unsigned max)
{
	struct af_packet *af = container_of(nic, struct af_packet, nic);
	int n, nr = 0;

	(void)queue;
	n = recvmmsg(af->fd, af->msgs, max < af->burst ? max : af->burst, 0,
		     NULL);
	if (n <= 0)
		return n ? receive_error(af, errno) : 0;
	for (int i = 0; i < n; i++) {
		if (take_frame(af, (unsigned)i, &frames[nr]))
			nr++;
		else
			nic->nr_alien++;
		af->msgs[i].msg_hdr.msg_controllen =
			sizeof(af->slots[i].control);
	}
	adapt(af, n);
	return nr;
}

static int af_packet_wait_fd(struct nic *nic, unsigned queue)
{
	(void)queue;
	return container_of(nic, struct af_packet, nic)->fd;
}

static int af_packet_link(struct nic *nic, struct nic_link *ret)
{
	return link_state(&nic->desc, true, ret);
}

const struct nic_ops nic_af_packet = {
	.name = "af_packet",
	.help = "an existing interface, whole frames of 64 KiB both ways",
	.acquire = af_packet_acquire,
	.open = af_packet_open,
	.close = af_packet_close,
	.send = af_packet_send,
	.flush = af_packet_flush,
	.recv = af_packet_recv,
	.wait_fd = af_packet_wait_fd,
	.link = af_packet_link,
};
