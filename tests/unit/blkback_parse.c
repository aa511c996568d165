/* SPDX-License-Identifier: MIT */
/*
 * blkback_parse.c - the gate: every operation, every boundary, read-only or
 * not, both layouts. THREATS.md section A: CVE-2013-2140, XSA-142, XSA-266
 * (writes and ranges), XSA-155 (segments), XSA-216 (padding of responses).
 */
#include <errno.h>
#include <string.h>

#include "blkback/parse.h"
#include "tests/unit/unit.h"
#include "util/num.h"

#define SECTORS 1000u
#define ID	0x1122334455667788ull

struct spec {
	uint8_t operation, nr_segments, first, last;
	uint64_t sector;
};

static struct blk_raw raw_of(enum blk_layout layout, struct spec s)
{
	struct blkif_request wide = { .operation = s.operation,
				      .nr_segments = s.nr_segments,
				      .id = ID,
				      .sector_number = s.sector };
	struct blkif_x86_32_request narrow = { .operation = s.operation,
					       .nr_segments = s.nr_segments,
					       .id = ID,
					       .sector_number = s.sector };
	struct blk_raw raw;

	for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		wide.seg[i].gref = 100 + i;
		wide.seg[i].first_sect = s.first;
		wide.seg[i].last_sect = s.last;
		narrow.seg[i] = wide.seg[i];
	}
	memset(&raw, 0xa5, sizeof(raw));
	if (layout == BLK_LAYOUT_X86_64)
		memcpy(&raw, &wide, sizeof(wide));
	else
		memcpy(&raw, &narrow, sizeof(narrow));
	return raw;
}

static int parse(enum blk_layout layout, bool readonly, struct spec s,
		 struct blk_io *io)
{
	struct blk_limits limits = { .nr_sectors_512b = SECTORS,
				     .readonly = readonly,
				     .layout = layout };
	struct blk_raw raw = raw_of(layout, s);

	memset(io, 0xa5, sizeof(*io));
	return blkif_parse(&raw, &limits, io);
}

/* What the answer must be, worked out another way than the code does. */
static int expected(bool readonly, struct spec s)
{
	bool flush = s.operation == BLKIF_OP_FLUSH_DISKCACHE;
	unsigned __int128 end;

	if (s.operation != BLKIF_OP_READ && s.operation != BLKIF_OP_WRITE &&
	    !flush)
		return -EOPNOTSUPP;
	if (flush && s.nr_segments == 0)
		return 0;
	if (readonly && s.operation != BLKIF_OP_READ)
		return -EROFS;
	if (s.nr_segments == 0 || s.nr_segments > 11)
		return -EINVAL;
	if (s.last > 7 || s.first > s.last)
		return -EINVAL;
	end = (unsigned __int128)s.sector +
	      (unsigned)s.nr_segments * (s.last - s.first + 1u);
	return end > SECTORS ? -ERANGE : 0;
}

static void agrees_with_the_table_on_all_operations_and_boundaries(void)
{
	static const uint8_t ops[] = { 0, 1, 2, 3, 4, 5, 6, 7, 127, 128, 255 };
	static const uint8_t nrs[] = { 0, 1, 2, 10, 11, 12, 128, 255 };
	static const uint8_t sects[][2] = {
		{ 0, 0 }, { 0, 7 }, { 7, 7 }, { 3, 5 },	  { 0, 8 },
		{ 8, 8 }, { 5, 3 }, { 7, 0 }, { 0, 255 }, { 255, 255 },
	};
	static const uint64_t sectors[] = {
		0,
		1,
		SECTORS - 88,
		SECTORS - 87,
		SECTORS - 8,
		SECTORS - 7,
		SECTORS - 1,
		SECTORS,
		SECTORS + 1,
		UINT64_MAX / 512,
		UINT64_MAX / 512 + 1,
		1ull << 63,
		UINT64_MAX - 87,
		UINT64_MAX - 7,
		UINT64_MAX,
	};
	unsigned nr = 0, wrong = 0;

	for (unsigned c = 0; c < BLK_NR_LAYOUTS * 2; c++)
		for (size_t o = 0; o < ARRAY_SIZE(ops); o++)
			for (size_t n = 0; n < ARRAY_SIZE(nrs); n++)
				for (size_t f = 0; f < ARRAY_SIZE(sects); f++)
					for (size_t s = 0;
					     s < ARRAY_SIZE(sectors); s++) {
						struct spec spec = {
							ops[o],
							nrs[n],
							sects[f][0],
							sects[f][1],
							sectors[s],
						};
						struct blk_io io;

						nr++;
						wrong += parse(c / 2, c % 2,
							       spec, &io) !=
							 expected(c % 2, spec);
						wrong += io.id != ID;
						wrong += io.operation != ops[o];
					}
	UNIT_CHECK(nr == 4 * 11 * 8 * 10 * 15);
	UNIT_CHECK(wrong == 0);
}

