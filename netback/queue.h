/* SPDX-License-Identifier: MIT */
/*
 * queue.h - a vif's two rings: a source of the data thread and a port of the
 * switch.
 *
 * Transmit: chains are taken off the ring, parsed, and forwarded at once from
 * the guest's own pages; then they are answered. Receive: the switch calls
 * deliver, which copies into the buffers that the guest has posted, or drops.
 * Nothing is queued on our side, so a guest that does not read costs nothing.
 *
 * Made and freed on the control thread; started, stopped and used in between
 * on the data thread. Logs: never; counts, and calls fault.
 */
#ifndef NETBACK_QUEUE_H
#define NETBACK_QUEUE_H

#include "netback/record.h"
#include "netback/switch.h"
#include "platform/platform.h"
#include "worker/worker.h"

/* What the frontend can receive. */
#define QUEUE_SG	0x01u /* a frame in more than one buffer */
#define QUEUE_GSO_TCPV4 0x02u
#define QUEUE_GSO_TCPV6 0x04u
#define QUEUE_CSUM_IPV4 0x08u /* a blank checksum */
#define QUEUE_CSUM_IPV6 0x10u

struct queue_stats {
	uint64_t tx_frames, tx_bytes;
	uint64_t tx_errors; /* answered with an error */
	uint64_t rx_frames, rx_bytes;
	uint64_t rx_full;   /* dropped: no buffers posted */
	uint64_t rx_unable; /* dropped: more than the frontend can take */
	uint64_t rx_errors; /* dropped: a buffer that cannot be mapped */
};

/*
 * The frontend broke a rule (err -EPROTO), or is gone (-EPIPE). Called at most
 * once, on the data thread; the queue has stopped itself.
 */
typedef void queue_fault_fn(void *arg, int err, const char *why);

struct queue_config {
	struct platform *platform;
	domid_t domid;
	uint8_t mac[PACKET_MAC_BYTES];
	struct vif_record *record; /* outlives the queue */
	bool resume;		   /* go on where the record ends */
	queue_fault_fn *fault;
	void *fault_arg;
};

struct queue;

/* Map the rings, bind the channels. Control thread. */
int queue_open(const struct queue_config *config,
	       struct queue **ret) PV_MUST_CHECK;
/* keep: leave the channels bound for a successor. NULL is fine. */
void queue_close(struct queue *q, bool keep);

/* Data thread. */
int queue_start(struct queue *q, struct worker *worker,
		struct vswitch *sw) PV_MUST_CHECK;
void queue_stop(struct queue *q);
struct queue_stats queue_stats(const struct queue *q);

#endif /* NETBACK_QUEUE_H */
