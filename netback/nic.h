/* SPDX-License-Identifier: MIT */
/*
 * nic.h - the seam between netback's switch and a real network interface.
 *
 * As with storage, acquire() runs in the privileged monitor and hands
 * descriptors to the worker. Drivers are listed in nic_drivers[].
 *
 * Thread: a nic belongs to one data thread. Logs: never.
 */
#ifndef NETBACK_NIC_H
#define NETBACK_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/annotate.h"
#include "util/packet.h"

#define NIC_FRAME_MAX 65550u /* a GSO frame with its Ethernet header */
#define NIC_FDS_MAX   4u
#define NIC_IOV_MAX   24u

struct nic_desc {
	char driver[16];
	char ifname[16];
	uint32_t mtu;
	int32_t nr_fds;
};

struct nic;

struct nic_ops {
	const char *name;
	const char *help; /* one line for --list-drivers */
	/*
	 * Monitor: make the uplink of the switch called bridge: for tap, a TAP
	 * with a vnet header enslaved to the kernel bridge of that name, up.
	 */
	int (*acquire)(const char *bridge, struct nic_desc *desc,
		       int fds[NIC_FDS_MAX], char *why, size_t why_size);
	/* Worker: takes the descriptors over, on success only. */
	int (*open)(const struct nic_desc *desc, const int *fds,
		    struct nic **ret);
	void (*close)(struct nic *nic);
	/*
	 * Send one frame given as iov[nr], nr <= NIC_IOV_MAX, Ethernet header
	 * first. layout is valid when meta->csum_blank. Returns 0; -EAGAIN the
	 * interface is full (drop and count); another -errno.
	 */
	int (*send)(struct nic *nic, const struct iovec *iov, unsigned nr,
		    const struct packet_meta *meta,
		    const struct packet_layout *layout);
	/*
	 * Receive one frame into buf. Returns its length, 0 when there is
	 * none, or -errno.
	 */
	int (*recv)(struct nic *nic, void *buf, size_t size,
		    struct packet_meta *meta);
	/* Readable when recv may find a frame, or -1: it never does. */
	int (*wait_fd)(struct nic *nic);
};

struct nic {
	const struct nic_ops *ops;
	struct nic_desc desc;
};

extern const struct nic_ops *const nic_drivers[]; /* NULL-terminated */
const struct nic_ops *nic_by_name(const char *name);

#endif /* NETBACK_NIC_H */
