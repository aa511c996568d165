/* SPDX-License-Identifier: MIT */
/*
 * queue.c - ios become ring requests, responses complete ios.
 *
 * Knows the ring and the shared region's references, nothing of how either came
 * to be. An io is cut into requests of at most 11 segments, a segment being one
 * page or a run of its 512-byte sectors. Every request leaves a shadow, which
 * is the only thing that a response is compared with: what stands in the ring
 * is never read back. Called by blkfront.c and connect.c on the owner's thread.
 */
#include "blkfront/private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void list_append(struct io_list *list, struct blkfront_io *io)
{
	io->next = NULL;
	*list->tail = io;
	list->tail = &io->next;
	list->nr++;
}

static struct blkfront_io *list_pop(struct io_list *list)
{
	struct blkfront_io *io = list->head;

	if (!io)
		return NULL;
	list->head = io->next;
	if (!list->head)
		list->tail = &list->head;
	list->nr--;
	return io;
}

static void shadow_free(struct queue *q, uint32_t id)
{
	q->shadows[id].state = SHADOW_FREE;
	q->shadows[id].io = NULL;
	q->shadows[id].next_free = q->free_head;
	q->free_head = id;
	q->nr_free++;
}

static uint32_t shadow_take(struct queue *q)
{
	uint32_t id = q->free_head;

	assert(q->nr_free > 0);
	q->free_head = q->shadows[id].next_free;
	q->nr_free--;
	return id;
}

void queue_init(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	q->waiting.tail = &q->waiting.head;
	q->done.tail = &q->done.head;
	for (uint32_t id = BLKFRONT_SHADOWS; id-- > 0;)
		shadow_free(q, id);
}

bool queue_owns(const struct queue *q, const void *buf, size_t size_bytes)
{
	uintptr_t start = (uintptr_t)buf, base = (uintptr_t)q->region;

	return start >= base && start % BLKIF_SECTOR_SIZE == 0 &&
	       num_range_within(start - base, size_bytes, q->region_bytes);
}

/*
 * An io is complete when all its parts are; while it waits, one part more is
 * counted, for what is not in the ring yet.
 */
static void io_part_done(struct queue *q, struct blkfront_io *io, int result)
{
	if (result && !io->result)
		io->result = result;
	if (--io->nr_parts == 0)
		list_append(&q->done, io);
}

void queue_submit(struct queue *q, struct blkfront_io *io)
{
	io->result = 0;
	io->nr_parts = 1;
	list_append(&q->waiting, io);
}

/* Fill the segments for bytes of the region from buf on. Returns the bytes. */
static size_t fill_segments(const struct queue *q, struct blkif_request *req,
			    const uint8_t *buf, size_t size_bytes)
{
	size_t filled = 0;
	unsigned nr = 0;

	while (filled < size_bytes && nr < BLKIF_MAX_SEGMENTS_PER_REQUEST) {
		size_t off = (size_t)(buf - q->region) + filled;
		size_t in_page = off % PV_PAGE_SIZE;
		size_t bytes = PV_PAGE_SIZE - in_page;

		if (bytes > size_bytes - filled)
			bytes = size_bytes - filled;
		req->seg[nr].gref =
			q->first_ref + (grant_ref_t)(off / PV_PAGE_SIZE);
		req->seg[nr].first_sect =
			(uint8_t)(in_page / BLKIF_SECTOR_SIZE);
		req->seg[nr].last_sect =
			(uint8_t)((in_page + bytes) / BLKIF_SECTOR_SIZE - 1);
		filled += bytes;
		nr++;
	}
	req->nr_segments = (uint8_t)nr;
	return filled;
}

static uint8_t blkif_op(enum blkfront_op op)
{
	switch (op) {
	case BLKFRONT_READ: return BLKIF_OP_READ;
	case BLKFRONT_WRITE: return BLKIF_OP_WRITE;
	case BLKFRONT_FLUSH: return BLKIF_OP_FLUSH_DISKCACHE;
	}
	assert(!"an op that submit let through");
	return BLKIF_OP_READ;
}

static void issue(struct queue *q, uint32_t id)
{
	struct shadow *sh = &q->shadows[id];

	sh->state = SHADOW_IN_FLIGHT;
	q->nr_in_flight++;
	ring_front_put(&q->ring, &sh->req, sizeof(sh->req));
}

/* The next part of the first waiting io. */
static void issue_part(struct queue *q, struct blkfront_io *io)
{
	uint32_t id = shadow_take(q);
	struct shadow *sh = &q->shadows[id];
	uint64_t at = io->offset_bytes + q->split_bytes;

	memset(&sh->req, 0, sizeof(sh->req));
	sh->io = io;
	sh->seq = q->next_seq++;
	sh->req.operation = blkif_op(io->op);
	sh->req.handle = q->handle;
	sh->req.id = id;
	sh->req.sector_number = at / BLKIF_SECTOR_SIZE;
	if (io->op != BLKFRONT_FLUSH)
		q->split_bytes += fill_segments(
			q, &sh->req, (uint8_t *)io->buf + q->split_bytes,
			io->size_bytes - q->split_bytes);
	io->nr_parts++;
	issue(q, id);
}

