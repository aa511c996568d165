/* SPDX-License-Identifier: MIT */
/*
 * params.c - the frontend's side of the handshake, see params.h. Called by
 * vbd.c when the frontend says that it is ready.
 * Source: xen/include/public/io/blkif.h, Frontend XenBus Nodes.
 */
#include "blkback/params.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

static int bad_node(struct xenbus_device *dev, int err, const char *node)
{
	xenbus_fatal(dev, err, "reading %s/%s", dev->otherend, node);
	return err;
}

static int read_ref(struct xenbus_device *dev, const char *node,
		    grant_ref_t *ret)
{
	return xs_read_u32(dev->xs, XS_NO_TXN, dev->otherend, node, UINT32_MAX,
			   ret);
}

static int read_refs(struct xenbus_device *dev, struct inflight_params *params)
{
	uint32_t nr = 1u << params->ring_order;
	int err;

	if (nr == 1) {
		err = read_ref(dev, "ring-ref", &params->ring_refs[0]);
		/* Some frontends number the one page of a ring as well. */
		if (err == -ENOENT)
			err = read_ref(dev, "ring-ref0", &params->ring_refs[0]);
		return err ? bad_node(dev, err, "ring-ref") : 0;
	}
	for (uint32_t i = 0; i < nr; i++) {
		char node[16];

		err = str_printf(node, sizeof(node), "ring-ref%u", i);
		if (err >= 0)
			err = read_ref(dev, node, &params->ring_refs[i]);
		if (err)
			return bad_node(dev, err, node);
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

int params_read(struct xenbus_device *dev, struct inflight_params *ret)
{
	struct inflight_params params = {
		.domid = dev->otherend_id,
		.handle = dev->handle,
		.nr_queues = 1,
	};
	uint32_t persistent;
	int err;

	err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				  "ring-page-order", INFLIGHT_RING_ORDER_MAX, 0,
				  &params.ring_order);
	if (err)
		return bad_node(dev, err, "ring-page-order");
	err = read_refs(dev, &params);
	if (err)
		return err;
	err = xs_read_u32(dev->xs, XS_NO_TXN, dev->otherend, "event-channel",
			  UINT32_MAX, &params.evtchn_port);
	if (err)
		return bad_node(dev, err, "event-channel");
	err = read_layout(dev, &params);
	if (err)
		return err;
	err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				  "feature-persistent", 1, 0, &persistent);
	if (err)
		return bad_node(dev, err, "feature-persistent");
	if (persistent)
		params.features |= INFLIGHT_PERSISTENT;
	*ret = params;
	return 0;
}
