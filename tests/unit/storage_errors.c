/* SPDX-License-Identifier: MIT */
/*
 * storage_errors.c - every storage: what fails is the io concerned, with the
 * error that it is; sizes that change.
 */
#include "tests/unit/storage_suite.h"

/* A driver that cannot promise it says so and does not do half of it. */
static void a_secure_discard_is_done_or_refused(void)
{
	uint8_t *a = buffer(4096), *b = buffer(4096);

	make_dirs();
	memset(a, 7, 4096);
	for (size_t w = 0; w < NR_WAYS; w++) {
		bool can;
		struct tracked t;
		struct rig r;
		int err;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		can = r.desc.flags & STORAGE_CAN_DISCARD_SECURE;
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
		prepare(&t, STORAGE_DISCARD, 0, NULL, 4096);
		t.io.secure = true;
		err = r.st->ops->submit(r.ch, &t.io);
		if (!err) {
			UNIT_CHECK(wait_all(&r, &t, 1));
			err = t.io.result;
		}
		UNIT_CHECK(err == (can ? 0 : -EOPNOTSUPP));
		UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
		for (unsigned i = 0; i < 4096; i++)
			UNIT_CHECK(b[i] == (can ? 0 : 7));
		rig_close(&r);
	}
	munmap(a, 4096);
	munmap(b, 4096);
}

static void a_new_size_is_learnt_when_asked(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		const char *path = ways[w].file;
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(storage_look_again(r.st) == 0);
		UNIT_CHECK(storage_size_bytes(r.st) == DISK_BYTES);
		if (!path) {
			rig_close(&r);
			continue;
		}
		/* Grown, by half a sector too many. */
		UNIT_REQUIRE(truncate(path, 2 * DISK_BYTES + 256) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, DISK_BYTES, a, 512) ==
			   -EINVAL);
		UNIT_CHECK(storage_look_again(r.st) == 1);
		UNIT_CHECK(storage_size_bytes(r.st) == 2 * DISK_BYTES);
		UNIT_CHECK(storage_look_again(r.st) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 2 * DISK_BYTES - 512, a,
			       512) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 2 * DISK_BYTES, a, 512) ==
			   -EINVAL);
		UNIT_REQUIRE(truncate(path, 4096) == 0);
		UNIT_CHECK(storage_look_again(r.st) == 1);
		UNIT_CHECK(one(&r, STORAGE_READ, 4096, a, 512) == -EINVAL);
		UNIT_REQUIRE(truncate(path, 0) == 0);
		UNIT_CHECK(storage_look_again(r.st) == -ENOSPC);
		UNIT_CHECK(storage_size_bytes(r.st) == 4096);
		UNIT_REQUIRE(truncate(path, DISK_BYTES) == 0);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void a_file_that_became_shorter_is_an_error(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		if (!ways[w].file)
			continue;
		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_REQUIRE(truncate(ways[w].file, 4096) == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, 8192, a, 4096) == -EIO);
		/* Across the new end: half of it is missing. */
		UNIT_CHECK(one(&r, STORAGE_READ, 2048, a, 4096) == -EIO);
		UNIT_REQUIRE(truncate(ways[w].file, DISK_BYTES) == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, 8192, a, 4096) == 0);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void a_readonly_file_takes_no_write(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		if (!ways[w].file)
			continue;
		UNIT_REQUIRE(rig_open(&r, &ways[w], STORAGE_READONLY) == 0);
		UNIT_CHECK(r.desc.flags & STORAGE_READONLY);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == -EBADF);
		UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void memory_that_is_gone_is_an_error(void)
{
	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		uint8_t *a = buffer(4096);
		struct rig r;

		if (!ways[w].file || ways[w].bounces)
			continue;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		munmap(a, 4096);
		UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EFAULT);
		rig_close(&r);
	}
}

UNIT_MAIN("storage_errors", UNIT_TEST(a_secure_discard_is_done_or_refused),
	  UNIT_TEST(a_new_size_is_learnt_when_asked),
	  UNIT_TEST(a_file_that_became_shorter_is_an_error),
	  UNIT_TEST(a_readonly_file_takes_no_write),
	  UNIT_TEST(memory_that_is_gone_is_an_error),
	  UNIT_TEST(nothing_is_left_behind))
