/* SPDX-License-Identifier: MIT */
/*
 * blkfront_connect.c - the whole library against a scripted backend, over a
 * real store and broker: connecting, refusing, the backend's death and return,
 * detaching.
 */
#include "blkfront/blkfront.h"

#include "tests/unit/blkfront_backend.h"
#include "tests/unit/unit.h"

static struct rig rig;
static uint8_t *disk;
static char why[256];

static struct backend honest(void)
{
	return (struct backend){ .sectors = "8192",
				 .flush = true,
				 .disk = disk };
}

static int open_front(uint64_t timeout_ns, struct blkfront **ret)
{
	struct blkfront_config config = { .run_dir = rig.run_dir,
					  .domid = rig.guest,
					  .handle = RIG_VDEV,
					  .timeout_ns = timeout_ns };

	return blkfront_open(&config, ret, why, sizeof(why));
}

static int begin(struct backend *be, struct blkfront **bf)
{
	int err = rig_open(&rig);

	if (!disk)
		disk = calloc(1, RIG_DISK_BYTES);
	be->disk = disk;
	if (!err)
		err = backend_start(be, &rig);
	if (!err)
		err = open_front(RIG_WAIT_NS, bf);
	if (err)
		printf("begin: %s %s\n", strerror(-err), why);
	return err;
}

static void finish(struct backend *be, struct blkfront *bf)
{
	blkfront_close(bf);
	if (be)
		backend_stop(be);
	rig_close(&rig);
}

static unsigned nr_done, nr_errors;

static void count_done(struct blkfront_io *io)
{
	nr_done++;
	nr_errors += io->result != 0;
}

/* Poll until n ios are done, the disk is lost, or the time is up. */
static int poll_until(struct blkfront *bf, unsigned n)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;
	int err = 0;

	while (nr_done < n && err >= 0 && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };

		err = blkfront_poll(bf);
		if (err >= 0 && nr_done < n && !blkfront_arm(bf))
			poll(&pfd, 1, 50);
	}
	return err < 0 ? err : 0;
}

/* ---- tests ----------------------------------------------------------------
 */

static void data_goes_to_the_disk_and_comes_back(void)
{
	size_t size = 1 << 20;
	struct backend be = honest();
	struct blkfront_info info;
	struct blkfront *bf;
	uint8_t *buf;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	blkfront_info(bf, &info);
	UNIT_CHECK(info.size_bytes == RIG_DISK_BYTES && info.flush);
	UNIT_CHECK(info.sector_bytes == 512 && !info.readonly);
	buf = blkfront_buf_alloc(bf, size);
	UNIT_REQUIRE(buf != NULL);
	for (size_t i = 0; i < size; i++)
		buf[i] = (uint8_t)(i * 31 + i / 4096);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 512, buf, size));
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_FLUSH, 0, NULL, 0));
	UNIT_CHECK(rig_disk_equal(disk + 512, buf, size));
	memset(buf, 0, size);
	/* from the middle of a page on, and not the same sectors */
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 1024, buf + 1536,
				     100 * 512));
	UNIT_CHECK(rig_disk_equal(disk + 1024, buf + 1536, 100 * 512));
	blkfront_buf_free(bf, buf, size);
	finish(&be, bf);
	UNIT_CHECK(be.nr_flushes == 1 && be.used_order == 0);
}

static void wrong_ios_are_refused(void)
{
	struct backend be = honest();
	struct blkfront *bf;
	uint8_t *buf, own[512];

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 8192);
	UNIT_REQUIRE(buf != NULL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 1, buf, 512) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 100) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 0) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, own, 512) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf + 1, 512) ==
		   -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, RIG_DISK_BYTES - 512,
				    buf, 1024) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, UINT64_MAX - 511, buf,
				    512) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_FLUSH, 0, buf, 512) ==
		   -EINVAL);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, RIG_DISK_BYTES - 512,
				     buf, 512));
	UNIT_CHECK(blkfront_buf_alloc(bf, 0) == NULL);
	UNIT_CHECK(blkfront_buf_alloc(bf, SIZE_MAX) == NULL);
	finish(&be, bf);
}

static void a_read_only_disk_without_flush_says_so(void)
{
	struct backend be = honest();
	struct blkfront_info info;
	struct blkfront *bf;
	uint8_t *buf;

	be.info = "4";
	be.flush = false;
	be.physical = "4096";
	be.ring_order = 7;
	UNIT_REQUIRE(begin(&be, &bf) == 0);
	blkfront_info(bf, &info);
	UNIT_CHECK(info.readonly && !info.flush && info.physical_bytes == 4096);
	buf = blkfront_buf_alloc(bf, 512);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_WRITE, 0, buf, 512) == -EROFS);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_FLUSH, 0, NULL, 0) ==
		   -EOPNOTSUPP);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 512) == 0);
	finish(&be, bf);
	UNIT_CHECK(be.used_order == 4);
}

