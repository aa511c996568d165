/* SPDX-License-Identifier: MIT */
/*
 * net_backend_lies.c - netfront's rings against a backend that lies.
 * THREATS.md section B: XSA-155 (front half), XSA-376, XSA-405
 * (CVE-2022-33743), CVE-2026-72380, CVE-2026-99057, XSA-457.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netfront/rx.h"
#include "netfront/tx.h"
#include "tests/unit/unit.h"
#include "util/num.h"

#define FIRST_REF 1000u

static struct tx_ring tx;
static struct rx_ring rx;
static struct ring_back back;
static uint8_t ring_page[PV_PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t pages[RX_PAGES * PV_PAGE_SIZE] __attribute__((aligned(4096)));
static struct netfront_stats stats;

/* ---- transmit ---------------------------------------------------------- */

static const struct netfront_info takes_all = {
	.sg = true,
	.gso_tcpv4 = true,
	.gso_tcpv6 = true,
	.csum_v6 = true,
};

static void tx_setup(void)
{
	memset(ring_page, 0, sizeof(ring_page));
	memset(&stats, 0, sizeof(stats));
	tx_ring_init(&tx, pages, FIRST_REF);
	tx_ring_attach(&tx, (void PV_SHARED *)ring_page, &takes_all);
	ring_back_init(&back, (void PV_SHARED *)ring_page, PV_PAGE_SIZE,
		       sizeof(struct netif_tx_request));
}

static uint32_t tx_nr_out(void)
{
	return tx.nr_out;
}

static int tx_put(size_t size_bytes, enum netfront_gso gso)
{
	struct netfront_frame frame;

	if (!tx_prepare(&tx, &frame, 1, size_bytes))
		return -EAGAIN;
	frame.gso = (uint8_t)gso;
	frame.gso_size = 1448;
	frame.flags = gso ? NETFRONT_CSUM_BLANK : 0;
	if (tx_send(&tx, &frame, 1, &stats) != 1)
		return -EMSGSIZE;
	(void)!ring_front_push(&tx.ring);
	return 0;
}

/* The backend takes everything; the ids it saw (extras: 0xffff). */
static unsigned back_take(uint16_t *ids)
{
	bool extra = false;
	unsigned n = 0;

	while (ring_back_pending(&back) > 0) {
		struct netif_tx_request req;

		ring_back_get(&back, &req, sizeof(req));
		ids[n++] = extra ? 0xffff : req.id;
		extra = !extra && req.flags & NETTXF_extra_info;
	}
	return n;
}

static void back_answer(uint16_t id, int16_t status)
{
	struct netif_tx_response rsp = { .id = id, .status = status };

	ring_back_put(&back, &rsp, sizeof(rsp));
	(void)!ring_back_push(&back);
}

static void sends_chains_as_netif_says(void)
{
	struct netif_tx_request req;
	struct netif_extra_info extra;
	uint8_t slot[12];

	tx_setup();
	UNIT_REQUIRE(!tx_put(9000, NETFRONT_GSO_TCPV4));
	UNIT_REQUIRE(ring_back_pending(&back) == 4);
	ring_back_get(&back, &req, sizeof(req));
	UNIT_CHECK(req.size == 9000 && req.offset == 0 &&
		   req.gref == FIRST_REF + req.id);
	UNIT_CHECK(req.flags == (NETTXF_csum_blank | NETTXF_data_validated |
				 NETTXF_extra_info | NETTXF_more_data));
	ring_back_get(&back, slot, sizeof(slot));
	memcpy(&extra, slot, sizeof(extra));
	UNIT_CHECK(extra.type == XEN_NETIF_EXTRA_TYPE_GSO && !extra.flags &&
		   extra.u.gso.size == 1448 &&
		   extra.u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4);
	ring_back_get(&back, &req, sizeof(req));
	UNIT_CHECK(req.size == 4096 && req.flags == NETTXF_more_data);
	ring_back_get(&back, &req, sizeof(req));
	UNIT_CHECK(req.size == 808 && req.flags == 0);
}

static void takes_completions_in_any_order(void)
{
	uint16_t ids[TX_PAGES];
	unsigned n;

	tx_setup();
	for (int i = 0; i < 10; i++)
		UNIT_REQUIRE(!tx_put(6000, NETFRONT_GSO_NONE));
	n = back_take(ids);
	UNIT_REQUIRE(n == 20 && tx_nr_out() == 20);
	while (n--)
		back_answer(ids[n], n == 3 ? NETIF_RSP_ERROR : NETIF_RSP_OKAY);
	UNIT_CHECK(!tx_reap(&tx, &stats));
	UNIT_CHECK(stats.tx_errors == 1 && tx_nr_out() == 0);
}

