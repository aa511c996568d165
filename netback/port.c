/* SPDX-License-Identifier: MIT */
/*
 * port.c - a vif's queues as one port of the switch; see port.h. Neighbours:
 * queue.c (one queue), flow.c and rss.c (which one), ctrl.c, mcast.c, switch.c;
 * vif_queues.c calls. Data thread but for open and close.
 */
#include "netback/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netback/ctrl.h"
#include "netback/flow.h"
#include "netback/nic.h"
#include "util/clock.h"

struct vif_port {
	struct switch_port port;
	struct queue_common common;
	struct queue *queues[RECORD_QUEUES_MAX];
	uint32_t nr_queues;
	uint32_t dirty; /* queues to flush, a bit for each */
	struct flow_key key;
	struct rss *rss;
	struct rss_table table;
	uint64_t nr_filtered, nr_link_down;
	struct ctrl_ring *ctrl; /* NULL: none */
	queue_fault_fn *fault;
	void *fault_arg;
};

/* One queue is at fault, and with it the vif: the others stop too. */
static void port_fail(void *arg, int err, const char *why)
{
	struct vif_port *p = arg;

	for (uint32_t i = 0; i < p->nr_queues; i++)
		queue_stop(p->queues[i]);
	if (p->ctrl)
		ctrl_ring_stop(p->ctrl);
	switch_remove(&p->port);
	p->fault(p->fault_arg, err, why);
}

/* By the frontend's hash, when it asked for one, else by our own. */
static uint32_t choose_queue(const struct vif_port *p,
			     const struct frame *frame,
			     struct queue_hash *ret_hash)
{
	struct flow flow;

	ret_hash->known = false;
	if (!rss_active(p->rss) && p->nr_queues == 1)
		return 0;
	flow_parse(frame->head, frame->head_bytes, &flow);
	if (!rss_active(p->rss))
		return flow_hash(&p->key, &flow) % p->nr_queues;
	ret_hash->known = rss_hash(p->rss, &p->table, &flow, &ret_hash->type,
				   &ret_hash->value);
	return rss_queue(p->rss, ret_hash->value, p->nr_queues);
}

static int port_deliver(struct switch_port *port, const struct frame *frame)
{
	struct vif_port *p = container_of(port, struct vif_port, port);
	struct queue_hash hash;
	uint32_t i;
	int err;

	if (port->rules.down) {
		p->nr_link_down++;
		return -ENETDOWN;
	}
	if (p->common.wishes.mcast &&
	    mcast_drops(p->common.mcast, frame->head)) {
		p->nr_filtered++;
		return -EPERM;
	}
	i = choose_queue(p, frame, &hash);
	err = queue_deliver(p->queues[i], frame, &hash);
	if (!err)
		p->dirty |= 1u << i;
	return err;
}

static void port_flush(struct switch_port *port)
{
	struct vif_port *p = container_of(port, struct vif_port, port);

	for (; p->dirty; p->dirty &= p->dirty - 1)
		queue_flush(p->queues[__builtin_ctz(p->dirty)]);
}

static const struct switch_port_ops vif_port_ops = {
	.deliver = port_deliver,
	.flush = port_flush,
};

/* ---- life -------------------------------------------------------------- */

void vif_port_set_rules(struct vif_port *port, const struct switch_rules *rules)
{
	switch_set_rules(&port->port, rules, clock_now_ns());
}

void vif_port_set_mac(struct vif_port *port,
		      const uint8_t mac[PACKET_MAC_BYTES])
{
	struct vswitch *sw = port->port.sw;

	switch_remove(&port->port);
	memcpy(port->port.mac, mac, PACKET_MAC_BYTES);
	if (sw)
		switch_add(sw, &port->port);
}

void vif_port_set_wishes(struct vif_port *port,
			 const struct queue_wishes *wishes)
{
	port->common.wishes = *wishes;
}

static int open_ctrl(struct vif_port *p, struct queue_record *first,
		     bool resume)
{
	const struct ctrl_subject subject = {
		.common = &p->common,
		.rss = p->rss,
		.table = &p->table,
		.queues = p->queues,
		.nr_queues = p->nr_queues,
		.change = &first->vif.change,
	};

	if (!first->params.has_ctrl)
		return 0;
	return ctrl_ring_open(&subject, &first->params, &first->vif.ctrl,
			      resume, &p->ctrl);
}

