/* SPDX-License-Identifier: MIT */
/*
 * blkback_lies.c - a backend that lies to its frontend (XSA-155's front half,
 * XSA-376, CVE-2026-72380): ids out of range, free or answered twice, another
 * operation, a status that is none, a response index that jumps ahead or moves
 * back. Every callback runs exactly once, what was answered honestly stays so,
 * the rest is an I/O error, the process lives, and a disk that did not lie goes
 * on being served.
 */
#include "blkfront/blkfront.h"

#include "tests/unit/blkfront_backend.h"
#include "tests/unit/unit.h"

#define NR_IOS 40u

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

static int poll_until_lost(struct blkfront *bf)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };
		int err = blkfront_poll(bf);

		if (err < 0)
			return err;
		if (!blkfront_arm(bf))
			poll(&pfd, 1, 50);
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

/* Reads in flight, lie_after honest answers, then the lie. */
static void expect_survival(enum lie lie, unsigned lie_after)
{
	struct backend be = { .sectors = "8192",
			      .lie = lie,
			      .lie_after = lie_after,
			      .ring_order = lie_after % 3 };
	struct blkfront_config config = { .handle = RIG_VDEV };
	struct blkfront *bf;
	uint8_t *buf;
	char why[256];

	disk = be.disk = calloc(1, RIG_DISK_BYTES);
	UNIT_REQUIRE(rig_open(&rig) == 0);
	UNIT_REQUIRE(backend_start(&be, &rig) == 0);
	config.run_dir = rig.run_dir;
	config.domid = rig.guest;
	UNIT_REQUIRE(blkfront_open(&config, &bf, why, sizeof(why)) == 0);
	buf = blkfront_buf_alloc(bf, NR_IOS * 512);
	UNIT_REQUIRE(buf != NULL);
	nr_done = 0;
	memset(ios, 0, sizeof(ios));
	for (unsigned i = 0; i < NR_IOS; i++) {
		ios[i].io = (struct blkfront_io){ .op = BLKFRONT_READ,
						  .offset_bytes = i * 512,
						  .size_bytes = 512,
						  .buf = buf + i * 512,
						  .done = count_done };
		UNIT_CHECK(blkfront_submit(bf, &ios[i].io) == 0);
	}
	blkfront_kick(bf);
	UNIT_CHECK(poll_until_lost(bf) == -EPROTO);
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
		expect_survival(lie, 0);                                       \
		expect_survival(lie, 7);                                       \
		expect_survival(lie, 32);                                      \
	}

LIE_TEST(survives_an_id_of_the_number_of_slots, LIE_ID_TOO_LARGE)
LIE_TEST(survives_an_id_of_two_to_the_32_less_one, LIE_ID_MAX)
LIE_TEST(survives_an_id_that_is_not_in_flight, LIE_ID_FREE)
LIE_TEST(survives_an_answer_given_twice, LIE_ID_TWICE)
LIE_TEST(survives_an_answer_for_another_operation, LIE_OPERATION)
LIE_TEST(survives_a_status_that_is_none, LIE_STATUS)
LIE_TEST(survives_one_response_too_many, LIE_PROD_JUMP)
LIE_TEST(survives_a_response_index_moved_back, LIE_PROD_BACKWARD)

UNIT_MAIN("blkback_lies", UNIT_TEST(survives_an_id_of_the_number_of_slots),
	  UNIT_TEST(survives_an_id_of_two_to_the_32_less_one),
	  UNIT_TEST(survives_an_id_that_is_not_in_flight),
	  UNIT_TEST(survives_an_answer_given_twice),
	  UNIT_TEST(survives_an_answer_for_another_operation),
	  UNIT_TEST(survives_a_status_that_is_none),
	  UNIT_TEST(survives_one_response_too_many),
	  UNIT_TEST(survives_a_response_index_moved_back))