static void refuses_more_than_fits_and_recovers(void)
{
	uint16_t ids[TX_PAGES];
	unsigned n;

	tx_setup();
	while (!tx_put(NETFRONT_FRAME_MAX - 100, NETFRONT_GSO_TCPV6))
		;
	UNIT_CHECK(tx.blocked && tx_nr_out() > TX_PAGES - 18);
	n = back_take(ids);
	for (unsigned i = 0; i < n; i++)
		back_answer(ids[i] == 0xffff ? 0 : ids[i],
			    ids[i] == 0xffff ? NETIF_RSP_NULL : NETIF_RSP_OKAY);
	UNIT_CHECK(!tx_reap(&tx, &stats) && tx_nr_out() == 0);
	UNIT_CHECK(tx.nr_extras_out == 0 && tx.nr_free == TX_PAGES);
	UNIT_CHECK(tx_put(NETFRONT_FRAME_MAX, NETFRONT_GSO_NONE) == -EMSGSIZE);
	UNIT_CHECK(tx_nr_out() == 0);
}

static void finds_out_transmit_responses_that_answer_nothing(void)
{
	static const struct {
		uint16_t id;
		int16_t status;
	} lies[] = {
		{ TX_PAGES, NETIF_RSP_OKAY }, /* no such id */
		{ 0xffff, NETIF_RSP_OKAY },
		{ 7, NETIF_RSP_OKAY }, /* not in flight */
		{ 0, NETIF_RSP_NULL }, /* no extra is out */
		{ 0, 2 },	       /* no such status */
		{ 0, -3 },
		{ 0, 32767 },
		{ 0, -32768 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		uint16_t ids[TX_PAGES];

		tx_setup();
		UNIT_REQUIRE(!tx_put(60, NETFRONT_GSO_NONE));
		UNIT_REQUIRE(back_take(ids) == 1 && ids[0] == 0);
		back_answer(lies[i].id, lies[i].status);
		UNIT_CHECK(tx_reap(&tx, &stats) == -EPROTO);
		UNIT_CHECK(tx_nr_out() == 1);
	}
}

static void finds_out_a_completion_told_twice(void)
{
	uint16_t ids[TX_PAGES];

	tx_setup();
	UNIT_REQUIRE(!tx_put(60, NETFRONT_GSO_NONE));
	UNIT_REQUIRE(!tx_put(60, NETFRONT_GSO_NONE));
	UNIT_REQUIRE(back_take(ids) == 2);
	back_answer(ids[0], NETIF_RSP_OKAY);
	back_answer(ids[0], NETIF_RSP_OKAY);
	UNIT_CHECK(tx_reap(&tx, &stats) == -EPROTO);
	/* The second page is out still, the first one free once. */
	UNIT_CHECK(tx_nr_out() == 1);
}

static void set_rsp_prod(uint32_t v)
{
	((struct ring_header *)(void *)ring_page)->rsp_prod = v;
}

static void finds_out_impossible_producers(void)
{
	static const uint32_t lies[] = { 3, 257, 0x80000000u, 0xffffffffu };

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		tx_setup();
		UNIT_REQUIRE(!tx_put(60, NETFRONT_GSO_NONE));
		UNIT_REQUIRE(!tx_put(60, NETFRONT_GSO_NONE));
		set_rsp_prod(lies[i]);
		UNIT_CHECK(tx_reap(&tx, &stats) == -EPROTO);
		UNIT_CHECK(tx_nr_out() == 2);
	}
}

/* ---- receive ----------------------------------------------------------- */

static void rx_setup(void)
{
	memset(ring_page, 0, sizeof(ring_page));
	memset(&stats, 0, sizeof(stats));
	rx_ring_init(&rx, pages, FIRST_REF);
	rx_ring_attach(&rx, (void PV_SHARED *)ring_page);
	rx_expect(&rx, XEN_NETIF_EXTRA_TYPE_GSO);
	(void)!ring_front_push(&rx.ring);
	ring_back_init(&back, (void PV_SHARED *)ring_page, PV_PAGE_SIZE,
		       sizeof(struct netif_rx_response));
}

/* Take the next posted buffer. */
static struct netif_rx_request back_buffer(void)
{
	struct netif_rx_request req = { .id = 0xffff };

