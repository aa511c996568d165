/* SPDX-License-Identifier: MIT */
/*
 * tap.c - the interface of netfront-tap; see tap.h. Its queues come from the
 * tun driver, everything else is set through libnl. Called by netfront-tap.c
 * and pump.c.
 */
#include "netfront/tap/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/netlink.h"
#include "util/num.h"
#include "util/packet.h"

static int explain(int err, char *why, size_t why_size, const char *what,
		   const char *ifname)
{
	const char *hint = "";

	if (err == -EPERM || err == -EACCES)
		hint = "; it needs root or CAP_NET_ADMIN";
	else if (err == -EBUSY)
		hint = "; the name is in use";
	if (str_printf(why, why_size, "%s %s: %s%s", what, ifname,
		       strerror(-err), hint) < 0 &&
	    why_size)
		why[0] = '\0';
	return err;
}

/* Send a change of link, with or without our limit on segmented frames. */
static int send_change(struct nl_sock *sock, struct rtnl_link *link,
		       struct rtnl_link *want, bool limit)
{
	struct nl_msg *msg;
	int err = rtnl_link_build_change_request(link, want, 0, &msg);

	if (err)
		return err;
	if (limit)
		err = nla_put_u32(msg, IFLA_GSO_MAX_SIZE,
				  NETFRONT_SEND_MAX - PACKET_ETH_BYTES);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return nl_send_sync(sock, msg);
}

static int change(struct nl_sock *sock, struct rtnl_link *link,
		  const struct netfront_info *info, bool address, bool first)
{
	struct rtnl_link *want = rtnl_link_alloc();
	struct nl_addr *mac =
		nl_addr_build(AF_UNSPEC, info->mac, sizeof(info->mac));
	int err = -NLE_NOMEM;

	if (!want || !mac)
		goto out;
	rtnl_link_set_mtu(want, info->mtu);
	if (address)
		rtnl_link_set_addr(want, mac);
	if (first)
		rtnl_link_set_flags(want, IFF_UP);
	err = send_change(sock, link, want, first);
out:
	nl_addr_put(mac);
	if (want)
		rtnl_link_put(want);
	return netlink_errno(err);
}

/* MTU and address; at first also up, and no frame larger than netif's. */
static int configure(const char *ifname, const struct netfront_info *info,
		     bool address, bool first)
{
	struct rtnl_link *link = NULL;
	struct nl_sock *sock;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	err = netlink_errno(rtnl_link_get_kernel(sock, 0, ifname, &link));
	if (!err)
		err = change(sock, link, info, address, first);
	if (link)
		rtnl_link_put(link);
	nl_socket_free(sock);
	return err;
}

static int set_offloads(int fd, const struct netfront_info *info)
{
	unsigned long offloads = 0;

	/* A TAP cannot leave out the checksums of one IP version only. */
	if (info->csum_v6) {
		offloads = TUN_F_CSUM;
		if (info->gso_tcpv4)
			offloads |= TUN_F_TSO4;
		if (info->gso_tcpv6)
			offloads |= TUN_F_TSO6;
	}
	return ioctl(fd, TUNSETOFFLOAD, offloads) < 0 ? -errno : 0;
}

static void set_carrier(int fd, bool up)
{
	int carrier = up;

	/* A kernel older than 4.20 has none: the interface just stays up. */
	(void)ioctl(fd, TUNSETCARRIER, &carrier);
}

/* The kernel spreads flows over the queues that are attached. */
static int attach_queues(struct tap *tap, uint32_t nr)
{
	while (tap->nr_attached != nr) {
		bool attach = tap->nr_attached < nr;
		uint32_t i = attach ? tap->nr_attached : tap->nr_attached - 1;
		struct ifreq ifr = { .ifr_flags = attach ? IFF_ATTACH_QUEUE
							 : IFF_DETACH_QUEUE };

		if (ioctl(tap->fds[i], TUNSETQUEUE, &ifr) < 0)
			return -errno;
		tap->nr_attached = attach ? i + 1 : i;
	}
	return 0;
}

/* As the toolstack has it by now. */
static int follow_toolstack(struct tap *tap, const struct netfront_info *info)
{
	bool address = memcmp(tap->mac, info->mac, sizeof(tap->mac)) != 0;
	int err;

	if (!address && info->mtu == tap->mtu)
		return 0;
	err = configure(tap->ifname, info, address, false);
	if (err)
		return err;
	tap->mtu = info->mtu;
	memcpy(tap->mac, info->mac, sizeof(tap->mac));
	return 0;
}

int tap_follow(struct tap *tap, const struct netfront_info *info)
{
	int err = 0, first_err = 0;

	if (info->link_up) {
		first_err = set_offloads(tap->fds[0], info);
		err = attach_queues(tap, info->nr_queues);
	}
	if (!first_err)
		first_err = err;
	err = follow_toolstack(tap, info);
	if (!first_err)
		first_err = err;
	set_carrier(tap->fds[0], info->link_up);
	return first_err;
}

/* One more queue of the interface; the first one makes it. -errno. */
static int open_queue(struct tap *tap, uint32_t nr_queues)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int hdr_bytes = (int)sizeof(struct virtio_net_hdr);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (nr_queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	if (!tap->nr_queues)
		ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_TUN_EXCL);
	memcpy(ifr.ifr_name, tap->ifname, sizeof(ifr.ifr_name));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	tap->fds[tap->nr_queues++] = fd;
	tap->nr_attached = tap->nr_queues;
	return 0;
}

void tap_close(struct tap *tap)
{
	while (tap->nr_queues)
		close(tap->fds[--tap->nr_queues]);
}

int tap_open(const char *ifname, uint32_t nr_queues,
	     const struct netfront_info *info, struct tap *ret, char *why,
	     size_t why_size)
{
	struct tap tap = { .mtu = info->mtu };
	int err = 0;

	memcpy(tap.mac, info->mac, sizeof(tap.mac));
	if (!ifname[0] || strlen(ifname) >= sizeof(tap.ifname))
		return explain(-EINVAL, why, why_size, "interface name",
			       ifname);
	memcpy(tap.ifname, ifname, strlen(ifname));
	while (!err && tap.nr_queues < nr_queues)
		err = open_queue(&tap, nr_queues);
	if (err) {
		explain(err, why, why_size, "making", ifname);
		goto fail;
	}
	set_carrier(tap.fds[0], false);
	err = set_offloads(tap.fds[0], info);
	if (!err)
		err = configure(ifname, info, true, true);
	if (err) {
		explain(err, why, why_size, "setting up", ifname);
		goto fail;
	}
	*ret = tap;
	return 0;

fail:
	tap_close(&tap);
	return err;
}
