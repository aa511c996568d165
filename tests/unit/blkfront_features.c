/* SPDX-License-Identifier: MIT */
/*
 * blkfront_features.c - the library against backends that offer everything,
 * something or nothing: several queues and their owners' threads, requests of
 * 1 MiB, discard, large sectors, another size while in use; and what becomes of
 * it all when another backend follows.
 */
#include "blkfront/blkfront.h"

#include "tests/unit/blkfront_backend.h"
#include "tests/unit/unit.h"

#define AREA_BYTES (1u << 20) /* of the disk, for each worker */
#define NR_WORKERS 3u
#define NR_IOS	   10u

static struct rig rig;
static uint8_t disk[RIG_DISK_BYTES];
static char why[256];

static struct backend nothing(void)
{
	return (struct backend){ .sectors = "8192", .disk = disk };
}

static struct backend everything(void)
{
	return (struct backend){ .sectors = "8192",
				 .flush = true,
				 .discard = true,
				 .max_queues = BACKEND_RINGS_MAX,
				 .max_segments = 4096,
				 .ring_order = 4,
				 .disk = disk };
}

static int begin(struct backend *be, struct blkfront_config *config,
		 struct blkfront **bf)
{
	int err = rig_open(&rig);

	memset(disk, 0, sizeof(disk));
	config->run_dir = rig.run_dir;
	config->domid = rig.guest;
	config->handle = RIG_VDEV;
	config->timeout_ns = RIG_WAIT_NS;
	if (!err)
		err = backend_start(be, &rig);
	if (!err)
		err = blkfront_open(config, bf, why, sizeof(why));
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

static bool has_node(const char *dir, const char *node)
{
	char text[64];

	return xs_read_str(rig.xs, XS_NO_TXN, dir, node, text, sizeof(text)) ==
	       0;
}

/* ---- one thread -----------------------------------------------------------
 */

static void a_backend_with_everything_is_used_wholly(void)
{
	struct blkfront_config config = { .nr_queues = 2 };
	struct backend be = everything();
	struct blkfront_info info;
	struct blkfront *bf;
	uint8_t *buf, gone[8192];

	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	blkfront_info(bf, &info);
	UNIT_CHECK(info.flush && info.discard && !info.secure_discard);
	UNIT_CHECK(info.discard_granularity_bytes == 512);
	UNIT_CHECK(info.max_request_bytes == 1 << 20);
	UNIT_CHECK(info.nr_queues == 2 && info.ring_pages == 16);
	UNIT_CHECK(has_node(rig.front, "multi-queue-num-queues"));
	UNIT_CHECK(has_node(rig.front, "queue-1/ring-ref15"));
	UNIT_CHECK(!has_node(rig.front, "event-channel"));
	UNIT_CHECK(!has_node(rig.front, "ring-ref0"));
	buf = blkfront_buf_alloc(bf, 1 << 20);
	UNIT_REQUIRE(buf != NULL);
	memset(buf, 0x5a, 1 << 20);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 4096, buf, 1 << 20));
	UNIT_CHECK(rig_disk_equal(disk + 4096, buf, 1 << 20));
	memset(gone, 0xdd, sizeof(gone));
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_DISCARD, 8192, NULL, 8192));
	UNIT_CHECK(rig_disk_equal(disk + 8192, gone, 8192));
	UNIT_CHECK(rig_disk_equal(disk + 16384, buf, 512));
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_SECURE_DISCARD, 0, NULL,
				    512) == -EOPNOTSUPP);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_DISCARD, 0, buf, 512) ==
		   -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_DISCARD, RIG_DISK_BYTES - 512,
				    NULL, 1024) == -EINVAL);
	finish(&be, bf);
	UNIT_CHECK(be.used_order == 4 && be.nr_rings == 2);
	UNIT_CHECK(be.nr_indirect == 1 && be.nr_discards == 1);
	UNIT_CHECK(be.nr_answered == 2);
}