static void nonsense_from_the_backend_is_refused_with_a_sentence(void)
{
	static const struct {
		const char *sectors, *sector_size, *physical, *info;
	} cases[] = {
		{ NULL, NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ "-1", NULL, NULL, NULL },
		{ "12x", NULL, NULL, NULL },
		{ "99999999999999999999", NULL, NULL, NULL },
		{ "8192", "8192", NULL, NULL },
		{ "8193", "4096", NULL, NULL },
		{ "8192", "1000", NULL, NULL },
		{ "8192", "0", NULL, NULL },
		{ "8192", NULL, "0", NULL },
		{ "8192", NULL, "3000", NULL },
		{ "8192", NULL, NULL, "read" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct backend be = honest();
		struct blkfront *bf = NULL;

		be.sectors = cases[i].sectors;
		be.sector_size = cases[i].sector_size;
		be.physical = cases[i].physical;
		be.info = cases[i].info;
		UNIT_REQUIRE(rig_open(&rig) == 0);
		UNIT_REQUIRE(backend_start(&be, &rig) == 0);
		UNIT_CHECK(open_front(RIG_WAIT_NS, &bf) < 0 && bf == NULL);
		UNIT_CHECK(strlen(why) > 0);
		backend_stop(&be);
		rig_close(&rig);
	}
}

static void a_missing_disk_and_a_silent_backend_end_with_a_sentence(void)
{
	struct blkfront_config config = { 0 };
	struct blkfront *bf = NULL;

	UNIT_REQUIRE(rig_open(&rig) == 0);
	UNIT_CHECK(open_front(100 * NS_PER_MS, &bf) == -ETIMEDOUT);
	UNIT_CHECK(strstr(why, "blkbackd") != NULL);
	config.run_dir = rig.run_dir;
	config.domid = rig.guest;
	config.handle = 51728;
	UNIT_CHECK(blkfront_open(&config, &bf, why, sizeof(why)) == -ENOENT);
	UNIT_CHECK(strstr(why, "block-attach") != NULL);
	config.domid = 3000;
	UNIT_CHECK(blkfront_open(&config, &bf, why, sizeof(why)) == -ENOENT);
	UNIT_CHECK(strlen(why) > 0 && bf == NULL);
	UNIT_CHECK(blkfront_open(&config, &bf, NULL, 0) == -ENOENT);
	rig_close(&rig);
}

static void a_disk_is_opened_by_one_at_a_time(void)
{
	struct backend be = honest();
	struct blkfront *bf, *second = NULL;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	UNIT_CHECK(open_front(RIG_WAIT_NS, &second) == -EBUSY);
	UNIT_CHECK(strstr(why, "in use") != NULL && second == NULL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_FLUSH, 0, NULL, 0) == 0);
	finish(&be, bf);
}

static struct blkfront_io ios[300];

/* Write block i of 4 KiB with its own byte, from its own buffer. */
static void submit_blocks(struct blkfront *bf, uint8_t *buf, unsigned n)
{
	nr_done = nr_errors = 0;
	for (unsigned i = 0; i < n; i++) {
		memset(buf + i * 4096, (int)(i + 1), 4096);
		ios[i] = (struct blkfront_io){ .op = BLKFRONT_WRITE,
					       .offset_bytes = i * 4096,
					       .size_bytes = 4096,
					       .buf = buf + i * 4096,
					       .done = count_done };
		UNIT_REQUIRE(blkfront_submit(bf, &ios[i]) == 0);
	}
	blkfront_kick(bf);
}

static unsigned nr_wrong_blocks(unsigned n)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t expected[4096];

		memset(expected, (int)(i + 1), sizeof(expected));
		wrong += !rig_disk_equal(disk + i * 4096, expected, 4096);
	}
	return wrong;
}

static void a_backend_that_dies_is_waited_for_and_nothing_is_lost(void)
{
	struct backend be = honest();
	struct blkfront *bf;
	uint8_t *buf;

	be.lie = LIE_SILENCE;
	be.lie_after = 5;
	be.ring_order = 2;
	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 300 * 4096);
	UNIT_REQUIRE(buf != NULL);
	submit_blocks(bf, buf, 300);
	UNIT_CHECK(poll_until(bf, 5) == 0);
	UNIT_CHECK(nr_done == 5);
	backend_die(&be);
	memset(disk, 0, 300 * 4096); /* only what is issued again counts */
	for (unsigned i = 0; i < 5; i++)
		memset(disk + i * 4096, (int)(i + 1), 4096);

	be = honest();
	be.restarted = true;
	UNIT_REQUIRE(backend_start(&be, &rig) == 0);
	UNIT_CHECK(poll_until(bf, 300) == 0);
	UNIT_CHECK(nr_done == 300 && nr_errors == 0);
	UNIT_CHECK(nr_wrong_blocks(300) == 0);
	finish(&be, bf);
	UNIT_CHECK(be.nr_answered == 295);
	UNIT_CHECK(nr_done == 300);
}

