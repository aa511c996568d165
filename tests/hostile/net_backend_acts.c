/* SPDX-License-Identifier: MIT */
/*
 * net_backend_acts.c - what a backend may do to a whole netfront (section B of
 * the threats): lie on a live ring, look at all of the pages that it was given,
 * write to those that it may only read, notify without end, write anything into
 * its directory. The frontend gives nothing away, and serves on with the
 * backend that follows. The rings alone: net_backend_lies.c.
 */
#include "netfront/netfront.h"

#include "tests/unit/netfront_backend.h"
#include "tests/unit/unit.h"

#define POISON 0xa5

static struct rig rig;

static void sleep_on(struct netfront *nf, int timeout_ms)
{
	struct pollfd pfd = { .fd = netfront_fd(nf), .events = POLLIN };

	if (!netfront_arm(nf))
		poll(&pfd, 1, timeout_ms);
}

/* As their owner does all the time: queue 0 acts on what is found on any queue,
 * a lie among it. false: the link is down. */
static bool serve(struct netfront *nf, struct netfront_queue *q)
{
	return netfront_queue_poll(q) >= 0 && netfront_poll(nf) >= 0 &&
	       netfront_link_up(nf);
}

static bool send_one(struct netfront_queue *q)
{
	struct netfront_frame frame;

	if (!netfront_queue_prepare(q, &frame, 1, 60))
		return false;
	memset(frame.iov[0].iov_base, 7, 60);
	return netfront_queue_send(q, &frame, 1) == 1;
}

/*
 * One frame of 60 bytes on queue nr, and what comes back; queue 0 is served as
 * well. 1: it came, 0: not within 2 s, -1: the link is down, or other bytes.
 */
static int echo(struct netfront *nf, uint32_t nr)
{
	uint64_t end_ns = clock_now_ns() + 2 * NS_PER_S;
	struct netfront_queue *q = netfront_queue(nf, nr);
	struct netfront_frame frame;
	int result = 0;

	if (!send_one(q))
		result = -1;
	while (serve(nf, q) && !result && clock_now_ns() < end_ns) {
		netfront_queue_kick(q);
		if (netfront_queue_recv(q, &frame, 1))
			result = frame.size_bytes == 60 &&
						 !memchr(frame.iov[0].iov_base,
							 0, 60)
					 ? 1
					 : -1;
		netfront_queue_recv_done(q);
		if (!result)
			sleep_on(nf, 1);
	}
	return netfront_link_up(nf) ? result : -1;
}

static bool wait_link(struct netfront *nf, bool up)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (netfront_link_up(nf) != up && clock_now_ns() < end_ns)
		if (netfront_poll(nf) >= 0)
			sleep_on(nf, 20);
	return netfront_link_up(nf) == up;
}

/* ---- lies ------------------------------------------------------------------
 */

/* The link goes down, not before half a second there is another handshake. */
static void lie_on(enum net_lie lie, unsigned queue)
{
	struct net_backend be = {
		.max_queues = 2, .lie = lie, .lie_queue = queue, .lie_after = 10
	};
	struct net_backend next = { .max_queues = 2 };
	uint64_t began_ns, end_ns;
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	for (unsigned i = 0; i < 10; i++)
		UNIT_CHECK(echo(nf, queue) == 1);
	/* The lie may come after frames that were sent with it. */
	end_ns = clock_now_ns() + RIG_WAIT_NS;
	while (netfront_link_up(nf) && clock_now_ns() < end_ns)
		UNIT_CHECK(echo(nf, queue) != 1 || lie < NET_LIE_RX_ID);
	UNIT_CHECK(!netfront_link_up(nf));
	began_ns = clock_now_ns();
	net_backend_stop(&be);
	UNIT_REQUIRE(net_backend_start(&next, &rig) == 0);
	UNIT_REQUIRE(wait_link(nf, true));
	UNIT_CHECK(clock_now_ns() - began_ns > 300 * NS_PER_MS);
	UNIT_CHECK(echo(nf, 0) == 1 && echo(nf, 1) == 1);
	net_rig_end(&rig, &next, nf);
}

