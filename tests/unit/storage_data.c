/* SPDX-License-Identifier: MIT */
/*
 * storage_data.c - what every storage keeps: data of all shapes, batches,
 * flush, discard, its bounds; one done per io and none inside submit().
 */
#include "tests/unit/storage_suite.h"

static void data_written_is_data_read(void)
{
	uint8_t *a = buffer(65536), *b = buffer(65536);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		fill(a, 65536, (unsigned)w);
		UNIT_CHECK(r.desc.size_bytes == DISK_BYTES);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 4096, a, 65536) == 0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		memset(b, 0xee, 65536);
		UNIT_CHECK(one(&r, STORAGE_READ, 4096, b, 65536) == 0);
		if (ways[w].forgets)
			memset(a, 0, 65536);
		UNIT_CHECK(memcmp(a, b, 65536) == 0);
		rig_close(&r);
	}
	munmap(a, 65536);
	munmap(b, 65536);
}

static void memory_and_offset_of_512_bytes_are_enough(void)
{
	uint8_t *a = buffer(8192), *b = buffer(8192);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct tracked t;
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		fill(a, 8192, 40 + (unsigned)w);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 512, a + 512, 1536) == 0);
		/* The same bytes back, scattered. */
		memset(b, 0, 8192);
		prepare(&t, STORAGE_READ, 512, b + 7 * 512, 512);
		t.io.size_bytes = 1536;
		t.io.nr_iov = 3;
		t.iov[1] = (struct iovec){ b + 512, 512 };
		t.iov[2] = (struct iovec){ b + 3 * 512, 512 };
		UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
		UNIT_CHECK(wait_all(&r, &t, 1));
		UNIT_CHECK(t.io.result == 0);
		if (ways[w].forgets)
			memset(a, 0, 8192);
		UNIT_CHECK(memcmp(b + 7 * 512, a + 512, 512) == 0);
		UNIT_CHECK(memcmp(b + 512, a + 1024, 512) == 0);
		UNIT_CHECK(memcmp(b + 3 * 512, a + 1536, 512) == 0);
		rig_close(&r);
	}
	munmap(a, 8192);
	munmap(b, 8192);
}

/* Of a MiB of 0x5a, discard a range: is it zeros, and the rest as it was? */
static void check_discarded(struct rig *r, uint8_t *buf, uint64_t offset,
			    uint64_t size_bytes)
{
	uint64_t nr_wrong = 0;

	memset(buf, 0x5a, DISK_BYTES);
	UNIT_CHECK(one(r, STORAGE_WRITE, 0, buf, DISK_BYTES) == 0);
	UNIT_CHECK(one(r, STORAGE_DISCARD, offset, NULL, size_bytes) == 0);
	memset(buf, 0xee, DISK_BYTES);
	UNIT_CHECK(one(r, STORAGE_READ, 0, buf, DISK_BYTES) == 0);
	for (uint64_t i = 0; i < DISK_BYTES; i++) {
		bool in = i >= offset && i < offset + size_bytes;

		nr_wrong += buf[i] != (in ? 0 : 0x5a);
	}
	UNIT_CHECK(nr_wrong == 0);
}

static void a_discard_takes_its_range_and_nothing_else(void)
{
	uint8_t *a = buffer(DISK_BYTES);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(r.desc.flags & STORAGE_CAN_DISCARD);
		UNIT_CHECK(r.desc.discard_granularity_bytes >= 512);
		UNIT_CHECK(r.desc.discard_alignment_bytes <
			   r.desc.discard_granularity_bytes);
		UNIT_CHECK(one(&r, STORAGE_DISCARD, DISK_BYTES - 512, NULL,
			       1024) == -EINVAL);
		UNIT_CHECK(one(&r, STORAGE_DISCARD, UINT64_MAX - 511, NULL,
			       1024) == -EINVAL);
		if (!ways[w].forgets) {
			check_discarded(&r, a, 0, DISK_BYTES);
			check_discarded(&r, a, 65536, 131072);
			check_discarded(&r, a, 512, 512);
			check_discarded(&r, a, 3584, 9216);
			check_discarded(&r, a, DISK_BYTES - 512, 512);
		}
		rig_close(&r);
	}
	munmap(a, DISK_BYTES);
}

