/* SPDX-License-Identifier: MIT */
/*
 * vbd.c - the handshake of one disk, its end, and taking it over from a worker
 * that died. See vbd.h for the states.
 *
 * Neighbours: params.c (the frontend's values), vbd_queues.c (its queues),
 * vbd_disk.c (what is behind it), vbd_events.c. Control thread.
 */
#include "blkback/vbd_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkback/params.h"
#include "blkback/target.h"
#include "util/clock.h"
#include "util/num.h"

#define FENCE_PATIENCE_NS (5 * NS_PER_S) /* then say what is waited for */

/* ---- the connection ------------------------------------------------------ */

void vbd_release(struct vbd *v)
{
	bool connected = v->queues.nr > 0;

	loop_timer_disarm(v->timer);
	vbd_queues_close(&v->queues, false);
	if (connected)
		vbd_queues_drop_kept(&v->queues);
	vbd_disk_close(v);
	v->resume_err = 0;
	v->fault_told = false;
	v->state = VBD_IDLE;
}

/* Give the queues their limiters, and those that wait another look. */
static void apply_limits(void *arg, const struct limiter_pair *limiters)
{
	struct vbd *v = arg;

	vbd_queues_set_limiters(&v->queues, limiters);
}

/* The state node says Connected, and nothing of a predecessor is left. */
static void start(struct vbd *v)
{
	uint32_t nr = vbd_queues_nr_recovered(&v->queues);
	bool resumed = v->state == VBD_FENCED;
	int err;

	limits_start(&v->limits);
	v->connected_ns = clock_now_ns();
	/* Some of the queues may run when it fails. */
	v->state = VBD_RUNNING;
	err = vbd_queues_start(&v->queues);
	if (err) {
		xenbus_fatal(v->dev, err, "starting the queues");
		return;
	}
	if (!resumed)
		return;
	log_info("%s: taken over, %u requests issued again", v->dev->name, nr);
	vbd_disk_resumed(v);
}

static void fences_passed(void *arg)
{
	struct vbd *v = arg;

	loop_timer_disarm(v->timer);
	if (v->state == VBD_STOPPING) {
		vbd_release(v);
		xenbus_disconnected(v->dev);
		return;
	}
	if (v->resume_err)
		xenbus_fatal(v->dev, v->resume_err,
			     "going on after the last worker's end");
	else
		start(v);
}

static void timer_fired(void *arg)
{
	struct vbd *v = arg;

	if (v->queues.nr_fenced) {
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: still waiting for what the last worker left "
			    "on its way to the disk",
			    v->dev->name);
		loop_timer_arm(v->timer, clock_now_ns() + FENCE_PATIENCE_NS);
	} else if (v->state == VBD_FENCED) {
		fences_passed(v);
	} else if (v->state == VBD_STARTING) {
		start(v);
	}
}

/* ---- the driver's steps ---------------------------------------------------
 */

static int vbd_announce(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;
	int err = vbd_disk_open(v);

	if (err) {
		xenbus_fatal(dev, err, "opening the disk");
		return err;
	}
	return vbd_disk_announce(v);
}

/* The disk and the queues; says by itself what went wrong. */
static int connect_queues(struct vbd *v, const struct inflight_params *params)
{
	uint32_t i = 0;
	int err = vbd_disk_open(v);

	if (!err)
		err = vbd_disk_adapt(v,
				     params->features & INFLIGHT_LARGE_SECTORS);
	if (!err)
		err = vbd_disk_publish(v);
	if (err) {
		xenbus_fatal(v->dev, err, "opening the disk");
		return err;
	}
	err = vbd_queues_open(&v->queues, params, v->storage, &i);
	if (err) {
		xenbus_fatal(v->dev, err,
			     "connecting queue %u to ring %u, channel %u", i,
			     params[i].ring_refs[0], params[i].evtchn_port);
		return err;
	}
	err = vbd_queues_keep(&v->queues);
	if (err)
		xenbus_fatal(v->dev, err, "giving the records into keeping");
	return err;
}

static int vbd_connect(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;
	struct inflight_params *params;
	int err = params_read(dev, vbd_max_queues(v), &params);

	if (err)
		return err;
	for (uint32_t i = 0; v->discard && i < params->nr_queues; i++)
		params[i].features |= INFLIGHT_DISCARD;
	err = connect_queues(v, params);
	if (!err) {
		v->state = VBD_STARTING;
		loop_timer_arm(v->timer, clock_now_ns());
		log_info("%s: %u queue%s, ring of %u, %s grants", dev->name,
			 params->nr_queues, params->nr_queues > 1 ? "s" : "",
			 inflight_nr_slots(params),
			 params->features & INFLIGHT_PERSISTENT ? "persistent"
								: "temporary");
	}
	free(params);
	return err;
}

/* Whatever failed half-way is given back here too. */
static int vbd_disconnect(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;
	bool wait = false;

	switch (v->state) {
	case VBD_IDLE:
	case VBD_STARTING: break;
	case VBD_FENCED: wait = v->queues.nr_fenced; break;
	case VBD_RUNNING:
	case VBD_STOPPING:
		wait = v->queues.nr_fenced || vbd_queues_stop(&v->queues);
		if (wait)
			vbd_queues_give_up(&v->queues);
		break;
	}
	if (wait) {
		v->state = VBD_STOPPING;
		return -EINPROGRESS;
	}
	vbd_release(v);
	return 0;
}

