/* SPDX-License-Identifier: MIT */
/*
 * port.h - a vif as one port of the switch, with its queues behind it.
 *
 * All queues of a vif are sources of the switch's data thread: they give the
 * guest parallel senders, and keep what one of them has no buffers for out of
 * the others' way. Which queue a frame to the guest goes into is decided by the
 * flow it belongs to, so that a flow stays in order.
 *
 * Made and freed on the control thread; started, stopped and used in between
 * on the data thread. Logs: never.
 */
#ifndef NETBACK_PORT_H
#define NETBACK_PORT_H

#include "netback/queue.h"

struct vif_port;

struct vif_port_config {
	struct platform *platform;
	domid_t domid;
	uint8_t mac[PACKET_MAC_BYTES];
	const struct switch_rules *rules; /* NULL: it may do everything */
	struct queue_wishes wishes;
	struct queue_record *const *records; /* outlive the port */
	uint32_t nr_queues;		     /* 1 .. RECORD_QUEUES_MAX */
	bool resume;			     /* go on where the records end */
	struct limiter_pair limiters;	     /* outlive it or are replaced */
	/* Called at most once: no queue of the vif runs any longer. */
	queue_fault_fn *fault;
	void *fault_arg;
};

/* Map the rings, bind the channels. *ret_queue: which one failed. */
int vif_port_open(const struct vif_port_config *config, struct vif_port **ret,
		  uint32_t *ret_queue) PV_MUST_CHECK;
/* keep: leave the channels bound for a successor. NULL is fine. */
void vif_port_close(struct vif_port *port, bool keep);

/* Data thread. */
int vif_port_start(struct vif_port *port, struct worker *worker,
		   struct vswitch *sw) PV_MUST_CHECK;
void vif_port_stop(struct vif_port *port);
void vif_port_set_rules(struct vif_port *port,
			const struct switch_rules *rules);
/* What is learned of it, and pinned to it, goes with the old one. */
void vif_port_set_mac(struct vif_port *port,
		      const uint8_t mac[PACKET_MAC_BYTES]);
void vif_port_set_wishes(struct vif_port *port,
			 const struct queue_wishes *wishes);
/* What the switch knows it by. */
struct switch_port *vif_port_switch_port(struct vif_port *port);
/* Also when it is the same limiters, with other rates. */
void vif_port_set_limiters(struct vif_port *port,
			   const struct limiter_pair *limiters);
/* Add what the queue did so far to to. */
void vif_port_traffic(const struct vif_port *port, uint32_t queue,
		      struct traffic *to);

#endif /* NETBACK_PORT_H */
