/* SPDX-License-Identifier: MIT */
/*
 * net_parse.c - netback/parse.c. THREATS.md section A: XSA-423 (CVE-2022-3643),
 * XSA-432 (CVE-2023-34319), XSA-448 (CVE-2023-46838).
 */
#include "netback/parse.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/num.h"

static struct netif_tx_request req(uint16_t id, uint16_t offset, uint16_t size,
				   uint16_t flags)
{
	return (struct netif_tx_request){ .gref = 100u + id,
					  .offset = offset,
					  .flags = flags,
					  .id = id,
					  .size = size };
}

static int add_req(struct tx_chain *c, uint16_t id, uint16_t offset,
		   uint16_t size, uint16_t flags)
{
	struct netif_tx_request r = req(id, offset, size, flags);

	return tx_chain_add(c, &r);
}

static int add_extra(struct tx_chain *c, struct netif_extra_info info)
{
	uint8_t slot[TX_SLOT_BYTES];

	memset(slot, 0xa5, sizeof(slot));
	memcpy(slot, &info, sizeof(info));
	return tx_chain_add(c, slot);
}

static struct netif_extra_info gso(uint8_t type, uint16_t size)
{
	struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

	e.u.gso.type = type;
	e.u.gso.size = size;
	return e;
}

static void takes_a_packet_of_one_slot(void)
{
	struct tx_chain c = { 0 };
	struct tx_packet p;

	UNIT_CHECK(add_req(&c, 7, 100, 60, NETTXF_data_validated) == 0);
	UNIT_REQUIRE(tx_parse(&c, &p) == 0);
	UNIT_CHECK(p.nr_pieces == 1 && p.size_bytes == 60);
	UNIT_CHECK(p.pieces[0].gref == 107 && p.pieces[0].offset == 100);
	UNIT_CHECK(p.meta.data_validated && !p.meta.csum_blank);
	UNIT_CHECK(p.meta.gso == PACKET_GSO_NONE);
}

static void gives_the_first_slot_what_the_others_leave(void)
{
	struct tx_chain c = { 0 };
	struct tx_packet p;

	UNIT_CHECK(add_req(&c, 0, 0, 5000, NETTXF_more_data) == 1);
	UNIT_CHECK(add_req(&c, 1, 96, 4000, 0) == 0);
	UNIT_REQUIRE(tx_parse(&c, &p) == 0);
	UNIT_CHECK(p.nr_pieces == 2 && p.pieces[0].size_bytes == 1000 &&
		   p.pieces[1].size_bytes == 4000);
}

/* What the packet of nr equal slots must come to. */
static int expect(unsigned nr, uint32_t size)
{
	uint32_t total = nr * size;

	if (total > XEN_NETIF_MAX_TX_SIZE)
		return -EINVAL; /* the 16 bits wrapped: sizes contradict */
	return total < PACKET_ETH_BYTES ? -EINVAL : 0;
}

static void takes_every_number_of_slots_up_to_the_limit(void)
{
	static const uint32_t sizes[] = { 0, 1, 13, 64, 4096 };

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (unsigned nr = 1; nr <= 19; nr++) {
			struct tx_chain c = { 0 };
			struct tx_packet p;
			int more = 1;

			for (unsigned i = 0; i < nr && more == 1; i++)
				more = add_req(&c, (uint16_t)i, 0,
					       (uint16_t)(i ? sizes[s]
							    : nr * sizes[s]),
					       i + 1 < nr ? NETTXF_more_data
							  : 0);
			if (nr > TX_REQS_MAX) {
				UNIT_CHECK(more == -EPROTO);
				continue;
			}
			UNIT_REQUIRE(more == 0);
			UNIT_CHECK(tx_parse(&c, &p) == expect(nr, sizes[s]));
			if (expect(nr, sizes[s]))
				continue;
			UNIT_CHECK(p.nr_pieces == nr &&
				   p.size_bytes == nr * sizes[s]);
		}
	}
}

