/* SPDX-License-Identifier: MIT */
/*
 * storage_window.c - files in memory by copies (blkback/storage/window.h): the
 * same bytes as by system calls, holes stay holes, and a file that is cut under
 * the mapping costs an error and not the process.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkback/storage/file.h"
#include "blkback/storage/window.h"

#define PAGE	   4096u
#define NR_PAGES   64u
#define FILE_BYTES ((uint64_t)NR_PAGES * PAGE)

struct rig {
	int fd;
	struct window *window;
};

/* A file of one hole. */
static bool rig_open(struct rig *r)
{
	char path[] = "/dev/shm/pvsplit-window.XXXXXX";

	r->fd = mkstemp(path);
	if (r->fd < 0)
		return false;
	unlink(path);
	return !ftruncate(r->fd, FILE_BYTES) &&
	       !window_open(r->fd, FILE_BYTES, false, &r->window);
}

static void rig_close(struct rig *r)
{
	window_close(r->window);
	close(r->fd);
}

static bool copy(struct rig *r, enum storage_op op, uint64_t at, void *buf,
		 size_t size_bytes)
{
	/* Two pieces that meet off a page's border. */
	struct iovec iov[] = { { buf, size_bytes / 2 },
			       { (char *)buf + size_bytes / 2,
				 size_bytes - size_bytes / 2 } };
	struct storage_io io = { .op = op,
				 .offset_bytes = at,
				 .size_bytes = size_bytes,
				 .iov = iov,
				 .nr_iov = 2 };

	return window_copy(r->window, &io);
}

static blkcnt_t nr_blocks(const struct rig *r)
{
	struct stat sb = { 0 };

	UNIT_CHECK(fstat(r->fd, &sb) == 0);
	return sb.st_blocks;
}

static void what_is_there_is_copied_both_ways(void)
{
	uint8_t a[3 * PAGE], b[sizeof(a)];
	struct rig r;

	UNIT_REQUIRE(rig_open(&r));
	for (size_t i = 0; i < sizeof(a); i++)
		a[i] = (uint8_t)(i * 7 + i / PAGE);
	UNIT_REQUIRE(pwrite(r.fd, a, sizeof(a), PAGE) == sizeof(a));
	UNIT_CHECK(copy(&r, STORAGE_READ, PAGE + 512, b, 2 * PAGE));
	UNIT_CHECK(memcmp(b, a + 512, 2 * PAGE) == 0);
	UNIT_CHECK(copy(&r, STORAGE_WRITE, PAGE + 1024, a, PAGE));
	UNIT_REQUIRE(pread(r.fd, b, PAGE, PAGE + 1024) == PAGE);
	UNIT_CHECK(memcmp(a, b, PAGE) == 0);
	rig_close(&r);
}

static void a_hole_is_not_filled_by_looking(void)
{
	uint8_t a[2 * PAGE] = { 1 };
	struct rig r;

	UNIT_REQUIRE(rig_open(&r));
	UNIT_CHECK(!copy(&r, STORAGE_READ, 0, a, PAGE));
	UNIT_CHECK(!copy(&r, STORAGE_WRITE, 0, a, PAGE));
	UNIT_CHECK(nr_blocks(&r) == 0);
	UNIT_REQUIRE(pwrite(r.fd, a, PAGE, 0) == PAGE);
	UNIT_CHECK(copy(&r, STORAGE_READ, 0, a, PAGE));
	/* One page of the two is still a hole. */
	UNIT_CHECK(!copy(&r, STORAGE_READ, PAGE / 2, a, PAGE));
	UNIT_CHECK(nr_blocks(&r) == PAGE / 512);

	/* What is punched is a hole again. */
	window_punch(r.window, 0, PAGE);
	UNIT_REQUIRE(fallocate(r.fd, FILE_PUNCH, 0, PAGE) == 0);
	UNIT_CHECK(!copy(&r, STORAGE_READ, 0, a, PAGE));
	UNIT_CHECK(nr_blocks(&r) == 0);
	/* The word of whoever wrote counts without a question. */
	UNIT_REQUIRE(pwrite(r.fd, a, PAGE, 0) == PAGE);
	window_wrote(r.window, 0, PAGE);
	UNIT_CHECK(copy(&r, STORAGE_WRITE, 0, a, PAGE));
	rig_close(&r);
}

static void outside_of_it_is_somebody_elses(void)
{
	uint8_t a[2 * PAGE] = { 1 };
	struct rig r;

	UNIT_REQUIRE(rig_open(&r));
	UNIT_REQUIRE(pwrite(r.fd, a, PAGE, FILE_BYTES - PAGE) == PAGE);
	UNIT_CHECK(copy(&r, STORAGE_READ, FILE_BYTES - PAGE, a, PAGE));
	UNIT_CHECK(!copy(&r, STORAGE_READ, FILE_BYTES - PAGE, a, 2 * PAGE));
	UNIT_CHECK(!copy(&r, STORAGE_READ, FILE_BYTES, a, PAGE));
	UNIT_CHECK(!copy(&r, STORAGE_READ, UINT64_MAX - 511, a, PAGE));
	/* A file that grew goes by system calls there. */
	window_wrote(r.window, FILE_BYTES - PAGE, 4 * PAGE);
	UNIT_CHECK(!copy(&r, STORAGE_READ, FILE_BYTES, a, PAGE));
	rig_close(&r);
}

static void a_file_that_is_cut_costs_an_error(void)
{
	uint8_t a[2 * PAGE] = { 1 };
	struct rig r;

	UNIT_REQUIRE(rig_open(&r));
	UNIT_REQUIRE(pwrite(r.fd, a, sizeof(a), 0) == sizeof(a));
	UNIT_CHECK(copy(&r, STORAGE_READ, 0, a, sizeof(a)));
	for (int i = 0; i < 3; i++) {
		UNIT_REQUIRE(ftruncate(r.fd, PAGE) == 0);
		window_wrote(r.window, 0, sizeof(a));
		UNIT_CHECK(!copy(&r, STORAGE_READ, 0, a, sizeof(a)));
		window_wrote(r.window, 0, sizeof(a));
		UNIT_CHECK(!copy(&r, STORAGE_WRITE, PAGE, a, PAGE));
		UNIT_CHECK(copy(&r, STORAGE_WRITE, 0, a, PAGE));
		/* And back: as before. */
		UNIT_REQUIRE(pwrite(r.fd, a, sizeof(a), 0) == sizeof(a));
		UNIT_CHECK(copy(&r, STORAGE_READ, 0, a, sizeof(a)));
	}
	rig_close(&r);
}

UNIT_MAIN("storage_window", UNIT_TEST(what_is_there_is_copied_both_ways),
	  UNIT_TEST(a_hole_is_not_filled_by_looking),
	  UNIT_TEST(outside_of_it_is_somebody_elses),
	  UNIT_TEST(a_file_that_is_cut_costs_an_error))
