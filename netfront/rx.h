/* SPDX-License-Identifier: MIT */
/*
 * rx.h - netfront's receive ring: buffers out, frames back.
 *
 * All buffers are always out, but for those of the frame that the caller looks
 * at. A response stands in the slot of the request it answers, so the slot says
 * which buffer it is; the id only has to agree. Extras carry no id: their
 * slot's buffer comes back unused. A lie (-EPROTO) is acted on in no way.
 *
 * Pure memory. Thread: netfront's.
 */
#ifndef NETFRONT_RX_H
#define NETFRONT_RX_H

#include <sys/uio.h>

#include "abi/netif.h"
#include "netfront/netfront.h"
#include "ring/ring.h"

#define RX_PAGES 256u

struct rx_ring {
	struct ring_front ring;
	uint8_t *pages; /* RX_PAGES of them; the backend may write them */
	grant_ref_t first_ref;
	uint16_t in_slot[RX_PAGES]; /* the buffer behind each ring slot */
	uint16_t held[RX_PAGES];    /* buffers of the current frame */
	uint32_t nr_held;
};

/* All buffers are put; ring_front_push shows them. */
void rx_ring_init(struct rx_ring *rx, void PV_SHARED *ring_page, void *pages,
		  grant_ref_t first_ref);

/*
 * The next frame. Returns 1 (iov, nr, meta as netfront_recv), 0 there is none,
 * -EPROTO. Frames that the backend reports as failed are skipped and counted.
 */
int rx_take(struct rx_ring *rx, struct iovec iov[NETFRONT_SLOTS_MAX],
	    unsigned *nr, struct packet_meta *meta,
	    uint64_t *nr_errors) PV_MUST_CHECK;
/* Give the current frame's buffers back. */
void rx_done(struct rx_ring *rx);

#endif /* NETFRONT_RX_H */
