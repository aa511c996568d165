/* SPDX-License-Identifier: MIT */
/*
 * vbd_queues.h - all queues of one disk as one thing: made, kept, started,
 * stopped, taken over and closed together. What is true of a disk (it is
 * fenced, it has stopped) is true of every one of its queues.
 *
 * With the monitor, queue I of device V of domain N keeps its record as
 * vbd/N/V/qI and its fence as vbd/N/V/qI/fence. Records are kept and dropped in
 * the order of the queues: without the first one nobody looks for the others.
 *
 * Thread: the control thread. Logs: never.
 */
#ifndef BLKBACK_VBD_QUEUES_H
#define BLKBACK_VBD_QUEUES_H

#include "blkback/queue.h"
#include "blkback/vbd.h"

struct vbd_queue;

struct vbd_queues {
	struct blkback *bb;
	domid_t domid;
	uint32_t handle;
	uint32_t nr; /* 0: there are none */
	struct vbd_queue *q;
	uint32_t nr_fenced; /* fences that have not hung up yet */
	void (*fences_passed)(void *arg);
	void *arg;
};

/* fences_passed: the last fence of vbd_queues_fence has hung up. */
void vbd_queues_init(struct vbd_queues *qs, struct blkback *bb, domid_t domid,
		     uint32_t handle, void (*fences_passed)(void *arg),
		     void *arg);

/*
 * As params[0..nr_queues-1] say: records, then the queues themselves. What
 * failed half-way is vbd_queues_close's. *ret_queue: which one failed.
 * Errors: inflight_create's, blkback_queue_open's.
 */
int vbd_queues_open(struct vbd_queues *qs, const struct inflight_params *params,
		    struct storage *storage, uint32_t *ret_queue) PV_MUST_CHECK;
/* Give the records into keeping. */
int vbd_queues_keep(struct vbd_queues *qs) PV_MUST_CHECK;
/*
 * Keep the fences, then run, each queue on the next worker. After an error
 * some may run: stop them.
 */
int vbd_queues_start(struct vbd_queues *qs) PV_MUST_CHECK;
/*
 * 0: nothing is in flight, no queue is with its worker. -EINPROGRESS: ask again
 * after an event. May be called at any time.
 */
int vbd_queues_stop(struct vbd_queues *qs) PV_MUST_CHECK;
/* The device ends while some are being stopped: blkback_queue_give_up. */
void vbd_queues_give_up(struct vbd_queues *qs);
/* keep: leave event channels bound for a successor. Idempotent. */
void vbd_queues_close(struct vbd_queues *qs, bool keep);
/* Drop what the monitor keeps of this device, whoever gave it. */
void vbd_queues_drop_kept(struct vbd_queues *qs);

/* ---- a predecessor's ---- */

/* The first queue's record, or -ENOENT. */
int vbd_queues_find(struct vbd_queues *qs) PV_MUST_CHECK;
/* Attach to all records; takes fd (vbd_queues_find's) over. */
int vbd_queues_attach(struct vbd_queues *qs, int fd) PV_MUST_CHECK;
/* Go on with their rings. */
int vbd_queues_resume(struct vbd_queues *qs,
		      struct storage *storage) PV_MUST_CHECK;
/*
 * Wait for the fences: as many as nr_fenced says. Also when attaching failed:
 * then for all that there are.
 */
int vbd_queues_fence(struct vbd_queues *qs) PV_MUST_CHECK;

/* ---- what they are doing ---- */

int vbd_queues_fault(const struct vbd_queues *qs); /* the first one's, or 0 */
/* What was agreed, of a disk that has queues: INFLIGHT_*. */
uint32_t vbd_queues_features(const struct vbd_queues *qs);
uint32_t vbd_queues_nr_recovered(const struct vbd_queues *qs);
/* blkback_queue_cached and _expire, of all. */
bool vbd_queues_cached(const struct vbd_queues *qs);
void vbd_queues_expire(struct vbd_queues *qs);

/* blkback_queue_set_limiters, of all. */
void vbd_queues_set_limiters(struct vbd_queues *qs,
			     const struct limiter_pair *limiters);
/* Add queue i's figures to to. */
void vbd_queues_account(const struct vbd_queues *qs, uint32_t i,
			struct account *to);

#endif /* BLKBACK_VBD_QUEUES_H */
