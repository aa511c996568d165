/* SPDX-License-Identifier: MIT */
/*
 * net_frontend_lies.c - netback's queues on the lite platform against guests
 * that lie. THREATS.md section A: CVE-2010-4247, XSA-39 (ring indices),
 * XSA-423, XSA-432, XSA-448 (chains), XSA-392 and XSA-424 (no receive slots),
 * bad references. Oracle: the liar alone is broken; the other guest goes on.
 */
#include "tests/hostile/net_guest.h"

/* ---- tests --------------------------------------------------------------- */

static void moves_a_frame_from_guest_to_guest(void)
{
	struct netif_rx_response rsp;
	uint16_t id;

	setup();
	rx_post(&b, 4);
	tx_request(&a, tx_frame(&a, &b, 3, 1000));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY && id == 3);
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(rsp.id == 0 && rsp.offset == 0 && rsp.status == 1000 &&
		   rsp.flags == 0);
	UNIT_CHECK(!memcmp(b.recv.base,
			   (uint8_t *)a.send.base + 3 * PV_PAGE_SIZE, 1000));
	teardown();
}

static void answers_every_slot_of_a_bad_packet_with_an_error(void)
{
	uint16_t id;

	setup();
	for (unsigned kind = 0; kind < 6; kind++) {
		struct netif_tx_request r[3] = {
			tx_frame(&a, &b, 0, 9000),
			tx_frame(&a, &b, 1, 4096),
			tx_frame(&a, &b, 2, 808),
		};

		r[0].flags = r[1].flags = NETTXF_more_data;
		switch (kind) {
		case 0: r[1].gref = 0x7fffffff; break; /* never granted */
		case 1: r[2].gref = a.send.first_ref - 1000000; break;
		case 2: r[2].offset = 4096 - 807; break;
		case 3: r[0].size = 4000; break;
		case 4: r[1].flags |= 0x4000; break;
		default: r[0].size = 13, r[1].size = r[2].size = 0; break;
		}
		for (int i = 0; i < 3; i++)
			tx_request(&a, r[i]);
		tx_show(&a);
		for (int i = 0; i < 3; i++) {
			UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_ERROR);
			UNIT_CHECK(id == i);
		}
	}
	UNIT_CHECK(served(&a, &b) && served(&b, &a));
	UNIT_CHECK(!atomic_load(&a.fault));
	teardown();
}

static void breaks_a_guest_whose_chain_runs_past_the_ring(void)
{
	struct netif_tx_request r;

	setup();
	r = tx_frame(&a, &b, 0, 5000);
	r.flags = NETTXF_more_data;
	tx_request(&a, r);
	tx_show(&a);
	UNIT_CHECK(broken(&a, -EPROTO));
	UNIT_CHECK(served(&b, &a));
	teardown();
}

static void breaks_a_guest_with_an_endless_chain(void)
{
	struct netif_tx_request r;

	setup();
	r = tx_frame(&a, &b, 0, 100);
	r.flags = NETTXF_more_data;
	for (int i = 0; i < 200; i++)
		tx_request(&a, r);
	tx_show(&a);
	UNIT_CHECK(broken(&a, -EPROTO));
	UNIT_CHECK(served(&b, &a));
	teardown();
}

static void breaks_a_guest_with_endless_extras(void)
{
	struct netif_tx_request r;
	uint8_t extra[12] = { XEN_NETIF_EXTRA_TYPE_HASH,
			      XEN_NETIF_EXTRA_FLAG_MORE };

	setup();
	r = tx_frame(&a, &b, 0, 100);
	r.flags = NETTXF_extra_info;
	tx_request(&a, r);
	for (int i = 0; i < 200; i++)
		ring_front_put(&a.q[0].tx, extra, sizeof(extra));
	tx_show(&a);
	UNIT_CHECK(broken(&a, -EPROTO));
	UNIT_CHECK(served(&b, &a));
	teardown();
}

static void breaks_a_guest_with_an_impossible_transmit_producer(void)
{
	static const uint32_t lies[] = { 257, 0x80000000u, 0xffffffffu };

	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		setup();
		__atomic_store_n((uint32_t *)a.q[0].rings.base, lies[i],
				 __ATOMIC_RELEASE);
		evtchn_notify(a.q[0].tx_ev);
		UNIT_CHECK(broken(&a, -EPROTO));
		UNIT_CHECK(served(&b, &a));
		teardown();
	}
}

