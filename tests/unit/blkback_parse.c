/* SPDX-License-Identifier: MIT */
/*
 * blkback_parse.c - the gate: every operation, every boundary, read-only or
 * not, both layouts. THREATS.md section A: CVE-2013-2140, XSA-142, XSA-266
 * (writes, discards and ranges), XSA-155 (segments), XSA-216 (padding of
 * responses).
 */
#include <errno.h>
#include <string.h>

#include "blkback/parse.h"
#include "tests/unit/unit.h"
#include "util/num.h"

#define SECTORS 1000u
#define ID	0x1122334455667788ull

#define INDIRECT_REF 77u

struct spec {
	uint8_t operation;
	uint32_t nr_segments; /* 8 bits of it in a direct request, 16 else */
	uint8_t first, last;
	uint64_t sector;
	/* indirect: the operation within; discard: flag and sectors */
	uint8_t inner;
	uint8_t flag;
	uint64_t nr_sectors;
};

static struct spec spec_of(uint8_t operation, uint32_t nr_segments,
			   uint8_t first, uint8_t last, uint64_t sector)
{
	return (struct spec){ .operation = operation,
			      .nr_segments = nr_segments,
			      .first = first,
			      .last = last,
			      .sector = sector };
}

struct disk {
	enum blk_layout layout;
	bool readonly, discard, discard_secure;
	uint32_t sector_512b;
};

static struct blkif_request_segment segment(const struct spec *s, unsigned i)
{
	return (struct blkif_request_segment){
		.gref = 100 + i,
		.first_sect = s->first,
		.last_sect = s->last,
		.pad = { 0xa5, 0xa5 },
	};
}

/* Byte by byte, where blkif.h says that things are. */
static struct blk_raw raw_of(enum blk_layout layout, struct spec s)
{
	size_t pad = layout == BLK_LAYOUT_X86_64 ? 4 : 0;
	struct blk_raw raw;
	uint8_t *after_id = raw.bytes + 4 + pad + 8;

	memset(&raw, 0xa5, sizeof(raw));
	raw.bytes[0] = s.operation;
	memcpy(raw.bytes + 4 + pad, &(uint64_t){ ID }, 8);
	memcpy(after_id, &s.sector, 8);
	if (s.operation == BLKIF_OP_INDIRECT) {
		raw.bytes[1] = s.inner;
		memcpy(raw.bytes + 2, &s.nr_segments, 2);
		memcpy(after_id + 12, &(uint32_t){ INDIRECT_REF }, 4);
	} else if (s.operation == BLKIF_OP_DISCARD) {
		raw.bytes[1] = s.flag;
		memcpy(after_id + 8, &s.nr_sectors, 8);
	} else {
		raw.bytes[1] = (uint8_t)s.nr_segments;
		for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
			struct blkif_request_segment seg = segment(&s, i);

			memcpy(after_id + 8 + i * sizeof(seg), &seg,
			       sizeof(seg));
		}
	}
	return raw;
}

static struct blk_segment room[BLK_SEGMENTS_MAX];

static int parse_as(struct disk d, struct spec s, struct blk_io *io)
{
	struct blk_limits limits = {
		.nr_sectors_512b = SECTORS,
		.sector_512b = d.sector_512b ? d.sector_512b : 1,
		.readonly = d.readonly,
		.discard = d.discard,
		.discard_secure = d.discard_secure,
		.layout = d.layout,
	};
	struct blkif_request_segment segments[BLK_SEGMENTS_MAX];
	struct blk_raw raw = raw_of(d.layout, s);
	struct blk_indirect indirect;
	int err;

	memset(io, 0xa5, sizeof(*io));
	memset(&indirect, 0xa5, sizeof(indirect));
	memset(room, 0xa5, sizeof(room));
	err = blkif_parse(&raw, &limits, io, room, &indirect);
	if (err != BLK_INDIRECT)
		return err;
	if (indirect.ref != INDIRECT_REF ||
	    indirect.nr_segments != s.nr_segments ||
	    indirect.sector != s.sector ||
	    indirect.nr_segments > BLK_SEGMENTS_MAX)
		return -EBADMSG;
	for (unsigned i = 0; i < s.nr_segments; i++)
		segments[i] = segment(&s, i);
	return blkif_parse_indirect(segments, &indirect, &limits, io, room);
}

static int parse(enum blk_layout layout, bool readonly, struct spec s,
		 struct blk_io *io)
{
	return parse_as((struct disk){ .layout = layout, .readonly = readonly },
			s, io);
}

/* What the answer must be, worked out another way than the code does. */
static int expected(bool readonly, struct spec s)
{
	bool flush = s.operation == BLKIF_OP_FLUSH_DISKCACHE ||
		     s.operation == BLKIF_OP_WRITE_BARRIER;
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
	static const uint8_t ops[] = { 0, 1, 2, 3, 4, 7, 127, 128, 255 };
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
						struct spec spec =
							spec_of(ops[o], nrs[n],
								sects[f][0],
								sects[f][1],
								sectors[s]);
						struct blk_io io;

						nr++;
						wrong += parse(c / 2, c % 2,
							       spec, &io) !=
							 expected(c % 2, spec);
						wrong += io.id != ID;
						wrong += io.operation != ops[o];
					}
	UNIT_CHECK(nr == 4 * 9 * 8 * 10 * 15);
	UNIT_CHECK(wrong == 0);
}

