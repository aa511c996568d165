/* SPDX-License-Identifier: MIT */
/*
 * queue_tx.c - frames from a guest: off the ring, into the switch, answered;
 * see queue.h. Neighbours: parse.c (what a chain means), record.c (answers that
 * outlive us), switch.c (where a frame goes); queue.c calls. Data thread.
 */
#include <errno.h>

#include "netback/queue_private.h"
#include "util/clock.h"

/* Slots between the look for a frame's bytes and their use. */
#define TX_AHEAD 8u

/* Nobody took a frame of ours: was that the switch's doing? */
static void note_drops(struct queue *q)
{
	struct queue_common *c = q->common;

	for (unsigned i = 0; i < SWITCH_NR_DROPS; i++) {
		q->traffic.tx_drops[i] += c->port->drops[i] - c->drops_seen[i];
		c->drops_seen[i] = c->port->drops[i];
	}
}

/*
 * Send the frame on, whose head is private by now. One that went to many costs
 * its sender what each of them would have.
 */
static int tx_switch(struct queue *q, struct frame *frame, uint64_t now_ns)
{
	int err = packet_check_meta(frame->head, frame->head_bytes,
				    frame->size_bytes, &frame->meta,
				    &frame->layout);
	unsigned nr;

	if (err)
		return err;
	nr = switch_forward(q->common->port, frame, now_ns);
	if (!nr)
		note_drops(q);
	else
		q->copies_cost += (nr - 1) * worker_cost(frame->size_bytes);
	return 0;
}

static void tx_count(struct queue *q, uint32_t size_bytes, int err)
{
	if (err) {
		q->traffic.tx_errors++;
	} else {
		q->traffic.tx_packets++;
		q->traffic.tx_bytes += size_bytes;
	}
}

/* Slots of the burst that are not used yet. */
static uint32_t tx_nr_taken(const struct queue *q)
{
	return q->nr_burst - q->nr_burst_used;
}

/*
 * Take what the ring shows, up to a burst, when the last one is used up.
 * Returns how many slots there are to use, or -EPROTO.
 */
static int tx_fill(struct queue *q)
{
	uint32_t nr = tx_nr_taken(q);
	int n;

	if (nr)
		return (int)nr;
	n = ring_back_pending(&q->tx.ring);
	if (n <= 0)
		return n;
	nr = (uint32_t)n < TX_BURST ? (uint32_t)n : TX_BURST;
	ring_back_get_many(&q->tx.ring, q->burst, nr);
	q->nr_burst = nr;
	q->nr_burst_used = 0;
	return (int)nr;
}

/* ---- plain frames -------------------------------------------------------- */

/* The frame of a slot, if the short way is open to it; NULL: any chain's way.
 */
static const void PV_SHARED *plain_data(struct queue *q,
					const struct netif_tx_request *req)
{
	const char PV_SHARED *page;

	if (!tx_is_plain(req))
		return NULL;
	page = grant_cache_peek(q->cache, req->gref, false);
	return page ? page + req->offset : NULL;
}

static void plain_serve(struct queue *q, const struct netif_tx_request *req,
			const void PV_SHARED *data, struct frame *frame,
			uint64_t now_ns)
{
	struct netif_tx_response rsp = { .id = req->id };
	int err;

	frame_snapshot(frame, data, req->size);
	tx_plain_meta(req, &frame->meta);
	err = tx_switch(q, frame, now_ns);
	rsp.status = netif_status(err);
	half_stage(&q->tx, &rsp, sizeof(rsp));
	tx_count(q, req->size, err);
}

/*
 * Forward and answer the plain frames at the head of the burst, until they cost
 * max, whose pages are mapped. They are looked for some slots ahead of their
 * use, so that bytes which the guest's CPU has are already on their way.
 * Returns how many there were; none of them is held back by a limit.
 */
