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

#define NIC_FRAME_MAX 65550u /* a GSO frame with its Ethernet header */
#define NIC_FDS_MAX   4u
#define NIC_IOV_MAX   24u

/* What a frame asks of its receiver, in netif's and virtio's common terms. */
enum nic_gso { NIC_GSO_NONE, NIC_GSO_TCPV4, NIC_GSO_TCPV6 };

struct nic_meta {
	bool csum_blank;     /* the L4 checksum holds only the pseudo header */
	bool data_validated; /* the sender vouches for the checksum */
	enum nic_gso gso;
	uint16_t gso_size;   /* payload bytes per segment */
	uint16_t csum_start; /* from the frame's first byte; csum_blank only */
	uint16_t csum_offset;
};

struct nic_desc {
	char driver[16];
	char ifname[16];
	uint32_t mtu;
	int32_t nr_fds;
};

struct nic;

struct nic_ops {
	const char *name;
	/*
	 * Monitor: make the uplink of the switch called bridge: for tap, a TAP
	 * with a vnet header enslaved to the kernel bridge of that name, up.
	 */
	int (*acquire)(const char *bridge, struct nic_desc *desc,
		       int fds[NIC_FDS_MAX], char *why, size_t why_size);
	int (*open)(const struct nic_desc *desc, const int *fds,
		    struct nic **ret);
	void (*close)(struct nic *nic);
	/*
	 * Send one frame given as iov[nr] (Ethernet header first). Returns 0;
	 * -EAGAIN the interface is full (drop and count); another -errno.
	 */
	int (*send)(struct nic *nic, const struct iovec *iov, unsigned nr,
		    const struct nic_meta *meta);
	/*
	 * Receive one frame into buf. Returns its length, 0 when there is
	 * none, or -errno.
	 */
	int (*recv)(struct nic *nic, void *buf, size_t size,
		    struct nic_meta *meta);
	int (*wait_fd)(struct nic *nic);
};

struct nic {
	const struct nic_ops *ops;
	struct nic_desc desc;
};

extern const struct nic_ops *const nic_drivers[]; /* NULL-terminated */
const struct nic_ops *nic_by_name(const char *name);

#endif /* NETBACK_NIC_H */
