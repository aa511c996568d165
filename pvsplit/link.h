/* SPDX-License-Identifier: MIT */
/*
 * link.h - network interfaces of the calling thread's network namespace, over
 * rtnetlink (libnl-route). Quiet; 0 or -errno.
 */
#ifndef PVSPLIT_LINK_H
#define PVSPLIT_LINK_H

#include <sys/types.h>

#include "util/annotate.h"

int link_up(const char *ifname) PV_MUST_CHECK;
/* address: "10.0.0.2/24". */
int link_add_address(const char *ifname, const char *address) PV_MUST_CHECK;
/* A default route through gw; the interface follows from the address. */
int link_add_default_route(const char *ifname, const char *gw) PV_MUST_CHECK;
int link_add_bridge(const char *ifname) PV_MUST_CHECK;
/* A veth pair: ifname here and in the bridge, peer in pid's namespace. */
int link_add_veth(const char *ifname, const char *bridge, const char *peer,
		  pid_t pid) PV_MUST_CHECK;

#endif /* PVSPLIT_LINK_H */
