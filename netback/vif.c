/* SPDX-License-Identifier: MIT */
/*
 * vif.c - the xenbus driver of a vif; see vif.h. Neighbours: vif_params.c (the
 * frontend's values), vif_changes.c (what may change later), vif_queues.c
 * (rings and data thread), bridge.c (the switch), target.c (what the monitor
 * opened). Control thread, but for on_fault.
 */
#include "netback/vif_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netback/vif_link.h"
#include "netback/vif_params.h"
#include "util/clock.h"
#include "util/num.h"

/* The state node could not be written: how soon to look again. */
#define START_AGAIN_NS (10 * NS_PER_MS)

/* Data thread. */
static void on_fault(void *arg, int err, const char *why)
{
	struct vif *v = arg;
	uint64_t one = 1;
	ssize_t n;

	v->fault_why = why;
	/* pairs with vif_run_faults() */
	__atomic_store_n(&v->fault_err, err, __ATOMIC_RELEASE);
	n = write(v->nb->control.event_fd, &one, sizeof(one));
	(void)n; /* cannot be full */
}

void vif_run_faults(struct netback *nb)
{
	uint64_t count;
	ssize_t n = read(nb->control.event_fd, &count, sizeof(count));

	(void)n;
	list_for_each_safe(l, next, &nb->vifs) {
		struct vif *v = container_of(l, struct vif, link);
		/* pairs with on_fault() */
		int err =
			__atomic_exchange_n(&v->fault_err, 0, __ATOMIC_ACQUIRE);

		if (err == -EPIPE)
			xenbus_otherend_lost(v->dev);
		else if (err == -EPROTO)
			xenbus_disable(v->dev, err, "%s", v->fault_why);
		else if (err)
			xenbus_fatal(v->dev, err, "%s", v->fault_why);
	}
}

/* Get the device from the monitor, and the switch it belongs to. Idempotent. */
static int vif_acquire(struct vif *v)
{
	struct monitor_device mdev;
	int err;

	if (v->bridge)
		return 0;
	err = monitor_client_open_device(v->nb->control.monitor,
					 v->dev->otherend_id, v->dev->handle,
					 &mdev);
	if (err)
		return err;
	err = vif_target_check(mdev.info, mdev.info_bytes, &v->target);
	if (err) {
		while (mdev.nr_fds)
			close(mdev.fds[--mdev.nr_fds]);
		return err;
	}
	return bridge_get(&v->nb->bridges, v->nb->worker, &v->target, mdev.fds,
			  mdev.nr_fds, &v->bridge);
}

static void vif_log_traffic(const struct vif *v)
{
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	for (uint32_t i = 0; i < v->queues.nr; i++)
		vif_queues_traffic(&v->queues, i, t);
	log_info("%s: from the guest %llu frames, %llu bytes, %llu bad, %llu "
		 "dropped; to the guest %llu frames, %llu bytes, %llu bad, "
		 "%llu dropped",
		 v->dev->name, (unsigned long long)t->tx_packets,
		 (unsigned long long)t->tx_bytes,
		 (unsigned long long)t->tx_errors,
		 (unsigned long long)traffic_tx_dropped(t),
		 (unsigned long long)t->rx_packets,
		 (unsigned long long)t->rx_bytes,
		 (unsigned long long)t->rx_errors,
		 (unsigned long long)traffic_rx_dropped(t));
	free(t);
}

/* keep: channels and records stay for a successor. Idempotent. */
static void vif_stop(struct vif *v, bool keep)
{
	loop_timer_disarm(v->timer);
	if (v->queues.port)
		vif_log_traffic(v);
	vif_capture_end(&v->capture, &v->queues);
	vif_queues_stop(&v->queues, keep);
	if (v->present)
		bridge_leave(v->bridge, keep);
	v->present = false;
}

/* ---- steps of the handshake -------------------------------------------- */

static int vif_announce(struct xenbus_device *dev)
{
	struct vif *v = dev->priv;
	const struct {
		const char *name;
		unsigned value;
	} features[] = {
		{ "feature-sg", 1 },
		{ "feature-gso-tcpv4", 1 },
		{ "feature-gso-tcpv6", 1 },
		{ "feature-ipv6-csum-offload", 1 },
		{ "feature-rx-copy", 1 },
		{ "feature-rx-flip", 0 },
		{ "feature-split-event-channels", 1 },
		{ "multi-queue-max-queues", RECORD_QUEUES_MAX },
		{ "feature-multicast-control", 1 },
		{ "feature-dynamic-multicast-control", v->wish_watch != NULL },
		{ "feature-xdp-headroom", 1 },
		{ "feature-ctrl-ring", 1 },
	};
	int err = vif_acquire(v);

	if (err) {
		xenbus_fatal(dev, err, "opening the device's bridge");
		return err;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		err = xs_printf(dev->xs, XS_NO_TXN, dev->node, features[i].name,
				"%u", features[i].value);
		if (err) {
			xenbus_fatal(dev, err, "writing %s", features[i].name);
			return err;
		}
	}
	err = vif_link_tell(dev, &v->bridge->uplink_link, v->queues.rules.down);
	if (err)
		xenbus_fatal(dev, err, "writing carrier");
	return err;
}

