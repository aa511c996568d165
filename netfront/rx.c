/* SPDX-License-Identifier: MIT */
/* rx.c - the receive ring of netfront; see rx.h. Called by owner.c, rings.c. */
#include "netfront/rx.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "util/packet.h"

#define RX_FLAGS                                                               \
	(NETRXF_data_validated | NETRXF_csum_blank | NETRXF_more_data |        \
	 NETRXF_extra_info)

static void post(struct rx_ring *rx, uint16_t page)
{
	struct netif_rx_request req = {
		.id = page,
		.gref = rx->first_ref + page,
	};

	rx->in_slot[rx->ring.req_prod & (RX_PAGES - 1)] = page;
	ring_front_put(&rx->ring, &req, sizeof(req));
}

void rx_ring_init(struct rx_ring *rx, void *pages, grant_ref_t first_ref)
{
	*rx = (struct rx_ring){ .pages = pages, .first_ref = first_ref };
}

void rx_ring_attach(struct rx_ring *rx, void PV_SHARED *ring_page)
{
	bool is_held[RX_PAGES] = { false };

	ring_front_init(&rx->ring, ring_page, PV_PAGE_SIZE,
			sizeof(struct netif_rx_response));
	assert(rx->ring.nr_slots == RX_PAGES);
	rx->broken = false;
	rx->extras = 0;
	for (uint32_t i = 0; i < rx->nr_held; i++)
		is_held[rx->held[i]] = true;
	for (uint16_t page = 0; page < RX_PAGES; page++)
		if (!is_held[page])
			post(rx, page);
}

/* Copy the next slot out and hold its buffer. -EPROTO: the chain ends early. */
static int take_slot(struct rx_ring *rx, void *slot, uint16_t *page)
{
	int n = ring_front_pending(&rx->ring);

	if (n <= 0)
		return -EPROTO;
	*page = rx->in_slot[rx->ring.rsp_cons & (RX_PAGES - 1)];
	ring_front_get(&rx->ring, slot, sizeof(struct netif_rx_response));
	rx->held[rx->nr_held++] = *page;
	return 0;
}

static int take_gso(struct netfront_frame *frame,
		    const struct netif_extra_info *extra)
{
	if (!extra->u.gso.size)
		return -EPROTO;
	switch (extra->u.gso.type) {
	case XEN_NETIF_GSO_TYPE_TCPV4: frame->gso = NETFRONT_GSO_TCPV4; break;
	case XEN_NETIF_GSO_TYPE_TCPV6: frame->gso = NETFRONT_GSO_TCPV6; break;
	default: return -EPROTO;
	}
	frame->gso_size = extra->u.gso.size;
	return 0;
}

static int take_hash(struct netfront_frame *frame,
		     const struct netif_extra_info *extra)
{
	if (extra->u.hash.algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ ||
	    extra->u.hash.type > 3)
		return -EPROTO;
	frame->hash_type = (uint8_t)(1u << extra->u.hash.type);
	/* Lowest byte first, and so is the CPU. */
	memcpy(&frame->hash, extra->u.hash.value, sizeof(frame->hash));
	return 0;
}

static int take_headroom(struct netfront_frame *frame,
			 const struct netif_extra_info *extra,
			 const struct netif_rx_response *first)
{
	if (extra->u.xdp.headroom > first->offset)
		return -EPROTO;
	/* An empty first piece is none of the frame's. */
	if (first->status > 0)
		frame->headroom_bytes = extra->u.xdp.headroom;
	return 0;
}

