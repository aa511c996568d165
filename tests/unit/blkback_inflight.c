/* SPDX-License-Identifier: MIT */
/*
 * blkback_inflight.c - the in-flight record: what counts as unanswered, and
 * that no bytes in it, however wrong, do harm. (Deaths at every instruction:
 * tests/sim/blk_recovery.c.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkback/inflight.h"
#include "tests/unit/unit.h"

#define DOMID  7
#define HANDLE 51712u

static const struct inflight_params good = {
	.domid = DOMID,
	.handle = HANDLE,
	.nr_queues = 1,
	.ring_refs = { 8 },
	.evtchn_port = 3,
	.layout = BLK_LAYOUT_X86_64,
	.features = INFLIGHT_PERSISTENT,
};

static struct blk_raw raw_of(uint8_t byte)
{
	struct blk_raw raw;

	memset(&raw, byte, sizeof(raw));
	return raw;
}

static struct inflight *make(void)
{
	struct inflight *f;

	return inflight_create(&good, &f) ? NULL : f;
}

/* As a successor would. */
static struct inflight *again(const struct inflight *f)
{
	struct inflight *next;
	int fd = dup(inflight_fd(f));

	if (inflight_attach(fd, DOMID, HANDLE, 0, &next)) {
		close(fd);
		return NULL;
	}
	return next;
}

static uint32_t recover(struct inflight *f, uint32_t *slots,
			struct blk_raw *raws)
{
	return inflight_recover(f, slots, raws);
}

static void a_new_record_has_nothing_in_it(void)
{
	struct inflight *f = make(), *next;
	uint32_t slots[32];
	struct blk_raw raws[32];

	UNIT_REQUIRE(f != NULL);
	next = again(f);
	UNIT_REQUIRE(next != NULL);
	UNIT_CHECK(memcmp(inflight_params(next), &good, sizeof(good)) == 0);
	UNIT_CHECK(inflight_nr_slots(inflight_params(next)) == 32);
	UNIT_CHECK(inflight_consumed(next) == 0);
	UNIT_CHECK(inflight_answered(next) == 0);
	UNIT_CHECK(recover(next, slots, raws) == 0);
	inflight_close(next);
	inflight_close(f);
}

static void what_is_unanswered_comes_back_oldest_first(void)
{
	struct inflight *f = make(), *next;
	uint32_t slots[32];
	struct blk_raw raws[32];

	UNIT_REQUIRE(f != NULL);
	for (uint8_t i = 0; i < 32; i++) {
		struct blk_raw raw = raw_of(i);

		inflight_consume(f, 31u - i, &raw);
	}
	/* Answered out of order; slot 31 - i holds request i. */
	for (uint8_t i = 0; i < 32; i++)
		if (i % 3)
			inflight_answer(f, 31u - i);
	next = again(f);
	UNIT_REQUIRE(next != NULL);
	UNIT_CHECK(inflight_consumed(next) == 32);
	UNIT_CHECK(inflight_answered(next) == 21);
	UNIT_CHECK(recover(next, slots, raws) == 11);
	for (uint32_t i = 0; i < 11; i++) {
		struct blk_raw raw = raw_of((uint8_t)(i * 3));

		UNIT_CHECK(slots[i] == 31 - i * 3);
		UNIT_CHECK(memcmp(&raws[i], &raw, sizeof(raw)) == 0);
	}
	inflight_close(next);
	inflight_close(f);
}

static void a_slow_request_outlives_any_number_of_fast_ones(void)
{
	struct inflight *f = make(), *next;
	struct blk_raw slow = raw_of(1), fast = raw_of(2), raws[32];
	uint32_t slots[32];

	UNIT_REQUIRE(f != NULL);
	inflight_consume(f, 5, &slow);
	for (uint32_t i = 0; i < 100000; i++) {
		inflight_consume(f, 6 + i % 2, &fast);
		inflight_answer(f, 6 + i % 2);
	}
	next = again(f);
	UNIT_REQUIRE(next != NULL);
	UNIT_CHECK(inflight_consumed(next) == 100001);
	UNIT_CHECK(inflight_answered(next) == 100000);
	UNIT_CHECK(recover(next, slots, raws) == 1);
	UNIT_CHECK(slots[0] == 5 && raws[0].bytes[0] == 1);
	/* The successor goes on, dies too, and nothing comes back twice. */
	inflight_consume(next, 6, &fast);
	inflight_answer(next, 5);
	inflight_close(f);
	f = again(next);
	UNIT_REQUIRE(f != NULL);
	UNIT_CHECK(recover(f, slots, raws) == 1);
	UNIT_CHECK(slots[0] == 6);
	inflight_close(f);
	inflight_close(next);
}

