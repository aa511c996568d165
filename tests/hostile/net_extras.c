/* SPDX-License-Identifier: MIT */
/*
 * net_extras.c - extra slots, and frames cut in unusual places. THREATS.md
 * section A: XSA-423 (headers split across slots), XSA-432 (many slots for a
 * small packet), XSA-448 (slots without a byte), GSO of size 0, multicast
 * orders. Oracle: an error for that packet, and the guests go on.
 */
#include "tests/hostile/net_guest.h"

union slot {
	struct netif_tx_request req;
	struct netif_extra_info extra;
};

static void put_slot(const union slot *slot)
{
	ring_front_put(&a.q[0].tx, slot, sizeof(*slot));
}

/* One request with nr extras; the request's status. */
static int send_extras(struct netif_tx_request req,
		       const struct netif_extra_info *extras, unsigned nr)
{
	union slot slot = { .req = req };
	uint16_t id;
	int status;

	slot.req.flags |= NETTXF_extra_info;
	put_slot(&slot);
	for (unsigned i = 0; i < nr; i++) {
		memset(&slot, 0, sizeof(slot));
		slot.extra = extras[i];
		if (i + 1 < nr)
			slot.extra.flags |= XEN_NETIF_EXTRA_FLAG_MORE;
		put_slot(&slot);
	}
	tx_show(&a);
	status = tx_status(&a, &id);
	for (unsigned i = 0; i < nr; i++)
		UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_NULL);
	return status;
}

/* ---- multicast ----------------------------------------------------------- */

static int order(uint8_t type, uint8_t first, uint8_t last)
{
	struct netif_extra_info extra = { .type = type };
	struct netif_tx_request none = { .id = 77 };

	extra.u.mcast.addr[0] = first;
	extra.u.mcast.addr[5] = last;
	return send_extras(none, &extra, 1);
}

#define ADD(first, last) order(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, first, last)
#define DEL(first, last) order(XEN_NETIF_EXTRA_TYPE_MCAST_DEL, first, last)

/* Does a frame from b to that address reach a? */
static bool reaches(const uint8_t dst[6])
{
	struct netif_tx_request r = tx_frame(&b, &a, 2, 60);
	struct netif_rx_response rsp;
	uint16_t id;

	memcpy((uint8_t *)b.send.base + 2 * PV_PAGE_SIZE, dst, 6);
	rx_post(&a, 1);
	tx_request(&b, r);
	tx_show(&b);
	UNIT_CHECK(tx_status(&b, &id) == NETIF_RSP_OKAY);
	if (ring_front_pending(&a.q[0].rx) <= 0)
		return false;
	ring_front_get(&a.q[0].rx, &rsp, sizeof(rsp));
	return rsp.status == 60;
}

static void successor(void)
{
	port_end(&a, true);
	world_must(!port_make(&a, true), "port");
}

static void a_guest_gets_the_multicasts_that_it_asked_for(void)
{
	static const uint8_t group[6] = { 1, 0, 0, 0, 0, 5 };
	static const uint8_t other[6] = { 1, 0, 0, 0, 0, 6 };
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

	setup();
	/* Addresses may be named before there is a filter. */
	UNIT_CHECK(reaches(group) && reaches(other) && reaches(all));
	UNIT_CHECK(ADD(1, 5) == NETIF_RSP_OKAY);
	UNIT_CHECK(reaches(other));
	port_wish(&a, true, 0);
	UNIT_CHECK(reaches(group) && !reaches(other) && reaches(all) &&
		   reaches(a.mac));
	/* It comes and goes while the vif is connected. */
	port_wish(&a, false, 0);
	UNIT_CHECK(reaches(other));
	port_wish(&a, true, 0);
	/* The addresses are there for a successor. */
	successor();
	UNIT_CHECK(reaches(group) && !reaches(other));
	UNIT_CHECK(DEL(1, 5) == NETIF_RSP_OKAY && DEL(1, 5) == NETIF_RSP_OKAY);
	UNIT_CHECK(!reaches(group));
	UNIT_CHECK(port_traffic(&a, 0).rx_drops[TRAFFIC_DROP_FILTERED] == 2);
	a.wishes.mcast = false;
	successor();
	UNIT_CHECK(reaches(group));
	teardown();
}

