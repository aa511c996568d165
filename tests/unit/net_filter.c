/* SPDX-License-Identifier: MIT */
/*
 * net_filter.c - netback/filter.c: a guest with one MAC, two IPv4 addresses and
 * one of IPv6, honest and lying. "Lying" is systematic: in each honest frame
 * every bit of every field that says who sends it is turned, one at a time.
 */
#include "netback/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/num.h"

static const uint8_t own[6] = { 0x00, 0x16, 0x3e, 1, 2, 3 };
static struct filter filter;

static void setup(const char *ips)
{
	filter = (struct filter){ .on = true };
	UNIT_CHECK(filter_parse_ips(ips, &filter) == 0);
}

#define TWO_IPS "10.0.0.5 10.0.0.6/24 fd00::5"

/* Hexadecimal digits; spaces do not count. */
static struct frame hex(const char *text)
{
	struct frame f = { 0 };
	unsigned value, n = 0;

	while (*(text += strspn(text, " "))) {
		if (sscanf(text, "%2x", &value) != 1 || n == sizeof(f.head))
			break;
		f.head[n++] = (uint8_t)value;
		text += 2;
	}
	f.head_bytes = f.size_bytes = n;
	return f;
}

static bool passes(const struct frame *f)
{
	return filter_passes(&filter, own, f);
}

#define TO_ALL "ffffffffffff"
#define FROM   "00163e010203"
#define LINK   "fe80000000000000 02163efffe010203"
#define IP6    "fd00000000000000 0000000000000005"
#define NOBODY "0000000000000000 0000000000000000"
#define ALL6   "ff02000000000000 0000000000000001"

/* Honest frames, and which bytes (first..last, twice) say who sends them. */
static const struct {
	const char *name, *text;
	unsigned from1, to1, from2, to2;
} honest[] = {
	{ "ARP request",
	  TO_ALL FROM "0806 0001080006040001" FROM
		      "0a000005 000000000000 0a000001",
	  6, 11, 22, 31 },
	{ "ARP probe",
	  TO_ALL FROM "0806 0001080006040001" FROM
		      "00000000 000000000000 0a000005",
	  6, 11, 22, 31 },
	{ "tagged ARP",
	  TO_ALL FROM "81000064 0806 0001080006040002" FROM
		      "0a000006 000000000000 0a000001",
	  6, 11, 26, 35 },
	{ "IPv4",
	  TO_ALL FROM "0800 4500001c0000000040110000 0a000005 0a000001"
		      "0035003500080000",
	  6, 11, 26, 29 },
	{ "two tags, IPv4",
	  TO_ALL FROM
	  "88a80001 81000002 0800"
	  "4500001c0000000040110000 0a000006 0a000001 0035003500080000",
	  6, 11, 34, 37 },
	{ "DHCP discover",
	  TO_ALL FROM
	  "0800 4500001c0000000040110000 00000000 ffffffff 0044004300080000",
	  6, 11, 23, 37 },
	{ "IPv6",
	  TO_ALL FROM "86dd 6000000000081140" IP6 IP6 "0035003500080000", 6, 11,
	  22, 37 },
	{ "neighbour solicitation",
	  TO_ALL FROM
	  "86dd 6000000000203aff" LINK ALL6
	  "8700000000000000 fd00000000000000 0000000000000001 0101" FROM,
	  6, 11, 80, 85 },
	{ "check for duplicates",
	  TO_ALL FROM "86dd 6000000000183aff" NOBODY ALL6
		      "8700000000000000" IP6,
	  6, 11, 62, 77 },
	{ "neighbour advertisement",
	  TO_ALL FROM "86dd 6000000000203aff" IP6 ALL6 "8800000060000000" IP6
		      "0201" FROM,
	  62, 77, 80, 85 },
	{ "router solicitation",
	  TO_ALL FROM "86dd 6000000000103aff" LINK ALL6
		      "8500000000000000 0101" FROM,
	  22, 37, 64, 69 },
	{ "group report behind options",
	  TO_ALL FROM "86dd 6000000000100001" NOBODY ALL6
		      "3a00050200000000 8f00000000000000",
	  6, 11, 54, 54 },
};

static void lets_honest_frames_pass(void)
{
	setup(TWO_IPS);
	for (unsigned i = 0; i < ARRAY_SIZE(honest); i++) {
		struct frame f = hex(honest[i].text);

		if (!passes(&f))
			fprintf(stderr, "%s\n", honest[i].name);
		UNIT_CHECK(passes(&f));
	}
}

static void check_turned(unsigned i, unsigned at)
{
	for (unsigned bit = 0; bit < 8; bit++) {
		struct frame f = hex(honest[i].text);

		f.head[at] ^= (uint8_t)(1 << bit);
		if (passes(&f))
			fprintf(stderr, "%s: byte %u, bit %u\n", honest[i].name,
				at, bit);
		UNIT_CHECK(!passes(&f));
	}
}

static void refuses_each_bit_of_another_sender(void)
{
	setup(TWO_IPS);
	for (unsigned i = 0; i < ARRAY_SIZE(honest); i++) {
		for (unsigned b = honest[i].from1; b <= honest[i].to1; b++)
			check_turned(i, b);
		for (unsigned b = honest[i].from2; b <= honest[i].to2; b++)
			if (strcmp(honest[i].name, "DHCP discover") ||
			    b == 23 || (b >= 26 && b <= 29) || b >= 34)
				check_turned(i, b);
	}
}

