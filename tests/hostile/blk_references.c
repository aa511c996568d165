/* SPDX-License-Identifier: MIT */
/*
 * blk_references.c - frontends that name pages which are not theirs to name, or
 * too many of them. THREATS.md section A: XSA-71, XSA-361..367 (bad reference
 * at segment k), XSA-300 (many references).
 */
#include "tests/hostile/blk_guest.h"

/* References that name nothing, or a page of which we may only read. */
static void a_bad_reference_at_any_segment_is_undone(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		setup_as(0, BLK_LAYOUT_X86_64,
			 persistent ? INFLIGHT_PERSISTENT : 0);
		for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++) {
			const grant_ref_t bad[] = {
				0,
				7,
				UINT32_MAX,
				a.data.first_ref + 100000,
				b.data.first_ref + 100000,
				a.readonly.first_ref,
			};

			for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
				struct blkif_request req =
					request(&a, BLKIF_OP_READ, 11, 0);

				req.seg[k].gref = bad[i];
				UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
			}
		}
		/* To be read from, a read-only page is good enough. */
		{
			struct blkif_request req =
				request(&a, BLKIF_OP_WRITE, 11, 0);

			req.seg[4].gref = a.readonly.first_ref;
			UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
		}
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		/* And nothing stays mapped: guest_close looks. */
		teardown();
	}
}

static void the_same_page_may_be_named_in_every_segment(void)
{
	setup();
	for (unsigned i = 0; i < 100; i++) {
		struct blkif_request req = request(
			&a, i % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 11, 0);

		for (unsigned k = 0; k < 11; k++)
			req.seg[k].gref = a.data.first_ref;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(disk_works(&a));
	teardown();
}

/* More pages than the cache holds: I/O goes on, what is mapped is bounded. */
static void more_references_than_the_cache_holds_are_served(void)
{
	const uint32_t nr = 2000;
	struct share many;

	setup();
	world_must(!platform_share(a.platform, back_id, nr, 0, &many), "share");
	for (uint32_t i = 0; i < nr; i += 10) {
		struct blkif_request req = request(&a, BLKIF_OP_READ, 10, 0);

		for (uint32_t k = 0; k < 10; k++)
			req.seg[k].gref = many.first_ref + i + k;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(disk_works(&a));
	stop(&a);
	UNIT_CHECK(platform_unshare(a.platform, &many) == -EBUSY);
	teardown();
}

static void pages_that_nobody_uses_are_unmapped(void)
{
	setup();
	UNIT_CHECK(!blkback_queue_cached(a.queue));
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(world_readable(a.event_fd));
	UNIT_CHECK(blkback_queue_cached(a.queue));
	blkback_queue_expire(a.queue);
	UNIT_CHECK(blkback_queue_cached(a.queue)); /* used a moment ago */
	blkback_queue_expire(a.queue);
	UNIT_CHECK(!blkback_queue_cached(a.queue));
	/* Nothing of the data is mapped while the queue goes on. */
	UNIT_CHECK(platform_unshare(a.platform, &a.data) == 0);
	world_must(!platform_share(a.platform, back_id, NR_PAGES, 0, &a.data),
		   "share again");
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(blkback_queue_cached(a.queue));
	teardown();
}

/* XSA-365, 371: what was got before the refusal at segment k is let go. */
static void what_was_refused_pins_nothing(void)
{
	setup();
	for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++) {
		struct blkif_request req = request(&a, BLKIF_OP_READ, 11, 0);

		req.seg[k].gref = UINT32_MAX;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	}
	for (unsigned i = 0; i < 2; i++)
		blkback_queue_expire(a.queue);
	UNIT_CHECK(!blkback_queue_cached(a.queue));
	UNIT_CHECK(platform_unshare(a.platform, &a.data) == 0);
	world_must(!platform_share(a.platform, back_id, NR_PAGES, 0, &a.data),
		   "share again");
	teardown();
}

UNIT_MAIN("blk_references", UNIT_TEST(a_bad_reference_at_any_segment_is_undone),
	  UNIT_TEST(the_same_page_may_be_named_in_every_segment),
	  UNIT_TEST(more_references_than_the_cache_holds_are_served),
	  UNIT_TEST(pages_that_nobody_uses_are_unmapped),
	  UNIT_TEST(what_was_refused_pins_nothing))