static void finish_split(struct queue *q, int result)
{
	struct blkfront_io *io = list_pop(&q->waiting);

	assert(io);
	q->split_bytes = 0;
	io_part_done(q, io, result);
}

static void push_held(struct queue *q)
{
	while (q->held_next < q->nr_held && ring_front_free(&q->ring)) {
		uint32_t id = q->held[q->held_next++];

		if (q->shadows[id].req.operation == BLKIF_OP_FLUSH_DISKCACHE &&
		    !q->flush) {
			io_part_done(q, q->shadows[id].io, -EOPNOTSUPP);
			shadow_free(q, id);
			continue;
		}
		issue(q, id);
	}
}

bool queue_push(struct queue *q)
{
	if (!q->attached)
		return false;
	push_held(q);
	if (q->held_next < q->nr_held)
		return ring_front_push(&q->ring);
	while (q->waiting.head && q->nr_free && ring_front_free(&q->ring)) {
		struct blkfront_io *io = q->waiting.head;

		if (io->result) { /* a part failed: the rest is pointless */
			finish_split(q, 0);
			continue;
		}
		if (io->op == BLKFRONT_FLUSH && !q->flush) {
			finish_split(q, -EOPNOTSUPP);
			continue;
		}
		issue_part(q, io);
		if (q->split_bytes == io->size_bytes)
			finish_split(q, 0);
	}
	return ring_front_push(&q->ring);
}

/* The shadow that a response answers, or NULL: no honest backend says this. */
static struct shadow *judge(struct queue *q, const struct blkif_response *rsp,
			    const char **why)
{
	struct shadow *sh;

	if (rsp->id >= BLKFRONT_SHADOWS) {
		*why = "a response's id is out of range";
		return NULL;
	}
	sh = &q->shadows[rsp->id];
	if (sh->state != SHADOW_IN_FLIGHT)
		*why = "a response to a request that is not in flight";
	else if (rsp->operation != sh->req.operation)
		*why = "a response for another operation than was asked";
	else if (rsp->status != BLKIF_RSP_OKAY &&
		 rsp->status != BLKIF_RSP_ERROR &&
		 rsp->status != BLKIF_RSP_EOPNOTSUPP)
		*why = "a response with an unknown status";
	else
		return sh;
	return NULL;
}

static int errno_of(int status)
{
	if (status == BLKIF_RSP_OKAY)
		return 0;
	return status == BLKIF_RSP_EOPNOTSUPP ? -EOPNOTSUPP : -EIO;
}

int queue_reap(struct queue *q, const char **why)
{
	int pending, reaped;

	if (!q->attached)
		return 0;
	pending = ring_front_pending(&q->ring);
	if (pending < 0) {
		*why = "an impossible response index";
		return pending;
	}
	for (reaped = 0; reaped < pending; reaped++) {
		struct blkif_response rsp;
		struct shadow *sh;

		ring_front_get(&q->ring, &rsp, sizeof(rsp));
		sh = judge(q, &rsp, why);
		if (!sh) {
			q->ring.broken = true;
			return -EPROTO;
		}
		q->nr_in_flight--;
		io_part_done(q, sh->io, errno_of(rsp.status));
		shadow_free(q, (uint32_t)(sh - q->shadows));
	}
	return reaped;
}

bool queue_arm(struct queue *q)
{
	if (q->done.head)
		return true;
	if (!q->attached)
		return false;
	return ring_front_arm(&q->ring) != 0;
}

void queue_attach(struct queue *q, void *ring, size_t ring_bytes)
{
	assert(!q->attached && q->nr_in_flight == 0);
	ring_front_init(&q->ring, (void PV_SHARED *)ring, ring_bytes,
			sizeof(struct blkif_request));
	q->attached = true;
}

void queue_detach(struct queue *q)
{
	uint32_t nr = 0;

	if (!q->attached)
		return;
	q->attached = false;
	q->nr_in_flight = 0;
	for (uint32_t id = 0; id < BLKFRONT_SHADOWS; id++) {
		uint32_t at = nr;

		if (q->shadows[id].state == SHADOW_FREE)
			continue;
		q->shadows[id].state = SHADOW_HELD;
		for (; at > 0 &&
		       q->shadows[q->held[at - 1]].seq > q->shadows[id].seq;
		     at--)
			q->held[at] = q->held[at - 1];
		q->held[at] = id;
		nr++;
	}
	q->nr_held = nr;
	q->held_next = 0;
}

void queue_fail(struct queue *q, int err)
{
	queue_detach(q);
	for (uint32_t id = 0; id < BLKFRONT_SHADOWS; id++) {
		if (q->shadows[id].state == SHADOW_FREE)
			continue;
		io_part_done(q, q->shadows[id].io, err);
		shadow_free(q, id);
	}
	q->nr_held = q->held_next = 0;
	while (q->waiting.head)
		finish_split(q, err);
}

unsigned queue_run_done(struct queue *q)
{
	unsigned nr = 0;

	/* Only what is there now: callbacks that submit cannot hold us here. */
	for (uint32_t left = q->done.nr; left > 0; left--) {
		struct blkfront_io *io = list_pop(&q->done);

		assert(io);
		io->done(io);
		nr++;
	}
	return nr;
}

bool queue_idle(const struct queue *q)
{
	return q->nr_free == BLKFRONT_SHADOWS && !q->waiting.head;
}
