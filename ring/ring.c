/* SPDX-License-Identifier: MIT */
/*
 * ring.c - the halves of the request ring: see ring.h for the contract.
 *
 * Neighbours: abi/ring.h has the header's layout. Called by every frontend and
 * backend on the thread that owns the queue.
 *
 * The two sleep/notify handshakes are the same pattern, once per direction:
 *
 *	producer			consumer
 *	store prod	(seq_cst)	store event = cons + 1	(seq_cst)
 *	load event	(seq_cst)	load prod		(seq_cst)
 *	notify if event was passed	sleep if nothing new
 *
 * In the one order of all seq_cst operations either the producer's load sees
 * the event index, or the consumer's load sees the producer index: a wake-up
 * cannot be lost. tests/model/ring.pml checks this exhaustively.
 */
#include "ring/ring.h"

#include <assert.h>
#include <errno.h>

/*
 * Did the producer's step from old to new pass the consumer's event index?
 * The index is the peer's and may be anything: at worst a wake-up too many, or
 * too few for a peer that asked for none.
 */
static bool ring_event_passed(uint32_t event, uint32_t old, uint32_t new)
{
	return new - event < new - old;
}

uint32_t ring_nr_slots(size_t size_bytes, size_t slot_bytes)
{
	size_t fit;
	uint32_t nr = 1;

	if (slot_bytes == 0 || size_bytes < sizeof(struct ring_header))
		return 0;
	fit = (size_bytes - sizeof(struct ring_header)) / slot_bytes;
	if (fit == 0)
		return 0;
	while (nr < RING_NR_SLOTS_MAX && (size_t)nr * 2 <= fit)
		nr *= 2;
	return nr;
}

/* ---- frontend half ----------------------------------------------------- */

void ring_front_init(struct ring_front *r, void PV_SHARED *shared,
		     size_t size_bytes, size_t slot_bytes)
{
	struct ring_header *h;

	*r = (struct ring_front){
		.shared = (struct ring_header PV_SHARED *)shared,
		.nr_slots = ring_nr_slots(size_bytes, slot_bytes),
		.slot_bytes = (uint32_t)slot_bytes,
	};
	assert(r->nr_slots > 0);
	/* The peer learns of the page later, through the store: no order. */
	h = ring_header(r->shared);
	__atomic_store_n(&h->req_prod, RING_INITIAL_PROD, __ATOMIC_RELAXED);
	__atomic_store_n(&h->rsp_prod, RING_INITIAL_PROD, __ATOMIC_RELAXED);
	__atomic_store_n(&h->req_event, RING_INITIAL_EVENT, __ATOMIC_RELAXED);
	__atomic_store_n(&h->rsp_event, RING_INITIAL_EVENT, __ATOMIC_RELAXED);
}

bool ring_front_push(struct ring_front *r)
{
	struct ring_header *h = ring_header(r->shared);
	uint32_t old = r->req_pushed;
	uint32_t event;

	if (r->req_prod == old || r->broken)
		return false;
	r->req_pushed = r->req_prod;
	/* Both pair with ring_back_arm(); the store with ring_back_pending().
	 */
	__atomic_store_n(&h->req_prod, r->req_prod, __ATOMIC_SEQ_CST);
	event = __atomic_load_n(&h->req_event, __ATOMIC_SEQ_CST);
	return ring_event_passed(event, old, r->req_prod);
}

/* Take over the peer's index, or find it impossible. */
static int ring_front_check(struct ring_front *r, uint32_t untrusted_prod)
{
	if (untrusted_prod - r->rsp_cons > r->req_pushed - r->rsp_cons) {
		r->broken = true;
		return -EPROTO;
	}
	r->rsp_prod = untrusted_prod;
	return (int)(r->rsp_prod - r->rsp_cons);
}

int ring_front_pending(struct ring_front *r)
{
	struct ring_header *h = ring_header(r->shared);

	if (r->broken)
		return -EPROTO;
	if (r->rsp_prod != r->rsp_cons)
		return (int)(r->rsp_prod - r->rsp_cons);
	/* Pairs with the store in ring_back_push(). */
	return ring_front_check(
		r, __atomic_load_n(&h->rsp_prod, __ATOMIC_ACQUIRE));
}

