/* SPDX-License-Identifier: MIT */
/*
 * blk_backend_acts.c - what a backend may do without a lie in the ring (section
 * B of the threats): look at all of the pages that it was given, keep them,
 * notify without end, write anything into its directory. The frontend gives
 * nothing away, waits for nobody, and serves on with the backend that follows.
 */
#include "blkfront/blkfront.h"

#include "tests/unit/blkfront_backend.h"
#include "tests/unit/unit.h"

#define POISON 0xa5

static struct rig rig;
static uint8_t disk[RIG_DISK_BYTES];
static char why[256];

static int open_front(struct blkfront **bf)
{
	struct blkfront_config config = { .run_dir = rig.run_dir,
					  .domid = rig.guest,
					  .handle = RIG_VDEV,
					  .timeout_ns = RIG_WAIT_NS };

	return blkfront_open(&config, bf, why, sizeof(why));
}

static int begin(struct backend *be, struct blkfront **bf)
{
	int err = rig_open(&rig);

	be->disk = disk;
	if (!err)
		err = backend_start(be, &rig);
	if (!err)
		err = open_front(bf);
	if (err)
		printf("begin: %s %s\n", strerror(-err), why);
	return err;
}

static void finish(struct backend *be, struct blkfront *bf)
{
	blkfront_close(bf);
	backend_stop(be);
	rig_close(&rig);
}

/* ---- XSA-403: what shared pages show ---------------------------------------
 */

static unsigned nr_stale;

static void count_stale(const uint8_t *page, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		nr_stale += page[i] == POISON;
}

static void look_at_page(struct backend *be, grant_ref_t ref)
{
	uint8_t page[PV_PAGE_SIZE];
	struct grant_copy op = { .domid = be->rig->guest,
				 .ref = ref,
				 .size_bytes = PV_PAGE_SIZE,
				 .local = page };

	if (platform_copy(be->platform, &op, 1))
		nr_stale++;
	else
		count_stale(page, 0, PV_PAGE_SIZE);
}

/* The whole ring, the pages of the segments, and of the data all there is. */
static void look_at_everything(struct backend *be,
			       const struct backend_ring *br,
			       const struct blkif_request *req)
{
	const uint8_t *ring = (const uint8_t *)(uintptr_t)br->map.base;

	count_stale(ring, 0, br->map.nr_pages * PV_PAGE_SIZE);
	if (req->operation == BLKIF_OP_INDIRECT) {
		struct blkif_request_indirect indirect;

		memcpy(&indirect, req, sizeof(indirect));
		look_at_page(be, indirect.indirect_grefs[0]);
		return;
	}
	for (unsigned i = 0; i < req->nr_segments; i++)
		look_at_page(be, req->seg[i].gref);
}

/* So that whatever the library would take from the heap holds poison. */
static void poison_heap(void)
{
	void *blocks[64];

	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		blocks[i] = malloc(1u << (6 + i % 12));
		if (blocks[i])
			memset(blocks[i], POISON, 1u << (6 + i % 12));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
		free(blocks[i]);
}

static void xsa_403_shared_pages_show_nothing_but_io(void)
{
	struct backend be = { .sectors = "8192",
			      .max_segments = 64,
			      .ring_order = 2,
			      .inspect = look_at_everything };
	struct blkfront *bf;
	uint8_t *buf;

	nr_stale = 0;
	poison_heap();
	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 40 * PV_PAGE_SIZE);
	UNIT_REQUIRE(buf != NULL);
	poison_heap();
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 0, buf + 1024, 512));
	memset(buf, 0x11, 40 * PV_PAGE_SIZE);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 0, buf,
				     40 * PV_PAGE_SIZE));
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 512));
	finish(&be, bf);
	UNIT_CHECK(be.nr_answered == 3 && be.nr_indirect == 1);
	UNIT_CHECK(nr_stale == 0);
}

/* ---- XSA-396: pages that are not given back ---------------------------------
 */

static void xsa_396_pages_that_a_backend_keeps_are_not_used_again(void)
{
	struct backend keeper = { .sectors = "8192", .keeps_pages = true };
	struct backend be;
	struct blkfront *bf;
	uint8_t *buf, *kept, copy[PV_PAGE_SIZE];

	UNIT_REQUIRE(begin(&keeper, &bf) == 0);
	buf = blkfront_buf_alloc(bf, PV_PAGE_SIZE);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 512));
	backend_stop(&keeper);
	kept = (uint8_t *)(uintptr_t)keeper.rings[0].map.base;
	for (unsigned i = 0; i < 5; i++) {
		be = (struct backend){ .sectors = "8192",
				       .disk = disk,
				       .restarted = true };
		UNIT_REQUIRE(backend_start(&be, &rig) == 0);
		UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 512));
		/* what it writes there now reaches nobody, nor does it change
		 */
		memset(kept, POISON, PV_PAGE_SIZE);
		memset(copy, POISON, PV_PAGE_SIZE);
		for (unsigned n = 0; n < 100; n++)
			UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 0, buf,
						     PV_PAGE_SIZE));
		UNIT_CHECK(memcmp(kept, copy, PV_PAGE_SIZE) == 0);
		if (i < 4)
			backend_stop(&be);
	}
	blkfront_close(bf);
	backend_stop(&be);
	backend_let_go(&keeper);
	rig_close(&rig);
}

/* ---- XSA-391: events
 * ---------------------------------------------------------- */

