/* SPDX-License-Identifier: MIT */
/*
 * tap.h - the guest's network interface: a TAP with a vnet header, with one or
 * several queues.
 *
 * Needs CAP_NET_ADMIN in the network namespace it is made in. The interface
 * goes when it is closed. Thread: the owner's; a queue's descriptor may be read
 * and written by another. Logs: never.
 */
#ifndef NETFRONT_TAP_TAP_H
#define NETFRONT_TAP_TAP_H

#include <net/if.h>

#include "netfront/netfront.h"
#include "util/annotate.h"

struct tap {
	char ifname[IFNAMSIZ];
	int fds[NETFRONT_QUEUES_MAX]; /* non-blocking, one for each queue */
	uint32_t nr_queues;
	uint32_t nr_attached; /* the kernel sends through the first so many */
	/* As the toolstack had them last; the guest may have set others. */
	uint32_t mtu;
	uint8_t mac[6];
};

/*
 * Make ifname in the calling thread's network namespace with info's address
 * and MTU, and bring it up, without carrier. On failure -errno and one clear
 * sentence in why.
 */
int tap_open(const char *ifname, uint32_t nr_queues,
	     const struct netfront_info *info, struct tap *ret, char *why,
	     size_t why_size) PV_MUST_CHECK;
void tap_close(struct tap *tap);

/*
 * Be what the connection is now: carrier, MTU, as many queues, and offload what
 * the backend can take. Returns the first error; the rest is done all the same.
 */
int tap_follow(struct tap *tap, const struct netfront_info *info) PV_MUST_CHECK;

#endif /* NETFRONT_TAP_TAP_H */
