/* SPDX-License-Identifier: MIT */
/*
 * blkfront.c - the queue of blkfront: splitting, shadows, exactly one callback
 * per io, what a lying backend can and cannot do, and issuing again after the
 * backend's death. Frontend and backend half of the ring live in this thread.
 */
#include "blkfront/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define REGION_PAGES 64u
#define FIRST_REF    1000u
#define RING_BYTES   (4u * PV_PAGE_SIZE)
#define IOS	     400u

struct test_io {
	struct blkfront_io io;
	unsigned nr_done;
	struct queue *submit_to; /* from the callback */
	struct test_io *next;
};

static struct queue q;
static struct ring_back back;
static uint8_t *region, *ring_memory;
static struct test_io ios[IOS];
static unsigned nr_done;

static void io_done(struct blkfront_io *io)
{
	struct test_io *t = container_of(io, struct test_io, io);

	t->nr_done++;
	nr_done++;
	if (t->submit_to)
		queue_submit(t->submit_to, &t->next->io);
}

static void connect_ring(size_t ring_bytes)
{
	memset(ring_memory, 0, RING_BYTES);
	queue_attach(&q, ring_memory, ring_bytes);
	ring_back_init(&back, (void PV_SHARED *)ring_memory, ring_bytes,
		       sizeof(struct blkif_request));
}

static void start(size_t ring_bytes)
{
	free(region);
	free(ring_memory);
	region = aligned_alloc(PV_PAGE_SIZE, REGION_PAGES * PV_PAGE_SIZE);
	ring_memory = aligned_alloc(PV_PAGE_SIZE, RING_BYTES);
	queue_init(&q);
	q.region = region;
	q.region_bytes = REGION_PAGES * PV_PAGE_SIZE;
	q.first_ref = FIRST_REF;
	q.handle = 51712;
	q.flush = true;
	memset(ios, 0, sizeof(ios));
	nr_done = 0;
	connect_ring(ring_bytes);
}

