/* SPDX-License-Identifier: MIT */
/*
 * uplink.c - frames between a NIC driver and the switch; see uplink.h.
 * Neighbours: nic/ (the interface itself), flow.c (which of its queues), cut.c
 * (frames too large for it), switch.c. Data thread.
 */
#include "netback/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netback/cut.h"
#include "netback/flow.h"
#include "util/log.h"

/* One queue of the interface, as a source of the data thread. */
struct uplink_queue {
	struct work_source src;
	struct uplink *up;
	unsigned index;
};

struct uplink {
	struct switch_port port;
	struct nic *nic;
	struct flow_key key;
	struct uplink_stats stats;
	struct uplink_queue queues[NIC_QUEUES_MAX];
	unsigned nr_queues;
};

static void receive(struct uplink *up, const struct nic_frame *in,
		    uint64_t now_ns)
{
	struct frame frame;

	frame.size_bytes = in->size_bytes;
	frame.meta = in->meta;
	frame.head_bytes = in->size_bytes < PACKET_HEAD_MAX ? in->size_bytes
							    : PACKET_HEAD_MAX;
	memcpy(frame.head, in->data, frame.head_bytes);
	frame.nr_parts = 0;
	if (in->size_bytes > frame.head_bytes)
		frame.parts[frame.nr_parts++] = (struct frame_part){
			.base = (const void PV_SHARED *)(in->data +
							 frame.head_bytes),
			.size_bytes = in->size_bytes - frame.head_bytes,
		};
	if (packet_check_meta(frame.head, frame.head_bytes, frame.size_bytes,
			      &frame.meta, &frame.layout)) {
		up->stats.errors++;
		return;
	}
	up->stats.received++;
	switch_forward(&up->port, &frame, now_ns);
}

/* The interface is gone for good. What is sent from now on is an error. */
static void uplink_lost(struct uplink *up, int err)
{
	log_error("uplink %s: reading: %s", up->nic->desc.ifname,
		  strerror(-err));
	for (unsigned i = 0; i < up->nr_queues; i++)
		worker_remove(&up->queues[i].src);
}

/*
 * One burst: a second look for more would mostly be for nothing, and this is
 * done again as long as there was some.
 */
static unsigned uplink_poll(struct work_source *src, unsigned budget)
{
	struct uplink_queue *q = container_of(src, struct uplink_queue, src);
	struct uplink *up = q->up;
	struct nic_frame frames[NIC_BURST_MAX];
	uint64_t now_ns = worker_round_ns(src);
	unsigned cost = 0;
	int n;

	if (!budget)
		return 0;
	n = up->nic->ops->recv(up->nic, q->index, frames,
			       budget < NIC_BURST_MAX ? budget : NIC_BURST_MAX);
	if (n < 0) {
		uplink_lost(up, n);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		receive(up, &frames[i], now_ns);
		cost += worker_cost(frames[i].size_bytes);
	}
	if (n)
		switch_flush(up->port.sw);
	return cost;
}

/* The interface's descriptor says by itself when there is more. */
static bool uplink_arm(struct work_source *src)
{
	(void)src;
	return false;
}

static const struct work_source_ops uplink_source_ops = {
	.poll = uplink_poll,
	.arm = uplink_arm,
};

static unsigned choose_queue(const struct uplink *up, const struct frame *frame)
{
	struct flow flow;

	if (up->nr_queues == 1)
		return 0;
	flow_parse(frame->head, frame->head_bytes, &flow);
	return flow_hash(&up->key, &flow) % up->nr_queues;
}

static int send_frame(struct uplink *up, unsigned queue,
		      const struct frame *frame)
{
	int err = up->nic->ops->send(up->nic, queue, frame);

	if (!err)
		up->stats.sent++;
	else if (err == -EAGAIN)
		up->stats.full++;
	else
		up->stats.errors++;
	return err;
}