static void a_backend_with_nothing_serves_too(void)
{
	struct blkfront_config config = { .nr_queues = 4 };
	struct backend be = nothing();
	struct blkfront_info info;
	struct blkfront *bf;
	uint8_t *buf;

	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	blkfront_info(bf, &info);
	UNIT_CHECK(!info.flush && !info.discard && info.nr_queues == 1);
	UNIT_CHECK(info.max_request_bytes == 11 * 4096);
	UNIT_CHECK(info.ring_pages == 1);
	UNIT_CHECK(has_node(rig.front, "ring-ref"));
	UNIT_CHECK(!has_node(rig.front, "ring-page-order"));
	UNIT_CHECK(!has_node(rig.front, "multi-queue-num-queues"));
	buf = blkfront_buf_alloc(bf, 1 << 20);
	UNIT_REQUIRE(buf != NULL);
	memset(buf, 0x77, 1 << 20);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 512, buf, 1 << 20));
	UNIT_CHECK(rig_disk_equal(disk + 512, buf, 1 << 20));
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_DISCARD, 0, NULL, 512) ==
		   -EOPNOTSUPP);
	finish(&be, bf);
	UNIT_CHECK(be.nr_answered == 24 && be.nr_indirect == 0);
}

static void a_disk_of_large_sectors_moves_whole_ones(void)
{
	struct blkfront_config config = { 0 };
	struct backend be = everything();
	struct blkfront_info info;
	struct blkfront *bf;
	uint8_t *buf;

	be.sector_size = "4096";
	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	UNIT_CHECK(has_node(rig.front, "feature-large-sector-size"));
	blkfront_info(bf, &info);
	UNIT_CHECK(info.sector_bytes == 4096 && info.physical_bytes == 4096);
	UNIT_CHECK(info.size_bytes ==
		   RIG_DISK_BYTES); /* in 512s all the same */
	buf = blkfront_buf_alloc(bf, 16384);
	UNIT_REQUIRE(buf != NULL);
	memset(buf, 0x11, 16384);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf, 512) == -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 512, buf, 4096) ==
		   -EINVAL);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 0, buf + 512, 4096) ==
		   -EINVAL);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_WRITE, 8192, buf, 8192));
	UNIT_CHECK(rig_disk_equal(disk + 8192, buf, 8192));
	UNIT_CHECK(disk[8191] == 0 && disk[16384] == 0);
	finish(&be, bf);
}

static void a_config_that_makes_no_sense_is_refused_with_a_sentence(void)
{
	static const struct blkfront_config configs[] = {
		{ .nr_queues = BLKFRONT_QUEUES_MAX + 1 },
		{ .ring_pages = 3 },
		{ .ring_pages = 32 },
		{ .buf_bytes = UINT64_MAX },
		{ .policy = BLKFRONT_FAIL + 1 },
	};
	struct blkfront *bf;

	for (unsigned i = 0; i < ARRAY_SIZE(configs); i++) {
		UNIT_CHECK(blkfront_open(&configs[i], &bf, why, sizeof(why)) ==
			   -EINVAL);
		UNIT_CHECK(strlen(why) > 0);
	}
}

/* ---- another size ---------------------------------------------------------
 */

static unsigned nr_resized;
static uint64_t resized_bytes;

static void note_size(void *arg, uint64_t size_bytes)
{
	UNIT_CHECK(arg == &rig);
	nr_resized++;
	resized_bytes = size_bytes;
}

static bool poll_for_resize(struct blkfront *bf, unsigned n, uint64_t wait_ns)
{
	uint64_t end_ns = clock_now_ns() + wait_ns;

	while (nr_resized < n && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };

		if (blkfront_poll(bf) < 0)
			return false;
		if (!blkfront_arm(bf))
			poll(&pfd, 1, 20);
	}
	return nr_resized >= n;
}