static void a_guest_may_name_only_so_many_addresses(void)
{
	setup();
	for (unsigned i = 0; i < MCAST_MAX; i++)
		UNIT_CHECK(ADD(1, (uint8_t)i) == NETIF_RSP_OKAY);
	UNIT_CHECK(ADD(1, MCAST_MAX) == NETIF_RSP_ERROR);
	UNIT_CHECK(ADD(1, 3) == NETIF_RSP_OKAY);
	UNIT_CHECK(DEL(1, 3) == NETIF_RSP_OKAY);
	UNIT_CHECK(ADD(1, MCAST_MAX) == NETIF_RSP_OKAY);
	/* None of these is a group's. */
	UNIT_CHECK(ADD(2, 0) == NETIF_RSP_ERROR);
	UNIT_CHECK(DEL(0, 0) == NETIF_RSP_ERROR);
	UNIT_CHECK(served(&a, &b));
	teardown();
}

static void an_order_with_anything_beside_it_is_refused(void)
{
	struct netif_extra_info two[2] = {
		{ .type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD },
		{ .type = XEN_NETIF_EXTRA_TYPE_MCAST_DEL },
	};
	struct netif_extra_info flagged = two[0];

	setup();
	two[0].u.mcast.addr[0] = two[1].u.mcast.addr[0] = 1;
	UNIT_CHECK(send_extras(tx_frame(&a, &b, 1, 60), two, 2) ==
		   NETIF_RSP_ERROR);
	flagged.u.mcast.addr[0] = 1;
	flagged.flags = 0x80;
	UNIT_CHECK(send_extras(tx_frame(&a, &b, 1, 60), &flagged, 1) ==
		   NETIF_RSP_ERROR);
	UNIT_CHECK(a.records[0]->vif.mcast.nr == 0);
	UNIT_CHECK(served(&a, &b));
	teardown();
}

/* ---- segmentation -------------------------------------------------------- */

/* An IPv4 TCP frame of 1000 bytes in page 5, checksum blank. */
static struct netif_tx_request tcp_frame(void)
{
	struct netif_tx_request r = tx_frame(&a, &b, 5, 1000);
	uint8_t *p = (uint8_t *)a.send.base + 5 * PV_PAGE_SIZE;

	p[12] = 8;
	p[13] = 0;
	p[14] = 0x45;
	p[16] = 986 >> 8;
	p[17] = 986 & 0xff;
	p[20] = p[21] = 0;
	p[23] = 6;
	p[46] = 0x50;
	r.flags = NETTXF_csum_blank | NETTXF_data_validated;
	return r;
}

static void segmentation_that_makes_no_sense_is_refused(void)
{
	struct netif_extra_info good = { .type = XEN_NETIF_EXTRA_TYPE_GSO };
	struct netif_extra_info twice[2];
	struct netif_rx_response rsp;

	setup();
	good.u.gso.size = 500;
	good.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
	for (unsigned kind = 0; kind < 6; kind++) {
		struct netif_extra_info bad = good;

		switch (kind) {
		case 0: bad.u.gso.size = 0; break;
		case 1: bad.u.gso.type = XEN_NETIF_GSO_TYPE_NONE; break;
		case 2: bad.u.gso.type = 3; break;
		case 3: bad.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV6; break;
		case 4: bad.u.gso.features = 1; break;
		default: bad.type = XEN_NETIF_EXTRA_TYPE_NONE; break;
		}
		UNIT_CHECK(send_extras(tcp_frame(), &bad, 1) ==
			   NETIF_RSP_ERROR);
	}
	twice[0] = twice[1] = good;
	UNIT_CHECK(send_extras(tcp_frame(), twice, 2) == NETIF_RSP_ERROR);
	/* UDP is not segmented. */
	((uint8_t *)a.send.base)[5 * PV_PAGE_SIZE + 23] = 17;
	rx_post(&b, 4);
	UNIT_CHECK(send_extras(tcp_frame(), &good, 1) == NETIF_RSP_OKAY);
	UNIT_CHECK(rx_response(&b, &rsp) && rsp.status == 1000 &&
		   rsp.flags & NETRXF_extra_info);
	teardown();
}

/* ---- frames cut to pieces ------------------------------------------------ */

/* A frame of size bytes over nr slots, all but the last of piece bytes. */
static int send_cut(unsigned nr, unsigned piece, unsigned size)
{
	uint16_t id;
	int status = 0;

	for (unsigned i = 0; i < nr; i++) {
		struct netif_tx_request r = {
			.gref = a.send.first_ref + 10,
			/* Within the page, whatever the piece. */
			.offset =
				(uint16_t)(piece < 4096 ? i * piece % 2048 : 0),
			.id = (uint16_t)i,
			.size = (uint16_t)(i ? piece : size),
			.flags = i + 1 < nr ? NETTXF_more_data : 0,
		};

		tx_request(&a, r);
	}
	tx_show(&a);
	for (unsigned i = 0; i < nr; i++)
		status = tx_status(&a, &id);
	return status;
}

