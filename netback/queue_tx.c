/* SPDX-License-Identifier: MIT */
/*
 * queue_tx.c - frames from a guest: off the ring, into the switch, answered;
 * see queue.h. Neighbours: parse.c (what a chain means), record.c (answers that
 * outlive us), switch.c (where a frame goes); queue.c calls. Data thread.
 */
#include <errno.h>

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

/* Nobody took a frame of ours: was that the switch's doing? */
static void note_drops(struct queue *q)
{
	struct queue_common *c = q->common;

	for (unsigned i = 0; i < SWITCH_NR_DROPS; i++) {
		q->traffic.tx_drops[i] += c->port->drops[i] - c->drops_seen[i];
		c->drops_seen[i] = c->port->drops[i];
	}
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
	if (!err && !switch_forward(q->common->port, &frame, now_ns))
		note_drops(q);
	unmap_pieces(q, packet, packet->nr_pieces);
	return err;
}

/* Take one chain off the ring. Returns 1, 0 when there is none, -EPROTO. */
static int tx_take(struct queue *q, const char **why)
{
	struct tx_chain *chain = &q->chain;
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

/*
 * The next chain is in q->chain and may be sent: 1. 0: there is none, or not
 * yet. -EPROTO.
 */
static int tx_next(struct queue *q, uint64_t now_ns, const char **why)
{
	int n = q->found_ns ? 1 : tx_take(q, why);

	if (n <= 0)
		return n;
	if (limiter_member_limited(&q->tx_limit)) {
		q->src.not_before_ns =
			limiter_member_admit(&q->tx_limit, LIMITER_WRITE,
					     q->chain.reqs[0].size, now_ns);
		if (q->src.not_before_ns) {
			if (!q->found_ns)
				q->found_ns = now_ns;
			return 0;
		}
	}
	q->found_ns = 0;
	return 1;
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
		q->traffic.tx_errors++;
		return 1;
	}
	if (packet.kind != TX_FRAME)
		return 1;
	q->traffic.tx_packets++;
	q->traffic.tx_bytes += packet.size_bytes;
	return worker_cost(packet.size_bytes);
}

/* Of nr slots in the ring: could the guest not put another one there? */
static bool tx_is_full(const struct queue *q, int nr)
{
	return nr < 0 ||
	       (uint32_t)nr + half_unanswered(&q->tx) >= q->tx.ring.nr_slots;
}

/* The end of a turn in which nr chains were taken, the first held back. */
static void tx_account(struct queue *q, uint64_t begun_ns, unsigned nr,
		       uint64_t held_ns, bool was_full)
{
	int left = ring_back_pending(&q->tx.ring);
	struct times_state state = {
		.begun_ns = begun_ns,
		.now_ns = clock_now_ns(),
		.waiting = q->found_ns || left > 0,
		.was_full = was_full,
		.ring_full = tx_is_full(q, left),
		.throttled = q->found_ns,
	};

	traffic_tx_batch(&q->traffic, &state, nr, held_ns);
}

unsigned queue_tx_poll(struct queue *q, unsigned budget)
{
	int waiting = ring_back_pending(&q->tx.ring);
	bool was_full = tx_is_full(q, waiting);
	uint64_t now_ns, held_ns = q->found_ns;
	const char *why;
	unsigned cost = 0, nr = 0;
	int n = 0;

	q->src.not_before_ns = 0;
	if (!waiting && !held_ns)
		return 0;
	now_ns = clock_now_ns();
	while (cost < budget && (n = tx_next(q, now_ns, &why)) > 0) {
		cost += tx_serve(q, &q->chain, now_ns);
		nr++;
	}
	if (nr) {
		switch_flush(q->common->port->sw);
		if (half_commit(&q->tx))
			evtchn_notify(q->tx_ev);
	}
	tx_account(q, now_ns, nr, held_ns, was_full);
	if (n < 0)
		queue_peer_fault(q, n, why);
	return cost;
}
