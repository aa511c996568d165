/* SPDX-License-Identifier: MIT */
/*
 * filter.c - whose addresses a frame names; see filter.h. Used by switch.c,
 * rules.c. Data thread.
 */
#include "netback/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "util/be.h"

#define ETHERTYPE_IPV4	  0x0800u
#define ETHERTYPE_ARP	  0x0806u
#define ETHERTYPE_VLAN	  0x8100u
#define ETHERTYPE_IPV6	  0x86ddu
#define ETHERTYPE_SERVICE 0x88a8u
#define TAGS_MAX	  2

#define ARP_BYTES    28u
#define IPV4_BYTES   20u
#define IPV6_BYTES   40u
#define UDP_BYTES    8u
#define ICMP_BYTES   8u
#define ND_BYTES     24u /* of a neighbour's solicitation or advertisement */
#define ROUTER_BYTES 16u /* of a router's advertisement */
#define EXTS_MAX     8

#define PROTO_HOPOPTS 0u
#define PROTO_UDP     17u
#define PROTO_ROUTING 43u
#define PROTO_ICMPV6  58u
#define PROTO_DSTOPTS 60u

#define DHCP_SERVER 67u
#define DHCP_CLIENT 68u

#define ICMP_ROUTER_SOLICIT 133u
#define ICMP_ROUTER_ADVERT  134u
#define ICMP_SOLICIT	    135u
#define ICMP_ADVERT	    136u
#define ICMP_MLD2_REPORT    143u
#define ND_SOURCE_LINK	    1u
#define ND_TARGET_LINK	    2u

/* What is left of the head, and whose it has to be. */
struct look {
	const struct filter *filter;
	const uint8_t *mac;
	const uint8_t *at;
	size_t left_bytes;
	bool whole; /* the datagram ends within the head */
};

static const uint8_t no_ip[16];

static void skip(struct look *l, size_t bytes)
{
	l->at += bytes;
	l->left_bytes -= bytes;
}

int filter_parse_ips(const char *text, struct filter *ret)
{
	struct filter f = { .on = ret->on };

	while (*(text += strspn(text, " "))) {
		size_t len = strcspn(text, " "), bare = strcspn(text, " /");
		char word[INET6_ADDRSTRLEN];
		struct filter_ip *ip = &f.ips[f.nr_ips];

		if (f.nr_ips == FILTER_IPS_MAX)
			return -E2BIG;
		if (bare >= sizeof(word))
			return -EINVAL;
		memcpy(word, text, bare);
		word[bare] = '\0';
		ip->ipv6 = memchr(word, ':', bare) != NULL;
		if (inet_pton(ip->ipv6 ? AF_INET6 : AF_INET, word, ip->bytes) !=
		    1)
			return -EINVAL;
		f.nr_ips++;
		text += len;
	}
	*ret = f;
	return 0;
}

static bool listed(const struct filter *f, bool ipv6, const uint8_t *address)
{
	for (unsigned i = 0; i < f->nr_ips; i++)
		if (f->ips[i].ipv6 == ipv6 &&
		    !memcmp(f->ips[i].bytes, address, ipv6 ? 16 : 4))
			return true;
	return false;
}

/* fe80::, and the MAC with ff:fe in its middle and its second bit turned. */
static bool is_own_link_local(const uint8_t *mac, const uint8_t *address)
{
	const uint8_t own[16] = { 0xfe,	      0x80,   0,      0,
				  0,	      0,      0,      0,
				  mac[0] ^ 2, mac[1], mac[2], 0xff,
				  0xfe,	      mac[3], mac[4], mac[5] };

	return !memcmp(address, own, sizeof(own));
}

static bool own_ipv6(const struct look *l, const uint8_t *address)
{
	return listed(l->filter, true, address) ||
	       is_own_link_local(l->mac, address);
}

static bool arp_passes(const struct look *l)
{
	static const uint8_t ipv4_on_ethernet[] = { 0, 1, 8, 0, 6, 4 };
	const uint8_t *sender_ip = l->at + 14;

	if (l->left_bytes < ARP_BYTES ||
	    memcmp(l->at, ipv4_on_ethernet, sizeof(ipv4_on_ethernet)))
		return false;
	if (memcmp(l->at + 8, l->mac, PACKET_MAC_BYTES))
		return false;
	return !l->filter->nr_ips || !memcmp(sender_ip, no_ip, 4) ||
	       listed(l->filter, false, sender_ip);
}

