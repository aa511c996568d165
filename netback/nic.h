/* SPDX-License-Identifier: MIT */
/*
 * nic.h - the seam between netback's switch and a real network interface.
 *
 * As with storage, acquire() runs in the privileged monitor and hands
 * descriptors to the worker. Drivers are listed in nic_drivers[].
 *
 * An interface has one queue or several. All of them are served by one thread:
 * they are there for the other side, whose CPUs use them side by side. A flow
 * stays in order when it stays in one queue.
 *
 * Memory: a received frame stays where the driver put it and is forwarded from
 * there; it is given back by the next recv from the same queue. A frame to be
 * sent belongs to its sender, who may take it back when send returns: until
 * then the driver has copied it, or had the kernel do so.
 *
 * Thread: send, flush and recv are called on one data thread; link and carrier
 * on the control thread, at any time between open and close. Logs: never.
 */
#ifndef NETBACK_NIC_H
#define NETBACK_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netback/frame.h"
#include "util/annotate.h"
#include "util/packet.h"

#define NIC_FRAME_MAX  65550u /* a GSO frame with its Ethernet header */
#define NIC_FDS_MAX    4u
#define NIC_QUEUES_MAX 4u
#define NIC_BURST_MAX  64u /* frames of one recv */
#define NIC_NAME_MAX   16u /* an interface's name with its NUL */

/* What the monitor wants of acquire. */
struct nic_request {
	const char *name;   /* of the switch: what the toolstack called it */
	uint32_t nr_queues; /* 1 .. NIC_QUEUES_MAX; fewer may come */
};

/* What acquire made, for open. Plain data: it goes to another process. */
struct nic_desc {
	char driver[16];
	char ifname[NIC_NAME_MAX]; /* "": no interface of the kernel's */
	char master[NIC_NAME_MAX]; /* the bridge that it is in; "": none */
	uint32_t mtu;		   /* when it was made */
	uint32_t nr_queues;
	int32_t nr_fds;
};

/* The way out as it is now; nic_watch tells when it is another. */
struct nic_link {
	bool up; /* interface and bridge are up, and have a carrier */
	uint32_t mtu;
};

/* A received frame, Ethernet header first, in the driver's memory. */
struct nic_frame {
	const uint8_t *data;
	uint32_t size_bytes; /* PACKET_ETH_BYTES .. NIC_FRAME_MAX */
	struct packet_meta meta;
};

struct nic;

struct nic_ops {
	const char *name;
	const char *help; /* one line for --list-drivers */
	/*
	 * send takes whole checksums only, and nothing to be segmented: that
	 * is done before.
	 */
	bool plain;
	/*
	 * Monitor: make the uplink of a switch; for tap, a TAP with a vnet
	 * header enslaved to the kernel bridge of that name, up. why gets one
	 * sentence on failure.
	 */
	int (*acquire)(const struct nic_request *req, struct nic_desc *desc,
		       int fds[NIC_FDS_MAX], char *why, size_t why_size);
	/* Worker: takes the descriptors over, on success only. */
	int (*open)(const struct nic_desc *desc, const int *fds,
		    struct nic **ret);
	/* Frames that were received and not given back go too. */
	void (*close)(struct nic *nic);
	/*
	 * Send a frame. layout is valid when meta.csum_blank. The interface may
	 * wait for flush with it. Returns 0; -EAGAIN no room (drop and count);
	 * -ENETDOWN the interface is down; -EMSGSIZE longer than it can send;
	 * another -errno.
	 */
	int (*send)(struct nic *nic, unsigned queue, const struct frame *frame);
	/*
	 * Out with what was sent, in all queues. Returns how many frames of
	 * which send had said 0 were refused after all.
	 */
	unsigned (*flush)(struct nic *nic);
	/*
	 * Receive up to max <= NIC_BURST_MAX frames, in their order, and give
	 * back those that the last recv from this queue returned. Frames that
	 * cannot be expressed towards a guest are skipped and counted in
	 * nr_alien. Returns how many, 0 when there are none or the interface is
	 * down, or -errno: it is gone for good.
	 */
	int (*recv)(struct nic *nic, unsigned queue, struct nic_frame *frames,
		    unsigned max);
	/* Readable when recv may find a frame, or -1: it never does. */
	int (*wait_fd)(struct nic *nic, unsigned queue);
	/* Control thread. -ENODEV: the interface was removed. */
	int (*link)(struct nic *nic, struct nic_link *ret);
	/*
	 * Control thread: there is (not) anybody behind the interface. NULL:
	 * its carrier is not ours to set.
	 */
	void (*carrier)(struct nic *nic, bool up);
};

/* The driver embeds this. */
struct nic {
	const struct nic_ops *ops;
	struct nic_desc desc;
	uint64_t nr_alien;
};

/*
 * The kernel's news of its links, on the control thread, which waits for the
 * descriptor. news is called by nic_watch_read with the interface's name; NULL:
 * some news were lost, any link may be another.
 */
struct nic_watch;
typedef void nic_news_fn(void *arg, const char *ifname);
int nic_watch_open(nic_news_fn *news, void *arg,
		   struct nic_watch **ret) PV_MUST_CHECK;
void nic_watch_close(struct nic_watch *watch); /* NULL is fine */
int nic_watch_fd(const struct nic_watch *watch);
void nic_watch_read(struct nic_watch *watch);

extern const struct nic_ops *const nic_drivers[]; /* NULL-terminated */
const struct nic_ops *nic_by_name(const char *name);

#endif /* NETBACK_NIC_H */
