/* SPDX-License-Identifier: MIT */
/*
 * vbd.c - the handshake of one disk, its end, and taking it over from a worker
 * that died. See vbd.h for the states.
 *
 * Neighbours: params.c (the frontend's values), queue.c (the data path),
 * inflight.c (the record), target.c (the monitor's half of opening). Control
 * thread.
 */
#include "blkback/vbd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "blkback/params.h"
#include "blkback/queue.h"
#include "blkback/target.h"
#include "util/clock.h"
#include "util/num.h"

#define FENCE_PATIENCE_NS (5 * NS_PER_S) /* then say what is waited for */

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
	struct storage *storage;
	struct inflight *inflight;
	struct blkback_queue *queue;
	struct loop_timer *timer; /* starting: at once; fenced: patience */
	struct loop_fd *fence_src;
	int fence_fd;	/* a predecessor's, or -1 */
	int resume_err; /* why the predecessor's connection cannot go on */
	bool fault_told;
	char key[MONITOR_KEY_MAX]; /* the record's with the monitor */
	char fence_key[MONITOR_KEY_MAX];
};

/* ---- storage ------------------------------------------------------------ */

static int open_storage(struct vbd *v)
{
	struct xenbus_device *dev = v->dev;
	int err;

	if (v->storage)
		return 0;
	err = target_attach(v->bb->control.monitor, dev->otherend_id,
			    dev->handle, &v->storage);
	if (err)
		return err;
	log_info("%s: %s: %llu KiB, %s%s", dev->name, v->storage->desc.target,
		 (unsigned long long)v->storage->desc.size_bytes / 1024,
		 v->storage->desc.how,
		 v->storage->desc.flags & STORAGE_READONLY ? ", read-only"
							   : "");
	return 0;
}

static void close_storage(struct vbd *v)
{
	if (v->storage)
		v->storage->ops->close(v->storage);
	v->storage = NULL;
}

/* ---- the connection ------------------------------------------------------ */

static void forget_fence(struct vbd *v)
{
	loop_fd_remove(v->fence_src);
	v->fence_src = NULL;
	if (v->fence_fd >= 0)
		close(v->fence_fd);
	v->fence_fd = -1;
}

/* The record first: without it, nobody looks for a fence. */
static void drop_kept(struct vbd *v)
{
	monitor_client_drop(v->bb->control.monitor, v->key);
	monitor_client_drop(v->bb->control.monitor, v->fence_key);
}

/* Everything of a connection, in reverse; nothing is in flight. */
static void release(struct vbd *v)
{
	loop_timer_disarm(v->timer);
	forget_fence(v);
	blkback_queue_close(v->queue, false);
	v->queue = NULL;
	if (v->inflight)
		drop_kept(v);
	inflight_close(v->inflight);
	v->inflight = NULL;
	close_storage(v);
	v->resume_err = 0;
	v->fault_told = false;
	v->state = VBD_IDLE;
}

static int open_queue(struct vbd *v, bool resume)
{
	struct blkback_queue_config config = {
		.platform = v->bb->control.platform,
		.inflight = v->inflight,
		.storage = v->storage,
		.resume = resume,
		.event_fd = v->bb->control.event_fd,
	};

	return blkback_queue_open(&config, &v->queue);
}

/* Before the queue's first submission. Replaces a predecessor's fence. */
static int keep_fence(struct vbd *v)
{
	int fd = blkback_queue_fence_fd(v->queue);

	if (fd < 0) {
		int err = monitor_client_drop(v->bb->control.monitor,
					      v->fence_key);

		return err == -ENOENT ? 0 : err;
	}
	return monitor_client_keep(v->bb->control.monitor, v->fence_key, fd);
}

/* The state node says Connected, and nothing of a predecessor is left. */
static void start(struct vbd *v)
{
	struct blkback *bb = v->bb;
	uint32_t nr = blkback_queue_stats(v->queue)->nr_recovered;
	bool resumed = v->state == VBD_FENCED;
	struct worker *w = bb->workers[bb->next_worker++ % bb->nr_workers];
	int err = keep_fence(v);

	if (!err)
		err = blkback_queue_start(v->queue, w);
	if (err) {
		xenbus_fatal(v->dev, err, "starting the queue");
		return;
	}
	v->state = VBD_RUNNING;
	if (resumed)
		log_info("%s: taken over, %u requests issued again",
			 v->dev->name, nr);
}