static void xsa_155_376_lies_end_the_connection_and_not_the_frontend(void)
{
	for (int lie = NET_LIE_TX_ID; lie <= NET_LIE_RX_MORE; lie++)
		lie_on((enum net_lie)lie, 0);
}

static void a_lie_to_another_owner_ends_the_connection_as_well(void)
{
	lie_on(NET_LIE_TX_ID, 1);
	lie_on(NET_LIE_RX_SIZE, 1);
}

/* ---- XSA-403: what shared pages show ---------------------------------------
 */

static unsigned nr_stale, nr_written;

/* The whole page of a frame of 60 bytes of 7, and an attempt to change it. */
static void look_and_write(struct net_backend *be,
			   const struct netif_tx_request *req)
{
	struct grant_map map;
	uint8_t page[PV_PAGE_SIZE];

	if (net_backend_copy(be, req->gref, 0, page, PV_PAGE_SIZE, false))
		nr_stale++;
	for (unsigned i = 0; i < PV_PAGE_SIZE; i++)
		nr_stale += page[i] != (i - req->offset < 60 ? 7 : 0);
	nr_written += net_backend_copy(be, req->gref, 0, page, 60, true) == 0;
	if (platform_map(be->platform, be->rig->guest, &req->gref, 1, true,
			 &map))
		return;
	nr_written++;
	platform_unmap(be->platform, &map);
}

static void poison_heap(void)
{
	void *blocks[64];

	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		blocks[i] = malloc(1u << (6 + i % 12));
		if (blocks[i])
			memset(blocks[i], POISON, 1u << (6 + i % 12));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
		free(blocks[i]);
}

static void xsa_403_pages_show_frames_only_and_cannot_be_written(void)
{
	struct net_backend be = { .inspect = look_and_write };
	struct netfront *nf;

	nr_stale = nr_written = 0;
	poison_heap();
	UNIT_REQUIRE(net_rig_begin(&rig, &be, 1, &nf) == 0);
	for (unsigned i = 0; i < 600; i++)
		UNIT_REQUIRE(echo(nf, 0) == 1);
	net_rig_end(&rig, &be, nf);
	UNIT_CHECK(nr_stale == 0);
	UNIT_CHECK(nr_written == 0);
}

/* ---- noise -----------------------------------------------------------------
 */

static void xsa_391_a_storm_of_events_does_not_stop_frames(void)
{
	struct net_backend be = { .max_queues = 2,
				  .ctrl = true,
				  .storm = true };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	for (unsigned i = 0; i < 200; i++)
		UNIT_REQUIRE(echo(nf, i & 1) == 1);
	net_rig_end(&rig, &be, nf);
}

static void nonsense_in_the_store_changes_nothing(void)
{
	static const char *const nodes[] = { "carrier", "mtu", "feature-sg",
					     "multi-queue-max-queues" };
	static const char *const values[] = {
		"", "2", "-1", "x", "1 ", "99999999999999999999"
	};
	struct net_backend be = { .max_queues = 2 };
	struct netfront_info info;
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(nodes) * ARRAY_SIZE(values); i++) {
		UNIT_REQUIRE(rig_put(&rig, rig.back, nodes[i % 4],
				     values[i / 4]) == 0);
		UNIT_CHECK(netfront_poll(nf) >= 0 && echo(nf, i & 1) == 1);
	}
	netfront_info(nf, &info);
	UNIT_CHECK(info.link_up && info.mtu == 1500 && info.sg);
	net_rig_end(&rig, &be, nf);
}

UNIT_MAIN("net_backend_acts",
	  UNIT_TEST(xsa_155_376_lies_end_the_connection_and_not_the_frontend),
	  UNIT_TEST(a_lie_to_another_owner_ends_the_connection_as_well),
	  UNIT_TEST(xsa_403_pages_show_frames_only_and_cannot_be_written),
	  UNIT_TEST(xsa_391_a_storm_of_events_does_not_stop_frames),
	  UNIT_TEST(nonsense_in_the_store_changes_nothing))
