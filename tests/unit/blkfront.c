/* SPDX-License-Identifier: MIT */
/*
 * blkfront.c - the queue of blkfront: splitting, shadows, exactly one callback
 * per io, what a lying backend can and cannot do, and issuing again after the
 * backend's death. Frontend and backend half of the ring live in this thread.
 */
#include "tests/unit/blkfront_queue.h"

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

static void a_large_io_is_one_request_where_the_backend_takes_many(void)
{
	struct seen seen;

	start(RING_BYTES);
	limits.max_segments = 40;
	queue_detach(&q, 0);
	connect_ring(RING_BYTES);
	/* 51 pages, but from the middle of the first to that of the last */
	submit(0, BLKFRONT_WRITE, 8192, 1024, 50 * PV_PAGE_SIZE);
	push();
	UNIT_REQUIRE(see(&seen) && seen.indirect);
	UNIT_CHECK(seen.operation == BLKIF_OP_WRITE && seen.sector == 16);
	UNIT_CHECK(seen.nr_segments == 40 && seen.nr_sectors == 40 * 8 - 2);
	for (uint32_t i = 0; i < 40; i++)
		UNIT_CHECK(seen.seg[i].gref == FIRST_REF + i);
	UNIT_CHECK(seen.seg[0].first_sect == 2 && seen.seg[39].last_sect == 7);
	answer(seen.id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	/* the rest is 11 segments: no page is needed */
	UNIT_REQUIRE(see(&seen) && !seen.indirect);
	UNIT_CHECK(seen.sector == 16 + 40 * 8 - 2);
	UNIT_CHECK(seen.nr_segments == 11 && seen.seg[10].last_sect == 1);
	answer(seen.id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 2 && ios[0].nr_done == 1 && queue_idle(&q));
	UNIT_CHECK(q.nr_free_pages == BLKFRONT_SEGMENT_PAGES);
}

static void an_indirect_request_may_be_answered_as_either_operation(void)
{
	static const uint8_t answers[] = { BLKIF_OP_READ, BLKIF_OP_INDIRECT };
	struct seen seen;

	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		start(RING_BYTES);
		q.limits.max_segments = 256;
		submit(0, BLKFRONT_READ, 0, 0, 12 * PV_PAGE_SIZE);
		push();
		UNIT_REQUIRE(see(&seen) && seen.indirect);
		answer(seen.id, answers[i], BLKIF_RSP_OKAY);
		UNIT_CHECK(reap() == 1 && nr_done == 1);
	}
}

