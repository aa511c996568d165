/* SPDX-License-Identifier: MIT */
/*
 * ring_stress.c - both ends of a ring on two threads, sleeping for real.
 *
 * Each end sleeps on an eventfd as soon as its arm says so and is woken only
 * when the other end's push asks for it. A wake-up that gets lost shows as a
 * sleep that nobody ends: the poll has a deadline, and reaching it fails the
 * test. Content, order and count of requests and responses are checked.
 */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ring/ring.h"
#include "tests/unit/unit.h"

#define LOST_AFTER_MS 10000
#define SLOTS_MAX     256u
#define LAST	      UINT64_MAX

#if defined(__SANITIZE_THREAD__)
#define SCALE 8u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SCALE 8u
#endif
#endif
#ifndef SCALE
#define SCALE 1u
#endif

struct request {
	uint64_t seq;
	uint64_t words[13];
};

struct response {
	uint64_t seq;
	uint64_t sum;
};

struct end {
	int event; /* what this end sleeps on */
	uint64_t sleeps;
	uint64_t wakes; /* sent to the other end */
	uint64_t done;	/* entries checked */
	const char *failure;
	uint32_t random;
};

struct stress {
	size_t size_bytes;
	uint32_t start;	    /* the indices' first value */
	uint64_t total;	    /* requests to carry */
	unsigned depth;	    /* most requests in flight */
	unsigned batch_max; /* most requests per push */
	unsigned spin_max;  /* most looks at the ring before arming */
	struct end front, back;
};

static _Alignas(4096) unsigned char memory[8 * 4096];

static void PV_SHARED *shared(void)
{
	return (void PV_SHARED *)memory;
}

static uint32_t end_random(struct end *e)
{
	e->random ^= e->random << 13;
	e->random ^= e->random >> 17;
	e->random ^= e->random << 5;
	return e->random;
}

static void end_fail(struct end *e, const char *why)
{
	if (!e->failure)
		e->failure = why;
}

static void end_sleep(struct end *e)
{
	struct pollfd pfd = { .fd = e->event, .events = POLLIN };
	uint64_t value;

	e->sleeps++;
	if (poll(&pfd, 1, LOST_AFTER_MS) != 1)
		end_fail(e, "nobody woke us: a wake-up was lost");
	else if (read(e->event, &value, sizeof(value)) != sizeof(value))
		end_fail(e, "reading the event");
}

static void end_wake(struct end *self, const struct end *other)
{
	uint64_t one = 1;

	self->wakes++;
	if (write(other->event, &one, sizeof(one)) != sizeof(one))
		end_fail(self, "writing the event");
}

static struct request request_make(uint64_t seq)
{
	struct request req = { .seq = seq };

	for (unsigned i = 0; i < 13; i++)
		req.words[i] = (seq + i) * 0x9E3779B97F4A7C15ull;
	return req;
}

static uint64_t request_sum(const struct request *req)
{
	uint64_t sum = req->seq;

	for (unsigned i = 0; i < 13; i++)
		sum = sum * 31 + req->words[i];
	return sum;
}

/* ---- frontend ---------------------------------------------------------- */

/* Take back all responses there are. Returns how many, or -1. */
static int front_reap(struct stress *s, struct ring_front *r)
{
	struct request want;
	struct response rsp;
	int nr = 0, pending;

	while ((pending = ring_front_pending(r)) > 0) {
		ring_front_get(r, &rsp, sizeof(rsp));
		want = request_make(s->front.done);
		if (rsp.seq != want.seq || rsp.sum != request_sum(&want))
			end_fail(&s->front, "a response out of order");
		s->front.done++;
		nr++;
	}
	if (pending < 0)
		end_fail(&s->front, "the response index was impossible");
	return s->front.failure ? -1 : nr;
}