/* In pieces, until there is no room for one. 0: there was for the first. */
static int send_cut(struct uplink *up, unsigned queue,
		    const struct frame *frame)
{
	struct frame piece;
	struct cut cut;
	bool any = false;
	int err = cut_begin(&cut, frame, NIC_FRAME_MAX);

	while (!err && cut_next(&cut, &piece)) {
		frame_fill_csum(&piece);
		err = send_frame(up, queue, &piece);
		any |= !err;
	}
	return any ? 0 : err;
}

static int uplink_deliver(struct switch_port *port, const struct frame *frame)
{
	struct uplink *up = container_of(port, struct uplink, port);
	unsigned queue = choose_queue(up, frame);
	struct frame whole;

	if (!up->nic->ops->plain || !frame->meta.csum_blank)
		return send_frame(up, queue, frame);
	if (frame->meta.gso != PACKET_GSO_NONE)
		return send_cut(up, queue, frame);
	whole = *frame;
	frame_fill_csum(&whole);
	return send_frame(up, queue, &whole);
}

static void uplink_flush(struct switch_port *port)
{
	struct uplink *up = container_of(port, struct uplink, port);
	unsigned refused = up->nic->ops->flush(up->nic);

	up->stats.sent -= refused;
	up->stats.errors += refused;
}

static const struct switch_port_ops uplink_port_ops = {
	.deliver = uplink_deliver,
	.flush = uplink_flush,
};

static void init_queues(struct uplink *up)
{
	up->nr_queues = up->nic->desc.nr_queues;
	for (unsigned i = 0; i < up->nr_queues; i++) {
		struct uplink_queue *q = &up->queues[i];

		q->up = up;
		q->index = i;
		q->src.ops = &uplink_source_ops;
		q->src.fd = up->nic->ops->wait_fd(up->nic, i);
		q->src.extra_fd = -1;
	}
}

int uplink_open(const struct nic_desc *desc, const int *fds,
		struct uplink **ret)
{
	const struct nic_ops *ops = nic_by_name(desc->driver);
	struct uplink *up;
	int err;

	if (!ops)
		return -EPROTONOSUPPORT;
	if (!desc->nr_queues || desc->nr_queues > NIC_QUEUES_MAX)
		return -EINVAL;
	up = calloc(1, sizeof(*up));
	if (!up)
		return -ENOMEM;
	err = flow_key_init(&up->key);
	if (!err)
		err = ops->open(desc, fds, &up->nic);
	if (err) {
		free(up);
		return err;
	}
	init_queues(up);
	up->port.ops = &uplink_port_ops;
	up->port.uplink = true;
	*ret = up;
	return 0;
}

void uplink_close(struct uplink *up)
{
	if (!up)
		return;
	up->nic->ops->close(up->nic);
	free(up);
}

int uplink_start(struct uplink *up, struct worker *worker, struct vswitch *sw)
{
	int err = 0;

	for (unsigned i = 0; !err && i < up->nr_queues; i++)
		err = worker_add(worker, &up->queues[i].src);
	if (err)
		uplink_stop(up);
	else
		switch_add(sw, &up->port);
	return err;
}

void uplink_stop(struct uplink *up)
{
	for (unsigned i = 0; i < up->nr_queues; i++)
		worker_remove(&up->queues[i].src);
	switch_remove(&up->port);
}

struct uplink_stats uplink_stats(const struct uplink *up)
{
	struct uplink_stats stats = up->stats;

	stats.errors += up->nic->nr_alien;
	return stats;
}

bool uplink_link(const struct uplink *up, struct nic_link *ret)
{
	int err = up->nic->ops->link(up->nic, ret);

	if (err == -ENODEV)
		*ret = (struct nic_link){ .mtu = up->nic->desc.mtu };
	return !err || err == -ENODEV;
}

bool uplink_concerns(const struct uplink *up, const char *ifname)
{
	const struct nic_desc *desc = &up->nic->desc;

	return !ifname || !strcmp(ifname, desc->ifname) ||
	       !strcmp(ifname, desc->master);
}

void uplink_carrier(struct uplink *up, bool on)
{
	if (up->nic->ops->carrier)
		up->nic->ops->carrier(up->nic, on);
}
