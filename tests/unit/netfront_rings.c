/* SPDX-License-Identifier: MIT */
/*
 * netfront_rings.c - netfront's two rings as pure memory: bursts, and frames
 * that a program has in its hands while the backend goes and another comes.
 * What a lying backend may do to them is in tests/hostile/net_backend_lies.c.
 */
#include <stdlib.h>
#include <string.h>

#include "netfront/rx.h"
#include "netfront/tx.h"
#include "tests/unit/unit.h"
#include "util/num.h"

#define FIRST_REF 500u
#define BURST	  NETFRONT_BURST_MAX

static const struct netfront_info takes_all = {
	.sg = true,
	.gso_tcpv4 = true,
	.gso_tcpv6 = true,
	.csum_v6 = true,
};

static struct tx_ring tx;
static struct rx_ring rx;
static struct ring_back back;
static uint8_t ring_page[PV_PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t pages[TX_PAGES * PV_PAGE_SIZE] __attribute__((aligned(4096)));
static struct netfront_stats stats;
static struct netfront_frame frames[BURST];

/* ---- transmit -------------------------------------------------------------
 */

static void tx_connect(const struct netfront_info *info)
{
	memset(ring_page, 0, sizeof(ring_page));
	tx_ring_attach(&tx, (void PV_SHARED *)ring_page, info);
	ring_back_init(&back, (void PV_SHARED *)ring_page, PV_PAGE_SIZE,
		       sizeof(struct netif_tx_request));
}

static void tx_setup(void)
{
	memset(&stats, 0, sizeof(stats));
	tx_ring_init(&tx, pages, FIRST_REF);
	tx_connect(&takes_all);
}

/* Every page is in one place. */
static bool tx_is_whole(void)
{
	return tx.nr_free + tx.nr_out + tx.nr_prepared == TX_PAGES;
}

/* The backend takes and answers everything. Returns the slots. */
static unsigned tx_serve(void)
{
	bool extra = false;
	unsigned n = 0;

	(void)!ring_front_push(&tx.ring);
	for (; ring_back_pending(&back) > 0; n++) {
		struct netif_tx_response rsp = { .status = NETIF_RSP_NULL };
		struct netif_tx_request req;

		ring_back_get(&back, &req, sizeof(req));
		if (!extra) {
			rsp.id = req.id;
			rsp.status = NETIF_RSP_OKAY;
		}
		extra = !extra && req.flags & NETTXF_extra_info;
		ring_back_put(&back, &rsp, sizeof(rsp));
	}
	(void)!ring_back_push(&back);
	return n;
}

/* Where the request's bytes are, all in its page. */
static const uint8_t *req_bytes(const struct netif_tx_request *req)
{
	UNIT_CHECK(req->offset + req->size <= PV_PAGE_SIZE);
	return pages + req->id * PV_PAGE_SIZE + req->offset;
}

static void prepares_and_sends_a_burst(void)
{
	struct netif_tx_request req;

	tx_setup();
	UNIT_REQUIRE(tx_prepare(&tx, frames, BURST, 1514) == BURST);
	for (unsigned i = 0; i < BURST; i++) {
		UNIT_REQUIRE(frames[i].nr == 1 && frames[i].size_bytes == 1514);
		UNIT_CHECK(!frames[i].flags && !frames[i].gso);
		memset(frames[i].iov[0].iov_base, (int)i, 60 + i);
		frames[i].size_bytes = 60 + i;
	}
	UNIT_CHECK(tx_send(&tx, frames, BURST, &stats) == BURST);
	(void)!ring_front_push(&tx.ring);
	UNIT_REQUIRE(ring_back_pending(&back) == (int)BURST);
	for (unsigned i = 0; i < BURST; i++) {
		ring_back_get(&back, &req, sizeof(req));
		UNIT_CHECK(req.size == 60 + i &&
			   req.gref == FIRST_REF + req.id);
		UNIT_CHECK(req_bytes(&req)[59 + i] == i);
	}
	UNIT_CHECK(stats.tx_packets == BURST && tx_is_whole());
}

/* Neighbours do not share a place in their pages; nobody leaves its page. */
static void small_frames_begin_at_different_lines(void)
{
	uint16_t offsets[BURST];
	unsigned nr_same = 0;

	tx_setup();
	UNIT_REQUIRE(tx_prepare(&tx, frames, BURST, 2048) == BURST);
	for (unsigned i = 0; i < BURST; i++) {
		struct iovec room = frames[i].iov[0];

		offsets[i] = (uintptr_t)room.iov_base % PV_PAGE_SIZE;
		UNIT_CHECK(offsets[i] + room.iov_len <= PV_PAGE_SIZE);
		nr_same += i && offsets[i] == offsets[i - 1];
	}
	UNIT_CHECK(nr_same == 0);
	/* More than there was room for is not sent. */
	frames[0].size_bytes = 2049;
	UNIT_CHECK(tx_send(&tx, frames, BURST, &stats) == BURST - 1);
	UNIT_CHECK(stats.tx_dropped == 1);
	tx_setup();
	UNIT_REQUIRE(tx_prepare(&tx, frames, 2, 2049) == 2);
	UNIT_CHECK(!((uintptr_t)frames[0].iov[0].iov_base % PV_PAGE_SIZE));
	UNIT_CHECK(!((uintptr_t)frames[1].iov[0].iov_base % PV_PAGE_SIZE));
	tx_abort(&tx);
}

static void gives_back_what_is_not_sent(void)
{
	tx_setup();
	UNIT_REQUIRE(tx_prepare(&tx, frames, 10, 20000) == 10);
	UNIT_REQUIRE(frames[0].nr == 5);
	frames[0].size_bytes = 4097; /* two of five pages */
	frames[1].size_bytes = 0;    /* left out */
	frames[2].size_bytes = 1;
	UNIT_CHECK(tx_send(&tx, frames, 3, &stats) == 2);
	UNIT_CHECK(tx.nr_out == 3 && !tx.nr_prepared && tx_is_whole());
	UNIT_CHECK(stats.tx_dropped == 0 && tx_serve() == 3);
	UNIT_CHECK(!tx_reap(&tx, &stats) && tx.nr_free == TX_PAGES);
	UNIT_REQUIRE(tx_prepare(&tx, frames, 10, 20000) == 10);
	UNIT_CHECK(tx_send(&tx, frames, 0, &stats) == 0);
	UNIT_CHECK(tx.nr_free == TX_PAGES);
}

static void drops_and_counts_what_the_backend_cannot_take(void)
{
	static const struct netfront_info takes_little = { .csum_v6 = true };
	static const struct {
		uint32_t size_bytes;
		uint8_t gso;
		uint16_t gso_size;
		bool all, little; /* is it taken? */
	} t[] = {
		{ 65535, 0, 0, true, false },
		{ 65536, 0, 0, false, false },
		{ 4096, 0, 0, true, true },
		{ 4097, 0, 0, true, false },
		{ 3000, NETFRONT_GSO_TCPV4, 1448, true, false },
		{ 3000, NETFRONT_GSO_TCPV6, 1448, true, false },
		{ 3000, NETFRONT_GSO_TCPV4, 0, false, false },
		{ 3000, 3, 1448, false, false },
	};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(t); i++) {
		unsigned j = i / 2;
		bool taken = i & 1 ? t[j].little : t[j].all;

		memset(&stats, 0, sizeof(stats));
		tx_ring_init(&tx, pages, FIRST_REF);
		tx_connect(i & 1 ? &takes_little : &takes_all);
		UNIT_REQUIRE(tx_prepare(&tx, frames, 1, NETFRONT_FRAME_MAX));
		frames[0].size_bytes = t[j].size_bytes;
		frames[0].gso = t[j].gso;
		frames[0].gso_size = t[j].gso_size;
		UNIT_CHECK(tx_send(&tx, frames, 1, &stats) == taken);
		UNIT_CHECK(stats.tx_dropped == !taken && tx_is_whole());
	}
}

