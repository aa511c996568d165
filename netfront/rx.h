/* SPDX-License-Identifier: MIT */
/*
 * rx.h - netfront's receive ring: buffers out, frames back.
 *
 * All buffers are always out, but for those of the frames that the caller looks
 * at. A response stands in the slot of the request it answers, so the slot says
 * which buffer it is; the id only has to agree. Extras carry no id: their
 * slot's buffer comes back unused. A lie (-EPROTO) is acted on in no way.
 *
 * The buffers outlive rings: a ring is attached to them. Pure memory. Thread:
 * whoever has the queue's lock.
 */
#ifndef NETFRONT_RX_H
#define NETFRONT_RX_H

#include "abi/netif.h"
#include "netfront/netfront.h"
#include "ring/ring.h"

#define RX_PAGES 256u

struct rx_ring {
	struct ring_front ring;
	bool broken;	 /* it lied; nothing more is read from this ring */
	uint32_t extras; /* 1 << type of those that may come */
	uint8_t *pages;	 /* RX_PAGES of them; the backend may write them */
	grant_ref_t first_ref;
	uint16_t in_slot[RX_PAGES]; /* the buffer behind each ring slot */
	uint16_t held[RX_PAGES];    /* buffers of the frames that were taken */
	uint32_t nr_held;
	struct iovec iov[RX_PAGES]; /* pieces of these */
	uint32_t nr_iov;
};

/* pages: RX_PAGES, zeroed. */
void rx_ring_init(struct rx_ring *rx, void *pages, grant_ref_t first_ref);
/*
 * A zeroed ring: every buffer that is not held is put; ring_front_push shows
 * them. What was taken from an earlier ring stays as it is until rx_done. No
 * extras are expected.
 */
void rx_ring_attach(struct rx_ring *rx, void PV_SHARED *ring_page);
/* From now on, until there is another ring, extras of this type may come. */
static inline void rx_expect(struct rx_ring *rx, uint8_t extra_type)
{
	rx->extras |= 1u << extra_type;
}

/*
 * The next frames, as netfront_queue_recv; counts. Returns how many, or -EPROTO
 * once those before the lie were taken. Frames that the backend reports as
 * failed are skipped.
 */
int rx_take(struct rx_ring *rx, struct netfront_frame *frames, unsigned nr,
	    struct netfront_stats *stats) PV_MUST_CHECK;
/*
 * Give the buffers of all taken frames back: attached says whether there is a
 * ring to put them into.
 */
void rx_done(struct rx_ring *rx, bool attached);

#endif /* NETFRONT_RX_H */
