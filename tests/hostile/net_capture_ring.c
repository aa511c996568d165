/* SPDX-License-Identifier: MIT */
/*
 * net_capture_ring.c - pvsplit's reader of a capture, and a driver domain that
 * writes what it likes into the pages they share: lengths that lie, indices
 * that jump, records rewritten while they are read.
 */
#include "pvsplit/capture_ring.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/grant.h"
#include "tests/unit/soak.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/num.h"

#define SNAP_BYTES  256u
#define GUARD_BYTES 64u
#define GUARD	    0xa5
#define RECORD	    ((uint32_t)sizeof(struct capture_record))

#define SHARED_BYTES ((size_t)(CAPTURE_PAGES + 1) * PV_PAGE_SIZE)

/* Behind them nothing can be read. */
static uint8_t *pages;
static uint8_t data[SNAP_BYTES + GUARD_BYTES];
static struct capture_ring ring;

static struct capture_header *header(void)
{
	return (struct capture_header *)(void *)pages;
}

static void begin(void)
{
	void *base =
		mmap(NULL, SHARED_BYTES + PV_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	UNIT_REQUIRE(base != MAP_FAILED);
	pages = base;
	UNIT_REQUIRE(!mprotect(pages + SHARED_BYTES, PV_PAGE_SIZE, PROT_NONE));
	memset(data, GUARD, sizeof(data));
	ring = (struct capture_ring){ .pages = pages,
				      .snap_bytes = SNAP_BYTES };
}

static void end(void)
{
	for (unsigned i = SNAP_BYTES; i < sizeof(data); i++)
		UNIT_CHECK(data[i] == GUARD);
	munmap(pages, SHARED_BYTES + PV_PAGE_SIZE);
}

/* A record at index at, as the driver domain has it, whatever it says. */
static void put(uint32_t at, uint32_t size_bytes, uint32_t frame_bytes)
{
	struct capture_record r = { .time_ns = 1,
				    .size_bytes = size_bytes,
				    .frame_bytes = frame_bytes };
	uint32_t n = size_bytes < SNAP_BYTES ? size_bytes : SNAP_BYTES;
	uint8_t *base = pages + PV_PAGE_SIZE;

	for (uint32_t i = 0; i < RECORD; i++)
		base[(at + i) % CAPTURE_BYTES] = ((const uint8_t *)&r)[i];
	for (uint32_t i = 0; i < n; i++)
		base[(at + RECORD + i) % CAPTURE_BYTES] = (uint8_t)(at + i);
}

static int take(struct capture_record *r)
{
	int n = capture_ring_next(&ring, r, data);

	capture_ring_release(&ring);
	UNIT_CHECK(header()->cons == ring.cons);
	return n;
}

/* What follows is read, whole, as if nothing had been. */
static void reads_on(void)
{
	uint32_t at = ring.cons;
	struct capture_record r;

	put(at, 100, 1500);
	header()->prod = at + RECORD + 104;
	UNIT_CHECK(take(&r) == 1 && r.size_bytes == 100 &&
		   r.frame_bytes == 1500);
	for (uint32_t i = 0; i < 100; i++)
		UNIT_CHECK(data[i] == (uint8_t)(at + i));
	UNIT_CHECK(take(&r) == 0 && ring.cons == header()->prod);
}

static void a_length_that_lies_is_left_out(void)
{
	static const struct {
		uint32_t size_bytes, frame_bytes, shown_bytes;
	} lies[] = {
		/* more than was asked for */
		{ SNAP_BYTES + 1, 9000, RECORD + SNAP_BYTES + 8 },
		{ UINT32_MAX, UINT32_MAX, RECORD + SNAP_BYTES },
		{ UINT32_MAX - 6, UINT32_MAX, RECORD },
		{ 0x80000000u, UINT32_MAX, CAPTURE_BYTES },
		/* more than there is */
		{ 200, 200, RECORD + 192 },
		{ 1, 1, RECORD },
		/* more than the frame had */
		{ 100, 99, RECORD + 104 },
		{ 1, 0, RECORD + 8 },
	};
	struct capture_record r;

	for (uint32_t i = 0; i < ARRAY_SIZE(lies); i++) {
		begin();
		reads_on();
		put(ring.cons, lies[i].size_bytes, lies[i].frame_bytes);
		header()->prod = ring.cons + lies[i].shown_bytes;
		UNIT_CHECK(take(&r) == 0 && ring.cons == header()->prod);
		reads_on();
		end();
	}
}

static void an_index_that_jumps_is_followed(void)
{
	static const uint32_t jumps[] = {
		CAPTURE_BYTES + 8, 0x7fffffff, 0x80000000u,
		UINT32_MAX,	   -8u,	       -RECORD
	};
	struct capture_record r;

	for (uint32_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		begin();
		reads_on();
		put(ring.cons, 50, 50);
		header()->prod = ring.cons + jumps[i];
		UNIT_CHECK(take(&r) == 0 && ring.cons == header()->prod);
		reads_on();
		end();
	}
}

static void less_than_a_record_is_waited_for(void)
{
	struct capture_record r;

	begin();
	for (uint32_t shown = 0; shown < RECORD; shown++) {
		header()->prod = shown;
		UNIT_CHECK(take(&r) == 0 && ring.cons == 0);
	}
	reads_on();
	end();
}

static void records_lie_across_the_end_of_the_ring(void)
{
	struct capture_record r;

	begin();
	for (uint32_t gap = 8; gap < RECORD + 104; gap += 8) {
		/* Of the ring, and of what an index can count. */
		ring.cons = header()->prod = -gap;
		reads_on();
		UNIT_CHECK(take(&r) == 0);
	}
	end();
}

/* ---- rewritten while it is read ------------------------------------------ */

/* The driver domain: the record that is read next has a size that is right and
 * one that is not, in turn, as fast as it goes. */
static void rewrite_for_ever(void)
{
	uint32_t *words = (uint32_t *)(void *)(pages + PV_PAGE_SIZE);

	for (;;) {
		uint32_t cons =
			__atomic_load_n(&header()->cons, __ATOMIC_ACQUIRE);
		uint32_t *record = &words[cons % CAPTURE_BYTES / 4];

		__atomic_store_n(&record[1], UINT32_MAX, __ATOMIC_RELAXED);
		__atomic_store_n(&header()->prod, cons + 2 * SNAP_BYTES,
				 __ATOMIC_RELEASE);
		for (unsigned i = 0; i < 100; i++)
			__atomic_store_n(&record[0],
					 i % 2 ? 0x70000000u : SNAP_BYTES,
					 __ATOMIC_RELAXED);
	}
}

static void what_is_rewritten_stays_within_bounds(void)
{
	uint64_t end_ns = clock_now_ns() + soak_rounds(3, 6000) * NS_PER_S / 10;
	struct capture_record r;
	unsigned nr = 0;
	pid_t pid;

	begin();
	pid = fork();
	UNIT_REQUIRE(pid >= 0);
	if (!pid)
		rewrite_for_ever();
	while (clock_now_ns() < end_ns || !nr) {
		if (!take(&r))
			continue;
		nr++;
		UNIT_CHECK(r.size_bytes <= SNAP_BYTES &&
			   r.size_bytes <= r.frame_bytes);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	end();
}

UNIT_MAIN("net_capture_ring", UNIT_TEST(a_length_that_lies_is_left_out),
	  UNIT_TEST(an_index_that_jumps_is_followed),
	  UNIT_TEST(less_than_a_record_is_waited_for),
	  UNIT_TEST(records_lie_across_the_end_of_the_ring),
	  UNIT_TEST(what_is_rewritten_stays_within_bounds))
