/* SPDX-License-Identifier: MIT */
/*
 * vbd_events.c - what the data threads tell the control thread: a queue has
 * stopped or faulted, or keeps pages mapped, for which the idle clock is wound;
 * see vbd.h. Control thread.
 *
 * The clock ticks only while some queue keeps pages. What is not used between
 * two ticks is unmapped: after IDLE_TICK_NS to 2 * IDLE_TICK_NS.
 */
#include "blkback/vbd_private.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "blkback/target.h"
#include "util/clock.h"

#define IDLE_TICK_NS (40 * NS_PER_S)

/* ---- the idle clock -------------------------------------------------------
 */

static void wind_clock(struct blkback *bb);

static void tick(void *arg)
{
	struct blkback *bb = arg;

	bb->ticking = false;
	list_for_each(l, &bb->vbds) {
		struct vbd *v = container_of(l, struct vbd, link);

		if (v->state == VBD_RUNNING)
			vbd_queues_expire(&v->queues);
	}
	wind_clock(bb);
}

/* Does any queue keep pages? Then the clock ticks. */
static void wind_clock(struct blkback *bb)
{
	bool cached = false;

	if (bb->ticking)
		return;
	list_for_each(l, &bb->vbds) {
		struct vbd *v = container_of(l, struct vbd, link);

		cached |= v->state == VBD_RUNNING &&
			  vbd_queues_cached(&v->queues);
	}
	/* Without memory for a timer the pages stay, as they do in use. */
	if (!cached ||
	    (!bb->idle_timer &&
	     loop_timer_add(bb->control.loop, tick, bb, &bb->idle_timer)))
		return;
	loop_timer_arm(bb->idle_timer, clock_now_ns() + IDLE_TICK_NS);
	bb->ticking = true;
}

/* ---- events ---------------------------------------------------------------
 */

static void run_event(struct vbd *v)
{
	int fault;

	if (v->medium) {
		target_tend(v->bb->control.monitor, v->dev, v->medium);
		vbd_disk_tended(v);
	}
	if (!v->queues.nr)
		return;
	if (v->state == VBD_STOPPING) {
		if (v->queues.nr_fenced || vbd_queues_stop(&v->queues))
			return;
		vbd_release(v);
		xenbus_disconnected(v->dev);
		return;
	}
	fault = vbd_queues_fault(&v->queues);
	if (!fault || v->fault_told)
		return;
	v->fault_told = true;
	if (fault == -EPIPE)
		xenbus_otherend_lost(v->dev);
	else
		xenbus_fatal(v->dev, fault,
			     "the frontend's producer index is impossible");
}

void vbd_run_events(struct blkback *bb)
{
	uint64_t junk;
	ssize_t n = read(bb->control.event_fd, &junk, sizeof(junk));

	(void)n;
	list_for_each_safe(l, tmp, &bb->vbds)
		run_event(container_of(l, struct vbd, link));
	wind_clock(bb);
}

/* ---- the end --------------------------------------------------------------
 */

/* Returns how many disks are not done. */
static unsigned stop_queues(struct blkback *bb)
{
	unsigned nr = 0;

	list_for_each(l, &bb->vbds) {
		struct vbd *v = container_of(l, struct vbd, link);

		if (v->state >= VBD_RUNNING && vbd_queues_stop(&v->queues))
			nr++;
	}
	return nr;
}

void vbd_drain_all(struct blkback *bb, uint64_t deadline_ns)
{
	loop_timer_remove(bb->idle_timer);
	bb->idle_timer = NULL;
	while (stop_queues(bb) > 0) {
		struct pollfd p = { .fd = bb->control.event_fd,
				    .events = POLLIN };
		uint64_t now = clock_now_ns(), junk;
		ssize_t n;

		if (now >= deadline_ns)
			break;
		poll(&p, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1);
		n = read(bb->control.event_fd, &junk, sizeof(junk));
		(void)n;
	}
}
