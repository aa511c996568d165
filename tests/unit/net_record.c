/* SPDX-License-Identifier: MIT */
/*
 * net_record.c - netback/record.c: a worker may die between any two stores, and
 * its successor answers every request once, in order, with what was decided.
 */
#include "netback/record.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/netif.h"
#include "tests/unit/unit.h"

#define NR 7u /* requests in the batch that the worker dies in */

struct world {
	uint8_t page[PV_PAGE_SIZE] __attribute__((aligned(4096)));
	struct record_ring rec;
	struct ring_front front;
};

static void request(struct world *w, uint16_t id)
{
	struct netif_tx_request req = { .gref = 77, .id = id, .size = 60 };

	ring_front_put(&w->front, &req, sizeof(req));
	(void)!ring_front_push(&w->front);
}

static int attach(struct world *w, struct half *h, bool resume)
{
	return half_init(h, &w->rec, (void PV_SHARED *)w->page,
			 sizeof(struct netif_tx_request), resume);
}

/* Answer all that is there; the status says which worker did. */
static unsigned serve(struct half *h, int16_t status)
{
	unsigned n = 0;

	while (ring_back_pending(&h->ring) > 0) {
		struct netif_tx_response rsp = { .status = status };
		struct netif_tx_request req;

		ring_back_get(&h->ring, &req, sizeof(req));
		rsp.id = req.id;
		half_stage(h, &rsp, sizeof(rsp));
		n++;
	}
	return n;
}

/* Some rounds of ordinary life, to a place near the wrap of the slots. */
static void live(struct world *w, struct half *h)
{
	memset(w, 0, sizeof(*w));
	ring_front_init(&w->front, (void PV_SHARED *)w->page, PV_PAGE_SIZE,
			sizeof(struct netif_tx_request));
	if (attach(w, h, false))
		return;
	for (unsigned i = 0; i < 2 * RECORD_SLOTS - 3; i++) {
		struct netif_tx_response rsp;

		request(w, (uint16_t)i);
		serve(h, NETIF_RSP_OKAY);
		(void)!half_commit(h);
		if (ring_front_pending(&w->front) == 1)
			ring_front_get(&w->front, &rsp, sizeof(rsp));
	}
}

/*
 * The states that a death can leave, in the order of the stores:
 * 0 consumed, 1 answers written, 2 committed, 3 .. 2 + NR some put,
 * 3 + NR rsp_prod recorded, 4 + NR shown.
 */
static void die_at(struct world *w, struct half *h, unsigned point)
{
	uint32_t old = w->rec.rsp_prod;
	struct world before;

	serve(h, NETIF_RSP_OKAY);
	before = *w;
	if (point == 0)
		memset(w->rec.answers, 0x5a, sizeof(w->rec.answers));
	(void)!half_commit(h);
	if (point <= 1) {
		w->rec.committed = before.rec.committed;
		memcpy(w->page, before.page, sizeof(w->page));
	}
	if (point <= 2 + NR)
		w->rec.rsp_prod = old;
	if (point <= 3 + NR)
		((struct ring_header *)(void *)w->page)->rsp_prod = old;
	if (point >= 2 && point < 2 + NR)
		for (uint32_t i = point - 2; i < NR; i++) {
			size_t at = sizeof(struct ring_header) +
				    ((old + i) & (RECORD_SLOTS - 1)) * 12;

			memcpy(w->page + at, before.page + at, 12);
		}
}

static void answers_once_wherever_the_worker_dies(void)
{
	for (unsigned point = 0; point <= 4 + NR; point++) {
		struct world w;
		struct half h;

		live(&w, &h);
		for (uint16_t i = 0; i < NR; i++)
			request(&w, (uint16_t)(1000 + i));
		die_at(&w, &h, point);
		memset(&h, 0, sizeof(h));
		UNIT_REQUIRE(!attach(&w, &h, true));
		/* Nothing was promised before the commit: served anew. */
		UNIT_CHECK(serve(&h, NETIF_RSP_DROPPED) ==
			   (point <= 1 ? NR : 0));
		(void)!half_commit(&h);
		UNIT_REQUIRE(ring_front_pending(&w.front) == (int)NR);
		for (uint16_t i = 0; i < NR; i++) {
			struct netif_tx_response rsp;

			ring_front_get(&w.front, &rsp, sizeof(rsp));
			UNIT_CHECK(rsp.id == 1000 + i);
			UNIT_CHECK(rsp.status == (point <= 1 ? NETIF_RSP_DROPPED
							     : NETIF_RSP_OKAY));
		}
		UNIT_CHECK(ring_front_pending(&w.front) == 0);
		/* And life goes on. */
		request(&w, 5);
		UNIT_CHECK(serve(&h, 0) == 1);
		(void)!half_commit(&h);
		UNIT_CHECK(ring_front_pending(&w.front) == 1);
	}
}

