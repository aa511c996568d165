/* SPDX-License-Identifier: MIT */
/* blkback_limit.c - what a request costs, in bytes and in turns, and which
 * limits it has to pass. */
#include "tests/unit/unit.h"

#include <string.h>

#include "blkback/limit.h"
#include "util/clock.h"
#include "util/num.h"

static struct blk_raw make_wide(uint8_t op, uint8_t nr)
{
	struct blkif_request req = { .operation = op, .nr_segments = nr };
	struct blk_raw raw;

	for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		req.seg[i].first_sect = i ? 0 : 6;
		req.seg[i].last_sect = 7;
	}
	memcpy(&raw, &req, sizeof(req));
	return raw;
}

static struct blk_raw make_narrow(uint8_t op, uint8_t nr)
{
	struct blkif_x86_32_request req = { .operation = op,
					    .nr_segments = nr };
	struct blk_raw raw = { { 0 } };

	for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		req.seg[i].first_sect = i ? 0 : 6;
		req.seg[i].last_sect = 7;
	}
	memcpy(&raw, &req, sizeof(req));
	return raw;
}

static struct blk_raw make_indirect(uint8_t op, uint16_t nr)
{
	struct blkif_request_indirect req = { .operation = BLKIF_OP_INDIRECT,
					      .indirect_op = op,
					      .nr_segments = nr };
	struct blk_raw raw;

	memcpy(&raw, &req, sizeof(req));
	return raw;
}

static void counts_a_direct_request_s_sectors(void)
{
	static const struct {
		uint8_t op, nr;
		uint64_t size_bytes;
		unsigned cost;
	} cases[] = {
		{ BLKIF_OP_READ, 1, 1024, 1 },
		{ BLKIF_OP_WRITE, 2, 5120, 2 },
		{ BLKIF_OP_WRITE_BARRIER, 11, 41984, 11 },
		{ BLKIF_OP_READ, 255, 41984, 11 }, /* a lie */
		{ BLKIF_OP_READ, 0, 0, 1 },
		{ BLKIF_OP_FLUSH_DISKCACHE, 11, 0, 1 },
		{ BLKIF_OP_DISCARD, 11, 0, 1 },
		{ 77, 11, 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blk_raw wide = make_wide(cases[i].op, cases[i].nr);
		struct blk_raw narrow = make_narrow(cases[i].op, cases[i].nr);

		UNIT_CHECK(blk_raw_size(&wide, BLK_LAYOUT_X86_64) ==
			   cases[i].size_bytes);
		UNIT_CHECK(blk_raw_size(&narrow, BLK_LAYOUT_X86_32) ==
			   cases[i].size_bytes);
		UNIT_CHECK(blk_raw_cost(&wide) == cases[i].cost);
		UNIT_CHECK(blk_raw_cost(&narrow) == cases[i].cost);
	}
}

static void counts_no_segment_that_is_nonsense(void)
{
	struct blkif_request req = { .operation = BLKIF_OP_WRITE,
				     .nr_segments = 3 };
	struct blk_raw raw;

	req.seg[0].last_sect = 8;
	req.seg[1].first_sect = 5;
	req.seg[1].last_sect = 4;
	req.seg[2].last_sect = 0;
	memcpy(&raw, &req, sizeof(req));
	UNIT_CHECK(blk_raw_size(&raw, BLK_LAYOUT_X86_64) == 512);
}

static void counts_an_indirect_request_s_pages(void)
{
	struct blk_raw raw = make_indirect(BLKIF_OP_READ, 256);

	UNIT_CHECK(blk_raw_size(&raw, BLK_LAYOUT_X86_64) == 1048576);
	UNIT_CHECK(blk_raw_size(&raw, BLK_LAYOUT_X86_32) == 1048576);
	UNIT_CHECK(blk_raw_cost(&raw) == 256);
	raw = make_indirect(BLKIF_OP_READ, UINT16_MAX);
	UNIT_CHECK(blk_raw_cost(&raw) == 256);
	raw = make_indirect(BLKIF_OP_READ, 0);
	UNIT_CHECK(blk_raw_cost(&raw) == 1);
	UNIT_CHECK(blk_raw_size(&raw, BLK_LAYOUT_X86_64) == 0);
}

static struct limiter disk, group;
static struct queue_limit limit;

static void start(const char *disk_text, const char *group_text)
{
	struct limiter_rates rates;

	memset(&limit, 0, sizeof(limit));
	limiter_init(&disk);
	limiter_init(&group);
	UNIT_CHECK(limiter_parse(LIMITER_DISKS, disk_text, &rates) == 0);
	limiter_set(&disk, &rates, 0);
	UNIT_CHECK(limiter_parse(LIMITER_DISKS, group_text, &rates) == 0);
	limiter_set(&group, &rates, 0);
	limiter_member_set(&limit.member,
			   &(struct limiter_pair){ &disk, &group });
}

static uint64_t admit(struct blk_raw raw, uint64_t now_ns)
{
	limit.raw = raw;
	return queue_limit_admit(&limit, BLK_LAYOUT_X86_64, now_ns);
}

static void asks_the_disk_s_limits_and_the_group_s(void)
{
	start("read-iops=10,burst-ms=0", "write-bytes=41984,burst-ms=0");
	UNIT_CHECK(limiter_member_limited(&limit.member));
	UNIT_CHECK(admit(make_wide(BLKIF_OP_READ, 1), 0) == NS_PER_S / 10);
	UNIT_CHECK(admit(make_wide(BLKIF_OP_READ, 1), NS_PER_S / 10) == 0);
	/* 41984 bytes, a quantum of 83 at a time. */
	UNIT_CHECK(admit(make_wide(BLKIF_OP_WRITE, 11), 0) > 0);
	UNIT_CHECK(admit(make_indirect(BLKIF_OP_WRITE, 1), 0) > 0);
	UNIT_CHECK(admit(make_wide(BLKIF_OP_FLUSH_DISKCACHE, 0), 0) == 0);
	limiter_member_rest(&limit.member);
	limiter_member_set(&limit.member,
			   &(struct limiter_pair){ &disk, NULL });
	UNIT_CHECK(admit(make_wide(BLKIF_OP_WRITE, 11), 0) == 0);
	limiter_member_set(&limit.member, &(struct limiter_pair){ NULL, NULL });
	UNIT_CHECK(!limiter_member_limited(&limit.member));
	UNIT_CHECK(admit(make_wide(BLKIF_OP_READ, 1), NS_PER_S / 10) == 0);
}

static void has_none_while_both_are_empty(void)
{
	start("", "");
	UNIT_CHECK(!limiter_member_limited(&limit.member));
	start("", "iops=1");
	UNIT_CHECK(limiter_member_limited(&limit.member));
}

UNIT_MAIN("blkback_limit", UNIT_TEST(counts_a_direct_request_s_sectors),
	  UNIT_TEST(counts_no_segment_that_is_nonsense),
	  UNIT_TEST(counts_an_indirect_request_s_pages),
	  UNIT_TEST(asks_the_disk_s_limits_and_the_group_s),
	  UNIT_TEST(has_none_while_both_are_empty))