static int vif_connect(struct xenbus_device *dev)
{
	struct vif *v = dev->priv;
	struct queue_params params[RECORD_QUEUES_MAX];
	uint32_t i = 0;
	const char *node;
	int err = vif_params_read(dev, params);

	if (err)
		return err;
	err = vif_changes_read(v, &node);
	if (err) {
		xenbus_fatal(dev, err, "reading %s", node);
		return err;
	}
	err = vif_queues_make(&v->queues, params);
	if (err) {
		vif_stop(v, false);
		xenbus_fatal(dev, err, "giving the records into keeping");
		return err;
	}
	err = vif_queues_open(&v->queues, false, &i);
	if (err) {
		vif_stop(v, false);
		xenbus_fatal(dev, err,
			     "connecting queue %u to rings %u, %u, channels "
			     "%u, %u",
			     i, params[i].tx_ref, params[i].rx_ref,
			     params[i].tx_port, params[i].rx_port);
		return err;
	}
	loop_timer_arm(v->timer, clock_now_ns());
	return 0;
}

static int vif_start(struct vif *v)
{
	int err;

	v->fault_err = 0;
	v->connected_ns = clock_now_ns();
	/* First, or the bridge loses what it sends at once. */
	bridge_arrive(v->bridge);
	v->present = true;
	err = vif_queues_start(&v->queues, v->bridge->sw);
	if (!err)
		vif_changes_started(v);
	return err;
}

void vif_link_changed(void *netback, struct bridge *bridge,
		      const struct nic_link *was)
{
	struct netback *nb = netback;

	list_for_each(l, &nb->vifs) {
		struct vif *v = container_of(l, struct vif, link);

		if (v->bridge == bridge)
			vif_link_change(v->dev, was, &bridge->uplink_link,
					v->queues.rules.down);
	}
}

static void timer_fired(void *arg)
{
	struct vif *v = arg;
	int err;

	loop_timer_disarm(v->timer);
	if (v->dev->state == XenbusStateInitWait) {
		loop_timer_arm(v->timer, clock_now_ns() + START_AGAIN_NS);
		return;
	}
	err = vif_start(v);
	if (err)
		xenbus_fatal(v->dev, err, "starting the queues");
}

static int vif_disconnect(struct xenbus_device *dev)
{
	vif_stop(dev->priv, false);
	return 0;
}

static void vif_free(struct vif *v)
{
	loop_timer_remove(v->timer);
	bridge_put(v->bridge);
	vif_changes_fini(v);
	free(v);
}

static void vif_remove(struct xenbus_device *dev)
{
	struct vif *v = dev->priv;
	struct netback *nb = v->nb;
	bool acquired = v->bridge != NULL;

	vif_stop(v, nb->stopping);
	list_del(&v->link);
	vif_free(v);
	dev->priv = NULL;
	if (acquired && !nb->stopping)
		monitor_client_release_device(nb->control.monitor,
					      dev->otherend_id, dev->handle);
}

/* ---- a new device, or a predecessor's ---------------------------------- */

/* Go on where the records end. */
static int vif_take_over(struct vif *v)
{
	const char *node;
	uint32_t i;
	int err = vif_acquire(v);

	if (!err)
		err = vif_changes_read(v, &node);
	if (!err)
		err = vif_queues_open(&v->queues, true, &i);
	return err ? err : vif_start(v);
}

/* Of the predecessor's connection nothing is left: the handshake is next. */
static int give_up(struct vif *v)
{
	vif_stop(v, false);
	vif_queues_drop_kept(&v->queues);
	return 0;
}

static int look_for_predecessor(struct vif *v, bool *resumed)
{
	struct xenbus_device *dev = v->dev;
	uint32_t state;
	int err;

	err = xs_read_u32(dev->xs, XS_NO_TXN, dev->node, "state",
			  XENBUS_NR_STATES - 1, &state);
	if (err)
		return err;
	/* The toolstack made it just now: an older one of its name is over. */
	if (state == XenbusStateInitialising) {
		vif_queues_drop_kept(&v->queues);
		monitor_client_release_device(v->nb->control.monitor,
					      dev->otherend_id, dev->handle);
		return 0;
	}
	err = vif_queues_find(&v->queues);
	if (err == -ENOENT)
		return 0;
	/* It died between keeping the records and Connected: see vif.h. */
	if (state != XenbusStateConnected && state != XenbusStateReconfigured &&
	    state != XenbusStateClosing)
		return give_up(v);
	if (!err)
		err = vif_take_over(v);
	if (err) {
		log_warn("%s: cannot go on with its connection: %s", dev->name,
			 strerror(-err));
		return give_up(v);
	}
	*resumed = true;
	log_info("%s: taken over", dev->name);
	return 0;
}

static int vif_probe(void *arg, struct xenbus_device *dev, bool *resumed)
{
	struct netback *nb = arg;
	struct vif *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	v->nb = nb;
	v->dev = dev;
	vif_queues_init(&v->queues, nb, dev->otherend_id, dev->handle, on_fault,
			v);
	vif_changes_init(v);
	err = loop_timer_add(nb->control.loop, timer_fired, v, &v->timer);
	if (!err)
		err = look_for_predecessor(v, resumed);
	if (err) {
		vif_free(v);
		return err;
	}
	dev->priv = v;
	list_add_tail(&nb->vifs, &v->link);
	return 0;
}

const struct xenbus_driver vif_driver = {
	.role = XENBUS_BACKEND,
	.type = "vif",
	.announce = vif_announce,
	.connect = vif_connect,
	.disconnect = vif_disconnect,
	.changed = vif_changed,
	.reconfigure = vif_reconfigure,
	.remove = vif_remove,
};

const struct xenbus_bus_ops vif_bus_ops = { .probe = vif_probe };
