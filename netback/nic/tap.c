/* SPDX-License-Identifier: MIT */
/*
 * tap.c - a TAP with a vnet header, enslaved to a kernel bridge.
 *
 * acquire() runs in the monitor and needs CAP_NET_ADMIN; the worker has only
 * the descriptor, on which it reads and writes frames. The interface goes when
 * the last descriptor is closed. The vnet header carries what a frame leaves
 * to its receiver: checksum and segmentation. Neighbours: link.c (netlink),
 * drivers.c. Thread: the data thread.
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

struct tap {
	struct nic nic;
	int fd;
};

static int explain(int err, char *why, size_t why_size, const char *what)
{
	if (str_printf(why, why_size, "%s: %s%s", what, strerror(-err),
		       err == -EPERM || err == -EACCES
			       ? "; it needs root or CAP_NET_ADMIN"
			       : "") < 0 &&
	    why_size)
		why[0] = '\0';
	return err;
}

static int tap_configure(int fd, char ifname[IFNAMSIZ], char *why,
			 size_t why_size)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int hdr_bytes = (int)sizeof(struct virtio_net_hdr);

	memcpy(ifr.ifr_name, "pvup%d", sizeof("pvup%d"));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return explain(-errno, why, why_size, "making a TAP");
	memcpy(ifname, ifr.ifr_name, IFNAMSIZ);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return explain(-errno, why, why_size,
			       "setting the TAP's offloads");
	return 0;
}

static int tap_acquire(const char *bridge, struct nic_desc *desc,
		       int fds[NIC_FDS_MAX], char *why, size_t why_size)
{
	struct nic_desc d = { .nr_fds = 1 };
	int fd, err;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return explain(-errno, why, why_size, "opening /dev/net/tun");
	err = tap_configure(fd, d.ifname, why, why_size);
	if (!err)
		err = link_enslave(d.ifname, bridge, &d.mtu, why, why_size);
	if (err) {
		close(fd);
		return err;
	}
	memcpy(d.driver, "tap", sizeof("tap"));
	fds[0] = fd;
	*desc = d;
	return 0;
}

static int tap_open(const struct nic_desc *desc, const int *fds,
		    struct nic **ret)
{
	struct tap *tap;

	if (desc->nr_fds != 1)
		return -EINVAL;
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->nic.ops = &nic_tap;
	tap->nic.desc = *desc;
	tap->fd = fds[0];
	*ret = &tap->nic;
	return 0;
}

static void tap_close(struct nic *nic)
{
	struct tap *tap = container_of(nic, struct tap, nic);

	close(tap->fd);
	free(tap);
}

static int tap_send(struct nic *nic, const struct iovec *iov, unsigned nr,
		    const struct packet_meta *meta,
		    const struct packet_layout *layout)
{
	struct tap *tap = container_of(nic, struct tap, nic);
	struct virtio_net_hdr hdr;
	struct iovec all[NIC_IOV_MAX + 1];

	if (nr > NIC_IOV_MAX)
		return -EMSGSIZE;
	packet_to_vnet(meta, layout, &hdr);
	all[0] = (struct iovec){ &hdr, sizeof(hdr) };
	memcpy(all + 1, iov, nr * sizeof(*iov));
	return writev(tap->fd, all, (int)nr + 1) < 0 ? -errno : 0;
}

/*
 * One frame. One that cannot be expressed towards a guest is skipped: the
 * offloads asked for above make the kernel send none.
 */
static int tap_recv(struct nic *nic, void *buf, size_t size,
		    struct packet_meta *meta)
{
	struct tap *tap = container_of(nic, struct tap, nic);
	struct virtio_net_hdr hdr;
	struct iovec iov[2] = { { &hdr, sizeof(hdr) }, { buf, size } };
	ssize_t n = readv(tap->fd, iov, 2);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)n < sizeof(hdr) + PACKET_ETH_BYTES ||
	    packet_from_vnet(&hdr, meta))
		return -EPROTO;
	return (int)(n - (ssize_t)sizeof(hdr));
}

static int tap_wait_fd(struct nic *nic)
{
	return container_of(nic, struct tap, nic)->fd;
}

const struct nic_ops nic_tap = {
	.name = "tap",
	.help = "a TAP on the kernel bridge that the vif names",
	.acquire = tap_acquire,
	.open = tap_open,
	.close = tap_close,
	.send = tap_send,
	.recv = tap_recv,
	.wait_fd = tap_wait_fd,
};
