/* SPDX-License-Identifier: MIT */
/* net_packet.c - util/packet.c: headers, checksums, the vnet header. */
#include "util/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/num.h"

struct packet {
	uint8_t b[2048];
	size_t size, l3, l4;
};

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A whole frame: ipv6 or not, TCP or UDP, some payload, some IPv4 options. */
static struct packet make(bool ipv6, bool tcp, size_t payload, size_t options,
			  bool vlan)
{
	struct packet p = { .l3 = vlan ? 18 : 14 };
	size_t l4_header = tcp ? 20 : 8;

	for (size_t i = 0; i < sizeof(p.b); i++)
		p.b[i] = (uint8_t)(i * 37 + 11);
	if (vlan) {
		put16(p.b + 12, 0x8100);
		put16(p.b + 16, ipv6 ? 0x86dd : 0x0800);
	} else {
		put16(p.b + 12, ipv6 ? 0x86dd : 0x0800);
	}
	p.l4 = p.l3 + (ipv6 ? 40 : 20 + options);
	p.size = p.l4 + l4_header + payload;
	if (ipv6) {
		p.b[p.l3] = 0x60;
		put16(p.b + p.l3 + 4, l4_header + payload);
		p.b[p.l3 + 6] = tcp ? 6 : 17;
	} else {
		p.b[p.l3] = (uint8_t)(0x45 + options / 4);
		put16(p.b + p.l3 + 2, p.size - p.l3);
		put16(p.b + p.l3 + 6, 0x4000);
		p.b[p.l3 + 9] = tcp ? 6 : 17;
	}
	if (tcp)
		p.b[p.l4 + 12] = 0x50;
	else
		put16(p.b + p.l4 + 4, 8 + payload);
	return p;
}

/* RFC 1071 the slow way, one 16-bit word after the other, with end-around
 * carries; the checksum field counts as zero. */
static uint16_t reference(const struct packet *p, bool ipv6, bool tcp)
{
	size_t len = p->size - p->l4, field = tcp ? 16 : 6;
	uint8_t all[2200] = { 0 };
	size_t n = 0;
	uint32_t sum = 0;

	memcpy(all, p->b + p->l3 + (ipv6 ? 8 : 12), ipv6 ? 32 : 8);
	n += ipv6 ? 32 : 8;
	all[n + 1] = tcp ? 6 : 17;
	put16(all + n + 2, len);
	n += 4;
	memcpy(all + n, p->b + p->l4, len);
	all[n + field] = all[n + field + 1] = 0;
	n += len + (len & 1);
	for (size_t i = 0; i < n; i += 2) {
		sum += (uint32_t)all[i] << 8 | all[i + 1];
		if (sum > 0xffff)
			sum = (sum & 0xffff) + 1;
	}
	sum = ~sum & 0xffff;
	return sum || tcp ? (uint16_t)sum : 0xffff;
}

static void fills_checksums_as_the_slow_way_does(void)
{
	for (unsigned kind = 0; kind < 8; kind++) {
		bool ipv6 = kind & 1, tcp = kind & 2, vlan = kind & 4;

		for (size_t payload = 0; payload < 1400; payload += 7) {
			struct packet p = make(ipv6, tcp, payload,
					       payload % 11 * 4 % 44, vlan);
			uint16_t want = reference(&p, ipv6, tcp);
			size_t at = p.l4 + (tcp ? 16u : 6u);

			UNIT_REQUIRE(!packet_fill_csum(p.b, p.size));
			UNIT_REQUIRE((p.b[at] << 8 | p.b[at + 1]) == want);
		}
	}
}

static void leaves_trailing_padding_out_of_the_checksum(void)
{
	struct packet p = make(false, false, 3, 0, false);
	uint16_t want = reference(&p, false, false);

	UNIT_REQUIRE(!packet_fill_csum(p.b, 60));
	UNIT_CHECK((p.b[p.l4 + 6] << 8 | p.b[p.l4 + 7]) == want);
}

static void finds_the_headers(void)
{
	struct packet p = make(false, true, 100, 8, true);
	struct packet_layout at;

	UNIT_REQUIRE(!packet_locate(p.b, p.size, p.size, &at));
	UNIT_CHECK(at.l3 == 18 && at.l4 == 46 && at.payload == 66 &&
		   at.csum == 62 && at.l4_bytes == 120 && at.tcp && !at.ipv6);
}

