/* SPDX-License-Identifier: MIT */
/*
 * blk_backend_lies.c - a backend that lies to its frontend over one ring of
 * several (section B of the threats: XSA-155's front half, XSA-376,
 * CVE-2026-72380): ids out of range, free or answered twice, another operation,
 * a status that is none, a response index that jumps ahead or moves back. Every
 * callback runs exactly once, what was answered honestly stays so, the rest is
 * an I/O error, and the process lives. blk_backend_acts.c has what is no lie.
 */
#include "blkfront/blkfront.h"

#include "tests/unit/blkfront_backend.h"
#include "tests/unit/unit.h"

#define NR_IOS	  40u
#define BUF_BYTES (15u * PV_PAGE_SIZE)

static struct rig rig;
static uint8_t *disk;

struct counted_io {
	struct blkfront_io io;
	unsigned nr_done;
};

static struct counted_io ios[NR_IOS];
static unsigned nr_done;

static void count_done(struct blkfront_io *io)
{
	((struct counted_io *)io)->nr_done++;
	nr_done++;
}

/* One thread owns all queues here. Returns what queue 0's poll says at last. */
static int poll_until_lost(struct blkfront *bf, unsigned nr_queues)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (clock_now_ns() < end_ns) {
		struct pollfd pfd[2];
		bool busy = false;
		int err = 0;

		for (unsigned i = nr_queues; i-- > 0;) {
			struct blkfront_queue *q = blkfront_queue(bf, i);

			err = blkfront_queue_poll(q);
			busy = blkfront_queue_arm(q) || busy;
			pfd[i] = (struct pollfd){ .fd = blkfront_queue_fd(q),
						  .events = POLLIN };
		}
		if (err < 0 && nr_done == NR_IOS)
			return err;
		if (!busy)
			poll(pfd, nr_queues, 50);
	}
	return 0;
}

static void check_callbacks(void)
{
	unsigned nr_good = 0;

	UNIT_CHECK(nr_done == NR_IOS);
	for (unsigned i = 0; i < NR_IOS; i++) {
		UNIT_CHECK(ios[i].nr_done == 1);
		nr_good += ios[i].io.result == 0;
		UNIT_CHECK(ios[i].io.result == 0 || ios[i].io.result == -EIO);
	}
	UNIT_CHECK(nr_good < NR_IOS);
}

static void submit_all(struct blkfront *bf, uint8_t *buf, unsigned nr_queues)
{
	nr_done = 0;
	memset(ios, 0, sizeof(ios));
	for (unsigned i = 0; i < NR_IOS; i++) {
		struct blkfront_queue *q = blkfront_queue(bf, i % nr_queues);

		/* one in four needs a page for its segments */
		size_t size_bytes = i % 4 ? 512 : BUF_BYTES;

		ios[i].io = (struct blkfront_io){ .op = BLKFRONT_READ,
						  .offset_bytes = i * 512,
						  .size_bytes = size_bytes,
						  .buf = buf,
						  .done = count_done };
		UNIT_CHECK(blkfront_queue_submit(q, &ios[i].io) == 0);
	}
	for (unsigned i = 0; i < nr_queues; i++)
		blkfront_queue_kick(blkfront_queue(bf, i));
}

/* Reads in flight, lie_after honest answers, then the lie on the last ring. */
static void expect_survival(enum lie lie, unsigned lie_after,
			    unsigned nr_queues)
{
	struct backend be = { .sectors = "8192",
			      .lie = lie,
			      .lie_after = lie_after,
			      .lie_ring = nr_queues - 1,
			      .max_queues = nr_queues,
			      .max_segments = 64,
			      .ring_order = lie_after % 5 };
	struct blkfront_config config = { .handle = RIG_VDEV,
					  .nr_queues = nr_queues };
	struct blkfront *bf;
	uint8_t *buf;
	char why[256];

	disk = be.disk = calloc(1, RIG_DISK_BYTES);
	UNIT_REQUIRE(rig_open(&rig) == 0);
	UNIT_REQUIRE(backend_start(&be, &rig) == 0);
	config.run_dir = rig.run_dir;
	config.domid = rig.guest;
	UNIT_REQUIRE(blkfront_open(&config, &bf, why, sizeof(why)) == 0);
	buf = blkfront_buf_alloc(bf, BUF_BYTES);
	UNIT_REQUIRE(buf != NULL);
	submit_all(bf, buf, nr_queues);
	UNIT_CHECK(poll_until_lost(bf, nr_queues) == -EPROTO);
	check_callbacks();
	UNIT_CHECK(blkfront_submit(bf, &ios[0].io) == -ESHUTDOWN);
	blkfront_close(bf);
	UNIT_CHECK(nr_done == NR_IOS);
	UNIT_CHECK(rig_state(rig.xs, rig.front) == XenbusStateClosed);
	backend_stop(&be);
	rig_close(&rig);
	free(disk);
}

#define LIE_TEST(name, lie)                                                    \
	static void name(void)                                                 \
	{                                                                      \
		expect_survival(lie, 0, 1);                                    \
		expect_survival(lie, 7, 1);                                    \
		expect_survival(lie, 14, 2);                                   \
	}

LIE_TEST(xsa_155_survives_an_id_of_the_number_of_slots, LIE_ID_TOO_LARGE)
LIE_TEST(xsa_155_survives_an_id_of_two_to_the_32_less_one, LIE_ID_MAX)
LIE_TEST(xsa_155_survives_an_id_that_is_not_in_flight, LIE_ID_FREE)
LIE_TEST(xsa_155_survives_an_answer_given_twice, LIE_ID_TWICE)
LIE_TEST(xsa_155_survives_an_answer_for_another_operation, LIE_OPERATION)
LIE_TEST(xsa_155_survives_a_status_that_is_none, LIE_STATUS)
LIE_TEST(xsa_155_survives_one_response_too_many, LIE_PROD_JUMP)
LIE_TEST(xsa_155_survives_a_response_index_moved_back, LIE_PROD_BACKWARD)

UNIT_MAIN("blk_backend_lies",
	  UNIT_TEST(xsa_155_survives_an_id_of_the_number_of_slots),
	  UNIT_TEST(xsa_155_survives_an_id_of_two_to_the_32_less_one),
	  UNIT_TEST(xsa_155_survives_an_id_that_is_not_in_flight),
	  UNIT_TEST(xsa_155_survives_an_answer_given_twice),
	  UNIT_TEST(xsa_155_survives_an_answer_for_another_operation),
	  UNIT_TEST(xsa_155_survives_a_status_that_is_none),
	  UNIT_TEST(xsa_155_survives_one_response_too_many),
	  UNIT_TEST(xsa_155_survives_a_response_index_moved_back))
