/* SPDX-License-Identifier: MIT */
/* tap.c - the interface of netfront-tap; see tap.h. */
#include "netfront/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/netif.h"
#include "util/num.h"

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

/* libnl has its own error numbers; the ones that can be told apart. */
static int nl_errno(int nlerr)
{
	switch (-nlerr) {
	case 0: return 0;
	case NLE_PERM: return -EPERM;
	case NLE_NOACCESS: return -EACCES;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND: return -ENODEV;
	case NLE_NOMEM: return -ENOMEM;
	case NLE_INVAL:
	case NLE_RANGE: return -EINVAL;
	default: return -EIO;
	}
}

/* Address, MTU, up; and no frame larger than netif's 16 bits of size. */
static int change(struct nl_sock *sock, struct rtnl_link *link,
		  const struct netfront_info *info)
{
	struct rtnl_link *want = rtnl_link_alloc();
	struct nl_addr *mac =
		nl_addr_build(AF_UNSPEC, info->mac, sizeof(info->mac));
	struct nl_msg *msg = NULL;
	int err = -NLE_NOMEM;

	if (!want || !mac)
		goto out;
	rtnl_link_set_addr(want, mac);
	rtnl_link_set_mtu(want, info->mtu);
	rtnl_link_set_flags(want, IFF_UP);
	err = rtnl_link_build_change_request(link, want, 0, &msg);
	if (err)
		goto out;
	err = nla_put_u32(msg, IFLA_GSO_MAX_SIZE,
			  XEN_NETIF_MAX_TX_SIZE - PACKET_ETH_BYTES);
	if (err) {
		nlmsg_free(msg);
		goto out;
	}
	err = nl_send_sync(sock, msg);
out:
	nl_addr_put(mac);
	if (want)
		rtnl_link_put(want);
	return nl_errno(err);
}

static int configure(const char *ifname, const struct netfront_info *info)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct rtnl_link *link = NULL;
	int err;

	if (!sock)
		return -ENOMEM;
	err = nl_errno(nl_connect(sock, NETLINK_ROUTE));
	if (!err)
		err = nl_errno(rtnl_link_get_kernel(sock, 0, ifname, &link));
	if (!err)
		err = change(sock, link, info);
	if (link)
		rtnl_link_put(link);
	nl_socket_free(sock);
	return err;
}

int tap_set_offloads(int fd, const struct netfront_info *info)
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

void tap_set_carrier(int fd, bool up)
{
	int carrier = up;

	/* A kernel older than 4.20 has none: the interface just stays up. */
	(void)ioctl(fd, TUNSETCARRIER, &carrier);
}

int tap_open(const char *ifname, const struct netfront_info *info, char *why,
	     size_t why_size)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
					  IFF_TUN_EXCL };
	int hdr_bytes = (int)sizeof(struct virtio_net_hdr);
	int fd, err;

	if (!ifname[0] || strlen(ifname) >= sizeof(ifr.ifr_name))
		return explain(-EINVAL, why, why_size, "interface name",
			       ifname);
	memcpy(ifr.ifr_name, ifname, strlen(ifname));
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return explain(-errno, why, why_size, "opening",
			       "/dev/net/tun");
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err = explain(-errno, why, why_size, "making", ifname);
		goto fail;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0)
		err = -errno;
	else
		err = tap_set_offloads(fd, info);
	if (!err)
		err = configure(ifname, info);
	if (err) {
		explain(err, why, why_size, "setting up", ifname);
		goto fail;
	}
	tap_set_carrier(fd, false);
	return fd;

fail:
	close(fd);
	return err;
}
