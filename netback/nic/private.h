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
extern const struct nic_ops nic_af_packet;
extern const struct nic_ops nic_af_xdp;
extern const struct nic_ops nic_null;

/* nic_af_xdp's, in a file of its own. */
int af_xdp_acquire(const struct nic_request *req, struct nic_desc *desc,
		   int fds[NIC_FDS_MAX], char *why, size_t why_size);

/* One sentence of what was tried, and why it failed. Returns err. */
int nic_explain(int err, char *why, size_t why_size, const char *what);

/*
 * Enslave the interface ifname to the kernel bridge of that name, give it the
 * bridge's MTU, and bring it up. Monitor only; needs CAP_NET_ADMIN.
 * On failure why gets one clear sentence. -ENODEV no such interface;
 * -EINVAL bridge is not a bridge; -EPERM.
 */
int link_enslave(const char *ifname, const char *bridge, uint32_t *ret_mtu,
		 char *why, size_t why_size) PV_MUST_CHECK;

/* An Ethernet interface that is there already. */
struct link_info {
	int ifindex;
	uint32_t mtu;
};

/*
 * Find an interface to send and receive on; nothing of it is changed. Monitor
 * only. On failure why gets one clear sentence. -ENODEV no such interface;
 * -EINVAL it is not Ethernet; -ENETDOWN it is not up.
 */
int link_find(const char *ifname, struct link_info *ret, char *why,
	      size_t why_size) PV_MUST_CHECK;

/*
 * desc->ifname, and desc->master when there is one, as they are now: up, and
 * the master's MTU before the interface's. carrier: the interface's counts,
 * which is not of our own setting. Any process. -ENODEV: one of them is gone.
 */
int link_state(const struct nic_desc *desc, bool carrier,
	       struct nic_link *ret) PV_MUST_CHECK;

#endif /* NETBACK_NIC_PRIVATE_H */
