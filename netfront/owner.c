/* SPDX-License-Identifier: MIT */
/*
 * owner.c - the public calls on a queue: prepare, send, recv, kick, poll, arm.
 *
 * Decides when to look at what: the rings on every call (memory only), event
 * channels and store only after a sleep or now and then, since that costs
 * system calls. The owner of queue 0 runs connect.c's events; the others leave
 * notes (a lie, a lost channel) for it. The work is in tx.c and rx.c.
 */
#include <sys/epoll.h>
#include <unistd.h>

#include "netfront/private.h"
#include "util/clock.h"

/*
 * A busy poller still learns of the store's events this often; it reads the
 * clock only every so many polls, since that takes as long as the rest of one.
 */
#define LOOK_NS	    (2 * NS_PER_MS)
#define CLOCK_POLLS 16u

void net_owner_lock(struct netfront_queue *q)
{
	if (q->nf->nr_queues > 1)
		pthread_mutex_lock(&q->lock);
}

void net_owner_unlock(struct netfront_queue *q)
{
	if (q->nf->nr_queues > 1)
		pthread_mutex_unlock(&q->lock);
}

void net_owner_wake(struct netfront_queue *q)
{
	uint64_t one = 1;

	/* Full means woken already. */
	(void)!write(q->wake_fd, &one, sizeof(one));
}

/* With the lock held. Control acts on it; nothing more is taken meanwhile. */
static void note_fault(struct netfront_queue *q, const char *why)
{
	q->fault = why;
	q->up = false;
	q->armed = true;
	if (q->nr != 0)
		net_owner_wake(&q->nf->queues[0]);
}

static void reap(struct netfront_queue *q)
{
	if (q->up && tx_reap(&q->tx, &q->stats))
		note_fault(q, "a transmit response that answers nothing");
}

/* ---- frames ---------------------------------------------------------------
 */

unsigned netfront_queue_prepare(struct netfront_queue *q,
				struct netfront_frame *frames, unsigned nr,
				size_t room_bytes)
{
	unsigned n = 0;

	net_owner_lock(q);
	if (q->up)
		n = tx_prepare(&q->tx, frames, nr, room_bytes);
	if (q->up && q->tx.blocked) {
		tx_abort(&q->tx);
		reap(q);
		n = q->up ? tx_prepare(&q->tx, frames, nr, room_bytes) : 0;
	}
	net_owner_unlock(q);
	return n;
}

unsigned netfront_queue_send(struct netfront_queue *q,
			     const struct netfront_frame *frames, unsigned nr)
{
	unsigned n = 0;

	net_owner_lock(q);
	if (q->up) {
		n = tx_send(&q->tx, frames, nr, &q->stats);
	} else {
		tx_abort(&q->tx);
		q->stats.tx_dropped += nr;
	}
	net_owner_unlock(q);
	return n;
}

unsigned netfront_queue_recv(struct netfront_queue *q,
			     struct netfront_frame *frames, unsigned nr)
{
	int n = 0;

	net_owner_lock(q);
	if (q->up)
		n = rx_take(&q->rx, frames, nr, &q->stats);
	if (n < 0) {
		note_fault(q, "a receive response that cannot be");
		n = 0;
	}
	net_owner_unlock(q);
	return (unsigned)n;
}

void netfront_queue_recv_done(struct netfront_queue *q)
{
	net_owner_lock(q);
	rx_done(&q->rx, q->attached);
	net_owner_unlock(q);
}

void netfront_queue_kick(struct netfront_queue *q)
{
	net_owner_lock(q);
	if (q->up) {
		bool tx = ring_front_push(&q->tx.ring);
		bool rx = ring_front_push(&q->rx.ring);

		if (tx)
			evtchn_notify(q->tx_ev);
		if (rx && !(tx && q->rx_ev == q->tx_ev))
			evtchn_notify(q->rx_ev);
	}
	net_owner_unlock(q);
}

/* ---- events ---------------------------------------------------------------
 */

