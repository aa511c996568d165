/* SPDX-License-Identifier: MIT */
/* netfront_track.c - netfront-bench's frames, and the numbers in them. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netfront/tools/probe.h"
#include "netfront/tools/track.h"

#define NR_MODEL 2000u

/* ---- numbers ------------------------------------------------------------- */

static void add_all(struct track *t, const uint64_t *seqs, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		(void)track_add(t, seqs[i]);
}

static void counts_what_is_missing_between_the_first_and_the_last(void)
{
	static const uint64_t seqs[] = { 5, 6, 9, 10, 2000 };
	struct track t = { 0 };

	add_all(&t, seqs, 5);
	UNIT_CHECK(t.nr == 5 && t.nr_reordered == 0 && t.nr_duplicates == 0);
	UNIT_CHECK(track_nr_lost(&t) == 1996 - 5);
}

static void tells_late_from_twice(void)
{
	static const uint64_t seqs[] = { 0, 2, 1, 1, 2, 200, 199, 3, 3 };
	struct track t = { 0 };

	add_all(&t, seqs, 9);
	UNIT_CHECK(t.nr == 6);
	UNIT_CHECK(t.nr_reordered == 3);
	UNIT_CHECK(t.nr_duplicates == 3);
}

static void counts_what_is_older_than_the_window_as_late(void)
{
	struct track t = { 0 };

	UNIT_CHECK(track_add(&t, 1));
	UNIT_CHECK(track_add(&t, TRACK_WINDOW));
	UNIT_CHECK(!track_add(&t, 1)); /* its last place */
	UNIT_CHECK(track_add(&t, TRACK_WINDOW + 1));
	UNIT_CHECK(track_add(&t, 1));
	UNIT_CHECK(t.nr_duplicates == 1 && t.nr_reordered == 1);
}

static void takes_any_number(void)
{
	static const uint64_t seqs[] = { UINT64_MAX - 1, 0, UINT64_MAX };
	struct track t = { 0 };

	add_all(&t, seqs, 3);
	UNIT_CHECK(t.nr == 2 && t.nr_reordered == 1);
	UNIT_CHECK(track_nr_lost(&t) == UINT64_MAX - 2);
}

/* Within the window it must be what a list of all numbers says. */
static void agrees_with_a_slow_model(void)
{
	static bool seen[NR_MODEL + 400];
	uint64_t nr = 0, late = 0, twice = 0, next = 0, random = 4711;
	struct track t = { 0 };

	for (uint64_t i = 0; i < NR_MODEL; i++) {
		uint64_t seq;

		random = random * 6364136223846793005u + 1442695040888963407u;
		seq = i + (random >> 33) % 120;
		if (seen[seq])
			twice++;
		else if (nr++ && seq < next)
			late++;
		seen[seq] = true;
		if (seq >= next)
			next = seq + 1;
		(void)track_add(&t, seq);
	}
	UNIT_CHECK(t.nr == nr);
	UNIT_CHECK(t.nr_reordered == late && late > 100);
	UNIT_CHECK(t.nr_duplicates == twice && twice > 100);
	UNIT_CHECK(t.next == next);
}

static void keeps_flows_and_runs_apart_up_to_a_bound(void)
{
	struct tracks *a, *b;
	struct track_sums sums;

	UNIT_REQUIRE(!tracks_open(&a) && !tracks_open(&b));
	UNIT_CHECK(tracks_add(a, 1, 0, 0) && tracks_add(a, 1, 0, 3));
	UNIT_CHECK(tracks_add(a, 2, 0, 0) && tracks_add(a, 1, 1, 0));
	UNIT_CHECK(tracks_add(b, 1, 0, 1) && !tracks_add(b, 1, 0, 1));
	tracks_merge(a, b);
	sums = tracks_sums(a);
	UNIT_CHECK(sums.nr_flows == 3 && sums.nr_lost == 1);
	UNIT_CHECK(sums.nr_duplicates == 1 && sums.nr_reordered == 0);
	for (unsigned i = 0; i < 2 * TRACKS_MAX; i++)
		(void)tracks_add(a, (uint16_t)i, 7, 0);
	UNIT_CHECK(tracks_sums(a).nr_flows == TRACKS_MAX);
	tracks_close(a);
	tracks_close(b);
}

