/* SPDX-License-Identifier: MIT */
/*
 * queue.c - ios become ring requests, responses complete ios.
 *
 * Knows the ring and the shared pages' references, nothing of how either came
 * to be. Every request leaves a shadow, which is the only thing that a response
 * is compared with: what stands in the ring is never read back. Called by
 * owner.c and connect.c under the queue's lock.
 */
#include "blkfront/private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- lists ----------------------------------------------------------------
 */

void io_list_init(struct io_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
	list->nr = 0;
}

void io_list_append(struct io_list *list, struct blkfront_io *io)
{
	io->next = NULL;
	*list->tail = io;
	list->tail = &io->next;
	list->nr++;
}

struct blkfront_io *io_list_pop(struct io_list *list)
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

void io_list_move(struct io_list *to, struct io_list *from)
{
	if (!from->head)
		return;
	*to->tail = from->head;
	to->tail = from->tail;
	to->nr += from->nr;
	io_list_init(from);
}

/* ---- shadows --------------------------------------------------------------
 */

static void shadow_free(struct queue *q, uint32_t id)
{
	struct shadow *sh = &q->shadows[id];

	if (sh->page != NO_PAGE)
		q->free_pages[q->nr_free_pages++] = sh->page;
	sh->in_flight = false;
	sh->io = NULL;
	sh->next_free = (uint16_t)q->free_head;
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
	io_list_init(&q->waiting);
	io_list_init(&q->done);
	for (uint32_t id = BLKFRONT_SHADOWS; id-- > 0;) {
		q->shadows[id].page = NO_PAGE;
		shadow_free(q, id);
	}
	for (uint16_t page = BLKFRONT_SEGMENT_PAGES; page-- > 0;)
		q->free_pages[q->nr_free_pages++] = page;
}

/* ---- issuing --------------------------------------------------------------
 */

/*
 * An io is complete when all its parts are; while it waits, one part more is
 * counted, for what is not in the ring yet.
 */
static void io_part_done(struct queue *q, struct blkfront_io *io, int result)
{
	if (result && !io->result)
		io->result = result;
	if (--io->nr_parts == 0)
		io_list_append(&q->done, io);
}

void queue_submit(struct queue *q, struct blkfront_io *io)
{
	io->result = 0;
	io->nr_parts = 1;
	io->again = false;
	io_list_append(&q->waiting, io);
}

static bool needs_page(const struct queue *q, const struct blkfront_io *io)
{
	return (io->op == BLKFRONT_READ || io->op == BLKFRONT_WRITE) &&
	       q->limits.max_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST &&
	       cut_nr_segments((uint8_t *)io->buf + q->split_bytes,
			       io->size_bytes - q->split_bytes) >
		       BLKIF_MAX_SEGMENTS_PER_REQUEST;
}

/*
 * The next part of the first waiting io. False: every page for segments is
 * used, by requests in flight, so that an answer will come.
 */
static bool issue_part(struct queue *q, struct blkfront_io *io)
{
	union ring_request req = { .direct = { 0 } };
	struct pages page = { 0 };
	struct shadow *sh;
	bool indirect = needs_page(q, io);
	uint32_t id;

	if (indirect && !q->nr_free_pages)
		return false;
	id = shadow_take(q);
	sh = &q->shadows[id];
	sh->page = NO_PAGE;
	if (indirect) {
		sh->page = q->free_pages[--q->nr_free_pages];
		page.base = q->segments.base + sh->page * PV_PAGE_SIZE;
		page.first_ref = q->segments.first_ref + sh->page;
	}
	q->split_bytes += cut_request(&q->buffers, io, q->split_bytes,
				      q->limits.max_segments,
				      indirect ? &page : NULL, &req);
	if (indirect) {
		sh->operation = req.indirect.indirect_op;
		req.indirect.handle = q->handle;
	} else {
		sh->operation = req.direct.operation;
		req.direct.handle = q->handle;
	}
	req.direct.id = id;
	sh->io = io;
	sh->seq = q->next_seq++;
	sh->in_flight = true;
	io->nr_parts++;
	q->nr_in_flight++;
	ring_front_put(&q->ring, &req, sizeof(req));
	return true;
}

