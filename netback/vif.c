/* SPDX-License-Identifier: MIT */
/*
 * vif.c - the xenbus driver of a vif; see vif.h. Neighbours: queue.c (rings and
 * data thread), bridge.c (the switch), target.c (what the monitor opened).
 * Control thread, but for on_fault.
 */
#include "netback/vif.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netback/bridge.h"
#include "netback/queue.h"
#include "util/num.h"

struct vif {
	struct list link;
	struct netback *nb;
	struct xenbus_device *dev;
	char key[MONITOR_KEY_MAX];
	struct vif_target target;
	struct bridge *bridge; /* NULL until the monitor gave us the device */
	struct vif_record *record;
	struct queue *queue; /* NULL: not connected */
	/*
	 * Set once by the data thread. fault_err is written last and read
	 * first: on_fault() and vif_run_faults() pair.
	 */
	const char *fault_why;
	int fault_err;
};

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
		else if (err)
			xenbus_fatal(v->dev, err, "%s", v->fault_why);
	}
}

static int start_on_thread(void *arg)
{
	struct vif *v = arg;

	return queue_start(v->queue, v->nb->worker, v->bridge->sw);
}

static int stop_on_thread(void *arg)
{
	struct vif *v = arg;

	queue_stop(v->queue);
	return 0;
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

/* Rings, channels and a place in the switch, as v->record says. */
static int vif_start(struct vif *v, bool resume)
{
	struct queue_config config = {
		.platform = v->nb->control.platform,
		.domid = v->dev->otherend_id,
		.record = v->record,
		.resume = resume,
		.fault = on_fault,
		.fault_arg = v,
	};
	int err;

	memcpy(config.mac, v->target.mac, sizeof(config.mac));
	v->fault_err = 0;
	err = queue_open(&config, &v->queue);
	if (err)
		return err;
	err = worker_call(v->nb->worker, start_on_thread, v);
	if (err) {
		queue_close(v->queue, resume);
		v->queue = NULL;
	}
	return err;
}

static void vif_log_stats(const struct vif *v)
{
	struct queue_stats s = queue_stats(v->queue);

	log_info(
		"%s: from the guest %llu frames, %llu bytes, %llu bad; to the "
		"guest %llu frames, %llu bytes; dropped: %llu no buffer, "
		"%llu not receivable, %llu bad buffer",
		v->dev->name, (unsigned long long)s.tx_frames,
		(unsigned long long)s.tx_bytes, (unsigned long long)s.tx_errors,
		(unsigned long long)s.rx_frames, (unsigned long long)s.rx_bytes,
		(unsigned long long)s.rx_full, (unsigned long long)s.rx_unable,
		(unsigned long long)s.rx_errors);
}

/* keep: channels and record stay for a successor. Idempotent. */
static void vif_stop(struct vif *v, bool keep)
{
	if (v->queue) {
		worker_call(v->nb->worker, stop_on_thread, v);
		vif_log_stats(v);
		queue_close(v->queue, keep);
		v->queue = NULL;
	}
	if (v->record) {
		record_unmap(v->record);
		v->record = NULL;
		if (!keep)
			monitor_client_drop(v->nb->control.monitor, v->key);
	}
}

/* ---- steps of the handshake -------------------------------------------- */

static int vif_announce(struct xenbus_device *dev)
{
	static const struct {
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
	};
	struct vif *v = dev->priv;
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
	return 0;
}

/* A 0 or 1 of the frontend's. */
static int read_flag(struct xenbus_device *dev, const char *name, uint32_t def,
		     bool *ret)
{
	uint32_t value;
	int err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend, name,
				      1, def, &value);

	if (err)
		xenbus_fatal(dev, err, "reading %s/%s", dev->otherend, name);
	else
		*ret = value;
	return err;
}

static int read_number(struct xenbus_device *dev, const char *name,
		       uint32_t *ret)
{
	int err = xs_read_u32(dev->xs, XS_NO_TXN, dev->otherend, name,
			      UINT32_MAX, ret);

	if (err)
		xenbus_fatal(dev, err, "reading %s/%s", dev->otherend, name);
	return err;
}

