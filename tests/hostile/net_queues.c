/* SPDX-License-Identifier: MIT */
/*
 * net_queues.c - a vif of several queues: where its frames come out, what a
 * queue without buffers does to the others, what a lie on one of them does to
 * all. THREATS.md section A: CVE-2010-4247, XSA-39, XSA-392, per queue.
 */
#include "tests/hostile/net_guest.h"

#define FLOWS 64u

static const struct guest_config four = { .features = ALL, .nr_queues = 4 };

/* An IPv4 UDP frame of flow number flow, in page 6. */
static struct netif_tx_request flow_frame(struct guest *g, struct guest *to,
					  unsigned flow)
{
	struct netif_tx_request r = tx_frame(g, to, 6, 100);
	uint8_t *p = (uint8_t *)g->send.base + 6 * PV_PAGE_SIZE;

	p[12] = 8;
	p[13] = 0;
	p[14] = 0x45;
	p[16] = 0;
	p[17] = 86;
	p[20] = p[21] = 0;
	p[23] = 17;
	p[34] = 0x12;
	p[35] = (uint8_t)flow;
	return r;
}

/* Send a frame of flow from a to b: b's queue that it came out of, or -1. */
static int queue_of(unsigned flow)
{
	uint16_t id;
	int where = -1;

	tx_request(&a, flow_frame(&a, &b, flow));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	for (uint32_t i = 0; i < b.nr_queues; i++) {
		struct netif_rx_response rsp;

		while (ring_front_pending(&b.q[i].rx) > 0) {
			ring_front_get(&b.q[i].rx, &rsp, sizeof(rsp));
			UNIT_CHECK(where < 0 && rsp.status == 100);
			where = (int)i;
		}
	}
	return where;
}

static void flows_are_spread_and_each_stays_in_its_queue(void)
{
	unsigned nr[4] = { 0 };
	int where[FLOWS];

	setup_as(&four);
	for (uint32_t i = 0; i < 4; i++)
		rx_post_queue(&b, i, 255);
	for (unsigned f = 0; f < FLOWS; f++) {
		where[f] = queue_of(f);
		UNIT_REQUIRE(where[f] >= 0);
		nr[where[f]]++;
	}
	for (unsigned f = 0; f < FLOWS; f++)
		UNIT_CHECK(queue_of(f) == where[f]);
	/* By chance a queue gets fewer than 3 in one of 10^4 runs; none at
	 * all in one of 10^7. */
	for (unsigned i = 0; i < 4; i++)
		UNIT_CHECK(nr[i] > 0);
	teardown();
}

static void a_queue_without_buffers_does_not_hold_up_the_others(void)
{
	unsigned nr_lost = 0;

	setup_as(&four);
	for (uint32_t i = 1; i < 4; i++)
		rx_post_queue(&b, i, 255);
	for (unsigned f = 0; f < FLOWS; f++)
		nr_lost += queue_of(f) < 0;
	UNIT_CHECK(nr_lost > 0 && nr_lost < FLOWS);
	for (uint32_t i = 0; i < 4; i++)
		UNIT_CHECK(port_traffic(&b, i).rx_drops[TRAFFIC_DROP_FULL] ==
			   (i ? 0 : nr_lost));
	teardown();
}

static void every_queue_sends(void)
{
	setup_as(&four);
	rx_post(&a, 8);
	for (uint32_t i = 0; i < 4; i++) {
		struct netif_tx_request r = tx_frame(&b, &a, i, 60);
		struct netif_tx_response rsp;
		struct netif_rx_response got;

		ring_front_put(&b.q[i].tx, &r, sizeof(r));
		if (ring_front_push(&b.q[i].tx))
			evtchn_notify(b.q[i].tx_ev);
		UNIT_REQUIRE(AWAIT(ring_front_pending(&b.q[i].tx) > 0));
		ring_front_get(&b.q[i].tx, &rsp, sizeof(rsp));
		UNIT_CHECK(rsp.id == i && rsp.status == NETIF_RSP_OKAY);
		UNIT_CHECK(rx_response(&a, &got) && got.status == 60);
	}
	teardown();
}

static void a_lie_on_one_queue_ends_the_vif_once(void)
{
	struct netif_tx_request r;

	setup_as(&four);
	/* The last queue, and the first one at the same time. */
	for (uint32_t i = 0; i < 4; i += 3) {
		__atomic_store_n((uint32_t *)b.q[i].rings.base, 0x80000000u,
				 __ATOMIC_RELEASE);
		evtchn_notify(b.q[i].tx_ev);
	}
	UNIT_CHECK(broken(&b, -EPROTO));
	/* None of its queues is served any longer. */
	r = tx_frame(&b, &a, 1, 60);
	ring_front_put(&b.q[1].tx, &r, sizeof(r));
	if (ring_front_push(&b.q[1].tx))
		evtchn_notify(b.q[1].tx_ev);
	for (int i = 0; i < 20; i++)
		UNIT_CHECK(served(&a, &b));
	UNIT_CHECK(ring_front_pending(&b.q[1].tx) == 0);
	UNIT_CHECK(atomic_load(&b.nr_faults) == 1);
	teardown();
}

static void one_channel_serves_both_rings_of_a_queue(void)
{
	const struct guest_config config = { .features = ALL,
					     .nr_queues = 2,
					     .one_channel = true };

	setup_as(&config);
	for (uint32_t i = 0; i < 2; i++)
		rx_post_queue(&b, i, 100);
	/* Idle, then an event of the one channel is all that wakes it. */
	for (unsigned f = 0; f < 20; f++) {
		UNIT_CHECK(queue_of(f) >= 0);
		UNIT_CHECK(served(&b, &a));
		usleep(500);
	}
	teardown();
}

static void a_successor_goes_on_with_every_queue(void)
{
	setup_as(&four);
	for (uint32_t i = 0; i < 4; i++)
		rx_post_queue(&b, i, 255);
	for (unsigned f = 0; f < FLOWS; f++) {
		UNIT_REQUIRE(queue_of(f) >= 0);
		UNIT_REQUIRE(served(&b, &a));
		if (f % 16 != 15)
			continue;
		port_end(&b, true);
		UNIT_REQUIRE(!port_make(&b, true));
	}
	UNIT_CHECK(!atomic_load(&a.fault) && !atomic_load(&b.fault));
	teardown();
}

UNIT_MAIN("net_queues", UNIT_TEST(flows_are_spread_and_each_stays_in_its_queue),
	  UNIT_TEST(a_queue_without_buffers_does_not_hold_up_the_others),
	  UNIT_TEST(every_queue_sends),
	  UNIT_TEST(a_lie_on_one_queue_ends_the_vif_once),
	  UNIT_TEST(one_channel_serves_both_rings_of_a_queue),
	  UNIT_TEST(a_successor_goes_on_with_every_queue))