static void finds_the_same_in_both_layouts(void)
{
	struct spec s = spec_of(BLKIF_OP_WRITE, 11, 2, 5, 40);

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
			 spec_of(BLKIF_OP_FLUSH_DISKCACHE, 0, 9, 1, UINT64_MAX),
			 &io) == 0);
	UNIT_CHECK(io.kind == BLK_FLUSH);
	UNIT_CHECK(io.size_bytes == 0 && io.nr_segments == 0);
	UNIT_CHECK(!io.barrier);
}

static void a_barrier_is_one_with_and_without_data(void)
{
	struct blk_io io;

	UNIT_CHECK(parse(BLK_LAYOUT_X86_64, true,
			 spec_of(BLKIF_OP_WRITE_BARRIER, 0, 0, 0, 0),
			 &io) == 0);
	UNIT_CHECK(io.kind == BLK_FLUSH && io.barrier);
	UNIT_CHECK(parse(BLK_LAYOUT_X86_32, false,
			 spec_of(BLKIF_OP_WRITE_BARRIER, 2, 0, 7, 8),
			 &io) == 0);
	UNIT_CHECK(io.kind == BLK_WRITE_FLUSHED && io.barrier);
	UNIT_CHECK(io.size_bytes == 8192);
}

static void an_indirect_request_has_1_to_256_segments(void)
{
	static const uint32_t nrs[] = { 0,   1,	  11,  12,   255,
					256, 257, 512, 4096, 65535 };
	unsigned wrong = 0;

	for (unsigned c = 0; c < 4; c++)
		for (unsigned inner = 0; inner < 256; inner++)
			for (size_t n = 0; n < ARRAY_SIZE(nrs); n++) {
				struct spec s = {
					BLKIF_OP_INDIRECT,	nrs[n], 0, 0, 7,
					.inner = (uint8_t)inner
				};
				bool readonly = c % 2;
				struct blk_io io;
				int want = 0;

				s.inner = (uint8_t)inner;
				if (inner > 1)
					want = -EOPNOTSUPP;
				else if (inner == 1 && readonly)
					want = -EROFS;
				else if (nrs[n] < 1 || nrs[n] > 256)
					want = -EINVAL;
				wrong += parse(c / 2, readonly, s, &io) != want;
				wrong += io.id != ID || io.operation != inner;
				wrong += !want && io.nr_segments != nrs[n];
			}
	UNIT_CHECK(wrong == 0);
}

static void an_indirect_request_obeys_the_same_ranges(void)
{
	static const struct {
		uint8_t first, last;
		uint64_t sector;
		int want;
	} cases[] = {
		{ 0, 0, SECTORS - 100, 0 },
		{ 0, 0, SECTORS - 99, -ERANGE },
		{ 0, 7, 200, 0 },
		{ 0, 7, 201, -ERANGE },
		{ 0, 0, UINT64_MAX - 99, -ERANGE },
		{ 0, 0, UINT64_MAX, -ERANGE },
		{ 3, 2, 0, -EINVAL },
		{ 0, 8, 0, -EINVAL },
		{ 255, 255, 0, -EINVAL },
	};

	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct spec s =
				spec_of(BLKIF_OP_INDIRECT, 100, cases[i].first,
					cases[i].last, cases[i].sector);
			struct blk_io io;

			UNIT_CHECK(parse(layout, false, s, &io) ==
				   cases[i].want);
			if (cases[i].want)
				continue;
			UNIT_CHECK(io.kind == BLK_READ);
			UNIT_CHECK(io.offset_bytes == s.sector * 512);
			UNIT_CHECK(io.size_bytes ==
				   100u * (s.last - s.first + 1u) * 512);
			for (unsigned k = 0; k < 100; k++)
				UNIT_CHECK(io.seg[k].ref == 100 + k);
		}
}

/* What blkback answers to a discard, by mode, flag and range. */
static int expected_discard(struct disk d, struct spec s)
{
	bool secure = s.flag & BLKIF_DISCARD_SECURE;

	if (!d.discard)
		return -EOPNOTSUPP;
	if (s.flag > 1)
		return -EINVAL;
	if (secure && !d.discard_secure)
		return -EOPNOTSUPP;
	if (d.readonly)
		return -EROFS;
	if (!s.nr_sectors)
		return -EINVAL;
	return (unsigned __int128)s.sector + s.nr_sectors > SECTORS ? -ERANGE
								    : 0;
}

