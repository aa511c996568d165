/* SPDX-License-Identifier: MIT */
/*
 * tap.c - a TAP with a vnet header, enslaved to a kernel bridge.
 *
 * acquire() runs in the monitor and needs CAP_NET_ADMIN; the worker has only
 * the descriptors, one for each queue, on which it reads and writes frames. The
 * interface goes when the last descriptor is closed. The vnet header carries
 * what a frame leaves to its receiver: checksum and segmentation.
 *
 * A burst is read into one piece of memory, frame behind frame, which is large
 * enough for a full turn and small enough to stay in the cache.
 *
 * Neighbours: link.c (netlink), drivers.c. Thread: the data thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "netback/nic/private.h"
#include "util/list.h"
#include "util/num.h"

/* One byte more than may come, or a frame that was cut off looks whole. */
#define SLOT_MAX    (sizeof(struct virtio_net_hdr) + NIC_FRAME_MAX + 1)
#define ARENA_BYTES (4 * SLOT_MAX)

struct tap {
	struct nic nic;
	int fds[NIC_QUEUES_MAX];
	uint8_t *arenas[NIC_QUEUES_MAX];
};

_Static_assert(NIC_QUEUES_MAX <= NIC_FDS_MAX, "a descriptor for each queue");

static void close_queues(const int *fds, uint32_t nr)
{
	while (nr)
		close(fds[--nr]);
}

/* One more queue of the TAP called ifname, which the first one names. */
static int open_queue(char ifname[NIC_NAME_MAX], bool several, int *ret_fd,
		      char *why, size_t why_size)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int hdr_bytes = (int)sizeof(struct virtio_net_hdr);
	int fd, err;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return nic_explain(-errno, why, why_size,
				   "opening /dev/net/tun");
	if (several)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(ifr.ifr_name, ifname, NIC_NAME_MAX);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err = nic_explain(-errno, why, why_size, "making a TAP");
		goto fail;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) <
		    0) {
		err = nic_explain(-errno, why, why_size,
				  "setting the TAP's offloads");
		goto fail;
	}
	memcpy(ifname, ifr.ifr_name, NIC_NAME_MAX);
	*ret_fd = fd;
	return 0;

fail:
	close(fd);
	return err;
}

static void set_carrier(int fd, bool up)
{
	int carrier = up;

	/* A kernel older than 4.20 has none: the interface just stays up. */
	(void)ioctl(fd, TUNSETCARRIER, &carrier);
}

static int tap_acquire(const struct nic_request *req, struct nic_desc *desc,
		       int fds[NIC_FDS_MAX], char *why, size_t why_size)
{
	struct nic_desc d = { .driver = "tap", .ifname = "pvup%d" };
	int err = 0;

	_Static_assert(NIC_NAME_MAX == IFNAMSIZ, "names");
	if (str_printf(d.master, sizeof(d.master), "%s", req->name) < 0)
		return nic_explain(-ENAMETOOLONG, why, why_size, "the bridge");
	while (!err && d.nr_queues < req->nr_queues) {
		err = open_queue(d.ifname, req->nr_queues > 1,
				 &fds[d.nr_queues], why, why_size);
		d.nr_queues += !err;
	}
	if (!err)
		err = link_enslave(d.ifname, d.master, &d.mtu, why, why_size);
	if (err) {
		close_queues(fds, d.nr_queues);
		return err;
	}
	set_carrier(fds[0], false);
	d.nr_fds = (int32_t)d.nr_queues;
	*desc = d;
	return 0;
}

static void tap_free(struct tap *tap)
{
	for (uint32_t i = 0; i < tap->nic.desc.nr_queues; i++)
		free(tap->arenas[i]);
	free(tap);
}

static int tap_open(const struct nic_desc *desc, const int *fds,
		    struct nic **ret)
{
	struct tap *tap;