static unsigned plain_run(struct queue *q, unsigned max, uint64_t now_ns)
{
	const struct netif_tx_request *reqs = q->burst + q->nr_burst_used;
	const void PV_SHARED *data[TX_BURST];
	unsigned nr = tx_nr_taken(q), found = 0, i;
	struct frame frame;

	if (nr > max)
		nr = max;
	for (i = 0; i < nr && i + q->copies_cost < max; i++) {
		for (; found < nr && found < i + TX_AHEAD; found++) {
			data[found] = plain_data(q, &reqs[found]);
			if (!data[found])
				nr = found;
			else
				frame_prefetch(data[found]);
		}
		if (i < nr)
			plain_serve(q, &reqs[i], data[i], &frame, now_ns);
	}
	if (i > nr)
		i = nr;
	q->nr_burst_used += i;
	return i;
}

/* ---- any chain ----------------------------------------------------------- */

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
	err = tx_switch(q, &frame, now_ns);
	unmap_pieces(q, packet, packet->nr_pieces);
	return err;
}

/* Take one chain off the ring. Returns 1, 0 when there is none, -EPROTO. */
static int tx_take(struct queue *q, const char **why)
{
	struct tx_chain *chain = &q->chain;
	int more = 1;

	chain->nr_reqs = chain->nr_extras = 0;
	chain->in_extras = false;
	while (more > 0) {
		int n = tx_fill(q);

		if (n < 0) {
			*why = "impossible transmit producer index";
			return n;
		}
		if (n == 0) {
			*why = "packet continues past the transmit ring";
			return tx_chain_nr_slots(chain) ? -EPROTO : 0;
		}
		more = tx_chain_add(chain, &q->burst[q->nr_burst_used++]);
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

		half_stage(&q->tx, &rsp, sizeof(rsp));
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
		tx_count(q, 0, err);
		return 1;
	}
	if (packet.kind == TX_FRAME)
		tx_count(q, packet.size_bytes, 0);
	return worker_cost(packet.size_bytes);
}

/* ---- a turn -------------------------------------------------------------- */

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
		.waiting = q->found_ns || left > 0 || tx_nr_taken(q),
		.was_full = was_full,
		.ring_full = tx_is_full(q, left),
		.throttled = q->found_ns,
	};

	traffic_tx_batch(&q->traffic, &state, nr, held_ns);
}

/* What was done in a turn. */
struct tx_turn {
	uint64_t now_ns;
	unsigned cost, nr; /* of chains, and how many */
	int err;	   /* the guest's fault, and which one */
	const char *why;
};

/* Chains that cost about budget; a limit has to hear of each of them. */
static void tx_take_turn(struct queue *q, unsigned budget, struct tx_turn *t)
{
	bool is_limited = limiter_member_limited(&q->tx_limit);

	while (t->cost < budget) {
		unsigned nr = 0;
		int n;

		q->copies_cost = 0;
		if (!is_limited && !q->found_ns && tx_fill(q) > 0)
			nr = plain_run(q, budget - t->cost, t->now_ns);
		t->cost += nr + q->copies_cost;
		t->nr += nr;
		if (nr)
			continue;
		n = tx_next(q, t->now_ns, &t->why);
		if (n <= 0) {
			t->err = n;
			return;
		}
		t->cost += tx_serve(q, &q->chain, t->now_ns);
		t->cost += q->copies_cost;
		t->nr++;
	}
}

unsigned queue_tx_poll(struct queue *q, unsigned budget)
{
	int waiting = ring_back_pending(&q->tx.ring);
	bool was_full = tx_is_full(q, waiting);
	uint64_t held_ns = q->found_ns;
	struct tx_turn turn = { .cost = 0 };

	q->src.not_before_ns = 0;
	if (!waiting && !held_ns && !tx_nr_taken(q))
		return 0;
	turn.now_ns = clock_now_ns();
	tx_take_turn(q, budget, &turn);
	if (turn.nr) {
		switch_flush(q->common->port->sw);
		if (half_commit(&q->tx))
			evtchn_notify(q->tx_ev);
	}
	tx_account(q, turn.now_ns, turn.nr, held_ns, was_full);
	if (turn.err)
		queue_peer_fault(q, turn.err, turn.why);
	return turn.cost;
}