bool net_owner_clear_channels(struct netfront_queue *q)
{
	bool gone = false;

	if (q->tx_ev && evtchn_clear(q->tx_ev) < 0)
		gone = true;
	if (q->rx_ev && q->rx_ev != q->tx_ev && evtchn_clear(q->rx_ev) < 0)
		gone = true;
	return gone;
}

/* What an owner other than queue 0's learns from its descriptors. */
static void look(struct netfront_queue *q)
{
	bool tell = false;
	uint64_t count;

	(void)!read(q->wake_fd, &count, sizeof(count));
	net_owner_lock(q);
	if (!q->cut_off && net_owner_clear_channels(q)) {
		q->cut_off = tell = true;
		epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, evtchn_fd(q->tx_ev),
			  NULL);
		if (q->rx_ev != q->tx_ev)
			epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL,
				  evtchn_fd(q->rx_ev), NULL);
	}
	net_owner_unlock(q);
	if (tell)
		net_owner_wake(&q->nf->queues[0]);
}

static bool is_look_due(struct netfront_queue *q)
{
	if (q->armed)
		return true;
	if (++q->nr_polls % CLOCK_POLLS)
		return false;
	return clock_now_ns() >= q->next_look_ns;
}

int netfront_queue_poll(struct netfront_queue *q)
{
	bool changed;
	int lost;

	if (is_look_due(q)) {
		q->armed = false;
		q->next_look_ns = clock_now_ns() + LOOK_NS;
		if (q->nr == 0)
			net_connect_events(q->nf);
		else
			look(q);
	}
	net_owner_lock(q);
	reap(q);
	changed = q->changed;
	q->changed = false;
	lost = q->lost;
	net_owner_unlock(q);
	return lost ? lost : changed;
}

/*
 * Completions are waited for only when they are what is missing: a guest that
 * has sent one frame is not woken to hear that it was taken, and one that waits
 * for room is woken when there is room for several.
 */
bool netfront_queue_arm(struct netfront_queue *q)
{
	struct netfront *nf = q->nf;
	bool busy;

	net_owner_lock(q);
	busy = q->lost || q->changed || (q->fault && !q->nr);
	if (!busy && q->up && q->tx.blocked)
		busy = ring_front_arm_quarter(&q->tx.ring) != 0;
	if (!busy && q->up)
		busy = ring_front_arm(&q->rx.ring) != 0;
	net_owner_unlock(q);
	q->armed = true;
	if (busy || q->nr != 0)
		return busy;
	if (net_ctrl_arm(nf))
		return true;
	return !nf->store_gone && xs_pending(nf->xs);
}

int netfront_queue_fd(const struct netfront_queue *q)
{
	return q->epoll_fd;
}

struct netfront_queue *netfront_queue(struct netfront *nf, uint32_t nr)
{
	return nr < nf->nr_queues ? &nf->queues[nr] : NULL;
}

/* ---- queue 0's, for programs of one thread --------------------------------
 */

unsigned netfront_prepare(struct netfront *nf, struct netfront_frame *frames,
			  unsigned nr, size_t room_bytes)
{
	return netfront_queue_prepare(&nf->queues[0], frames, nr, room_bytes);
}

unsigned netfront_send(struct netfront *nf, const struct netfront_frame *frames,
		       unsigned nr)
{
	return netfront_queue_send(&nf->queues[0], frames, nr);
}

unsigned netfront_recv(struct netfront *nf, struct netfront_frame *frames,
		       unsigned nr)
{
	return netfront_queue_recv(&nf->queues[0], frames, nr);
}

void netfront_recv_done(struct netfront *nf)
{
	netfront_queue_recv_done(&nf->queues[0]);
}

void netfront_kick(struct netfront *nf)
{
	netfront_queue_kick(&nf->queues[0]);
}

int netfront_poll(struct netfront *nf)
{
	return netfront_queue_poll(&nf->queues[0]);
}

int netfront_fd(const struct netfront *nf)
{
	return netfront_queue_fd(&nf->queues[0]);
}

bool netfront_arm(struct netfront *nf)
{
	return netfront_queue_arm(&nf->queues[0]);
}