static void look_at_limits(struct vbd *v)
{
	limits_changed(&v->limits);
}

/* Most of what changes in our directory is what we wrote: that is no news. */
static void vbd_changed(struct xenbus_device *dev, const char *node)
{
	static const struct {
		const char *node;
		void (*changed)(struct vbd *v);
	} wanted[] = {
		{ "resize", vbd_disk_changed },
		{ "fault", vbd_faults_changed },
		{ "limit-rates", look_at_limits },
		{ "limit-group", look_at_limits },
		{ "statistics/request", vbd_stats_changed },
	};
	size_t len = strlen(node);

	/* It, or a directory that it is in. */
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!len ||
		    (!strncmp(wanted[i].node, node, len) &&
		     (!wanted[i].node[len] || wanted[i].node[len] == '/')))
			wanted[i].changed(dev->priv);
}

static void vbd_remove(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;
	bool running = v->state >= VBD_RUNNING && vbd_queues_stop(&v->queues);

	list_del(&v->link);
	/* Only at the end of the process, when draining took too long. */
	if (running)
		return;
	loop_timer_remove(v->timer);
	vbd_queues_close(&v->queues, true);
	limits_fini(&v->limits);
	vbd_disk_close(v);
	if (dev->removing) {
		vbd_queues_drop_kept(&v->queues);
		target_forget(v->bb->control.monitor, dev->otherend_id,
			      dev->handle);
	}
	free(v);
}

const struct xenbus_driver vbd_driver = {
	.role = XENBUS_BACKEND,
	.type = "vbd",
	.announce = vbd_announce,
	.connect = vbd_connect,
	.disconnect = vbd_disconnect,
	.changed = vbd_changed,
	.remove = vbd_remove,
};

/* ---- a new device, or a predecessor's --------------------------------------
 */

/*
 * The device was connected and records of it exist. From here on it is ours to
 * serve or to end; in both cases after the fences.
 */
static int take_over(struct vbd *v, int record_fd)
{
	uint64_t when_ns = clock_now_ns();
	int err = vbd_queues_attach(&v->queues, record_fd);

	if (!err)
		err = vbd_disk_open(v);
	if (!err)
		err = vbd_disk_adapt(v, vbd_queues_features(&v->queues) &
						INFLIGHT_LARGE_SECTORS);
	if (!err && (err = storage_look_again(v->storage)) > 0)
		err = 0;
	if (!err)
		err = vbd_queues_resume(&v->queues, v->storage);
	v->resume_err = err;
	v->state = VBD_FENCED;
	err = vbd_queues_fence(&v->queues);
	if (err)
		return err;
	if (v->queues.nr_fenced)
		when_ns += FENCE_PATIENCE_NS;
	loop_timer_arm(v->timer, when_ns);
	return 0;
}

static int look_for_predecessor(struct vbd *v, bool *resumed)
{
	struct xenbus_device *dev = v->dev;
	uint32_t state;
	int fd, err;

	err = xs_read_u32(dev->xs, XS_NO_TXN, dev->node, "state",
			  XENBUS_NR_STATES - 1, &state);
	if (err)
		return err;
	/* The toolstack made it just now: an older one of its name is over. */
	if (state == XenbusStateInitialising) {
		vbd_queues_drop_kept(&v->queues);
		target_forget(v->bb->control.monitor, dev->otherend_id,
			      dev->handle);
		return 0;
	}
	fd = vbd_queues_find(&v->queues);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (state == XenbusStateConnected || state == XenbusStateClosing) {
		*resumed = true;
		return take_over(v, fd);
	}
	/* It died between keeping the records and Connected: see vbd.h. */
	close(fd);
	vbd_queues_drop_kept(&v->queues);
	return 0;
}

static int vbd_probe(void *arg, struct xenbus_device *dev, bool *resumed)
{
	struct blkback *bb = arg;
	struct vbd *v = calloc(1, sizeof(*v));
	bool taken = false;
	int err;

	if (!v)
		return -ENOMEM;
	v->bb = bb;
	v->dev = dev;
	list_init(&v->link);
	vbd_queues_init(&v->queues, bb, dev->otherend_id, dev->handle,
			fences_passed, v);
	limits_init(&v->limits, &bb->limit_groups, dev, apply_limits, v);
	vbd_stats_init(v);
	err = loop_timer_add(bb->control.loop, timer_fired, v, &v->timer);
	if (err)
		goto fail;
	err = look_for_predecessor(v, &taken);
	if (err)
		goto fail;
	list_add_tail(&bb->vbds, &v->link);
	dev->priv = v;
	*resumed = taken;
	return 0;

fail:
	loop_timer_remove(v->timer);
	vbd_queues_close(&v->queues, true);
	limits_fini(&v->limits);
	vbd_disk_close(v);
	free(v);
	return err;
}

const struct xenbus_bus_ops vbd_bus_ops = {
	.probe = vbd_probe,
};
