/* SPDX-License-Identifier: MIT */
/*
 * queue.c - the data path of one ring: see queue.h.
 *
 * A request's life: copied off the ring, recorded, parsed, its pages mapped,
 * submitted; reaped, its pages let go, its response put, recorded. A round does
 * this for a batch and shows the responses once.
 *
 * Neighbours: parse.c (the gate), inflight.c (the record), pages.c (grants),
 * ring/, storage.h. Called by worker/ on the data thread; vbd.c controls it.
 */
#include "blkback/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkback/pages.h"
#include "ring/ring.h"

#define SHOW_EVERY 8u /* requests */

/* Which part of a request is under way. */
enum stage {
	STAGE_ONLY,
	STAGE_FLUSH_BEFORE,
	STAGE_WRITE,
	STAGE_FLUSH_AFTER,
};

/* One request in flight; its index is its slot in the record. */
struct pending {
	struct storage_io sio;
	struct blkback_queue *queue;
	struct blk_io io;
	enum stage stage;
	struct request_pages pages;
	struct iovec iov[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

struct blkback_queue {
	struct work_source source;
	struct worker *worker; /* control's; NULL: never started */
	struct ring_back ring;
	struct grant_map ring_map;
	struct evtchn *evtchn;
	struct page_mapper mapper;
	struct platform *platform;
	struct inflight *inflight;
	const struct storage_ops *ops;
	struct storage_channel *channel;
	struct blk_limits limits;
	size_t slot_bytes;
	uint32_t nr_slots;
	struct pending *pending; /* nr_slots */
	uint32_t *free_slots;	 /* the nr_free first are unused */
	uint32_t nr_free;
	/* Left by a predecessor, to be re-issued at the start. */
	uint32_t *recovered;
	struct blk_raw *recovered_raw;
	uint32_t nr_recovered;
	bool draining;	/* consume nothing more */
	bool unflushed; /* submitted and not yet taken by the kernel */
	bool resumed;
	int event_fd;
	struct blkback_queue_stats stats;
	/* Written by the data thread, read by control after event_fd. */
	_Atomic int fault;
	_Atomic bool stopped;
};

static struct blkback_queue *queue_of(struct work_source *src)
{
	return container_of(src, struct blkback_queue, source);
}

static void tell_control(struct blkback_queue *q)
{
	uint64_t one = 1;
	ssize_t n;

	if (q->event_fd < 0)
		return;
	n = write(q->event_fd, &one, sizeof(one));
	(void)n; /* full means that control has not looked yet */
}

/* The peer's fault or end: this ring is over. */
static void set_fault(struct blkback_queue *q, int err)
{
	if (blkback_queue_fault(q))
		return;
	q->draining = true;
	/* Pairs with blkback_queue_fault(). */
	atomic_store_explicit(&q->fault, err, memory_order_release);
	tell_control(q);
}

static void answer(struct blkback_queue *q, struct pending *p, int err)
{
	uint32_t slot = (uint32_t)(p - q->pending);
	int16_t status = blkif_status(err);
	struct blk_raw rsp;
	size_t size_bytes = blkif_response(q->limits.layout, p->io.id,
					   p->io.operation, status, &rsp);

	q->stats.nr_errors += status != BLKIF_RSP_OKAY;
	ring_back_put(&q->ring, &rsp, size_bytes);
	inflight_answer(q->inflight, slot);
	q->free_slots[q->nr_free++] = slot;
}

static int submit(struct blkback_queue *q, struct pending *p,
		  enum storage_op op)
{
	bool data = op != STORAGE_FLUSH;

	p->sio.op = op;
	p->sio.offset_bytes = data ? p->io.offset_bytes : 0;
	p->sio.size_bytes = data ? p->io.size_bytes : 0;
	p->sio.iov = p->iov;
	p->sio.nr_iov = data ? p->io.nr_segments : 0;
	q->unflushed = true;
	return q->ops->submit(q->channel, &p->sio);
}

static void finish(struct blkback_queue *q, struct pending *p, int err)
{
	request_pages_put(&q->mapper, &p->io, &p->pages);
	answer(q, p, err);
}

/* The storage is done with one part of a request. */
static void storage_done(struct storage_io *sio)
{
	struct pending *p = container_of(sio, struct pending, sio);
	struct blkback_queue *q = p->queue;
	int err = sio->result;

	if (err || p->stage == STAGE_ONLY || p->stage == STAGE_FLUSH_AFTER) {
		finish(q, p, err);
		return;
	}
	if (p->stage == STAGE_FLUSH_BEFORE) {
		p->stage = STAGE_WRITE;
		err = submit(q, p, STORAGE_WRITE);
	} else {
		p->stage = STAGE_FLUSH_AFTER;
		err = submit(q, p, STORAGE_FLUSH);
	}
	if (err)
		finish(q, p, err);
}

static int issue(struct blkback_queue *q, struct pending *p)
{
	switch (p->io.kind) {
	case BLK_READ:
		q->stats.nr_reads++;
		p->stage = STAGE_ONLY;
		return submit(q, p, STORAGE_READ);
	case BLK_WRITE:
		q->stats.nr_writes++;
		p->stage = STAGE_ONLY;
		return submit(q, p, STORAGE_WRITE);
	case BLK_FLUSH:
		q->stats.nr_flushes++;
		p->stage = STAGE_ONLY;
		return submit(q, p, STORAGE_FLUSH);
	case BLK_WRITE_FLUSHED:
		q->stats.nr_flushes++;
		p->stage = STAGE_FLUSH_BEFORE;
		return submit(q, p, STORAGE_FLUSH);
	}
	return -EOPNOTSUPP;
}

/* A recorded request: carry it out, or answer it with an error. */
static void begin(struct blkback_queue *q, uint32_t slot,
		  const struct blk_raw *raw)
{
	struct pending *p = &q->pending[slot];
	int err = blkif_parse(raw, &q->limits, &p->io);

	if (err) {
		answer(q, p, err);
		return;
	}
	err = request_pages_get(&q->mapper, &p->io, &p->pages, p->iov);
	if (err) {
		answer(q, p, err);
		return;
	}
	err = issue(q, p);
	if (err)
		finish(q, p, err);
}

static unsigned pull(struct blkback_queue *q, unsigned budget)
{
	unsigned nr = 0;

	while (nr < budget && q->nr_free) {
		struct blk_raw raw = { { 0 } };
		int waiting = ring_back_pending(&q->ring);
		uint32_t slot;

		if (waiting < 0) {
			set_fault(q, waiting);
			break;
		}
		if (!waiting)
			break;
		slot = q->free_slots[--q->nr_free];
		ring_back_get(&q->ring, &raw, q->slot_bytes);
		inflight_consume(q->inflight, slot, &raw);
		begin(q, slot, &raw);
		nr++;
	}
	return nr;
}

static void leave_when_drained(struct blkback_queue *q)
{
	if (!q->draining || q->nr_free != q->nr_slots)
		return;
	worker_remove(&q->source);
	/* Pairs with blkback_queue_stopped(). */
	if (!atomic_exchange_explicit(&q->stopped, true, memory_order_acq_rel))
		tell_control(q);
}

static void show(struct blkback_queue *q)
{
	if (ring_back_push(&q->ring))
		evtchn_notify(q->evtchn);
}

/*
 * Requests go to the storage as one batch, but what it answers on the spot
 * (memory, page cache) is shown every few: the frontend works on those while
 * the rest is being carried out, instead of waiting for the whole round.
 */
static unsigned queue_poll(struct work_source *src, unsigned budget)
{
	struct blkback_queue *q = queue_of(src);
	unsigned nr = q->ops->poll(q->channel), pulled = 0, n = 0;

	while (!q->draining && pulled < budget) {
		n = pull(q, SHOW_EVERY);
		pulled += n;
		if (n < SHOW_EVERY)
			break;
		nr += q->ops->poll(q->channel);
		show(q);
	}
	if (q->unflushed)
		q->unflushed = !q->ops->flush(q->channel);
	nr += q->ops->poll(q->channel);
	if (q->unflushed)
		q->unflushed = !q->ops->flush(q->channel);
	show(q);
	leave_when_drained(q);
	return nr + pulled;
}

static bool queue_arm(struct work_source *src)
{
	struct blkback_queue *q = queue_of(src);
	bool waiting = q->nr_free != q->nr_slots;
	int nr;

	/* Nothing would wake us. */
	if (q->unflushed || (waiting && q->source.extra_fd < 0))
		return true;
	if (q->draining)
		return !waiting;
	nr = ring_back_arm(&q->ring);
	if (nr < 0)
		set_fault(q, nr);
	/* A full pending array cannot take what the ring offers. */
	return nr < 0 || (nr > 0 && q->nr_free);
}

static void queue_event(struct work_source *src)
{
	struct blkback_queue *q = queue_of(src);

	if (evtchn_clear(q->evtchn) == -EPIPE)
		set_fault(q, -EPIPE);
}

static const struct work_source_ops queue_source_ops = {
	.poll = queue_poll,
	.arm = queue_arm,
	.event = queue_event,
};

/* ---- control thread ----------------------------------------------------- */

static int alloc_pending(struct blkback_queue *q)
{
	uint32_t nr = q->nr_slots;

	q->pending = calloc(nr, sizeof(*q->pending));
	q->free_slots = calloc(nr, sizeof(*q->free_slots));
	q->recovered = calloc(nr, sizeof(*q->recovered));
	q->recovered_raw = calloc(nr, sizeof(*q->recovered_raw));
	if (!q->pending || !q->free_slots || !q->recovered || !q->recovered_raw)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++) {
		q->pending[i].queue = q;
		q->pending[i].sio.done = storage_done;
	}
	return 0;
}

/* All slots but those that a predecessor left in use, lowest on top. */
static void fill_free_slots(struct blkback_queue *q)
{
	for (uint32_t slot = q->nr_slots; slot-- > 0;) {
		bool used = false;

		for (uint32_t i = 0; i < q->nr_recovered; i++)
			used |= q->recovered[i] == slot;
		if (!used)
			q->free_slots[q->nr_free++] = slot;
	}
}

static int attach_ring(struct blkback_queue *q,
		       const struct inflight_params *params, bool resume)
{
	size_t size_bytes = (size_t)PV_PAGE_SIZE << params->ring_order;
	int err;

	err = platform_map(q->platform, (domid_t)params->domid,
			   params->ring_refs, 1u << params->ring_order, true,
			   &q->ring_map);
	if (err)
		return err;
	if (!resume) {
		ring_back_init(&q->ring, q->ring_map.base, size_bytes,
			       q->slot_bytes);
		return 0;
	}
	err = ring_back_attach(&q->ring, q->ring_map.base, size_bytes,
			       q->slot_bytes,
			       (uint32_t)inflight_consumed(q->inflight),
			       (uint32_t)inflight_answered(q->inflight));
	if (err)
		return err;
	q->nr_recovered =
		inflight_recover(q->inflight, q->recovered, q->recovered_raw);
	q->stats.nr_recovered = q->nr_recovered;
	q->resumed = true;
	return 0;
}

int blkback_queue_open(const struct blkback_queue_config *config,
		       struct blkback_queue **ret)
{
	const struct inflight_params *params =
		inflight_params(config->inflight);
	struct blkback_queue *q = calloc(1, sizeof(*q));
	const struct storage_desc *desc = &config->storage->desc;
	int err;

