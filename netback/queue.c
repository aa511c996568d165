/* SPDX-License-Identifier: MIT */
/*
 * queue.c - moves frames between a vif's rings and the switch; see queue.h.
 * Neighbours: parse.c (what a chain means), record.c (answers that outlive
 * us), switch.c (where a frame goes). Data thread but for open and close.
 */
#include "netback/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "grant/grant.h"
#include "netback/nic.h"
#include "netback/parse.h"
#include "util/clock.h"

/* Every buffer of both rings, and as many that went out of use. */
#define CACHE_PAGES 1024u

struct queue {
	struct work_source src;
	struct switch_port port;
	struct half tx, rx;
	struct netif_rx_request posted[RECORD_SLOTS];
	struct evtchn *tx_ev, *rx_ev; /* the same: one channel for both */
	struct platform *platform;
	struct grant_cache *cache;
	struct grant_map tx_map, rx_map;
	uint32_t features;
	uint8_t *bounce; /* for checksums; only when the frontend needs it */
	bool broken;
	queue_fault_fn *fault;
	void *fault_arg;
	struct queue_stats stats;
};

static void queue_fail(struct queue *q, int err, const char *why)
{
	if (q->broken)
		return;
	q->broken = true;
	worker_remove(&q->src);
	switch_remove(&q->port);
	q->fault(q->fault_arg, err, why);
}

/* ---- from the guest ---------------------------------------------------- */

static void unmap_pieces(struct queue *q, const struct tx_packet *packet,
			 unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		grant_cache_put(q->cache, packet->pieces[i].gref);
}

static int map_pieces(struct queue *q, const struct tx_packet *packet,
		      struct frame *frame)
{
	for (unsigned i = 0; i < packet->nr_pieces; i++) {
		const struct tx_piece *piece = &packet->pieces[i];
		void PV_SHARED *page;
		int err = grant_cache_get(q->cache, piece->gref, false, &page);

		if (err) {
			unmap_pieces(q, packet, i);
			return err;
		}
		frame->parts[i] = (struct frame_part){
			.base = (const char PV_SHARED *)page + piece->offset,
			.size_bytes = piece->size_bytes,
		};
	}
	frame->nr_parts = packet->nr_pieces;
	return 0;
}

static int tx_forward(struct queue *q, const struct tx_packet *packet,
		      uint64_t now_ns)
{
	struct frame frame;
	int err;

	frame.head_bytes = 0;
	frame.size_bytes = packet->size_bytes;
	frame.meta = packet->meta;
	err = map_pieces(q, packet, &frame);
	if (err)
		return err;
	frame_snapshot_head(&frame);
	err = packet_check_meta(frame.head, frame.head_bytes, frame.size_bytes,
				&frame.meta, &frame.layout);
	if (!err)
		switch_forward(&q->port, &frame, now_ns);
	unmap_pieces(q, packet, packet->nr_pieces);
	return err;
}

/* Take one chain off the ring. Returns 1, 0 when there is none, -EPROTO. */
static int tx_take(struct queue *q, struct tx_chain *chain, const char **why)
{
	uint8_t slot[TX_SLOT_BYTES];
	int more = 1;

	chain->nr_reqs = chain->nr_extras = 0;
	chain->in_extras = false;
	while (more > 0) {
		int n = ring_back_pending(&q->tx.ring);

		if (n < 0) {
			*why = "impossible transmit producer index";
			return n;
		}
		if (n == 0) {
			*why = "packet continues past the transmit ring";
			return tx_chain_nr_slots(chain) ? -EPROTO : 0;
		}
		ring_back_get(&q->tx.ring, slot, sizeof(slot));
		more = tx_chain_add(chain, slot);
	}
	if (more < 0)
		*why = "packet of too many slots";
	return more < 0 ? more : 1;
}

