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

static int null_acquire(const char *bridge, struct nic_desc *desc,
			int fds[NIC_FDS_MAX], char *why, size_t why_size)
{
	(void)bridge;
	(void)fds;
	(void)why;
	(void)why_size;
	*desc = (struct nic_desc){ .mtu = 1500 };
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

static int null_send(struct nic *nic, const struct iovec *iov, unsigned nr,
		     const struct packet_meta *meta,
		     const struct packet_layout *layout)
{
	(void)nic;
	(void)iov;
	(void)nr;
	(void)meta;
	(void)layout;
	return 0;
}

static int null_recv(struct nic *nic, void *buf, size_t size,
		     struct packet_meta *meta)
{
	(void)nic;
	(void)buf;
	(void)size;
	(void)meta;
	return 0;
}

static int null_wait_fd(struct nic *nic)
{
	(void)nic;
	return -1;
}

const struct nic_ops nic_null = {
	.name = "null",
	.help = "swallows every frame: measures the framework alone",
	.acquire = null_acquire,
	.open = null_open,
	.close = null_close,
	.send = null_send,
	.recv = null_recv,
	.wait_fd = null_wait_fd,
};
