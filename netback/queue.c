/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a queue's life, and its place among the sources of the data thread;
 * see queue.h. Neighbours: queue_tx.c, queue_rx.c, record.c; port.c calls.
 * Data thread but for open and close.
 */
#include "netback/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "netback/queue_private.h"
#include "util/clock.h"

/* Every buffer of both rings, and as many that went out of use. */
#define CACHE_PAGES 1024u

void queue_peer_fault(struct queue *q, int err, const char *why)
{
	if (q->broken)
		return;
	q->broken = true;
	worker_remove(&q->src);
	q->common->fault(q->common->fault_arg, err, why);
}

/* ---- a source of the data thread --------------------------------------- */

/* This queue's part of the vif's budget. */
static unsigned budget_share(struct queue *q, unsigned budget)
{
	struct queue_common *c = q->common;
	uint64_t now_ns = worker_round_ns(&q->src);

	if (c->round_ns != now_ns) {
		c->round_ns = now_ns;
		c->nr_busy_before = c->nr_busy;
		c->nr_busy = 0;
	}
	if (c->nr_busy_before > 1)
		budget = (budget + c->nr_busy_before - 1) / c->nr_busy_before;
	return budget;
}

static unsigned queue_poll(struct work_source *src, unsigned budget)
{
	struct queue *q = container_of(src, struct queue, src);
	unsigned done = q->waiting.nr ? queue_wait_poll(q) : 0;

	if (q->broken)
		return done;
	done += queue_tx_poll(q, budget_share(q, budget));
	if (done)
		q->common->nr_busy++;
	return done;
}

static bool queue_arm(struct work_source *src)
{
	struct queue *q = container_of(src, struct queue, src);
	uint64_t due_ns;

	/* A producer index gone wrong shows in the next poll. */
	if (queue_wait_arm(q, &due_ns))
		return true;
	/* What is in the ring has to wait: no event is asked for. */
	if (!src->not_before_ns) {
		limiter_member_rest(&q->tx_limit);
		limiter_member_rest(&q->rx_limit);
		if (ring_back_arm(&q->tx.ring))
			return true;
	}
	if (due_ns && (!src->not_before_ns || due_ns < src->not_before_ns))
		src->not_before_ns = due_ns;
	return false;
}

static void queue_event(struct work_source *src)
{
	struct queue *q = container_of(src, struct queue, src);
	int n = evtchn_clear(q->tx_ev);

	if (n >= 0 && q->rx_ev != q->tx_ev)
		n = evtchn_clear(q->rx_ev);
	if (n < 0)
		queue_peer_fault(q, n,
				 "the frontend's event channel is closed");
}

static const struct work_source_ops queue_source_ops = {
	.poll = queue_poll,
	.arm = queue_arm,
	.event = queue_event,
};

/* ---- life -------------------------------------------------------------- */

static int bind_channels(struct queue *q, const struct queue_params *params)
{
	struct platform *p = q->common->platform;
	domid_t domid = q->common->domid;
	int err = platform_evtchn_bind(p, domid, params->tx_port, &q->tx_ev);

	if (err)
		return err;
	if (params->rx_port == params->tx_port) {
		q->rx_ev = q->tx_ev;
		return 0;
	}
	return platform_evtchn_bind(p, domid, params->rx_port, &q->rx_ev);
}

static int map_rings(struct queue *q, const struct queue_params *params)
{
	struct platform *p = q->common->platform;
	domid_t domid = q->common->domid;
	int err = platform_map(p, domid, &params->tx_ref, 1, true, &q->tx_map);

	if (err)
		return err;
	return platform_map(p, domid, &params->rx_ref, 1, true, &q->rx_map);
}

static int attach_rings(struct queue *q, struct queue_record *record,
			bool resume)
{
	int err = half_init(&q->tx, &record->tx, q->tx_map.base,
			    sizeof(struct netif_tx_request), resume);

	if (err)
		return err;
	return half_init(&q->rx, &record->rx, q->rx_map.base,
			 sizeof(struct netif_rx_response), resume);
}

int queue_open(struct queue_common *common, struct queue_record *record,
	       bool resume, struct queue **ret)
{
	struct queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	q->common = common;
	q->record = record;
	q->src.ops = &queue_source_ops;
	limiter_member_set(&q->tx_limit, &common->limiters);
	limiter_member_set(&q->rx_limit, &common->limiters);
	err = grant_cache_open(common->platform, common->domid, CACHE_PAGES,
			       &q->cache);
	if (!err)
		err = map_rings(q, &record->params);
	if (!err)
		err = bind_channels(q, &record->params);
	if (!err)
		err = attach_rings(q, record, resume);
	if (!err && resume)
		err = queue_pages_resume(q);
	if (err) {
		queue_close(q, resume);
		return err;
	}
	q->src.fd = evtchn_fd(q->tx_ev);
	q->src.extra_is_peers = q->rx_ev != q->tx_ev;
	q->src.extra_fd = q->src.extra_is_peers ? evtchn_fd(q->rx_ev) : -1;
	*ret = q;
	return 0;
}

void queue_close(struct queue *q, bool keep)
{
	void (*end)(struct evtchn * ev) = keep ? evtchn_abandon : evtchn_close;

	if (!q)
		return;
	limiter_member_rest(&q->tx_limit);
	limiter_member_rest(&q->rx_limit);
	if (q->rx_ev && q->rx_ev != q->tx_ev)
		end(q->rx_ev);
	if (q->tx_ev)
		end(q->tx_ev);
	waiting_free(&q->waiting);
	grant_cache_close(q->cache);
	if (q->tx_map.nr_pages)
		platform_unmap(q->common->platform, &q->tx_map);
	if (q->rx_map.nr_pages)
		platform_unmap(q->common->platform, &q->rx_map);
	free(q);
}

int queue_start(struct queue *q, struct worker *worker)
{
	int err = worker_add(worker, &q->src);

	if (err)
		return err;
	/* A predecessor may have died between an answer and its event. */
	evtchn_notify(q->tx_ev);
	if (q->rx_ev != q->tx_ev)
		evtchn_notify(q->rx_ev);
	return 0;
}

void queue_stop(struct queue *q)
{
	worker_remove(&q->src);
	/* What was delivered last is the guest's. */
	if (!q->broken)
		queue_flush(q);
}

void queue_limits_changed(struct queue *q)
{
	limiter_member_set(&q->tx_limit, &q->common->limiters);
	limiter_member_set(&q->rx_limit, &q->common->limiters);
	worker_wake(&q->src);
}

void queue_traffic(const struct queue *q, struct traffic *to)
{
	traffic_add(to, &q->traffic, clock_now_ns());
}
