/* SPDX-License-Identifier: MIT */
/* link.c - interfaces over rtnetlink. See link.h. */
#include "pvsplit/link.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include "util/netlink.h"

static int set_up(struct nl_sock *sock, const char *ifname, const char *master)
{
	struct rtnl_link *link = NULL, *bridge = NULL, *change;
	int err = rtnl_link_get_kernel(sock, 0, ifname, &link);

	if (!err && master)
		err = rtnl_link_get_kernel(sock, 0, master, &bridge);
	if (err)
		goto out;
	change = rtnl_link_alloc();
	if (!change) {
		err = -NLE_NOMEM;
		goto out;
	}
	rtnl_link_set_flags(change, IFF_UP);
	if (bridge)
		rtnl_link_set_master(change, rtnl_link_get_ifindex(bridge));
	err = rtnl_link_change(sock, link, change, 0);
	rtnl_link_put(change);
out:
	rtnl_link_put(bridge);
	rtnl_link_put(link);
	return netlink_errno(err);
}

int link_up(const char *ifname)
{
	struct nl_sock *sock = NULL;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	err = set_up(sock, ifname, NULL);
	nl_socket_free(sock);
	return err;
}

int link_add_address(const char *ifname, const char *address)
{
	struct rtnl_link *link = NULL;
	struct rtnl_addr *addr = NULL;
	struct nl_addr *local = NULL;
	struct nl_sock *sock = NULL;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	err = nl_addr_parse(address, AF_UNSPEC, &local);
	if (!err)
		err = rtnl_link_get_kernel(sock, 0, ifname, &link);
	if (!err && !(addr = rtnl_addr_alloc()))
		err = -NLE_NOMEM;
	if (!err) {
		rtnl_addr_set_ifindex(addr, rtnl_link_get_ifindex(link));
		/* usable at once, instead of after duplicate detection */
		if (nl_addr_get_family(local) == AF_INET6)
			rtnl_addr_set_flags(addr, IFA_F_NODAD);
		err = rtnl_addr_set_local(addr, local);
	}
	if (!err)
		err = rtnl_addr_add(sock, addr, 0);
	rtnl_addr_put(addr);
	rtnl_link_put(link);
	nl_addr_put(local);
	nl_socket_free(sock);
	return netlink_errno(err);
}

static int add_route(struct nl_sock *sock, struct nl_addr *gw, int ifindex)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *any = NULL;
	int err = route && hop ? 0 : -NLE_NOMEM;

	if (!err)
		err = nl_addr_parse("default", nl_addr_get_family(gw), &any);
	if (!err)
		err = rtnl_route_set_dst(route, any);
	if (!err) {
		rtnl_route_nh_set_gateway(hop, gw);
		rtnl_route_nh_set_ifindex(hop, ifindex);
		rtnl_route_add_nexthop(route, hop);
		hop = NULL; /* the route's now */
		err = rtnl_route_add(sock, route, 0);
	}
	if (hop)
		rtnl_route_nh_free(hop);
	nl_addr_put(any);
	rtnl_route_put(route);
	return err;
}

int link_add_default_route(const char *ifname, const char *gw)
{
	struct rtnl_link *link = NULL;
	struct nl_addr *address = NULL;
	struct nl_sock *sock = NULL;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	err = nl_addr_parse(gw, AF_UNSPEC, &address);
	if (!err)
		err = rtnl_link_get_kernel(sock, 0, ifname, &link);
	if (!err)
		err = add_route(sock, address, rtnl_link_get_ifindex(link));
	rtnl_link_put(link);
	nl_addr_put(address);
	nl_socket_free(sock);
	return netlink_errno(err);
}

int link_add_bridge(const char *ifname)
{
	struct rtnl_link *link;
	struct nl_sock *sock = NULL;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	link = rtnl_link_alloc();
	err = link ? rtnl_link_set_type(link, "bridge") : -NLE_NOMEM;
	if (!err) {
		rtnl_link_set_name(link, ifname);
		rtnl_link_set_flags(link, IFF_UP);
		err = rtnl_link_add(sock, link, NLM_F_CREATE | NLM_F_EXCL);
	}
	rtnl_link_put(link);
	nl_socket_free(sock);
	return netlink_errno(err);
}

int link_add_veth(const char *ifname, const char *bridge, const char *peer,
		  pid_t pid)
{
	struct nl_sock *sock = NULL;
	int err = netlink_connect(&sock);

	if (err)
		return err;
	err = netlink_errno(rtnl_link_veth_add(sock, ifname, peer, pid));
	if (!err)
		err = set_up(sock, ifname, bridge);
	nl_socket_free(sock);
	return err;
}