/* What a predecessor was asked for. */
static int attach_record(struct vif_port *p, struct vif_record *record)
{
	if (record->rss.mapping_size > RSS_MAPPING_MAX ||
	    record->mcast.nr > MCAST_MAX ||
	    record->change.nr > RECORD_PAGES_MAX)
		return -EPROTO;
	p->rss = &record->rss;
	rss_table_init(&p->table, p->rss->key);
	p->common.mcast = &record->mcast;
	return 0;
}

static int open_queues(struct vif_port *p, const struct vif_port_config *config,
		       uint32_t *ret_queue)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < config->nr_queues; i++) {
		*ret_queue = i;
		err = queue_open(&p->common, config->records[i], config->resume,
				 &p->queues[i]);
		p->nr_queues += !err;
	}
	return err;
}

int vif_port_open(const struct vif_port_config *config, struct vif_port **ret,
		  uint32_t *ret_queue)
{
	struct vif_port *p = calloc(1, sizeof(*p));
	uint32_t can;
	int err;

	_Static_assert(RECORD_QUEUES_MAX <= 8 * sizeof(p->dirty), "dirty");
	*ret_queue = 0;
	if (!p)
		return -ENOMEM;
	can = config->records[0]->params.features;
	p->port.ops = &vif_port_ops;
	memcpy(p->port.mac, config->mac, PACKET_MAC_BYTES);
	if (config->rules)
		vif_port_set_rules(p, config->rules);
	p->fault = config->fault;
	p->fault_arg = config->fault_arg;
	p->common = (struct queue_common){
		.platform = config->platform,
		.domid = config->domid,
		.port = &p->port,
		.features = can,
		.wishes = config->wishes,
		.fault = port_fail,
		.fault_arg = p,
		.limiters = config->limiters,
	};
	err = flow_key_init(&p->key);
	if (!err)
		err = attach_record(p, &config->records[0]->vif);
	if (!err)
		err = open_queues(p, config, ret_queue);
	if (!err)
		err = open_ctrl(p, config->records[0], config->resume);
	if (err) {
		vif_port_close(p, config->resume);
		return err;
	}
	*ret = p;
	return 0;
}

void vif_port_close(struct vif_port *port, bool keep)
{
	if (!port)
		return;
	for (uint32_t i = 0; i < port->nr_queues; i++)
		queue_close(port->queues[i], keep);
	ctrl_ring_close(port->ctrl, keep);
	if (!keep)
		platform_forget(port->common.platform, port->common.domid);
	free(port);
}

int vif_port_start(struct vif_port *port, struct worker *worker,
		   struct vswitch *sw)
{
	int err = 0;

	switch_add(sw, &port->port);
	for (uint32_t i = 0; !err && i < port->nr_queues; i++)
		err = queue_start(port->queues[i], worker);
	if (!err && port->ctrl)
		err = ctrl_ring_start(port->ctrl, worker);
	if (err)
		vif_port_stop(port);
	return err;
}

void vif_port_stop(struct vif_port *port)
{
	for (uint32_t i = 0; i < port->nr_queues; i++)
		queue_stop(port->queues[i]);
	if (port->ctrl)
		ctrl_ring_stop(port->ctrl);
	switch_remove(&port->port);
}

struct switch_port *vif_port_switch_port(struct vif_port *port)
{
	return &port->port;
}

void vif_port_set_limiters(struct vif_port *port,
			   const struct limiter_pair *limiters)
{
	port->common.limiters = *limiters;
	for (uint32_t i = 0; i < port->nr_queues; i++)
		queue_limits_changed(port->queues[i]);
}

void vif_port_traffic(const struct vif_port *port, uint32_t queue,
		      struct traffic *to)
{
	queue_traffic(port->queues[queue], to);
	/* Before a queue was chosen. */
	if (queue)
		return;
	to->rx_drops[TRAFFIC_DROP_FILTERED] += port->nr_filtered;
	to->rx_drops[TRAFFIC_DROP_LINK] += port->nr_link_down;
}
