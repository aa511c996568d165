/* SPDX-License-Identifier: MIT */
/*
 * inflight.h - the in-flight record: what a successor of a killed worker must
 * know to go on with a queue's ring.
 *
 * A sealed memfd per queue of a connected disk. The worker writes it as it
 *consumes and answers requests; the monitor keeps it. It also holds what was
 *agreed at connection, so that a successor does not ask the frontend's store
 *directory again. docs/recovery.md says why it is right for a death at any
 *instruction.
 *
 * All indices here are 64-bit and never wrap; their low 32 bits are the ring's.
 *
 *	entry word	free, consumed(index) or answered(index)
 *	consumed	requests 0 .. consumed - 1 were taken off the ring
 *	answered	responses 0 .. answered - 1 are final
 *
 * An entry counts when its request's index is below `consumed` and it has no
 * final response. The record is read back as untrusted: the dead worker may
 * have been somebody else's by then.
 *
 * Thread: inflight_consume and inflight_answer belong to the queue's data
 * thread; the rest to the control thread while the queue does not run.
 */
#ifndef BLKBACK_INFLIGHT_H
#define BLKBACK_INFLIGHT_H

#include "abi/grant.h"
#include "blkback/parse.h"
#include "util/annotate.h"

#define INFLIGHT_RING_ORDER_MAX 4u
#define INFLIGHT_RING_PAGES_MAX (1u << INFLIGHT_RING_ORDER_MAX)
#define INFLIGHT_SLOTS_MAX	1024u

#define INFLIGHT_QUEUES_MAX 64u

#define INFLIGHT_PERSISTENT    0x1u /* both ends keep grants mapped */
#define INFLIGHT_LARGE_SECTORS 0x2u /* the frontend takes sector-size 4096 */
#define INFLIGHT_DISCARD       0x4u /* discard was offered */

/* What the two ends agreed on, for one queue. */
struct inflight_params {
	uint32_t domid; /* the frontend's */
	uint32_t handle;
	uint32_t queue;	    /* 0 .. nr_queues - 1 */
	uint32_t nr_queues; /* 1 .. INFLIGHT_QUEUES_MAX */
	uint32_t ring_order;
	grant_ref_t ring_refs[INFLIGHT_RING_PAGES_MAX];
	evtchn_port_t evtchn_port; /* the frontend's */
	uint32_t layout;	   /* enum blk_layout */
	uint32_t features;	   /* INFLIGHT_* */
};

struct inflight;

/* Slots of the ring that params describe. */
uint32_t inflight_nr_slots(const struct inflight_params *params);

/* A fresh record: nothing consumed. -EINVAL params out of bounds; -ENOMEM. */
int inflight_create(const struct inflight_params *params,
		    struct inflight **ret) PV_MUST_CHECK;
/*
 * Map a predecessor's record of this device's queue and check all of it; total.
 * Takes fd over, on success only. -EPROTO: it is not one, or contradicts
 * itself.
 */
int inflight_attach(int fd, domid_t domid, uint32_t handle, uint32_t queue,
		    struct inflight **ret) PV_MUST_CHECK;
void inflight_close(struct inflight *f); /* NULL is fine */

int inflight_fd(const struct inflight *f);
/* A private copy, taken when the record was made or attached. */
const struct inflight_params *inflight_params(const struct inflight *f);

/* Where the ring stands: low 32 bits for ring_back_attach. */
uint64_t inflight_consumed(const struct inflight *f);
uint64_t inflight_answered(const struct inflight *f);

/*
 * The request just copied off the ring is kept in slot (0..nr_slots-1, free).
 * After this returns it will be answered, by us or by a successor.
 */
void inflight_consume(struct inflight *f, uint32_t slot,
		      const struct blk_raw *raw);
/*
 * The response to slot's request has been put into the ring, not yet shown.
 * After this returns the slot is free and the response is final.
 */
void inflight_answer(struct inflight *f, uint32_t slot);

/*
 * After inflight_attach, once: the unanswered requests, oldest first. slots[]
 * and raws[] have room for inflight_nr_slots each. Makes the record as if each
 * of them had just been consumed. Returns how many.
 */
uint32_t inflight_recover(struct inflight *f, uint32_t *slots,
			  struct blk_raw *raws);

#endif /* BLKBACK_INFLIGHT_H */