static void any_number_of_slots_of_any_size_is_taken_or_refused(void)
{
	static const unsigned sizes[] = { 0, 1, 13, 14, 64, 1024, 4096 };
	struct netif_rx_response rsp;

	setup();
	(void)tx_frame(&a, &b, 10, 4096);
	for (unsigned nr = 1; nr <= XEN_NETIF_NR_SLOTS_MIN; nr++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]);
		     i++) {
			unsigned rest = (nr - 1) * sizes[i];
			unsigned size = rest + 100;

			if (size > 65535)
				continue;
			rx_post(&b, (size + 4095) / 4096);
			UNIT_CHECK(send_cut(nr, sizes[i], size) ==
				   NETIF_RSP_OKAY);
			/* The sizes contradict each other. */
			if (rest)
				UNIT_CHECK(send_cut(nr, sizes[i], rest - 1) ==
					   NETIF_RSP_ERROR);
			while (ring_front_pending(&b.q[0].rx) > 0)
				ring_front_get(&b.q[0].rx, &rsp, sizeof(rsp));
		}
	UNIT_CHECK(!atomic_load(&a.fault) && !atomic_load(&b.fault));
	UNIT_CHECK(served(&a, &b));
	teardown();
}

static void headers_in_pieces_of_a_byte_come_out_whole(void)
{
	uint8_t *page;
	struct netif_rx_response rsp;

	setup();
	(void)tx_frame(&a, &b, 10, 100);
	page = (uint8_t *)a.send.base + 10 * PV_PAGE_SIZE;
	rx_post(&b, 1);
	/* The first request's own piece is what the others leave: one byte. */
	for (unsigned i = 0; i < 18; i++) {
		struct netif_tx_request r = {
			.gref = a.send.first_ref + 10,
			.offset = (uint16_t)i,
			.id = (uint16_t)i,
			.size = (uint16_t)(i ? 1 : 18),
			.flags = i < 17 ? NETTXF_more_data : 0,
		};

		tx_request(&a, r);
	}
	tx_show(&a);
	for (unsigned i = 0; i < 18; i++) {
		uint16_t id;

		UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	}
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(rsp.status == 18 && !memcmp(b.recv.base, page, 18));
	teardown();
}

/* ---- room before a frame ------------------------------------------------- */

static bool all_are(const uint8_t *p, size_t size, uint8_t value)
{
	while (size && *p == value) {
		p++;
		size--;
	}
	return !size;
}

/* The extra after the first slot of a frame that b received. */
static bool rx_says_headroom(uint32_t bytes)
{
	struct netif_extra_info extra;

	if (!AWAIT(ring_front_pending(&b.q[0].rx) > 0))
		return false;
	ring_front_get(&b.q[0].rx, &extra, sizeof(extra));
	return extra.type == XEN_NETIF_EXTRA_TYPE_XDP && !extra.flags &&
	       extra.u.xdp.headroom == bytes;
}

/*
 * One frame of size bytes to b, which wants so many bytes free before it; its
 * buffers are of value 0xa5, and what is not the frame's stays so.
 */
static void receive_behind(uint32_t headroom, uint16_t size)
{
	uint32_t first = b.q[0].next_buffer % RX_PAGES;
	uint32_t most = PV_PAGE_SIZE - headroom, n = size < most ? size : most;
	uint8_t *page = (uint8_t *)b.recv.base + (size_t)first * PV_PAGE_SIZE;
	const uint8_t *sent = (uint8_t *)a.send.base + 3 * PV_PAGE_SIZE;
	/* With the extra's buffer between the two. */
	uint8_t *second = page + (size_t)2 * PV_PAGE_SIZE;
	struct netif_rx_response rsp;
	uint16_t id;

	memset(page, 0xa5, (size_t)3 * PV_PAGE_SIZE);
	rx_post(&b, 3);
	tx_request(&a, tx_frame(&a, &b, 3, size));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(rsp.offset == headroom && rsp.status == (int)n);
	UNIT_CHECK(rsp.flags ==
		   (NETRXF_extra_info | (n < size ? NETRXF_more_data : 0)));
	UNIT_CHECK(rx_says_headroom(headroom));
	UNIT_CHECK(all_are(page, headroom, 0xa5));
	UNIT_CHECK(!memcmp(page + headroom, sent, n));
	UNIT_CHECK(all_are(page + headroom + n, most - n, 0xa5));
	if (n == size)
		return;
	UNIT_REQUIRE(rx_response(&b, &rsp));
	UNIT_CHECK(!rsp.offset && rsp.status == (int)(size - n) && !rsp.flags);
	UNIT_CHECK(!memcmp(second, sent + n, size - n));
	UNIT_CHECK(all_are(second + size - n, PV_PAGE_SIZE - (size - n), 0xa5));
}

