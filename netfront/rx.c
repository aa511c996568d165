/* SPDX-License-Identifier: MIT */
/* rx.c - the receive ring of netfront; see rx.h. Called by netfront.c. */
#include "netfront/rx.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

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

void rx_ring_init(struct rx_ring *rx, void PV_SHARED *ring_page, void *pages,
		  grant_ref_t first_ref)
{
	*rx = (struct rx_ring){ .pages = pages, .first_ref = first_ref };
	ring_front_init(&rx->ring, ring_page, PV_PAGE_SIZE,
			sizeof(struct netif_rx_response));
	assert(rx->ring.nr_slots == RX_PAGES);
	for (uint16_t page = 0; page < RX_PAGES; page++)
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

static int take_extra(struct rx_ring *rx, struct packet_meta *meta)
{
	struct netif_extra_info extra;
	uint16_t page;
	int err = take_slot(rx, &extra, &page);

	if (err)
		return err;
	/* We offered segmentation and nothing else, so there is one. */
	if (extra.type != XEN_NETIF_EXTRA_TYPE_GSO || extra.flags ||
	    !extra.u.gso.size)
		return -EPROTO;
	switch (extra.u.gso.type) {
	case XEN_NETIF_GSO_TYPE_TCPV4: meta->gso = PACKET_GSO_TCPV4; break;
	case XEN_NETIF_GSO_TYPE_TCPV6: meta->gso = PACKET_GSO_TCPV6; break;
	default: return -EPROTO;
	}
	meta->gso_size = extra.u.gso.size;
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

/* One whole chain. Returns its size in bytes, 0 when it is to be skipped. */
static int take_chain(struct rx_ring *rx, struct iovec *iov, unsigned *nr,
		      struct packet_meta *meta)
{
	struct netif_rx_response rsp;
	unsigned nr_slots = 0;
	bool failed = false;
	int total = 0;

	*nr = 0;
	memset(meta, 0, sizeof(*meta));
	do {
		uint16_t page;
		int err = take_slot(rx, &rsp, &page);

		if (!err)
			err = check_slot(&rsp, page, !nr_slots);
		if (!err && !nr_slots && rsp.flags & NETRXF_extra_info)
			err = take_extra(rx, meta);
		if (!err && ++nr_slots > NETFRONT_SLOTS_MAX)
			err = -EPROTO;
		if (err)
			return err;
		if (nr_slots == 1) {
			meta->csum_blank = rsp.flags & NETRXF_csum_blank;
			meta->data_validated =
				rsp.flags & NETRXF_data_validated;
		}
		if (rsp.status < 0)
			failed = true;
		if (rsp.status <= 0)
			continue;
		iov[(*nr)++] = (struct iovec){
			rx->pages + (size_t)page * PV_PAGE_SIZE + rsp.offset,
			(size_t)rsp.status,
		};
		total += rsp.status;
	} while (rsp.flags & NETRXF_more_data);
	if (failed || total < (int)PACKET_ETH_BYTES ||
	    total > (int)NETFRONT_FRAME_MAX)
		return 0;
	return total;
}

int rx_take(struct rx_ring *rx, struct iovec iov[NETFRONT_SLOTS_MAX],
	    unsigned *nr, struct packet_meta *meta, uint64_t *nr_errors)
{
	int n;

	assert(!rx->nr_held);
	while ((n = ring_front_pending(&rx->ring)) > 0) {
		n = take_chain(rx, iov, nr, meta);
		if (n > 0)
			return 1;
		if (n < 0)
			return n;
		(*nr_errors)++;
		rx_done(rx);
	}
	return n;
}

void rx_done(struct rx_ring *rx)
{
	for (uint32_t i = 0; i < rx->nr_held; i++)
		post(rx, rx->held[i]);
	rx->nr_held = 0;
}
