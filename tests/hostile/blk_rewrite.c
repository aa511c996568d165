/* SPDX-License-Identifier: MIT */
/*
 * blk_rewrite.c - frontends that rewrite what we are reading. THREATS.md
 * section A: XSA-155: what counts is our copy.
 */
#include <stdatomic.h>

#include "tests/hostile/blk_guest.h"

struct flipper {
	volatile uint8_t *slots;
	_Atomic bool stop;
};

/* A race by design: the sanitizer need not look. */
__attribute__((no_sanitize("thread"))) static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop))
		for (unsigned i = 0; i < 32 * 112; i += 112) {
			f->slots[i + 1] ^= 0xf0;  /* nr_segments */
			f->slots[i + 16] ^= 0x08; /* sector */
			f->slots[i + 24] ^= 0xff; /* gref */
			f->slots[i + 29] ^= 0xff; /* last_sect */
		}
	return NULL;
}

static void a_rewritten_slot_is_its_copy_or_an_error(void)
{
	struct flipper f = { .slots = NULL };
	pthread_t thread;
	uint64_t id;

	setup();
	f.slots = (uint8_t *)a.ring_pages.base + 64;
	world_must(!pthread_create(&thread, NULL, flip, &f), "thread");
	for (unsigned round = 0; round < 400; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			struct blkif_request req =
				request(&a, BLKIF_OP_WRITE, 2, 0);

			put(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < 8; i++)
			(void)collect(&a, &id); /* it is rewritten too */
	}
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	UNIT_CHECK(blkback_queue_fault(a.queue) == 0);
	UNIT_CHECK(a.ring.rsp_cons == a.ring.req_prod);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

/* Segments of pages that are there, or are not. */
__attribute__((no_sanitize("thread"))) static void *flip_segments(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop))
		for (unsigned i = 0; i < 64 * 8; i += 8) {
			f->slots[i] ^= 0x04;	 /* gref */
			f->slots[i + 3] ^= 0x80; /* gref, far away */
			f->slots[i + 4] ^= 0x81; /* first_sect */
			f->slots[i + 5] ^= 0xf0; /* last_sect */
		}
	return NULL;
}

static void rewritten_segments_are_their_copy_or_an_error(void)
{
	struct flipper f = { .slots = NULL };
	unsigned nr_good = 0, nr_answers = 0;
	struct blkif_request_indirect req;
	pthread_t thread;
	uint64_t id;

	setup();
	req = indirect(&a, BLKIF_OP_READ, 64, 0);
	f.slots = a.indirect.base;
	world_must(!pthread_create(&thread, NULL, flip_segments, &f), "thread");
	for (unsigned round = 0; round < 500; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			req.id = ++a.next_id;
			req.nr_segments = (uint16_t)(1u << i % 7);
			put_indirect(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < 8; i++) {
			int16_t status = collect(&a, &id);

			nr_good += status == BLKIF_RSP_OKAY;
			nr_answers += status == BLKIF_RSP_OKAY ||
				      status == BLKIF_RSP_ERROR;
		}
	}
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	UNIT_CHECK(nr_answers == 500 * 8);
	UNIT_CHECK(nr_good > 0);
	UNIT_CHECK(blkback_queue_fault(a.queue) == 0);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

UNIT_MAIN("blk_rewrite", UNIT_TEST(a_rewritten_slot_is_its_copy_or_an_error),
	  UNIT_TEST(rewritten_segments_are_their_copy_or_an_error))
