/* SPDX-License-Identifier: MIT */
/* tx.c - the transmit ring of netfront; see tx.h. Called by owner.c, rings.c.
 */
#include "netfront/tx.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* A frame that needs to be segmented does not fit so little. */
#define NO_EXTRA_BYTES 2048u
/* Frames up to this size begin at one of so many cache lines of their page. */
#define SMALL_BYTES 2048u
#define SMALL_LINES 32u
#define LINE_BYTES  64u

void tx_ring_init(struct tx_ring *tx, void *pages, grant_ref_t first_ref)
{
	*tx = (struct tx_ring){
		.pages = pages,
		.first_ref = first_ref,
		.nr_free = TX_PAGES,
	};
	for (unsigned i = 0; i < TX_PAGES; i++)
		tx->free[i] = (uint16_t)(TX_PAGES - 1 - i);
}

void tx_ring_attach(struct tx_ring *tx, void PV_SHARED *ring_page,
		    const struct netfront_info *info)
{
	assert(!tx->nr_out && !tx->nr_extras_out);
	ring_front_init(&tx->ring, ring_page, PV_PAGE_SIZE,
			sizeof(struct netif_tx_request));
	tx->sg = info->sg;
	tx->gso_tcpv4 = info->gso_tcpv4;
	tx->gso_tcpv6 = info->gso_tcpv6;
	tx->blocked = false;
}

uint32_t tx_ring_detach(struct tx_ring *tx)
{
	uint32_t nr_out = tx->nr_out;

	for (uint16_t page = 0; page < TX_PAGES; page++) {
		if (tx->out[page])
			tx->free[tx->nr_free++] = page;
		tx->out[page] = false;
	}
	tx->nr_out = tx->nr_extras_out = 0;
	return nr_out;
}

/* ---- preparing ---------------------------------------------------------- */

