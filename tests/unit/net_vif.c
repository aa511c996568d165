/* SPDX-License-Identifier: MIT */
/*
 * net_vif.c - a vif's handshake and life as its toolstack, its frontend and the
 * next worker see it: the real control side of netback,
 * tests/hostile/net_vif.h.
 */
#include "tests/hostile/net_vif.h"
#include "netback/vif_params.h"

/* A frame of 60 bytes from a to b arrives, in buffer id. */
static bool crosses(uint16_t id)
{
	struct netif_rx_response rsp;

	rx_post(&b, 1);
	return served(&a, &b) && rx_response(&b, &rsp) && rsp.id == id &&
	       rsp.status == 60;
}

static void two_guests_connect_and_frames_cross(void)
{
	vifs_connect();
	UNIT_CHECK(crosses(0) && crosses(1));
	vifs_end();
}

/* ---- the next worker ----------------------------------------------------- */

static void a_connected_vif_is_gone_on_with(void)
{
	vifs_connect();
	UNIT_CHECK(crosses(0));
	for (uint16_t i = 1; i < 4; i++) {
		fake_trace[0] = '\0';
		back_end();
		back_start();
		UNIT_CHECK(crosses(i));
		UNIT_CHECK(BACK_UNTIL(true) && !*fake_trace);
	}
	UNIT_CHECK(!monitor.nr_released);
	vifs_end();
}

/* While nobody was there a's vif was removed and made anew, on another bridge.
 */
static void what_was_made_anew_is_nobodys_successor(void)
{
	vifs_connect();
	UNIT_CHECK(crosses(0));
	back_end();
	remove_directories(&a);
	make_directories(&a);
	strcpy(wanted[0].bridge, "br1");
	fake_trace[0] = '\0';
	back_start();
	UNIT_CHECK(BACK_UNTIL(back_is(&a, "2")));
	UNIT_CHECK(monitor.nr_released == 1);
	UNIT_CHECK(!strcmp(monitor.devices[0].target.bridge, "br1"));
	/* Its queue's record is gone, the other guest's is there. */
	UNIT_CHECK(monitor.nr_kept == 1);
	/* The old rings are not served. */
	tx_request(&a, tx_frame(&a, &b, 9, 60));
	tx_show(&a);
	usleep(20000);
	UNIT_CHECK(ring_front_pending(&a.q[0].tx) == 0);
	vifs_end();
}

static void lose_the_store(void)
{
	back_xs->lost = true;
}

/* Between the records and Connected: nothing was consumed, so that the rings
 * can be begun anew. */
static void a_worker_that_died_before_connected_has_consumed_nothing(void)
{
	struct netif_rx_response rsp;
	uint16_t id;

	vifs_begin();
	back_start();
	UNIT_CHECK(front_connect(&b));
	front_write(&a);
	UNIT_CHECK(BACK_UNTIL(back_is(&a, "2")));
	tx_request(&a, tx_frame(&a, &b, 3, 60));
	tx_show(&a);
	rx_post(&b, 4);
	front_set(&a, "state", "4");
	back_xs->before_commit = lose_the_store;
	UNIT_CHECK(BACK_UNTIL(monitor.nr_kept == 2));
	for (unsigned i = 0; i < 50; i++)
		back_turn();
	UNIT_CHECK(back_is(&a, "2"));
	UNIT_CHECK(ring_front_pending(&a.q[0].tx) == 0);
	back_end();
	back_start();
	UNIT_CHECK(BACK_UNTIL(back_is(&a, "4")));
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY && id == 3);
	UNIT_CHECK(rx_response(&b, &rsp) && rsp.id == 0);
	UNIT_CHECK(crosses(1));
	vifs_end();
}

/* The toolstack asked for the end, the frontend has not answered yet. */
static void a_closing_vif_is_served_until_its_frontend_closes(void)
{
	vifs_connect();
	back_set(&a, "online", "0");
	back_set(&a, "state", "5");
	back_turn();
	back_end();
	back_start();
	UNIT_CHECK(crosses(0));
	front_set(&a, "state", "5");
	UNIT_CHECK(BACK_UNTIL(back_is(&a, "5")));
	front_set(&a, "state", "6");
	UNIT_CHECK(BACK_UNTIL(back_is(&a, "6")));
	UNIT_CHECK(BACK_UNTIL(xenbus_bus_nr_devices(bus) == 1));
	vifs_end();
}