static void tx_answer(struct queue *q, const struct tx_chain *chain, int err)
{
	unsigned nr = tx_chain_nr_slots(chain);

	for (unsigned i = 0; i < nr; i++) {
		struct netif_tx_response rsp = tx_chain_answer(chain, i, err);

		half_stage(&q->tx, &rsp);
	}
}

static unsigned queue_poll(struct work_source *src, unsigned budget)
{
	struct queue *q = container_of(src, struct queue, src);
	struct vswitch *sw = q->port.sw;
	uint64_t now_ns = 0;
	struct tx_chain chain;
	struct tx_packet packet;
	const char *why;
	unsigned done = 0;
	int n = 0;

	while (done < budget && (n = tx_take(q, &chain, &why)) > 0) {
		int err;

		if (!done++)
			now_ns = clock_now_ns();
		err = tx_parse(&chain, &packet);
		if (!err)
			err = tx_forward(q, &packet, now_ns);
		tx_answer(q, &chain, err);
		if (err) {
			q->stats.tx_errors++;
		} else {
			q->stats.tx_frames++;
			q->stats.tx_bytes += packet.size_bytes;
		}
	}
	if (done) {
		switch_flush(sw);
		if (half_commit(&q->tx))
			evtchn_notify(q->tx_ev);
	}
	if (n < 0)
		queue_fail(q, n, why);
	return done;
}

static bool queue_arm(struct work_source *src)
{
	struct queue *q = container_of(src, struct queue, src);

	/* A producer index gone wrong shows in the next poll. */
	return ring_back_arm(&q->tx.ring) != 0;
}

static void queue_event(struct work_source *src)
{
	struct queue *q = container_of(src, struct queue, src);
	int n = evtchn_clear(q->tx_ev);

	if (n >= 0 && q->rx_ev != q->tx_ev)
		n = evtchn_clear(q->rx_ev);
	if (n < 0)
		queue_fail(q, n, "the frontend's event channel is closed");
}

static const struct work_source_ops queue_source_ops = {
	.poll = queue_poll,
	.arm = queue_arm,
	.event = queue_event,
};

/* ---- to the guest ------------------------------------------------------ */

/* Take over the buffers that the guest has posted by now. */
static int rx_fill(struct queue *q)
{
	int n;

	while ((n = ring_back_pending(&q->rx.ring)) > 0) {
		uint32_t slot = q->rx.ring.req_cons & (RECORD_SLOTS - 1);

		ring_back_get(&q->rx.ring, &q->posted[slot],
			      sizeof(q->posted[slot]));
	}
	return n;
}

/* The i-th posted buffer that nothing was put into yet. */
static const struct netif_rx_request *rx_buffer(const struct queue *q,
						uint32_t i)
{
	uint32_t idx = q->rx.ring.rsp_prod + q->rx.nr_staged + i;

	return &q->posted[idx & (RECORD_SLOTS - 1)];
}

static bool rx_can_take(const struct queue *q, const struct frame *frame,
			uint32_t nr_pages)
{
	if (nr_pages > 1 && !(q->features & QUEUE_SG))
		return false;
	switch (frame->meta.gso) {
	case PACKET_GSO_NONE: return true;
	case PACKET_GSO_TCPV4: return q->features & QUEUE_GSO_TCPV4;
	case PACKET_GSO_TCPV6: return q->features & QUEUE_GSO_TCPV6;
	}
	return false;
}

static bool rx_needs_csum(const struct queue *q, const struct frame *frame)
{
	if (!frame->meta.csum_blank)
		return false;
	return !(q->features &
		 (frame->layout.ipv6 ? QUEUE_CSUM_IPV6 : QUEUE_CSUM_IPV4));
}

/* Copy the frame into nr_pages posted buffers; the second slot may be an
 * extra's. Returns 0, or the error of a buffer that could not be mapped. */
