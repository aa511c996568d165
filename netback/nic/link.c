/* SPDX-License-Identifier: MIT */
/*
 * link.c - the kernel's links over netlink: enslave, MTU, up; state.
 *
 * Neighbours: the drivers, in the monitor and in the worker. Never runs a
 * program.
 */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>

#include "netback/nic/private.h"
#include "util/netlink.h"
#include "util/num.h"

static int explain(int err, char *why, size_t why_size, const char *what,
		   const char *name, const char *hint)
{
	if (str_printf(why, why_size, "%s %s: %s%s", what, name, strerror(-err),
		       hint) < 0 &&
	    why_size)
		why[0] = '\0';
	return err;
}

static int change(struct nl_sock *sock, struct rtnl_link *tap,
		  struct rtnl_link *bridge)
{
	struct rtnl_link *want = rtnl_link_alloc();
	int err;

	if (!want)
		return -ENOMEM;
	rtnl_link_set_master(want, rtnl_link_get_ifindex(bridge));
	rtnl_link_set_mtu(want, rtnl_link_get_mtu(bridge));
	rtnl_link_set_flags(want, IFF_UP);
	err = rtnl_link_change(sock, tap, want, 0);
	rtnl_link_put(want);
	return err ? netlink_errno(err) : 0;
}

int link_enslave(const char *ifname, const char *bridge, uint32_t *ret_mtu,
		 char *why, size_t why_size)
{
	struct rtnl_link *tap = NULL, *br = NULL;
	struct nl_sock *sock;
	const char *type;
	int err = netlink_connect(&sock);

	if (err)
		return explain(err, why, why_size, "netlink for", ifname, "");
	err = rtnl_link_get_kernel(sock, 0, bridge, &br);
	if (err) {
		err = explain(-ENODEV, why, why_size, "bridge", bridge,
			      "; make it with `ip link add NAME type bridge`");
		goto out;
	}
	type = rtnl_link_get_type(br);
	if (!type || strcmp(type, "bridge")) {
		err = explain(-EINVAL, why, why_size, "bridge", bridge,
			      "; the interface is no bridge");
		goto out;
	}
	err = rtnl_link_get_kernel(sock, 0, ifname, &tap);
	if (!err)
		err = change(sock, tap, br);
	else
		err = netlink_errno(err);
	if (err)
		explain(err, why, why_size, "joining the bridge", bridge,
			err == -EPERM ? "; it needs CAP_NET_ADMIN" : "");
	else
		*ret_mtu = rtnl_link_get_mtu(br);
out:
	if (tap)
		rtnl_link_put(tap);
	if (br)
		rtnl_link_put(br);
	nl_socket_free(sock);
	return err;
}

static int check_link(struct rtnl_link *link, const char *ifname, char *why,
		      size_t why_size)
{
	if (rtnl_link_get_arptype(link) != ARPHRD_ETHER)
		return explain(-EINVAL, why, why_size, "interface", ifname,
			       "; it is not Ethernet");
	if (!(rtnl_link_get_flags(link) & IFF_UP))
		return explain(-ENETDOWN, why, why_size, "interface", ifname,
			       "; bring it up with `ip link set NAME up`");
	return 0;
}

int link_find(const char *ifname, struct link_info *ret, char *why,
	      size_t why_size)
{
	struct rtnl_link *link;
	struct nl_sock *sock;
	int err = netlink_connect(&sock);

	if (err)
		return explain(err, why, why_size, "netlink for", ifname, "");
	err = rtnl_link_get_kernel(sock, 0, ifname, &link);
	nl_socket_free(sock);
	if (err)
		return explain(netlink_errno(err), why, why_size, "interface",
			       ifname, "");
	err = check_link(link, ifname, why, why_size);
	if (!err)
		*ret = (struct link_info){
			.ifindex = rtnl_link_get_ifindex(link),
			.mtu = rtnl_link_get_mtu(link),
		};
	rtnl_link_put(link);
	return err;
}

static int read_link(struct nl_sock *sock, const char *ifname, unsigned flags,
		     struct nic_link *ret)
{
	struct rtnl_link *link;
	int err = rtnl_link_get_kernel(sock, 0, ifname, &link);

	if (err)
		return netlink_errno(err);
	ret->up = (rtnl_link_get_flags(link) & flags) == flags;
	ret->mtu = rtnl_link_get_mtu(link);
	rtnl_link_put(link);
	return 0;
}

int link_state(const struct nic_desc *desc, bool carrier, struct nic_link *ret)
{
	unsigned flags = carrier ? IFF_UP | IFF_LOWER_UP : IFF_UP;
	struct nic_link link = { 0 }, master;
	struct nl_sock *sock;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	err = read_link(sock, desc->ifname, flags, &link);
	master = link;
	if (!err && desc->master[0])
		err = read_link(sock, desc->master, IFF_UP, &master);
	nl_socket_free(sock);
	if (err)
		return err;
	*ret = (struct nic_link){ .up = link.up && master.up,
				  .mtu = master.mtu };
	return 0;
}