/* Those behind first: each type once at most, which ends it. */
static int take_extras(struct rx_ring *rx, struct netfront_frame *frame,
		       const struct netif_rx_response *first)
{
	uint32_t expected = rx->extras;
	struct netif_extra_info extra;
	uint16_t page;

	do {
		int err = take_slot(rx, &extra, &page);

		if (!err && (extra.type >= XEN_NETIF_EXTRA_TYPE_MAX ||
			     !(expected & 1u << extra.type) ||
			     extra.flags & ~XEN_NETIF_EXTRA_FLAG_MORE))
			err = -EPROTO;
		if (err)
			return err;
		expected &= ~(1u << extra.type);
		if (extra.type == XEN_NETIF_EXTRA_TYPE_GSO)
			err = take_gso(frame, &extra);
		else if (extra.type == XEN_NETIF_EXTRA_TYPE_HASH)
			err = take_hash(frame, &extra);
		else
			err = take_headroom(frame, &extra, first);
		if (err)
			return err;
	} while (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
	return 0;
}

static int check_slot(const struct netif_rx_response *rsp, uint16_t page,
		      bool first)
{
	if (rsp->id != page || rsp->flags & ~RX_FLAGS ||
	    (!first && rsp->flags & NETRXF_extra_info))
		return -EPROTO;
	if (rsp->status < 0)
		return 0;
	if (rsp->offset > PV_PAGE_SIZE ||
	    (uint32_t)rsp->status > PV_PAGE_SIZE - rsp->offset)
		return -EPROTO;
	return 0;
}

static void add_piece(struct rx_ring *rx, struct netfront_frame *frame,
		      const struct netif_rx_response *rsp, uint16_t page)
{
	rx->iov[rx->nr_iov++] = (struct iovec){
		rx->pages + (size_t)page * PV_PAGE_SIZE + rsp->offset,
		(size_t)rsp->status,
	};
	frame->nr++;
	frame->size_bytes += (uint32_t)rsp->status;
}

static uint8_t frame_flags(const struct netif_rx_response *first)
{
	uint8_t flags = 0;

	if (first->flags & NETRXF_csum_blank)
		flags |= NETFRONT_CSUM_BLANK;
	if (first->flags & NETRXF_data_validated)
		flags |= NETFRONT_DATA_VALIDATED;
	return flags;
}

/* One whole chain. Returns 1, 0 when it is to be skipped, -EPROTO. */
static int take_chain(struct rx_ring *rx, struct netfront_frame *frame)
{
	struct netif_rx_response rsp;
	unsigned nr_slots = 0;
	bool failed = false;

	*frame = (struct netfront_frame){ .iov = rx->iov + rx->nr_iov };
	do {
		uint16_t page;
		int err = take_slot(rx, &rsp, &page);

		if (!err)
			err = check_slot(&rsp, page, !nr_slots);
		if (!err && !nr_slots && rsp.flags & NETRXF_extra_info)
			err = take_extras(rx, frame, &rsp);
		if (!err && ++nr_slots > NETFRONT_SLOTS_MAX)
			err = -EPROTO;
		if (err)
			return err;
		if (nr_slots == 1)
			frame->flags = frame_flags(&rsp);
		if (rsp.status < 0)
			failed = true;
		else if (rsp.status > 0)
			add_piece(rx, frame, &rsp, page);
	} while (rsp.flags & NETRXF_more_data);
	return !failed && frame->size_bytes >= PACKET_ETH_BYTES &&
	       frame->size_bytes <= NETFRONT_FRAME_MAX;
}

/* Give the buffers from number `from` of those held on back. */
static void give_back(struct rx_ring *rx, uint32_t from)
{
	for (uint32_t i = from; i < rx->nr_held; i++)
		post(rx, rx->held[i]);
	rx->nr_held = from;
}

/* Without a push in between, what is skipped cannot come again: this ends. */
int rx_take(struct rx_ring *rx, struct netfront_frame *frames, unsigned nr,
	    struct netfront_stats *stats)
{
	unsigned taken = 0;

	while (taken < nr && !rx->broken) {
		uint32_t nr_held = rx->nr_held, nr_iov = rx->nr_iov;
		int n = ring_front_pending(&rx->ring);

		if (n == 0)
			break;
		if (n > 0)
			n = take_chain(rx, &frames[taken]);
		if (n < 0) {
			rx->broken = true;
		} else if (n > 0) {
			stats->rx_packets++;
			stats->rx_bytes += frames[taken++].size_bytes;
		} else {
			give_back(rx, nr_held);
			rx->nr_iov = nr_iov;
			stats->rx_errors++;
		}
	}
	return !taken && rx->broken ? -EPROTO : (int)taken;
}

void rx_done(struct rx_ring *rx, bool attached)
{
	if (attached)
		give_back(rx, 0);
	rx->nr_held = rx->nr_iov = 0;
}
