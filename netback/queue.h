/* SPDX-License-Identifier: MIT */
/*
 * queue.h - one of a vif's queues, two rings: a source of the data thread, and
 * a part of the vif's port in the switch (port.h).
 *
 * Transmit: chains are taken off the ring, parsed, and forwarded at once from
 * the guest's own pages; then they are answered. Receive: the port calls
 * queue_deliver, which copies into the buffers that the guest has posted. What
 * finds none waits, bounded in bytes and in time, if the guest lives, which it
 * shows by posting buffers; else it is dropped. So a guest that does not read
 * costs nothing.
 *
 * Limits: a chain that may not be sent yet was taken off the ring and waits,
 * not answered; a successor finds it in the ring again. What comes for the
 * guest beyond its limit is dropped. What a chain costs is taken from its own
 * words, before they are checked.
 *
 * Made and freed on the control thread; started, stopped and used in between
 * on the data thread. Logs: never; counts, and calls fault.
 */
#ifndef NETBACK_QUEUE_H
#define NETBACK_QUEUE_H

#include "abi/netif.h"
#include "netback/record.h"
#include "netback/switch.h"
#include "netback/traffic.h"
#include "platform/platform.h"
#include "util/limiter.h"
#include "worker/worker.h"

/* What the frontend can receive. */
#define QUEUE_SG	0x01u /* a frame in more than one buffer */
#define QUEUE_GSO_TCPV4 0x02u
#define QUEUE_GSO_TCPV6 0x04u
#define QUEUE_CSUM_IPV4 0x08u /* a blank checksum */
#define QUEUE_CSUM_IPV6 0x10u

/* Most of a first buffer that may be left free. */
#define QUEUE_HEADROOM_MAX (PV_PAGE_SIZE / 2)

/* What the frontend may ask for, and change, while it is connected. */
struct queue_wishes {
	bool mcast; /* frames to wanted multicast addresses only */
	/* Left free in its first buffer before each frame (XDP). */
	uint32_t headroom_bytes;
};

/* A frame's hash, as the frontend asked for it. */
struct queue_hash {
	bool known;
	uint8_t type; /* bit number of XEN_NETIF_CTRL_HASH_TYPE_* */
	uint32_t value;
};

/*
 * The frontend broke a rule (err -EPROTO), or is gone (-EPIPE). On the data
 * thread; the queue has stopped itself.
 */
typedef void queue_fault_fn(void *arg, int err, const char *why);

/* What all queues of a vif have in common. */
struct queue_common {
	struct platform *platform;
	domid_t domid;
	struct switch_port *port; /* where their frames come from */
	uint32_t features;	  /* QUEUE_* */
	struct queue_wishes wishes;
	struct mcast *mcast; /* addresses asked for */
	queue_fault_fn *fault;
	void *fault_arg;
	/*
	 * Together they get one source's budget: each its part among those
	 * that had work in the round before.
	 */
	uint64_t round_ns;
	unsigned nr_busy, nr_busy_before;
	struct limiter_pair limiters;
	/* Of the port's, what is in the queues' figures already. */
	uint64_t drops_seen[SWITCH_NR_DROPS];
};

struct queue;

/*
 * Map the rings, bind the channels, as record says. Both outlive the queue.
 * resume: go on where the record ends. Control thread.
 */
int queue_open(struct queue_common *common, struct queue_record *record,
	       bool resume, struct queue **ret) PV_MUST_CHECK;
/* keep: leave the channels bound for a successor. NULL is fine. */
void queue_close(struct queue *q, bool keep);

/* Data thread. */
int queue_start(struct queue *q, struct worker *worker) PV_MUST_CHECK;
void queue_stop(struct queue *q);
/*
 * Copy a frame into the guest's buffers, with its hash, if it has one, or
 * behind those that wait for some. 0, or -errno: dropped and counted.
 */
int queue_deliver(struct queue *q, const struct frame *frame,
		  const struct queue_hash *hash) PV_MUST_CHECK;
/* Show the guest what was delivered. */
void queue_flush(struct queue *q);
/* common->limiters are others, or have other rates: look again. */
void queue_limits_changed(struct queue *q);
/* Add what it did so far to to. */
void queue_traffic(const struct queue *q, struct traffic *to);

/* ---- pages that stay mapped; up to RECORD_PAGES_MAX of a queue ---- */

/*
 * Add all of them, or none. A page that is there already is not mapped again.
 * -EINVAL an unknown flag; -ENOSPC; grant_cache_get's errors.
 */
int queue_add_pages(struct queue *q, const struct xen_netif_gref *list,
		    uint32_t nr) PV_MUST_CHECK;
/* Unmap it, if it was added. */
void queue_del_page(struct queue *q, grant_ref_t ref);
bool queue_has_page(const struct queue *q, grant_ref_t ref);
uint32_t queue_nr_pages(const struct queue *q);
/* Unmap those that were added last, but for nr. */
void queue_keep_pages(struct queue *q, uint32_t nr);

#endif /* NETBACK_QUEUE_H */
