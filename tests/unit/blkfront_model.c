/* SPDX-License-Identifier: MIT */
/*
 * blkfront_model.c - random ios through blkfront's queue to backends that come
 * and go, each with a ring and limits of its own: an io is done once, and only
 * when every sector of it has been answered for.
 */
#include <stdio.h>

#include "tests/unit/blkfront_queue.h"

#define IO_SECTORS 500u

/* The requests that are not answered, and which sectors of an io were. */
static struct seen outstanding[BLKFRONT_SHADOWS];
static bool is_outstanding[BLKFRONT_SHADOWS];
static bool was_answered[IOS][IO_SECTORS];

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void model_take_all(void)
{
	struct seen seen;

	while (see(&seen)) {
		UNIT_REQUIRE(!is_outstanding[seen.id]);
		outstanding[seen.id] = seen;
		is_outstanding[seen.id] = true;
	}
}

/* Answer one; the io's number is in the disk offset: 1 MiB for each. */
static void model_answer(uint32_t *seed)
{
	uint32_t from = next_random(seed) % BLKFRONT_SHADOWS;

	for (uint32_t i = 0; i < BLKFRONT_SHADOWS; i++) {
		uint32_t id = (from + i) % BLKFRONT_SHADOWS;
		const struct seen *seen = &outstanding[id];

		if (!is_outstanding[id])
			continue;
		is_outstanding[id] = false;
		UNIT_REQUIRE(seen->sector % 2048 + seen->nr_sectors <=
			     IO_SECTORS);
		memset(&was_answered[seen->sector / 2048][seen->sector % 2048],
		       true, seen->nr_sectors);
		answer(id, seen->operation, BLKIF_RSP_OKAY);
		return;
	}
}

/* Another backend, with limits of its own. */
static void model_successor(uint32_t *seed)
{
	static const uint32_t segments[] = { 11, 12, 40, 256 };

	queue_detach(&q, 0);
	memset(is_outstanding, 0, sizeof(is_outstanding));
	limits.max_segments = segments[next_random(seed) % 4];
	connect_ring(PV_PAGE_SIZE << (next_random(seed) % 5));
}

static void model_check_done(unsigned nr_submitted)
{
	for (unsigned i = 0; i < nr_submitted; i++) {
		size_t nr = 0;

		UNIT_REQUIRE(ios[i].nr_done <= 1);
		for (size_t at = 0; at < ios[i].io.size_bytes / 512; at++)
			nr += was_answered[i][at];
		if (ios[i].nr_done)
			UNIT_REQUIRE(ios[i].io.result == 0 &&
				     nr == ios[i].io.size_bytes / 512);
	}
}

static void model_round(uint32_t seed)
{
	unsigned submitted = 0;

	start(seed % 2 ? RING_BYTES : PV_PAGE_SIZE);
	memset(is_outstanding, 0, sizeof(is_outstanding));
	memset(was_answered, 0, sizeof(was_answered));
	for (unsigned step = 0; nr_done < IOS; step++) {
		uint32_t dice = next_random(&seed) % 100;

		UNIT_REQUIRE(step < 100000);
		if (dice < 30 && submitted < IOS) {
			size_t sectors = 1 + next_random(&seed) % 299;
			size_t off = next_random(&seed) % 200;

			submit(submitted, BLKFRONT_READ, submitted * 2048 * 512,
			       off * 512, sectors * 512);
			submitted++;
		} else if (dice < 98) {
			push();
			model_take_all();
			model_answer(&seed);
			UNIT_REQUIRE(reap() >= 0);
		} else if (dice < 99) {
			model_successor(&seed);
		}
		if (step % 64 == 0)
			model_check_done(submitted);
	}
	model_check_done(IOS);
	UNIT_CHECK(queue_idle(&q));
	UNIT_CHECK(q.nr_free_pages == BLKFRONT_SEGMENT_PAGES);
}

static void random_ios_and_deaths_complete_every_byte_once(void)
{
	for (uint32_t seed = 1; seed <= 20; seed++) {
		unsigned before = CU_get_number_of_failures();

		model_round(seed);
		if (CU_get_number_of_failures() != before) {
			printf("seed %u\n", seed);
			return;
		}
	}
	free(region);
	free(ring_memory);
	region = ring_memory = NULL;
}

UNIT_MAIN("blkfront_model",
	  UNIT_TEST(random_ios_and_deaths_complete_every_byte_once))
