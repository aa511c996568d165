/* SPDX-License-Identifier: MIT */
/* tx.c - the transmit ring of netfront; see tx.h. Called by netfront.c. */
#include "netfront/tx.h"

#include <assert.h>
#include <errno.h>

void tx_ring_init(struct tx_ring *tx, void PV_SHARED *ring_page, void *pages,
		  grant_ref_t first_ref)
{
	*tx = (struct tx_ring){
		.pages = pages,
		.first_ref = first_ref,
		.nr_free = TX_PAGES,
	};
	for (unsigned i = 0; i < TX_PAGES; i++)
		tx->free[i] = (uint16_t)(TX_PAGES - 1 - i);
	ring_front_init(&tx->ring, ring_page, PV_PAGE_SIZE,
			sizeof(struct netif_tx_request));
}

/* The i-th page of the prepared frame. */
static uint16_t prepared_page(const struct tx_ring *tx, uint32_t i)
{
	return tx->free[tx->nr_free - 1 - i];
}

int tx_prepare(struct tx_ring *tx, size_t size_bytes,
	       struct iovec iov[NETFRONT_SLOTS_MAX], unsigned *nr)
{
	uint32_t nr_pages =
		(uint32_t)((size_bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE);

	assert(!tx->nr_prepared);
	if (!size_bytes || size_bytes > NETFRONT_FRAME_MAX)
		return -EMSGSIZE;
	/* One more slot for an extra. */
	if (tx->nr_free < nr_pages || ring_front_free(&tx->ring) <= nr_pages) {
		tx->blocked = true;
		return -EAGAIN;
	}
	tx->blocked = false;
	tx->nr_prepared = nr_pages;
	for (uint32_t i = 0; i < nr_pages; i++) {
		size_t n =
			size_bytes < PV_PAGE_SIZE ? size_bytes : PV_PAGE_SIZE;

		iov[i] = (struct iovec){
			tx->pages + (size_t)prepared_page(tx, i) * PV_PAGE_SIZE,
			n,
		};
		size_bytes -= n;
	}
	*nr = nr_pages;
	return 0;
}

static void put_extra(struct tx_ring *tx, const struct packet_meta *meta)
{
	/* A transmit slot is 12 bytes long; the rest of it is padding. */
	union {
		struct netif_extra_info info;
		struct netif_tx_request slot;
	} extra = { .slot = { 0 } };

	extra.info.type = XEN_NETIF_EXTRA_TYPE_GSO;
	extra.info.u.gso.size = meta->gso_size;
	extra.info.u.gso.type = meta->gso == PACKET_GSO_TCPV4
					? XEN_NETIF_GSO_TYPE_TCPV4
					: XEN_NETIF_GSO_TYPE_TCPV6;
	ring_front_put(&tx->ring, &extra, sizeof(extra));
	tx->nr_extras_out++;
}

static uint16_t first_flags(const struct packet_meta *meta)
{
	uint16_t flags = 0;

	if (meta->csum_blank)
		flags = NETTXF_csum_blank | NETTXF_data_validated;
	else if (meta->data_validated)
		flags = NETTXF_data_validated;
	if (meta->gso != PACKET_GSO_NONE)
		flags |= NETTXF_extra_info;
	return flags;
}

int tx_send(struct tx_ring *tx, size_t size_bytes,
	    const struct packet_meta *meta)
{
	uint32_t nr_pages =
		(uint32_t)((size_bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE);
	size_t left = size_bytes;

	assert(nr_pages <= tx->nr_prepared);
	tx->nr_prepared = 0;
	if (!size_bytes || size_bytes > XEN_NETIF_MAX_TX_SIZE)
		return -EMSGSIZE;
	for (uint32_t i = 0; i < nr_pages; i++) {
		uint16_t page = tx->free[--tx->nr_free];
		size_t n = left < PV_PAGE_SIZE ? left : PV_PAGE_SIZE;
		struct netif_tx_request req = {
			.gref = tx->first_ref + page,
			.id = page,
			.size = (uint16_t)(i ? n : size_bytes),
			.flags = i ? 0 : first_flags(meta),
		};

		left -= n;
		if (left)
			req.flags |= NETTXF_more_data;
		tx->out[page] = true;
		ring_front_put(&tx->ring, &req, sizeof(req));
		if (!i && meta->gso != PACKET_GSO_NONE)
			put_extra(tx, meta);
	}
	return 0;
}

void tx_abort(struct tx_ring *tx)
{
	tx->nr_prepared = 0;
}

static int take_response(struct tx_ring *tx, uint64_t *nr_errors)
{
	struct netif_tx_response rsp;

	ring_front_get(&tx->ring, &rsp, sizeof(rsp));
	if (rsp.status == NETIF_RSP_NULL) {
		if (!tx->nr_extras_out)
			return -EPROTO;
		tx->nr_extras_out--;
		return 0;
	}
	if (rsp.id >= TX_PAGES || !tx->out[rsp.id] ||
	    (rsp.status != NETIF_RSP_OKAY && rsp.status != NETIF_RSP_ERROR &&
	     rsp.status != NETIF_RSP_DROPPED))
		return -EPROTO;
	tx->out[rsp.id] = false;
	tx->free[tx->nr_free++] = rsp.id;
	if (rsp.status != NETIF_RSP_OKAY)
		(*nr_errors)++;
	return 0;
}

int tx_reap(struct tx_ring *tx, uint64_t *nr_errors)
{
	int n, err = 0;

	assert(!tx->nr_prepared);
	while (!err && (n = ring_front_pending(&tx->ring)) != 0)
		err = n < 0 ? n : take_response(tx, nr_errors);
	return err;
}