static void a_discard_agrees_with_the_table(void)
{
	static const uint64_t numbers[] = {
		0,
		1,
		2,
		SECTORS - 1,
		SECTORS,
		SECTORS + 1,
		1ull << 55,
		UINT64_MAX / 2,
		UINT64_MAX - SECTORS + 1,
		UINT64_MAX - 1,
		UINT64_MAX,
	};
	static const uint8_t flags[] = { 0, 1, 2, 3, 128, 255 };
	unsigned wrong = 0;

	for (unsigned c = 0; c < 16; c++)
		for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
			for (size_t i = 0; i < 11 * 11; i++) {
				struct disk d = { .layout = c % 2,
						  .readonly = c & 2,
						  .discard = c & 4,
						  .discard_secure = c & 8 };
				struct spec s = { .operation = BLKIF_OP_DISCARD,
						  .sector = numbers[i / 11],
						  .flag = flags[f],
						  .nr_sectors =
							  numbers[i % 11] };
				int want = expected_discard(d, s);
				struct blk_io io;

				wrong += parse_as(d, s, &io) != want;
				wrong += io.id != ID;
				wrong += io.operation != BLKIF_OP_DISCARD;
				if (want)
					continue;
				wrong += io.kind != BLK_DISCARD;
				wrong += io.secure != (flags[f] == 1);
				wrong += io.offset_bytes != s.sector * 512;
				wrong += io.size_bytes != s.nr_sectors * 512;
				wrong += io.nr_segments != 0;
			}
	UNIT_CHECK(wrong == 0);
}

static void a_disk_of_4096_byte_sectors_takes_nothing_smaller(void)
{
	struct disk d = { .sector_512b = 8, .discard = true };
	struct blk_io io;
	unsigned nr_good = 0;

	for (unsigned first = 0; first < 8; first++)
		for (unsigned last = first; last < 8; last++)
			for (uint64_t sector = 0; sector < 16; sector++) {
				struct spec s = spec_of(BLKIF_OP_READ, 8,
							(uint8_t)first,
							(uint8_t)last, sector);
				bool good = first == 0 && last == 7 &&
					    sector % 8 == 0;

				nr_good += good;
				UNIT_CHECK(parse_as(d, s, &io) ==
					   (good ? 0 : -EINVAL));
				s.operation = BLKIF_OP_INDIRECT;
				UNIT_CHECK(parse_as(d, s, &io) ==
					   (good ? 0 : -EINVAL));
			}
	UNIT_CHECK(nr_good == 2);
	UNIT_CHECK(parse_as(d,
			    (struct spec){ .operation = BLKIF_OP_DISCARD,
					   .sector = 8,
					   .nr_sectors = 16 },
			    &io) == 0);
	UNIT_CHECK(parse_as(d,
			    (struct spec){ .operation = BLKIF_OP_DISCARD,
					   .sector = 8,
					   .nr_sectors = 12 },
			    &io) == -EINVAL);
	UNIT_CHECK(parse_as(d,
			    (struct spec){ .operation = BLKIF_OP_DISCARD,
					   .sector = 4,
					   .nr_sectors = 8 },
			    &io) == -EINVAL);
}

static void a_flush_with_data_is_a_write_between_flushes(void)
{
	struct blk_io io;

	UNIT_CHECK(parse(BLK_LAYOUT_X86_64, false,
			 spec_of(BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 7, 8),
			 &io) == 0);
	UNIT_CHECK(io.kind == BLK_WRITE_FLUSHED);
	UNIT_CHECK(io.offset_bytes == 4096 && io.size_bytes == 4096);
}

static void a_disk_of_the_largest_size_has_a_last_sector(void)
{
	struct blk_limits limits = { .nr_sectors_512b = INT64_MAX / 512,
				     .sector_512b = 1,
				     .layout = BLK_LAYOUT_X86_64 };
	struct blk_indirect indirect;
	struct blk_raw raw =
		raw_of(BLK_LAYOUT_X86_64,
		       spec_of(BLKIF_OP_READ, 1, 0, 0, INT64_MAX / 512 - 1));
	struct blk_io io;

	UNIT_CHECK(blkif_parse(&raw, &limits, &io, room, &indirect) == 0);
	UNIT_CHECK(io.offset_bytes == (INT64_MAX / 512 - 1) * 512ull);
	raw = raw_of(BLK_LAYOUT_X86_64,
		     spec_of(BLKIF_OP_READ, 1, 0, 0, INT64_MAX / 512));
	UNIT_CHECK(blkif_parse(&raw, &limits, &io, room, &indirect) == -ERANGE);
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
	  UNIT_TEST(a_barrier_is_one_with_and_without_data),
	  UNIT_TEST(an_indirect_request_has_1_to_256_segments),
	  UNIT_TEST(an_indirect_request_obeys_the_same_ranges),
	  UNIT_TEST(a_discard_agrees_with_the_table),
	  UNIT_TEST(a_disk_of_4096_byte_sectors_takes_nothing_smaller),
	  UNIT_TEST(a_disk_of_the_largest_size_has_a_last_sector),
	  UNIT_TEST(every_errno_has_a_status),
	  UNIT_TEST(responses_carry_no_byte_of_ours),
	  UNIT_TEST(slots_have_the_sizes_of_xen))
