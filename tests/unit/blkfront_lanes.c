/* SPDX-License-Identifier: MIT */
/*
 * blkfront_lanes.c - threads that wait at lanes: every request ends with its
 * own result, a queue has one owner at a time, nobody owns one while another
 * sleeps on it, and without requests the keeper does. The queues below are
 * lists that a thread of the test's answers.
 */
#include "blkfront/lanes.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/num.h"

#define NR_LANES   2u
#define NR_THREADS 8u
#define NR_TURNS   3000u
#define PATIENCE   (10 * NS_PER_S)

/* ---- blkfront.h as the test wants it -------------------------------------
 */

struct blkfront_queue {
	pthread_mutex_t lock; /* for what follows */
	struct blkfront_io *submitted, *answered;
	bool armed;
	int fd;
	/* atomic: */
	unsigned nr_owners, nr_intruders, nr_polls;
};

static struct blkfront_queue queues[NR_LANES];
static int lost_err;	    /* atomic */
static bool stop_answering; /* atomic */
static uint32_t nr_rings = NR_LANES;

struct blkfront_queue *blkfront_queue(struct blkfront *bf, uint32_t nr)
{
	(void)bf;
	return &queues[nr];
}

void blkfront_info(struct blkfront *bf, struct blkfront_info *ret)
{
	(void)bf;
	*ret = (struct blkfront_info){ .nr_queues = nr_rings };
}

int blkfront_queue_fd(const struct blkfront_queue *q)
{
	return q->fd;
}

static void enter(struct blkfront_queue *q)
{
	if (__atomic_fetch_add(&q->nr_owners, 1, __ATOMIC_RELAXED))
		__atomic_fetch_add(&q->nr_intruders, 1, __ATOMIC_RELAXED);
}

static void leave(struct blkfront_queue *q)
{
	__atomic_fetch_sub(&q->nr_owners, 1, __ATOMIC_RELAXED);
}

bool blkfront_queue_arm(struct blkfront_queue *q)
{
	bool busy;

	enter(q);
	pthread_mutex_lock(&q->lock);
	q->armed = true;
	busy = q->answered != NULL;
	pthread_mutex_unlock(&q->lock);
	leave(q);
	return busy;
}

int blkfront_queue_poll(struct blkfront_queue *q)
{
	struct blkfront_io *io, *next;
	uint64_t count;
	int nr = 0;

	enter(q);
	__atomic_fetch_add(&q->nr_polls, 1, __ATOMIC_RELAXED);
	(void)!read(q->fd, &count, sizeof(count));
	pthread_mutex_lock(&q->lock);
	io = q->answered;
	q->answered = NULL;
	pthread_mutex_unlock(&q->lock);
	for (; io; io = next, nr++) {
		next = io->next;
		io->done(io);
	}
	leave(q);
	return nr ? nr : __atomic_load_n(&lost_err, __ATOMIC_RELAXED);
}

/* ---- the test's ends ------------------------------------------------------
 */

static void tell(struct blkfront_queue *q)
{
	uint64_t one = 1;

	(void)!write(q->fd, &one, sizeof(one));
}

/* Now and then later than any spin. */
static void *answer(void *arg)
{
	struct blkfront_io *io, *last;

	(void)arg;
	for (unsigned turn = 0;
	     !__atomic_load_n(&stop_answering, __ATOMIC_RELAXED); turn++) {
		struct blkfront_queue *q = &queues[turn % NR_LANES];
		bool armed;

		if (turn % 512 < 2)
			usleep(400);
		pthread_mutex_lock(&q->lock);
		io = last = q->submitted;
		while (last && last->next)
			last = last->next;
		if (io) {
			q->submitted = NULL;
			last->next = q->answered;
			q->answered = io;
		}
		armed = io && q->armed;
		q->armed = q->armed && !armed;
		pthread_mutex_unlock(&q->lock);
		if (armed)
			tell(q);
		sched_yield();
	}
	return NULL;
}

struct request {
	struct blkfront_io io;
	struct waiter waiter;
};

static void io_done(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, io);

	waiter_end(&rq->waiter, (int)io->offset_bytes);
}

static int run_request(struct lane *lane, int number)
{
	struct blkfront_queue *q = lane->queue;
	struct request rq;

	rq.io = (struct blkfront_io){ .offset_bytes = (uint64_t)number,
				      .done = io_done };
	waiter_init(&rq.waiter, lane);
	/* Some end before they are waited for. */
	if (number % 7 == 0) {
		waiter_end(&rq.waiter, number);
		return waiter_wait(&rq.waiter);
	}
	pthread_mutex_lock(&q->lock);
	rq.io.next = q->submitted;
	q->submitted = &rq.io;
	pthread_mutex_unlock(&q->lock);
	return waiter_wait(&rq.waiter);
}

struct user {
	pthread_t thread;
	struct lane *lane;
	unsigned nr_good;
};

static void *use(void *arg)
{
	struct user *user = arg;

	for (int i = 1; i <= (int)NR_TURNS; i++)
		user->nr_good += run_request(user->lane, i) == i;
	return NULL;
}

