/* SPDX-License-Identifier: MIT */
/*
 * queue_open.c - a queue's begin and end, see queue.h: the control thread's
 * part. queue.c has the data path; vbd_queues.c calls.
 */
#include "blkback/queue_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static int alloc_pending(struct blkback_queue *q)
{
	uint32_t nr = q->nr_slots;
	void *big;

	big = mmap(NULL, nr * sizeof(*q->big), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (big == MAP_FAILED)
		return -ENOMEM;
	q->big = big;
	q->pending = calloc(nr, sizeof(*q->pending));
	q->free_slots = calloc(nr, sizeof(*q->free_slots));
	q->recovered = calloc(nr, sizeof(*q->recovered));
	q->recovered_raw = calloc(nr, sizeof(*q->recovered_raw));
	if (!q->pending || !q->free_slots || !q->recovered || !q->recovered_raw)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++) {
		q->pending[i].queue = q;
		q->pending[i].sio.done = queue_storage_done;
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

static struct blk_limits limits_of(const struct storage *st,
				   const struct inflight_params *params)
{
	uint32_t flags = st->desc.flags;
	bool discard = (params->features & INFLIGHT_DISCARD) &&
		       (flags & STORAGE_CAN_DISCARD);

	return (struct blk_limits){
		.nr_sectors_512b = storage_size_bytes(st) / 512,
		.sector_512b = st->desc.sector_bytes / 512,
		.readonly = flags & STORAGE_READONLY,
		.discard = discard,
		.discard_secure =
			discard && (flags & STORAGE_CAN_DISCARD_SECURE),
		.layout = (enum blk_layout)params->layout,
	};
}

int blkback_queue_open(const struct blkback_queue_config *config,
		       struct blkback_queue **ret)
{
	const struct inflight_params *params =
		inflight_params(config->inflight);
	struct blkback_queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	q->platform = config->platform;
	q->inflight = config->inflight;
	q->storage = config->storage;
	q->ops = config->storage->ops;
	q->event_fd = config->event_fd;
	q->limits = limits_of(config->storage, params);
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

static int round_is_over(void *arg)
{
	(void)arg;
	return 0;
}

void blkback_queue_close(struct blkback_queue *q, bool keep)
{
	if (!q)
		return;
	/* It left in the middle of a round, which looks at it once more. */
	if (q->worker)
		worker_call(q->worker, round_is_over, NULL);
	assert(!q->source.worker);
	limiter_member_rest(&q->limit.member);
	if (q->channel)
		q->ops->channel_close(q->channel);
	page_mapper_fini(&q->mapper);
	if (keep)
		evtchn_abandon(q->evtchn);
	else
		evtchn_close(q->evtchn);
	if (q->ring_map.nr_pages)
		platform_unmap(q->platform, &q->ring_map);
	if (!keep)
		platform_forget(q->platform, q->mapper.domid);
	free(q->recovered_raw);
	free(q->recovered);
	free(q->free_slots);
	free(q->pending);
	if (q->big)
		munmap(q->big, q->nr_slots * sizeof(*q->big));
	free(q);
}

int blkback_queue_fence_fd(const struct blkback_queue *q)
{
	return q->ops->fence_fd(q->channel);
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

struct limit_call {
	struct blkback_queue *queue;
	const struct limiter_pair *limiters;
};

static int set_limiters_on_thread(void *arg)
{
	struct limit_call *call = arg;

	limiter_member_set(&call->queue->limit.member, call->limiters);
	worker_wake(&call->queue->source);
	return 0;
}

void blkback_queue_set_limiters(struct blkback_queue *q,
				const struct limiter_pair *limiters)
{
	struct limit_call call = { .queue = q, .limiters = limiters };

	if (q->worker)
		worker_call(q->worker, set_limiters_on_thread, &call);
	else
		set_limiters_on_thread(&call);
}

static int stop_on_thread(void *arg)
{
	struct blkback_queue *q = arg;

	queue_drain(q);
	if (blkback_queue_stopped(q))
		return 0;
	worker_wake(&q->source);
	return -EINPROGRESS;
}

int blkback_queue_stop(struct blkback_queue *q)
{
	if (!q->worker)
		return 0;
	/* Even one that says it has stopped: its worker may still be in the
	 * round in which it left, and not be done with it. */
	return worker_call(q->worker, stop_on_thread, q);
}

static int give_up_on_thread(void *arg)
{
	struct blkback_queue *q = arg;

	q->ops->give_up(q->channel);
	worker_wake(&q->source);
	return 0;
}

void blkback_queue_give_up(struct blkback_queue *q)
{
	if (q->worker && q->ops->give_up)
		(void)worker_call(q->worker, give_up_on_thread, q);
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

bool blkback_queue_cached(const struct blkback_queue *q)
{
	/* Pairs with tell_cached() and expire_on_thread(). */
	return atomic_load_explicit(&q->cached, memory_order_acquire);
}

static int expire_on_thread(void *arg)
{
	struct blkback_queue *q = arg;

	/* Nobody uses what indirect requests used: give it back as well. */
	if (q->nr_free == q->nr_slots)
		madvise(q->big, q->nr_slots * sizeof(*q->big), MADV_DONTNEED);
	if (!page_mapper_expire(&q->mapper))
		atomic_store_explicit(&q->cached, false, memory_order_release);
	return 0;
}

void blkback_queue_expire(struct blkback_queue *q)
{
	worker_call(q->worker, expire_on_thread, q);
}

void blkback_queue_account(const struct blkback_queue *q, struct account *to)
{
	account_add(to, &q->account, clock_now_ns());
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
