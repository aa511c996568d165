/* SPDX-License-Identifier: MIT */
/*
 * tx.h - netfront's transmit ring: frames out, completions back.
 *
 * A page of the send region carries one slot of a frame; its number is the
 * request's id. What is in flight is known here alone: a response is looked up
 * and must name a page that is out, and no more slots may be answered as extras
 * than there are extras out. Anything else is a lie (-EPROTO) and nothing of it
 * is acted on.
 *
 * The pages outlive rings: a ring is attached to them and detached. Pure
 * memory. Thread: whoever has the queue's lock.
 */
#ifndef NETFRONT_TX_H
#define NETFRONT_TX_H

#include "abi/netif.h"
#include "netfront/netfront.h"
#include "ring/ring.h"

#define TX_PAGES 256u

struct tx_ring {
	struct ring_front ring;
	uint8_t *pages; /* TX_PAGES of them; the backend may read them */
	grant_ref_t first_ref;
	bool sg, gso_tcpv4, gso_tcpv6; /* what the backend takes */
	uint16_t free[TX_PAGES];       /* the most recently used one last */
	uint32_t nr_free;
	bool out[TX_PAGES];
	uint32_t nr_out, nr_extras_out;
	/* Pages and pieces of the prepared frames, each_pages for each. */
	uint16_t prepared[TX_PAGES];
	uint32_t nr_prepared, each_pages;
	bool each_small; /* they begin at different places of their pages */
	struct iovec iov[TX_PAGES];
	bool blocked; /* the last prepare found no room: completions matter */
};

/* pages: TX_PAGES, zeroed. */
void tx_ring_init(struct tx_ring *tx, void *pages, grant_ref_t first_ref);
/* A zeroed ring; nothing is in flight. Prepared frames stay prepared. */
void tx_ring_attach(struct tx_ring *tx, void PV_SHARED *ring_page,
		    const struct netfront_info *info);
/* The ring is gone: what was in flight is free. Returns how many slots. */
uint32_t tx_ring_detach(struct tx_ring *tx);

/* As netfront_queue_prepare, without looking for completions. */
unsigned tx_prepare(struct tx_ring *tx, struct netfront_frame *frames,
		    unsigned nr, size_t room_bytes) PV_MUST_CHECK;
/* As netfront_queue_send; counts. */
unsigned tx_send(struct tx_ring *tx, const struct netfront_frame *frames,
		 unsigned nr, struct netfront_stats *stats);
/* Give back what was prepared. */
void tx_abort(struct tx_ring *tx);

/* Take completions; counts. Returns 0 or -EPROTO. */
int tx_reap(struct tx_ring *tx, struct netfront_stats *stats) PV_MUST_CHECK;

#endif /* NETFRONT_TX_H */