/* ---- what a frontend may change ------------------------------------------ */

/* Does a frame from a to that address reach b? Its buffer is posted. */
static bool reaches(const uint8_t dst[6])
{
	struct netif_tx_request r = tx_frame(&a, &b, 2, 60);
	struct netif_rx_response rsp;
	uint16_t id;

	memcpy((uint8_t *)a.send.base + (size_t)2 * PV_PAGE_SIZE, dst, 6);
	tx_request(&a, r);
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	if (ring_front_pending(&b.q[0].rx) <= 0)
		return false;
	ring_front_get(&b.q[0].rx, &rsp, sizeof(rsp));
	return rsp.status == 60;
}

static bool group_reaches(void)
{
	static const uint8_t group[6] = { 1, 0, 0, 0, 0, 5 };

	return reaches(group);
}

static void a_multicast_filter_is_asked_for_at_any_time(void)
{
	vifs_connect();
	UNIT_CHECK(!strcmp(back_get(&b, "feature-dynamic-multicast-control"),
			   "1"));
	rx_post(&b, 60);
	UNIT_CHECK(group_reaches());
	front_set(&b, VIF_WISH_MCAST, "1");
	UNIT_CHECK(BACK_UNTIL(!group_reaches()));
	/* Nonsense changes nothing. */
	front_set(&b, VIF_WISH_MCAST, "no");
	for (unsigned i = 0; i < 10; i++)
		back_turn();
	UNIT_CHECK(!group_reaches());
	/* A successor reads it anew. */
	front_set(&b, VIF_WISH_MCAST, "1");
	back_end();
	back_start();
	UNIT_CHECK(!group_reaches());
	front_set(&b, VIF_WISH_MCAST, "0");
	UNIT_CHECK(BACK_UNTIL(group_reaches()));
	vifs_end();
}

/* The offset of the next frame in b's buffer, which has an extra if it is not
 * 0; -1: there is none. */
static int next_offset(void)
{
	struct netif_rx_response rsp;
	struct netif_extra_info extra;

	rx_post(&b, 2);
	if (!served(&a, &b) || !rx_response(&b, &rsp))
		return -1;
	if (rsp.flags & NETRXF_extra_info)
		ring_front_get(&b.q[0].rx, &extra, sizeof(extra));
	return rsp.status == 60 ? rsp.offset : -1;
}

static void room_before_frames_is_agreed_by_reconfiguring(void)
{
	vifs_connect();
	UNIT_CHECK(next_offset() == 0);
	front_set(&b, "xdp-headroom", "256");
	for (unsigned i = 0; i < 10; i++)
		back_turn();
	UNIT_CHECK(next_offset() == 0);
	front_set(&b, "state", "7");
	UNIT_CHECK(BACK_UNTIL(back_is(&b, "8")));
	UNIT_CHECK(next_offset() == 256);
	/* A death in the middle of it. */
	back_end();
	back_start();
	UNIT_CHECK(next_offset() == 256 && back_is(&b, "8"));
	front_set(&b, "state", "4");
	UNIT_CHECK(BACK_UNTIL(back_is(&b, "4")));
	UNIT_CHECK(next_offset() == 256);
	/* Nonsense changes nothing, but is an end of it. */
	front_set(&b, "xdp-headroom", "4000");
	front_set(&b, "state", "7");
	UNIT_CHECK(BACK_UNTIL(back_is(&b, "8")));
	UNIT_CHECK(next_offset() == 256);
	/* The frontend changes its mind before it has gone back. */
	front_set(&b, "xdp-headroom", "0");
	front_set(&b, "state", "4");
	UNIT_CHECK(BACK_UNTIL(back_is(&b, "4")));
	UNIT_CHECK(next_offset() == 0);
	front_set(&b, "state", "7");
	UNIT_CHECK(BACK_UNTIL(back_is(&b, "8")));
	front_set(&b, "state", "5");
	UNIT_CHECK(BACK_UNTIL(back_is(&b, "5")));
	vifs_end();
}

/* ---- what a toolstack may change ----------------------------------------- */

