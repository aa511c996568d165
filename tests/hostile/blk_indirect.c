/* SPDX-License-Identifier: MIT */
/*
 * blk_indirect.c - frontends that lie in indirect requests. THREATS.md section
 * A: XSA-71, XSA-361..367 (bad reference at segment k), past the end.
 */
#include "tests/hostile/blk_guest.h"

static void fill_big(struct guest *g, unsigned seed)
{
	for (size_t i = 0; i < BIG_PAGES * (size_t)PV_PAGE_SIZE; i++)
		page_of(g, 0)[i] = (uint8_t)(seed + i * 7 + (i >> 12));
}

static bool is_big(struct guest *g, unsigned seed)
{
	for (size_t i = 0; i < BIG_PAGES * (size_t)PV_PAGE_SIZE; i++)
		if (page_of(g, 0)[i] != (uint8_t)(seed + i * 7 + (i >> 12)))
			return false;
	return true;
}

/* The figures are the data thread's while the queue runs. */
static int nr_indirect(void *queue)
{
	return (int)blkback_queue_stats(queue)->nr_indirect;
}

static void a_mebibyte_goes_through_in_one_request(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct blkif_request_indirect req;

		setup_as(0, i % 2, i / 2 ? INFLIGHT_PERSISTENT : 0);
		fill_big(&a, i + 3);
		req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
		memset(page_of(&a, 0), 0xee, BIG_PAGES * (size_t)PV_PAGE_SIZE);
		req = indirect(&a, BLKIF_OP_READ, BIG_PAGES, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
		UNIT_CHECK(is_big(&a, i + 3));
		UNIT_CHECK(worker_call(worker, nr_indirect, a.queue) == 2);
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

static void a_ring_full_of_mebibytes_is_allowed(void)
{
	setup();
	fill_big(&a, 9);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t id;

		for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
			struct blkif_request_indirect req = indirect(
				&a, round % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE,
				BIG_PAGES, 0);

			put_indirect(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < a.ring.nr_slots; i++)
			UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(is_big(&a, 9));
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void an_indirect_request_that_lies_about_itself_is_answered(void)
{
	static const uint16_t nrs[] = { 0, 257, 512, 513, 4096, 32768, 65535 };
	struct blkif_request_indirect req;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(nrs); i++) {
		req = indirect(&a, BLKIF_OP_READ, nrs[i], 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
	}
	for (unsigned inner = 2; inner < 256; inner++) {
		req = indirect(&a, (uint8_t)inner, 4, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_EOPNOTSUPP);
	}
	/* 256 pages, and the disk has 256: one sector further is too far. */
	for (uint64_t sector = 1; sector; sector <<= 1) {
		req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, sector);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
	}
	req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, UINT64_MAX);
	UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

static void the_page_of_segments_must_be_granted(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		struct blkif_request_indirect req;

		setup_as(0, persistent, persistent ? INFLIGHT_PERSISTENT : 0);
		{
			const grant_ref_t bad[] = {
				0,
				7,
				UINT32_MAX,
				a.indirect.first_ref + 100000,
				b.indirect.first_ref + 100000,
			};

			for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
				req = indirect(&a, BLKIF_OP_READ, 40, 0);
				req.indirect_grefs[0] = bad[i];
				UNIT_CHECK(ask_indirect(&a, &req) ==
					   BLKIF_RSP_ERROR);
			}
		}
		/* What is not needed is not looked at. */
		req = indirect(&a, BLKIF_OP_READ, 256, 0);
		for (unsigned i = 1; i < 8; i++)
			req.indirect_grefs[i] = UINT32_MAX;
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
		UNIT_CHECK(disk_works(&a));
		teardown();
	}
}

static void a_bad_indirect_segment_at_any_place_is_undone(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		struct blkif_request_indirect req;

		setup_as(0, BLK_LAYOUT_X86_64,
			 persistent ? INFLIGHT_PERSISTENT : 0);
		for (unsigned k = 0; k < BIG_PAGES; k++) {
			req = indirect(&a, BLKIF_OP_READ, BIG_PAGES, 0);
			segments_of(&a)[k].gref = UINT32_MAX - k;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
			req = indirect(&a, BLKIF_OP_READ, BIG_PAGES, 0);
			segments_of(&a)[k].gref = a.readonly.first_ref;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
			req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, 0);
			segments_of(&a)[k].last_sect = 8;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
			req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, 0);
			segments_of(&a)[k].first_sect = 255;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
		}
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		/* And nothing stays mapped: guest_close looks. */
		teardown();
	}
}

UNIT_MAIN("blk_indirect", UNIT_TEST(a_mebibyte_goes_through_in_one_request),
	  UNIT_TEST(a_ring_full_of_mebibytes_is_allowed),
	  UNIT_TEST(an_indirect_request_that_lies_about_itself_is_answered),
	  UNIT_TEST(the_page_of_segments_must_be_granted),
	  UNIT_TEST(a_bad_indirect_segment_at_any_place_is_undone))
