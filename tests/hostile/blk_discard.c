/* SPDX-License-Identifier: MIT */
/*
 * blk_discard.c - frontends that lie in discards and barriers, or write to what
 * is read-only by them. THREATS.md section A: CVE-2013-2140, XSA-142.
 */
#include "tests/hostile/blk_guest.h"

static void a_discard_is_offered_or_refused(void)
{
	static const uint64_t sectors[] = {
		0, 1, NR_SECTORS - 1, NR_SECTORS, UINT64_MAX - 1, UINT64_MAX
	};
	static const uint64_t nrs[] = {
		0, 1, NR_SECTORS, NR_SECTORS + 1, UINT64_MAX - 1, UINT64_MAX
	};

	setup();
	UNIT_CHECK(ask_discard(&a, 0, 0, 8) == BLKIF_RSP_EOPNOTSUPP);
	teardown();
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		setup_as(0, layout, INFLIGHT_PERSISTENT | INFLIGHT_DISCARD);
		for (size_t s = 0; s < ARRAY_SIZE(sectors); s++)
			for (size_t n = 0; n < ARRAY_SIZE(nrs); n++) {
				bool in = nrs[n] && nrs[n] <= NR_SECTORS &&
					  sectors[s] <= NR_SECTORS - nrs[n];

				UNIT_CHECK(ask_discard(&a, 0, sectors[s],
						       nrs[n]) ==
					   (in ? BLKIF_RSP_OKAY
					       : BLKIF_RSP_ERROR));
			}
		for (unsigned flag = 2; flag < 256; flag++)
			UNIT_CHECK(ask_discard(&a, (uint8_t)flag, 0, 8) ==
				   BLKIF_RSP_ERROR);
		UNIT_CHECK(ask_discard(&a, BLKIF_DISCARD_SECURE, 0, 8) ==
			   BLKIF_RSP_OKAY);
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

static void a_discarded_range_reads_as_zeros(void)
{
	struct blkif_request req;

	setup_as(0, BLK_LAYOUT_X86_64, INFLIGHT_DISCARD);
	memset(page_of(&a, 0), 0x5a, 3 * (size_t)PV_PAGE_SIZE);
	req = request(&a, BLKIF_OP_WRITE, 3, 8);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	UNIT_CHECK(ask_discard(&a, 0, 17, 3) == BLKIF_RSP_OKAY);
	req = request(&a, BLKIF_OP_READ, 3, 8);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	for (unsigned i = 0; i < 3 * PV_PAGE_SIZE; i++)
		UNIT_CHECK(page_of(&a, 0)[i] ==
			   (i >= 9 * 512 && i < 12 * 512 ? 0 : 0x5a));
	teardown();
}

static void a_readonly_disk_is_neither_discarded_nor_written_at_length(void)
{
	struct blkif_request_indirect req;
	struct blkif_request barrier;

	setup_as(STORAGE_READONLY, BLK_LAYOUT_X86_64,
		 INFLIGHT_PERSISTENT | INFLIGHT_DISCARD);
	for (unsigned flag = 0; flag < 2; flag++)
		UNIT_CHECK(ask_discard(&a, (uint8_t)flag, 0, 8) ==
			   BLKIF_RSP_EOPNOTSUPP);
	for (unsigned nr = 1; nr <= BIG_PAGES; nr <<= 1) {
		req = indirect(&a, BLKIF_OP_WRITE, (uint16_t)nr, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
		req = indirect(&a, BLKIF_OP_READ, (uint16_t)nr, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
	}
	barrier = request(&a, BLKIF_OP_WRITE_BARRIER, 1, 0);
	UNIT_CHECK(ask(&a, &barrier) == BLKIF_RSP_ERROR);
	barrier = request(&a, BLKIF_OP_WRITE_BARRIER, 0, 0);
	UNIT_CHECK(ask(&a, &barrier) == BLKIF_RSP_OKAY);
	UNIT_CHECK(disk_works(&b));
	teardown();
}

/* What came before it is answered before it, what comes after it, after. */
static void a_barrier_is_answered_in_its_place(void)
{
	setup();
	for (unsigned round = 0; round < 50; round++) {
		uint32_t nr = a.ring.nr_slots;
		uint64_t first = a.next_id + 1, seen = 0, id;

		for (uint32_t i = 0; i < nr; i++) {
			struct blkif_request req =
				request(&a,
					i % 5 == 4 ? BLKIF_OP_WRITE_BARRIER
						   : BLKIF_OP_WRITE,
					i % 10 == 9 ? 0 : 1, 8 * i);

			if (req.operation == BLKIF_OP_WRITE)
				req.nr_segments = 1;
			put(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < nr; i++) {
			UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
			id -= first;
			UNIT_REQUIRE(id < nr && !(seen >> id & 1));
			if (id % 5 == 4)
				UNIT_CHECK(seen == (1ull << id) - 1);
			seen |= 1ull << id;
		}
	}
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void a_barrier_that_fails_lets_the_ring_go_on(void)
{
	struct blkif_request req;

	setup();
	req = request(&a, BLKIF_OP_WRITE_BARRIER, 1, NR_SECTORS);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	req = request(&a, BLKIF_OP_WRITE_BARRIER, 3, 0);
	req.seg[2].gref = UINT32_MAX;
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	UNIT_CHECK(disk_works(&a));
	teardown();
}

UNIT_MAIN("blk_discard", UNIT_TEST(a_discard_is_offered_or_refused),
	  UNIT_TEST(a_discarded_range_reads_as_zeros),
	  UNIT_TEST(a_readonly_disk_is_neither_discarded_nor_written_at_length),
	  UNIT_TEST(a_barrier_is_answered_in_its_place),
	  UNIT_TEST(a_barrier_that_fails_lets_the_ring_go_on))
