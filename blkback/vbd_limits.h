/* SPDX-License-Identifier: MIT */
/*
 * vbd_limits.h - the limits of disks, as the toolstack writes them, read
 * strictly and obeyed at once.
 *
 *	DIR/limit-rates		the disk's own, as limiter_parse() reads them
 *	DIR/limit-group		the name of its group
 *	/local/domain/B/limit-group/NAME	the rates that all disks of
 *				driver domain B with this group share
 *
 * What is not there is no limit. What cannot be understood is refused with one
 * line in the log, and what was valid before stays.
 *
 * Thread: the control thread. Logs: with the device's name.
 */
#ifndef BLKBACK_VBD_LIMITS_H
#define BLKBACK_VBD_LIMITS_H

#include "util/limiter.h"
#include "util/list.h"
#include "xenstore-lite/xs.h"

#define LIMIT_GROUP_NAME_MAX 32

struct blkback;
struct vbd;
struct limit_group;

/* What the disks of a worker process share. A zeroed one is not open. */
struct limit_groups {
	struct list list;
	struct xs_watch *watch;
	char dir[48];
};

struct vbd_limits {
	struct limiter limiter;
	struct limit_group *group; /* NULL: none */
	/* As last read, valid or not: looked at again when they change. */
	char rates_seen[LIMITER_TEXT_MAX];
	char group_seen[LIMIT_GROUP_NAME_MAX];
};

/* Watch the groups. */
int limit_groups_open(struct blkback *bb) PV_MUST_CHECK;
void limit_groups_close(struct blkback *bb); /* no disk is left */

void vbd_limits_init(struct vbd *v);
void vbd_limits_fini(struct vbd *v); /* its queues are closed */
/* The queues are new, or something in the directory changed. */
void vbd_limits_start(struct vbd *v);
void vbd_limits_changed(struct vbd *v);

#endif /* BLKBACK_VBD_LIMITS_H */
