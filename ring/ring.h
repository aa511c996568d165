/* SPDX-License-Identifier: MIT */
/*
 * ring.h - the front and back halves of Xen's shared-memory request ring.
 *
 * A ring is a header of 64 bytes (req_prod, req_event, rsp_prod, rsp_event)
 * followed by a power-of-two number of slots in which responses overwrite the
 * requests they answer. The frontend produces requests and consumes responses,
 * the backend the other way round. Indices run freely over 2^32.
 *
 * Everything in the page is the peer's to change at any instant. So: entries
 * are copied out once and never read in place; our own indices are private and
 * published, never read back; a peer's index is checked against our private
 * ones, and an impossible one breaks the ring for good (-EPROTO from then on).
 *
 * Memory order is written here once: load of a peer's index = acquire, store of
 * ours = release, and the producer's store followed by its look at the peer's
 * event index (and the mirror image on the sleeping side) = seq_cst.
 *
 * Pure memory, no I/O, no allocation. Thread: a half belongs to one thread.
 * Logs: never. Source: xen/include/public/io/ring.h.
 */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ring.h"
#include "util/annotate.h"

/* A ring has at most so many slots, whatever its memory. */
#define RING_NR_SLOTS_MAX (1u << 30)

/* Slots that fit size_bytes of shared memory: a power of two; 0 if none. */
uint32_t ring_nr_slots(size_t size_bytes, size_t slot_bytes);

/* ---- frontend half ----------------------------------------------------- */

struct ring_front {
	struct ring_header PV_SHARED *shared;
	uint32_t nr_slots;
	uint32_t
		slot_bytes; /* max(request, response) as laid out in the ring */
	uint32_t req_prod;  /* next request slot to fill (private) */
	uint32_t req_pushed; /* what the peer has been shown */
	uint32_t rsp_cons;   /* next response to consume */
	uint32_t rsp_prod;   /* the peer's index as last seen and checked */
	bool broken;
};

/* Initialise the shared header and our half. The page must be zeroed. */
void ring_front_init(struct ring_front *r, void PV_SHARED *shared,
		     size_t size_bytes, size_t slot_bytes);
/* Slots free for new requests. */
static inline uint32_t ring_front_free(const struct ring_front *r)
{
	return r->nr_slots - (r->req_prod - r->rsp_cons);
}
/* Copy one request in (size_bytes <= slot_bytes); needs a free slot. */
static inline void ring_front_put(struct ring_front *r, const void *req,
				  size_t size_bytes);
/* Show all requests put so far. True: the peer asked to be notified. */
bool ring_front_push(struct ring_front *r) PV_MUST_CHECK;
/*
 * Responses waiting; the shared index is looked at only when none of those
 * already seen is left. -EPROTO: the peer produced more responses than there
 * are requests outstanding, or moved its index backwards.
 */
int ring_front_pending(struct ring_front *r) PV_MUST_CHECK;
/* Copy the next response out; only after ring_front_pending() > 0. */
static inline void ring_front_get(struct ring_front *r, void *rsp,
				  size_t size_bytes);
/*
 * Before sleeping: ask for an event on the next response, then look once more.
 * As ring_front_pending: > 0 means do not sleep.
 */
int ring_front_arm(struct ring_front *r) PV_MUST_CHECK;
/*
 * The same for an event when a quarter of the requests that were shown has been
 * answered: for one who waits for room, and need not hear of every response.
 */
int ring_front_arm_quarter(struct ring_front *r) PV_MUST_CHECK;

/* ---- backend half ------------------------------------------------------ */

struct ring_back {
	struct ring_header PV_SHARED *shared;
	uint32_t nr_slots;
	uint32_t slot_bytes;
	uint32_t req_cons; /* next request to consume (private) */
	uint32_t req_prod; /* the peer's index as last seen and checked */
	uint32_t rsp_prod; /* next response slot to fill (private) */
	uint32_t rsp_pushed;
	bool broken;
};

/* Attach to a ring that a frontend initialised, from the beginning. */
void ring_back_init(struct ring_back *r, void PV_SHARED *shared,
		    size_t size_bytes, size_t slot_bytes);
/*
 * Attach in the middle: a successor that knows what its predecessor consumed
 * and answered. rsp_prod counts every response that was written to its slot,
 * shown to the peer or not: the first push shows all, and may notify once too
 * often. -EPROTO when the two cannot belong to one ring.
 */
int ring_back_attach(struct ring_back *r, void PV_SHARED *shared,
		     size_t size_bytes, size_t slot_bytes, uint32_t req_cons,
		     uint32_t rsp_prod) PV_MUST_CHECK;
/*
 * Requests waiting; the shared index is looked at only when none of those
 * already seen is left. -EPROTO when the producer is impossible:
 * prod - req_cons > nr_slots - (req_cons - rsp_prod), in 32-bit arithmetic,
 * which also catches an index moved backwards.
 */
int ring_back_pending(struct ring_back *r) PV_MUST_CHECK;
/* Copy the next request out, once; only after ring_back_pending() > 0. */
static inline void ring_back_get(struct ring_back *r, void *req,
				 size_t size_bytes);
/* The next nr whole slots, in order; only after ring_back_pending() >= nr. */
static inline void ring_back_get_many(struct ring_back *r, void *reqs,
				      uint32_t nr);
/*
 * Copy a response in; there is always room, since every response answers a
 * consumed request. The whole slot's response bytes come from rsp: the caller
 * zeroes padding.
 */
static inline void ring_back_put(struct ring_back *r, const void *rsp,
				 size_t size_bytes);
/* The same for nr whole slots, in order. */
static inline void ring_back_put_many(struct ring_back *r, const void *rsps,
				      uint32_t nr);
/* Show all responses put so far. True: the peer asked to be notified. */
bool ring_back_push(struct ring_back *r) PV_MUST_CHECK;
/* Before sleeping; as ring_back_pending: > 0 means do not sleep. */
int ring_back_arm(struct ring_back *r) PV_MUST_CHECK;

#include "ring/slots.h"

#endif /* RING_RING_H */