static void drops_slots_of_no_size(void)
{
	struct tx_chain c = { 0 };
	struct tx_packet p;

	add_req(&c, 0, 0, 64, NETTXF_more_data);
	add_req(&c, 1, 4096, 0, NETTXF_more_data);
	add_req(&c, 2, 0, 64, 0);
	UNIT_REQUIRE(tx_parse(&c, &p) == 0);
	/* The first one has no bytes of its own either. */
	UNIT_CHECK(p.nr_pieces == 1 && p.pieces[0].gref == 102);
}

static void rejects_a_piece_past_its_page(void)
{
	static const struct {
		uint16_t offset, size;
		int want;
	} cases[] = {
		{ 0, 4096, 0 },	       { 4032, 64, 0 },
		{ 4033, 64, -EINVAL }, { 1, 4096, -EINVAL },
		{ 4096, 64, -EINVAL }, { 65535, 64, -EINVAL },
		{ 0, 4097, -EINVAL },  { 0, 65535, -EINVAL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tx_chain c = { 0 };
		struct tx_packet p;

		UNIT_REQUIRE(
			add_req(&c, 0, cases[i].offset, cases[i].size, 0) == 0);
		UNIT_CHECK(tx_parse(&c, &p) == cases[i].want);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tx_chain c = { 0 };
		struct tx_packet p;
		uint32_t total = 64u + cases[i].size;

		if (total > XEN_NETIF_MAX_TX_SIZE)
			continue;
		add_req(&c, 0, 0, (uint16_t)total, NETTXF_more_data);
		add_req(&c, 1, cases[i].offset, cases[i].size, 0);
		UNIT_CHECK(tx_parse(&c, &p) == cases[i].want);
	}
}

static void rejects_sizes_that_contradict_each_other(void)
{
	struct tx_chain more = { 0 }, less = { 0 };
	struct tx_packet p;

	add_req(&more, 0, 0, 100, NETTXF_more_data);
	add_req(&more, 1, 0, 101, 0);
	UNIT_CHECK(tx_parse(&more, &p) == -EINVAL);
	/* The first piece would have to be larger than a page. */
	add_req(&less, 0, 0, 9000, NETTXF_more_data);
	add_req(&less, 1, 0, 4096, 0);
	UNIT_CHECK(tx_parse(&less, &p) == -EINVAL);
}

static void rejects_a_frame_without_an_ethernet_header(void)
{
	struct tx_chain c = { 0 };
	struct tx_packet p;

	add_req(&c, 0, 0, 13, 0);
	UNIT_CHECK(tx_parse(&c, &p) == -EINVAL);
}

static void rejects_unknown_flags(void)
{
	for (unsigned bit = 4; bit < 16; bit++) {
		struct tx_chain c = { 0 };
		struct tx_packet p;

		add_req(&c, 0, 0, 64, (uint16_t)(1u << bit));
		UNIT_CHECK(tx_parse(&c, &p) == -EINVAL);
	}
}

static void rejects_extras_behind_a_later_slot(void)
{
	struct tx_chain c = { 0 };
	struct tx_packet p;

	add_req(&c, 0, 0, 128, NETTXF_more_data);
	/* Not taken for an extra's announcement: the chain ends here. */
	UNIT_CHECK(add_req(&c, 1, 0, 64, NETTXF_extra_info) == 0);
	UNIT_CHECK(tx_parse(&c, &p) == -EINVAL);
}

static int parse_with_extra(struct netif_extra_info extra, struct tx_packet *p)
{
	struct tx_chain c = { 0 };

	if (add_req(&c, 0, 0, 1000, NETTXF_extra_info | NETTXF_csum_blank) != 1)
		return 1;
	if (add_extra(&c, extra) != 0)
		return 2;
	return tx_parse(&c, p);
}

static void takes_segmentation_of_both_kinds(void)
{
	struct tx_packet p;

	UNIT_REQUIRE(
		!parse_with_extra(gso(XEN_NETIF_GSO_TYPE_TCPV4, 1448), &p));
	UNIT_CHECK(p.meta.gso == PACKET_GSO_TCPV4 && p.meta.gso_size == 1448 &&
		   p.meta.csum_blank);
	UNIT_REQUIRE(!parse_with_extra(gso(XEN_NETIF_GSO_TYPE_TCPV6, 1), &p));
	UNIT_CHECK(p.meta.gso == PACKET_GSO_TCPV6 && p.meta.gso_size == 1);
}

static void rejects_bad_segmentation(void)
{
	struct netif_extra_info e;
	struct tx_packet p;

	UNIT_CHECK(parse_with_extra(gso(XEN_NETIF_GSO_TYPE_TCPV4, 0), &p) ==
		   -EINVAL);
	UNIT_CHECK(parse_with_extra(gso(XEN_NETIF_GSO_TYPE_NONE, 9), &p) ==
		   -EINVAL);
	UNIT_CHECK(parse_with_extra(gso(3, 9), &p) == -EINVAL);
	UNIT_CHECK(parse_with_extra(gso(255, 9), &p) == -EINVAL);
	e = gso(XEN_NETIF_GSO_TYPE_TCPV4, 9);
	e.u.gso.features = 1;
	UNIT_CHECK(parse_with_extra(e, &p) == -EINVAL);
	e = gso(XEN_NETIF_GSO_TYPE_TCPV4, 9);
	e.flags = 2;
	UNIT_CHECK(parse_with_extra(e, &p) == -EINVAL);
}

static void rejects_segmentation_twice(void)
{
	struct netif_extra_info e = gso(XEN_NETIF_GSO_TYPE_TCPV4, 9);
	struct tx_chain c = { 0 };
	struct tx_packet p;

	add_req(&c, 0, 0, 1000, NETTXF_extra_info);
	e.flags = XEN_NETIF_EXTRA_FLAG_MORE;
	UNIT_CHECK(add_extra(&c, e) == 1);
	e.flags = 0;
	UNIT_CHECK(add_extra(&c, e) == 0);
	UNIT_CHECK(tx_parse(&c, &p) == -EINVAL);
}

static void treats_each_type_of_extra_as_offered_or_not(void)
{
	for (unsigned type = 0; type < 256; type++) {
		struct netif_extra_info e = { .type = (uint8_t)type };
		struct tx_packet p;
		int want = -EINVAL;

		/* Multicast orders come without a frame: see below. */
		if (type == XEN_NETIF_EXTRA_TYPE_HASH)
			want = 0;
		else if (type == XEN_NETIF_EXTRA_TYPE_XDP)
			want = -EOPNOTSUPP;
		UNIT_CHECK(parse_with_extra(e, &p) == want);
	}
}

static int parse_order(struct netif_extra_info extra, uint16_t flags,
		       struct tx_packet *p)
{
	struct tx_chain c = { 0 };

	/* Whatever the request says besides, nobody looks at it. */
	if (add_req(&c, 4000, 0, 1000, flags) != 1 ||
	    add_extra(&c, extra) != (flags & NETTXF_more_data ? 1 : 0))
		return 1;
	if (flags & NETTXF_more_data && add_req(&c, 0, 0, 10, 0) != 0)
		return 1;
	return tx_parse(&c, p);
}

static void takes_a_multicast_order_that_stands_alone(void)
{
	static const uint8_t addr[] = { 1, 2, 3, 4, 5, 6 };

	for (uint8_t type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD;
	     type <= XEN_NETIF_EXTRA_TYPE_MCAST_DEL; type++) {
		struct netif_extra_info e = { .type = type };
		struct tx_packet p;

		memcpy(e.u.mcast.addr, addr, sizeof(addr));
		UNIT_CHECK(parse_order(e, NETTXF_extra_info, &p) == 0);
		UNIT_CHECK(p.kind == (type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD
					      ? TX_MCAST_ADD
					      : TX_MCAST_DEL));
		UNIT_CHECK(!memcmp(p.mcast, addr, 6) && !p.nr_pieces);
		UNIT_CHECK(parse_order(e, NETTXF_extra_info | NETTXF_csum_blank,
				       &p) == -EINVAL);
		UNIT_CHECK(parse_order(e, NETTXF_extra_info | NETTXF_more_data,
				       &p) == -EINVAL);
		e.flags = 2;
		UNIT_CHECK(parse_order(e, NETTXF_extra_info, &p) == -EINVAL);
	}
}

static void bounds_endless_extras(void)
{
	struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_HASH,
				      .flags = XEN_NETIF_EXTRA_FLAG_MORE };
	struct tx_chain c = { 0 };
	unsigned nr = 0;
	int more = add_req(&c, 0, 0, 64, NETTXF_extra_info);

	while (more == 1 && nr++ < 1000)
		more = add_extra(&c, e);
	UNIT_CHECK(more == -EPROTO && nr == TX_EXTRAS_MAX + 1);
}

