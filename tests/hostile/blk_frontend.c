/* SPDX-License-Identifier: MIT */
/*
 * blk_frontend.c - frontends that lie in the ring and in plain requests.
 * THREATS.md section A: CVE-2010-4247, XSA-39, XSA-86 (producer index),
 * CVE-2013-2140, XSA-142 (read-only, past the end), XSA-229 (segments).
 */
#include "tests/hostile/blk_guest.h"

static void honest_guests_are_served_in_both_layouts_and_both_ways(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct blkif_request req;

		setup_as(0, i % 2, i / 2 ? INFLIGHT_PERSISTENT : 0);
		for (unsigned k = 0; k < 40; k++)
			UNIT_CHECK(disk_works(&a));
		req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
		req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 2, 8);
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

static void an_impossible_producer_stops_its_own_disk_only(void)
{
	/* After 2 * nr requests, all answered. */
	static const int64_t steps[] = { 33,  1u << 31,	  -1,  -2,
					 -31, -(1 << 30), 100, INT32_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		setup();
		UNIT_CHECK(disk_works(&a));
		set_producer(&a, (uint32_t)(a.ring.req_prod + steps[i]));
		UNIT_CHECK(faults(&a, -EPROTO));
		UNIT_CHECK(disk_works(&b));
		stop(&a);
		teardown();
	}
}

static void a_full_ring_is_allowed(void)
{
	uint64_t id = 0, sum = 0;

	setup();
	for (unsigned round = 0; round < 5; round++) {
		uint64_t before = a.next_id;

		sum = 0;
		for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
			struct blkif_request req =
				request(&a, BLKIF_OP_READ, 1, i * 8);

			put(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
			UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
			sum += id - before;
		}
		UNIT_CHECK(sum == 32 * 33 / 2);
	}
	teardown();
}

static void every_operation_that_is_not_offered_is_answered(void)
{
	setup();
	for (unsigned op = 0; op < 256; op++) {
		struct blkif_request req = request(&a, (uint8_t)op, 1, 0);
		int16_t want = op <= BLKIF_OP_FLUSH_DISKCACHE
				       ? BLKIF_RSP_OKAY
				       : BLKIF_RSP_EOPNOTSUPP;

		if (op == BLKIF_OP_INDIRECT) /* of an indirect request */
			req.nr_segments = BLKIF_OP_INDIRECT;

		UNIT_CHECK(ask(&a, &req) == want);
	}
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

static void bad_segments_are_answered_with_an_error(void)
{
	static const uint8_t sects[][2] = {
		{ 5, 4 }, { 0, 8 }, { 8, 8 }, { 0, 255 }, { 255, 0 },
	};
	struct blkif_request req;

	setup();
	for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++)
		for (size_t i = 0; i < ARRAY_SIZE(sects); i++) {
			req = request(&a, BLKIF_OP_WRITE, 11, 0);
			req.seg[k].first_sect = sects[i][0];
			req.seg[k].last_sect = sects[i][1];
			UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
		}
	for (unsigned nr = 0; nr < 256; nr++) {
		req = request(&a, BLKIF_OP_READ, (uint8_t)nr, 0);
		UNIT_CHECK(ask(&a, &req) == (nr >= 1 && nr <= 11
						     ? BLKIF_RSP_OKAY
						     : BLKIF_RSP_ERROR));
	}
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void past_the_end_is_answered_with_an_error(void)
{
	static const uint64_t sectors[] = { NR_SECTORS - 7,	 NR_SECTORS,
					    UINT64_MAX / 512,	 UINT64_MAX - 7,
					    UINT64_MAX,		 1ull << 63,
					    UINT64_MAX / 512 - 7 };
	struct blkif_request req;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(sectors); i++)
		for (uint8_t op = 0; op < 2; op++) {
			req = request(&a, op, 1, sectors[i]);
			UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
		}
	req = request(&a, BLKIF_OP_WRITE, 1, NR_SECTORS - 8);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	teardown();
}

static void a_readonly_disk_is_not_written(void)
{
	struct blkif_request req;

	setup_as(STORAGE_READONLY, BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT);
	memset(page_of(&a, 0), 0x5a, PV_PAGE_SIZE);
	req = request(&a, BLKIF_OP_WRITE, 1, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 1, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	req = request(&a, BLKIF_OP_READ, 1, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	UNIT_CHECK(page_of(&a, 0)[0] == 0 && page_of(&a, 0)[4095] == 0);
	UNIT_CHECK(disk_works(&b));
	teardown();
}

static void a_frontend_that_goes_away_is_told_as_that(void)
{
	setup();
	UNIT_CHECK(disk_works(&a));
	evtchn_close(a.ev);
	UNIT_CHECK(faults(&a, -EPIPE));
	UNIT_CHECK(disk_works(&b));
	UNIT_CHECK(!platform_evtchn_alloc(a.platform, back_id, &a.ev));
	teardown();
}

static void notifications_without_requests_harm_nobody(void)
{
	setup();
	for (unsigned i = 0; i < 20000; i++)
		evtchn_notify(a.ev);
	UNIT_CHECK(disk_works(&b));
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void a_stopped_queue_consumes_nothing_more(void)
{
	struct blkif_request req;

	setup();
	UNIT_CHECK(disk_works(&a));
	stop(&a);
	req = request(&a, BLKIF_OP_READ, 1, 0);
	put(&a, &req);
	show(&a);
	UNIT_CHECK(disk_works(&b));
	UNIT_CHECK(ring_front_pending(&a.ring) == 0);
	teardown();
}

UNIT_MAIN("blk_frontend",
	  UNIT_TEST(honest_guests_are_served_in_both_layouts_and_both_ways),
	  UNIT_TEST(an_impossible_producer_stops_its_own_disk_only),
	  UNIT_TEST(a_full_ring_is_allowed),
	  UNIT_TEST(every_operation_that_is_not_offered_is_answered),
	  UNIT_TEST(bad_segments_are_answered_with_an_error),
	  UNIT_TEST(past_the_end_is_answered_with_an_error),
	  UNIT_TEST(a_readonly_disk_is_not_written),
	  UNIT_TEST(a_frontend_that_goes_away_is_told_as_that),
	  UNIT_TEST(notifications_without_requests_harm_nobody),
	  UNIT_TEST(a_stopped_queue_consumes_nothing_more))
