/* SPDX-License-Identifier: MIT */
/*
 * rings.c - the shared memory and channels under the queues, all queues at a
 * time: made for a backend, connected, taken away.
 *
 * A backend with fewer rings than we have queues leaves some queues without:
 * their ios go through another queue's ring, for as long as it is there. Called
 * by connect.c; control thread, taking one queue's lock after the other.
 */
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>

#include "blkfront/private.h"

/* ---- made -----------------------------------------------------------------
 */

/*
 * One region: first every queue's pages for segments, then the programs'
 * buffers. It lives as long as the blkfront: pointers stay valid.
 */
static int share_buffers(struct blkfront *bf)
{
	uint32_t nr_own = bf->nr_queues * BLKFRONT_SEGMENT_PAGES;
	uint32_t nr = (uint32_t)(bf->buf_bytes / PV_PAGE_SIZE);
	int err;

	if (bf->pool)
		return bf->backend_id == bf->dev.otherend_id ? 0 : -EXDEV;
	err = grant_pool_open(bf->platform, bf->dev.otherend_id, nr_own + nr, 0,
			      &bf->pool);
	if (err)
		return err;
	bf->backend_id = bf->dev.otherend_id;
	(void)grant_pool_take(bf->pool, nr_own); /* the lowest: it is empty */
	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];
		uint32_t own = bq->nr * BLKFRONT_SEGMENT_PAGES;

		bq->q.segments = (struct pages){
			.base = grant_pool_page(bf->pool, own),
			.size_bytes = BLKFRONT_SEGMENT_PAGES * PV_PAGE_SIZE,
			.first_ref = grant_pool_ref(bf->pool, own),
		};
		bq->q.buffers = (struct pages){
			.base = grant_pool_page(bf->pool, nr_own),
			.size_bytes = bf->buf_bytes,
			.first_ref = grant_pool_ref(bf->pool, nr_own),
		};
	}
	return 0;
}

static int open_ring(struct blkfront_queue *bq)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct blkfront *bf = bq->bf;
	int err;

	err = platform_share(bf->platform, bf->dev.otherend_id,
			     1u << bf->transport.ring_order, 0, &bq->ring);
	if (err)
		return err;
	err = platform_evtchn_alloc(bf->platform, bf->dev.otherend_id,
				    &bq->evtchn);
	if (err)
		return err;
	bq->cut_off = false;
	if (epoll_ctl(bq->epoll_fd, EPOLL_CTL_ADD, evtchn_fd(bq->evtchn), &ev))
		return -errno;
	return 0;
}

int rings_open(struct blkfront *bf)
{
	int err = share_buffers(bf);

	for (uint32_t i = 0; !err && i < bf->transport.nr_rings; i++) {
		owner_lock(&bf->queues[i]);
		err = open_ring(&bf->queues[i]);
		owner_unlock(&bf->queues[i]);
	}
	return err;
}

/* ---- connected ------------------------------------------------------------
 */

static void attach(struct blkfront_queue *bq)
{
	struct blkfront *bf = bq->bf;

	owner_lock(bq);
	bq->via = bq;
	queue_attach(&bq->q, bq->ring.base,
		     (size_t)bq->ring.nr_pages * PV_PAGE_SIZE, &bf->limits);
	bq->info = bf->info;
	bq->refuse = 0;
	owner_push(bq);
	owner_unlock(bq);
}

/* The queue has no ring any more: what waits in it goes where it will go. */
static void reroute(struct blkfront_queue *bq, struct blkfront_queue *via)
{
	struct io_list waiting;

	io_list_init(&waiting);
	owner_lock(bq);
	bq->via = via;
	io_list_move(&waiting, &bq->q.waiting);
	owner_unlock(bq);
	owner_lock(via);
	io_list_move(&via->q.waiting, &waiting);
	owner_push(via);
	owner_unlock(via);
}

int rings_attach(struct blkfront *bf)
{
	uint32_t nr = bf->transport.nr_rings;

	assert(nr > 0); /* features.c sees to it */
	for (uint32_t i = 0; i < nr; i++)
		if (!bf->queues[i].ring.base || !bf->queues[i].evtchn)
			return -EINVAL;
	for (uint32_t i = 0; i < nr; i++)
		attach(&bf->queues[i]);
	for (uint32_t i = nr; i < bf->nr_queues; i++)
		reroute(&bf->queues[i], &bf->queues[i % nr]);
	return 0;
}

void rings_set_info(struct blkfront *bf)
{
	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];

		owner_lock(bq);
		bq->info = bf->info;
		owner_unlock(bq);
	}
}

uint32_t rings_reap(struct blkfront *bf, const char **ret_fault)
{
	uint32_t nr_cut_off = 0;

	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];

		owner_lock(bq);
		owner_reap(bq);
		if (bq->fault)
			*ret_fault = bq->fault;
		nr_cut_off += bq->cut_off;
		owner_unlock(bq);
	}
	return nr_cut_off;
}

bool rings_idle(struct blkfront *bf)
{
	bool idle = true;

	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];

		owner_lock(bq);
		idle = idle && queue_idle(&bq->q);
		owner_unlock(bq);
	}
	return idle;
}

/* ---- taken away -----------------------------------------------------------
 */

void rings_refuse(struct blkfront *bf, int err)
{
	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];

		owner_lock(bq);
		bq->refuse = err;
		owner_unlock(bq);
	}
}

void rings_fail(struct blkfront *bf, int result, int lost)
{
	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];

		owner_lock(bq);
		bq->refuse = -ESHUTDOWN;
		bq->lost = lost;
		queue_fail(&bq->q, result);
		owner_unlock(bq);
		owner_wake(bq);
	}
}

static void lose_backend(struct blkfront_queue *bq)
{
	switch (bq->bf->policy) {
	case BLKFRONT_REISSUE: queue_detach(&bq->q, 0); return;
	case BLKFRONT_QUEUE: queue_detach(&bq->q, -EIO); return;
	case BLKFRONT_FAIL:
		queue_fail(&bq->q, -EIO);
		if (!bq->refuse)
			bq->refuse = -ENOTCONN;
		return;
	}
}

void rings_release(struct blkfront *bf)
{
	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		struct blkfront_queue *bq = &bf->queues[i];

		owner_lock(bq);
		lose_backend(bq);
		if (bq->evtchn && !bq->cut_off)
			epoll_ctl(bq->epoll_fd, EPOLL_CTL_DEL,
				  evtchn_fd(bq->evtchn), NULL);
		evtchn_close(bq->evtchn);
		bq->evtchn = NULL;
		bq->cut_off = false;
		/* What a backend still maps goes to quarantine: not ours. */
		if (bq->ring.base)
			platform_unshare(bf->platform, &bq->ring);
		bq->ring.base = NULL;
		owner_unlock(bq);
		owner_wake(bq);
	}
}