/* However small and large frames alternate, no slot and no page is lost. */
static void sends_for_ever_without_losing_a_page(void)
{
	unsigned seed = 1, nr_full = 0;

	tx_setup();
	for (unsigned round = 0; round < 100000; round++) {
		size_t room = 1 + (size_t)rand_r(&seed) % NETFRONT_FRAME_MAX;
		unsigned nr = (unsigned)rand_r(&seed) % (BURST + 1), n;

		if (rand_r(&seed) & 1)
			room = room % 1514 + 1;
		n = tx_prepare(&tx, frames, nr, room);
		nr_full += n < nr;
		for (unsigned i = 0; i < n; i++) {
			frames[i].size_bytes =
				(uint32_t)((size_t)rand_r(&seed) % (room + 1));
			frames[i].gso = (uint8_t)(rand_r(&seed) & 1);
			frames[i].gso_size = 1400;
		}
		(void)tx_send(&tx, frames, n, &stats);
		UNIT_REQUIRE(tx_is_whole());
		if (rand_r(&seed) % 4)
			continue;
		(void)tx_serve();
		UNIT_REQUIRE(!tx_reap(&tx, &stats));
		UNIT_REQUIRE(tx.nr_free == TX_PAGES && !tx.nr_extras_out);
		UNIT_REQUIRE(ring_front_free(&tx.ring) == TX_PAGES);
	}
	UNIT_CHECK(nr_full > 1000 && stats.tx_packets > 100000);
}