static void front_send(struct stress *s, struct ring_front *r, uint64_t *next)
{
	unsigned batch = 1 + end_random(&s->front) % s->batch_max;

	while (batch-- && *next < s->total && ring_front_free(r) > 0 &&
	       *next - s->front.done < s->depth) {
		struct request req = request_make(*next);

		ring_front_put(r, &req, sizeof(req));
		++*next;
	}
	if (ring_front_push(r))
		end_wake(&s->front, &s->back);
}

/* Nothing to do: look a random number of times, then arm and sleep. */
static void front_idle(struct stress *s, struct ring_front *r)
{
	unsigned spins = end_random(&s->front) % s->spin_max;
	int armed = 0;

	while (spins-- && armed == 0)
		armed = ring_front_pending(r);
	if (armed == 0)
		armed = end_random(&s->front) % 2 ? ring_front_arm(r)
						  : ring_front_arm_quarter(r);
	if (armed == 0)
		end_sleep(&s->front);
	if (armed < 0)
		end_fail(&s->front, "the response index was impossible");
}

static void front_run(struct stress *s, struct ring_front *r)
{
	struct request last = { .seq = LAST };
	uint64_t next = 0;

	while (s->front.done < s->total) {
		front_send(s, r, &next);
		int nr = front_reap(s, r);

		if (nr < 0)
			return;
		if (nr == 0 && (next == s->total || !ring_front_free(r) ||
				next - s->front.done >= s->depth))
			front_idle(s, r);
		if (s->front.failure)
			return;
	}
	ring_front_put(r, &last, sizeof(last));
	if (ring_front_push(r))
		end_wake(&s->front, &s->back);
}

/* ---- backend ----------------------------------------------------------- */

struct backlog {
	struct response rsp[SLOTS_MAX];
	uint64_t head, tail;
};

static void back_answer(struct stress *s, struct ring_back *r,
			struct backlog *log, uint64_t nr)
{
	for (; nr && log->head != log->tail; nr--) {
		ring_back_put(r, &log->rsp[log->head++ % SLOTS_MAX],
			      sizeof(log->rsp[0]));
		s->back.done++;
	}
	if (ring_back_push(r))
		end_wake(&s->back, &s->front);
}

/* Consume what there is. True: the last request was among it. */
static bool back_consume(struct stress *s, struct ring_back *r,
			 struct backlog *log, uint64_t *expected)
{
	struct request req, want;
	int pending;

	while ((pending = ring_back_pending(r)) > 0) {
		ring_back_get(r, &req, sizeof(req));
		if (req.seq == LAST)
			return true;
		want = request_make((*expected)++);
		if (memcmp(&req, &want, sizeof(req)) != 0)
			end_fail(&s->back, "a request out of order");
		log->rsp[log->tail++ % SLOTS_MAX] =
			(struct response){ req.seq, request_sum(&req) };
		if (log->tail - log->head == r->nr_slots)
			break;
	}
	if (pending < 0)
		end_fail(&s->back, "the request index was impossible");
	return false;
}

/* As front_idle. */
static void back_idle(struct stress *s, struct ring_back *r)
{
	unsigned spins = end_random(&s->back) % s->spin_max;
	int armed = 0;

	while (spins-- && armed == 0)
		armed = ring_back_pending(r);
	if (armed == 0)
		armed = ring_back_arm(r);
	if (armed == 0)
		end_sleep(&s->back);
}

static void *back_run(void *arg)
{
	struct stress *s = arg;
	static struct backlog log;
	struct ring_back r;
	uint64_t expected = 0;

	log.head = log.tail = 0;
	ring_back_init(&r, shared(), s->size_bytes, sizeof(struct request));
	r.req_cons = r.req_prod = r.rsp_prod = r.rsp_pushed = s->start;
	while (!s->back.failure && !back_consume(s, &r, &log, &expected)) {
		/* Often answer in pieces, but never sleep on a backlog. */
		if (end_random(&s->back) % 4 == 0)
			back_answer(s, &r, &log, 1 + end_random(&s->back) % 8);
		else
			back_answer(s, &r, &log, SLOTS_MAX);
		if (log.head == log.tail)
			back_idle(s, &r);
	}
	return NULL;
}

