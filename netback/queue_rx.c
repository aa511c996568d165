/* SPDX-License-Identifier: MIT */
/*
 * queue_rx.c - frames to a guest: into the buffers that it has posted; see
 * queue.h. Neighbours: frame.c (the copy), cut.c (frames too large for it),
 * queue_wait.c (what finds no buffers), record.c; port.c calls. Data thread.
 */
#include <errno.h>
#include <string.h>

#include "netback/cut.h"
#include "netback/nic.h"
#include "netback/queue_private.h"

/* Buffers between the one that is filled and the one that is asked for. */
#define RX_AHEAD 8u

/* Take over the buffers that the guest has posted by now. */
static int rx_fill(struct queue *q)
{
	uint32_t before = q->rx.ring.req_cons;
	int n;

	while ((n = ring_back_pending(&q->rx.ring)) > 0) {
		uint32_t at = q->rx.ring.req_cons;

		ring_back_get_many(
			&q->rx.ring, &q->posted[at & (RECORD_SLOTS - 1)],
			ring_nr_before_end(RECORD_SLOTS, at, (uint32_t)n));
	}
	q->rx_alive |= q->rx.ring.req_cons != before;
	if (half_unanswered(&q->rx) > q->most_posted)
		q->most_posted = half_unanswered(&q->rx);
	return n;
}

/* The i-th posted buffer that nothing was put into yet. */
static const struct netif_rx_request *rx_buffer(const struct queue *q,
						uint32_t i)
{
	uint32_t idx = q->rx.ring.rsp_prod + q->rx.nr_staged + i;

	return &q->posted[idx & (RECORD_SLOTS - 1)];
}

/* The largest frame that it takes. */
static uint32_t rx_max_bytes(const struct queue *q)
{
	return q->common->features & QUEUE_SG
		       ? NIC_FRAME_MAX
		       : PV_PAGE_SIZE - q->common->wishes.headroom_bytes;
}

static bool rx_has(const struct queue *q, uint32_t features)
{
	return (q->common->features & features) == features;
}

static bool rx_takes_whole(const struct queue *q, const struct frame *frame)
{
	if (frame->size_bytes > rx_max_bytes(q))
		return false;
	/* Who is to cut it has to compute the checksums of the pieces, too. */
	switch (frame->meta.gso) {
	case PACKET_GSO_NONE: return true;
	case PACKET_GSO_TCPV4:
		return rx_has(q, QUEUE_GSO_TCPV4 | QUEUE_CSUM_IPV4);
	case PACKET_GSO_TCPV6:
		return rx_has(q, QUEUE_GSO_TCPV6 | QUEUE_CSUM_IPV6);
	}
	return false;
}

static bool rx_needs_csum(const struct queue *q, const struct frame *frame)
{
	if (!frame->meta.csum_blank || frame->meta.gso != PACKET_GSO_NONE)
		return false;
	return !(q->common->features &
		 (frame->layout.ipv6 ? QUEUE_CSUM_IPV6 : QUEUE_CSUM_IPV4));
}

/* How much of what is left goes into the i-th of a frame's buffers. */
static uint32_t rx_piece_bytes(const struct queue *q, uint32_t i,
			       uint32_t left_bytes)
{
	uint32_t room_bytes = PV_PAGE_SIZE;

	if (!i)
		room_bytes -= q->common->wishes.headroom_bytes;
	return left_bytes < room_bytes ? left_bytes : room_bytes;
}

/* Copy the frame into nr_pages posted buffers; the slots after the first may be
 * extras'. Returns 0, or the error of a buffer that could not be mapped. */
static int rx_copy(struct queue *q, const struct frame *frame,
		   uint32_t nr_pages, uint32_t nr_extras)
{
	struct frame_cursor at = { 0 };

	for (uint32_t i = 0; i < nr_pages; i++) {
		grant_ref_t ref = rx_buffer(q, i ? i + nr_extras : 0)->gref;
		uint32_t left = frame->size_bytes - at.done_bytes;
		uint32_t offset = i ? 0 : q->common->wishes.headroom_bytes;
		void PV_SHARED *page;
		int err = grant_cache_get(q->cache, ref, true, &page);

		if (err)
			return err;
		frame_copy_out(frame, &at, (char PV_SHARED *)page + offset,
			       rx_piece_bytes(q, i, left));
		grant_cache_put(q->cache, ref);
	}
	return 0;
}

/* What goes with a frame, in extra slots after its first. */
struct rx_extras {
	struct netif_extra_info info[3];
	uint32_t nr;
};

