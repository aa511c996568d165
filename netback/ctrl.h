/* SPDX-License-Identifier: MIT */
/*
 * ctrl.h - a vif's control ring: a source of the data thread.
 *
 * Requests say which hash the frontend wants and which queue follows from it
 * (rss.h), and which pages of a queue are to stay mapped (queue.h). Each is
 * copied once, checked, done and answered; what a page holds that a request
 * names is copied once too.
 *
 * Made and freed on the control thread; started, stopped and used in between
 * on the data thread. Logs: never; calls fault.
 */
#ifndef NETBACK_CTRL_H
#define NETBACK_CTRL_H

#include "netback/queue.h"
#include "netback/rss.h"

/* What requests are about. All of it outlives the ring. */
struct ctrl_subject {
	struct queue_common *common; /* platform, domid, fault */
	struct rss *rss;
	struct rss_table *table; /* of rss->key */
	struct queue *const *queues;
	uint32_t nr_queues;
	struct record_change *change;
};

/*
 * Do what req says, which is the ring's request number idx. Total; *rsp is the
 * whole answer. When it has been committed, ctrl_served: until then the record
 * holds what a successor needs to answer alike.
 */
void ctrl_serve(const struct ctrl_subject *subject, uint32_t idx,
		const struct xen_netif_ctrl_request *req,
		struct xen_netif_ctrl_response *rsp);
void ctrl_served(const struct ctrl_subject *subject);

struct ctrl_ring;

/* As params say; rec: the ring's own record. resume: go on where it ends. */
int ctrl_ring_open(const struct ctrl_subject *subject,
		   const struct queue_params *params, struct record_ring *rec,
		   bool resume, struct ctrl_ring **ret) PV_MUST_CHECK;
/* keep: leave the channel bound for a successor. NULL is fine. */
void ctrl_ring_close(struct ctrl_ring *c, bool keep);

/* Data thread. */
int ctrl_ring_start(struct ctrl_ring *c, struct worker *worker) PV_MUST_CHECK;
void ctrl_ring_stop(struct ctrl_ring *c);

#endif /* NETBACK_CTRL_H */