static void a_disk_grows_and_shrinks_while_it_is_used(void)
{
	static const char *const wrong[] = { "", "x", "-5", "1e3",
					     "99999999999999999999" };
	struct blkfront_config config = { .resized = note_size,
					  .resized_arg = &rig };
	struct backend be = everything();
	struct blkfront_info info;
	struct blkfront *bf;
	uint8_t *buf;

	be.sectors = "4096";
	nr_resized = 0;
	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 512);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 4096 * 512, buf, 512) ==
		   -EINVAL);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "sectors", "8192") == 0);
	UNIT_CHECK(poll_for_resize(bf, 1, RIG_WAIT_NS));
	UNIT_CHECK(resized_bytes == 8192 * 512);
	blkfront_info(bf, &info);
	UNIT_CHECK(info.size_bytes == 8192 * 512);
	UNIT_CHECK(!blkfront_rw_sync(bf, BLKFRONT_READ, 4096 * 512, buf, 512));
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		UNIT_REQUIRE(!rig_put(&rig, rig.back, "sectors", wrong[i]));
	UNIT_CHECK(!poll_for_resize(bf, 2, 100 * NS_PER_MS));
	UNIT_REQUIRE(rig_put(&rig, rig.back, "sectors", "8") == 0);
	UNIT_CHECK(poll_for_resize(bf, 2, RIG_WAIT_NS));
	UNIT_CHECK(resized_bytes == 4096);
	UNIT_CHECK(blkfront_rw_sync(bf, BLKFRONT_READ, 4096, buf, 512) ==
		   -EINVAL);
	finish(&be, bf);
	UNIT_CHECK(nr_resized == 2);
}

/* ---- several threads ------------------------------------------------------
 */

/* Writes its area of the disk again and again, from its own queue. */
struct worker {
	struct blkfront *bf;
	struct blkfront_queue *queue;
	unsigned nr;
	pthread_t thread, self; /* the test's to join, its own to compare */
	uint8_t *buf;
	struct blkfront_io ios[NR_IOS];
	unsigned nr_open, nr_done, nr_errors, nr_rounds;
	int lost;
	bool stop; /* the test's to the worker: atomic */
};

static struct worker workers[NR_WORKERS];

static void worker_done(struct blkfront_io *io)
{
	struct worker *w = &workers[io->offset_bytes / AREA_BYTES];

	if (!pthread_equal(pthread_self(), w->self))
		w->nr_errors++;
	w->nr_open--;
	w->nr_done++;
	w->nr_errors += io->result != 0;
}

/* 100 KiB each: a request with many segments, or three; and one discard. */
static void worker_submit(struct worker *w)
{
	memset(w->buf, (int)(w->nr_rounds * 16 + w->nr + 1), AREA_BYTES);
	for (unsigned i = 0; i < NR_IOS; i++) {
		w->ios[i] = (struct blkfront_io){
			.op = BLKFRONT_WRITE,
			.offset_bytes = w->nr * AREA_BYTES + i * 102400,
			.size_bytes = 102400,
			.buf = w->buf + i * 102400,
			.done = worker_done,
		};
		w->nr_open++;
		if (blkfront_queue_submit(w->queue, &w->ios[i])) {
			w->nr_open--;
			w->nr_errors++;
		}
	}
	blkfront_queue_kick(w->queue);
	w->nr_rounds++;
}

static bool worker_stopping(struct worker *w)
{
	/* Pairs with the store in workers_end(). */
	return __atomic_load_n(&w->stop, __ATOMIC_ACQUIRE);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t end_ns = clock_now_ns() + 3 * RIG_WAIT_NS;

	w->self = pthread_self();
	while (clock_now_ns() < end_ns && !w->lost) {
		struct pollfd pfd = { .fd = blkfront_queue_fd(w->queue),
				      .events = POLLIN };
		int got;

		if (w->nr_open == 0 && !worker_stopping(w))
			worker_submit(w);
		if (worker_stopping(w) && w->nr_open == 0)
			break;
		got = blkfront_queue_poll(w->queue);
		if (got < 0)
			w->lost = got;
		if (got == 0 && !blkfront_queue_arm(w->queue))
			poll(&pfd, 1, 50);
	}
	return NULL;
}