static struct rx_extras rx_extras_of(const struct queue *q,
				     const struct packet_meta *meta,
				     const struct queue_hash *hash)
{
	uint32_t headroom_bytes = q->common->wishes.headroom_bytes;
	struct rx_extras x = { .nr = 0 };

	if (meta->gso != PACKET_GSO_NONE) {
		struct netif_extra_info *e = &x.info[x.nr++];

		e->type = XEN_NETIF_EXTRA_TYPE_GSO;
		e->u.gso.size = meta->gso_size;
		e->u.gso.type = meta->gso == PACKET_GSO_TCPV4
					? XEN_NETIF_GSO_TYPE_TCPV4
					: XEN_NETIF_GSO_TYPE_TCPV6;
	}
	if (hash->known) {
		struct netif_extra_info *e = &x.info[x.nr++];

		e->type = XEN_NETIF_EXTRA_TYPE_HASH;
		e->u.hash.type = hash->type;
		e->u.hash.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ;
		/* Lowest byte first, and so is the CPU. */
		memcpy(e->u.hash.value, &hash->value, sizeof(hash->value));
	}
	if (headroom_bytes) {
		struct netif_extra_info *e = &x.info[x.nr++];

		e->type = XEN_NETIF_EXTRA_TYPE_XDP;
		e->u.xdp.headroom = (uint16_t)headroom_bytes;
	}
	for (uint32_t i = 1; i < x.nr; i++)
		x.info[i - 1].flags = XEN_NETIF_EXTRA_FLAG_MORE;
	return x;
}

static uint16_t rx_flags(const struct packet_meta *meta)
{
	if (meta->csum_blank)
		return NETRXF_csum_blank | NETRXF_data_validated;
	return meta->data_validated ? NETRXF_data_validated : 0;
}

static void rx_stage(struct queue *q, const struct frame *frame,
		     uint32_t nr_pages, const struct rx_extras *extras)
{
	uint32_t left = frame->size_bytes;
	uint16_t flags = rx_flags(&frame->meta);

	if (extras->nr)
		flags |= NETRXF_extra_info;
	for (uint32_t i = 0; i < nr_pages; i++) {
		uint32_t n = rx_piece_bytes(q, i, left);
		uint32_t offset = i ? 0 : q->common->wishes.headroom_bytes;
		struct netif_rx_response rsp = {
			.id = rx_buffer(q, 0)->id,
			.offset = (uint16_t)offset,
			.flags = flags,
			.status = (int16_t)n,
		};

		left -= n;
		if (left)
			rsp.flags |= NETRXF_more_data;
		half_stage(&q->rx, &rsp, sizeof(rsp));
		for (uint32_t x = 0; !i && x < extras->nr; x++)
			half_stage(&q->rx, &extras->info[x],
				   sizeof(extras->info[x]));
		flags = 0;
	}
}

/* Give unusable buffers back, each as a failed frame of its own. */
static void rx_stage_errors(struct queue *q, uint32_t nr)
{
	while (nr--) {
		struct netif_rx_response rsp = {
			.id = rx_buffer(q, 0)->id,
			.status = NETIF_RSP_ERROR,
		};

		half_stage(&q->rx, &rsp, sizeof(rsp));
	}
}

/*
 * The short way, for what most frames are: nothing goes with it, and there is a
 * buffer that takes all of it and is mapped. The buffer some frames later is
 * asked for meanwhile. False: nothing was done, it needs rx_put_any.
 */
static bool rx_put_plain(struct queue *q, const struct frame *frame,
			 const struct queue_hash *hash)
{
	struct frame_cursor at = { 0 };
	struct netif_rx_response rsp;
	uint32_t nr = half_unanswered(&q->rx);
	void PV_SHARED *page;

	if (!nr || frame->size_bytes > PV_PAGE_SIZE || hash->known ||
	    frame->meta.gso != PACKET_GSO_NONE ||
	    q->common->wishes.headroom_bytes)
		return false;
	page = grant_cache_peek(q->cache, rx_buffer(q, 0)->gref, true);
	if (!page)
		return false;
	frame_copy_out(frame, &at, page, frame->size_bytes);
	rsp.id = rx_buffer(q, 0)->id;
	rsp.offset = 0;
	rsp.flags = rx_flags(&frame->meta);
	rsp.status = (int16_t)frame->size_bytes;
	half_stage(&q->rx, &rsp, sizeof(rsp));
	if (nr > RX_AHEAD) {
		page = grant_cache_peek(q->cache,
					rx_buffer(q, RX_AHEAD - 1)->gref, true);
		if (page)
			frame_prefetch_write(page);
	}
	return true;
}

