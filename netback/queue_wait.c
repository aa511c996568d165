/* SPDX-License-Identifier: MIT */
/*
 * queue_wait.c - frames that found no buffers of the guest's wait for a while;
 * see queue.h. Neighbours: waiting.c (where they wait), queue_rx.c (into the
 * guest's buffers); queue.c calls. Data thread.
 */
#include <errno.h>

#include "netback/queue_private.h"
#include "util/clock.h"

/* So long a frame waits, and so often is looked for buffers of a guest that
 * does not say when it posts some. */
#define WAIT_MAX_NS  (100 * NS_PER_MS)
#define WAIT_LOOK_NS (10 * NS_PER_MS)

int queue_wait_add(struct queue *q, const struct frame *frame,
		   const struct queue_hash *hash)
{
	int err;

	/* It is for a guest that posts buffers, as many as the frame needs. */
	if (!q->rx_alive || queue_rx_nr_slots(q, frame, hash) > q->most_posted)
		return -ENOBUFS;
	if (!q->waiting.nr || ring_back_pending(&q->rx.ring))
		worker_wake(&q->src);
	err = waiting_add(&q->waiting, frame, hash, worker_round_ns(&q->src));
	q->traffic.rx_waited += !err;
	return err;
}

unsigned queue_wait_poll(struct queue *q)
{
	uint64_t now_ns = worker_round_ns(&q->src), since_ns;
	struct queue_hash hash;
	struct frame frame;
	unsigned cost = 0;

	while (waiting_first(&q->waiting, &frame, &hash, &since_ns)) {
		int err = queue_rx_put(q, &frame, &hash);

		if (err && err != -ENOBUFS)
			return cost;
		if (err) {
			if (now_ns - since_ns < WAIT_MAX_NS)
				break;
			q->rx_alive = false;
			q->traffic.rx_drops[TRAFFIC_DROP_OLD]++;
		} else {
			cost += worker_cost(frame.size_bytes);
			hist_record(&q->traffic.rx_wait_ns, now_ns - since_ns);
		}
		waiting_drop_first(&q->waiting);
	}
	if (cost)
		queue_flush(q);
	return cost;
}

bool queue_wait_arm(struct queue *q, uint64_t *ret_due_ns)
{
	*ret_due_ns = 0;
	if (!q->waiting.nr) {
		waiting_free(&q->waiting);
		return false;
	}
	if (ring_back_arm(&q->rx.ring))
		return true;
	*ret_due_ns = worker_round_ns(&q->src) + WAIT_LOOK_NS;
	return false;
}