/* Take the answers that have come; how many. */
static unsigned nr_answered(struct guest *g)
{
	struct netif_tx_response rsp;
	unsigned nr = 0;

	for (; ring_front_pending(&g->q[0].tx) > 0; nr++)
		ring_front_get(&g->q[0].tx, &rsp, sizeof(rsp));
	return nr;
}

static void a_rate_of_libxls_is_obeyed_where_there_is_no_other(void)
{
	unsigned nr;

	vifs_connect();
	back_set(&a, "rate", "4096,1000000");
	for (unsigned i = 0; i < 10; i++)
		back_turn();
	for (unsigned i = 0; i < 20; i++)
		tx_request(&a, tx_frame(&a, &b, i, 1000));
	tx_show(&a);
	usleep(50000);
	nr = nr_answered(&a);
	UNIT_CHECK(nr <= 6);
	back_set(&a, "limit-rates", "");
	UNIT_CHECK(BACK_UNTIL((nr += nr_answered(&a)) == 20));
	/* What makes no sense changes nothing. */
	UNIT_CHECK(back_rm(&a, "limit-rates"));
	back_set(&a, "rate", "4096");
	for (unsigned i = 0; i < 10; i++)
		back_turn();
	for (unsigned i = 0; i < 20; i++)
		tx_request(&a, tx_frame(&a, &b, i, 1000));
	tx_show(&a);
	UNIT_CHECK(AWAIT((nr += nr_answered(&a)) == 40));
	vifs_end();
}

/* Does a frame from a to b's address of that last byte reach b? */
static bool reaches_address(uint8_t last)
{
	uint8_t dst[6];

	memcpy(dst, b.mac, sizeof(dst));
	dst[5] = last;
	return reaches(dst);
}

static void a_link_that_is_down_carries_nothing(void)
{
	vifs_connect();
	UNIT_CHECK(crosses(0));
	back_set(&b, "link-down", "1");
	UNIT_CHECK(BACK_UNTIL(!strcmp(back_get(&b, "carrier"), "0")));
	rx_post(&b, 1);
	rx_post(&a, 1);
	UNIT_CHECK(served(&a, &b) && served(&b, &a));
	UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
	UNIT_CHECK(ring_front_pending(&a.q[0].rx) == 0);
	/* As a successor has it, too. */
	back_end();
	back_start();
	UNIT_CHECK(!strcmp(back_get(&b, "carrier"), "0"));
	UNIT_CHECK(served(&a, &b) && served(&b, &a));
	UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
	back_set(&b, "link-down", "");
	UNIT_CHECK(BACK_UNTIL(!strcmp(back_get(&b, "carrier"), "1")));
	UNIT_CHECK(crosses(1));
	vifs_end();
}

/* Does what b sends from that address reach a? */
static bool served_from(struct guest *g, uint8_t last)
{
	struct netif_rx_response rsp;

	rx_post(&a, 1);
	g->mac[5] = last;
	UNIT_CHECK(served(g, &a));
	if (ring_front_pending(&a.q[0].rx) <= 0)
		return false;
	ring_front_get(&a.q[0].rx, &rsp, sizeof(rsp));
	return rsp.status == 60;
}

static void an_address_is_changed_while_the_vif_is_connected(void)
{
	vifs_connect();
	rx_post(&b, 40);
	back_set(&b, "antispoof", "1");
	back_set(&b, "mac", "02:00:00:00:00:22");
	UNIT_CHECK(BACK_UNTIL(!served_from(&b, 2)));
	UNIT_CHECK(served_from(&b, 0x22) && reaches_address(0x22));
	/* It is no address: the last one stays. */
	back_set(&b, "mac", "01:00:00:00:00:22");
	for (unsigned i = 0; i < 10; i++)
		back_turn();
	UNIT_CHECK(served_from(&b, 0x22));
	/* A successor reads it there. */
	back_set(&b, "mac", "02:00:00:00:00:23");
	back_end();
	back_start();
	UNIT_CHECK(served_from(&b, 0x23) && !served_from(&b, 0x22));
	UNIT_CHECK(reaches_address(0x23));
	vifs_end();
}

/* ---- a frontend that lied ------------------------------------------------ */

static void lie(struct guest *g)
{
	__atomic_store_n((uint32_t *)g->q[0].rings.base, 0x80000000u,
			 __ATOMIC_RELEASE);
	evtchn_notify(g->q[0].tx_ev);
}