static void bounds_endless_more_data(void)
{
	struct tx_chain c = { 0 };
	unsigned nr = 0;
	int more = 1;

	while (more == 1 && nr++ < 1000)
		more = add_req(&c, 0, 0, 64, NETTXF_more_data);
	UNIT_CHECK(more == -EPROTO && nr == TX_REQS_MAX + 1);
}

static void answers_every_slot_in_ring_order(void)
{
	struct netif_extra_info e = gso(XEN_NETIF_GSO_TYPE_TCPV4, 9);
	struct tx_chain c = { 0 };

	add_req(&c, 11, 0, 128, NETTXF_extra_info | NETTXF_more_data);
	e.flags = XEN_NETIF_EXTRA_FLAG_MORE;
	add_extra(&c, e);
	e.flags = 0;
	UNIT_CHECK(add_extra(&c, e) == 1);
	UNIT_CHECK(add_req(&c, 12, 0, 64, 0) == 0);
	UNIT_REQUIRE(tx_chain_nr_slots(&c) == 4);
	UNIT_CHECK(tx_chain_answer(&c, 0, -EINVAL).id == 11);
	UNIT_CHECK(tx_chain_answer(&c, 0, -EINVAL).status == NETIF_RSP_ERROR);
	UNIT_CHECK(tx_chain_answer(&c, 1, -EINVAL).status == NETIF_RSP_NULL);
	UNIT_CHECK(tx_chain_answer(&c, 2, -EINVAL).status == NETIF_RSP_NULL);
	UNIT_CHECK(tx_chain_answer(&c, 3, 0).id == 12);
	UNIT_CHECK(tx_chain_answer(&c, 3, 0).status == NETIF_RSP_OKAY);
}