static void workers_start(struct blkfront *bf)
{
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		struct worker *w = &workers[i];

		w->bf = bf;
		w->nr = i;
		w->queue = blkfront_queue(bf, i);
		w->buf = blkfront_buf_alloc(bf, AREA_BYTES);
		UNIT_REQUIRE(w->queue && w->buf);
		UNIT_REQUIRE(!pthread_create(&w->thread, NULL, worker_run, w));
	}
}

/* Queue 0's owner goes last: it serves the store for the others. */
static void workers_end(void)
{
	for (unsigned i = NR_WORKERS; i-- > 0;) {
		/* Pairs with the load in worker_stopping(). */
		__atomic_store_n(&workers[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(workers[i].thread, NULL);
	}
}

static void workers_check(void)
{
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		struct worker *w = &workers[i];

		UNIT_CHECK(w->nr_errors == 0 && w->nr_open == 0 && !w->lost);
		UNIT_CHECK(w->nr_rounds > 0);
		UNIT_CHECK(w->nr_done == w->nr_rounds * NR_IOS);
		UNIT_CHECK(rig_disk_equal(disk + i * AREA_BYTES, w->buf,
					  NR_IOS * 102400));
	}
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void every_queue_has_its_ring_and_its_thread(void)
{
	struct blkfront_config config = { .nr_queues = NR_WORKERS };
	struct backend be = everything();
	struct blkfront *bf;

	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	UNIT_CHECK(blkfront_queue(bf, NR_WORKERS) == NULL);
	workers_start(bf);
	pause_ms(100);
	workers_end();
	workers_check();
	finish(&be, bf);
	UNIT_CHECK(be.nr_rings == NR_WORKERS && be.nr_indirect > 0);
	for (unsigned i = 0; i < NR_WORKERS; i++)
		UNIT_CHECK(be.nr_answered_on[i] >= NR_IOS);
}

static void queues_without_a_ring_go_through_anothers(void)
{
	struct blkfront_config config = { .nr_queues = NR_WORKERS };
	struct backend be = nothing();
	struct blkfront *bf;

	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	workers_start(bf);
	pause_ms(100);
	workers_end();
	workers_check();
	finish(&be, bf);
	UNIT_CHECK(be.nr_rings == 1);
}

/* The backends that follow one another, each in the middle of requests. */
static void backends_with_other_features_follow_and_nothing_is_lost(void)
{
	struct blkfront_config config = { .nr_queues = NR_WORKERS };
	struct backend be = everything();
	struct blkfront *bf;

	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	workers_start(bf);
	for (unsigned i = 0; i < 6; i++) {
		pause_ms(30);
		if (i % 2)
			backend_stop(&be);
		else
			backend_die(&be);
		be = i % 2 ? everything() : nothing();
		if (i == 2) {
			be.max_queues = 2;
			be.max_segments = 16;
			be.ring_order = 1;
		}
		be.restarted = true;
		UNIT_REQUIRE(backend_start(&be, &rig) == 0);
	}
	pause_ms(30);
	workers_end();
	workers_check();
	/* One more, for the last of them: it is connected by then. */
	UNIT_CHECK(
		!blkfront_rw_sync(bf, BLKFRONT_READ, 0, workers[0].buf, 512));
	finish(&be, bf);
	UNIT_CHECK(be.nr_rings == NR_WORKERS);
}

static void a_lie_on_one_ring_ends_all_queues(void)
{
	struct blkfront_config config = { .nr_queues = NR_WORKERS };
	struct backend be = everything();
	struct blkfront *bf;

	be.lie = LIE_ID_MAX;
	be.lie_ring = 2;
	be.lie_after = 50;
	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	workers_start(bf);
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		struct worker *w = &workers[i];

		pthread_join(w->thread, NULL);
		UNIT_CHECK(w->lost == -EPROTO && w->nr_open == 0);
	}
	finish(&be, bf);
}

static void detaching_drains_every_queue(void)
{
	struct blkfront_config config = { .nr_queues = NR_WORKERS };
	struct backend be = everything();
	struct blkfront *bf;

	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	workers_start(bf);
	pause_ms(30);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "online", "0") == 0);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "state", "5") == 0);
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		UNIT_CHECK(workers[i].lost == -ESHUTDOWN);
		UNIT_CHECK(workers[i].nr_open == 0);
	}
	UNIT_CHECK(rig_state(rig.xs, rig.front) == XenbusStateClosed);
	finish(&be, bf);
}

