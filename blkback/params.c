/* SPDX-License-Identifier: MIT */
/*
 * params.c - the frontend's side of the handshake, see params.h. Called by
 * vbd.c when the frontend says that it is ready.
 * Source: xen/include/public/io/blkif.h, Frontend XenBus Nodes.
 */
#include "blkback/params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

static int bad_node_in(struct xenbus_device *dev, int err, const char *dir,
		       const char *node)
{
	xenbus_fatal(dev, err, "reading %s/%s", dir, node);
	return err;
}

static int bad_node(struct xenbus_device *dev, int err, const char *node)
{
	return bad_node_in(dev, err, dev->otherend, node);
}

static int read_any(struct xenbus_device *dev, const char *dir,
		    const char *node, uint32_t *ret)
{
	return xs_read_u32(dev->xs, XS_NO_TXN, dir, node, UINT32_MAX, ret);
}

static int read_refs(struct xenbus_device *dev, const char *dir,
		     struct inflight_params *params)
{
	uint32_t nr = 1u << params->ring_order;
	int err;

	if (nr == 1) {
		err = read_any(dev, dir, "ring-ref", &params->ring_refs[0]);
		/* Some frontends number the one page of a ring as well. */
		if (err == -ENOENT)
			err = read_any(dev, dir, "ring-ref0",
				       &params->ring_refs[0]);
		return err ? bad_node_in(dev, err, dir, "ring-ref") : 0;
	}
	for (uint32_t i = 0; i < nr; i++) {
		char node[16];

		err = str_printf(node, sizeof(node), "ring-ref%u", i);
		if (err >= 0)
			err = read_any(dev, dir, node, &params->ring_refs[i]);
		if (err)
			return bad_node_in(dev, err, dir, node);
	}
	return 0;
}

static int read_layout(struct xenbus_device *dev,
		       struct inflight_params *params)
{
	char text[32];
	int err = xs_read_str(dev->xs, XS_NO_TXN, dev->otherend, "protocol",
			      text, sizeof(text));

	if (err == -ENOENT) {
		params->layout = BLK_LAYOUT_X86_64;
		return 0;
	}
	if (!err && strcmp(text, XEN_IO_PROTO_ABI_X86_64) == 0)
		params->layout = BLK_LAYOUT_X86_64;
	else if (!err && strcmp(text, XEN_IO_PROTO_ABI_X86_32) == 0)
		params->layout = BLK_LAYOUT_X86_32;
	else
		return bad_node(dev, err ? err : -EPROTONOSUPPORT, "protocol");
	return 0;
}

static int read_flag(struct xenbus_device *dev, const char *node, uint32_t flag,
		     struct inflight_params *params)
{
	uint32_t set;
	int err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend, node,
				      1, 0, &set);

	if (err)
		return bad_node(dev, err, node);
	if (set)
		params->features |= flag;
	return 0;
}

/* What is the same for all queues. */
static int read_common(struct xenbus_device *dev, uint32_t max_queues,
		       struct inflight_params *params)
{
	int err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				      "multi-queue-num-queues", max_queues, 1,
				      &params->nr_queues);

	if (!err && !params->nr_queues)
		err = -EINVAL;
	if (err)
		return bad_node(dev, err, "multi-queue-num-queues");
	err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				  "ring-page-order", INFLIGHT_RING_ORDER_MAX, 0,
				  &params->ring_order);
	if (err)
		return bad_node(dev, err, "ring-page-order");
	err = read_layout(dev, params);
	if (!err)
		err = read_flag(dev, "feature-persistent", INFLIGHT_PERSISTENT,
				params);
	if (!err)
		err = read_flag(dev, "feature-large-sector-size",
				INFLIGHT_LARGE_SECTORS, params);
	return err;
}

/* A single queue is in the frontend's directory itself. */
static int read_queue(struct xenbus_device *dev, struct inflight_params *params)
{
	char dir[sizeof(dev->otherend) + sizeof("/queue-4294967295")];
	int err;

	if (params->nr_queues == 1)
		err = str_printf(dir, sizeof(dir), "%s", dev->otherend);
	else
		err = str_printf(dir, sizeof(dir), "%s/queue-%u", dev->otherend,
				 params->queue);
	if (err < 0)
		return err;
	err = read_refs(dev, dir, params);
	if (err)
		return err;
	err = read_any(dev, dir, "event-channel", &params->evtchn_port);
	return err ? bad_node_in(dev, err, dir, "event-channel") : 0;
}

int params_read(struct xenbus_device *dev, uint32_t max_queues,
		struct inflight_params **ret)
{
	struct inflight_params common = {
		.domid = dev->otherend_id,
		.handle = dev->handle,
	};
	struct inflight_params *all;
	int err = read_common(dev, max_queues, &common);

	if (err)
		return err;
	all = calloc(common.nr_queues, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (uint32_t i = 0; !err && i < common.nr_queues; i++) {
		all[i] = common;
		all[i].queue = i;
		err = read_queue(dev, &all[i]);
	}
	if (err) {
		free(all);
		return err;
	}
	*ret = all;
	return 0;
}