	if (ring_back_pending(&back) > 0)
		ring_back_get(&back, &req, sizeof(req));
	return req;
}

static void back_fill(struct netif_rx_response rsp)
{
	ring_back_put(&back, &rsp, sizeof(rsp));
}

static void back_show(void)
{
	(void)!ring_back_push(&back);
}

static int take(struct netfront_frame *frame)
{
	return rx_take(&rx, frame, 1, &stats);
}

/* A chain of nr slots of size bytes; extra: put a GSO extra behind the first.
 */
static void back_chain(unsigned nr, int16_t size, bool extra)
{
	for (unsigned i = 0; i < nr; i++) {
		struct netif_rx_response rsp = {
			.id = back_buffer().id,
			.status = size,
			.flags = i + 1 < nr ? NETRXF_more_data : 0,
		};

		if (!i && extra)
			rsp.flags |= NETRXF_extra_info | NETRXF_csum_blank;
		back_fill(rsp);
		if (!i && extra) {
			struct netif_extra_info info = {
				.type = XEN_NETIF_EXTRA_TYPE_GSO,
			};

			info.u.gso.size = 1448;
			info.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV6;
			(void)back_buffer();
			ring_back_put(&back, &info, sizeof(info));
		}
	}
	back_show();
}

static void posts_every_buffer_at_once(void)
{
	bool seen[RX_PAGES] = { false };

	rx_setup();
	for (unsigned i = 0; i < RX_PAGES; i++) {
		struct netif_rx_request req = back_buffer();

		UNIT_REQUIRE(req.id < RX_PAGES && !seen[req.id]);
		UNIT_CHECK(req.gref == FIRST_REF + req.id);
		seen[req.id] = true;
	}
	UNIT_CHECK(back_buffer().id == 0xffff);
}

static void takes_frames_for_ever_without_losing_a_buffer(void)
{
	struct netfront_frame frame;

	rx_setup();
	for (unsigned i = 0; i < 100000; i++) {
		unsigned slots = 1 + i % NETFRONT_SLOTS_MAX;
		int16_t size = (int16_t)(14 + i * 7 % 3500);

		back_chain(slots, size, i & 1);
		UNIT_REQUIRE(take(&frame) == 1);
		UNIT_REQUIRE(frame.nr == slots &&
			     frame.iov[0].iov_len == (size_t)size);
		UNIT_REQUIRE(frame.gso ==
			     (i & 1 ? NETFRONT_GSO_TCPV6 : NETFRONT_GSO_NONE));
		rx_done(&rx, true);
		UNIT_REQUIRE(take(&frame) == 0);
		UNIT_REQUIRE(ring_front_free(&rx.ring) == 0);
		(void)!ring_front_push(&rx.ring);
	}
}

static void skips_frames_that_the_backend_failed_to_fill(void)
{
	struct netfront_frame frame;

	rx_setup();
	back_chain(3, NETIF_RSP_ERROR, false);
	back_chain(1, NETIF_RSP_DROPPED, false);
	back_chain(1, 0, false);  /* nothing in it */
	back_chain(1, 13, false); /* not even an Ethernet header */
	back_chain(2, 100, false);
	UNIT_REQUIRE(take(&frame) == 1);
	UNIT_CHECK(frame.nr == 2 && stats.rx_errors == 4);
	rx_done(&rx, true);
	UNIT_CHECK(ring_front_free(&rx.ring) == 0);
}

static void finds_out_receive_responses_that_cannot_be(void)
{
	static const struct netif_rx_response lies[] = {
		{ .id = 1, .status = 60 }, /* another buffer's id */
		{ .id = 0xffff, .status = 60 },
		{ .id = 0, .status = 4097 },
		{ .id = 0, .status = 32767 },
		{ .id = 0, .status = 60, .offset = 4037 },
		{ .id = 0, .status = 1, .offset = 4096 },
		{ .id = 0, .status = 60, .offset = 65535 },
		{ .id = 0, .status = 60, .flags = NETRXF_gso_prefix },
		{ .id = 0, .status = 60, .flags = 0x8000 },
		/* more to come, and nothing does */
		{ .id = 0, .status = 60, .flags = NETRXF_more_data },
		{ .id = 0, .status = 60, .flags = NETRXF_extra_info },
		{ .id = 0, .status = -1, .flags = NETRXF_more_data },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct netfront_frame frame;

		rx_setup();
		(void)back_buffer();
		back_fill(lies[i]);
		back_show();
		UNIT_CHECK(take(&frame) == -EPROTO);
	}
}