static void leaves_new_requests_alone_after_a_death(void)
{
	struct netif_tx_response rsp;
	struct world w;
	struct half h;

	live(&w, &h);
	for (uint16_t i = 0; i < NR; i++)
		request(&w, i);
	die_at(&w, &h, 4 + NR);
	/* The frontend goes on before there is a successor. */
	UNIT_REQUIRE(ring_front_pending(&w.front) == (int)NR);
	for (unsigned i = 0; i < NR; i++)
		ring_front_get(&w.front, &rsp, sizeof(rsp));
	while (ring_front_free(&w.front))
		request(&w, 4242);
	UNIT_REQUIRE(!attach(&w, &h, true));
	UNIT_CHECK(serve(&h, NETIF_RSP_ERROR) == RECORD_SLOTS);
	(void)!half_commit(&h);
	UNIT_CHECK(ring_front_pending(&w.front) == (int)RECORD_SLOTS);
	while (ring_front_pending(&w.front) > 0) {
		ring_front_get(&w.front, &rsp, sizeof(rsp));
		UNIT_REQUIRE(rsp.id == 4242 && rsp.status == NETIF_RSP_ERROR);
	}
}

static void refuses_indices_that_belong_to_no_ring(void)
{
	struct world w;
	struct half h;

	live(&w, &h);
	w.rec.committed = w.rec.rsp_prod + RECORD_SLOTS + 1;
	UNIT_CHECK(attach(&w, &h, true) == -EPROTO);
	w.rec.committed = w.rec.rsp_prod - 1;
	UNIT_CHECK(attach(&w, &h, true) == -EPROTO);
}

static void a_record_survives_its_maker(void)
{
	struct queue_params params = {
		.domid = 7,
		.handle = 1,
		.queue = 2,
		.nr_queues = 3,
		.features = 5,
		.tx_ref = 1,
		.rx_ref = 2,
		.tx_port = 3,
		.rx_port = 4,
	};
	struct queue_record *r, *again;
	int fd = record_create(&params, &r);

	UNIT_REQUIRE(fd >= 0);
	r->tx.committed = 99;
	record_unmap(r);
	UNIT_REQUIRE(!record_attach(fd, 7, 1, 2, &again));
	UNIT_CHECK(!memcmp(&again->params, &params, sizeof(params)));
	UNIT_CHECK(again->tx.committed == 99);
	/* Somebody else's, or of a connection that cannot be. */
	UNIT_CHECK(record_attach(fd, 8, 1, 2, &r) == -EPROTO);
	UNIT_CHECK(record_attach(fd, 7, 0, 2, &r) == -EPROTO);
	UNIT_CHECK(record_attach(fd, 7, 1, 1, &r) == -EPROTO);
	again->params.nr_queues = 2;
	UNIT_CHECK(record_attach(fd, 7, 1, 2, &r) == -EPROTO);
	again->params.nr_queues = RECORD_QUEUES_MAX + 1;
	UNIT_CHECK(record_attach(fd, 7, 1, 2, &r) == -EPROTO);
	again->params.nr_queues = 3;
	again->magic++;
	UNIT_CHECK(record_attach(fd, 7, 1, 2, &r) == -EPROTO);
	record_unmap(again);
	UNIT_CHECK(!ftruncate(fd, 100));
	UNIT_CHECK(record_attach(fd, 7, 1, 2, &again) == -EPROTO);
	close(fd);
}

UNIT_MAIN("net_record", UNIT_TEST(answers_once_wherever_the_worker_dies),
	  UNIT_TEST(leaves_new_requests_alone_after_a_death),
	  UNIT_TEST(refuses_indices_that_belong_to_no_ring),
	  UNIT_TEST(a_record_survives_its_maker))
