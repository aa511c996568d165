/* SPDX-License-Identifier: MIT */
/*
 * vif_params.c - the frontend's side of the handshake, see vif_params.h. Called
 * by vif.c when the frontend says that it is ready. Source:
 * xen/include/public/io/netif.h.
 */
#include "netback/vif_params.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

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

static int read_number(struct xenbus_device *dev, const char *dir,
		       const char *name, uint32_t *ret)
{
	int err = xs_read_u32(dev->xs, XS_NO_TXN, dir, name, UINT32_MAX, ret);

	if (err)
		xenbus_fatal(dev, err, "reading %s/%s", dir, name);
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

/* A control ring, if there is one. */
static int read_ctrl(struct xenbus_device *dev, struct queue_params *ret)
{
	int err = xs_read_u32(dev->xs, XS_NO_TXN, dev->otherend,
			      "ctrl-ring-ref", UINT32_MAX, &ret->ctrl_ref);

	if (err == -ENOENT)
		return 0;
	ret->has_ctrl = true;
	err = read_number(dev, dev->otherend, "ctrl-ring-ref", &ret->ctrl_ref);
	if (!err)
		err = read_number(dev, dev->otherend, "event-channel-ctrl",
				  &ret->ctrl_port);
	return err;
}

static int read_common(struct xenbus_device *dev, struct queue_params *ret)
{
	int err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				      "multi-queue-num-queues",
				      RECORD_QUEUES_MAX, 1, &ret->nr_queues);

	if (!err && !ret->nr_queues)
		err = -EINVAL;
	if (err) {
		xenbus_fatal(dev, err, "reading %s/multi-queue-num-queues",
			     dev->otherend);
		return err;
	}
	err = read_features(dev, &ret->features);
	return err ? err : read_ctrl(dev, ret);
}

/* Two channels, or one for both. */
static int read_ports(struct xenbus_device *dev, const char *dir,
		      struct queue_params *ret)
{
	uint32_t port;
	int err = xs_read_u32(dev->xs, XS_NO_TXN, dir, "event-channel-tx",
			      UINT32_MAX, &port);

	if (err == -ENOENT) {
		err = read_number(dev, dir, "event-channel", &ret->tx_port);
		ret->rx_port = ret->tx_port;
		return err;
	}
	err = read_number(dev, dir, "event-channel-tx", &ret->tx_port);
	if (!err)
		err = read_number(dev, dir, "event-channel-rx", &ret->rx_port);
	return err;
}

/* A single queue is in the frontend's directory itself. */
static int read_queue(struct xenbus_device *dev, struct queue_params *ret)
{
	char dir[sizeof(dev->otherend) + sizeof("/queue-65535")];
	int err;

	if (ret->nr_queues == 1)
		err = str_printf(dir, sizeof(dir), "%s", dev->otherend);
	else
		err = str_printf(dir, sizeof(dir), "%s/queue-%u", dev->otherend,
				 ret->queue);
	if (err < 0)
		return err;
	err = read_number(dev, dir, "tx-ring-ref", &ret->tx_ref);
	if (!err)
		err = read_number(dev, dir, "rx-ring-ref", &ret->rx_ref);
	if (!err)
		err = read_ports(dev, dir, ret);
	return err;
}

int vif_params_read(struct xenbus_device *dev,
		    struct queue_params ret[RECORD_QUEUES_MAX])
{
	struct queue_params common = {
		.domid = dev->otherend_id,
		.handle = dev->handle,
	};
	int err = read_common(dev, &common);

	for (uint16_t i = 0; !err && i < common.nr_queues; i++) {
		ret[i] = common;
		ret[i].queue = i;
		err = read_queue(dev, &ret[i]);
	}
	return err;
}

int vif_wishes_read(struct xenbus_device *dev, struct queue_wishes *ret,
		    const char **ret_node)
{
	uint32_t mcast, headroom;
	int err;

	*ret_node = VIF_WISH_MCAST;
	err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				  VIF_WISH_MCAST, 1, 0, &mcast);
	if (err)
		return err;
	*ret_node = "xdp-headroom";
	err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->otherend,
				  "xdp-headroom", QUEUE_HEADROOM_MAX, 0,
				  &headroom);
	if (err)
		return err;
	*ret = (struct queue_wishes){
		.mcast = mcast,
		.headroom_bytes = headroom,
	};
	return 0;
}