static void finds_the_same_in_both_layouts(void)
{
	struct spec s = { BLKIF_OP_WRITE, 11, 2, 5, 40 };

	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		struct blk_io io;

		UNIT_REQUIRE(parse(layout, false, s, &io) == 0);
		UNIT_CHECK(io.kind == BLK_WRITE);
		UNIT_CHECK(io.offset_bytes == 40 * 512);
		UNIT_CHECK(io.size_bytes == 11 * 4 * 512);
		UNIT_CHECK(io.nr_segments == 11);
		for (unsigned i = 0; i < 11; i++) {
			UNIT_CHECK(io.seg[i].ref == 100 + i);
			UNIT_CHECK(io.seg[i].offset_bytes == 1024);
			UNIT_CHECK(io.seg[i].size_bytes == 2048);
		}
	}
}

static void a_flush_without_data_needs_no_range_and_no_right_to_write(void)
{
	struct blk_io io;

	UNIT_CHECK(parse(BLK_LAYOUT_X86_64, true,
			 (struct spec){ BLKIF_OP_FLUSH_DISKCACHE, 0, 9, 1,
					UINT64_MAX },
			 &io) == 0);
	UNIT_CHECK(io.kind == BLK_FLUSH);
	UNIT_CHECK(io.size_bytes == 0 && io.nr_segments == 0);
}

static void a_flush_with_data_is_a_write_between_flushes(void)
{
	struct blk_io io;

	UNIT_CHECK(parse(BLK_LAYOUT_X86_64, false,
			 (struct spec){ BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 7, 8 },
			 &io) == 0);
	UNIT_CHECK(io.kind == BLK_WRITE_FLUSHED);
	UNIT_CHECK(io.offset_bytes == 4096 && io.size_bytes == 4096);
}

static void a_disk_of_the_largest_size_has_a_last_sector(void)
{
	struct blk_limits limits = { .nr_sectors_512b = INT64_MAX / 512,
				     .layout = BLK_LAYOUT_X86_64 };
	struct blk_raw raw =
		raw_of(BLK_LAYOUT_X86_64, (struct spec){ BLKIF_OP_READ, 1, 0, 0,
							 INT64_MAX / 512 - 1 });
	struct blk_io io;

	UNIT_CHECK(blkif_parse(&raw, &limits, &io) == 0);
	UNIT_CHECK(io.offset_bytes == (INT64_MAX / 512 - 1) * 512ull);
	raw = raw_of(BLK_LAYOUT_X86_64,
		     (struct spec){ BLKIF_OP_READ, 1, 0, 0, INT64_MAX / 512 });
	UNIT_CHECK(blkif_parse(&raw, &limits, &io) == -ERANGE);
}

static void every_errno_has_a_status(void)
{
	UNIT_CHECK(blkif_status(0) == BLKIF_RSP_OKAY);
	UNIT_CHECK(blkif_status(-EOPNOTSUPP) == BLKIF_RSP_EOPNOTSUPP);
	for (int e = 1; e < 200; e++)
		if (e != EOPNOTSUPP)
			UNIT_CHECK(blkif_status(-e) == BLKIF_RSP_ERROR);
}

static void responses_carry_no_byte_of_ours(void)
{
	static const size_t size[] = { 16, 12 };

	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		struct blk_raw raw, want = { { 0 } };

		memset(&raw, 0xa5, sizeof(raw));
		memcpy(want.bytes, &(uint64_t){ ID }, 8);
		want.bytes[8] = BLKIF_OP_WRITE;
		memcpy(want.bytes + 10, &(int16_t){ BLKIF_RSP_ERROR }, 2);
		UNIT_CHECK(blkif_response(layout, ID, BLKIF_OP_WRITE,
					  BLKIF_RSP_ERROR,
					  &raw) == size[layout]);
		UNIT_CHECK(memcmp(&raw, &want, size[layout]) == 0);
	}
}

static void slots_have_the_sizes_of_xen(void)
{
	UNIT_CHECK(blk_slot_bytes(BLK_LAYOUT_X86_64) == 112);
	UNIT_CHECK(blk_slot_bytes(BLK_LAYOUT_X86_32) == 108);
}

UNIT_MAIN("blkback_parse",
	  UNIT_TEST(agrees_with_the_table_on_all_operations_and_boundaries),
	  UNIT_TEST(finds_the_same_in_both_layouts),
	  UNIT_TEST(a_flush_without_data_needs_no_range_and_no_right_to_write),
	  UNIT_TEST(a_flush_with_data_is_a_write_between_flushes),
	  UNIT_TEST(a_disk_of_the_largest_size_has_a_last_sector),
	  UNIT_TEST(every_errno_has_a_status),
	  UNIT_TEST(responses_carry_no_byte_of_ours),
	  UNIT_TEST(slots_have_the_sizes_of_xen))