static void large_ios_wait_for_the_pages_of_others(void)
{
	unsigned nr = 0;
	struct seen seen;

	start(RING_BYTES);
	q.limits.max_segments = 256;
	for (unsigned i = 0; i < 50; i++)
		submit(i, BLKFRONT_READ, i * 4096, 0, 20 * PV_PAGE_SIZE);
	push();
	UNIT_CHECK(q.nr_in_flight == BLKFRONT_SEGMENT_PAGES);
	while (see(&seen)) {
		UNIT_CHECK(seen.indirect && seen.sector == nr * 8);
		answer(seen.id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
		UNIT_REQUIRE(reap() == 1);
		push();
		nr++;
	}
	UNIT_CHECK(nr == 50 && nr_done == 50);
}

static void discards_say_how_much_and_how(void)
{
	struct blkif_request_discard req;
	struct blkif_request raw;

	start(RING_BYTES);
	q.limits.secure_discard = true;
	submit(0, BLKFRONT_DISCARD, 1 << 20, 0, 1ul << 40);
	submit(1, BLKFRONT_SECURE_DISCARD, 512, 0, 512);
	push();
	raw = take();
	memcpy(&req, &raw, sizeof(req));
	UNIT_CHECK(req.operation == BLKIF_OP_DISCARD && req.flag == 0);
	UNIT_CHECK(req.sector_number == 2048 && req.handle == 51712);
	UNIT_CHECK(req.nr_sectors == 1ul << 31);
	answer(req.id, BLKIF_OP_DISCARD, BLKIF_RSP_EOPNOTSUPP);
	raw = take();
	memcpy(&req, &raw, sizeof(req));
	UNIT_CHECK(req.flag == BLKIF_DISCARD_SECURE);
	UNIT_CHECK(req.sector_number == 1 && req.nr_sectors == 1);
	answer(req.id, BLKIF_OP_DISCARD, BLKIF_RSP_OKAY);
	UNIT_CHECK(reap() == 2);
	UNIT_CHECK(ios[0].io.result == -EOPNOTSUPP && !ios[1].io.result);
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
	queue_detach(&q, 0);
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

	start(4 * PV_PAGE_SIZE);
	for (unsigned i = 0; i < 200; i++)
		submit(i, BLKFRONT_READ, i * 512, 0, 512);
	push();
	UNIT_CHECK(q.nr_in_flight == 128);
	queue_detach(&q, 0);
	connect_ring(PV_PAGE_SIZE);
	/* and once more, with some of them issued again already */
	push();
	UNIT_CHECK(q.nr_in_flight == 32);
	queue_detach(&q, 0);
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

static void a_successor_that_takes_less_gets_smaller_requests(void)
{
	uint64_t sector = 0;
	struct seen seen;

	start(RING_BYTES);
	q.limits.max_segments = 256;
	submit(0, BLKFRONT_WRITE, 0, 0, 60 * PV_PAGE_SIZE);
	submit(1, BLKFRONT_DISCARD, 0, 0, 1 << 20);
	push();
	UNIT_REQUIRE(see(&seen) && seen.nr_segments == 60);
	queue_detach(&q, 0);
	UNIT_CHECK(q.nr_free_pages == BLKFRONT_SEGMENT_PAGES);
	limits.discard = false;
	connect_ring(PV_PAGE_SIZE);
	push();
	while (see(&seen)) {
		UNIT_CHECK(!seen.indirect && seen.nr_segments <= 11);
		UNIT_CHECK(seen.sector == sector);
		sector += seen.nr_sectors;
		answer(seen.id, seen.operation, BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(sector == 60 * 8);
	UNIT_CHECK(reap() == 6 && nr_done == 2);
	UNIT_CHECK(ios[0].io.result == 0);
	UNIT_CHECK(ios[1].io.result == -EOPNOTSUPP);
}

static void what_was_in_flight_can_end_with_the_backend(void)
{
	start(PV_PAGE_SIZE);
	submit(0, BLKFRONT_WRITE, 0, 0, 4096);
	/* 33 parts: some are in the ring and some are not */
	for (unsigned i = 1; i < 13; i++)
		submit(i, BLKFRONT_READ, 0, 0, 33 * PV_PAGE_SIZE);
	push();
	UNIT_CHECK(q.nr_in_flight == 32);
	queue_detach(&q, -EIO);
	run_done();
	UNIT_CHECK(nr_done == 12);
	for (unsigned i = 0; i < 12; i++)
		UNIT_CHECK(ios[i].nr_done == 1 && ios[i].io.result == -EIO);
	/* the last one had not begun: it waits for the next backend */
	connect_ring(PV_PAGE_SIZE);
	push();
	UNIT_CHECK(q.nr_in_flight == 3);
	queue_fail(&q, -EIO);
	run_done();
	UNIT_CHECK(nr_done == 13 && queue_idle(&q));
}

static void a_successor_without_flush_fails_held_flushes(void)
{
	start(RING_BYTES);
	submit(0, BLKFRONT_FLUSH, 0, 0, 0);
	submit(1, BLKFRONT_READ, 0, 0, 512);
	push();
	queue_detach(&q, 0);
	limits.flush = false;
	connect_ring(RING_BYTES);
	submit(2, BLKFRONT_FLUSH, 0, 0, 0);
	push();
	run_done();
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
	run_done();
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
	run_done();
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
	run_done();
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
		run_done();
		UNIT_CHECK(nr_done == 2);
	}
}

UNIT_MAIN("blkfront",
	  UNIT_TEST(splits_a_large_io_into_requests_of_eleven_segments),
	  UNIT_TEST(segments_follow_page_and_sector_boundaries),
	  UNIT_TEST(a_large_io_is_one_request_where_the_backend_takes_many),
	  UNIT_TEST(an_indirect_request_may_be_answered_as_either_operation),
	  UNIT_TEST(large_ios_wait_for_the_pages_of_others),
	  UNIT_TEST(discards_say_how_much_and_how),
	  UNIT_TEST(request_bytes_that_mean_nothing_are_zero),
	  UNIT_TEST(answers_out_of_order_complete_the_right_ios),
	  UNIT_TEST(one_failed_part_fails_the_io_once),
	  UNIT_TEST(more_ios_than_slots_wait_in_order),
	  UNIT_TEST(a_flush_has_no_segments), UNIT_TEST(callbacks_may_submit),
	  UNIT_TEST(what_was_in_flight_is_issued_again_in_order),
	  UNIT_TEST(a_smaller_ring_takes_what_a_larger_one_held),
	  UNIT_TEST(a_successor_that_takes_less_gets_smaller_requests),
	  UNIT_TEST(what_was_in_flight_can_end_with_the_backend),
	  UNIT_TEST(a_successor_without_flush_fails_held_flushes),
	  UNIT_TEST(failing_completes_everything_exactly_once),
	  UNIT_TEST(rejects_an_id_outside_the_shadows),
	  UNIT_TEST(rejects_the_id_of_a_free_shadow),
	  UNIT_TEST(rejects_a_second_answer_to_one_request),
	  UNIT_TEST(rejects_another_operation_than_was_asked),
	  UNIT_TEST(rejects_a_status_that_is_none),
	  UNIT_TEST(rejects_responses_that_nobody_asked_for))
