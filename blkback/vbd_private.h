/* SPDX-License-Identifier: MIT */
/*
 * vbd_private.h - between vbd.c (the handshake), vbd_disk.c (what is behind the
 * disk and what the frontend is told of it), vbd_events.c (what the data
 * threads say, and the clock) and vbd_stats.c. Control thread.
 */
#ifndef BLKBACK_VBD_PRIVATE_H
#define BLKBACK_VBD_PRIVATE_H

#include "blkback/vbd.h"
#include "blkback/vbd_queues.h"
#include "monitor/limits.h"
#include "monitor/stats.h"

enum vbd_state {
	VBD_IDLE,
	VBD_STARTING,
	VBD_FENCED,
	VBD_RUNNING,
	VBD_STOPPING,
};

struct vbd {
	struct list link;
	struct blkback *bb;
	struct xenbus_device *dev;
	enum vbd_state state;
	struct storage *medium;	 /* what was opened; NULL: not open */
	struct storage *storage; /* what the frontend sees of it */
	struct vbd_queues queues;
	struct loop_timer *timer; /* starting: at once; fenced: patience */
	int resume_err; /* why the predecessor's connection cannot go on */
	bool fault_told;
	bool discard; /* offered */
	struct device_limits limits;
	uint64_t connected_ns; /* when its queues were started */
	struct stats stats;
};

/* ---- vbd_disk.c ---- */

/* Queues of one disk that we take: as many as there are CPUs. */
uint32_t vbd_max_queues(const struct vbd *v);

/* Open what is behind the disk, once. Errors: target_attach's. */
int vbd_disk_open(struct vbd *v) PV_MUST_CHECK;
void vbd_disk_close(struct vbd *v); /* idempotent */
/* Write what we can do, before InitWait. */
int vbd_disk_announce(struct vbd *v) PV_MUST_CHECK;
/*
 * large_sectors: the frontend takes others than 512. It does not, and the disk
 * has others: they are emulated from here on.
 */
int vbd_disk_adapt(struct vbd *v, bool large_sectors) PV_MUST_CHECK;
/* Write what the disk is, before Connected. */
int vbd_disk_publish(struct vbd *v) PV_MUST_CHECK;
/*
 * Something in the directories changed: if it is `resize`, look at the size
 * again and tell the frontend.
 */
void vbd_disk_changed(struct vbd *v);
/* A server may have said another size meanwhile: the same then. */
void vbd_disk_tended(struct vbd *v);
/* A predecessor's frontend goes on: tell it what that one did not. */
void vbd_disk_resumed(struct vbd *v);

/* ---- vbd_faults.c ---- */

/* If it is `fault`: set other faults, and answer. */
void vbd_faults_changed(struct vbd *v);
/* The storage was opened: what was set before is in force again. */
void vbd_faults_opened(struct vbd *v);
/* ---- vbd_stats.c ---- */

void vbd_stats_init(struct vbd *v);
/* Something in the directory changed: does somebody ask for figures? */
void vbd_stats_changed(struct vbd *v);

/* ---- vbd.c ---- */

/* Everything of a connection, in reverse; nothing is in flight. */
void vbd_release(struct vbd *v);

#endif /* BLKBACK_VBD_PRIVATE_H */
