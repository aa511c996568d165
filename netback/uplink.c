/* SPDX-License-Identifier: MIT */
/*
 * uplink.c - frames between a NIC driver and the switch; see uplink.h.
 * Neighbours: nic/ (the interface itself), switch.c. Data thread.
 */
#include "netback/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"

struct uplink {
	struct work_source src;
	struct switch_port port;
	struct nic *nic;
	struct uplink_stats stats;
	uint8_t buf[NIC_FRAME_MAX];
};

/* Forward the frame in buf. */
static void receive(struct uplink *up, uint32_t size_bytes,
		    const struct packet_meta *meta, uint64_t now_ns)
{
	struct frame frame;

	frame.size_bytes = size_bytes;
	frame.meta = *meta;
	frame.head_bytes =
		size_bytes < PACKET_HEAD_MAX ? size_bytes : PACKET_HEAD_MAX;
	memcpy(frame.head, up->buf, frame.head_bytes);
	frame.nr_parts = 0;
	if (size_bytes > frame.head_bytes)
		frame.parts[frame.nr_parts++] = (struct frame_part){
			.base = (const void PV_SHARED *)(up->buf +
							 frame.head_bytes),
			.size_bytes = size_bytes - frame.head_bytes,
		};
	if (packet_check_meta(frame.head, frame.head_bytes, size_bytes,
			      &frame.meta, &frame.layout)) {
		up->stats.errors++;
		return;
	}
	up->stats.received++;
	switch_forward(&up->port, &frame, now_ns);
}

static unsigned uplink_poll(struct work_source *src, unsigned budget)
{
	struct uplink *up = container_of(src, struct uplink, src);
	struct vswitch *sw = up->port.sw;
	uint64_t now_ns = 0;
	unsigned done;

	for (done = 0; done < budget; done++) {
		struct packet_meta meta;
		int n = up->nic->ops->recv(up->nic, up->buf, sizeof(up->buf),
					   &meta);

		if (n == 0)
			break;
		if (n == -EPROTO) {
			up->stats.errors++;
			continue;
		}
		if (n < 0) {
			log_error("uplink %s: reading: %s",
				  up->nic->desc.ifname, strerror(-n));
			worker_remove(&up->src);
			break;
		}
		if (!now_ns)
			now_ns = clock_now_ns();
		receive(up, (uint32_t)n, &meta, now_ns);
	}
	if (done)
		switch_flush(sw);
	return done;
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

static int uplink_deliver(struct switch_port *port, const struct frame *frame)
{
	struct uplink *up = container_of(port, struct uplink, port);
	struct iovec iov[FRAME_PARTS_MAX + 1];
	int err;

	iov[0] = (struct iovec){ (void *)(uintptr_t)frame->head,
				 frame->head_bytes };
	for (unsigned i = 0; i < frame->nr_parts; i++)
		iov[i + 1] = (struct iovec){
			(void *)(uintptr_t)frame->parts[i].base,
			frame->parts[i].size_bytes,
		};
	err = up->nic->ops->send(up->nic, iov, frame->nr_parts + 1,
				 &frame->meta, &frame->layout);
	if (!err)
		up->stats.sent++;
	else if (err == -EAGAIN)
		up->stats.full++;
	else
		up->stats.errors++;
	return err;
}

static void uplink_flush(struct switch_port *port)
{
	(void)port;
}

static const struct switch_port_ops uplink_port_ops = {
	.deliver = uplink_deliver,
	.flush = uplink_flush,
};

int uplink_open(const struct nic_desc *desc, const int *fds,
		struct uplink **ret)
{
	const struct nic_ops *ops = nic_by_name(desc->driver);
	struct uplink *up;
	int err;

	if (!ops)
		return -EPROTONOSUPPORT;
	up = calloc(1, sizeof(*up));
	if (!up)
		return -ENOMEM;
	err = ops->open(desc, fds, &up->nic);
	if (err) {
		free(up);
		return err;
	}
	up->src.ops = &uplink_source_ops;
	up->src.fd = ops->wait_fd(up->nic);
	up->src.extra_fd = -1;
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
	int err = worker_add(worker, &up->src);

	if (err)
		return err;
	switch_add(sw, &up->port);
	return 0;
}

void uplink_stop(struct uplink *up)
{
	worker_remove(&up->src);
	switch_remove(&up->port);
}

struct uplink_stats uplink_stats(const struct uplink *up)
{
	return up->stats;
}
