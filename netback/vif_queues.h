/* SPDX-License-Identifier: MIT */
/*
 * vif_queues.h - all queues of one vif as one thing: made, kept, started, taken
 * over, stopped and closed together.
 *
 * With the monitor, queue I of vif V of domain N keeps its record as
 * vif/N/V/qI. Records are kept and dropped in the order of the queues: without
 * the first one nobody looks for the others.
 *
 * Thread: the control thread. Logs: never.
 */
#ifndef NETBACK_VIF_QUEUES_H
#define NETBACK_VIF_QUEUES_H

#include "netback/port.h"
#include "netback/vif.h"

struct vif_queues {
	struct netback *nb;
	domid_t domid;
	uint32_t handle;
	uint8_t mac[PACKET_MAC_BYTES];
	struct switch_rules rules;
	struct queue_wishes wishes;
	uint32_t nr; /* 0: there are none */
	struct queue_record *records[RECORD_QUEUES_MAX];
	struct vif_port *port; /* NULL: they are not open */
	struct limiter_pair limiters;
	/* The vif's own fault, on the data thread. */
	queue_fault_fn *fault;
	void *fault_arg;
};

void vif_queues_init(struct vif_queues *qs, struct netback *nb, domid_t domid,
		     uint32_t handle, queue_fault_fn *fault, void *fault_arg);

/*
 * New records as params[0 .. nr_queues-1] say, given into keeping. What failed
 * half-way is vif_queues_stop's.
 */
int vif_queues_make(struct vif_queues *qs,
		    const struct queue_params *params) PV_MUST_CHECK;
/* A predecessor's records, all of them. -ENOENT: there are none. */
int vif_queues_find(struct vif_queues *qs) PV_MUST_CHECK;
/*
 * Rings and channels as the records say; resume: where they end. Nothing is
 * consumed yet. *ret_queue: which queue failed.
 */
int vif_queues_open(struct vif_queues *qs, bool resume,
		    uint32_t *ret_queue) PV_MUST_CHECK;
/* A place in the switch: from now on they are served. */
int vif_queues_start(struct vif_queues *qs, struct vswitch *sw) PV_MUST_CHECK;
/* The vif's address on the switch, from now on or when it starts. */
void vif_queues_set_mac(struct vif_queues *qs,
			const uint8_t mac[PACKET_MAC_BYTES]);
/* What it may do there, likewise. */
void vif_queues_set_rules(struct vif_queues *qs,
			  const struct switch_rules *rules);
/* What the frontend wants of them, likewise. */
void vif_queues_set_wishes(struct vif_queues *qs,
			   const struct queue_wishes *wishes);
/* keep: channels and records stay for a successor. Idempotent. */
void vif_queues_stop(struct vif_queues *qs, bool keep);
/* Drop what the monitor keeps of this device, whoever gave it. */
void vif_queues_drop_kept(struct vif_queues *qs);
/*
 * For those there are, which look again at once, and those to come. The
 * limiters outlive the queues or are replaced first.
 */
void vif_queues_set_limiters(struct vif_queues *qs,
			     const struct limiter_pair *limiters);
/* Add what the queue did so far to to; nothing when there is none. */
void vif_queues_traffic(const struct vif_queues *qs, uint32_t queue,
			struct traffic *to);

#endif /* NETBACK_VIF_QUEUES_H */