	if (!desc->nr_queues || desc->nr_queues > NIC_QUEUES_MAX ||
	    desc->nr_fds != (int32_t)desc->nr_queues)
		return -EINVAL;
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->nic.ops = &nic_tap;
	tap->nic.desc = *desc;
	for (uint32_t i = 0; i < desc->nr_queues; i++) {
		tap->arenas[i] = malloc(ARENA_BYTES);
		if (!tap->arenas[i]) {
			tap_free(tap);
			return -ENOMEM;
		}
	}
	memcpy(tap->fds, fds, desc->nr_queues * sizeof(*fds));
	*ret = &tap->nic;
	return 0;
}

static void tap_close(struct nic *nic)
{
	struct tap *tap = container_of(nic, struct tap, nic);

	close_queues(tap->fds, nic->desc.nr_queues);
	tap_free(tap);
}

static int tap_send(struct nic *nic, unsigned queue, const struct frame *frame)
{
	struct tap *tap = container_of(nic, struct tap, nic);
	struct virtio_net_hdr hdr;
	struct iovec iov[FRAME_PARTS_MAX + 2];
	unsigned nr;

	packet_to_vnet(&frame->meta, &frame->layout, &hdr);
	iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
	nr = frame_iov(frame, iov + 1);
	if (writev(tap->fds[queue], iov, (int)nr + 1) >= 0)
		return 0;
	/* That is how tun says it. */
	return errno == EIO ? -ENETDOWN : -errno;
}

static unsigned tap_flush(struct nic *nic)
{
	(void)nic;
	return 0;
}

/* What lies at slot: a header and a frame that a guest can be given? */
static bool tap_frame(const uint8_t *slot, size_t size_bytes,
		      struct nic_frame *ret)
{
	struct virtio_net_hdr hdr;

	if (size_bytes < sizeof(hdr) + PACKET_ETH_BYTES ||
	    size_bytes == SLOT_MAX)
		return false;
	memcpy(&hdr, slot, sizeof(hdr));
	if (packet_from_vnet(&hdr, &ret->meta))
		return false;
	ret->data = slot + sizeof(hdr);
	ret->size_bytes = (uint32_t)(size_bytes - sizeof(hdr));
	return true;
}

static int tap_recv(struct nic *nic, unsigned queue, struct nic_frame *frames,
		    unsigned max)
{
	struct tap *tap = container_of(nic, struct tap, nic);
	uint8_t *arena = tap->arenas[queue];
	size_t at = 0;
	unsigned nr = 0;

	for (unsigned i = 0; i < max && ARENA_BYTES - at >= SLOT_MAX; i++) {
		ssize_t n = read(tap->fds[queue], arena + at, SLOT_MAX);

		if (n < 0 && errno != EAGAIN && errno != EINTR && !nr)
			return -errno;
		if (n < 0)
			break;
		if (!tap_frame(arena + at, (size_t)n, &frames[nr])) {
			nic->nr_alien++;
			continue;
		}
		at += (size_t)n;
		nr++;
	}
	return (int)nr;
}

static int tap_wait_fd(struct nic *nic, unsigned queue)
{
	return container_of(nic, struct tap, nic)->fds[queue];
}

static int tap_link(struct nic *nic, struct nic_link *ret)
{
	return link_state(&nic->desc, false, ret);
}

static void tap_carrier(struct nic *nic, bool up)
{
	struct nic_link link;

	set_carrier(container_of(nic, struct tap, nic)->fds[0], up);
	/* Who asks makes the kernel act on it now and not some time later. */
	(void)!link_state(&nic->desc, false, &link);
}

const struct nic_ops nic_tap = {
	.name = "tap",
	.help = "a TAP on the kernel bridge that the vif names",
	.acquire = tap_acquire,
	.open = tap_open,
	.close = tap_close,
	.send = tap_send,
	.flush = tap_flush,
	.recv = tap_recv,
	.wait_fd = tap_wait_fd,
	.link = tap_link,
	.carrier = tap_carrier,
};