static int rx_copy(struct queue *q, const struct frame *frame,
		   uint32_t nr_pages, uint32_t nr_extras)
{
	struct frame_cursor at = { 0 };

	for (uint32_t i = 0; i < nr_pages; i++) {
		grant_ref_t ref = rx_buffer(q, i ? i + nr_extras : 0)->gref;
		uint32_t left = frame->size_bytes - at.done_bytes;
		void PV_SHARED *page;
		int err = grant_cache_get(q->cache, ref, true, &page);

		if (err)
			return err;
		frame_copy_out(frame, &at, page,
			       left < PV_PAGE_SIZE ? left : PV_PAGE_SIZE);
		grant_cache_put(q->cache, ref);
	}
	return 0;
}

static void rx_stage_extra(struct queue *q, const struct packet_meta *meta)
{
	struct netif_extra_info extra = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

	extra.u.gso.size = meta->gso_size;
	extra.u.gso.type = meta->gso == PACKET_GSO_TCPV4
				   ? XEN_NETIF_GSO_TYPE_TCPV4
				   : XEN_NETIF_GSO_TYPE_TCPV6;
	half_stage(&q->rx, &extra);
}

static void rx_stage(struct queue *q, const struct frame *frame,
		     uint32_t nr_pages)
{
	uint32_t left = frame->size_bytes;
	uint16_t flags = 0;

	if (frame->meta.csum_blank)
		flags = NETRXF_csum_blank | NETRXF_data_validated;
	else if (frame->meta.data_validated)
		flags = NETRXF_data_validated;
	if (frame->meta.gso != PACKET_GSO_NONE)
		flags |= NETRXF_extra_info;
	for (uint32_t i = 0; i < nr_pages; i++) {
		uint32_t n = left < PV_PAGE_SIZE ? left : PV_PAGE_SIZE;
		struct netif_rx_response rsp = {
			.id = rx_buffer(q, 0)->id,
			.flags = flags,
			.status = (int16_t)n,
		};

		left -= n;
		if (left)
			rsp.flags |= NETRXF_more_data;
		half_stage(&q->rx, &rsp);
		if (flags & NETRXF_extra_info)
			rx_stage_extra(q, &frame->meta);
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

		half_stage(&q->rx, &rsp);
	}
}

