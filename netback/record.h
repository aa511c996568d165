/* SPDX-License-Identifier: MIT */
/*
 * record.h - what a successor must know to go on with a queue's rings.
 *
 * One memfd per queue of a connected vif, written by the worker, kept by the
 * monitor. Requests are answered in ring order, so the rings themselves hold
 * what is not consumed yet; the record adds our private indices and, since an
 * answer overwrites its request, the answers that are being put. For one ring:
 *
 *	answers[] written -> committed -> put into the ring -> rsp_prod ->
 *	shown to the frontend
 *
 * Whatever the instant of death, a slot below rsp_prod is final, one between
 * rsp_prod and committed is put again with the same answer before anybody saw
 * it, and one from committed on still holds its request. So frames may be lost
 * or sent twice, but no slot is answered twice.
 *
 * Thread: written by the data thread; made and read on the control thread
 * while no data thread uses it.
 */
#ifndef NETBACK_RECORD_H
#define NETBACK_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "abi/grant.h"
#include "abi/netif.h"
#include "netback/mcast.h"
#include "netback/rss.h"
#include "ring/ring.h"
#include "util/annotate.h"

/* Queues of one vif that we take. */
#define RECORD_QUEUES_MAX 8u
#define RECORD_SLOTS	  256u
#define RECORD_SLOT_BYTES 12u
#define RECORD_PAGES_MAX  512u /* of one queue, to stay mapped */

/* answers is the ring once more: slots of the same size at the same places, so
 * that a batch of answers is put by one copy. */
struct record_ring {
	uint32_t committed, rsp_prod;
	uint8_t answers[RECORD_SLOTS * RECORD_SLOT_BYTES];
};

/* What the frontend and we agreed on when it connected. */
struct queue_params {
	/* whose it is: */
	domid_t domid;
	uint16_t queue;
	uint32_t handle;
	/* of all queues of the vif: */
	uint32_t nr_queues;
	uint32_t features; /* QUEUE_* of queue.h */
	bool has_ctrl;	   /* a control ring: */
	grant_ref_t ctrl_ref;
	evtchn_port_t ctrl_port;
	/* of this queue: */
	grant_ref_t tx_ref, rx_ref;
	evtchn_port_t tx_port, rx_port; /* equal: one channel for both */
};

/* Pages that the frontend asked to stay mapped. */
struct record_pages {
	uint32_t nr;
	grant_ref_t refs[RECORD_PAGES_MAX];
};

/*
 * A change of a queue's pages that a request of the control ring asked for and
 * that is under way: what a successor needs to give the answer that was due.
 */
struct record_change {
	uint32_t pending;   /* written last: the rest is complete */
	uint32_t request;   /* its index in the ring */
	uint32_t nr;	    /* entries of list */
	uint32_t nr_before; /* pages before an addition */
	/* What is taken away, each with its status. */
	struct xen_netif_gref list[RECORD_PAGES_MAX];
};

/*
 * What the frontend asked for since. A death in the middle of a change leaves
 * it to be made again: the request that asked for it has no answer yet.
 */
struct vif_record {
	struct record_ring ctrl;
	struct record_change change;
	struct rss rss;
	struct mcast mcast;
};

struct queue_record {
	uint32_t magic; /* written last: the rest is complete */
	struct queue_params params;
	struct record_ring tx, rx;
	struct record_pages pages;
	struct vif_record vif; /* of the first queue's record: the vif's */
};

/* A new record. Returns its descriptor, mapped as *ret. */
int record_create(const struct queue_params *params,
		  struct queue_record **ret) PV_MUST_CHECK;
/*
 * Map a predecessor's; -EPROTO when it is not one of this device's queue.
 * Does not take fd over.
 */
int record_attach(int fd, domid_t domid, uint32_t handle, uint32_t queue,
		  struct queue_record **ret) PV_MUST_CHECK;
void record_unmap(struct queue_record *record); /* NULL is fine */

/* ---- a ring with its record -------------------------------------------- */

struct half {
	struct ring_back ring;
	struct record_ring *rec;
	uint32_t nr_staged; /* answers written, not committed */
};

/* resume: go on where the record ends; its answers are put and shown. */
int half_init(struct half *h, struct record_ring *rec, void PV_SHARED *page,
	      uint32_t slot_bytes, bool resume) PV_MUST_CHECK;
/* Requests consumed that have no answer yet. */
static inline uint32_t half_unanswered(const struct half *h)
{
	return h->ring.req_cons - h->ring.rsp_prod - h->nr_staged;
}
/* Answer idx's place in the record. */
static inline uint8_t *half_answer(const struct half *h, uint32_t idx)
{
	return h->rec->answers +
	       (idx & (h->ring.nr_slots - 1)) * h->ring.slot_bytes;
}
/*
 * Write the answer to the oldest request that has none; size_bytes is the same
 * for all answers of a ring, what is left of their slots stays zero.
 */
static inline void half_stage(struct half *h, const void *answer,
			      size_t size_bytes)
{
	assert(half_unanswered(h) > 0 && size_bytes <= h->ring.slot_bytes);
	memcpy(half_answer(h, h->ring.rsp_prod + h->nr_staged), answer,
	       size_bytes);
	h->nr_staged++;
}
/* Put and show all that is staged. True: notify the frontend. */
bool half_commit(struct half *h) PV_MUST_CHECK;

#endif /* NETBACK_RECORD_H */