/* Whatever is cut off must not be believed. */
static void refuses_frames_that_are_cut_off(void)
{
	setup(TWO_IPS);
	for (unsigned i = 0; i < ARRAY_SIZE(honest); i++) {
		struct frame f = hex(honest[i].text);
		uint32_t last = honest[i].to2 > 14 ? honest[i].to2 : 14;

		for (uint32_t n = PACKET_ETH_BYTES; n <= last; n++) {
			struct frame cut = f;

			memset(cut.head + n, 0xee, sizeof(cut.head) - n);
			cut.head_bytes = cut.size_bytes = n;
			UNIT_CHECK(!passes(&cut));
		}
	}
}

static void refuses_what_is_not_arp_or_ip_with_addresses_only(void)
{
	struct frame stp = hex(TO_ALL FROM "0026 424203000000");
	struct frame rarp = hex(TO_ALL FROM "8035 0001080006040003" FROM
					    "00000000 00163e010203 00000000");
	struct frame tags = hex(TO_ALL FROM "81000001 81000001 81000001 0800");

	setup(TWO_IPS);
	UNIT_CHECK(!passes(&stp) && !passes(&rarp) && !passes(&tags));
	setup("");
	UNIT_CHECK(passes(&stp) && passes(&rarp));
}

static void without_addresses_only_the_mac_counts(void)
{
	struct frame f = hex(honest[3].text);
	struct frame arp = hex(honest[0].text);

	setup("");
	f.head[26] = 192;
	arp.head[28] = 192;
	UNIT_CHECK(passes(&f) && passes(&arp));
	arp.head[22] ^= 1;
	UNIT_CHECK(!passes(&arp));
	f.head[6] ^= 2;
	UNIT_CHECK(!passes(&f));
	filter.on = false;
	UNIT_CHECK(passes(&f) && passes(&arp));
}

/* An option with somebody else's address behind as much padding as it takes. */
static void believes_no_option_that_it_cannot_see(void)
{
	struct frame f = hex(TO_ALL FROM "86dd 6000000000ff3aff" IP6 ALL6
					 "8800000060000000" IP6);

	setup(TWO_IPS);
	f.head[18] = 1; /* 31 options, of which 22 lie in the head */
	f.head[19] = 24 + 31 * 8 - 256;
	for (uint32_t at = 78; at + 8 <= PACKET_HEAD_MAX; at += 8) {
		f.head[at] = 14;
		f.head[at + 1] = 1;
	}
	f.head_bytes = PACKET_HEAD_MAX;
	f.size_bytes = 54 + 24 + 31 * 8;
	UNIT_CHECK(!passes(&f));
	f.head[18] = 0;
	f.head[19] = 24 + 20 * 8;
	f.head_bytes = f.size_bytes = 54 + 24 + 20 * 8;
	UNIT_CHECK(passes(&f));
	f.head[78 + 19 * 8] = 2;
	UNIT_CHECK(!passes(&f));
	f.head[78 + 19 * 8] = 14;
	f.head[78 + 1] = 0;
	UNIT_CHECK(!passes(&f));
}

static void refuses_lists_that_are_none(void)
{
	static const char *const bad[] = {
		"10.0.0",  "x",		 "10.0.0.1,10.0.0.2",
		"fd00::g", "10.0.0.256", "/24"
	};
	char many[FILTER_TEXT_MAX] = "";
	struct filter f = { .on = true, .nr_ips = 3 };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(filter_parse_ips(bad[i], &f) == -EINVAL);
	for (unsigned i = 0; i <= FILTER_IPS_MAX; i++)
		strcat(many, "10.0.0.1 ");
	UNIT_CHECK(filter_parse_ips(many, &f) == -E2BIG);
	UNIT_CHECK(f.nr_ips == 3);
	UNIT_CHECK(filter_parse_ips(many + 9, &f) == 0);
	UNIT_CHECK(f.nr_ips == FILTER_IPS_MAX && f.on);
}

static void survives_any_bytes(void)
{
	uint64_t state = 1;

	setup(TWO_IPS);
	for (unsigned i = 0; i < 200000; i++) {
		struct frame f = hex(honest[i % ARRAY_SIZE(honest)].text);

		for (unsigned n = 0; n < 6; n++) {
			state = state * 6364136223846793005u + 1;
			f.head[12 + (state >> 40) % (sizeof(f.head) - 12)] =
				(uint8_t)(state >> 56);
		}
		f.head_bytes = 14 + (uint32_t)(state >> 33) % 243;
		f.size_bytes = f.head_bytes;
		if (passes(&f))
			UNIT_CHECK(!memcmp(f.head + 6, own, 6));
	}
}

UNIT_MAIN("net_filter", UNIT_TEST(lets_honest_frames_pass),
	  UNIT_TEST(refuses_each_bit_of_another_sender),
	  UNIT_TEST(refuses_frames_that_are_cut_off),
	  UNIT_TEST(refuses_what_is_not_arp_or_ip_with_addresses_only),
	  UNIT_TEST(without_addresses_only_the_mac_counts),
	  UNIT_TEST(believes_no_option_that_it_cannot_see),
	  UNIT_TEST(refuses_lists_that_are_none), UNIT_TEST(survives_any_bytes))