static void a_full_batch_is_done_once_each(void)
{
	uint8_t *a = buffer(DEPTH * 4096), *b = buffer(DEPTH * 4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct tracked t[DEPTH];
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		fill(a, DEPTH * 4096, 80 + (unsigned)w);
		for (unsigned pass = 0; pass < 2; pass++) {
			for (unsigned i = 0; i < DEPTH; i++) {
				size_t at = (size_t)i * 4096;

				prepare(&t[i],
					pass ? STORAGE_READ : STORAGE_WRITE, at,
					(pass ? b : a) + at, 4096);
				UNIT_REQUIRE(
					r.st->ops->submit(r.ch, &t[i].io) == 0);
				UNIT_CHECK(t[i].nr_done == 0);
			}
			UNIT_CHECK(wait_all(&r, t, DEPTH));
			for (unsigned i = 0; i < DEPTH; i++)
				UNIT_CHECK(t[i].nr_done == 1 &&
					   t[i].io.result == 0);
		}
		if (ways[w].forgets)
			memset(a, 0, DEPTH * 4096);
		UNIT_CHECK(memcmp(a, b, DEPTH * 4096) == 0);
		rig_close(&r);
	}
	munmap(a, DEPTH * 4096);
	munmap(b, DEPTH * 4096);
}

static void the_last_sector_is_there_and_the_next_is_not(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES - 512, a, 512) ==
			   0);
		UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES, a, 512) ==
			   -EINVAL);
		UNIT_CHECK(one(&r, STORAGE_WRITE, DISK_BYTES - 512, a, 1024) ==
			   -EINVAL);
		rig_close(&r);
	}
	munmap(a, 4096);
}

#define SHAPES	   400u
#define SHAPE_MAX  (96u << 10)
#define SHAPE_IOVS STORAGE_IOV_MAX

/* Cut size_bytes into pieces of sectors, each at a sector of its own place. */
static unsigned scatter(uint8_t *memory, size_t size_bytes, struct iovec *iov)
{
	unsigned nr = 0, at = 0;

	while (size_bytes) {
		size_t step = 512 * (1 + (size_t)rand() % 24);

		if (step > size_bytes || nr == SHAPE_IOVS - 1)
			step = size_bytes;
		at += 512 * ((unsigned)rand() % 3);
		iov[nr++] = (struct iovec){ memory + at, step };
		at += (unsigned)step;
		size_bytes -= step;
	}
	return nr;
}

/* One random operation against a copy in memory. */
static void try_shape(struct rig *r, uint8_t *disk, uint8_t *memory)
{
	static struct iovec iov[SHAPE_IOVS], kept[SHAPE_IOVS];
	size_t size = 512 * (1 + (size_t)rand() % (SHAPE_MAX / 512));
	size_t at = 512 * ((size_t)rand() % ((DISK_BYTES - size) / 512 + 1));
	bool write = rand() % 2;
	struct tracked t;
	unsigned nr = scatter(memory, size, iov);
	uint8_t *p = disk + at;

	memcpy(kept, iov, sizeof(kept));
	for (unsigned i = 0; i < nr; i++) {
		fill(iov[i].iov_base, iov[i].iov_len, (unsigned)rand());
		if (write)
			memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	prepare(&t, write ? STORAGE_WRITE : STORAGE_READ, at, NULL, size);
	t.io.iov = iov;
	t.io.nr_iov = nr;
	UNIT_REQUIRE(r->st->ops->submit(r->ch, &t.io) == 0);
	UNIT_CHECK(wait_all(r, &t, 1) && t.io.result == 0);
	p = disk + at;
	for (unsigned i = 0; i < nr && !write; i++) {
		UNIT_CHECK(memcmp(p, kept[i].iov_base, kept[i].iov_len) == 0);
		p += kept[i].iov_len;
	}
}

static void every_size_place_and_shape(void)
{
	uint8_t *disk = buffer(DISK_BYTES);
	uint8_t *memory = buffer(SHAPE_MAX + SHAPE_IOVS * 1024);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		if (ways[w].forgets)
			continue;
		srand((unsigned)w + 1);
		memset(disk, 0, DISK_BYTES);
		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, disk, DISK_BYTES) == 0);
		for (unsigned i = 0; i < SHAPES; i++)
			try_shape(&r, disk, memory);
		rig_close(&r);
	}
	munmap(disk, DISK_BYTES);
	munmap(memory, SHAPE_MAX + SHAPE_IOVS * 1024);
}

UNIT_MAIN("storage_data", UNIT_TEST(every_size_place_and_shape),
	  UNIT_TEST(data_written_is_data_read),
	  UNIT_TEST(memory_and_offset_of_512_bytes_are_enough),
	  UNIT_TEST(a_discard_takes_its_range_and_nothing_else),
	  UNIT_TEST(a_full_batch_is_done_once_each),
	  UNIT_TEST(the_last_sector_is_there_and_the_next_is_not),
	  UNIT_TEST(nothing_is_left_behind))
