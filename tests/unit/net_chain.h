/* SPDX-License-Identifier: MIT */
/*
 * net_chain.h - whole frames through the rings of net_guest.h: a frame becomes
 * a chain of slots, what comes becomes a frame again.
 */
#ifndef TESTS_UNIT_NET_CHAIN_H
#define TESTS_UNIT_NET_CHAIN_H

#include "tests/hostile/net_guest.h"
#include "tests/unit/net_frames.h"
#include "util/num.h"

/* What goes with a frame, on both rings. */
struct chain_meta {
	bool blank, validated;
	uint8_t gso_type; /* XEN_NETIF_GSO_TYPE_* */
	uint16_t gso_size;
};

/* Into the ring, from the send region's pages; answered by tx_status. */
static inline void chain_send(struct guest *g, const uint8_t *bytes,
			      uint32_t size, const struct chain_meta *meta)
{
	uint16_t flags = 0;

	memcpy(g->send.base, bytes, size);
	if (meta->blank)
		flags |= NETTXF_csum_blank;
	if (meta->validated)
		flags |= NETTXF_data_validated;
	if (meta->gso_type)
		flags |= NETTXF_extra_info;
	for (uint32_t at = 0; at < size; at += PV_PAGE_SIZE) {
		uint32_t left = size - at;

		if (left > PV_PAGE_SIZE)
			flags |= NETTXF_more_data;
		tx_request(g, (struct netif_tx_request){
				      .gref = g->send.first_ref +
					      at / (uint32_t)PV_PAGE_SIZE,
				      .flags = flags,
				      .size = (uint16_t)(!at ? size
							 : left > PV_PAGE_SIZE
								 ? PV_PAGE_SIZE
								 : left),
			      });
		if (!at && meta->gso_type) {
			struct netif_extra_info extra = {
				.type = XEN_NETIF_EXTRA_TYPE_GSO,
				.u.gso.type = meta->gso_type,
				.u.gso.size = meta->gso_size,
			};

			ring_front_put(&g->q[0].tx, &extra, sizeof(extra));
		}
		flags = 0;
	}
	tx_show(g);
}

/* Take the answers of one frame: its status, if all of them agree. */
static inline int chain_status(struct guest *g, uint32_t size,
			       const struct chain_meta *meta)
{
	unsigned nr = (size + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE;
	uint16_t id;
	int first = tx_status(g, &id);

	if (meta->gso_type && tx_status(g, &id) != NETIF_RSP_NULL)
		return INT16_MAX;
	while (--nr)
		if (tx_status(g, &id) != first)
			return INT16_MAX;
	return first;
}

/* One response's data, appended. False: a length that cannot be. */
static inline bool chain_gather(struct guest *g,
				const struct netif_rx_response *rsp,
				uint8_t *bytes, uint32_t *size)
{
	const uint8_t *page =
		(uint8_t *)g->recv.base + rsp->id % RX_PAGES * PV_PAGE_SIZE;

	if (rsp->status <= 0 ||
	    rsp->offset + (uint32_t)rsp->status > PV_PAGE_SIZE ||
	    *size + (uint32_t)rsp->status > FRAME_BYTES_MAX)
		return false;
	memcpy(bytes + *size, page + rsp->offset, (size_t)rsp->status);
	*size += (uint32_t)rsp->status;
	return true;
}

/* The next frame that came; false: none did, or it is none. */
static inline bool chain_recv(struct guest *g, uint8_t *bytes, uint32_t *size,
			      struct chain_meta *ret)
{
	struct chain_meta meta = { 0 };
	struct netif_rx_response rsp;
	struct netif_extra_info extra;
	bool more;

	*size = 0;
	if (!rx_response(g, &rsp) || !chain_gather(g, &rsp, bytes, size))
		return false;
	meta.blank = rsp.flags & NETRXF_csum_blank;
	meta.validated = rsp.flags & NETRXF_data_validated;
	more = rsp.flags & NETRXF_more_data;
	if (rsp.flags & NETRXF_extra_info) {
		ring_front_get(&g->q[0].rx, &extra, sizeof(extra));
		if (extra.type != XEN_NETIF_EXTRA_TYPE_GSO || extra.flags)
			return false;
		meta.gso_type = extra.u.gso.type;
		meta.gso_size = extra.u.gso.size;
	}
	while (more) {
		/* What was shown is shown to its end. */
		if (ring_front_pending(&g->q[0].rx) <= 0)
			return false;
		ring_front_get(&g->q[0].rx, &rsp, sizeof(rsp));
		if (!chain_gather(g, &rsp, bytes, size))
			return false;
		more = rsp.flags & NETRXF_more_data;
	}
	*ret = meta;
	return true;
}

#endif /* TESTS_UNIT_NET_CHAIN_H */