static uint32_t pages_of(size_t size_bytes)
{
	return (uint32_t)((size_bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE);
}

/* Slots that are not spoken for by prepared frames. */
static uint32_t ring_room(const struct tx_ring *tx)
{
	uint32_t nr_free = ring_front_free(&tx->ring);

	return nr_free > tx->nr_prepared ? nr_free - tx->nr_prepared : 0;
}

/* For how many frames of nr_pages there is room. */
static unsigned room_for(const struct tx_ring *tx, unsigned nr,
			 uint32_t nr_pages, size_t room_bytes)
{
	uint32_t nr_slots = nr_pages + (room_bytes > NO_EXTRA_BYTES);

	if (nr > NETFRONT_BURST_MAX)
		nr = NETFRONT_BURST_MAX;
	if (nr > tx->nr_free / nr_pages)
		nr = tx->nr_free / nr_pages;
	if (nr > ring_room(tx) / nr_slots)
		nr = ring_room(tx) / nr_slots;
	return nr;
}

/*
 * Where the frame begins in a page. Small ones that all began at its start
 * would meet in the same few sets of both CPUs' caches.
 */
static uint32_t page_offset(const struct tx_ring *tx, uint16_t page)
{
	_Static_assert(SMALL_LINES * LINE_BYTES + SMALL_BYTES <= PV_PAGE_SIZE,
		       "a small frame stays in its page");
	return tx->each_small ? page % SMALL_LINES * LINE_BYTES : 0;
}

static void prepare_one(struct tx_ring *tx, struct netfront_frame *frame,
			uint32_t nr_pages, size_t room_bytes)
{
	struct iovec *iov = tx->iov + tx->nr_prepared;

	*frame = (struct netfront_frame){
		.iov = iov,
		.nr = nr_pages,
		.size_bytes = (uint32_t)room_bytes,
	};
	for (uint32_t i = 0; i < nr_pages; i++) {
		uint16_t page = tx->free[--tx->nr_free];
		size_t n =
			room_bytes < PV_PAGE_SIZE ? room_bytes : PV_PAGE_SIZE;

		tx->prepared[tx->nr_prepared++] = page;
		iov[i] = (struct iovec){ tx->pages +
						 (size_t)page * PV_PAGE_SIZE +
						 page_offset(tx, page),
					 n };
		room_bytes -= n;
	}
}

unsigned tx_prepare(struct tx_ring *tx, struct netfront_frame *frames,
		    unsigned nr, size_t room_bytes)
{
	uint32_t nr_pages = pages_of(room_bytes);
	unsigned n;

	assert(!tx->nr_prepared);
	if (!room_bytes || room_bytes > NETFRONT_FRAME_MAX)
		return 0;
	n = room_for(tx, nr, nr_pages, room_bytes);
	tx->blocked = n < nr && n < NETFRONT_BURST_MAX;
	tx->each_pages = nr_pages;
	tx->each_small = room_bytes <= SMALL_BYTES;
	for (unsigned i = 0; i < n; i++)
		prepare_one(tx, &frames[i], nr_pages, room_bytes);
	return n;
}

/* Give the prepared pages from number `from` on back, the first one last. */
static void release(struct tx_ring *tx, uint32_t from)
{
	while (tx->nr_prepared > from)
		tx->free[tx->nr_free++] = tx->prepared[--tx->nr_prepared];
}

void tx_abort(struct tx_ring *tx)
{
	release(tx, 0);
}

/* ---- sending ------------------------------------------------------------ */

static void put_extra(struct tx_ring *tx, const struct netfront_frame *frame)
{
	/* A transmit slot is 12 bytes long; the rest of it is padding. */
	union {
		struct netif_extra_info info;
		struct netif_tx_request slot;
	} extra = { .slot = { 0 } };

	extra.info.type = XEN_NETIF_EXTRA_TYPE_GSO;
	extra.info.u.gso.size = frame->gso_size;
	extra.info.u.gso.type = frame->gso == NETFRONT_GSO_TCPV4
					? XEN_NETIF_GSO_TYPE_TCPV4
					: XEN_NETIF_GSO_TYPE_TCPV6;
	ring_front_put(&tx->ring, &extra, sizeof(extra));
	tx->nr_extras_out++;
}

static uint16_t first_flags(const struct netfront_frame *frame)
{
	uint16_t flags = 0;

	if (frame->flags & NETFRONT_CSUM_BLANK)
		flags = NETTXF_csum_blank | NETTXF_data_validated;
	else if (frame->flags & NETFRONT_DATA_VALIDATED)
		flags = NETTXF_data_validated;
	if (frame->gso != NETFRONT_GSO_NONE)
		flags |= NETTXF_extra_info;
	return flags;
}

/*
 * Can the backend take the frame, and is there a slot to spare for its extra?
 * What was prepared may go to another backend than the one it was made for.
 */
static bool is_sendable(const struct tx_ring *tx,
			const struct netfront_frame *frame)
{
	uint32_t room_bytes =
		tx->each_small ? SMALL_BYTES : tx->each_pages * PV_PAGE_SIZE;

	if (frame->size_bytes > NETFRONT_SEND_MAX ||
	    frame->size_bytes > room_bytes ||
	    (frame->size_bytes > PV_PAGE_SIZE && !tx->sg))
		return false;
	switch (frame->gso) {
	case NETFRONT_GSO_NONE: return true;
	case NETFRONT_GSO_TCPV4:
		return tx->gso_tcpv4 && frame->gso_size && ring_room(tx) > 0;
	case NETFRONT_GSO_TCPV6:
		return tx->gso_tcpv6 && frame->gso_size && ring_room(tx) > 0;
	}
	return false;
}

static void put_frame(struct tx_ring *tx, const struct netfront_frame *frame,
		      const uint16_t *pages)
{
	uint32_t left = frame->size_bytes;

	for (uint32_t i = 0; left; i++) {
		uint32_t n = left < PV_PAGE_SIZE ? left : PV_PAGE_SIZE;
		struct netif_tx_request req = {
			.gref = tx->first_ref + pages[i],
			.offset = (uint16_t)page_offset(tx, pages[i]),
			.id = pages[i],
			.size = (uint16_t)(i ? n : frame->size_bytes),
			.flags = i ? 0 : first_flags(frame),
		};

		left -= n;
		if (left)
			req.flags |= NETTXF_more_data;
		tx->out[pages[i]] = true;
		tx->nr_out++;
		ring_front_put(&tx->ring, &req, sizeof(req));
		if (!i && frame->gso != NETFRONT_GSO_NONE)
			put_extra(tx, frame);
	}
}

unsigned tx_send(struct tx_ring *tx, const struct netfront_frame *frames,
		 unsigned nr, struct netfront_stats *stats)
{
	uint32_t nr_pages = tx->nr_prepared, each = tx->each_pages, used = 0;
	unsigned nr_sent = 0;

	/* The last frame's pages are spoken for until it is in the ring. */
	for (unsigned i = 0; i < nr && used + each <= nr_pages; i++) {
		const struct netfront_frame *frame = &frames[i];
		uint16_t *pages = tx->prepared + used;
		uint32_t need = 0;

		used += each;
		tx->nr_prepared = nr_pages - used + pages_of(frame->size_bytes);
		if (frame->size_bytes && is_sendable(tx, frame)) {
			need = pages_of(frame->size_bytes);
			put_frame(tx, frame, pages);
			stats->tx_packets++;
			stats->tx_bytes += frame->size_bytes;
			nr_sent++;
		} else if (frame->size_bytes) {
			stats->tx_dropped++;
		}
		for (uint32_t j = each; j-- > need;)
			tx->free[tx->nr_free++] = pages[j];
	}
	tx->nr_prepared = nr_pages;
	release(tx, used);
	tx->nr_prepared = 0;
	return nr_sent;
}

/* ---- completions -------------------------------------------------------- */

static int take_response(struct tx_ring *tx, struct netfront_stats *stats)
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
	tx->nr_out--;
	tx->free[tx->nr_free++] = rsp.id;
	if (rsp.status != NETIF_RSP_OKAY)
		stats->tx_errors++;
	return 0;
}

int tx_reap(struct tx_ring *tx, struct netfront_stats *stats)
{
	int n, err = 0;

	while (!err && (n = ring_front_pending(&tx->ring)) != 0)
		err = n < 0 ? n : take_response(tx, stats);
	return err;
}
