/* SPDX-License-Identifier: MIT */
/*
 * queue_private.h - between queue.c (a queue's life), queue_tx.c (frames from
 * the guest) and queue_rx.c (frames to it). Data thread.
 */
#ifndef NETBACK_QUEUE_PRIVATE_H
#define NETBACK_QUEUE_PRIVATE_H

#include "abi/netif.h"
#include "grant/grant.h"
#include "netback/parse.h"
#include "netback/queue.h"

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
	struct tx_chain chain; /* the next one, once it was taken */
	uint64_t found_ns;     /* when that was, while it is held back */
	struct traffic traffic;
};

/* The frontend is at fault or gone: stop, and say so once. */
void queue_peer_fault(struct queue *q, int err, const char *why);

/* ---- queue_tx.c ---- */

/* Take, forward and answer chains that cost about budget units. */
unsigned queue_tx_poll(struct queue *q, unsigned budget);

/* ---- queue_pages.c ---- */

/* Map what a predecessor was asked to keep mapped. Control thread. */
int queue_pages_resume(struct queue *q) PV_MUST_CHECK;

#endif /* NETBACK_QUEUE_PRIVATE_H */
