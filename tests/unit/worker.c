/* SPDX-License-Identifier: MIT */
/*
 * worker.c - data threads: wake-ups that are never lost, sleep that costs
 * nothing. Other tests of them: worker_fair.c, worker_wait.c, worker_life.c.
 */
#include "tests/unit/worker_rig.h"

#include <sched.h>

static void ping_pong(uint64_t spin_a, uint64_t spin_b, unsigned rounds)
{
	struct worker *wa = open_worker(spin_a), *wb = open_worker(spin_b);
	struct mailbox a, b;

	mailbox_init(&a);
	mailbox_init(&b);
	a.peer = &b;
	b.peer = &a;
	a.limit = b.limit = rounds;
	UNIT_CHECK(add(wa, &a.src) == 0);
	UNIT_CHECK(add(wb, &b.src) == 0);
	mailbox_post(&a);
	UNIT_CHECK(wait_for(&b.nr_handled, rounds - 1));
	take_away(wa, &a.src);
	take_away(wb, &b.src);
	worker_close(wa);
	worker_close(wb);
	close(a.src.fd);
	close(b.src.fd);
}

static void loses_no_wake_up_between_two_workers(void)
{
	ping_pong(0, 0, 20000);
	ping_pong(SPIN_NS, SPIN_NS, 20000);
	ping_pong(SPIN_NS, 0, 20000);
}

static uint64_t process_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/*
 * Both ends on one CPU: a spin would only keep the other end from doing what is
 * waited for. CPU time, since that does not depend on what else runs here.
 */
static void gives_way_when_the_cpu_is_contended(void)
{
	cpu_set_t before, one;
	uint64_t start;

	UNIT_REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	UNIT_CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
	start = process_cpu_ns();
	ping_pong(4 * NS_PER_MS, 4 * NS_PER_MS, 4000);
	/* Spinning through takes several times as much. */
	UNIT_CHECK(process_cpu_ns() - start < NS_PER_S);
	if (getenv("V"))
		printf("contended: %llu ms of CPU\n",
		       (unsigned long long)((process_cpu_ns() - start) /
					    NS_PER_MS));
	UNIT_CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
}

/* Work that comes just as the source goes to sleep. */
static void loses_no_wake_up_at_the_edge_of_sleep(void)
{
	struct worker *w = open_worker(SPIN_NS);
	unsigned seed = 7, n;
	struct mailbox m;

	mailbox_init(&m);
	UNIT_CHECK(add(w, &m.src) == 0);
	for (n = 1; n <= 3000; n++) {
		uint64_t until;

		mailbox_post(&m);
		if (!wait_for(&m.nr_handled, n))
			break;
		seed = seed * 1103515245u + 12345u;
		until = clock_now_ns() + (seed >> 16) % 60000;
		while (clock_now_ns() < until)
			clock_cpu_relax();
	}
	UNIT_CHECK(n == 3001);
	take_away(w, &m.src);
	worker_close(w);
	close(m.src.fd);
}

static unsigned count_arms(struct mailbox *m, int nr)
{
	unsigned n = 0;

	for (int i = 0; i < nr; i++)
		n += atomic_load(&m[i].nr_arms);
	return n;
}

static void uses_no_cpu_when_idle(void)
{
	enum {
		NR = 500
	};
	struct worker *w = open_worker(100 * NS_PER_US);
	struct mailbox *m = calloc(NR, sizeof(*m));
	struct timespec half = { .tv_nsec = 500000000 };
	uint64_t before = 0, after = 0, deadline;
	unsigned arms, later = 0;

	UNIT_REQUIRE(m != NULL);
	for (int i = 0; i < NR; i++) {
		mailbox_init(&m[i]);
		UNIT_CHECK(add(w, &m[i].src) == 0);
		mailbox_post(&m[i]);
	}
	for (int i = 0; i < NR; i++)
		UNIT_CHECK(wait_for(&m[i].nr_handled, 1));
	/* All are asleep when none has been armed for a while. */
	deadline = clock_now_ns() + PATIENCE_NS;
	do {
		arms = later;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		later = count_arms(m, NR);
	} while (arms != later && clock_now_ns() < deadline);
	worker_call(w, own_cpu_time, &before);
	nanosleep(&half, NULL);
	worker_call(w, own_cpu_time, &after);
	later = count_arms(m, NR);
	/* One wake-up for the call itself; nothing happened in between. */
	UNIT_CHECK(after - before < 5 * NS_PER_MS);
	UNIT_CHECK(arms == later);
	/* And each of them still wakes. */
	for (int i = 0; i < NR; i++) {
		mailbox_post(&m[i]);
		UNIT_CHECK(wait_for(&m[i].nr_handled, 2));
	}
	for (int i = 0; i < NR; i++) {
		take_away(w, &m[i].src);
		close(m[i].src.fd);
	}
	worker_close(w);
	free(m);
}

static void wakes_and_retires_others_beside_a_busy_source(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct busy b = {
		.src = { .ops = &busy_ops, .fd = -1, .extra_fd = -1 }
	};
	struct mailbox m;

	mailbox_init(&m);
	UNIT_CHECK(add(w, &b.src) == 0);
	UNIT_CHECK(add(w, &m.src) == 0);
	for (unsigned n = 1; n <= 20; n++) {
		/* It goes to sleep although the thread never does. */
		UNIT_CHECK(wait_for(&m.nr_arms, n));
		mailbox_post(&m);
		UNIT_CHECK(wait_for(&m.nr_handled, n));
	}
	take_away(w, &m.src);
	take_away(w, &b.src);
	worker_close(w);
	close(m.src.fd);
}

static int wake_on_thread(void *arg)
{
	struct mailbox *m = arg;

	/* Work from this very thread: nothing is written to the descriptor. */
	atomic_fetch_add(&m->produced, 1);
	worker_wake(&m->src);
	return 0;
}

static void wakes_a_sleeping_source_without_its_descriptor(void)
{
	struct worker *w = open_worker(0);
	struct mailbox m;

	mailbox_init(&m);
	UNIT_CHECK(add(w, &m.src) == 0);
	UNIT_CHECK(wait_for(&m.nr_arms, 1));
	worker_call(w, wake_on_thread, &m);
	UNIT_CHECK(wait_for(&m.nr_handled, 1));
	take_away(w, &m.src);
	worker_close(w);
	close(m.src.fd);
}

UNIT_MAIN("worker", UNIT_TEST(loses_no_wake_up_between_two_workers),
	  UNIT_TEST(gives_way_when_the_cpu_is_contended),
	  UNIT_TEST(loses_no_wake_up_at_the_edge_of_sleep),
	  UNIT_TEST(uses_no_cpu_when_idle),
	  UNIT_TEST(wakes_and_retires_others_beside_a_busy_source),
	  UNIT_TEST(wakes_a_sleeping_source_without_its_descriptor))