/* ---- policies -------------------------------------------------------------
 */

static unsigned nr_done;
static struct blkfront_io ios[2];

static void count_done(struct blkfront_io *io)
{
	(void)io;
	nr_done++;
}

static int submit(struct blkfront *bf, unsigned i, uint8_t *buf)
{
	ios[i] = (struct blkfront_io){ .op = BLKFRONT_WRITE,
				       .size_bytes = 4096,
				       .buf = buf,
				       .done = count_done };
	return blkfront_submit(bf, &ios[i]);
}

static void poll_until(struct blkfront *bf, unsigned n)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (nr_done < n && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };

		if (blkfront_poll(bf) < 0)
			return;
		if (nr_done < n && !blkfront_arm(bf))
			poll(&pfd, 1, 20);
	}
}

/* One write is in flight when the backend dies; then another is submitted. */
static void lose_backend(enum blkfront_policy policy, int expected_submit)
{
	struct blkfront_config config = { .policy = policy };
	struct backend be = everything();
	struct blkfront *bf;
	uint8_t *buf;

	be.lie = LIE_SILENCE;
	nr_done = 0;
	UNIT_REQUIRE(begin(&be, &config, &bf) == 0);
	buf = blkfront_buf_alloc(bf, 4096);
	UNIT_REQUIRE(submit(bf, 0, buf) == 0);
	blkfront_kick(bf);
	pause_ms(50);
	UNIT_CHECK(nr_done == 0);
	backend_die(&be);
	poll_until(bf, 1);
	UNIT_CHECK(nr_done == 1 && ios[0].result == -EIO);
	UNIT_CHECK(submit(bf, 1, buf) == expected_submit);
	be = everything();
	be.restarted = true;
	UNIT_REQUIRE(backend_start(&be, &rig) == 0);
	if (expected_submit)
		while (submit(bf, 1, buf) == -ENOTCONN)
			blkfront_poll(bf);
	poll_until(bf, 2);
	UNIT_CHECK(nr_done == 2 && ios[1].result == 0);
	finish(&be, bf);
}

static void policy_queue_fails_what_was_in_flight(void)
{
	lose_backend(BLKFRONT_QUEUE, 0);
}

static void policy_fail_fails_and_refuses_until_the_backend_is_back(void)
{
	lose_backend(BLKFRONT_FAIL, -ENOTCONN);
}

UNIT_MAIN("blkfront_features",
	  UNIT_TEST(a_backend_with_everything_is_used_wholly),
	  UNIT_TEST(a_backend_with_nothing_serves_too),
	  UNIT_TEST(a_disk_of_large_sectors_moves_whole_ones),
	  UNIT_TEST(a_config_that_makes_no_sense_is_refused_with_a_sentence),
	  UNIT_TEST(a_disk_grows_and_shrinks_while_it_is_used),
	  UNIT_TEST(every_queue_has_its_ring_and_its_thread),
	  UNIT_TEST(queues_without_a_ring_go_through_anothers),
	  UNIT_TEST(backends_with_other_features_follow_and_nothing_is_lost),
	  UNIT_TEST(a_lie_on_one_ring_ends_all_queues),
	  UNIT_TEST(detaching_drains_every_queue),
	  UNIT_TEST(policy_queue_fails_what_was_in_flight),
	  UNIT_TEST(policy_fail_fails_and_refuses_until_the_backend_is_back))
