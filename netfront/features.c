/* SPDX-License-Identifier: MIT */
/*
 * features.c - the nodes of a vif: what the backend offers, what we answer.
 *
 * Backends from the oldest to ours: whatever is absent is not offered. Copying
 * receivers (feature-rx-copy) are the one thing that we cannot do without.
 * Called by connect.c; control thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfront/private.h"
#include "util/num.h"
#include "util/packet.h"

#define MTU_MIN	    68u
#define MTU_DEFAULT 1500u
/* What is left of the largest frame without its Ethernet header. */
#define MTU_MAX (NETFRONT_SEND_MAX - PACKET_ETH_BYTES)

static int read_node(struct netfront *nf, const char *node, uint32_t max,
		     uint32_t absent, uint32_t *ret)
{
	int err = xs_read_u32_default(nf->xs, XS_NO_TXN, nf->dev.otherend, node,
				      max, absent, ret);

	if (err)
		log_limited(&nf->limit, LOG_ERROR, "%s: reading %s/%s: %s",
			    nf->dev.name, nf->dev.otherend, node,
			    strerrordesc_np(-err));
	return err;
}

static int read_flag(struct netfront *nf, const char *node, bool *ret)
{
	uint32_t value;
	int err = read_node(nf, node, 1, 0, &value);

	if (!err)
		*ret = value;
	return err;
}

int net_features_read_transport(struct netfront *nf, struct transport *ret)
{
	bool rx_copy, headroom;
	uint32_t queues;
	int err = read_flag(nf, "feature-rx-copy", &rx_copy);

	if (!err)
		err = read_flag(nf, "feature-split-event-channels",
				&ret->split_channels);
	if (!err)
		err = read_node(nf, "multi-queue-max-queues", UINT32_MAX, 1,
				&queues);
	if (!err)
		err = read_flag(nf, "feature-ctrl-ring", &ret->ctrl_ring);
	if (!err)
		err = read_flag(nf, "feature-xdp-headroom", &headroom);
	if (err)
		return err;
	if (!rx_copy) {
		log_limited(&nf->limit, LOG_ERROR,
			    "%s: the backend lacks feature-rx-copy",
			    nf->dev.name);
		return -EOPNOTSUPP;
	}
	ret->nr_rings = queues < nf->nr_queues ? queues : nf->nr_queues;
	if (!ret->nr_rings)
		ret->nr_rings = 1;
	ret->headroom_bytes = headroom ? nf->headroom_bytes : 0;
	return 0;
}

int net_features_read_offloads(struct netfront *nf, struct netfront_info *info)
{
	int err = read_flag(nf, "feature-sg", &info->sg);

	if (!err)
		err = read_flag(nf, "feature-gso-tcpv4", &info->gso_tcpv4);
	if (!err)
		err = read_flag(nf, "feature-gso-tcpv6", &info->gso_tcpv6);
	if (!err)
		err = read_flag(nf, "feature-ipv6-csum-offload",
				&info->csum_v6);
	if (!info->sg)
		info->gso_tcpv4 = info->gso_tcpv6 = false;
	return err;
}

static int read_mtu(struct netfront *nf, uint32_t *ret)
{
	uint32_t mtu;
	int err = xs_read_u32_default(nf->xs, XS_NO_TXN, nf->dev.node, "mtu",
				      MTU_MAX, MTU_DEFAULT, &mtu);

	if (!err && mtu < MTU_MIN)
		err = -ERANGE;
	if (!err)
		*ret = mtu;
	return err;
}

int net_features_read_config(struct netfront *nf, struct netfront_info *info)
{
	char mac[32];
	int err = xs_read_str(nf->xs, XS_NO_TXN, nf->dev.node, "mac", mac,
			      sizeof(mac));

	if (!err)
		err = packet_parse_mac(mac, info->mac);
	return err ? err : read_mtu(nf, &info->mtu);
}

int net_features_read_changes(struct netfront *nf, struct netfront_info *info)
{
	uint32_t carrier;
	int err = net_features_read_config(nf, info);

	if (!err)
		err = read_node(nf, "carrier", 1, 1, &carrier);
	if (!err)
		nf->carrier = carrier;
	return err;
}

/* ---- publishing -----------------------------------------------------------
 */