static void a_backend_that_closes_is_connected_to_again(void)
{
	struct backend be = honest();
	struct blkfront *bf;
	uint8_t *buf;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 100 * 4096);
	UNIT_REQUIRE(buf != NULL);
	for (unsigned round = 0; round < 5; round++) {
		submit_blocks(bf, buf, 100);
		backend_stop(&be); /* somewhere in between; state 6 */
		be = honest();
		be.restarted = true;
		UNIT_REQUIRE(backend_start(&be, &rig) == 0);
		UNIT_CHECK(poll_until(bf, 100) == 0);
		UNIT_CHECK(nr_done == 100 && nr_errors == 0);
		UNIT_CHECK(nr_wrong_blocks(100) == 0);
	}
	finish(&be, bf);
}

static void detaching_finishes_what_is_in_flight(void)
{
	struct backend be = honest();
	struct blkfront *bf;
	uint8_t *buf;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 200 * 4096);
	UNIT_REQUIRE(buf != NULL);
	submit_blocks(bf, buf, 200);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "online", "0") == 0);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "state", "5") == 0);
	UNIT_CHECK(poll_until(bf, UINT32_MAX) == -ESHUTDOWN);
	UNIT_CHECK(nr_done == 200 && nr_errors == 0);
	UNIT_CHECK(nr_wrong_blocks(200) == 0);
	UNIT_CHECK(blkfront_submit(bf, &ios[0]) == -ESHUTDOWN);
	UNIT_CHECK(blkfront_poll(bf) == -ESHUTDOWN);
	UNIT_CHECK(rig_state(rig.xs, rig.front) == XenbusStateClosed);
	finish(&be, bf);
}

static void detaching_a_dead_backends_disk_ends_too(void)
{
	struct backend be = honest();
	struct blkfront *bf;
	uint8_t *buf;

	be.lie = LIE_SILENCE;
	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 10 * 4096);
	UNIT_REQUIRE(buf != NULL);
	submit_blocks(bf, buf, 10);
	backend_die(&be);
	blkfront_poll(bf);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "online", "0") == 0);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "state", "5") == 0);
	UNIT_CHECK(poll_until(bf, UINT32_MAX) == -ESHUTDOWN);
	UNIT_CHECK(nr_done == 10 && nr_errors == 10);
	UNIT_CHECK(ios[3].result == -ESHUTDOWN);
	finish(NULL, bf);
}

static void a_removed_directory_ends_the_disk(void)
{
	struct backend be = honest();
	struct blkfront *bf;

	UNIT_REQUIRE(begin(&be, &bf) == 0);
	UNIT_REQUIRE(xs_rm(rig.xs, XS_NO_TXN, rig.front) == 0);
	nr_done = 0;
	UNIT_CHECK(poll_until(bf, 1) == -ESHUTDOWN);
	finish(&be, bf);
}

static void closing_completes_what_a_mute_backend_keeps(void)
{
	struct backend be = honest();
	struct blkfront *bf;
	uint8_t *buf;

	be.lie = LIE_SILENCE;
	UNIT_REQUIRE(begin(&be, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 3 * 4096);
	UNIT_REQUIRE(buf != NULL);
	submit_blocks(bf, buf, 3);
	backend_die(&be);
	blkfront_close(bf);
	UNIT_CHECK(nr_done == 3 && nr_errors == 3);
	rig_close(&rig);
	free(disk);
	disk = NULL;
}

UNIT_MAIN("blkfront_connect", UNIT_TEST(data_goes_to_the_disk_and_comes_back),
	  UNIT_TEST(wrong_ios_are_refused),
	  UNIT_TEST(a_read_only_disk_without_flush_says_so),
	  UNIT_TEST(nonsense_from_the_backend_is_refused_with_a_sentence),
	  UNIT_TEST(a_missing_disk_and_a_silent_backend_end_with_a_sentence),
	  UNIT_TEST(a_disk_is_opened_by_one_at_a_time),
	  UNIT_TEST(a_backend_that_dies_is_waited_for_and_nothing_is_lost),
	  UNIT_TEST(a_backend_that_closes_is_connected_to_again),
	  UNIT_TEST(detaching_finishes_what_is_in_flight),
	  UNIT_TEST(detaching_a_dead_backends_disk_ends_too),
	  UNIT_TEST(a_removed_directory_ends_the_disk),
	  UNIT_TEST(closing_completes_what_a_mute_backend_keeps))