static void parameters_out_of_bounds_are_refused(void)
{
	struct inflight_params p;
	struct inflight *f;

	p = good;
	p.ring_order = INFLIGHT_RING_ORDER_MAX + 1;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
	p = good;
	p.layout = BLK_NR_LAYOUTS;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
	p = good;
	p.domid = DOMID_FIRST_RESERVED;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
	p = good;
	p.features = 8;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
	p = good;
	p.nr_queues = 0;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
	p.nr_queues = INFLIGHT_QUEUES_MAX + 1;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
	p.nr_queues = 2;
	p.queue = 2;
	UNIT_CHECK(inflight_create(&p, &f) == -EINVAL);
}

static void every_ring_order_fits(void)
{
	for (uint32_t order = 0; order <= INFLIGHT_RING_ORDER_MAX; order++) {
		struct inflight_params p = good;
		struct inflight *f, *next;

		p.ring_order = order;
		UNIT_CHECK(inflight_nr_slots(&p) == 32u << order);
		UNIT_REQUIRE(inflight_create(&p, &f) == 0);
		next = again(f);
		UNIT_CHECK(next != NULL);
		inflight_close(next);
		inflight_close(f);
	}
}

static void another_devices_record_is_refused(void)
{
	struct inflight *f = make(), *next;
	int fd;

	UNIT_REQUIRE(f != NULL);
	fd = dup(inflight_fd(f));
	UNIT_CHECK(inflight_attach(fd, DOMID + 1, HANDLE, 0, &next) == -EPROTO);
	UNIT_CHECK(inflight_attach(fd, DOMID, HANDLE + 16, 0, &next) ==
		   -EPROTO);
	UNIT_CHECK(inflight_attach(fd, DOMID, HANDLE, 1, &next) == -EPROTO);
	/* Not taken over: still ours to close. */
	UNIT_CHECK(close(fd) == 0);
	inflight_close(f);
}

static void what_is_no_record_is_refused(void)
{
	struct inflight *next;
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	UNIT_CHECK(inflight_attach(null, DOMID, HANDLE, 0, &next) == -EPROTO);
	UNIT_CHECK(inflight_attach(-1, DOMID, HANDLE, 0, &next) == -EPROTO);
	UNIT_REQUIRE(ftruncate(fd, 8192) == 0);
	UNIT_CHECK(inflight_attach(fd, DOMID, HANDLE, 0, &next) == -EPROTO);
	UNIT_REQUIRE(fcntl(fd, F_ADD_SEALS,
			   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	UNIT_CHECK(inflight_attach(fd, DOMID, HANDLE, 0, &next) == -EPROTO);
	close(fd);
	close(null);
}

/*
 * Change the record in every way that fits a byte: it is refused, or what comes
 * out of it keeps within bounds. ASan sees the rest.
 */
static void no_changed_byte_does_harm(void)
{
	static const uint8_t flips[] = { 0x01, 0x02, 0x80, 0xff };
	struct inflight *f = make();
	unsigned nr_refused = 0, nr_taken = 0, wrong = 0;
	struct stat st;
	uint8_t *bytes;

	UNIT_REQUIRE(f != NULL);
	for (uint8_t i = 0; i < 20; i++) {
		struct blk_raw raw = raw_of(i);

		inflight_consume(f, i, &raw);
		if (i % 2)
			inflight_answer(f, i);
	}
	UNIT_REQUIRE(fstat(inflight_fd(f), &st) == 0);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED, inflight_fd(f), 0);
	UNIT_REQUIRE(bytes != MAP_FAILED);
	for (off_t at = 0; at < st.st_size; at++)
		for (size_t k = 0; k < sizeof(flips); k++) {
			uint8_t *copy = malloc((size_t)st.st_size);
			struct blk_raw raws[32];
			struct inflight *next;
			uint32_t slots[32], nr;

			if (!copy)
				break;
			memcpy(copy, bytes, (size_t)st.st_size);
			bytes[at] ^= flips[k];
			next = again(f);
			nr_refused += !next;
			if (next) {
				nr_taken++;
				nr = recover(next, slots, raws);
				wrong += nr > 32;
				for (uint32_t i = 0; i < nr; i++)
					wrong += slots[i] >= 32;
			}
			inflight_close(next);
			memcpy(bytes, copy, (size_t)st.st_size);
			free(copy);
		}
	UNIT_CHECK(wrong == 0);
	UNIT_CHECK(nr_refused > 100);
	UNIT_CHECK(nr_taken > 100);
	munmap(bytes, (size_t)st.st_size);
	inflight_close(f);
}

UNIT_MAIN("blkback_inflight", UNIT_TEST(a_new_record_has_nothing_in_it),
	  UNIT_TEST(what_is_unanswered_comes_back_oldest_first),
	  UNIT_TEST(a_slow_request_outlives_any_number_of_fast_ones),
	  UNIT_TEST(parameters_out_of_bounds_are_refused),
	  UNIT_TEST(every_ring_order_fits),
	  UNIT_TEST(another_devices_record_is_refused),
	  UNIT_TEST(what_is_no_record_is_refused),
	  UNIT_TEST(no_changed_byte_does_harm))