/* Ask for an event on the nr'th response from now. */
static int ring_front_arm_at(struct ring_front *r, uint32_t nr_more)
{
	struct ring_header *h = ring_header(r->shared);
	int nr = ring_front_pending(r);

	if (nr)
		return nr;
	/* Both pair with ring_back_push(). */
	__atomic_store_n(&h->rsp_event, r->rsp_cons + nr_more,
			 __ATOMIC_SEQ_CST);
	return ring_front_check(
		r, __atomic_load_n(&h->rsp_prod, __ATOMIC_SEQ_CST));
}

int ring_front_arm(struct ring_front *r)
{
	return ring_front_arm_at(r, 1);
}

int ring_front_arm_quarter(struct ring_front *r)
{
	return ring_front_arm_at(r, (r->req_pushed - r->rsp_cons) / 4 + 1);
}

/* ---- backend half ------------------------------------------------------ */

void ring_back_init(struct ring_back *r, void PV_SHARED *shared,
		    size_t size_bytes, size_t slot_bytes)
{
	*r = (struct ring_back){
		.shared = (struct ring_header PV_SHARED *)shared,
		.nr_slots = ring_nr_slots(size_bytes, slot_bytes),
		.slot_bytes = (uint32_t)slot_bytes,
	};
	assert(r->nr_slots > 0);
}

int ring_back_attach(struct ring_back *r, void PV_SHARED *shared,
		     size_t size_bytes, size_t slot_bytes, uint32_t req_cons,
		     uint32_t rsp_prod)
{
	uint32_t nr_slots = ring_nr_slots(size_bytes, slot_bytes);

	if (nr_slots == 0 || req_cons - rsp_prod > nr_slots)
		return -EPROTO;
	*r = (struct ring_back){
		.shared = (struct ring_header PV_SHARED *)shared,
		.nr_slots = nr_slots,
		.slot_bytes = (uint32_t)slot_bytes,
		.req_cons = req_cons,
		.req_prod = req_cons,
		.rsp_prod = rsp_prod,
		/* The most that the predecessor can have left unshown. */
		.rsp_pushed = rsp_prod - nr_slots,
	};
	return 0;
}

/* Take over the peer's index, or find it impossible. */
static int ring_back_check(struct ring_back *r, uint32_t untrusted_prod)
{
	uint32_t nr = untrusted_prod - r->req_cons;

	if (nr > r->nr_slots - (r->req_cons - r->rsp_prod)) {
		r->broken = true;
		return -EPROTO;
	}
	r->req_prod = untrusted_prod;
	return (int)nr;
}

int ring_back_pending(struct ring_back *r)
{
	struct ring_header *h = ring_header(r->shared);

	if (r->broken)
		return -EPROTO;
	if (r->req_prod != r->req_cons)
		return (int)(r->req_prod - r->req_cons);
	/* Pairs with the store in ring_front_push(). */
	return ring_back_check(r,
			       __atomic_load_n(&h->req_prod, __ATOMIC_ACQUIRE));
}

bool ring_back_push(struct ring_back *r)
{
	struct ring_header *h = ring_header(r->shared);
	uint32_t old = r->rsp_pushed;
	uint32_t event;

	if (r->rsp_prod == old || r->broken)
		return false;
	r->rsp_pushed = r->rsp_prod;
	/* Both pair with ring_front_arm(); the store with _pending() too. */
	__atomic_store_n(&h->rsp_prod, r->rsp_prod, __ATOMIC_SEQ_CST);
	event = __atomic_load_n(&h->rsp_event, __ATOMIC_SEQ_CST);
	return ring_event_passed(event, old, r->rsp_prod);
}

int ring_back_arm(struct ring_back *r)
{
	struct ring_header *h = ring_header(r->shared);
	int nr = ring_back_pending(r);

	if (nr)
		return nr;
	/* Both pair with ring_front_push(). */
	__atomic_store_n(&h->req_event, r->req_cons + 1, __ATOMIC_SEQ_CST);
	return ring_back_check(r,
			       __atomic_load_n(&h->req_prod, __ATOMIC_SEQ_CST));
}