static bool is_down(const struct guest *g)
{
	return back_is(g, "5") || back_is(g, "6");
}

/* Let the other end go to a state, and look for a while whether ours stays. */
static bool stays_down(struct guest *g, const char *front_state)
{
	front_set(g, "state", front_state);
	for (unsigned i = 0; i < 30; i++) {
		back_turn();
		if (!is_down(g))
			return false;
	}
	return true;
}

static void a_vif_that_lied_is_closed_until_it_is_enabled(void)
{
	vifs_connect();
	lie(&a);
	UNIT_CHECK(BACK_UNTIL(is_down(&a)));
	UNIT_CHECK(!strcmp(back_get(&a, "disabled"),
			   "impossible transmit producer index: Protocol "
			   "error"));
	UNIT_CHECK(served(&b, &a));
	UNIT_CHECK(stays_down(&a, "5") && stays_down(&a, "6"));
	UNIT_CHECK(stays_down(&a, "1") && stays_down(&a, "4"));
	/* Nor does it matter who serves it. */
	front_set(&a, "state", "1");
	back_end();
	back_start();
	UNIT_CHECK(stays_down(&a, "1"));
	UNIT_CHECK(served(&b, &a));
	front_renew(&a);
	UNIT_CHECK(back_rm(&a, "disabled"));
	UNIT_CHECK(front_connect(&a));
	UNIT_CHECK(crosses(0));
	vifs_end();
}

/* Whatever its frontend was doing: at the latest when that has let go. */
static void enabled_it_begins_without_a_move_of_its_frontend(void)
{
	static const char *const states[] = { "4", "6", "1" };

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		vifs_connect();
		lie(&a);
		UNIT_CHECK(BACK_UNTIL(is_down(&a)));
		UNIT_CHECK(stays_down(&a, states[i]));
		UNIT_CHECK(back_rm(&a, "disabled"));
		if (!i)
			UNIT_CHECK(stays_down(&a, "5"));
		if (!i)
			front_set(&a, "state", "6");
		UNIT_CHECK(BACK_UNTIL(back_is(&a, "2")));
		vifs_end();
	}
}

static void a_disabled_vif_is_detached_as_any_other(void)
{
	vifs_connect();
	lie(&a);
	UNIT_CHECK(BACK_UNTIL(is_down(&a)));
	back_set(&a, "online", "0");
	back_set(&a, "state", "5");
	front_set(&a, "state", "6");
	UNIT_CHECK(BACK_UNTIL(xenbus_bus_nr_devices(bus) == 1));
	UNIT_CHECK(back_is(&a, "6"));
	vifs_end();
}

static void the_administrator_disables_a_vif_at_once(void)
{
	vifs_connect();
	back_set(&a, "disabled", "by hand");
	UNIT_CHECK(BACK_UNTIL(is_down(&a)));
	UNIT_CHECK(stays_down(&a, "1"));
	UNIT_CHECK(served(&b, &a));
	vifs_end();
}

UNIT_MAIN("net_vif", UNIT_TEST(two_guests_connect_and_frames_cross),
	  UNIT_TEST(a_connected_vif_is_gone_on_with),
	  UNIT_TEST(what_was_made_anew_is_nobodys_successor),
	  UNIT_TEST(a_worker_that_died_before_connected_has_consumed_nothing),
	  UNIT_TEST(a_closing_vif_is_served_until_its_frontend_closes),
	  UNIT_TEST(a_multicast_filter_is_asked_for_at_any_time),
	  UNIT_TEST(room_before_frames_is_agreed_by_reconfiguring),
	  UNIT_TEST(a_rate_of_libxls_is_obeyed_where_there_is_no_other),
	  UNIT_TEST(a_link_that_is_down_carries_nothing),
	  UNIT_TEST(an_address_is_changed_while_the_vif_is_connected),
	  UNIT_TEST(a_vif_that_lied_is_closed_until_it_is_enabled),
	  UNIT_TEST(enabled_it_begins_without_a_move_of_its_frontend),
	  UNIT_TEST(a_disabled_vif_is_detached_as_any_other),
	  UNIT_TEST(the_administrator_disables_a_vif_at_once))
