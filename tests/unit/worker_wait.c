/* SPDX-License-Identifier: MIT */
/*
 * worker_wait.c - sources of a data thread that may not work yet, and those
 * whose events come to nothing.
 */
#include "tests/unit/worker_rig.h"

/* It may begin one piece of work at each of its times. */
struct waiter {
	struct work_source src;
	uint64_t pause_ns, next_ns;
	unsigned nr_left;
	bool bad_clock; /* a round that began later than now */
	_Atomic unsigned nr_polls, nr_begun;
};

static unsigned waiter_poll(struct work_source *src, unsigned budget)
{
	struct waiter *m = container_of(src, struct waiter, src);
	uint64_t now = clock_now_ns();

	bump(&m->nr_polls);
	src->not_before_ns = 0;
	if (!m->nr_left || !budget)
		return 0;
	if (now < m->next_ns) {
		src->not_before_ns = m->next_ns;
		return 0;
	}
	m->bad_clock |= worker_round_ns(src) > now;
	m->next_ns += m->pause_ns;
	if (m->next_ns < now)
		m->next_ns = now + m->pause_ns;
	m->nr_left--;
	if (m->nr_left)
		src->not_before_ns = m->next_ns;
	bump(&m->nr_begun);
	return 1;
}

static bool waiter_arm(struct work_source *src)
{
	(void)src;
	return false;
}

static const struct work_source_ops waiter_ops = {
	.poll = waiter_poll,
	.arm = waiter_arm,
	.event = mailbox_event,
};

static void waiter_init(struct waiter *m, uint64_t pause_ns, unsigned nr)
{
	memset(m, 0, sizeof(*m));
	m->src.ops = &waiter_ops;
	m->src.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->src.extra_fd = -1;
	m->pause_ns = pause_ns;
	m->next_ns = clock_now_ns() + pause_ns;
	m->nr_left = nr;
}

/* Their times differ, so that each becomes the first of all now and then. */
static void wakes_delayed_sources_when_they_are_due(void)
{
	enum {
		NR = 20
	};
	struct worker *w = open_worker(0);
	struct waiter m[NR];
	uint64_t cpu_before = 0, cpu_after = 0;

	worker_call(w, own_cpu_time, &cpu_before);
	for (unsigned i = 0; i < NR; i++) {
		waiter_init(&m[i], (NR - i) * NS_PER_MS, 200 / (NR - i));
		UNIT_CHECK(add(w, &m[i].src) == 0);
	}
	for (unsigned i = 0; i < NR; i++) {
		UNIT_CHECK(wait_for(&m[i].nr_begun, 200 / (NR - i)));
		UNIT_CHECK(!m[i].bad_clock);
		/* About two polls each: at the time, and on going to sleep. */
		UNIT_CHECK(atomic_load(&m[i].nr_polls) <=
			   4 * (200 / (NR - i)) + 40);
	}
	worker_call(w, own_cpu_time, &cpu_after);
	UNIT_CHECK(cpu_after - cpu_before < 100 * NS_PER_MS);
	for (unsigned i = 0; i < NR; i++) {
		take_away(w, &m[i].src);
		close(m[i].src.fd);
	}
	worker_close(w);
}

static void polls_a_delayed_source_whose_descriptor_fires(void)
{
	struct worker *w = open_worker(0);
	struct waiter m, other;
	uint64_t one = 1;
	unsigned nr;

	waiter_init(&m, 3600 * NS_PER_S, 2);
	waiter_init(&other, 5 * NS_PER_MS, 3);
	UNIT_CHECK(add(w, &m.src) == 0);
	UNIT_CHECK(add(w, &other.src) == 0);
	UNIT_CHECK(wait_for(&other.nr_begun, 3));
	nr = atomic_load(&m.nr_polls);
	for (int i = 0; i < 10; i++) {
		UNIT_CHECK(write(m.src.fd, &one, sizeof(one)) == sizeof(one));
		UNIT_CHECK(wait_for(&m.nr_polls, nr + 1));
		nr = atomic_load(&m.nr_polls);
	}
	UNIT_CHECK(atomic_load(&m.nr_begun) == 0);
	/* While it is delayed it may go away. */
	take_away(w, &m.src);
	take_away(w, &other.src);
	worker_close(w);
	close(m.src.fd);
	close(other.src.fd);
}