	if (!q)
		return -ENOMEM;
	q->platform = config->platform;
	q->inflight = config->inflight;
	q->ops = config->storage->ops;
	q->event_fd = config->event_fd;
	q->limits = (struct blk_limits){
		.nr_sectors_512b = desc->size_bytes / 512,
		.readonly = desc->flags & STORAGE_READONLY,
		.layout = (enum blk_layout)params->layout,
	};
	q->slot_bytes = blk_slot_bytes(q->limits.layout);
	q->nr_slots = inflight_nr_slots(params);
	err = alloc_pending(q);
	if (!err)
		err = attach_ring(q, params, config->resume);
	if (!err)
		err = platform_evtchn_bind(q->platform, (domid_t)params->domid,
					   params->evtchn_port, &q->evtchn);
	if (!err)
		err = page_mapper_init(&q->mapper, q->platform,
				       (domid_t)params->domid, q->nr_slots,
				       params->features & INFLIGHT_PERSISTENT);
	if (!err)
		err = q->ops->channel_open(config->storage, q->nr_slots,
					   &q->channel);
	if (err) {
		blkback_queue_close(q, config->resume);
		return err;
	}
	fill_free_slots(q);
	q->source.ops = &queue_source_ops;
	q->source.fd = evtchn_fd(q->evtchn);
	q->source.extra_fd = q->ops->wait_fd(q->channel);
	*ret = q;
	return 0;
}

void blkback_queue_close(struct blkback_queue *q, bool keep)
{
	if (!q)
		return;
	assert(!q->source.worker);
	if (q->channel)
		q->ops->channel_close(q->channel);
	page_mapper_fini(&q->mapper);
	if (keep)
		evtchn_abandon(q->evtchn);
	else
		evtchn_close(q->evtchn);
	if (q->ring_map.nr_pages)
		platform_unmap(q->platform, &q->ring_map);
	free(q->recovered_raw);
	free(q->recovered);
	free(q->free_slots);
	free(q->pending);
	free(q);
}

int blkback_queue_fence_fd(const struct blkback_queue *q)
{
	return q->ops->fence_fd(q->channel);
}

void blkback_queue_begin(struct blkback_queue *q)
{
	/*
	 * Final responses that the predecessor may not have shown, or shown
	 * without the notification.
	 */
	if (ring_back_push(&q->ring) || q->resumed)
		evtchn_notify(q->evtchn);
	for (uint32_t i = 0; i < q->nr_recovered; i++)
		begin(q, q->recovered[i], &q->recovered_raw[i]);
	q->nr_recovered = 0;
}

struct start_call {
	struct blkback_queue *queue;
	struct worker *worker;
};

static int start_on_thread(void *arg)
{
	struct start_call *call = arg;
	int err = worker_add(call->worker, &call->queue->source);

	if (err)
		return err;
	blkback_queue_begin(call->queue);
	return 0;
}

int blkback_queue_start(struct blkback_queue *q, struct worker *w)
{
	struct start_call call = { .queue = q, .worker = w };

	q->worker = w;
	return worker_call(w, start_on_thread, &call);
}

static int stop_on_thread(void *arg)
{
	struct blkback_queue *q = arg;

	q->draining = true;
	leave_when_drained(q);
	if (blkback_queue_stopped(q))
		return 0;
	worker_wake(&q->source);
	return -EINPROGRESS;
}

int blkback_queue_stop(struct blkback_queue *q)
{
	if (blkback_queue_stopped(q) || !q->worker)
		return 0;
	return worker_call(q->worker, stop_on_thread, q);
}

bool blkback_queue_stopped(const struct blkback_queue *q)
{
	/* Pairs with leave_when_drained(). */
	return atomic_load_explicit(&q->stopped, memory_order_acquire);
}

int blkback_queue_fault(const struct blkback_queue *q)
{
	/* Pairs with set_fault(). */
	return atomic_load_explicit(&q->fault, memory_order_acquire);
}

const struct blkback_queue_stats *
blkback_queue_stats(const struct blkback_queue *q)
{
	return &q->stats;
}

struct work_source *blkback_queue_source(struct blkback_queue *q)
{
	return &q->source;
}