static struct test_io *submit(unsigned i, enum blkfront_op op,
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
static struct blkif_request take(void)
{
	struct blkif_request req = { .operation = 0xff };

	if (ring_back_pending(&back) > 0)
		ring_back_get(&back, &req, sizeof(req));
	return req;
}

static void answer(uint64_t id, uint8_t operation, int status)
{
	struct blkif_response rsp = { .id = id,
				      .operation = operation,
				      .status = (int16_t)status };

	ring_back_put(&back, &rsp, sizeof(rsp));
	(void)!ring_back_push(&back);
}

static int reap(void)
{
	const char *why = NULL;
	int err = queue_reap(&q, &why);

	UNIT_CHECK((err < 0) == (why != NULL));
	queue_run_done(&q);
	return err;
}

static void push(void)
{
	(void)!queue_push(&q);
}

static size_t bytes_of(const struct blkif_request *req)
{
	size_t sectors = 0;

	for (unsigned i = 0; i < req->nr_segments; i++)
		sectors += (size_t)(req->seg[i].last_sect -
				    req->seg[i].first_sect + 1);
	return sectors * BLKIF_SECTOR_SIZE;
}

static void splits_a_large_io_into_requests_of_eleven_segments(void)
{
	size_t left = 25 * PV_PAGE_SIZE;
	uint64_t sector = 800;
	unsigned nr = 0;

	start(RING_BYTES);
	submit(0, BLKFRONT_WRITE, sector * 512, 0, left);
	push();
	while (left) {
		struct blkif_request req = take();

		UNIT_REQUIRE(req.operation == BLKIF_OP_WRITE);
		UNIT_CHECK(req.nr_segments == (nr < 2 ? 11 : 3));
		UNIT_CHECK(req.handle == 51712);
		UNIT_CHECK(req.sector_number == sector);
		UNIT_CHECK(req.seg[0].gref == FIRST_REF + nr * 11);
		sector += bytes_of(&req) / 512;
		left -= bytes_of(&req);
		nr++;
		answer(req.id, req.operation, BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(nr == 3 && take().operation == 0xff);
	UNIT_CHECK(reap() == 3);
	UNIT_CHECK(ios[0].nr_done == 1 && ios[0].io.result == 0);
	UNIT_CHECK(queue_idle(&q));
}

static void segments_follow_page_and_sector_boundaries(void)
{
	struct blkif_request req;

	start(RING_BYTES);
	/* from sector 7 of page 2 to sector 0 of page 4 */
	submit(0, BLKFRONT_READ, 0, 3 * PV_PAGE_SIZE - 512,
	       512 + PV_PAGE_SIZE + 512);
	push();
	req = take();
	UNIT_REQUIRE(req.nr_segments == 3);
	UNIT_CHECK(req.seg[0].gref == FIRST_REF + 2);
	UNIT_CHECK(req.seg[0].first_sect == 7 && req.seg[0].last_sect == 7);
	UNIT_CHECK(req.seg[1].gref == FIRST_REF + 3);
	UNIT_CHECK(req.seg[1].first_sect == 0 && req.seg[1].last_sect == 7);
	UNIT_CHECK(req.seg[2].gref == FIRST_REF + 4);
	UNIT_CHECK(req.seg[2].first_sect == 0 && req.seg[2].last_sect == 0);
}

static void request_bytes_that_mean_nothing_are_zero(void)
{
	static const uint8_t zero[sizeof(struct blkif_request_segment) * 10];
	struct blkif_request req;

	start(RING_BYTES);
	submit(0, BLKFRONT_READ, 0, 0, 512);
	push();
	req = take();
	UNIT_CHECK(memcmp(req.pad, zero, sizeof(req.pad)) == 0);
	UNIT_CHECK(memcmp(&req.seg[1], zero, sizeof(zero)) == 0);
}

static void only_buffers_inside_the_region_are_owned(void)
{
	size_t all = REGION_PAGES * PV_PAGE_SIZE;

	start(RING_BYTES);
	UNIT_CHECK(queue_owns(&q, region, all));
	UNIT_CHECK(queue_owns(&q, region + all - 512, 512));
	UNIT_CHECK(!queue_owns(&q, region + all - 512, 1024));
	UNIT_CHECK(!queue_owns(&q, region + 8, 512));
	UNIT_CHECK(!queue_owns(&q, region - 512, 512));
	UNIT_CHECK(!queue_owns(&q, region + 512, SIZE_MAX - 511));
	UNIT_CHECK(!queue_owns(&q, ios, 512));
}

static void answers_out_of_order_complete_the_right_ios(void)
{
	uint64_t id[3];

	start(RING_BYTES);
	for (unsigned i = 0; i < 3; i++)
		submit(i, BLKFRONT_READ, i * 4096, i * 4096, 4096);
	push();
	for (unsigned i = 0; i < 3; i++)
		id[i] = take().id;
	answer(id[2], BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 1 && ios[2].nr_done == 1 && nr_done == 1);
	answer(id[0], BLKIF_OP_READ, BLKIF_RSP_ERROR);
	answer(id[1], BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 2 && nr_done == 3);
	UNIT_CHECK(ios[0].io.result == -EIO && ios[1].io.result == 0);
}

static void one_failed_part_fails_the_io_once(void)
{
	struct blkif_request req[3];

	start(RING_BYTES);
	submit(0, BLKFRONT_WRITE, 0, 0, 33 * PV_PAGE_SIZE);
	push();
	for (unsigned i = 0; i < 3; i++)
		req[i] = take();
	answer(req[1].id, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	UNIT_CHECK(reap() == 1 && nr_done == 0);
	answer(req[0].id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	answer(req[2].id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 2 && nr_done == 1);
	UNIT_CHECK(ios[0].io.result == -EIO);
}

static void more_ios_than_slots_wait_in_order(void)
{
	uint64_t expected = 0;

	start(PV_PAGE_SIZE); /* 32 slots */
	for (unsigned i = 0; i < 100; i++)
		submit(i, BLKFRONT_READ, i * 512, 0, 512);
	while (nr_done < 100) {
		struct blkif_request req;

		push();
		UNIT_REQUIRE(q.nr_in_flight <= 32);
		req = take();
		UNIT_REQUIRE(req.operation == BLKIF_OP_READ);
		UNIT_CHECK(req.sector_number == expected++);
		answer(req.id, req.operation, BLKIF_RSP_OKAY);
		UNIT_REQUIRE(reap() == 1);
	}
	for (unsigned i = 0; i < 100; i++)
		UNIT_CHECK(ios[i].nr_done == 1);
}

static void a_flush_has_no_segments(void)
{
	struct blkif_request req;

	start(RING_BYTES);
	submit(0, BLKFRONT_FLUSH, 0, 0, 0);
	push();
	req = take();
	UNIT_CHECK(req.operation == BLKIF_OP_FLUSH_DISKCACHE);
	UNIT_CHECK(req.nr_segments == 0);
	answer(req.id, req.operation, BLKIF_RSP_EOPNOTSUPP);
	UNIT_CHECK(reap() == 1 && ios[0].io.result == -EOPNOTSUPP);
}

static void callbacks_may_submit(void)
{
	start(RING_BYTES);
	ios[1].io = (struct blkfront_io){ .op = BLKFRONT_READ,
					  .size_bytes = 512,
					  .buf = region,
					  .done = io_done };
	submit(0, BLKFRONT_READ, 0, 0, 512);
	ios[0].submit_to = &q;
	ios[0].next = &ios[1];
	push();
	answer(take().id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 1);
	push();
	answer(take().id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 1);
	UNIT_CHECK(ios[0].nr_done == 1 && ios[1].nr_done == 1);
}

/* ---- the backend's death ------------------------------------------------ */

static void what_was_in_flight_is_issued_again_in_order(void)
{
	uint64_t id[8];

	start(RING_BYTES);
	for (unsigned i = 0; i < 8; i++)
		submit(i, BLKFRONT_WRITE, i * 4096, i * 4096, 4096);
	push();
	for (unsigned i = 0; i < 8; i++)
		id[i] = take().id;
	answer(id[2], BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	answer(id[5], BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 2);
	/* these get the two ids that became free, lower than others' */
	submit(8, BLKFRONT_WRITE, 8 * 4096, 0, 4096);
	submit(9, BLKFRONT_WRITE, 9 * 4096, 0, 4096);
	push();
	UNIT_CHECK(take().id < id[7] && take().id < id[7]);
	queue_detach(&q);
	submit(10, BLKFRONT_WRITE, 10 * 4096, 0, 4096);
	push(); /* there is no ring: nothing happens */
	connect_ring(PV_PAGE_SIZE);
	push();
	for (unsigned i = 0; i < 11; i++) {
		struct blkif_request req;

		if (i == 2 || i == 5)
			continue;
		req = take();
		UNIT_CHECK(req.operation == BLKIF_OP_WRITE);
		UNIT_CHECK(req.sector_number == i * 8);
		answer(req.id, req.operation, BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(take().operation == 0xff);
	UNIT_CHECK(reap() == 9 && nr_done == 11 && queue_idle(&q));
}

static void a_smaller_ring_takes_what_a_larger_one_held(void)
{
	unsigned expected = 0;

	start(RING_BYTES);
	for (unsigned i = 0; i < 200; i++)
		submit(i, BLKFRONT_READ, i * 512, 0, 512);
	push();
	UNIT_CHECK(q.nr_in_flight == 128);
	queue_detach(&q);
	connect_ring(PV_PAGE_SIZE);
	/* and once more, with some of them issued again already */
	push();
	UNIT_CHECK(q.nr_in_flight == 32);
	queue_detach(&q);
	connect_ring(PV_PAGE_SIZE);
	while (nr_done < 200) {
		struct blkif_request req;

		push();
		req = take();
		UNIT_REQUIRE(req.sector_number == expected++);
		answer(req.id, req.operation, BLKIF_RSP_OKAY);
		UNIT_REQUIRE(reap() == 1);
	}
	for (unsigned i = 0; i < 200; i++)
		UNIT_CHECK(ios[i].nr_done == 1);
}

static void a_successor_without_flush_fails_held_flushes(void)
{
	start(RING_BYTES);
	submit(0, BLKFRONT_FLUSH, 0, 0, 0);
	submit(1, BLKFRONT_READ, 0, 0, 512);
	push();
	queue_detach(&q);
	q.flush = false;
	connect_ring(RING_BYTES);
	submit(2, BLKFRONT_FLUSH, 0, 0, 0);
	push();
	queue_run_done(&q);
	UNIT_CHECK(ios[0].nr_done == 1 && ios[0].io.result == -EOPNOTSUPP);
	UNIT_CHECK(ios[2].nr_done == 1 && ios[2].io.result == -EOPNOTSUPP);
	UNIT_CHECK(take().operation == BLKIF_OP_READ);
	UNIT_CHECK(take().operation == 0xff);
}

static void failing_completes_everything_exactly_once(void)
{
	start(PV_PAGE_SIZE);
	for (unsigned i = 0; i < 60; i++)
		submit(i, BLKFRONT_READ, 0, 0, 20 * PV_PAGE_SIZE);
	push();
	answer(take().id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 1);
	push();
	queue_fail(&q, -ESHUTDOWN);
	queue_fail(&q, -EIO);
	queue_run_done(&q);
	UNIT_CHECK(nr_done == 60 && queue_idle(&q));
	for (unsigned i = 0; i < 60; i++)
		UNIT_CHECK(ios[i].nr_done == 1 &&
			   ios[i].io.result == -ESHUTDOWN);
}

/* ---- lies --------------------------------------------------------------- */

/* Two reads in flight; the backend then does something that no honest one
 * would. Every callback must run exactly once, whatever it was. */
static void expect_lie_is_caught(uint64_t id, uint8_t operation, int status)
{
	start(RING_BYTES);
	submit(0, BLKFRONT_READ, 0, 0, 512);
	submit(1, BLKFRONT_READ, 512, 512, 512);
	push();
	take();
	take();
	answer(id, operation, status);
	UNIT_CHECK(reap() == -EPROTO);
	UNIT_CHECK(nr_done == 0);
	queue_fail(&q, -EIO);
	queue_run_done(&q);
	UNIT_CHECK(ios[0].nr_done == 1 && ios[1].nr_done == 1);
	UNIT_CHECK(ios[0].io.result == -EIO && ios[1].io.result == -EIO);
	UNIT_CHECK(reap() == 0);
}

static void rejects_an_id_outside_the_shadows(void)
{
	expect_lie_is_caught(BLKFRONT_SHADOWS, BLKIF_OP_READ, 0);
	expect_lie_is_caught(UINT32_MAX, BLKIF_OP_READ, 0);
	expect_lie_is_caught(UINT64_MAX, BLKIF_OP_READ, 0);
	expect_lie_is_caught((1ull << 32) | 0, BLKIF_OP_READ, 0);
}

static void rejects_the_id_of_a_free_shadow(void)
{
	expect_lie_is_caught(77, BLKIF_OP_READ, 0);
}

static void rejects_a_second_answer_to_one_request(void)
{
	uint64_t id;

	start(RING_BYTES);
	submit(0, BLKFRONT_READ, 0, 0, 512);
	submit(1, BLKFRONT_READ, 512, 512, 512);
	push();
	id = take().id;
	take();
	answer(id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	answer(id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == -EPROTO);
	UNIT_CHECK(ios[0].nr_done == 1 && ios[0].io.result == 0);
	queue_fail(&q, -EIO);
	queue_run_done(&q);
	UNIT_CHECK(ios[0].nr_done == 1 && ios[1].nr_done == 1);
}

static void rejects_another_operation_than_was_asked(void)
{
	expect_lie_is_caught(0, BLKIF_OP_WRITE, 0);
	expect_lie_is_caught(0, 0xff, 0);
}

static void rejects_a_status_that_is_none(void)
{
	expect_lie_is_caught(0, BLKIF_OP_READ, 1);
	expect_lie_is_caught(0, BLKIF_OP_READ, -3);
	expect_lie_is_caught(0, BLKIF_OP_READ, INT16_MIN);
}

static void rejects_responses_that_nobody_asked_for(void)
{
	static const uint32_t prods[] = { 3, 128, 1u << 31, UINT32_MAX };

	for (unsigned i = 0; i < ARRAY_SIZE(prods); i++) {
		struct ring_header *header;

		start(RING_BYTES);
		header = (struct ring_header *)(void *)ring_memory;
		submit(0, BLKFRONT_READ, 0, 0, 512);
		submit(1, BLKFRONT_READ, 0, 0, 512);
		push();
		__atomic_store_n(&header->rsp_prod, prods[i], __ATOMIC_RELEASE);
		UNIT_CHECK(reap() == -EPROTO);
		queue_fail(&q, -EIO);
		queue_run_done(&q);
		UNIT_CHECK(nr_done == 2);
	}
}

/* ---- a model ------------------------------------------------------------ */

/* Which 512-byte sectors each io has been answered for, by ids in flight. */
struct model_request {
	struct blkif_request req;
	bool used;
};

static struct model_request outstanding[BLKFRONT_SHADOWS];
static uint32_t sectors_of[IOS];

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void model_take_all(void)
{
	for (;;) {
		struct blkif_request req = take();

		if (req.operation == 0xff)
			return;
		UNIT_REQUIRE(req.id < BLKFRONT_SHADOWS);
		UNIT_REQUIRE(!outstanding[req.id].used);
		outstanding[req.id].req = req;
		outstanding[req.id].used = true;
	}
}

/* Answer one; the io's number is in the disk offset: 1 MiB for each. */
static void model_answer(uint32_t *seed)
{
	uint32_t from = next_random(seed) % BLKFRONT_SHADOWS;

	for (uint32_t i = 0; i < BLKFRONT_SHADOWS; i++) {
		struct model_request *m =
			&outstanding[(from + i) % BLKFRONT_SHADOWS];

		if (!m->used)
			continue;
		sectors_of[m->req.sector_number / 2048] +=
			(uint32_t)(bytes_of(&m->req) / 512);
		m->used = false;
		answer(m->req.id, m->req.operation, BLKIF_RSP_OKAY);
		return;
	}
}

static void model_round(uint32_t seed)
{
	unsigned submitted = 0;

	start(seed % 2 ? RING_BYTES : PV_PAGE_SIZE);
	memset(outstanding, 0, sizeof(outstanding));
	memset(sectors_of, 0, sizeof(sectors_of));
	for (unsigned step = 0; nr_done < IOS; step++) {
		uint32_t dice = next_random(&seed) % 100;

		UNIT_REQUIRE(step < 100000);
		if (dice < 30 && submitted < IOS) {
			size_t sectors = 1 + next_random(&seed) % 300;
			size_t off = next_random(&seed) % 200;

			submit(submitted, BLKFRONT_READ, submitted * 2048 * 512,
			       off * 512, sectors * 512);
			submitted++;
		} else if (dice < 97) {
			push();
			model_take_all();
			model_answer(&seed);
			UNIT_REQUIRE(reap() >= 0);
		} else if (dice < 98) {
			queue_detach(&q);
			memset(outstanding, 0, sizeof(outstanding));
			connect_ring(dice % 2 ? RING_BYTES : PV_PAGE_SIZE);
		}
	}
	for (unsigned i = 0; i < IOS; i++) {
		UNIT_CHECK(ios[i].nr_done == 1 && ios[i].io.result == 0);
		UNIT_CHECK(sectors_of[i] == ios[i].io.size_bytes / 512);
	}
	UNIT_CHECK(queue_idle(&q));
}

static void random_ios_and_deaths_complete_every_byte_once(void)
{
	for (uint32_t seed = 1; seed <= 20; seed++) {
		unsigned before = CU_get_number_of_failures();

		model_round(seed);
		if (CU_get_number_of_failures() != before) {
			printf("seed %u\n", seed);
			return;
		}
	}
	free(region);
	free(ring_memory);
	region = ring_memory = NULL;
}

UNIT_MAIN("blkfront",
	  UNIT_TEST(splits_a_large_io_into_requests_of_eleven_segments),
	  UNIT_TEST(segments_follow_page_and_sector_boundaries),
	  UNIT_TEST(request_bytes_that_mean_nothing_are_zero),
	  UNIT_TEST(only_buffers_inside_the_region_are_owned),
	  UNIT_TEST(answers_out_of_order_complete_the_right_ios),
	  UNIT_TEST(one_failed_part_fails_the_io_once),
	  UNIT_TEST(more_ios_than_slots_wait_in_order),
	  UNIT_TEST(a_flush_has_no_segments), UNIT_TEST(callbacks_may_submit),
	  UNIT_TEST(what_was_in_flight_is_issued_again_in_order),
	  UNIT_TEST(a_smaller_ring_takes_what_a_larger_one_held),
	  UNIT_TEST(a_successor_without_flush_fails_held_flushes),
	  UNIT_TEST(failing_completes_everything_exactly_once),
	  UNIT_TEST(rejects_an_id_outside_the_shadows),
	  UNIT_TEST(rejects_the_id_of_a_free_shadow),
	  UNIT_TEST(rejects_a_second_answer_to_one_request),
	  UNIT_TEST(rejects_another_operation_than_was_asked),
	  UNIT_TEST(rejects_a_status_that_is_none),
	  UNIT_TEST(rejects_responses_that_nobody_asked_for),
	  UNIT_TEST(random_ios_and_deaths_complete_every_byte_once))