static void sleeps_without_an_end_when_none_is_delayed_any_more(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct timespec ts = { .tv_nsec = 200000000 };
	uint64_t before = 0, after = 0;
	struct waiter m;
	unsigned nr;

	waiter_init(&m, NS_PER_MS, 10);
	UNIT_CHECK(add(w, &m.src) == 0);
	UNIT_CHECK(wait_for(&m.nr_begun, 10));
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	worker_call(w, own_cpu_time, &before);
	nr = atomic_load(&m.nr_polls);
	nanosleep(&ts, NULL);
	UNIT_CHECK(atomic_load(&m.nr_polls) == nr);
	worker_call(w, own_cpu_time, &after);
	UNIT_CHECK(after - before < 2 * NS_PER_MS);
	take_away(w, &m.src);
	worker_close(w);
	close(m.src.fd);
}

/* ---- events for nothing (XSA-332) -----------------------------------------
 */

static void pauses_grow_with_events_for_nothing_and_shrink_with_work(void)
{
	struct storm s = { 0 };

	for (unsigned i = 0; i < STORM_TOLERATED; i++)
		UNIT_CHECK(storm_fruitless(&s) == 0);
	for (unsigned i = 0; i <= STORM_DOUBLINGS; i++)
		UNIT_CHECK(storm_fruitless(&s) == STORM_MIN_NS << i);
	for (unsigned i = 0; i < 100; i++)
		UNIT_CHECK(storm_fruitless(&s) == STORM_MAX_NS);
	UNIT_CHECK(storm_is_suspect(&s));
	storm_worked(&s);
	UNIT_CHECK(storm_fruitless(&s) == 0);
	for (unsigned i = 0; i < 6; i++)
		storm_worked(&s);
	UNIT_CHECK(!storm_is_suspect(&s));
	/* An honest peer: an event for nothing now and then. */
	for (unsigned i = 0; i < 1000; i++) {
		UNIT_CHECK(storm_fruitless(&s) == 0);
		storm_worked(&s);
	}
}

/* One that is woken, finds nothing, and sleeps; or, with work, does a piece. */
struct dupe {
	struct work_source src;
	_Atomic unsigned nr_events, nr_work, nr_done;
};

static unsigned dupe_poll(struct work_source *src, unsigned budget)
{
	struct dupe *d = container_of(src, struct dupe, src);

	/* pairs with the bump of who gives it work */
	if (atomic_load(&d->nr_done) == atomic_load(&d->nr_work) || !budget)
		return 0;
	bump(&d->nr_done);
	return 1;
}

static bool dupe_arm(struct work_source *src)
{
	struct dupe *d = container_of(src, struct dupe, src);

	return atomic_load(&d->nr_done) != atomic_load(&d->nr_work);
}

/* The peer's descriptor that it is poked by. */
static int poked_fd(const struct work_source *src)
{
	return src->extra_is_peers ? src->extra_fd : src->fd;
}

static void dupe_event(struct work_source *src)
{
	uint64_t count;
	ssize_t n = read(poked_fd(src), &count, sizeof(count));

	(void)n;
	bump(&container_of(src, struct dupe, src)->nr_events);
}

static const struct work_source_ops dupe_ops = {
	.poll = dupe_poll,
	.arm = dupe_arm,
	.event = dupe_event,
};

