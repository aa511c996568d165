/* SPDX-License-Identifier: MIT */
/*
 * queue_tx.c - frames from a guest: off the ring, into the switch, answered;
 * see queue.h. Neighbours: parse.c (what a chain means), record.c (answers that
 * outlive us), switch.c (where a frame goes); queue.c calls. Data thread.
 */
#include <errno.h>

#include "netback/parse.h"
#include "netback/queue_private.h"
#include "util/clock.h"

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
		switch_forward(q->common->port, &frame, now_ns);
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

static int tx_obey(struct queue *q, const struct tx_packet *packet,
		   uint64_t now_ns)
{
	switch (packet->kind) {
	case TX_FRAME: return tx_forward(q, packet, now_ns);
	case TX_MCAST_ADD: return mcast_add(q->common->mcast, packet->mcast);
	case TX_MCAST_DEL: return mcast_del(q->common->mcast, packet->mcast);
	}
	return -EINVAL;
}

/* Forward or refuse one chain. Returns what it cost. */
static unsigned tx_serve(struct queue *q, const struct tx_chain *chain,
			 uint64_t now_ns)
{
	struct tx_packet packet;
	int err = tx_parse(chain, &packet);

	if (!err)
		err = tx_obey(q, &packet, now_ns);
	tx_answer(q, chain, err);
	if (err) {
		q->stats.tx_errors++;
		return 1;
	}
	if (packet.kind != TX_FRAME)
		return 1;
	q->stats.tx_frames++;
	q->stats.tx_bytes += packet.size_bytes;
	return worker_cost(packet.size_bytes);
}

unsigned queue_tx_poll(struct queue *q, unsigned budget)
{
	struct vswitch *sw = q->common->port->sw;
	uint64_t now_ns = 0;
	struct tx_chain chain;
	const char *why;
	unsigned done = 0;
	int n = 0;

	while (done < budget && (n = tx_take(q, &chain, &why)) > 0) {
		if (!done)
			now_ns = clock_now_ns();
		done += tx_serve(q, &chain, now_ns);
	}
	if (done) {
		switch_flush(sw);
		if (half_commit(&q->tx))
			evtchn_notify(q->tx_ev);
	}
	if (n < 0)
		queue_peer_fault(q, n, why);
	return done;
}