static uint32_t rx_nr_pages(const struct queue *q, const struct frame *frame)
{
	uint32_t bytes = q->common->wishes.headroom_bytes + frame->size_bytes;

	return (bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE;
}

uint32_t queue_rx_nr_slots(const struct queue *q, const struct frame *frame,
			   const struct queue_hash *hash)
{
	return rx_nr_pages(q, frame) + rx_extras_of(q, &frame->meta, hash).nr;
}

static int rx_put_any(struct queue *q, const struct frame *frame,
		      const struct queue_hash *hash)
{
	uint32_t nr_pages = rx_nr_pages(q, frame);
	struct rx_extras extras = rx_extras_of(q, &frame->meta, hash);
	uint32_t nr_extras = extras.nr;
	int err;

	if (half_unanswered(&q->rx) < nr_pages + nr_extras) {
		err = rx_fill(q);
		if (err < 0) {
			queue_peer_fault(q, err,
					 "impossible receive producer index");
			return err;
		}
		if (half_unanswered(&q->rx) < nr_pages + nr_extras)
			return -ENOBUFS;
	}
	if (rx_copy(q, frame, nr_pages, nr_extras)) {
		rx_stage_errors(q, nr_pages + nr_extras);
		q->traffic.rx_errors++;
		return 0;
	}
	rx_stage(q, frame, nr_pages, &extras);
	traffic_rx(&q->traffic, frame->size_bytes);
	return 0;
}

int queue_rx_put(struct queue *q, const struct frame *frame,
		 const struct queue_hash *hash)
{
	if (!rx_put_plain(q, frame, hash))
		return rx_put_any(q, frame, hash);
	traffic_rx(&q->traffic, frame->size_bytes);
	return 0;
}

/* Into the guest's buffers, or behind what waits for some. */
static int rx_offer(struct queue *q, const struct frame *frame,
		    const struct queue_hash *hash)
{
	int err = -ENOBUFS;

	/* New buffers are used at once: if only the queue's own turn came to
	 * them, it would always be the same senders that find some left. */
	if (q->waiting.nr && ring_back_pending(&q->rx.ring))
		queue_wait_poll(q);
	if (q->broken)
		return -EPIPE;
	if (!q->waiting.nr)
		err = queue_rx_put(q, frame, hash);
	if (err == -ENOBUFS)
		err = queue_wait_add(q, frame, hash);
	if (err == -ENOBUFS)
		q->traffic.rx_drops[TRAFFIC_DROP_FULL]++;
	return err;
}

/* Of a limit nothing waits: what may not pass now does not pass. */
static bool rx_admit(struct queue *q, const struct frame *frame)
{
	if (!limiter_member_limited(&q->rx_limit))
		return true;
	return !limiter_member_admit(&q->rx_limit, LIMITER_READ,
				     frame->size_bytes,
				     worker_round_ns(&q->src));
}

/* In pieces, until one does not fit. 0: at least one did. */
static int rx_put_cut(struct queue *q, const struct frame *frame,
		      const struct queue_hash *hash)
{
	struct frame piece;
	struct cut cut;
	bool any = false;
	int err = cut_begin(&cut, frame, rx_max_bytes(q));

	if (err) {
		q->traffic.rx_drops[TRAFFIC_DROP_UNABLE]++;
		return err;
	}
	q->traffic.rx_cut++;
	while (!err && cut_next(&cut, &piece)) {
		if (rx_needs_csum(q, &piece))
			frame_fill_csum(&piece);
		err = rx_offer(q, &piece, hash);
		any |= !err;
	}
	if (err == -ENOBUFS)
		q->traffic.rx_drops[TRAFFIC_DROP_FULL] += cut_left(&cut);
	return any ? 0 : err;
}

int queue_deliver(struct queue *q, const struct frame *frame,
		  const struct queue_hash *hash)
{
	struct frame whole;

	if (!rx_admit(q, frame)) {
		q->traffic.rx_drops[TRAFFIC_DROP_LIMIT]++;
		return -EDQUOT;
	}
	if (!rx_takes_whole(q, frame))
		return rx_put_cut(q, frame, hash);
	if (!rx_needs_csum(q, frame))
		return rx_offer(q, frame, hash);
	whole = *frame;
	frame_fill_csum(&whole);
	return rx_offer(q, &whole, hash);
}

void queue_flush(struct queue *q)
{
	traffic_rx_shown(&q->traffic);
	if (half_commit(&q->rx))
		evtchn_notify(q->rx_ev);
}
