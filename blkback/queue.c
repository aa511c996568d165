/* SPDX-License-Identifier: MIT */
/*
 * queue.c - the data path of one ring: see queue.h.
 *
 * A request's life: copied off the ring, recorded, parsed, its pages mapped,
 * submitted; reaped, its pages let go, its response put, recorded. A round does
 * this for a batch and shows the responses once.
 *
 * A barrier (BLKIF_OP_WRITE_BARRIER) stops the consuming, waits until it is the
 * only request in flight, and is then flushed, written, flushed. It orders this
 * ring; a frontend of several queues has to wait itself, or use flushes.
 *
 * Neighbours: parse.c (the gate), inflight.c (the record), pages.c (grants),
 * queue_open.c (the control thread's part), ring/, storage.h. Called by worker/
 * on the data thread.
 */
#include "blkback/queue_private.h"

#include <errno.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"

#define SHOW_EVERY 8u /* requests */

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

static void barrier_turn(struct blkback_queue *q);

static void answer(struct blkback_queue *q, struct pending *p, int err)
{
	uint32_t slot = (uint32_t)(p - q->pending);
	int16_t status = blkif_status(err);
	struct blk_raw rsp;
	size_t size_bytes = blkif_response(q->limits.layout, p->io.id,
					   p->io.operation, status, &rsp);

	q->stats.nr_errors += status != BLKIF_RSP_OKAY;
	account_answer(&q->account, &p->io, p->begun_ns, err, p->begun_ns);
	ring_back_put(&q->ring, &rsp, size_bytes);
	inflight_answer(q->inflight, slot);
	q->free_slots[q->nr_free++] = slot;
	if (!q->barrier)
		return;
	if (q->barrier == p)
		q->barrier = NULL;
	else
		barrier_turn(q);
}

static int submit(struct blkback_queue *q, struct pending *p,
		  enum storage_op op)
{
	bool range = op != STORAGE_FLUSH;

	p->sio.op = op;
	p->sio.secure = p->io.secure;
	p->sio.offset_bytes = range ? p->io.offset_bytes : 0;
	p->sio.size_bytes = range ? p->io.size_bytes : 0;
	p->sio.iov = p->io.nr_segments > ARRAY_SIZE(p->iov)
			     ? q->big[p - q->pending].iov
			     : p->iov;
	p->sio.nr_iov = range ? p->io.nr_segments : 0;
	q->unflushed = true;
	return q->ops->submit(q->channel, &p->sio);
}

static void finish(struct blkback_queue *q, struct pending *p, int err)
{
	request_pages_put(&q->mapper, &p->io, &p->pages);
	answer(q, p, err);
}

/* The storage is done with one part of a request. */
void queue_storage_done(struct storage_io *sio)
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
	p->stage = STAGE_ONLY;
	switch (p->io.kind) {
	case BLK_READ: q->stats.nr_reads++; return submit(q, p, STORAGE_READ);
	case BLK_WRITE:
		q->stats.nr_writes++;
		return submit(q, p, STORAGE_WRITE);
	case BLK_FLUSH:
		q->stats.nr_flushes++;
		return submit(q, p, STORAGE_FLUSH);
	case BLK_WRITE_FLUSHED:
		q->stats.nr_flushes++;
		p->stage = STAGE_FLUSH_BEFORE;
		return submit(q, p, STORAGE_FLUSH);
	case BLK_DISCARD:
		q->stats.nr_discards++;
		return submit(q, p, STORAGE_DISCARD);
	}
	return -EOPNOTSUPP;
}

/* A barrier is waiting: when it is alone, it goes on. */
static void barrier_turn(struct blkback_queue *q)
{
	struct pending *p = q->barrier;
	int err;

	if (p->stage != STAGE_DRAIN || q->nr_free != q->nr_slots - 1)
		return;
	err = issue(q, p);
	if (err)
		finish(q, p, err);
}

/* The segments of an indirect request: copied once, then looked at. */
static int parse_rest(struct blkback_queue *q, struct pending *p,
		      const struct blk_indirect *indirect)
{
	struct blkif_request_segment segments[BLK_SEGMENTS_MAX];
	struct pending_big *big = &q->big[p - q->pending];
	bool small = indirect->nr_segments <= ARRAY_SIZE(p->seg);
	int err = page_copy(&q->mapper, indirect->ref, segments,
			    indirect->nr_segments * sizeof(segments[0]));

	q->stats.nr_indirect++;
	if (err)
		return err;
	return blkif_parse_indirect(segments, indirect, &q->limits, &p->io,
				    small ? p->seg : big->seg);
}

static int prepare(struct blkback_queue *q, struct pending *p,
		   const struct blk_raw *raw)
{
	struct blk_indirect indirect;
	int err = blkif_parse(raw, &q->limits, &p->io, p->seg, &indirect);

	if (err == BLK_INDIRECT)
		err = parse_rest(q, p, &indirect);
	if (err)
		return err;
	return request_pages_get(&q->mapper, &p->io, &p->pages,
				 p->io.nr_segments > ARRAY_SIZE(p->iov)
					 ? q->big[p - q->pending].iov
					 : p->iov);
}

/* A recorded request: carry it out, or answer it with an error. */
static void begin(struct blkback_queue *q, uint32_t slot,
		  const struct blk_raw *raw, uint64_t found_ns)
{
	struct pending *p = &q->pending[slot];
	int err = prepare(q, p, raw);

	p->begun_ns = err ? 0 : found_ns;
	if (err) {
		answer(q, p, err);
		return;
	}
	/* Two of them: a record that was forged. */
	if (p->io.barrier && q->barrier) {
		finish(q, p, -EPROTO);
		return;
	}
	if (p->io.barrier) {
		p->stage = STAGE_DRAIN;
		q->barrier = p;
		barrier_turn(q);
		return;
	}
	err = issue(q, p);
	if (err)
		finish(q, p, err);
}