/* ---- frames -------------------------------------------------------------- */

static const struct probe_path path = {
	.from_mac = { 0, 0x16, 0x3e, 0, 0, 1 },
	.to_mac = { 0, 0x16, 0x3e, 0, 0, 2 },
	.from_ip = { 198, 18, 0, 1 },
	.to_ip = { 198, 18, 0, 2 },
};
static const struct probe sample = {
	.run = 11, .flow = 3, .seq = 1ull << 40, .sent_ns = 123456789
};

static void makes_frames_that_an_ip_stack_accepts(void)
{
	uint8_t frame[PROBE_BYTES_MIN];
	struct probe_header header;
	uint32_t sum = 0;

	probe_header_init(&header, &path, 1514);
	probe_put(frame, &header, &sample);
	for (unsigned i = 14; i < 34; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	UNIT_CHECK((sum & 0xffff) + (sum >> 16) == 0xffff);
	UNIT_CHECK((frame[16] << 8 | frame[17]) == 1500);
	UNIT_CHECK((frame[38] << 8 | frame[39]) == 1480);
	UNIT_CHECK(!memcmp(frame, path.to_mac, 6));
}

static void reads_back_what_it_wrote_and_turns_it(void)
{
	static const uint8_t me[6] = { 2, 0, 0, 0, 0, 9 };
	uint8_t frame[PROBE_BYTES_MIN];
	struct probe_header header;
	struct probe got;

	probe_header_init(&header, &path, sizeof(frame));
	probe_put(frame, &header, &sample);
	UNIT_REQUIRE(!probe_get(frame, sizeof(frame), &got));
	UNIT_CHECK(!got.reply && got.run == 11 && got.flow == 3);
	UNIT_CHECK(got.seq == sample.seq && got.sent_ns == sample.sent_ns);
	probe_turn(frame, me);
	UNIT_REQUIRE(!probe_get(frame, sizeof(frame), &got));
	UNIT_CHECK(got.reply && got.run == 11 && got.seq == sample.seq);
	UNIT_CHECK(!memcmp(frame, path.from_mac, 6));
	UNIT_CHECK(!memcmp(frame + 6, me, 6));
	UNIT_CHECK(!memcmp(frame + 26, path.to_ip, 4));
}

static void knows_what_is_none_of_its_own(void)
{
	static const unsigned telling[] = { 12, 14, 23, 36, 42, 47 };
	uint8_t frame[PROBE_BYTES_MIN];
	struct probe_header header;
	struct probe got;

	probe_header_init(&header, &path, sizeof(frame));
	for (unsigned i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
		probe_put(frame, &header, &sample);
		frame[telling[i]] ^= 0x0f;
		UNIT_CHECK(probe_get(frame, sizeof(frame), &got) == -EINVAL);
	}
	probe_put(frame, &header, &sample);
	UNIT_CHECK(probe_get(frame, sizeof(frame) - 1, &got) == -EINVAL);
	UNIT_CHECK(probe_get(frame, 0, &got) == -EINVAL);
}

UNIT_MAIN("netfront_track",
	  UNIT_TEST(counts_what_is_missing_between_the_first_and_the_last),
	  UNIT_TEST(tells_late_from_twice),
	  UNIT_TEST(counts_what_is_older_than_the_window_as_late),
	  UNIT_TEST(takes_any_number), UNIT_TEST(agrees_with_a_slow_model),
	  UNIT_TEST(keeps_flows_and_runs_apart_up_to_a_bound),
	  UNIT_TEST(makes_frames_that_an_ip_stack_accepts),
	  UNIT_TEST(reads_back_what_it_wrote_and_turns_it),
	  UNIT_TEST(knows_what_is_none_of_its_own))