static void maps_errnos_to_statuses(void)
{
	UNIT_CHECK(netif_status(0) == NETIF_RSP_OKAY);
	UNIT_CHECK(netif_status(-ENOMEM) == NETIF_RSP_DROPPED);
	UNIT_CHECK(netif_status(-ENOBUFS) == NETIF_RSP_DROPPED);
	UNIT_CHECK(netif_status(-EACCES) == NETIF_RSP_ERROR);
	UNIT_CHECK(netif_status(-EINVAL) == NETIF_RSP_ERROR);
}

/* Any bytes: whatever comes out obeys the limits. */
static void never_lets_an_unchecked_number_out(void)
{
	uint64_t seed = 0x2545f4914f6cdd1dull;

	for (unsigned round = 0; round < 200000; round++) {
		struct tx_chain c = { 0 };
		struct tx_packet p;
		uint32_t sum = 0;
		int more = 1;

		while (more == 1) {
			uint8_t slot[TX_SLOT_BYTES];

			for (unsigned i = 0; i < sizeof(slot); i++) {
				seed = seed * 6364136223846793005ull + 1;
				slot[i] = (uint8_t)(seed >> 56);
			}
			/* Likely flags and sizes, now and then. */
			if (slot[0] & 1)
				slot[5] &= 0xf;
			slot[6] &= 0xf;
			slot[7] = 0;
			more = tx_chain_add(&c, slot);
		}
		UNIT_REQUIRE(tx_chain_nr_slots(&c) <= TX_CHAIN_MAX);
		if (more || tx_parse(&c, &p))
			continue;
		UNIT_REQUIRE(p.nr_pieces <= TX_REQS_MAX);
		for (unsigned i = 0; i < p.nr_pieces; i++) {
			UNIT_REQUIRE(p.pieces[i].size_bytes > 0);
			UNIT_REQUIRE(p.pieces[i].offset +
					     p.pieces[i].size_bytes <=
				     PV_PAGE_SIZE);
			sum += p.pieces[i].size_bytes;
		}
		UNIT_REQUIRE(sum == p.size_bytes && sum >= PACKET_ETH_BYTES);
	}
}

