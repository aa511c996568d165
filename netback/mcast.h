/* SPDX-License-Identifier: MIT */
/*
 * mcast.h - the multicast addresses that a guest wants frames for, where it
 * asked for no others (request-multicast-control). Broadcast is not filtered.
 *
 * Pure. Thread: the data thread. Logs: never.
 * Source: xen/include/public/io/netif.h, "feature-multicast-control".
 */
#ifndef NETBACK_MCAST_H
#define NETBACK_MCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "util/annotate.h"
#include "util/packet.h"

#define MCAST_MAX 64u

/* In the vif's record. Zero: none. */
struct mcast {
	uint32_t nr;
	uint8_t addrs[MCAST_MAX][PACKET_MAC_BYTES];
};

/* 0 also when it is there; -EINVAL no multicast address; -ENOSPC. */
int mcast_add(struct mcast *m,
	      const uint8_t addr[PACKET_MAC_BYTES]) PV_MUST_CHECK;
/* 0 also when it is not there. */
int mcast_del(struct mcast *m,
	      const uint8_t addr[PACKET_MAC_BYTES]) PV_MUST_CHECK;
/* Is a frame to dst to be dropped? */
bool mcast_drops(const struct mcast *m, const uint8_t dst[PACKET_MAC_BYTES]);

#endif /* NETBACK_MCAST_H */