static void prepared_frames_outlive_the_backend(void)
{
	tx_setup();
	UNIT_REQUIRE(tx_prepare(&tx, frames, 20, 60) == 20);
	UNIT_REQUIRE(tx_send(&tx, frames, 20, &stats) == 20);
	UNIT_REQUIRE(tx_prepare(&tx, frames, 3, 60) == 3);
	memcpy(frames[2].iov[0].iov_base, "third", 5);
	UNIT_CHECK(tx_ring_detach(&tx) == 20);
	tx_connect(&takes_all);
	UNIT_CHECK(tx_is_whole() && tx.nr_out == 0);
	UNIT_CHECK(tx_send(&tx, frames, 3, &stats) == 3);
	(void)!ring_front_push(&tx.ring);
	for (unsigned i = 0; i < 3; i++) {
		struct netif_tx_request req;

		UNIT_REQUIRE(ring_back_pending(&back) > 0);
		ring_back_get(&back, &req, sizeof(req));
		if (i == 2)
			UNIT_CHECK(!memcmp(req_bytes(&req), "third", 5));
	}
}

/* ---- receive --------------------------------------------------------------
 */

static void rx_connect(void)
{
	memset(ring_page, 0, sizeof(ring_page));
	rx_ring_attach(&rx, (void PV_SHARED *)ring_page);
	(void)!ring_front_push(&rx.ring);
	ring_back_init(&back, (void PV_SHARED *)ring_page, PV_PAGE_SIZE,
		       sizeof(struct netif_rx_response));
}

static void rx_setup(void)
{
	memset(&stats, 0, sizeof(stats));
	rx_ring_init(&rx, pages, FIRST_REF);
	rx_connect();
}

/* Frame number `first` and so on, nr_slots each; the last byte says which. */
static unsigned rx_fill(unsigned first, unsigned nr, unsigned nr_slots)
{
	unsigned n;

	for (n = 0; n < nr; n++) {
		if (ring_back_pending(&back) < (int)nr_slots)
			break;
		for (unsigned i = 0; i < nr_slots; i++) {
			struct netif_rx_response rsp = { .status = 100 };
			struct netif_rx_request req;

			ring_back_get(&back, &req, sizeof(req));
			memset(pages + req.id * PV_PAGE_SIZE, (int)(first + n),
			       100);
			rsp.id = req.id;
			if (i + 1 < nr_slots)
				rsp.flags = NETRXF_more_data;
			ring_back_put(&back, &rsp, sizeof(rsp));
		}
	}
	(void)!ring_back_push(&back);
	return n;
}

static bool rx_is(const struct netfront_frame *frame, unsigned number)
{
	for (uint32_t i = 0; i < frame->nr; i++)
		if (((uint8_t *)frame->iov[i].iov_base)[99] != (uint8_t)number)
			return false;
	return true;
}