static bool is_of_rings(const char *node)
{
	return strcmp(node, "tx-ring-ref") == 0 ||
	       strcmp(node, "rx-ring-ref") == 0 ||
	       strncmp(node, "event-channel", 13) == 0 ||
	       strncmp(node, "queue-", 6) == 0 ||
	       strcmp(node, "ctrl-ring-ref") == 0 ||
	       strcmp(node, "xdp-headroom") == 0 ||
	       strcmp(node, "multi-queue-num-queues") == 0;
}

/* Remove what an earlier connection, with other rings, has left. */
static int forget_rings(struct xs *xs, xs_txn_t tx, const char *dir)
{
	char path[sizeof(((struct xenbus_device *)0)->node) + 32];
	char **nodes;
	unsigned nr;
	int err = xs_directory(xs, tx, dir, &nodes, &nr);

	if (err)
		return err;
	for (unsigned i = 0; !err && i < nr; i++) {
		if (!is_of_rings(nodes[i]) ||
		    str_printf(path, sizeof(path), "%s/%s", dir, nodes[i]) < 0)
			continue;
		err = xs_rm(xs, tx, path);
		if (err == -ENOENT)
			err = 0;
	}
	free(nodes);
	return err;
}

static int publish_queue(struct xs *xs, xs_txn_t tx, const char *dir,
			 const struct netfront_queue *q)
{
	bool split = q->rx_ev != q->tx_ev;
	int err =
		xs_printf(xs, tx, dir, "tx-ring-ref", "%u", q->rings.first_ref);

	if (!err)
		err = xs_printf(xs, tx, dir, "rx-ring-ref", "%u",
				q->rings.first_ref + 1);
	if (!err)
		err = xs_printf(xs, tx, dir,
				split ? "event-channel-tx" : "event-channel",
				"%u", evtchn_port(q->tx_ev));
	if (!err && split)
		err = xs_printf(xs, tx, dir, "event-channel-rx", "%u",
				evtchn_port(q->rx_ev));
	return err;
}

/* One queue is laid out as it was before there could be several. */
static int publish_queues(struct netfront *nf, struct xs *xs, xs_txn_t tx)
{
	char dir[sizeof(nf->dev.node) + 16];
	int err;

	if (nf->transport.nr_rings == 1)
		return publish_queue(xs, tx, nf->dev.node, &nf->queues[0]);
	err = xs_printf(xs, tx, nf->dev.node, "multi-queue-num-queues", "%u",
			nf->transport.nr_rings);
	for (uint32_t i = 0; !err && i < nf->transport.nr_rings; i++) {
		err = str_printf(dir, sizeof(dir), "%s/queue-%u", nf->dev.node,
				 i);
		if (err >= 0)
			err = publish_queue(xs, tx, dir, &nf->queues[i]);
	}
	return err;
}

static int publish_ctrl(struct netfront *nf, struct xs *xs, xs_txn_t tx)
{
	int err = xs_printf(xs, tx, nf->dev.node, "ctrl-ring-ref", "%u",
			    nf->ctrl.pages.first_ref);

	if (!err)
		err = xs_printf(xs, tx, nf->dev.node, "event-channel-ctrl",
				"%u", evtchn_port(nf->ctrl.ev));
	return err;
}

int net_features_publish(struct xs *xs, xs_txn_t tx, void *arg)
{
	static const char *const flags[] = {
		"request-rx-copy",   "feature-rx-notify",
		"feature-sg",	     "feature-gso-tcpv4",
		"feature-gso-tcpv6", "feature-ipv6-csum-offload",
	};
	struct netfront *nf = arg;
	int err = forget_rings(xs, tx, nf->dev.node);

	if (!err)
		err = publish_queues(nf, xs, tx);
	if (!err && nf->ctrl.ev)
		err = publish_ctrl(nf, xs, tx);
	if (!err && nf->transport.headroom_bytes)
		err = xs_printf(xs, tx, nf->dev.node, "xdp-headroom", "%u",
				nf->transport.headroom_bytes);
	for (unsigned i = 0; !err && i < ARRAY_SIZE(flags); i++)
		err = xs_printf(xs, tx, nf->dev.node, flags[i], "1");
	return err;
}