static void finish_split(struct queue *q, int result)
{
	struct blkfront_io *io = io_list_pop(&q->waiting);

	assert(io);
	q->split_bytes = 0;
	io_part_done(q, io, result);
}

bool queue_push(struct queue *q)
{
	if (!q->attached)
		return false;
	while (q->waiting.head && q->nr_free && ring_front_free(&q->ring)) {
		struct blkfront_io *io = q->waiting.head;

		if (io->result) { /* a part failed: the rest is pointless */
			finish_split(q, 0);
			continue;
		}
		if (!cut_is_supported(&q->limits, io->op)) {
			finish_split(q, -EOPNOTSUPP);
			continue;
		}
		if (!issue_part(q, io))
			break;
		if (q->split_bytes == io->size_bytes)
			finish_split(q, 0);
	}
	return ring_front_push(&q->ring);
}

/* ---- responses ------------------------------------------------------------
 */

/*
 * Backends answer an indirect request with the operation inside it, as Linux
 * does, or with the one of the request itself, as the specification says.
 */
static bool answers(const struct shadow *sh, uint8_t operation)
{
	return operation == sh->operation ||
	       (sh->page != NO_PAGE && operation == BLKIF_OP_INDIRECT);
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
	if (!sh->in_flight)
		*why = "a response to a request that is not in flight";
	else if (!answers(sh, rsp->operation))
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

/* ---- backends come and go -------------------------------------------------
 */

void queue_attach(struct queue *q, void *ring, size_t ring_bytes,
		  const struct limits *limits)
{
	assert(!q->attached && q->nr_in_flight == 0);
	ring_front_init(&q->ring, (void PV_SHARED *)ring, ring_bytes,
			sizeof(struct blkif_request));
	q->limits = *limits;
	q->attached = true;
}

/* The ids of what is in flight, in order of issue. Returns how many. */
static uint32_t in_order(const struct queue *q, uint16_t *ids)
{
	uint32_t nr = 0;

	for (uint32_t id = 0; id < BLKFRONT_SHADOWS; id++) {
		uint32_t at = nr;

		if (!q->shadows[id].in_flight)
			continue;
		for (;
		     at > 0 && q->shadows[ids[at - 1]].seq > q->shadows[id].seq;
		     at--)
			ids[at] = ids[at - 1];
		ids[at] = (uint16_t)id;
		nr++;
	}
	return nr;
}

/* Every io of which a part is in flight begins again, in its old place. */
static void hold(struct queue *q, const uint16_t *ids, uint32_t nr)
{
	struct blkfront_io *split = q->waiting.head;
	struct io_list again;

	io_list_init(&again);
	for (uint32_t i = 0; i < nr; i++) {
		struct blkfront_io *io = q->shadows[ids[i]].io;

		shadow_free(q, ids[i]);
		if (io == split || io->again)
			continue;
		io->again = true;
		io_list_append(&again, io);
	}
	for (struct blkfront_io *io = again.head; io; io = io->next) {
		io->again = false;
		io->nr_parts = 1;
	}
	if (split)
		split->nr_parts = 1;
	q->split_bytes = 0;
	io_list_move(&again, &q->waiting);
	io_list_move(&q->waiting, &again);
}

void queue_detach(struct queue *q, int err)
{
	uint16_t ids[BLKFRONT_SHADOWS];
	uint32_t nr;

	if (!q->attached)
		return;
	q->attached = false;
	q->nr_in_flight = 0;
	nr = in_order(q, ids);
	if (!err) {
		hold(q, ids, nr);
		return;
	}
	if (q->split_bytes)
		finish_split(q, err);
	for (uint32_t i = 0; i < nr; i++) {
		io_part_done(q, q->shadows[ids[i]].io, err);
		shadow_free(q, ids[i]);
	}
}

void queue_fail(struct queue *q, int err)
{
	queue_detach(q, err);
	while (q->waiting.head)
		finish_split(q, err);
}

bool queue_idle(const struct queue *q)
{
	return q->nr_free == BLKFRONT_SHADOWS && !q->waiting.head;
}
