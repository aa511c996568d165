/* SPDX-License-Identifier: MIT */
/*
 * rings.c - the shared memory and channels under the queues, all queues at a
 * time: made for a backend, connected, taken away.
 *
 * Rings and channels are a connection's. The pages of frames are made once: a
 * program may be looking at them while the backend goes and another comes. Each
 * direction is a region of its own, so that the backend can be kept from
 * writing what we send. Called by connect.c; control thread, taking one queue's
 * lock after the other.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "netfront/private.h"

#define RING_PAGES 2u /* transmit, receive */

/* ---- made -----------------------------------------------------------------
 */

static int share_pages(struct netfront_queue *q)
{
	struct netfront *nf = q->nf;
	int err;

	if (q->recv_pages.base)
		return 0;
	if (!q->send_pages.base) {
		err = platform_share(nf->platform, nf->dev.otherend_id,
				     TX_PAGES, SHARE_PEER_READONLY,
				     &q->send_pages);
		if (err)
			return err;
		tx_ring_init(&q->tx, q->send_pages.base,
			     q->send_pages.first_ref);
	}
	err = platform_share(nf->platform, nf->dev.otherend_id, RX_PAGES, 0,
			     &q->recv_pages);
	if (!err)
		rx_ring_init(&q->rx, q->recv_pages.base,
			     q->recv_pages.first_ref);
	return err;
}

static int open_channel(struct netfront_queue *q, struct evtchn **ret)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct netfront *nf = q->nf;
	int err = platform_evtchn_alloc(nf->platform, nf->dev.otherend_id, ret);

	if (err)
		return err;
	if (epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, evtchn_fd(*ret), &ev))
		return -errno;
	return 0;
}

static int open_queue(struct netfront_queue *q)
{
	struct netfront *nf = q->nf;
	int err = share_pages(q);

	if (!err)
		err = platform_share(nf->platform, nf->dev.otherend_id,
				     RING_PAGES, 0, &q->rings);
	if (!err)
		err = open_channel(q, &q->tx_ev);
	if (err)
		return err;
	q->cut_off = false;
	if (nf->transport.split_channels)
		return open_channel(q, &q->rx_ev);
	q->rx_ev = q->tx_ev;
	return 0;
}

int net_rings_open(struct netfront *nf)
{
	int err = 0;

	if (nf->was_up && nf->backend_id != nf->dev.otherend_id)
		return -EXDEV; /* the pages are another domain's to see */
	nf->backend_id = nf->dev.otherend_id;
	for (uint32_t i = 0; !err && i < nf->transport.nr_rings; i++) {
		net_owner_lock(&nf->queues[i]);
		err = open_queue(&nf->queues[i]);
		net_owner_unlock(&nf->queues[i]);
	}
	return err;
}

/* ---- connected ------------------------------------------------------------
 */

static void attach(struct netfront_queue *q)
{
	char *rings = q->rings.base;

	net_owner_lock(q);
	tx_ring_attach(&q->tx, (void PV_SHARED *)rings, &q->nf->info);
	rx_ring_attach(&q->rx, (void PV_SHARED *)(rings + PV_PAGE_SIZE));
	rx_expect(&q->rx, XEN_NETIF_EXTRA_TYPE_GSO);
	if (q->nf->transport.headroom_bytes)
		rx_expect(&q->rx, XEN_NETIF_EXTRA_TYPE_XDP);
	if (ring_front_push(&q->rx.ring))
		evtchn_notify(q->rx_ev);
	q->attached = q->up = true;
	q->fault = NULL;
	net_owner_unlock(q);
}

int net_rings_attach(struct netfront *nf)
{
	for (uint32_t i = 0; i < nf->transport.nr_rings; i++)
		if (!nf->queues[i].rings.base || !nf->queues[i].rx_ev)
			return -EINVAL;
	for (uint32_t i = 0; i < nf->transport.nr_rings; i++)
		attach(&nf->queues[i]);
	return 0;
}

void net_rings_expect(struct netfront *nf, uint8_t extra_type)
{
	for (uint32_t i = 0; i < nf->transport.nr_rings; i++) {
		net_owner_lock(&nf->queues[i]);
		rx_expect(&nf->queues[i].rx, extra_type);
		net_owner_unlock(&nf->queues[i]);
	}
}

static void tell(struct netfront_queue *q)
{
	q->changed = true;
	net_owner_wake(q);
}

void net_rings_tell(struct netfront *nf)
{
	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		net_owner_lock(&nf->queues[i]);
		tell(&nf->queues[i]);
		net_owner_unlock(&nf->queues[i]);
	}
}

uint32_t net_rings_check(struct netfront *nf, const char **ret_fault)
{
	uint32_t nr_cut_off = 0;

	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		struct netfront_queue *q = &nf->queues[i];

		net_owner_lock(q);
		if (q->fault)
			*ret_fault = q->fault;
		q->fault = NULL;
		nr_cut_off += q->cut_off;
		net_owner_unlock(q);
	}
	return nr_cut_off;
}

/* ---- taken away -----------------------------------------------------------
 */

void net_rings_stop(struct netfront *nf)
{
	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		struct netfront_queue *q = &nf->queues[i];

		net_owner_lock(q);
		q->up = false;
		tell(q);
		net_owner_unlock(q);
	}
}

void net_rings_fail(struct netfront *nf, int lost)
{
	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		struct netfront_queue *q = &nf->queues[i];

		net_owner_lock(q);
		q->up = false;
		q->lost = lost;
		tell(q);
		net_owner_unlock(q);
	}
}

static void close_channel(struct netfront_queue *q, struct evtchn **ev)
{
	if (*ev && !q->cut_off)
		epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, evtchn_fd(*ev), NULL);
	evtchn_close(*ev);
	*ev = NULL;
}

static void release(struct netfront_queue *q)
{
	if (q->attached)
		q->stats.tx_dropped += tx_ring_detach(&q->tx);
	q->attached = q->up = false;
	if (q->rx_ev == q->tx_ev)
		q->rx_ev = NULL;
	close_channel(q, &q->tx_ev);
	close_channel(q, &q->rx_ev);
	q->cut_off = false;
	/* -EBUSY: what a backend still maps goes to quarantine: not ours. */
	if (q->rings.base)
		(void)platform_unshare(q->nf->platform, &q->rings);
}

void net_rings_release(struct netfront *nf)
{
	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		net_owner_lock(&nf->queues[i]);
		release(&nf->queues[i]);
		net_owner_unlock(&nf->queues[i]);
	}
}

void net_rings_free(struct netfront *nf)
{
	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		struct netfront_queue *q = &nf->queues[i];

		if (q->send_pages.base)
			(void)platform_unshare(nf->platform, &q->send_pages);
		if (q->recv_pages.base)
			(void)platform_unshare(nf->platform, &q->recv_pages);
	}
}