static void fence_passed(struct vbd *v)
{
	forget_fence(v);
	if (v->state == VBD_STOPPING) {
		release(v);
		xenbus_disconnected(v->dev);
		return;
	}
	if (v->resume_err)
		xenbus_fatal(v->dev, v->resume_err,
			     "going on after the last worker's end");
	else
		start(v);
}

static void fence_fired(void *arg, uint32_t events)
{
	(void)events;
	fence_passed(arg);
}

static void timer_fired(void *arg)
{
	struct vbd *v = arg;

	if (v->fence_src) {
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: still waiting for what the last worker left "
			    "on its way to the disk",
			    v->dev->name);
		loop_timer_arm(v->timer, clock_now_ns() + FENCE_PATIENCE_NS);
	} else if (v->state == VBD_FENCED) {
		fence_passed(v);
	} else if (v->state == VBD_STARTING) {
		start(v);
	}
}

/* ---- the driver's steps ---------------------------------------------------
 */

static int vbd_announce(struct xenbus_device *dev)
{
	static const struct {
		const char *node;
		uint32_t value;
	} features[] = {
		{ "feature-flush-cache", 1 },
		/*
		 * Windows and Linux flush. A barrier is for those that know
		 * nothing else: they would run without any order.
		 */
		{ "feature-barrier", 1 },
		{ "feature-persistent", 1 },
		{ "feature-max-indirect-segments", BLK_SEGMENTS_MAX },
		{ "max-ring-page-order", INFLIGHT_RING_ORDER_MAX },
	};
	struct vbd *v = dev->priv;
	int err = open_storage(v);

	if (err) {
		xenbus_fatal(dev, err, "opening the disk");
		return err;
	}
	for (size_t i = 0; !err && i < ARRAY_SIZE(features); i++)
		err = xs_printf(dev->xs, XS_NO_TXN, dev->node, features[i].node,
				"%u", features[i].value);
	return err;
}

static int publish_disk(struct vbd *v)
{
	const struct storage_desc *desc = &v->storage->desc;
	const struct {
		const char *node;
		uint64_t value;
	} nodes[] = {
		{ "sectors", desc->size_bytes / 512 },
		{ "sector-size", desc->sector_bytes },
		{ "physical-sector-size", desc->physical_bytes },
		{ "info", desc->flags & STORAGE_READONLY ? VDISK_READONLY : 0 },
	};
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(nodes); i++)
		err = xs_printf(v->dev->xs, XS_NO_TXN, v->dev->node,
				nodes[i].node, "%llu",
				(unsigned long long)nodes[i].value);
	return err;
}

static int vbd_connect(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;
	struct inflight_params params;
	int err = params_read(dev, &params);

	if (err)
		return err;
	err = open_storage(v);
	if (!err)
		err = publish_disk(v);
	if (!err)
		err = inflight_create(&params, &v->inflight);
	if (!err)
		err = open_queue(v, false);
	if (err) {
		xenbus_fatal(dev, err, "connecting to ring %u, channel %u",
			     params.ring_refs[0], params.evtchn_port);
		return err;
	}
	err = monitor_client_keep(v->bb->control.monitor, v->key,
				  inflight_fd(v->inflight));
	if (err) {
		xenbus_fatal(dev, err, "giving the record into keeping");
		return err;
	}
	v->state = VBD_STARTING;
	loop_timer_arm(v->timer, clock_now_ns());
	log_info("%s: ring of %u, %s grants", dev->name,
		 inflight_nr_slots(&params),
		 params.features & INFLIGHT_PERSISTENT ? "persistent"
						       : "temporary");
	return 0;
}

/* Whatever failed half-way is given back here too. */
static int vbd_disconnect(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;

	switch (v->state) {
	case VBD_IDLE:
	case VBD_STARTING: break;
	case VBD_FENCED:
		if (v->fence_src)
			goto wait;
		break;
	case VBD_RUNNING:
		if (blkback_queue_stop(v->queue) == -EINPROGRESS)
			goto wait;
		break;
	case VBD_STOPPING:
		if (v->fence_src || !blkback_queue_stopped(v->queue))
			goto wait;
		break;
	}
	release(v);
	return 0;

wait:
	v->state = VBD_STOPPING;
	return -EINPROGRESS;
}