static int read_features(struct xenbus_device *dev, uint32_t *ret)
{
	bool rx_copy, sg, gso4, gso6, no_csum4, csum6;

	if (read_flag(dev, "request-rx-copy", 0, &rx_copy) ||
	    read_flag(dev, "feature-sg", 0, &sg) ||
	    read_flag(dev, "feature-gso-tcpv4", 0, &gso4) ||
	    read_flag(dev, "feature-gso-tcpv6", 0, &gso6) ||
	    read_flag(dev, "feature-no-csum-offload", 0, &no_csum4) ||
	    read_flag(dev, "feature-ipv6-csum-offload", 0, &csum6))
		return -EINVAL;
	if (!rx_copy) {
		xenbus_fatal(dev, -EOPNOTSUPP,
			     "the frontend does not set request-rx-copy");
		return -EOPNOTSUPP;
	}
	*ret = 0;
	if (sg)
		*ret |= QUEUE_SG;
	if (sg && gso4)
		*ret |= QUEUE_GSO_TCPV4;
	if (sg && gso6)
		*ret |= QUEUE_GSO_TCPV6;
	if (!no_csum4)
		*ret |= QUEUE_CSUM_IPV4;
	if (csum6)
		*ret |= QUEUE_CSUM_IPV6;
	return 0;
}

/* Two channels, or one for both. */
static int read_ports(struct xenbus_device *dev, struct vif_params *params)
{
	uint32_t port;
	int err = xs_read_u32(dev->xs, XS_NO_TXN, dev->otherend,
			      "event-channel-tx", UINT32_MAX, &port);

	if (err == -ENOENT) {
		err = read_number(dev, "event-channel", &params->tx_port);
		params->rx_port = params->tx_port;
		return err;
	}
	err = read_number(dev, "event-channel-tx", &params->tx_port);
	if (!err)
		err = read_number(dev, "event-channel-rx", &params->rx_port);
	return err;
}

static int vif_connect(struct xenbus_device *dev)
{
	struct vif *v = dev->priv;
	struct vif_params params = { 0 };
	int err, fd;

	err = read_number(dev, "tx-ring-ref", &params.tx_ref);
	if (!err)
		err = read_number(dev, "rx-ring-ref", &params.rx_ref);
	if (!err)
		err = read_ports(dev, &params);
	if (!err)
		err = read_features(dev, &params.features);
	if (err)
		return err;
	fd = record_create(&params, &v->record);
	if (fd < 0) {
		xenbus_fatal(dev, fd, "making a record");
		return fd;
	}
	err = monitor_client_keep(v->nb->control.monitor, v->key, fd);
	close(fd);
	if (!err)
		err = vif_start(v, false);
	if (err) {
		vif_stop(v, false);
		xenbus_fatal(dev, err,
			     "mapping ring-refs %u, %u and event channels "
			     "%u, %u",
			     params.tx_ref, params.rx_ref, params.tx_port,
			     params.rx_port);
	}
	return err;
}

static int vif_disconnect(struct xenbus_device *dev)
{
	vif_stop(dev->priv, false);
	return 0;
}

static void vif_remove(struct xenbus_device *dev)
{
	struct vif *v = dev->priv;
	struct netback *nb = v->nb;
	bool acquired = v->bridge != NULL;

	vif_stop(v, nb->stopping);
	bridge_put(v->bridge);
	if (acquired && !nb->stopping)
		monitor_client_release_device(nb->control.monitor,
					      dev->otherend_id, dev->handle);
	list_del(&v->link);
	free(v);
	dev->priv = NULL;
}

/* ---- a predecessor's connection ---------------------------------------- */

/* Go on where the record ends. -ENOENT: there is none. */
static int vif_revive(struct vif *v)
{
	int fd = monitor_client_get(v->nb->control.monitor, v->key);
	int err;

	if (fd < 0)
		return fd;
	err = record_attach(fd, &v->record);
	close(fd);
	if (!err)
		err = vif_acquire(v);
	if (!err)
		err = vif_start(v, true);
	if (err) {
		log_warn("%s: cannot go on with its connection: %s",
			 v->dev->name, strerror(-err));
		vif_stop(v, false);
		monitor_client_drop(v->nb->control.monitor, v->key);
	}
	return err;
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
	err = str_printf(v->key, sizeof(v->key), "vif/%u/%u", dev->otherend_id,
			 dev->handle);
	if (err < 0) {
		free(v);
		return err;
	}
	dev->priv = v;
	list_add_tail(&nb->vifs, &v->link);
	*resumed = vif_revive(v) == 0;
	if (*resumed)
		log_info("%s: taken over", dev->name);
	return 0;
}

const struct xenbus_driver vif_driver = {
	.role = XENBUS_BACKEND,
	.type = "vif",
	.announce = vif_announce,
	.connect = vif_connect,
	.disconnect = vif_disconnect,
	.remove = vif_remove,
};

const struct xenbus_bus_ops vif_bus_ops = { .probe = vif_probe };
