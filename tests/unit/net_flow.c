/* SPDX-License-Identifier: MIT */
/*
 * net_flow.c - netback/flow.c: what is a flow and what is not, and that its
 * hash spreads, depends on its key and on every byte.
 */
#include "netback/flow.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/packet.h"

#define ADDRS4 "\x0a\x00\x00\x01\x0a\x00\x00\x02"
#define PORTS  "\x12\x34\x00\x50"

struct text {
	uint8_t bytes[128];
	size_t size;
};

static void put(struct text *t, const void *bytes, size_t size)
{
	memcpy(t->bytes + t->size, bytes, size);
	t->size += size;
}

static void put_eth(struct text *t, const char *type)
{
	t->size = 0;
	put(t, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	put(t, type, 2);
}

static void put_ipv4(struct text *t, uint8_t proto, uint8_t words)
{
	uint8_t ip[60] = { 0 };

	ip[0] = (uint8_t)(0x40 | words);
	ip[9] = proto;
	memcpy(ip + 12, ADDRS4, 8);
	put(t, ip, (size_t)words * 4);
	put(t, PORTS, 4);
}

static struct flow parse(const struct text *t)
{
	struct flow flow;

	flow_parse(t->bytes, t->size, &flow);
	return flow;
}

static bool is(const struct flow *f, const char *bytes, uint8_t addr_bytes,
	       uint8_t size_bytes)
{
	return f->addr_bytes == addr_bytes && f->size_bytes == size_bytes &&
	       !memcmp(f->bytes, bytes, size_bytes);
}

static void tcp_and_udp_have_addresses_and_ports(void)
{
	static const uint8_t protos[] = { 6, 17 };

	for (unsigned i = 0; i < 2; i++) {
		struct text t;
		struct flow f;

		put_eth(&t, "\x08\x00");
		put_ipv4(&t, protos[i], 5 + i * 10);
		f = parse(&t);
		UNIT_CHECK(is(&f, ADDRS4 PORTS, 8, 12));
		UNIT_CHECK(!f.ipv6 && f.tcp == (i == 0));
	}
}

static void tags_are_stepped_over(void)
{
	struct text t;
	struct flow f;

	put_eth(&t, "\x88\xa8");
	put(&t, "\x00\x07\x81\x00\x00\x08\x08\x00", 8);
	put_ipv4(&t, 17, 5);
	f = parse(&t);
	UNIT_CHECK(is(&f, ADDRS4 PORTS, 8, 12));
}

static void ipv6_has_its_own(void)
{
	uint8_t ip[40] = { 0x60 };
	struct text t;
	struct flow f;

	for (uint8_t i = 8; i < 40; i++)
		ip[i] = i;
	ip[6] = 6;
	put_eth(&t, "\x86\xdd");
	put(&t, ip, sizeof(ip));
	put(&t, PORTS, 4);
	f = parse(&t);
	UNIT_CHECK(f.addr_bytes == 32 && f.size_bytes == 36 && f.ipv6 && f.tcp);
	UNIT_CHECK(!memcmp(f.bytes, ip + 8, 32) &&
		   !memcmp(f.bytes + 32, PORTS, 4));
	t.bytes[20] = 58;
	f = parse(&t);
	UNIT_CHECK(f.addr_bytes == 32 && f.size_bytes == 32 && !f.tcp);
}

static void fragments_of_a_packet_are_one_flow(void)
{
	struct text t;
	struct flow first, next;

	put_eth(&t, "\x08\x00");
	put_ipv4(&t, 17, 5);
	t.bytes[20] = 0x20; /* more fragments */
	first = parse(&t);
	t.bytes[20] = 0;
	t.bytes[21] = 185; /* a later one; other bytes where ports were */
	t.bytes[35] ^= 1;
	next = parse(&t);
	UNIT_CHECK(is(&first, ADDRS4, 8, 8) && is(&next, ADDRS4, 8, 8));
}

static void without_ip_the_ethernet_header_is_the_flow(void)
{
	struct text t;
	struct flow f;

	put_eth(&t, "\x08\x06");
	put(&t, "whatever it says", 16);
	f = parse(&t);
	UNIT_CHECK(!f.addr_bytes && f.size_bytes == PACKET_ETH_BYTES);
	UNIT_CHECK(!memcmp(f.bytes, t.bytes, PACKET_ETH_BYTES));
	/* Nor is what claims to be IP and is not. */
	put_eth(&t, "\x08\x00");
	put_ipv4(&t, 17, 5);
	t.bytes[14] = 0x44;
	f = parse(&t);
	UNIT_CHECK(!f.addr_bytes && f.size_bytes == PACKET_ETH_BYTES);
	t.bytes[14] = 0x65;
	f = parse(&t);
	UNIT_CHECK(!f.addr_bytes);
}

/* In memory of just that size: nothing behind it is read. */
static void every_beginning_of_a_frame_is_taken(void)
{
	struct text t;

	put_eth(&t, "\x81\x00");
	put(&t, "\x00\x01\x08\x00", 4);
	put_ipv4(&t, 6, 15);
	for (size_t n = PACKET_ETH_BYTES; n <= t.size; n++) {
		uint8_t *head = malloc(n);
		struct flow f;

		UNIT_REQUIRE(head);
		memcpy(head, t.bytes, n);
		flow_parse(head, n, &f);
		UNIT_CHECK(f.size_bytes >= 8 && f.size_bytes <= FLOW_BYTES_MAX);
		free(head);
	}
}

static void the_hash_depends_on_every_byte_and_on_the_key(void)
{
	struct flow_key key, other;
	struct flow f = { .size_bytes = FLOW_BYTES_MAX };
	unsigned nr[8] = { 0 };
	uint32_t h;

	UNIT_REQUIRE(!flow_key_init(&key) && !flow_key_init(&other));
	h = flow_hash(&key, &f);
	UNIT_CHECK(flow_hash(&key, &f) == h);
	UNIT_CHECK(flow_hash(&other, &f) != h);
	for (unsigned i = 0; i < FLOW_BYTES_MAX; i++) {
		f.bytes[i] = 1;
		UNIT_CHECK(flow_hash(&key, &f) != h);
		f.bytes[i] = 0;
	}
	for (unsigned i = 0; i < 8000; i++) {
		f.bytes[FLOW_BYTES_MAX - 1] = (uint8_t)i;
		f.bytes[FLOW_BYTES_MAX - 2] = (uint8_t)(i >> 8);
		nr[flow_hash(&key, &f) % 8]++;
	}
	for (unsigned i = 0; i < 8; i++)
		UNIT_CHECK(nr[i] > 700 && nr[i] < 1300);
}

UNIT_MAIN("net_flow", UNIT_TEST(tcp_and_udp_have_addresses_and_ports),
	  UNIT_TEST(tags_are_stepped_over), UNIT_TEST(ipv6_has_its_own),
	  UNIT_TEST(fragments_of_a_packet_are_one_flow),
	  UNIT_TEST(without_ip_the_ethernet_header_is_the_flow),
	  UNIT_TEST(every_beginning_of_a_frame_is_taken),
	  UNIT_TEST(the_hash_depends_on_every_byte_and_on_the_key))