static void breaks_a_guest_with_an_impossible_receive_producer(void)
{
	uint32_t *prod;

	setup();
	prod = (uint32_t *)(void *)((uint8_t *)a.q[0].rings.base +
				    PV_PAGE_SIZE);
	__atomic_store_n(prod, 0x80000000u, __ATOMIC_RELEASE);
	/* It shows when somebody sends there; that one is not harmed. */
	UNIT_CHECK(served(&b, &a));
	UNIT_CHECK(broken(&a, -EPROTO));
	UNIT_CHECK(served(&b, &a));
	UNIT_CHECK(!atomic_load(&b.fault));
	teardown();
}

static void drops_for_a_guest_that_posts_no_buffers(void)
{
	struct traffic traffic;
	uint16_t id;

	setup();
	for (int i = 0; i < 5000; i++) {
		tx_request(&a, tx_frame(&a, &b, 3, 1500));
		tx_show(&a);
		UNIT_REQUIRE(tx_status(&a, &id) == NETIF_RSP_OKAY);
	}
	/* Exactly one buffer, and frames that need two. */
	rx_post(&b, 1);
	for (int i = 0; i < 100; i++) {
		struct netif_tx_request r = tx_frame(&a, &b, 3, 5000);

		r.flags = NETTXF_more_data;
		tx_request(&a, r);
		tx_request(&a, tx_frame(&a, &b, 4, 4000));
		tx_show(&a);
		UNIT_REQUIRE(tx_status(&a, &id) == NETIF_RSP_OKAY);
		UNIT_REQUIRE(tx_status(&a, &id) == NETIF_RSP_OKAY);
	}
	UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
	traffic = port_traffic(&b, 0);
	UNIT_CHECK(traffic.rx_drops[TRAFFIC_DROP_FULL] == 5100 &&
		   traffic.rx_packets == 0);
	teardown();
}

static void gives_back_buffers_that_cannot_be_written(void)
{
	struct netif_rx_request lies[3];
	struct netif_rx_response rsp;

	setup();
	lies[0] = (struct netif_rx_request){ .id = 70, .gref = 0x7fffffff };
	/* Granted read-only: the region we send from. */
	lies[1] =
		(struct netif_rx_request){ .id = 71, .gref = b.send.first_ref };
	/* Somebody else's reference, in our space. */
	lies[2] = (struct netif_rx_request){ .id = 72, .gref = 0 };
	for (int i = 0; i < 3; i++)
		ring_front_put(&b.q[0].rx, &lies[i], sizeof(lies[i]));
	(void)!ring_front_push(&b.q[0].rx);
	for (int i = 0; i < 3; i++) {
		UNIT_CHECK(served(&a, &b));
		UNIT_REQUIRE(rx_response(&b, &rsp));
		UNIT_CHECK(rsp.id == 70 + i && rsp.status == NETIF_RSP_ERROR &&
			   !rsp.flags);
	}
	rx_post(&b, 1);
	UNIT_CHECK(served(&a, &b));
	UNIT_CHECK(rx_response(&b, &rsp) && rsp.status == 60);
	teardown();
}

/* An IPv4 UDP frame with a blank checksum. */
static struct netif_tx_request udp_frame(struct guest *g, struct guest *to)
{
	struct netif_tx_request r = tx_frame(g, to, 5, 100);
	uint8_t *p = (uint8_t *)g->send.base + 5 * PV_PAGE_SIZE;

	p[12] = 8;
	p[13] = 0;
	p[14] = 0x45;
	p[16] = 0;
	p[17] = 86;
	p[20] = p[21] = 0;
	p[23] = 17;
	p[38] = 0;
	p[39] = 66;
	r.flags = NETTXF_csum_blank | NETTXF_data_validated;
	return r;
}

