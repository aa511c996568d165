/* SPDX-License-Identifier: MIT */
/*
 * filter.h - does a guest's frame name only the addresses that are its own?
 *
 * Always checked: the Ethernet source, and the sender's Ethernet address inside
 * of ARP. With a list of IP addresses also:
 *
 *	ARP	sender's address on the list, or 0.0.0.0 (asking who has it)
 *	IPv4	source on the list; or 0.0.0.0 in a DHCP client's datagram
 *	IPv6	source on the list or the link-local one made of the MAC
 *		(EUI-64); or :: in ICMPv6 as it is used without an address: a
 *		router asked for, the check of an own address for duplicates, a
 *		report of multicast groups
 *	neighbour discovery
 *		the target of an advertisement is an own address, and an
 *		option with an Ethernet address has the own one
 *	else	dropped, as is what cannot be read: a header that goes on
 *		behind the first 256 bytes, more than two tags
 *
 * Tags are looked behind: an address is the guest's in every VLAN.
 *
 * Pure and total: the frame's head may hold any bytes. Thread: the data thread.
 */
#ifndef NETBACK_FILTER_H
#define NETBACK_FILTER_H

#include "netback/frame.h"

#define FILTER_IPS_MAX	16u
#define FILTER_TEXT_MAX 768 /* of so many addresses, with NUL */

struct filter_ip {
	bool ipv6;
	uint8_t bytes[16]; /* 4 of IPv4 */
};

/* A zeroed one lets everything pass. */
struct filter {
	bool on;
	unsigned nr_ips; /* 0: any */
	struct filter_ip ips[FILTER_IPS_MAX];
};

/*
 * Addresses, separated by spaces; "/BITS" after one is not looked at. Only ips
 * and nr_ips are set. -EINVAL not such a list; -E2BIG too many.
 */
int filter_parse_ips(const char *text, struct filter *ret) PV_MUST_CHECK;

/* Of one that is on. mac: the guest's own. */
bool filter_check(const struct filter *filter, const uint8_t *mac,
		  const struct frame *frame);
static inline bool filter_passes(const struct filter *filter,
				 const uint8_t *mac, const struct frame *frame)
{
	return !filter->on || filter_check(filter, mac, frame);
}

#endif /* NETBACK_FILTER_H */
