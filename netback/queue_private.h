/* SPDX-License-Identifier: MIT */
/*
 * queue_private.h - between queue.c (a queue's life), queue_tx.c (frames from
 * the guest), queue_rx.c (frames to it) and queue_wait.c (those that find no
 * buffers). Data thread.
 */
#ifndef NETBACK_QUEUE_PRIVATE_H
#define NETBACK_QUEUE_PRIVATE_H

#include "abi/netif.h"
#include "grant/grant.h"
#include "netback/parse.h"
#include "netback/queue.h"
#include "netback/waiting.h"

/* Transmit slots that are taken off the ring at once. */
#define TX_BURST 64u

struct queue {
	struct work_source src;
	struct queue_common *common;
	struct queue_record *record;
	struct half tx, rx;
	struct netif_rx_request posted[RECORD_SLOTS];
	struct evtchn *tx_ev, *rx_ev; /* the same: one channel for both */
	struct grant_cache *cache;
	struct grant_map tx_map, rx_map;
	bool broken;
	/* Each direction has its share, so that neither starves the other. */
	struct limiter_member rx_limit, tx_limit;
	/* Slots that were taken off the ring, and how many of them are used. */
	struct netif_tx_request burst[TX_BURST];
	uint32_t nr_burst, nr_burst_used;
	unsigned copies_cost;	/* of frames to many: beyond the first copy */
	struct tx_chain chain;	/* the next one, once it was taken */
	uint64_t found_ns;	/* when that was, while it is held back */
	struct waiting waiting; /* frames to the guest */
	uint32_t most_posted;	/* buffers that the guest ever had posted */
	bool rx_alive; /* it posted some since a frame waited in vain */
	struct traffic traffic;
};

/* The frontend is at fault or gone: stop, and say so once. */
void queue_peer_fault(struct queue *q, int err, const char *why);

/* ---- queue_tx.c ---- */

/* Take, forward and answer chains that cost about budget units. */
unsigned queue_tx_poll(struct queue *q, unsigned budget);

/* ---- queue_rx.c ---- */

/*
 * Into the guest's buffers. -ENOBUFS: there are too few of them; else 0, also
 * when they could not be mapped, or the error that ended the queue.
 */
int queue_rx_put(struct queue *q, const struct frame *frame,
		 const struct queue_hash *hash) PV_MUST_CHECK;
/* How many slots of the ring that takes. */
uint32_t queue_rx_nr_slots(const struct queue *q, const struct frame *frame,
			   const struct queue_hash *hash);

/* ---- queue_wait.c ---- */

/* A frame without buffers, or behind others that wait. -ENOBUFS. */
int queue_wait_add(struct queue *q, const struct frame *frame,
		   const struct queue_hash *hash) PV_MUST_CHECK;
/* Put what there are buffers for now, let go what waited too long. The cost. */
unsigned queue_wait_poll(struct queue *q);
/*
 * About to sleep: ask for an event when the guest posts buffers, if one is
 * needed. True: it has posted some; else *ret_due_ns, when to look, 0: never.
 */
bool queue_wait_arm(struct queue *q, uint64_t *ret_due_ns);

/* ---- queue_pages.c ---- */

/* Map what a predecessor was asked to keep mapped. Control thread. */
int queue_pages_resume(struct queue *q) PV_MUST_CHECK;

#endif /* NETBACK_QUEUE_PRIVATE_H */
