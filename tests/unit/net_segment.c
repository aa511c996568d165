/* SPDX-License-Identifier: MIT */
/*
 * net_segment.c - util/segment.c against the slow way, with random packets; a
 * failure prints its seed. The kernel's way: net_kernel.c.
 */
#include "util/segment.h"

#include <stdlib.h>

#include "tests/unit/net_frames.h"
#include "tests/unit/soak.h"
#include "tests/unit/unit.h"

static struct test_frame frame, want, got;

static struct packet_layout locate(const struct test_frame *f)
{
	struct packet_layout at = { 0 };

	if (packet_locate(f->b, f->payload, f->size, &at) || !at.tcp)
		abort();
	return at;
}

/* A segment as somebody without the offload gets it. */
static void assemble(const struct segment *seg)
{
	memcpy(got.b + seg->head_bytes, frame.b + seg->payload_at,
	       seg->payload_bytes);
	got.size = seg->head_bytes + seg->payload_bytes;
}

static bool same(void)
{
	return got.size == want.size && !memcmp(got.b, want.b, want.size);
}

static bool cut_as_the_slow_way(uint32_t mss)
{
	struct packet_layout at = locate(&frame), seg_at;
	struct segmenter s;
	struct segment seg;
	uint32_t nr = 0;

	segmenter_init(&s, frame.b, &at, mss);
	while (slow_segment(&frame, mss, nr, &want)) {
		uint32_t left = segmenter_left(&s);

		if (!segmenter_next(&s, got.b, &seg) ||
		    segmenter_left(&s) != left - 1)
			return false;
		assemble(&seg);
		seg_at = seg.layout;
		if (packet_fill_csum(got.b, got.size) || !same() ||
		    packet_locate(got.b, got.size, got.size, &at) ||
		    memcmp(&at, &seg_at, sizeof(at)))
			return false;
		nr++;
	}
	return !segmenter_left(&s) && !segmenter_next(&s, got.b, &seg);
}

static void cuts_random_packets_as_the_slow_way_does(void)
{
	uint32_t rounds = soak_rounds(400, 200000);

	for (uint32_t seed = 0; seed < rounds; seed++) {
		struct frame_wish wish = { .tcp = true };
		uint32_t mss;
		bool ok;

		frame_seed(seed);
		wish.ipv6 = frame_random(2);
		wish.vlan = !frame_random(4);
		wish.payload_bytes =
			frame_random(frame_random(4) ? 5000 : FRAME_BYTES_MAX);
		frame_make(&frame, &wish);
		mss = 1 + frame_random(frame_random(4) ? 1460 : 65535);
		ok = cut_as_the_slow_way(mss);
		if (!ok)
			fprintf(stderr, "seed %u\n", seed);
		UNIT_REQUIRE(ok);
	}
}

static void make_plain(uint32_t payload_bytes)
{
	const struct frame_wish wish = { .tcp = true,
					 .payload_bytes = payload_bytes };

	frame_seed(1);
	frame_make(&frame, &wish);
}

static void one_byte_a_segment_is_a_segment_a_byte(void)
{
	make_plain(3000);
	UNIT_CHECK(cut_as_the_slow_way(1));
}

static void a_packet_without_payload_is_one_segment(void)
{
	make_plain(0);
	UNIT_CHECK(cut_as_the_slow_way(1000));
}

static void exactly_full_segments_leave_no_empty_one(void)
{
	make_plain(4000);
	UNIT_CHECK(cut_as_the_slow_way(1000));
	UNIT_CHECK(cut_as_the_slow_way(4000));
	UNIT_CHECK(cut_as_the_slow_way(3999));
}

static void padding_behind_the_packet_is_no_payload(void)
{
	struct packet_layout at;
	struct segmenter s;
	struct segment seg;

	make_plain(100);
	UNIT_REQUIRE(
		!packet_locate(frame.b, frame.payload, frame.size + 50, &at));
	segmenter_init(&s, frame.b, &at, 60);
	UNIT_REQUIRE(segmenter_next(&s, got.b, &seg));
	UNIT_CHECK(seg.payload_bytes == 60);
	UNIT_REQUIRE(segmenter_next(&s, got.b, &seg));
	UNIT_CHECK(seg.payload_bytes == 40);
	UNIT_CHECK(!segmenter_next(&s, got.b, &seg));
}

/* FIN, PSH and CWR by themselves, where chance would hide one in another. */
static void flags_go_where_they_belong(void)
{
	static const uint8_t flags[] = { 0x01, 0x08, 0x80, 0x89, 0x10 };

	for (unsigned i = 0; i < sizeof(flags); i++) {
		struct packet_layout at;
		struct segmenter s;
		struct segment seg;
		uint8_t seen[3];

		make_plain(250);
		frame.b[frame.l4 + 13] = flags[i];
		at = locate(&frame);
		segmenter_init(&s, frame.b, &at, 100);
		for (unsigned k = 0; k < 3; k++) {
			UNIT_REQUIRE(segmenter_next(&s, got.b, &seg));
			seen[k] = got.b[frame.l4 + 13];
		}
		UNIT_CHECK(seen[0] == (flags[i] & ~0x09) &&
			   seen[1] == (flags[i] & ~0x89) &&
			   seen[2] == (flags[i] & ~0x80));
	}
}

UNIT_MAIN("net_segment", UNIT_TEST(cuts_random_packets_as_the_slow_way_does),
	  UNIT_TEST(one_byte_a_segment_is_a_segment_a_byte),
	  UNIT_TEST(a_packet_without_payload_is_one_segment),
	  UNIT_TEST(exactly_full_segments_leave_no_empty_one),
	  UNIT_TEST(padding_behind_the_packet_is_no_payload),
	  UNIT_TEST(flags_go_where_they_belong))
