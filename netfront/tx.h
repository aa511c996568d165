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
 * Pure memory. Thread: netfront's.
 */
#ifndef NETFRONT_TX_H
#define NETFRONT_TX_H

#include <sys/uio.h>

#include "abi/netif.h"
#include "netfront/netfront.h"
#include "ring/ring.h"

#define TX_PAGES 256u

struct tx_ring {
	struct ring_front ring;
	uint8_t *pages; /* TX_PAGES of them; the backend may read them */
	grant_ref_t first_ref;
	uint16_t free[TX_PAGES]; /* the most recently used one last */
	uint32_t nr_free;
	bool out[TX_PAGES];
	uint32_t nr_extras_out;
	/* The prepared frame: its pages are free[nr_free ...] still. */
	uint32_t nr_prepared;
	bool blocked; /* the last prepare found no room: completions matter */
};

void tx_ring_init(struct tx_ring *tx, void PV_SHARED *ring_page, void *pages,
		  grant_ref_t first_ref);

/* As netfront_send_prepare, without looking for completions. */
int tx_prepare(struct tx_ring *tx, size_t size_bytes,
	       struct iovec iov[NETFRONT_SLOTS_MAX],
	       unsigned *nr) PV_MUST_CHECK;
/* -EMSGSIZE: nothing was queued. */
int tx_send(struct tx_ring *tx, size_t size_bytes,
	    const struct packet_meta *meta) PV_MUST_CHECK;
void tx_abort(struct tx_ring *tx);

/*
 * Take completions. *nr_errors grows by the slots that the backend did not
 * accept. Returns 0 or -EPROTO.
 */
int tx_reap(struct tx_ring *tx, uint64_t *nr_errors) PV_MUST_CHECK;
/* Frames' slots in flight. */
static inline uint32_t tx_nr_out(const struct tx_ring *tx)
{
	return TX_PAGES - tx->nr_free;
}

#endif /* NETFRONT_TX_H */