/* ---- runs -------------------------------------------------------------- */

static void run(struct stress *s)
{
	struct ring_header *h = (struct ring_header *)(void *)memory;
	struct ring_front r;
	pthread_t thread;

	memset(memory, 0, sizeof(memory));
	s->front.random = 1;
	s->back.random = 2;
	s->front.event = eventfd(0, EFD_CLOEXEC);
	s->back.event = eventfd(0, EFD_CLOEXEC);
	UNIT_REQUIRE(s->front.event >= 0 && s->back.event >= 0);
	ring_front_init(&r, shared(), s->size_bytes, sizeof(struct request));
	r.req_prod = r.req_pushed = r.rsp_cons = r.rsp_prod = s->start;
	h->req_prod = h->rsp_prod = s->start;
	h->req_event = h->rsp_event = s->start + 1;
	UNIT_REQUIRE(pthread_create(&thread, NULL, back_run, s) == 0);
	front_run(s, &r);
	if (s->front.failure) /* let the backend end, too */
		end_wake(&s->front, &s->back);
	UNIT_CHECK(pthread_join(thread, NULL) == 0);
	close(s->front.event);
	close(s->back.event);

	if (s->front.failure)
		printf("frontend: %s\n", s->front.failure);
	if (s->back.failure)
		printf("backend: %s\n", s->back.failure);
	UNIT_CHECK(!s->front.failure && !s->back.failure);
	UNIT_CHECK(s->front.done == s->total && s->back.done == s->total);
	UNIT_CHECK(s->front.wakes + s->back.wakes <= 2 * s->total + 1);
	printf("%llu requests, depth %u: %llu + %llu sleeps, %llu + %llu "
	       "wake-ups\n",
	       (unsigned long long)s->total, s->depth,
	       (unsigned long long)s->front.sleeps,
	       (unsigned long long)s->back.sleeps,
	       (unsigned long long)s->front.wakes,
	       (unsigned long long)s->back.wakes);
}

static void carries_millions_of_requests_across_the_wrap(void)
{
	struct stress s = { .size_bytes = 4096,
			    .start = 0xFFFFFFFFu - 1000,
			    .total = 2000000 / SCALE,
			    .depth = 32,
			    .batch_max = 32,
			    .spin_max = 10000 };

	run(&s);
}

static void fills_a_ring_of_many_pages(void)
{
	struct stress s = { .size_bytes = 8 * 4096,
			    .total = 1000000 / SCALE,
			    .depth = SLOTS_MAX,
			    .batch_max = 64,
			    .spin_max = 10000 };

	run(&s);
	UNIT_CHECK(s.front.wakes < s.total / 2);
}

static void loses_no_wake_up_when_both_ends_sleep_all_the_time(void)
{
	struct stress s = { .size_bytes = 4096,
			    .start = 0xFFFFFFFFu - 100,
			    .total = 3000,
			    .depth = 1,
			    .batch_max = 1,
			    .spin_max = 1 };

	run(&s);
	UNIT_CHECK(s.front.sleeps > 0 && s.back.sleeps > 0);
}

static void loses_no_wake_up_when_sleep_and_push_meet(void)
{
	struct stress s = { .size_bytes = 4096,
			    .total = 60000 / SCALE,
			    .depth = 3,
			    .batch_max = 2,
			    .spin_max = 1000 };

	run(&s);
	UNIT_CHECK(s.front.sleeps > 0 && s.back.sleeps > 0);
}

UNIT_MAIN("ring_stress",
	  UNIT_TEST(carries_millions_of_requests_across_the_wrap),
	  UNIT_TEST(fills_a_ring_of_many_pages),
	  UNIT_TEST(loses_no_wake_up_when_both_ends_sleep_all_the_time),
	  UNIT_TEST(loses_no_wake_up_when_sleep_and_push_meet))