static void finds_out_chains_that_are_too_long(void)
{
	for (unsigned nr_slots = 18; nr_slots <= 200; nr_slots += 26) {
		struct netfront_frame frame;
		int n;

		rx_setup();
		back_chain(nr_slots, 1, true);
		n = take(&frame);
		UNIT_CHECK(n == (nr_slots == 18 ? 1 : -EPROTO));
	}
}

static void finds_out_extras_that_nobody_offered(void)
{
	for (unsigned i = 0; i < 7; i++) {
		struct netif_extra_info info = {
			.type = XEN_NETIF_EXTRA_TYPE_GSO,
		};
		struct netfront_frame frame;

		info.u.gso.size = 1448;
		info.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
		switch (i) {
		case 0: info.type = XEN_NETIF_EXTRA_TYPE_HASH; break;
		case 1: info.type = XEN_NETIF_EXTRA_TYPE_XDP; break;
		case 2: info.type = 200; break;
		case 3: info.flags = XEN_NETIF_EXTRA_FLAG_MORE; break;
		case 4: info.u.gso.size = 0; break;
		case 5: info.u.gso.type = 0; break;
		default: info.u.gso.type = 3; break;
		}
		rx_setup();
		back_fill((struct netif_rx_response){
			.id = back_buffer().id,
			.status = 60,
			.flags = NETRXF_extra_info,
		});
		(void)back_buffer();
		ring_back_put(&back, &info, sizeof(info));
		back_show();
		UNIT_CHECK(take(&frame) == -EPROTO);
	}
}

/* A frame at offset 256 with these extras, the first of them in its flags. */
static int take_with(const struct netif_extra_info *extras, unsigned nr,
		     struct netfront_frame *frame)
{
	rx_setup();
	rx_expect(&rx, XEN_NETIF_EXTRA_TYPE_HASH);
	rx_expect(&rx, XEN_NETIF_EXTRA_TYPE_XDP);
	back_fill((struct netif_rx_response){
		.id = back_buffer().id,
		.offset = 256,
		.status = 60,
		.flags = NETRXF_extra_info,
	});
	for (unsigned i = 0; i < nr; i++) {
		struct netif_extra_info info = extras[i];

		if (i + 1 < nr)
			info.flags |= XEN_NETIF_EXTRA_FLAG_MORE;
		(void)back_buffer();
		ring_back_put(&back, &info, sizeof(info));
	}
	back_show();
	return take(frame);
}

static void takes_the_extras_that_were_asked_for_in_any_order(void)
{
	struct netif_extra_info e[3] = {
		{ .type = XEN_NETIF_EXTRA_TYPE_XDP, .u.xdp.headroom = 256 },
		{ .type = XEN_NETIF_EXTRA_TYPE_GSO,
		  .u.gso = { 1448, 1, 0, 0 } },
		{ .type = XEN_NETIF_EXTRA_TYPE_HASH,
		  .u.hash = { 3, 1, { 0x78, 0x56, 0x34, 0x12 } } },
	};

	for (unsigned i = 0; i < 3; i++) {
		struct netif_extra_info first = e[0];
		struct netfront_frame frame;

		UNIT_CHECK(take_with(e, 3, &frame) == 1);
		UNIT_CHECK(frame.headroom_bytes == 256 &&
			   frame.gso == NETFRONT_GSO_TCPV4 &&
			   frame.gso_size == 1448 &&
			   frame.hash_type == NETFRONT_HASH_IPV6_TCP &&
			   frame.hash == 0x12345678);
		rx_done(&rx, true);
		UNIT_CHECK(ring_front_free(&rx.ring) == 0);
		memmove(e, e + 1, 2 * sizeof(e[0]));
		e[2] = first;
	}
}