static unsigned polls_of(struct blkfront_queue *q)
{
	return __atomic_load_n(&q->nr_polls, __ATOMIC_RELAXED);
}

/* The keeper sees an event of a queue where nobody waits. */
static bool keeper_looks(struct blkfront_queue *q)
{
	uint64_t end_ns = clock_now_ns() + PATIENCE;
	unsigned before = polls_of(q);

	tell(q);
	while (polls_of(q) == before && clock_now_ns() < end_ns)
		usleep(1000);
	return polls_of(q) != before;
}

static unsigned polls_of_all(void)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_LANES; i++)
		nr += polls_of(&queues[i]);
	return nr;
}

/* Sooner or later nobody looks at anything for a while. */
static bool keeper_sleeps(void)
{
	uint64_t end_ns = clock_now_ns() + PATIENCE;
	unsigned before;

	do {
		before = polls_of_all();
		usleep(10 * LANES_REST_NS / 1000);
	} while (polls_of_all() != before && clock_now_ns() < end_ns);
	return polls_of_all() == before;
}

static unsigned nr_lost;
static int lost_with;

static void lost(void *arg, int err)
{
	(void)arg;
	nr_lost++;
	lost_with = err;
}

static void open_queues(void)
{
	memset(queues, 0, sizeof(queues));
	for (unsigned i = 0; i < NR_LANES; i++) {
		pthread_mutex_init(&queues[i].lock, NULL);
		queues[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	__atomic_store_n(&lost_err, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&stop_answering, false, __ATOMIC_RELAXED);
}

static void close_queues(void)
{
	for (unsigned i = 0; i < NR_LANES; i++) {
		UNIT_CHECK(queues[i].nr_intruders == 0);
		close(queues[i].fd);
		pthread_mutex_destroy(&queues[i].lock);
	}
}

/* ---- cases ----------------------------------------------------------------
 */

static void every_request_ends_with_its_own_result(void)
{
	struct user users[NR_THREADS] = { 0 };
	struct lanes lanes;
	pthread_t backend;

	open_queues();
	UNIT_REQUIRE(lanes_init(&lanes, NULL, NR_LANES) == 0);
	UNIT_REQUIRE(lanes_start(&lanes) == 0);
	UNIT_REQUIRE(pthread_create(&backend, NULL, answer, NULL) == 0);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		users[i].lane = lanes_next(&lanes);
		UNIT_REQUIRE(pthread_create(&users[i].thread, NULL, use,
					    &users[i]) == 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		pthread_join(users[i].thread, NULL);
		UNIT_CHECK(users[i].nr_good == NR_TURNS);
	}
	UNIT_CHECK(users[0].lane != users[1].lane);
	/* The lanes are the keeper's again, which sleeps. */
	for (unsigned i = 0; i < NR_LANES; i++)
		UNIT_CHECK(keeper_looks(&queues[i]));
	UNIT_CHECK(keeper_sleeps());
	/* And are given away again. */
	UNIT_CHECK(run_request(lanes_next(&lanes), 5) == 5);
	__atomic_store_n(&stop_answering, true, __ATOMIC_RELAXED);
	pthread_join(backend, NULL);
	lanes_fini(&lanes);
	close_queues();
}

static void lanes_without_a_ring_of_their_own_are_not_given(void)
{
	struct lanes lanes;

	open_queues();
	UNIT_REQUIRE(lanes_init(&lanes, NULL, NR_LANES) == 0);
	nr_rings = 1;
	UNIT_CHECK(lanes_next(&lanes) == &lanes.lane[0]);
	UNIT_CHECK(lanes_next(&lanes) == &lanes.lane[0]);
	nr_rings = NR_LANES;
	lanes_fini(&lanes);
	close_queues();
}

static void a_lost_disk_is_told_once(void)
{
	uint64_t end_ns = clock_now_ns() + PATIENCE;
	struct lanes lanes;

	open_queues();
	nr_lost = 0;
	UNIT_REQUIRE(lanes_init(&lanes, NULL, NR_LANES) == 0);
	lanes.lost = lost;
	UNIT_REQUIRE(lanes_start(&lanes) == 0);
	__atomic_store_n(&lost_err, -ESHUTDOWN, __ATOMIC_RELAXED);
	tell(&queues[0]);
	while (polls_of(&queues[0]) < 2 && clock_now_ns() < end_ns)
		usleep(1000);
	/* A request that is refused ends all the same. */
	UNIT_CHECK(run_request(&lanes.lane[0], 7) == 7);
	lanes_fini(&lanes);
	UNIT_CHECK(nr_lost == 1 && lost_with == -ESHUTDOWN);
	close_queues();
}

UNIT_MAIN("blkfront_lanes", UNIT_TEST(every_request_ends_with_its_own_result),
	  UNIT_TEST(lanes_without_a_ring_of_their_own_are_not_given),
	  UNIT_TEST(a_lost_disk_is_told_once))