static void takes_bursts_and_gives_all_back_at_once(void)
{
	rx_setup();
	UNIT_REQUIRE(rx_fill(1, 100, 2) == 100);
	for (unsigned got = 0; got < 100;) {
		int n = rx_take(&rx, frames, 40, &stats);

		UNIT_REQUIRE(n == 40 || n == 20);
		for (int i = 0; i < n; i++)
			UNIT_CHECK(frames[i].nr == 2 &&
				   frames[i].size_bytes == 200 &&
				   rx_is(&frames[i], ++got));
	}
	UNIT_CHECK(rx_take(&rx, frames, 40, &stats) == 0);
	UNIT_CHECK(rx.nr_held == 200 && stats.rx_packets == 100);
	rx_done(&rx, true);
	UNIT_CHECK(ring_front_free(&rx.ring) == 0);
}

static void frames_in_hand_outlive_the_backend(void)
{
	rx_setup();
	UNIT_REQUIRE(rx_fill(7, 5, 1) == 5);
	UNIT_REQUIRE(rx_take(&rx, frames, 3, &stats) == 3);
	rx_connect();
	/* The new backend has every buffer but those three, and fills them. */
	UNIT_CHECK(rx_fill(100, 1000, 1) == RX_PAGES - 3);
	for (unsigned i = 0; i < 3; i++)
		UNIT_CHECK(rx_is(&frames[i], 7 + i));
	rx_done(&rx, true);
	(void)!ring_front_push(&rx.ring);
	UNIT_CHECK(rx_fill(100, 1000, 1) == 3);
	for (unsigned n = 0; n < RX_PAGES;) {
		int got = rx_take(&rx, frames, BURST, &stats);

		UNIT_REQUIRE(got > 0);
		n += (unsigned)got;
		UNIT_CHECK(n <= RX_PAGES);
	}
}

static void buffers_given_back_without_a_ring_are_put_into_the_next(void)
{
	rx_setup();
	UNIT_REQUIRE(rx_fill(1, 9, 1) == 9);
	UNIT_REQUIRE(rx_take(&rx, frames, 9, &stats) == 9);
	rx_done(&rx, false);
	rx_connect();
	UNIT_CHECK(rx_fill(1, 1000, 1) == RX_PAGES);
}

static void frames_before_a_lie_are_taken_and_none_after_it(void)
{
	struct netif_rx_request req;

	rx_setup();
	UNIT_REQUIRE(rx_fill(1, 2, 1) == 2);
	UNIT_REQUIRE(ring_back_pending(&back) > 0);
	ring_back_get(&back, &req, sizeof(req));
	ring_back_put(&back,
		      &(struct netif_rx_response){ .id = 99, .status = 60 },
		      sizeof(struct netif_rx_response));
	(void)!ring_back_push(&back);
	UNIT_REQUIRE(rx_take(&rx, frames, 10, &stats) == 2);
	UNIT_CHECK(rx_is(&frames[1], 2));
	UNIT_CHECK(rx_take(&rx, frames, 10, &stats) < 0);
	UNIT_CHECK(rx_take(&rx, frames, 10, &stats) < 0);
	rx_done(&rx, false);
	rx_connect();
	UNIT_CHECK(rx_fill(1, 1000, 1) == RX_PAGES);
	UNIT_CHECK(rx_take(&rx, frames, 10, &stats) == 10);
}

UNIT_MAIN("netfront_rings", UNIT_TEST(prepares_and_sends_a_burst),
	  UNIT_TEST(small_frames_begin_at_different_lines),
	  UNIT_TEST(gives_back_what_is_not_sent),
	  UNIT_TEST(drops_and_counts_what_the_backend_cannot_take),
	  UNIT_TEST(sends_for_ever_without_losing_a_page),
	  UNIT_TEST(prepared_frames_outlive_the_backend),
	  UNIT_TEST(takes_bursts_and_gives_all_back_at_once),
	  UNIT_TEST(frames_in_hand_outlive_the_backend),
	  UNIT_TEST(buffers_given_back_without_a_ring_are_put_into_the_next),
	  UNIT_TEST(frames_before_a_lie_are_taken_and_none_after_it))