static void vbd_remove(struct xenbus_device *dev)
{
	struct vbd *v = dev->priv;
	bool running = v->queue && v->state >= VBD_RUNNING &&
		       !blkback_queue_stopped(v->queue);

	list_del(&v->link);
	/* Only at the end of the process, when draining took too long. */
	if (running)
		return;
	loop_timer_remove(v->timer);
	forget_fence(v);
	blkback_queue_close(v->queue, true);
	inflight_close(v->inflight);
	close_storage(v);
	if (dev->removing) {
		drop_kept(v);
		monitor_client_release_device(v->bb->control.monitor,
					      dev->otherend_id, dev->handle);
	}
	free(v);
}

const struct xenbus_driver vbd_driver = {
	.role = XENBUS_BACKEND,
	.type = "vbd",
	.announce = vbd_announce,
	.connect = vbd_connect,
	.disconnect = vbd_disconnect,
	.remove = vbd_remove,
};

/* ---- a new device, or a predecessor's --------------------------------------
 */

/*
 * The device was connected and a record of it exists. From here on it is ours
 * to serve or to end; in both cases after the fence.
 */
static int take_over(struct vbd *v, int record_fd)
{
	int err = inflight_attach(record_fd, v->dev->otherend_id,
				  v->dev->handle, 0, &v->inflight);

	if (err)
		close(record_fd);
	if (!err)
		err = open_storage(v);
	if (!err)
		err = open_queue(v, true);
	v->resume_err = err;
	v->state = VBD_FENCED;
	v->fence_fd = monitor_client_get(v->bb->control.monitor, v->fence_key);
	if (v->fence_fd >= 0) {
		/* Nothing is ever sent on it: only its hang-up fires. */
		err = loop_fd_add(v->bb->control.loop, v->fence_fd, EPOLLIN,
				  fence_fired, v, &v->fence_src);
		if (err)
			return err;
		loop_timer_arm(v->timer, clock_now_ns() + FENCE_PATIENCE_NS);
		return 0;
	}
	if (v->fence_fd != -ENOENT)
		return v->fence_fd;
	loop_timer_arm(v->timer, clock_now_ns());
	return 0;
}

static int look_for_predecessor(struct vbd *v, bool *resumed)
{
	struct xenbus_device *dev = v->dev;
	struct monitor_client *mc = v->bb->control.monitor;
	uint32_t state;
	int fd, err;

	err = xs_read_u32(dev->xs, XS_NO_TXN, dev->node, "state",
			  XENBUS_NR_STATES - 1, &state);
	if (err)
		return err;
	/* The toolstack made it just now: an older one of its name is over. */
	if (state == XenbusStateInitialising) {
		drop_kept(v);
		monitor_client_release_device(mc, dev->otherend_id,
					      dev->handle);
		return 0;
	}
	fd = monitor_client_get(mc, v->key);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (state == XenbusStateConnected || state == XenbusStateClosing) {
		*resumed = true;
		return take_over(v, fd);
	}
	/* It died between keeping the record and Connected: see vbd.h. */
	close(fd);
	drop_kept(v);
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
	v->fence_fd = -1;
	list_init(&v->link);
	err = str_printf(v->key, sizeof(v->key), "vbd/%u/%u", dev->otherend_id,
			 dev->handle);
	if (err >= 0)
		err = str_printf(v->fence_key, sizeof(v->fence_key), "%s/fence",
				 v->key);
	if (err >= 0)
		err = loop_timer_add(bb->control.loop, timer_fired, v,
				     &v->timer);
	if (err < 0)
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
	forget_fence(v);
	blkback_queue_close(v->queue, true);
	inflight_close(v->inflight);
	close_storage(v);
	free(v);
	return err;
}

const struct xenbus_bus_ops vbd_bus_ops = {
	.probe = vbd_probe,
};

/* ---- events of the data threads ---------------------------------------------
 */

static void run_event(struct vbd *v)
{
	int fault;

	if (!v->queue)
		return;
	if (v->state == VBD_STOPPING && !v->fence_src &&
	    blkback_queue_stopped(v->queue)) {
		release(v);
		xenbus_disconnected(v->dev);
		return;
	}
	fault = blkback_queue_fault(v->queue);
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
}

/* Returns how many queues are not done. */
static unsigned stop_queues(struct blkback *bb)
{
	unsigned nr = 0;

	list_for_each(l, &bb->vbds) {
		struct vbd *v = container_of(l, struct vbd, link);

		if (v->queue && v->state >= VBD_RUNNING &&
		    blkback_queue_stop(v->queue) == -EINPROGRESS)
			nr++;
	}
	return nr;
}

void vbd_drain_all(struct blkback *bb, uint64_t deadline_ns)
{
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
