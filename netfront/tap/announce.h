/* SPDX-License-Identifier: MIT */
/*
 * announce.h - tells a network where our addresses are now.
 *
 * After a backend went and another came, the switches on the way know nothing
 * of us until we say something. So the interface's addresses are announced:
 * IPv4 by gratuitous ARP, IPv6 by unsolicited neighbour advertisements.
 *
 * Thread: that of the netfront's queue 0. Logs: never.
 * Source: RFC 5227 section 3 (ARP announcements), RFC 4861 section 7.2.6.
 */
#ifndef NETFRONT_TAP_ANNOUNCE_H
#define NETFRONT_TAP_ANNOUNCE_H

#include "netfront/netfront.h"
#include "util/annotate.h"

#define ANNOUNCE_BYTES_MAX 86u

/* One frame each; pure. Return its size in bytes. */
size_t announce_ipv4(uint8_t frame[ANNOUNCE_BYTES_MAX], const uint8_t mac[6],
		     const uint8_t address[4]);
/* router: whether the one announced forwards for others, as it must say. */
size_t announce_ipv6(uint8_t frame[ANNOUNCE_BYTES_MAX], const uint8_t mac[6],
		     const uint8_t address[16], bool router);

/*
 * Announce the addresses of interface ifname, in the calling thread's network
 * namespace, through nf; at most NETFRONT_BURST_MAX of them, and none that the
 * kernel is not sure of yet. Returns how many, or -errno.
 */
int announce_all(struct netfront *nf, const char *ifname,
		 const uint8_t mac[6]) PV_MUST_CHECK;

#endif /* NETFRONT_TAP_ANNOUNCE_H */