/* Does the short way say of one slot what the long way says? */
static bool ways_agree(const struct netif_tx_request *r)
{
	struct tx_chain c = { 0 };
	struct packet_meta meta;
	struct tx_packet p;
	bool whole = tx_chain_add(&c, r) == 0 && !tx_parse(&c, &p);

	if (!whole || !tx_is_plain(r))
		return whole == tx_is_plain(r);
	tx_plain_meta(r, &meta);
	return p.kind == TX_FRAME && p.nr_pieces == 1 &&
	       p.pieces[0].gref == r->gref && p.pieces[0].offset == r->offset &&
	       p.pieces[0].size_bytes == r->size && p.size_bytes == r->size &&
	       p.meta.csum_blank == meta.csum_blank &&
	       p.meta.data_validated == meta.data_validated &&
	       p.meta.gso == meta.gso && p.meta.gso_size == meta.gso_size;
}

static void both_ways_say_the_same_of_one_slot(void)
{
	static const uint16_t numbers[] = { 0,	  1,	13,    14,   15,
					    60,	  2048, 4082,  4083, 4095,
					    4096, 4097, 32768, 65535 };
	unsigned bad = 0;

	for (size_t o = 0; o < ARRAY_SIZE(numbers); o++)
		for (size_t s = 0; s < ARRAY_SIZE(numbers); s++)
			for (uint32_t flags = 0; flags < 65536; flags++) {
				struct netif_tx_request r =
					req(7, numbers[o], numbers[s],
					    (uint16_t)flags);

				bad += !ways_agree(&r);
			}
	UNIT_CHECK(bad == 0);
}

UNIT_MAIN("net_parse", UNIT_TEST(takes_a_packet_of_one_slot),
	  UNIT_TEST(gives_the_first_slot_what_the_others_leave),
	  UNIT_TEST(takes_every_number_of_slots_up_to_the_limit),
	  UNIT_TEST(drops_slots_of_no_size),
	  UNIT_TEST(rejects_a_piece_past_its_page),
	  UNIT_TEST(rejects_sizes_that_contradict_each_other),
	  UNIT_TEST(rejects_a_frame_without_an_ethernet_header),
	  UNIT_TEST(rejects_unknown_flags),
	  UNIT_TEST(rejects_extras_behind_a_later_slot),
	  UNIT_TEST(takes_segmentation_of_both_kinds),
	  UNIT_TEST(rejects_bad_segmentation),
	  UNIT_TEST(rejects_segmentation_twice),
	  UNIT_TEST(treats_each_type_of_extra_as_offered_or_not),
	  UNIT_TEST(takes_a_multicast_order_that_stands_alone),
	  UNIT_TEST(bounds_endless_extras), UNIT_TEST(bounds_endless_more_data),
	  UNIT_TEST(answers_every_slot_in_ring_order),
	  UNIT_TEST(maps_errnos_to_statuses),
	  UNIT_TEST(never_lets_an_unchecked_number_out),
	  UNIT_TEST(both_ways_say_the_same_of_one_slot))
