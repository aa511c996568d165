/* SPDX-License-Identifier: MIT */
/*
 * netfront_announce.c - the frames that tell where an address is: their bytes,
 * and a checksum that is computed here in another way.
 */
#include <string.h>

#include "netfront/tap/announce.h"
#include "tests/unit/unit.h"

static const uint8_t mac[6] = { 0x00, 0x16, 0x3e, 0x01, 0x02, 0x03 };
static uint8_t frame[ANNOUNCE_BYTES_MAX];

static void an_ipv4_address_is_announced_by_arp(void)
{
	static const uint8_t expected[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x16, 0x3e,
		0x01, 0x02, 0x03, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00,
		0x06, 0x04, 0x00, 0x01, 0x00, 0x16, 0x3e, 0x01, 0x02,
		0x03, 10,   99,	  0,	11,   0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 10,	  99,	0,    11,
	};
	const uint8_t address[4] = { 10, 99, 0, 11 };

	memset(frame, 0xa5, sizeof(frame));
	UNIT_REQUIRE(announce_ipv4(frame, mac, address) == 60);
	UNIT_CHECK(!memcmp(frame, expected, sizeof(expected)));
	for (unsigned i = sizeof(expected); i < 60; i++)
		UNIT_CHECK(frame[i] == 0);
}

/* RFC 1071 in the slowest way: 16 bits at a time over what is covered. */
static uint16_t slow_sum(void)
{
	uint8_t covered[40 + 32] = { 0 };
	uint32_t sum = 0;

	memcpy(covered, frame + 22, 32); /* both addresses */
	covered[35] = 32;
	covered[39] = 58;
	memcpy(covered + 40, frame + 54, 32);
	for (unsigned i = 0; i < sizeof(covered); i += 2) {
		sum += (uint32_t)(covered[i] << 8 | covered[i + 1]);
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)sum;
}

static void check_ipv6(const uint8_t address[16], bool router)
{
	static const uint8_t ip[] = { 0x33, 0x33, 0,	0,    0,    1,
				      0x00, 0x16, 0x3e, 0x01, 0x02, 0x03,
				      0x86, 0xdd, 0x60, 0,    0,    0,
				      0,    32,	  58,	255 };
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };

	memset(frame, 0xa5, sizeof(frame));
	UNIT_REQUIRE(announce_ipv6(frame, mac, address, router) == 86);
	UNIT_CHECK(!memcmp(frame, ip, sizeof(ip)));
	UNIT_CHECK(!memcmp(frame + 22, address, 16));
	UNIT_CHECK(!memcmp(frame + 38, all_nodes, 16));
	UNIT_CHECK(frame[54] == 136 && frame[55] == 0);
	UNIT_CHECK(frame[58] == (router ? 0xa0 : 0x20));
	UNIT_CHECK(frame[59] == 0 && frame[60] == 0 && frame[61] == 0);
	UNIT_CHECK(!memcmp(frame + 62, address, 16));
	UNIT_CHECK(frame[78] == 2 && frame[79] == 1);
	UNIT_CHECK(!memcmp(frame + 80, mac, 6));
	/* With the checksum in place the sum is that of nothing at all. */
	UNIT_CHECK(slow_sum() == 0xffff);
}

static void an_ipv6_address_is_announced_by_an_advertisement(void)
{
	uint8_t address[16] = { 0xfd, 0x99, [15] = 0x11 };

	for (unsigned i = 0; i < 1000; i++) {
		address[i % 16] = (uint8_t)(address[i % 16] * 7 + i);
		check_ipv6(address, i & 1);
	}
}

UNIT_MAIN("netfront_announce", UNIT_TEST(an_ipv4_address_is_announced_by_arp),
	  UNIT_TEST(an_ipv6_address_is_announced_by_an_advertisement))