static bool ipv4_passes(const struct look *l)
{
	const uint8_t *ip = l->at, *udp;
	size_t header_bytes;

	if (l->left_bytes < IPV4_BYTES || ip[0] >> 4 != 4)
		return false;
	if (listed(l->filter, false, ip + 12))
		return true;
	header_bytes = (size_t)(ip[0] & 0xf) * 4;
	if (memcmp(ip + 12, no_ip, 4) || ip[9] != PROTO_UDP ||
	    get_be16(ip + 6) & 0x3fff || header_bytes < IPV4_BYTES ||
	    l->left_bytes < header_bytes + UDP_BYTES)
		return false;
	udp = ip + header_bytes;
	return get_be16(udp) == DHCP_CLIENT && get_be16(udp + 2) == DHCP_SERVER;
}

/* Options up to the end: an Ethernet address in one is the own one. */
static bool options_pass(struct look *l)
{
	while (l->left_bytes >= 8) {
		size_t bytes = (size_t)l->at[1] * 8;
		bool link = l->at[0] == ND_SOURCE_LINK ||
			    l->at[0] == ND_TARGET_LINK;

		if (!bytes || bytes > l->left_bytes)
			return false;
		if (link && memcmp(l->at + 2, l->mac, PACKET_MAC_BYTES))
			return false;
		skip(l, bytes);
	}
	return !l->left_bytes;
}

/* A message of neighbour discovery whose options begin after so many bytes. */
static bool discovery_passes(struct look *l, size_t bytes)
{
	if (!l->whole || l->left_bytes < bytes)
		return false;
	skip(l, bytes);
	return options_pass(l);
}

/* nobody: the source is the address ::. */
static bool icmpv6_passes(struct look *l, bool nobody)
{
	const uint8_t *target = l->at + ICMP_BYTES;

	if (l->left_bytes < ICMP_BYTES)
		return false;
	switch (l->at[0]) {
	case ICMP_MLD2_REPORT: return true;
	case ICMP_ROUTER_SOLICIT: return discovery_passes(l, ICMP_BYTES);
	case ICMP_ROUTER_ADVERT:
		return !nobody && discovery_passes(l, ROUTER_BYTES);
	case ICMP_SOLICIT:
		if (nobody &&
		    (l->left_bytes < ND_BYTES || !own_ipv6(l, target)))
			return false;
		return discovery_passes(l, ND_BYTES);
	case ICMP_ADVERT:
		if (nobody || l->left_bytes < ND_BYTES || !own_ipv6(l, target))
			return false;
		return discovery_passes(l, ND_BYTES);
	default: return !nobody;
	}
}

static bool ipv6_passes(struct look *l)
{
	bool nobody;
	size_t end;
	uint8_t next;

	if (l->left_bytes < IPV6_BYTES || l->at[0] >> 4 != 6)
		return false;
	nobody = !memcmp(l->at + 8, no_ip, 16);
	if (!nobody && !own_ipv6(l, l->at + 8))
		return false;
	next = l->at[6];
	/* Padding behind the datagram is not part of it. */
	end = get_be16(l->at + 4);
	skip(l, IPV6_BYTES);
	l->whole = end <= l->left_bytes;
	if (l->whole)
		l->left_bytes = end;
	for (int i = 0; i < EXTS_MAX; i++) {
		size_t bytes;

		if (next == PROTO_ICMPV6)
			return icmpv6_passes(l, nobody);
		if (next != PROTO_HOPOPTS && next != PROTO_ROUTING &&
		    next != PROTO_DSTOPTS)
			return !nobody;
		if (l->left_bytes < 8)
			return false;
		next = l->at[0];
		bytes = 8 + (size_t)l->at[1] * 8;
		if (bytes > l->left_bytes)
			return false;
		skip(l, bytes);
	}
	return false;
}

bool filter_check(const struct filter *filter, const uint8_t *mac,
		  const struct frame *frame)
{
	struct look l = { filter, mac, frame->head, frame->head_bytes, false };
	uint16_t type;

	if (memcmp(l.at + PACKET_MAC_BYTES, mac, PACKET_MAC_BYTES))
		return false;
	skip(&l, PACKET_ETH_BYTES - 2);
	type = get_be16(l.at);
	for (int tags = 0; type == ETHERTYPE_VLAN || type == ETHERTYPE_SERVICE;
	     tags++) {
		if (tags == TAGS_MAX || l.left_bytes < 6)
			return false;
		skip(&l, FRAME_TAG_BYTES);
		type = get_be16(l.at);
	}
	skip(&l, 2);
	if (type == ETHERTYPE_ARP)
		return arp_passes(&l);
	if (!filter->nr_ips)
		return true;
	if (type == ETHERTYPE_IPV4)
		return ipv4_passes(&l);
	return type == ETHERTYPE_IPV6 && ipv6_passes(&l);
}
