/* SPDX-License-Identifier: MIT */
/*
 * blkfront_queue.h - a queue of blkfront and the backend's half of its ring, in
 * one thread: ios go in, requests are seen, answers are given. For the tests of
 * queue.c and cut.c.
 */
#ifndef TESTS_UNIT_BLKFRONT_QUEUE_H
#define TESTS_UNIT_BLKFRONT_QUEUE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blkfront/private.h"
#include "tests/unit/unit.h"

#define REGION_PAGES 64u
#define FIRST_REF    1000u
#define SEGMENTS_REF 5000u
#define RING_BYTES   (16u * PV_PAGE_SIZE)
#define IOS	     400u

struct test_io {
	struct blkfront_io io;
	unsigned nr_done;
	struct queue *submit_to; /* from the callback */
	struct test_io *next;
};

static struct queue q;
static struct limits limits; /* of the next backend */
static struct ring_back back;
static uint8_t segment_pages[BLKFRONT_SEGMENT_PAGES * PV_PAGE_SIZE]
	__attribute__((aligned(PV_PAGE_SIZE)));
static uint8_t *region, *ring_memory;
static struct test_io ios[IOS];
static unsigned nr_done;

static inline void io_done(struct blkfront_io *io)
{
	struct test_io *t = container_of(io, struct test_io, io);

	t->nr_done++;
	nr_done++;
	if (t->submit_to)
		queue_submit(t->submit_to, &t->next->io);
}

static inline void connect_ring(size_t ring_bytes)
{
	memset(ring_memory, 0, RING_BYTES);
	queue_attach(&q, ring_memory, ring_bytes, &limits);
	ring_back_init(&back, (void PV_SHARED *)ring_memory, ring_bytes,
		       sizeof(struct blkif_request));
}

static inline void run_done(void)
{
	struct blkfront_io *io;

	while ((io = io_list_pop(&q.done)))
		io->done(io);
}

static inline void start(size_t ring_bytes)
{
	free(region);
	free(ring_memory);
	region = aligned_alloc(PV_PAGE_SIZE, REGION_PAGES * PV_PAGE_SIZE);
	ring_memory = aligned_alloc(PV_PAGE_SIZE, RING_BYTES);
	queue_init(&q);
	q.buffers = (struct pages){ .base = region,
				    .size_bytes = REGION_PAGES * PV_PAGE_SIZE,
				    .first_ref = FIRST_REF };
	q.segments = (struct pages){ .base = segment_pages,
				     .size_bytes = sizeof(segment_pages),
				     .first_ref = SEGMENTS_REF };
	q.handle = 51712;
	limits = (struct limits){ .max_segments = 11,
				  .flush = true,
				  .discard = true };
	memset(ios, 0, sizeof(ios));
	nr_done = 0;
	connect_ring(ring_bytes);
}

static inline struct test_io *submit(unsigned i, enum blkfront_op op,
				     uint64_t offset_bytes, size_t region_off,
				     size_t size_bytes)
{
	struct test_io *t = &ios[i];

	t->io = (struct blkfront_io){ .op = op,
				      .offset_bytes = offset_bytes,
				      .size_bytes = size_bytes,
				      .buf = region + region_off,
				      .done = io_done };
	queue_submit(&q, &t->io);
	return t;
}

/* The next request, or one with operation 0xff when there is none. */
static inline struct blkif_request take(void)
{
	struct blkif_request req = { .operation = 0xff };

	if (ring_back_pending(&back) > 0)
		ring_back_get(&back, &req, sizeof(req));
	return req;
}

static inline void answer(uint64_t id, uint8_t operation, int status)
{
	struct blkif_response rsp = { .id = id,
				      .operation = operation,
				      .status = (int16_t)status };

	ring_back_put(&back, &rsp, sizeof(rsp));
	(void)!ring_back_push(&back);
}

static inline int reap(void)
{
	const char *why = NULL;
	int err = queue_reap(&q, &why);

	UNIT_CHECK((err < 0) == (why != NULL));
	run_done();
	return err;
}

static inline void push(void)
{
	(void)!queue_push(&q);
}

static inline size_t bytes_of(const struct blkif_request *req)
{
	size_t sectors = 0;

	for (unsigned i = 0; i < req->nr_segments; i++)
		sectors += (size_t)(req->seg[i].last_sect -
				    req->seg[i].first_sect + 1);
	return sectors * BLKIF_SECTOR_SIZE;
}

/* A request as the backend sees it, its segments wherever they are. */
struct seen {
	uint64_t id, sector, nr_sectors;
	uint8_t operation;
	bool indirect;
	uint32_t nr_segments;
	struct blkif_request_segment seg[BLKFRONT_SEGMENTS_MAX];
};

static inline void see_indirect(const struct blkif_request *raw,
				struct seen *seen)
{
	struct blkif_request_indirect req;
	uint32_t page;

	memcpy(&req, raw, sizeof(req));
	page = req.indirect_grefs[0] - SEGMENTS_REF;
	UNIT_REQUIRE(page < BLKFRONT_SEGMENT_PAGES);
	UNIT_REQUIRE(req.nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST);
	UNIT_REQUIRE(req.nr_segments <= q.limits.max_segments);
	UNIT_CHECK(req.handle == 51712 && req.indirect_grefs[1] == 0);
	seen->indirect = true;
	seen->operation = req.indirect_op;
	seen->nr_segments = req.nr_segments;
	seen->sector = req.sector_number;
	memcpy(seen->seg, segment_pages + page * PV_PAGE_SIZE,
	       req.nr_segments * sizeof(seen->seg[0]));
}

/* The next request; false when there is none. */
static inline bool see(struct seen *seen)
{
	struct blkif_request raw = take();

	if (raw.operation == 0xff)
		return false;
	memset(seen, 0, sizeof(*seen));
	seen->id = raw.id;
	seen->operation = raw.operation;
	seen->sector = raw.sector_number;
	seen->nr_segments = raw.nr_segments;
	UNIT_CHECK(raw.id < BLKFRONT_SHADOWS);
	if (raw.operation == BLKIF_OP_INDIRECT)
		see_indirect(&raw, seen);
	else if (raw.operation != BLKIF_OP_DISCARD)
		memcpy(seen->seg, raw.seg, sizeof(raw.seg));
	for (uint32_t i = 0; i < seen->nr_segments; i++)
		seen->nr_sectors += (uint64_t)(seen->seg[i].last_sect -
					       seen->seg[i].first_sect + 1);
	return true;
}

#endif /* TESTS_UNIT_BLKFRONT_QUEUE_H */