static void walks_ipv6_extension_headers(void)
{
	struct packet p = make(true, false, 100, 0, false);
	struct packet_layout at;

	/* The 8 + 100 bytes of UDP become options and 92 bytes of UDP. */
	p.b[p.l3 + 6] = 0;
	p.b[p.l4] = 60;
	p.b[p.l4 + 1] = 0;
	p.b[p.l4 + 8] = 17;
	p.b[p.l4 + 9] = 0;
	UNIT_REQUIRE(!packet_locate(p.b, p.size, p.size, &at));
	UNIT_CHECK(at.l4 == p.l4 + 16 && at.l4_bytes == 92 && !at.tcp);
	/* A header that points at itself for ever does not hold us. */
	memset(p.b + p.l4, 0, 100);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EPROTONOSUPPORT);
}

static void refuses_fragments_and_other_protocols(void)
{
	struct packet p = make(false, true, 100, 0, false);
	struct packet_layout at;

	put16(p.b + p.l3 + 6, 0x2000);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EPROTONOSUPPORT);
	put16(p.b + p.l3 + 6, 100);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EPROTONOSUPPORT);
	p = make(false, true, 100, 0, false);
	p.b[p.l3 + 9] = 1;
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EPROTONOSUPPORT);
	put16(p.b + 12, 0x0806);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EPROTONOSUPPORT);
}

static void refuses_lengths_past_the_frame(void)
{
	struct packet p = make(false, true, 100, 0, false);
	struct packet_layout at;

	put16(p.b + p.l3 + 2, p.size - p.l3 + 1);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EINVAL);
	put16(p.b + p.l3 + 2, 19);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EINVAL);
	p = make(false, true, 100, 0, false);
	p.b[p.l3] = 0x44;
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EINVAL);
	p = make(false, true, 0, 0, false);
	p.b[p.l4 + 12] = 0x60;
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EINVAL);
	p = make(true, true, 10, 0, false);
	put16(p.b + p.l3 + 4, 31);
	UNIT_CHECK(packet_locate(p.b, p.size, p.size, &at) == -EINVAL);
}

static void reads_no_byte_past_the_head(void)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		struct packet p = make(kind & 1, kind & 2, 100, 0, false);
		size_t need = p.l4 + (kind & 2 ? 20 : 8);

		for (size_t n = 0; n < p.size; n++) {
			/* exact size: a sanitizer sees a read past it */
			uint8_t *head = malloc(n ? n : 1);
			struct packet_layout at;
			int err;

			UNIT_REQUIRE(head != NULL);
			memcpy(head, p.b, n);
			err = packet_locate(head, n, p.size, &at);
			free(head);
			UNIT_REQUIRE((err == 0) == (n >= need));
		}
	}
}

static void checks_what_segmentation_needs(void)
{
	struct packet p = make(false, true, 1000, 0, false);
	struct packet udp = make(false, false, 1000, 0, false);
	struct packet empty = make(false, true, 0, 0, false);
	struct packet_meta v4 = { .csum_blank = true,
				  .gso = PACKET_GSO_TCPV4,
				  .gso_size = 100 };
	struct packet_meta meta = v4;
	struct packet_layout at;

	UNIT_CHECK(!packet_check_meta(p.b, 256, p.size, &meta, &at));
	UNIT_CHECK(packet_check_meta(udp.b, 256, udp.size, &meta, &at));
	UNIT_CHECK(
		packet_check_meta(empty.b, empty.size, empty.size, &meta, &at));
	meta.gso_size = 0;
	UNIT_CHECK(packet_check_meta(p.b, 256, p.size, &meta, &at));
	meta = v4;
	meta.gso = PACKET_GSO_TCPV6;
	UNIT_CHECK(packet_check_meta(p.b, 256, p.size, &meta, &at));
}

static void gives_frames_to_be_segmented_a_blank_checksum(void)
{
	struct packet p = make(true, true, 1000, 0, false);
	struct packet_meta meta = { .gso = PACKET_GSO_TCPV6, .gso_size = 500 };
	struct packet_layout at;
	uint16_t want = reference(&p, true, true), sum;

	UNIT_REQUIRE(!packet_check_meta(p.b, 256, p.size, &meta, &at));
	UNIT_CHECK(meta.csum_blank);
	/* What hardware does with a blank checksum: sum and invert. */
	sum = (uint16_t)~packet_sum_fold(
		packet_sum(p.b + at.l4, at.l4_bytes, 0));
	UNIT_CHECK(sum == (uint16_t)(want >> 8 | want << 8));
}

static void a_single_segment_is_not_to_be_segmented(void)
{
	struct packet p = make(false, true, 1000, 0, false);
	struct packet_meta meta = { .gso = PACKET_GSO_TCPV4, .gso_size = 999 };
	struct packet_layout at;

	UNIT_CHECK(!packet_check_meta(p.b, 256, p.size, &meta, &at));
	UNIT_CHECK(meta.gso == PACKET_GSO_TCPV4);
	meta.gso_size = 1000;
	UNIT_CHECK(!packet_check_meta(p.b, 256, p.size, &meta, &at));
	UNIT_CHECK(meta.gso == PACKET_GSO_NONE && meta.csum_blank);
}