static void finds_out_extras_that_make_no_sense(void)
{
	static const struct netif_extra_info lies[][2] = {
		/* more room than there is before the frame */
		{ { .type = 5, .u.xdp.headroom = 257 } },
		{ { .type = 5, .u.xdp.headroom = 0xffff } },
		/* a kind and an algorithm that do not exist */
		{ { .type = 4, .u.hash = { 4, 1, { 0 } } } },
		{ { .type = 4, .u.hash = { 255, 1, { 0 } } } },
		{ { .type = 4, .u.hash = { 0, 0, { 0 } } } },
		{ { .type = 4, .u.hash = { 0, 2, { 0 } } } },
		/* others' types, and none */
		{ { .type = 0 } },
		{ { .type = 2 } },
		{ { .type = 3 } },
		{ { .type = 6 } },
		{ { .type = 32 } },
		{ { .type = 36 } },
		{ { .type = 255 } },
		/* a flag that does not exist */
		{ { .type = 5, .flags = 2 } },
		/* one twice */
		{ { .type = 5 }, { .type = 5 } },
		{ { .type = 4, .u.hash = { 0, 1, { 0 } } },
		  { .type = 4, .u.hash = { 0, 1, { 0 } } } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct netfront_frame frame;

		UNIT_CHECK(take_with(lies[i], lies[i][1].type ? 2 : 1,
				     &frame) == -EPROTO);
	}
}

/* With a first slot of nothing the room before it is not the frame's. */
static void no_room_before_a_frame_that_begins_later(void)
{
	struct netif_extra_info info = { .type = XEN_NETIF_EXTRA_TYPE_XDP,
					 .u.xdp.headroom = 256 };
	struct netfront_frame frame;

	rx_setup();
	rx_expect(&rx, XEN_NETIF_EXTRA_TYPE_XDP);
	back_fill((struct netif_rx_response){ .id = back_buffer().id,
					      .offset = 256,
					      .flags = NETRXF_extra_info |
						       NETRXF_more_data });
	(void)back_buffer();
	ring_back_put(&back, &info, sizeof(info));
	back_fill((struct netif_rx_response){ .id = back_buffer().id,
					      .status = 60 });
	back_show();
	UNIT_CHECK(take(&frame) == 1);
	UNIT_CHECK(frame.nr == 1 && frame.headroom_bytes == 0);
}

static void finds_out_impossible_receive_producers(void)
{
	static const uint32_t lies[] = { 257, 0x80000000u, 0xffffffffu };

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct netfront_frame frame;

		rx_setup();
		set_rsp_prod(lies[i]);
		UNIT_CHECK(take(&frame) == -EPROTO);
	}
}

/* Random responses: whatever is taken lies within the receive region. */
static void never_hands_out_what_is_not_a_buffer(void)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	for (unsigned round = 0; round < 20000; round++) {
		struct netfront_frame frame;

		rx_setup();
		for (unsigned i = 0; i < 30; i++) {
			struct netif_rx_response rsp;

			seed = seed * 6364136223846793005ull + 1442695040888963;
			memcpy(&rsp, &seed, sizeof(rsp));
			rsp.id = back_buffer().id;
			if (seed >> 60) {
				rsp.flags &= 7;
				rsp.offset &= 1023;
				rsp.status &= 2047;
			}
			back_fill(rsp);
		}
		back_show();
		while (take(&frame) == 1) {
			UNIT_REQUIRE(frame.nr >= 1 &&
				     frame.nr <= NETFRONT_SLOTS_MAX);
			for (unsigned i = 0; i < frame.nr; i++) {
				uint8_t *p = frame.iov[i].iov_base;

				UNIT_REQUIRE(p >= pages &&
					     frame.iov[i].iov_len <=
						     PV_PAGE_SIZE);
				UNIT_REQUIRE((size_t)(p - pages) +
						     frame.iov[i].iov_len <=
					     sizeof(pages));
			}
			rx_done(&rx, true);
		}
	}
}

UNIT_MAIN("net_backend_lies", UNIT_TEST(sends_chains_as_netif_says),
	  UNIT_TEST(takes_completions_in_any_order),
	  UNIT_TEST(refuses_more_than_fits_and_recovers),
	  UNIT_TEST(finds_out_transmit_responses_that_answer_nothing),
	  UNIT_TEST(finds_out_a_completion_told_twice),
	  UNIT_TEST(finds_out_impossible_producers),
	  UNIT_TEST(posts_every_buffer_at_once),
	  UNIT_TEST(takes_frames_for_ever_without_losing_a_buffer),
	  UNIT_TEST(skips_frames_that_the_backend_failed_to_fill),
	  UNIT_TEST(finds_out_receive_responses_that_cannot_be),
	  UNIT_TEST(finds_out_chains_that_are_too_long),
	  UNIT_TEST(finds_out_extras_that_nobody_offered),
	  UNIT_TEST(takes_the_extras_that_were_asked_for_in_any_order),
	  UNIT_TEST(finds_out_extras_that_make_no_sense),
	  UNIT_TEST(no_room_before_a_frame_that_begins_later),
	  UNIT_TEST(finds_out_impossible_receive_producers),
	  UNIT_TEST(never_hands_out_what_is_not_a_buffer))
