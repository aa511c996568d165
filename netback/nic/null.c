/* SPDX-License-Identifier: MIT */
/*
 * null.c - an uplink that swallows every frame and never has one.
 *
 * For measuring the framework's own cost and for a switch that must look as if
 * it had an uplink. Neighbour: drivers.c. Thread: the data thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netback/nic/private.h"

static int null_acquire(const struct nic_request *req, struct nic_desc *desc,
			int fds[NIC_FDS_MAX], char *why, size_t why_size)
{
	(void)fds;
	(void)why;
	(void)why_size;
	*desc = (struct nic_desc){ .mtu = 1500, .nr_queues = req->nr_queues };
	memcpy(desc->driver, "null", sizeof("null"));
	return 0;
}

static int null_open(const struct nic_desc *desc, const int *fds,
		     struct nic **ret)
{
	struct nic *nic = calloc(1, sizeof(*nic));

	(void)fds;
	if (!nic)
		return -ENOMEM;
	nic->ops = &nic_null;
	nic->desc = *desc;
	*ret = nic;
	return 0;
}

static void null_close(struct nic *nic)
{
	free(nic);
}

static int null_send(struct nic *nic, unsigned queue, const struct frame *frame)
{
	(void)nic;
	(void)queue;
	(void)frame;
	return 0;
}

static unsigned null_flush(struct nic *nic)
{
	(void)nic;
	return 0;
}

static int null_recv(struct nic *nic, unsigned queue, struct nic_frame *frames,
		     unsigned max)
{
	(void)nic;
	(void)queue;
	(void)frames;
	(void)max;
	return 0;
}

static int null_wait_fd(struct nic *nic, unsigned queue)
{
	(void)nic;
	(void)queue;
	return -1;
}

static int null_link(struct nic *nic, struct nic_link *ret)
{
	*ret = (struct nic_link){ .up = true, .mtu = nic->desc.mtu };
	return 0;
}

const struct nic_ops nic_null = {
	.name = "null",
	.help = "swallows every frame: measures the framework alone",
	.acquire = null_acquire,
	.open = null_open,
	.close = null_close,
	.send = null_send,
	.flush = null_flush,
	.recv = null_recv,
	.wait_fd = null_wait_fd,
	.link = null_link,
};