static void a_frame_leaves_the_room_before_it_that_was_asked_for(void)
{
	static const uint32_t rooms[] = { 1, 256, QUEUE_HEADROOM_MAX };

	for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		uint16_t most = (uint16_t)(PV_PAGE_SIZE - rooms[i]);
		const uint16_t sizes[] = { 60, most, (uint16_t)(most + 1),
					   4096 };

		for (unsigned k = 0; k < 4; k++) {
			setup();
			port_wish(&b, false, rooms[i]);
			receive_behind(rooms[i], sizes[k]);
			teardown();
		}
	}
}

/* ---- a link that is down ------------------------------------------------- */

static int take_down(void *arg)
{
	static struct switch_rules rules;
	struct guest *g = arg;

	rules.down = true;
	vif_port_set_rules(g->port, &rules);
	return 0;
}

static void what_a_link_that_is_down_does_not_carry_is_counted(void)
{
	struct traffic t;

	setup();
	rx_post(&a, 2);
	rx_post(&b, 2);
	worker_call(worker, take_down, &b);
	UNIT_CHECK(served(&a, &b) && served(&b, &a) && served(&b, &a));
	UNIT_CHECK(ring_front_pending(&a.q[0].rx) == 0);
	UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_LINK] == 1 && t.rx_packets == 0);
	UNIT_CHECK(t.tx_drops[SWITCH_DROP_LINK] == 2);
	teardown();
}

/* ---- old peers ----------------------------------------------------------- */

/*
 * As iPXE: four buffers, one channel for both rings, no feature at all. It is
 * never asked for more buffers than a frame of its own needs.
 */
static void a_guest_with_four_buffers_and_no_feature_is_served(void)
{
	const struct guest_config plain = { .one_channel = true };
	struct netif_extra_info gso = { .type = XEN_NETIF_EXTRA_TYPE_GSO };
	struct netif_rx_response rsp;
	uint16_t id;

	setup_as(&plain);
	gso.u.gso.size = 500;
	gso.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
	(void)tx_frame(&a, &b, 10, 4096);
	rx_post(&b, 4);
	for (unsigned i = 0; i < 50; i++) {
		/* What is to be segmented comes in segments. */
		UNIT_CHECK(send_extras(tcp_frame(), &gso, 1) == NETIF_RSP_OKAY);
		UNIT_CHECK(rx_response(&b, &rsp) && rsp.status == 554 &&
			   rsp.flags == NETRXF_data_validated);
		UNIT_CHECK(rx_response(&b, &rsp) && rsp.status == 500 &&
			   rsp.flags == NETRXF_data_validated);
		rx_post(&b, 2);
		/* What it cannot take is dropped and takes no buffer. */
		UNIT_CHECK(send_cut(2, 1024, 5000) == NETIF_RSP_OKAY);
		/* Blank checksums are filled in. */
		for (unsigned n = 0; n < 4; n++) {
			tx_request(&a, tcp_frame());
			tx_show(&a);
			UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
		}
		for (unsigned n = 0; n < 4; n++)
			UNIT_CHECK(rx_response(&b, &rsp) &&
				   rsp.status == 1000 &&
				   rsp.flags == NETRXF_data_validated);
		UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
		UNIT_CHECK(served(&b, &a));
		rx_post(&b, 4);
	}
	UNIT_CHECK(!atomic_load(&b.fault));
	UNIT_CHECK(port_traffic(&b, 0).rx_drops[TRAFFIC_DROP_UNABLE] == 50);
	UNIT_CHECK(port_traffic(&b, 0).rx_drops[TRAFFIC_DROP_FULL] == 0);
	teardown();
}

UNIT_MAIN("net_extras",
	  UNIT_TEST(a_guest_gets_the_multicasts_that_it_asked_for),
	  UNIT_TEST(a_guest_may_name_only_so_many_addresses),
	  UNIT_TEST(an_order_with_anything_beside_it_is_refused),
	  UNIT_TEST(segmentation_that_makes_no_sense_is_refused),
	  UNIT_TEST(any_number_of_slots_of_any_size_is_taken_or_refused),
	  UNIT_TEST(headers_in_pieces_of_a_byte_come_out_whole),
	  UNIT_TEST(a_frame_leaves_the_room_before_it_that_was_asked_for),
	  UNIT_TEST(what_a_link_that_is_down_does_not_carry_is_counted),
	  UNIT_TEST(a_guest_with_four_buffers_and_no_feature_is_served))