/* A size that the compiler knows is a few moves instead of a call. */
static void get_raw(struct blkback_queue *q, struct blk_raw *raw)
{
	if (q->slot_bytes == sizeof(*raw))
		ring_back_get(&q->ring, raw, sizeof(*raw));
	else
		ring_back_get(&q->ring, raw, q->slot_bytes);
}

/*
 * The next request is in q->limit.raw and may be consumed. False: there is
 * none, or not yet.
 */
static bool next_request(struct blkback_queue *q)
{
	struct queue_limit *l = &q->limit;

	if (!l->holding) {
		int waiting = ring_back_pending(&q->ring);

		if (waiting < 0)
			set_fault(q, waiting);
		if (waiting <= 0)
			return false;
		get_raw(q, &l->raw);
		l->found_ns = q->round_ns;
	}
	l->holding = false;
	if (limiter_member_limited(&l->member)) {
		q->source.not_before_ns =
			queue_limit_admit(l, q->limits.layout, clock_now_ns());
		l->holding = q->source.not_before_ns;
	}
	return !l->holding;
}

/* Consume SHOW_EVERY requests, fewer when *cost would go beyond budget. */
static unsigned pull(struct blkback_queue *q, unsigned budget, unsigned *cost)
{
	unsigned nr = 0;

	/* Whoever shrinks a disk waits for nobody: look before each batch. */
	q->limits.nr_sectors_512b = storage_size_bytes(q->storage) / 512;
	while (nr < SHOW_EVERY && *cost < budget && q->nr_free && !q->barrier &&
	       next_request(q)) {
		const struct blk_raw *raw = &q->limit.raw;
		uint32_t slot = q->free_slots[--q->nr_free];

		*cost += blk_raw_cost(raw);
		inflight_consume(q->inflight, slot, raw);
		begin(q, slot, raw, q->limit.found_ns);
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

/* Pages stay mapped from now on: control's idle clock has to run. */
static void tell_cached(struct blkback_queue *q)
{
	if (atomic_load_explicit(&q->cached, memory_order_relaxed) ||
	    !page_mapper_nr_cached(&q->mapper))
		return;
	/* Pairs with blkback_queue_cached(). */
	atomic_store_explicit(&q->cached, true, memory_order_release);
	tell_control(q);
}

static void show(struct blkback_queue *q)
{
	if (ring_back_push(&q->ring))
		evtchn_notify(q->evtchn);
}

/* Could the guest not put another request into the ring? */
static bool is_full(struct blkback_queue *q)
{
	int nr = ring_back_pending(&q->ring);

	/* What a limit holds back was taken off the ring, too. */
	return nr < 0 || (uint32_t)nr + q->limit.holding >= q->nr_free;
}

/* The end of a batch: the one look at the clock. */
static void account_round(struct blkback_queue *q, bool consumed, bool was_full)
{
	uint32_t nr_in_flight = q->nr_slots - q->nr_free;
	struct times_state state = {
		.begun_ns = q->round_ns,
		.now_ns = clock_now_ns(),
		.waiting = nr_in_flight || q->limit.holding,
		.was_full = was_full,
		.ring_full = is_full(q),
		.throttled = q->source.not_before_ns,
	};

	account_batch(&q->account, &state, nr_in_flight, consumed);
}

/*
 * Requests go to the storage as one batch, but what it answers on the spot
 * (memory, page cache) is shown every few: the frontend works on those while
 * the rest is being carried out, instead of waiting for the whole round.
 */
static unsigned queue_poll(struct work_source *src, unsigned budget)
{
	struct blkback_queue *q = queue_of(src);
	bool was_full = is_full(q);
	unsigned nr = q->ops->poll(q->channel), cost = 0;

	src->not_before_ns = 0;
	q->round_ns = worker_round_ns(src);
	while (!q->draining && cost < budget) {
		if (pull(q, budget, &cost) < SHOW_EVERY)
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
	if (cost || nr || src->not_before_ns ||
	    q->account.times.throttled.since_ns)
		account_round(q, cost, was_full);
	if (cost)
		tell_cached(q);
	leave_when_drained(q);
	return cost ? cost : nr > 0;
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
	/* What is in the ring has to wait: no event is asked for. */
	if (src->not_before_ns)
		return false;
	limiter_member_rest(&q->limit.member);
	nr = ring_back_arm(&q->ring);
	if (nr < 0)
		set_fault(q, nr);
	/* Neither a full pending array nor a barrier takes what is there. */
	return nr < 0 ||
	       ((nr > 0 || q->limit.holding) && q->nr_free && !q->barrier);
}

static void queue_event(struct work_source *src)
{
	struct blkback_queue *q = queue_of(src);

	if (evtchn_clear(q->evtchn) == -EPIPE)
		set_fault(q, -EPIPE);
}

const struct work_source_ops queue_source_ops = {
	.poll = queue_poll,
	.arm = queue_arm,
	.event = queue_event,
};

void blkback_queue_begin(struct blkback_queue *q)
{
	/*
	 * Final responses that the predecessor may not have shown, or shown
	 * without the notification.
	 */
	if (ring_back_push(&q->ring) || q->resumed)
		evtchn_notify(q->evtchn);
	for (uint32_t i = 0; i < q->nr_recovered; i++)
		begin(q, q->recovered[i], &q->recovered_raw[i],
		      worker_round_ns(&q->source));
	q->nr_recovered = 0;
}

void queue_drain(struct blkback_queue *q)
{
	q->draining = true;
	leave_when_drained(q);
}
