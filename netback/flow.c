/* SPDX-License-Identifier: MIT */
/* flow.c - flows and their hash; see flow.h. Called by port.c. */
#include "netback/flow.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "util/be.h"
#include "util/packet.h"

#define ETHERTYPE_AT   12u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88a8u
#define VLAN_BYTES     4u
#define VLANS_MAX      2u

#define PROTO_TCP   6u
#define PROTO_UDP   17u
#define PORTS_BYTES 4u

#define IPV4_MIN      20u
#define IPV4_ADDRS_AT 12u
#define IPV4_ADDRS    8u
#define IPV6_LEN      40u
#define IPV6_ADDRS_AT 8u
#define IPV6_ADDRS    32u

static void add(struct flow *flow, const uint8_t *from, uint8_t size_bytes)
{
	memcpy(flow->bytes + flow->size_bytes, from, size_bytes);
	flow->size_bytes = (uint8_t)(flow->size_bytes + size_bytes);
}

static void add_ports(struct flow *flow, const uint8_t *head, size_t head_bytes,
		      size_t at, uint8_t proto)
{
	if ((proto != PROTO_TCP && proto != PROTO_UDP) ||
	    head_bytes < at + PORTS_BYTES)
		return;
	add(flow, head + at, PORTS_BYTES);
	flow->tcp = proto == PROTO_TCP;
}

static bool parse_ipv4(const uint8_t *head, size_t head_bytes, size_t at,
		       struct flow *flow)
{
	const uint8_t *ip = head + at;
	size_t ip_bytes;

	if (head_bytes < at + IPV4_MIN || ip[0] >> 4 != 4)
		return false;
	ip_bytes = (size_t)(ip[0] & 0xf) * 4;
	if (ip_bytes < IPV4_MIN)
		return false;
	add(flow, ip + IPV4_ADDRS_AT, IPV4_ADDRS);
	flow->addr_bytes = IPV4_ADDRS;
	/* More fragments, or not the first one. */
	if (!(get_be16(ip + 6) & 0x3fff))
		add_ports(flow, head, head_bytes, at + ip_bytes, ip[9]);
	return true;
}

/* Ports are looked for right after the header only. */
static bool parse_ipv6(const uint8_t *head, size_t head_bytes, size_t at,
		       struct flow *flow)
{
	const uint8_t *ip = head + at;

	if (head_bytes < at + IPV6_LEN || ip[0] >> 4 != 6)
		return false;
	add(flow, ip + IPV6_ADDRS_AT, IPV6_ADDRS);
	flow->addr_bytes = IPV6_ADDRS;
	flow->ipv6 = true;
	add_ports(flow, head, head_bytes, at + IPV6_LEN, ip[6]);
	return true;
}

/* Where the network header would be, and the type of what is there. */
static unsigned skip_tags(const uint8_t *head, size_t head_bytes, size_t *at)
{
	unsigned type = get_be16(head + ETHERTYPE_AT);

	*at = PACKET_ETH_BYTES;
	for (unsigned tags = 0; tags < VLANS_MAX; tags++) {
		if ((type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ) ||
		    head_bytes < *at + VLAN_BYTES)
			break;
		type = get_be16(head + *at + 2);
		*at += VLAN_BYTES;
	}
	return type;
}

void flow_parse(const uint8_t *head, size_t head_bytes, struct flow *ret)
{
	struct flow flow = { 0 };
	size_t at;
	unsigned type = skip_tags(head, head_bytes, &at);
	bool ip = false;

	if (type == ETHERTYPE_IPV4)
		ip = parse_ipv4(head, head_bytes, at, &flow);
	else if (type == ETHERTYPE_IPV6)
		ip = parse_ipv6(head, head_bytes, at, &flow);
	if (!ip)
		add(&flow, head, PACKET_ETH_BYTES);
	*ret = flow;
}

int flow_key_init(struct flow_key *key)
{
	if (getrandom(key, sizeof(*key), 0) != (ssize_t)sizeof(*key))
		return -EIO;
	/* A multiplier that loses nothing. */
	key->word[1] |= 1;
	return 0;
}

uint32_t flow_hash(const struct flow_key *key, const struct flow *flow)
{
	uint64_t h = key->word[0] ^ flow->size_bytes;

	for (unsigned at = 0; at < flow->size_bytes; at += sizeof(uint64_t)) {
		uint64_t word = 0;
		size_t n = flow->size_bytes - at;

		memcpy(&word, flow->bytes + at,
		       n < sizeof(word) ? n : sizeof(word));
		h = (h ^ word) * key->word[1];
		h ^= h >> 32;
		h *= 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return (uint32_t)(h >> 32);
}