static void poke(struct work_source *src)
{
	uint64_t one = 1;

	if (write(poked_fd(src), &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

static void storm_for(struct work_source *src, uint64_t ns)
{
	uint64_t until = clock_now_ns() + ns;

	while (clock_now_ns() < until)
		poke(src);
}

static void dupe_init(struct dupe *d)
{
	memset(d, 0, sizeof(*d));
	d->src.ops = &dupe_ops;
	d->src.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->src.extra_fd = -1;
}

/* second: it has two of the peer's, and is poked by the other one. */
static void weather_a_storm(bool second)
{
	struct worker *w = open_worker(SPIN_NS);
	uint64_t before = 0, after = 0, began;
	struct dupe d;
	unsigned nr;

	dupe_init(&d);
	if (second) {
		d.src.extra_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		d.src.extra_is_peers = true;
	}
	UNIT_CHECK(add(w, &d.src) == 0);
	storm_for(&d.src, 200 * NS_PER_MS);
	nr = atomic_load(&d.nr_events);
	worker_call(w, own_cpu_time, &before);
	began = clock_now_ns();
	storm_for(&d.src, 500 * NS_PER_MS);
	worker_call(w, own_cpu_time, &after);
	began = clock_now_ns() - began;
	nr = atomic_load(&d.nr_events) - nr;
	UNIT_CHECK(nr <= began / STORM_MAX_NS + 2);
	/* A hundredth of a CPU. */
	UNIT_CHECK((after - before) * 100 < began);
	if (getenv("V"))
		printf("storm: %u events heard, %llu us of CPU in %llu ms\n",
		       nr, (unsigned long long)((after - before) / NS_PER_US),
		       (unsigned long long)(began / NS_PER_MS));
	/* Real work behind the noise is found within a pause or so. */
	for (unsigned i = 1; i <= 10; i++) {
		bump(&d.nr_work);
		poke(&d.src);
		UNIT_CHECK(wait_for(&d.nr_done, i));
	}
	take_away(w, &d.src);
	worker_close(w);
	close(d.src.fd);
	if (second)
		close(d.src.extra_fd);
}

static void a_storm_of_events_for_nothing_costs_next_to_nothing(void)
{
	weather_a_storm(false);
}

static void nor_does_one_on_a_second_descriptor_of_the_peers(void)
{
	weather_a_storm(true);
}

static void a_storm_at_one_source_is_not_the_others(void)
{
	struct worker *w = open_worker(0);
	struct dupe d, other;

	dupe_init(&d);
	dupe_init(&other);
	UNIT_CHECK(add(w, &d.src) == 0);
	UNIT_CHECK(add(w, &other.src) == 0);
	storm_for(&d.src, 50 * NS_PER_MS);
	for (unsigned i = 1; i <= 1000; i++) {
		bump(&other.nr_work);
		poke(&other.src);
		poke(&d.src);
		UNIT_CHECK(wait_for(&other.nr_done, i));
	}
	UNIT_CHECK(atomic_load(&other.nr_events) >= 500);
	/* What is no longer listened to may go, and comes back with no past. */
	take_away(w, &d.src);
	UNIT_CHECK(add(w, &d.src) == 0);
	for (unsigned i = 1; i <= 5; i++) {
		unsigned nr = atomic_load(&d.nr_events);

		poke(&d.src);
		UNIT_CHECK(wait_for(&d.nr_events, nr + 1));
	}
	take_away(w, &d.src);
	take_away(w, &other.src);
	worker_close(w);
	close(d.src.fd);
	close(other.src.fd);
}

static void wakes_in_time_for_a_limit_during_a_storm(void)
{
	struct worker *w = open_worker(0);
	struct waiter m;

	waiter_init(&m, 5 * NS_PER_MS, 40);
	UNIT_CHECK(add(w, &m.src) == 0);
	while (atomic_load(&m.nr_begun) < 40)
		poke(&m.src);
	/* 200 ms of a storm: not a poll for each event of it. */
	UNIT_CHECK(atomic_load(&m.nr_polls) < 2000);
	take_away(w, &m.src);
	worker_close(w);
	close(m.src.fd);
}

UNIT_MAIN("worker_wait", UNIT_TEST(wakes_delayed_sources_when_they_are_due),
	  UNIT_TEST(polls_a_delayed_source_whose_descriptor_fires),
	  UNIT_TEST(sleeps_without_an_end_when_none_is_delayed_any_more),
	  UNIT_TEST(pauses_grow_with_events_for_nothing_and_shrink_with_work),
	  UNIT_TEST(a_storm_of_events_for_nothing_costs_next_to_nothing),
	  UNIT_TEST(nor_does_one_on_a_second_descriptor_of_the_peers),
	  UNIT_TEST(a_storm_at_one_source_is_not_the_others),
	  UNIT_TEST(wakes_in_time_for_a_limit_during_a_storm))
