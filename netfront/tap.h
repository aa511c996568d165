/* SPDX-License-Identifier: MIT */
/*
 * tap.h - the guest's network interface: a TAP with a vnet header.
 *
 * Needs CAP_NET_ADMIN in the network namespace it is made in. The interface
 * goes when it is closed. Thread: the owner's. Logs: never.
 */
#ifndef NETFRONT_TAP_H
#define NETFRONT_TAP_H

#include "netfront/netfront.h"

/*
 * Make ifname in the calling thread's network namespace with info's address
 * and MTU, and bring it up, without carrier. Returns a non-blocking descriptor,
 * or -errno and one clear sentence in why.
 */
int tap_open(const char *ifname, const struct netfront_info *info, char *why,
	     size_t why_size) PV_MUST_CHECK;

/* Offload what the backend can take. */
int tap_set_offloads(int fd, const struct netfront_info *info) PV_MUST_CHECK;
void tap_set_carrier(int fd, bool up);

#endif /* NETFRONT_TAP_H */