static void xsa_391_events_without_end_do_not_keep_ios_from_ending(void)
{
	struct backend be = { .sectors = "8192", .storm = true };
	struct blkfront *bf;
	uint8_t *buf;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, PV_PAGE_SIZE);
	for (unsigned i = 0; i < 200; i++)
		UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, i * 512, buf,
					     512));
	finish(&be, bf);
}

/* ---- XSA-465 and others: the directory
 * ---------------------------------------- */

static void nonsense_in_any_node_ends_with_a_sentence_or_a_disk(void)
{
	static const char *const nodes[] = {
		"max-ring-page-order",	  "max-ring-pages",
		"multi-queue-max-queues", "feature-max-indirect-segments",
		"feature-discard",	  "discard-secure",
		"discard-granularity",	  "discard-alignment",
		"feature-flush-cache",	  "sector-size",
		"physical-sector-size",
	};
	static const char *const values[] = { "",    "-1",	   "0",
					      "x",   "4294967295", "4294967296",
					      "1 2", "0x10" };
	unsigned nr_open = 0, nr_refused = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(nodes) * ARRAY_SIZE(values); i++) {
		struct backend be = { .sectors = "8192", .disk = disk };
		struct blkfront *bf = NULL;

		UNIT_REQUIRE(rig_open(&rig) == 0);
		be.extra_node = nodes[i / ARRAY_SIZE(values)];
		be.extra_value = values[i % ARRAY_SIZE(values)];
		UNIT_REQUIRE(backend_start(&be, &rig) == 0);
		if (open_front(&bf) == 0) {
			uint8_t *buf = blkfront_buf_alloc(bf, 4096);

			nr_open++;
			UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf,
						     4096));
			blkfront_close(bf);
		} else {
			nr_refused++;
			UNIT_CHECK(bf == NULL && strlen(why) > 0);
		}
		backend_stop(&be);
		rig_close(&rig);
	}
	UNIT_CHECK(nr_open > 10 && nr_refused > 10);
}

static unsigned nr_done;

static void count_done(struct blkfront_io *io)
{
	(void)io;
	nr_done++;
}

static void poll_for(struct blkfront *bf, unsigned n, uint64_t wait_ns)
{
	uint64_t end_ns = clock_now_ns() + wait_ns;

	while (nr_done < n && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };

		if (blkfront_poll(bf) < 0)
			return;
		if (nr_done < n && !blkfront_arm(bf))
			poll(&pfd, 1, 10);
	}
}

/* Every state, and what is none, while requests are in flight. */
static void xsa_465_any_state_at_any_time_completes_every_io_once(void)
{
	static const char *const states[] = { "0", "1",	 "2", "3", "4",
					      "5", "6",	 "7", "8", "9",
					      "",  "99", "x" };

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		struct backend be = { .sectors = "8192", .lie = LIE_SILENCE };
		struct blkfront_io io = { .op = BLKFRONT_READ,
					  .size_bytes = 512,
					  .done = count_done };
		struct blkfront *bf;

		nr_done = 0;
		UNIT_REQUIRE(begin(&be, &bf) == 0);
		io.buf = blkfront_buf_alloc(bf, 512);
		UNIT_REQUIRE(blkfront_submit(bf, &io) == 0);
		blkfront_kick(bf);
		UNIT_REQUIRE(!rig_put(&rig, rig.back, "state", states[i]));
		poll_for(bf, 1, 30 * NS_PER_MS);
		UNIT_REQUIRE(!rig_put(&rig, rig.back, "state", "4"));
		poll_for(bf, 1, 10 * NS_PER_MS);
		backend_die(&be);
		be = (struct backend){ .sectors = "8192",
				       .disk = disk,
				       .restarted = true };
		UNIT_REQUIRE(backend_start(&be, &rig) == 0);
		poll_for(bf, 1, RIG_WAIT_NS);
		UNIT_CHECK(nr_done == 1 && io.result == 0);
		finish(&be, bf);
		UNIT_CHECK(nr_done == 1);
	}
}

static void sizes_that_jump_end_no_process(void)
{
	static const char *const sizes[] = {
		"0", "1", "18446744073709551615", "8192", "", "9007199254740991"
	};
	struct backend be = { .sectors = "8192" };
	struct blkfront *bf;
	uint8_t *buf;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 4096);
	for (unsigned i = 0; i < 60; i++) {
		int err;

		UNIT_REQUIRE(!rig_put(&rig, rig.back, "sectors",
				      sizes[i % ARRAY_SIZE(sizes)]));
		err = blkfront_rw_sync(bf, BLKFRONT_READ, 4096, buf, 4096);
		UNIT_CHECK(err == 0 || err == -EINVAL);
	}
	UNIT_REQUIRE(!rig_put(&rig, rig.back, "sectors", "8192"));
	poll_for(bf, UINT32_MAX, 50 * NS_PER_MS);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 4096, buf, 4096));
	finish(&be, bf);
}

UNIT_MAIN("blk_backend_acts",
	  UNIT_TEST(xsa_403_shared_pages_show_nothing_but_io),
	  UNIT_TEST(xsa_396_pages_that_a_backend_keeps_are_not_used_again),
	  UNIT_TEST(xsa_391_events_without_end_do_not_keep_ios_from_ending),
	  UNIT_TEST(nonsense_in_any_node_ends_with_a_sentence_or_a_disk),
	  UNIT_TEST(xsa_465_any_state_at_any_time_completes_every_io_once),
	  UNIT_TEST(sizes_that_jump_end_no_process))