static void fills_blank_checksums_for_a_guest_that_cannot(void)
{
	struct netif_rx_response rsp;
	uint8_t want[100];
	uint16_t id;

	setup_with(QUEUE_SG);
	rx_post(&b, 2);
	tx_request(&a, udp_frame(&a, &b));
	memcpy(want, (uint8_t *)a.send.base + 5 * PV_PAGE_SIZE, 100);
	UNIT_REQUIRE(!packet_fill_csum(want, 100));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(rsp.flags == NETRXF_data_validated && rsp.status == 100);
	UNIT_CHECK(!memcmp(b.recv.base, want, 100));
	teardown();
}

static void leaves_blank_checksums_to_a_guest_that_can(void)
{
	struct netif_rx_response rsp;
	uint16_t id;

	setup();
	rx_post(&b, 2);
	tx_request(&a, udp_frame(&a, &b));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(rsp.flags == (NETRXF_data_validated | NETRXF_csum_blank));
	teardown();
}

static void rejects_a_blank_checksum_where_there_is_none(void)
{
	struct netif_tx_request r;
	uint16_t id;

	setup();
	r = tx_frame(&a, &b, 1, 60);
	r.flags = NETTXF_csum_blank;
	tx_request(&a, r);
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_ERROR && id == 1);
	teardown();
}

static void drops_what_a_guest_cannot_receive(void)
{
	struct netif_rx_response rsp;
	struct netif_tx_request r;
	uint16_t id;

	setup_with(QUEUE_CSUM_IPV4 | QUEUE_CSUM_IPV6); /* one buffer a frame */
	rx_post(&b, 8);
	r = tx_frame(&a, &b, 3, 5000);
	r.flags = NETTXF_more_data;
	tx_request(&a, r);
	tx_request(&a, tx_frame(&a, &b, 4, 4000));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	UNIT_CHECK(served(&a, &b));
	/* The small one came, the large one never does. */
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(rsp.status == 60);
	teardown();
}

static void notices_a_guest_that_is_gone(void)
{
	setup();
	evtchn_close(a.q[0].tx_ev);
	a.q[0].tx_ev = NULL;
	UNIT_CHECK(broken(&a, -EPIPE));
	UNIT_CHECK(served(&b, &a));
	teardown();
}

static void a_successor_goes_on_with_both_rings(void)
{
	struct netif_rx_response rsp;
	uint16_t id;

	setup();
	rx_post(&b, 40);
	for (uint16_t i = 0; i < 20; i++) {
		tx_request(&a, tx_frame(&a, &b, i, (uint16_t)(60 + i)));
		tx_show(&a);
		UNIT_REQUIRE(tx_status(&a, &id) == NETIF_RSP_OKAY && id == i);
		UNIT_REQUIRE(rx_response(&b, &rsp) && rsp.id == i &&
			     rsp.status == 60 + i);
		if (i % 5 != 4)
			continue;
		port_end(&a, true);
		port_end(&b, true);
		UNIT_REQUIRE(!port_make(&b, true) && !port_make(&a, true));
	}
	UNIT_CHECK(ring_front_pending(&a.q[0].tx) == 0);
	UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
	UNIT_CHECK(!atomic_load(&a.fault) && !atomic_load(&b.fault));
	teardown();
}

UNIT_MAIN("net_frontend_lies", UNIT_TEST(moves_a_frame_from_guest_to_guest),
	  UNIT_TEST(answers_every_slot_of_a_bad_packet_with_an_error),
	  UNIT_TEST(breaks_a_guest_whose_chain_runs_past_the_ring),
	  UNIT_TEST(breaks_a_guest_with_an_endless_chain),
	  UNIT_TEST(breaks_a_guest_with_endless_extras),
	  UNIT_TEST(breaks_a_guest_with_an_impossible_transmit_producer),
	  UNIT_TEST(breaks_a_guest_with_an_impossible_receive_producer),
	  UNIT_TEST(drops_for_a_guest_that_posts_no_buffers),
	  UNIT_TEST(gives_back_buffers_that_cannot_be_written),
	  UNIT_TEST(fills_blank_checksums_for_a_guest_that_cannot),
	  UNIT_TEST(leaves_blank_checksums_to_a_guest_that_can),
	  UNIT_TEST(rejects_a_blank_checksum_where_there_is_none),
	  UNIT_TEST(drops_what_a_guest_cannot_receive),
	  UNIT_TEST(notices_a_guest_that_is_gone),
	  UNIT_TEST(a_successor_goes_on_with_both_rings))
