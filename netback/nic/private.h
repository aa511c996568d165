/* SPDX-License-Identifier: MIT */
/*
 * private.h - the drivers behind netback/nic.h, and the links that they need
 * from the kernel. Never included from outside this folder.
 */
#ifndef NETBACK_NIC_PRIVATE_H
#define NETBACK_NIC_PRIVATE_H

#include <stdint.h>

#include "netback/nic.h"

extern const struct nic_ops nic_tap;
extern const struct nic_ops nic_null;

/*
 * Enslave the interface ifname to the kernel bridge of that name, give it the
 * bridge's MTU, and bring it up. Monitor only; needs CAP_NET_ADMIN.
 * On failure why gets one clear sentence. -ENODEV no such interface;
 * -EINVAL bridge is not a bridge; -EPERM.
 */
int link_enslave(const char *ifname, const char *bridge, uint32_t *ret_mtu,
		 char *why, size_t why_size) PV_MUST_CHECK;

/*
 * desc->ifname, and desc->master when there is one, as they are now: up, and
 * the master's MTU before the interface's. carrier: the interface's counts,
 * which is not of our own setting. Any process. -ENODEV: one of them is gone.
 */
int link_state(const struct nic_desc *desc, bool carrier,
	       struct nic_link *ret) PV_MUST_CHECK;

#endif /* NETBACK_NIC_PRIVATE_H */