static void asks_nothing_of_frames_that_ask_for_nothing(void)
{
	uint8_t junk[14] = { 0 };
	struct packet_meta meta = { .data_validated = true };
	struct packet_layout at;

	UNIT_CHECK(!packet_check_meta(junk, sizeof(junk), sizeof(junk), &meta,
				      &at));
}

static void translates_the_vnet_header_both_ways(void)
{
	static const struct {
		uint8_t flags, type;
		bool blank, valid;
		enum packet_gso gso;
	} cases[] = {
		{ 0, VIRTIO_NET_HDR_GSO_NONE, false, false, PACKET_GSO_NONE },
		{ VIRTIO_NET_HDR_F_DATA_VALID, VIRTIO_NET_HDR_GSO_NONE, false,
		  true, PACKET_GSO_NONE },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE, true,
		  true, PACKET_GSO_NONE },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, true,
		  true, PACKET_GSO_TCPV4 },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6, true,
		  true, PACKET_GSO_TCPV6 },
	};
	struct packet_layout at = { .l4 = 34, .csum = 50, .payload = 54 };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_net_hdr hdr = { .flags = cases[i].flags,
					      .gso_type = cases[i].type,
					      .gso_size = 1448 };
		struct virtio_net_hdr back;
		struct packet_meta meta;

		UNIT_REQUIRE(!packet_from_vnet(&hdr, &meta));
		UNIT_CHECK(meta.csum_blank == cases[i].blank &&
			   meta.data_validated == cases[i].valid &&
			   meta.gso == cases[i].gso);
		packet_to_vnet(&meta, &at, &back);
		UNIT_CHECK(back.flags == hdr.flags &&
			   back.gso_type == hdr.gso_type);
		UNIT_CHECK(back.gso_size ==
			   (meta.gso == PACKET_GSO_NONE ? 0 : 1448));
		UNIT_CHECK(!meta.csum_blank ||
			   (back.csum_start == 34 && back.csum_offset == 16 &&
			    back.hdr_len == 54));
	}
}

static void refuses_segmentation_that_netif_cannot_say(void)
{
	struct virtio_net_hdr hdr = { .gso_type = VIRTIO_NET_HDR_GSO_UDP };
	struct packet_meta meta;

	UNIT_CHECK(packet_from_vnet(&hdr, &meta) == -EPROTONOSUPPORT);
	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN;
	UNIT_CHECK(packet_from_vnet(&hdr, &meta) == -EPROTONOSUPPORT);
}

static void parses_addresses_strictly(void)
{
	static const char *const bad[] = {
		"",
		"00:16:3e:00:00",
		"00:16:3e:00:00:0",
		"00:16:3e:00:00:011",
		"00-16-3e-00-00-01",
		"01:16:3e:00:00:01",
		"00:00:00:00:00:00",
		"0g:16:3e:00:00:01",
		" 0:16:3e:00:00:01",
		"+0:16:3e:00:00:01",
		"00:16:3e:00:00:01 ",
	};
	uint8_t mac[6];

	UNIT_REQUIRE(!packet_parse_mac("00:16:3e:Ab:cD:01", mac));
	UNIT_CHECK(mac[0] == 0 && mac[3] == 0xab && mac[4] == 0xcd);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(packet_parse_mac(bad[i], mac) == -EINVAL);
}

UNIT_MAIN("net_packet", UNIT_TEST(fills_checksums_as_the_slow_way_does),
	  UNIT_TEST(leaves_trailing_padding_out_of_the_checksum),
	  UNIT_TEST(finds_the_headers), UNIT_TEST(walks_ipv6_extension_headers),
	  UNIT_TEST(refuses_fragments_and_other_protocols),
	  UNIT_TEST(refuses_lengths_past_the_frame),
	  UNIT_TEST(reads_no_byte_past_the_head),
	  UNIT_TEST(checks_what_segmentation_needs),
	  UNIT_TEST(gives_frames_to_be_segmented_a_blank_checksum),
	  UNIT_TEST(a_single_segment_is_not_to_be_segmented),
	  UNIT_TEST(asks_nothing_of_frames_that_ask_for_nothing),
	  UNIT_TEST(translates_the_vnet_header_both_ways),
	  UNIT_TEST(refuses_segmentation_that_netif_cannot_say),
	  UNIT_TEST(parses_addresses_strictly))