static int rx_put(struct queue *q, const struct frame *frame)
{
	uint32_t nr_pages =
		(frame->size_bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE;
	uint32_t nr_extras = frame->meta.gso != PACKET_GSO_NONE;
	int err;

	if (!rx_can_take(q, frame, nr_pages)) {
		q->stats.rx_unable++;
		return -EOPNOTSUPP;
	}
	if (half_unanswered(&q->rx) < nr_pages + nr_extras) {
		err = rx_fill(q);
		if (err < 0) {
			queue_fail(q, err, "impossible receive producer index");
			return err;
		}
		if (half_unanswered(&q->rx) < nr_pages + nr_extras) {
			q->stats.rx_full++;
			return -ENOBUFS;
		}
	}
	if (rx_copy(q, frame, nr_pages, nr_extras)) {
		rx_stage_errors(q, nr_pages + nr_extras);
		q->stats.rx_errors++;
		return 0;
	}
	rx_stage(q, frame, nr_pages);
	q->stats.rx_frames++;
	q->stats.rx_bytes += frame->size_bytes;
	return 0;
}

static int queue_deliver(struct switch_port *port, const struct frame *frame)
{
	struct queue *q = container_of(port, struct queue, port);
	struct frame plain;
	int err;

	if (frame->meta.gso != PACKET_GSO_NONE || !rx_needs_csum(q, frame))
		return rx_put(q, frame);
	plain = *frame;
	err = frame_fill_csum(&plain, q->bounce);
	if (err) {
		q->stats.rx_unable++;
		return err;
	}
	return rx_put(q, &plain);
}

static void queue_flush(struct switch_port *port)
{
	struct queue *q = container_of(port, struct queue, port);

	if (half_commit(&q->rx))
		evtchn_notify(q->rx_ev);
}

static const struct switch_port_ops queue_port_ops = {
	.deliver = queue_deliver,
	.flush = queue_flush,
};

/* ---- life -------------------------------------------------------------- */

static int bind_channels(struct queue *q, domid_t domid,
			 const struct vif_params *params)
{
	int err = platform_evtchn_bind(q->platform, domid, params->tx_port,
				       &q->tx_ev);

	if (err)
		return err;
	if (params->rx_port == params->tx_port) {
		q->rx_ev = q->tx_ev;
		return 0;
	}
	return platform_evtchn_bind(q->platform, domid, params->rx_port,
				    &q->rx_ev);
}

static int map_rings(struct queue *q, domid_t domid,
		     const struct vif_params *params)
{
	int err = platform_map(q->platform, domid, &params->tx_ref, 1, true,
			       &q->tx_map);

	if (err)
		return err;
	return platform_map(q->platform, domid, &params->rx_ref, 1, true,
			    &q->rx_map);
}

static int attach_rings(struct queue *q, struct vif_record *record, bool resume)
{
	int err = half_init(&q->tx, &record->tx, q->tx_map.base,
			    sizeof(struct netif_tx_request),
			    sizeof(struct netif_tx_response), resume);

	if (err)
		return err;
	return half_init(&q->rx, &record->rx, q->rx_map.base,
			 sizeof(struct netif_rx_response),
			 sizeof(struct netif_rx_response), resume);
}

int queue_open(const struct queue_config *config, struct queue **ret)
{
	const struct vif_params *params = &config->record->params;
	struct queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	q->platform = config->platform;
	q->features = params->features;
	q->fault = config->fault;
	q->fault_arg = config->fault_arg;
	q->src.ops = &queue_source_ops;
	q->port.ops = &queue_port_ops;
	memcpy(q->port.mac, config->mac, PACKET_MAC_BYTES);
	if (~q->features & (QUEUE_CSUM_IPV4 | QUEUE_CSUM_IPV6)) {
		q->bounce = malloc(NIC_FRAME_MAX);
		if (!q->bounce) {
			err = -ENOMEM;
			goto fail;
		}
	}
	err = grant_cache_open(q->platform, config->domid, CACHE_PAGES,
			       &q->cache);
	if (!err)
		err = map_rings(q, config->domid, params);
	if (!err)
		err = bind_channels(q, config->domid, params);
	if (!err)
		err = attach_rings(q, config->record, config->resume);
	if (err)
		goto fail;
	q->src.fd = evtchn_fd(q->tx_ev);
	q->src.extra_fd = q->rx_ev == q->tx_ev ? -1 : evtchn_fd(q->rx_ev);
	*ret = q;
	return 0;

fail:
	queue_close(q, config->resume);
	return err;
}

void queue_close(struct queue *q, bool keep)
{
	void (*end)(struct evtchn * ev) = keep ? evtchn_abandon : evtchn_close;

	if (!q)
		return;
	if (q->rx_ev && q->rx_ev != q->tx_ev)
		end(q->rx_ev);
	if (q->tx_ev)
		end(q->tx_ev);
	grant_cache_close(q->cache);
	if (q->tx_map.nr_pages)
		platform_unmap(q->platform, &q->tx_map);
	if (q->rx_map.nr_pages)
		platform_unmap(q->platform, &q->rx_map);
	free(q->bounce);
	free(q);
}

int queue_start(struct queue *q, struct worker *worker, struct vswitch *sw)
{
	int err = worker_add(worker, &q->src);

	if (err)
		return err;
	switch_add(sw, &q->port);
	/* A predecessor may have died between an answer and its event. */
	evtchn_notify(q->tx_ev);
	if (q->rx_ev != q->tx_ev)
		evtchn_notify(q->rx_ev);
	return 0;
}

void queue_stop(struct queue *q)
{
	worker_remove(&q->src);
	switch_remove(&q->port);
	/* What was delivered last is the guest's. */
	if (!q->broken && half_commit(&q->rx))
		evtchn_notify(q->rx_ev);
}

struct queue_stats queue_stats(const struct queue *q)
{
	return q->stats;
}
