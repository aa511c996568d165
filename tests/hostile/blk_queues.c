/* SPDX-License-Identifier: MIT */
/*
 * blk_queues.c - frontends with rings of sixteen pages, and with two rings in
 * which they lie at the same time. THREATS.md section A: CVE-2010-4247, XSA-39,
 * XSA-86 (producer index), XSA-71, XSA-229, in larger shapes.
 */
#include "tests/hostile/blk_guest.h"

#define LARGE_ORDER 4u

static void setup_large(enum blk_layout layout)
{
	struct inflight_params like = { .nr_queues = 1,
					.ring_order = LARGE_ORDER,
					.layout = layout,
					.features = INFLIGHT_PERSISTENT };

	setup_like(0, &like);
}

/* All of the ring at once, more often than it has slots. */
static void sixteen_pages_may_be_full(void)
{
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		uint32_t nr;

		setup_large(layout);
		nr = a.ring.nr_slots;
		UNIT_CHECK(nr == 32u << LARGE_ORDER);
		for (unsigned round = 0; round < 3; round++) {
			uint64_t before = a.next_id, id, sum = 0;

			for (uint32_t i = 0; i < nr; i++) {
				struct blkif_request req = request(
					&a, BLKIF_OP_READ, 1, i % 256 * 8);

				put(&a, &req);
			}
			show(&a);
			for (uint32_t i = 0; i < nr; i++) {
				UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
				sum += id - before;
			}
			UNIT_CHECK(sum == (uint64_t)nr * (nr + 1) / 2);
		}
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

/* One more than there are slots, and what a ring of one page would allow. */
static void an_impossible_producer_of_sixteen_pages_stops_its_disk_only(void)
{
	static const int64_t steps[] = { 513,  1024, 1u << 31, -1,
					 -511, -512, -513,     INT32_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(steps) * BLK_NR_LAYOUTS; i++) {
		setup_large(i % BLK_NR_LAYOUTS);
		UNIT_CHECK(disk_works(&a));
		set_producer(&a, (uint32_t)(a.ring.req_prod +
					    steps[i / BLK_NR_LAYOUTS]));
		UNIT_CHECK(faults(&a, -EPROTO));
		UNIT_CHECK(disk_works(&b));
		stop(&a);
		teardown();
	}
}

/* Each of the slots, the last page's too, is checked as the first is. */
static void a_lie_in_any_slot_of_sixteen_pages_is_answered(void)
{
	setup_large(BLK_LAYOUT_X86_64);
	for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
		struct blkif_request req = request(&a, BLKIF_OP_WRITE, 11, 0);

		if (i % 3 == 0)
			req.seg[i % 11].gref = UINT32_MAX - i;
		else if (i % 3 == 1)
			req.seg[i % 11].last_sect = 8;
		else
			req.sector_number = NR_SECTORS - 87;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	}
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

/* ---- two queues
 * --------------------------------------------------------------
 */

static struct guest second; /* a's other queue */
static struct worker *second_worker;

static void setup_two(uint32_t features)
{
	struct inflight_params like = { .nr_queues = 2,
					.layout = BLK_LAYOUT_X86_64,
					.features = features };

	setup_like(0, &like);
	like.queue = 1;
	world_must(!worker_open("blk-second", 20000, &second_worker), "worker");
	guest_open_second(&second, &a, &like, second_worker);
}

static void teardown_two(void)
{
	guest_close(&second);
	worker_close(second_worker);
	teardown();
}

struct liar {
	struct guest *g;
	pthread_t thread;
	unsigned nr_wrong;
};

/* A lie, and what must be answered. */
static int16_t tell(struct guest *g, unsigned n)
{
	struct blkif_request req = request(g, BLKIF_OP_READ, 11, 0);
	struct blkif_request_indirect far = {
		.operation = BLKIF_OP_INDIRECT,
		.indirect_op = BLKIF_OP_READ,
		.nr_segments = 256,
		.id = req.id,
		.indirect_grefs = { UINT32_MAX - n },
	};

	switch (n % 5) {
	case 0: req.seg[n % 11].gref = UINT32_MAX - n; break;
	case 1: req.seg[n % 11].first_sect = 8; break;
	case 2: req.sector_number = UINT64_MAX - n; break;
	case 3: put_indirect(g, &far); return BLKIF_RSP_ERROR;
	default: /* the truth, of pages that the other queue uses as well */
		req.operation = BLKIF_OP_WRITE;
		req.sector_number = g->first ? NR_SECTORS / 2 : 0;
		put(g, &req);
		return BLKIF_RSP_OKAY;
	}
	put(g, &req);
	return BLKIF_RSP_ERROR;
}

static void *lie(void *arg)
{
	struct liar *liar = arg;
	struct guest *g = liar->g;
	int16_t want[32];
	uint64_t id = 0;

	for (unsigned round = 0; round < 200; round++) {
		uint64_t first = g->next_id + 1;

		for (unsigned i = 0; i < 32; i++)
			want[i] = tell(g, round + i);
		show(g);
		for (unsigned i = 0; i < 32; i++) {
			int16_t status = collect(g, &id);

			liar->nr_wrong +=
				id - first >= 32 || want[id - first] != status;
		}
	}
	return NULL;
}

static void two_queues_that_lie_at_once_get_each_its_own_answers(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		struct liar liars[] = { { .g = &a }, { .g = &second } };

		setup_two(persistent ? INFLIGHT_PERSISTENT : 0);
		for (unsigned i = 0; i < 2; i++)
			world_must(!pthread_create(&liars[i].thread, NULL, lie,
						   &liars[i]),
				   "thread");
		for (unsigned i = 0; i < 50; i++)
			UNIT_CHECK(disk_works(&b));
		for (unsigned i = 0; i < 2; i++) {
			pthread_join(liars[i].thread, NULL);
			UNIT_CHECK(liars[i].nr_wrong == 0);
		}
		UNIT_CHECK(!blkback_queue_fault(a.queue));
		UNIT_CHECK(!blkback_queue_fault(second.queue));
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&second));
		UNIT_CHECK(disk_works(&b));
		/* And nothing stays mapped: guest_close looks. */
		teardown_two();
	}
}

static void two_impossible_producers_at_once_stop_two_queues(void)
{
	setup_two(INFLIGHT_PERSISTENT);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&second));
	set_producer(&a, a.ring.req_prod + 33);
	set_producer(&second, second.ring.req_prod - 1);
	UNIT_CHECK(faults(&a, -EPROTO));
	UNIT_CHECK(faults(&second, -EPROTO));
	UNIT_CHECK(disk_works(&b));
	teardown_two();
}

/* The disk's monitor ends both; until then they are two rings. */
static void one_impossible_producer_is_not_the_other_queues(void)
{
	setup_two(INFLIGHT_PERSISTENT);
	set_producer(&second, second.ring.req_prod + 33);
	UNIT_CHECK(faults(&second, -EPROTO));
	UNIT_CHECK(!blkback_queue_fault(a.queue));
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown_two();
}

UNIT_MAIN(
	"blk_queues", UNIT_TEST(sixteen_pages_may_be_full),
	UNIT_TEST(an_impossible_producer_of_sixteen_pages_stops_its_disk_only),
	UNIT_TEST(a_lie_in_any_slot_of_sixteen_pages_is_answered),
	UNIT_TEST(two_queues_that_lie_at_once_get_each_its_own_answers),
	UNIT_TEST(two_impossible_producers_at_once_stop_two_queues),
	UNIT_TEST(one_impossible_producer_is_not_the_other_queues))
