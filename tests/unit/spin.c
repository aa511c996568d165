/* SPDX-License-Identifier: MIT */
/*
 * spin.c - polling before sleeping: it goes on where it pays, ends where it
 * does not or where somebody needs the CPU, and is nothing without work.
 */
#include "tests/unit/unit.h"

#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/loop.h"
#include "util/spin.h"

/* One spin that finds nothing; its length. */
static uint64_t fruitless_ns(struct spin *s)
{
	uint64_t start_ns = clock_now_ns();

	while (spin_again(s))
		;
	return clock_now_ns() - start_ns;
}

static void a_spin_that_finds_nothing_ends_for_many_sleeps(void)
{
	struct spin s = { 0 };

	/* A trial is taken at once... */
	UNIT_CHECK(fruitless_ns(&s) >= SPIN_TRY_NS || s.calm.until_ns);
	/* ...and not again before its turn. */
	for (unsigned i = 0; i < SPIN_RETRY; i++) {
		s.calm.until_ns = 0; /* a busy machine is another test's */
		UNIT_CHECK(!spin_again(&s));
		UNIT_CHECK(s.limit_ns == 0);
	}
	s.calm.until_ns = 0;
	UNIT_CHECK(spin_again(&s));
	UNIT_CHECK(s.limit_ns == SPIN_TRY_NS);
}

static void a_spin_that_pays_is_kept_and_one_that_does_not_is_halved(void)
{
	struct spin s = { 0 };

	UNIT_REQUIRE(spin_again(&s));
	spin_worked(&s);
	UNIT_CHECK(s.limit_ns == SPIN_MAX_NS);
	UNIT_REQUIRE(spin_again(&s));
	spin_worked(&s);
	UNIT_CHECK(s.limit_ns == SPIN_MAX_NS);
	/* Work without a spin says nothing of spins. */
	spin_worked(&s);
	UNIT_CHECK(s.limit_ns == SPIN_MAX_NS);
	UNIT_CHECK(fruitless_ns(&s) >= SPIN_MAX_NS || s.calm.until_ns);
	UNIT_CHECK(s.limit_ns == SPIN_MAX_NS / 2 || s.calm.until_ns);
}

static void the_owner_may_name_the_longest_spin(void)
{
	struct spin s = { .max_ns = 100 * NS_PER_US };

	UNIT_REQUIRE(spin_again(&s));
	spin_worked(&s);
	UNIT_CHECK(s.limit_ns == 100 * NS_PER_US);
}

/* A process that wants our CPU and nothing else; where we ran before. */
struct rival {
	pid_t pid;
	cpu_set_t before;
};

static bool rival_begin(struct rival *r)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	if (cpu < 0 || sched_getaffinity(0, sizeof(r->before), &r->before))
		return false;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	/* The child stays there, too. */
	if (sched_setaffinity(0, sizeof(one), &one))
		return false;
	r->pid = fork();
	if (r->pid != 0)
		return r->pid > 0;
	alarm(20);
	for (;;)
		clock_cpu_relax();
}

static void rival_end(const struct rival *r)
{
	kill(r->pid, SIGKILL);
	UNIT_CHECK(waitpid(r->pid, NULL, 0) == r->pid);
	UNIT_CHECK(sched_setaffinity(0, sizeof(r->before), &r->before) == 0);
}

static void a_spin_ends_when_somebody_else_needs_the_cpu(void)
{
	struct spin s = { .max_ns = 10 * NS_PER_S };
	struct rival r;

	UNIT_REQUIRE(rival_begin(&r));

	s.limit_ns = s.max_ns;
	UNIT_CHECK(fruitless_ns(&s) < 5 * NS_PER_S);
	UNIT_CHECK(s.calm.until_ns > clock_now_ns() - NS_PER_S);
	s.limit_ns = s.max_ns;
	s.calm.until_ns = clock_now_ns() + NS_PER_S;
	UNIT_CHECK(!spin_again(&s));

	rival_end(&r);
}

/* Offer the CPU until it was taken; at_ns is when that is noticed. */
static bool be_taken(struct calm *c, uint64_t at_ns)
{
	uint64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	while (clock_now_ns() < end_ns) {
		sched_yield();
		if (calm_begins(c, at_ns))
			return true;
	}
	return false;
}

static void a_calm_is_longer_when_it_follows_soon(void)
{
	struct calm c = { 0 };
	uint64_t now_ns = NS_PER_S, longest_ns = 0;
	struct rival r;

	UNIT_REQUIRE(rival_begin(&r));

	UNIT_CHECK(!calm_now(&c, now_ns));
	UNIT_CHECK(be_taken(&c, now_ns));
	UNIT_CHECK(calm_now(&c, now_ns + CALM_MIN_NS - 1));
	UNIT_CHECK(!calm_now(&c, now_ns + CALM_MIN_NS));
	for (int i = 0; i < 10; i++) {
		now_ns = c.until_ns + 1;
		UNIT_CHECK(be_taken(&c, now_ns));
		UNIT_CHECK(c.until_ns - now_ns >= longest_ns);
		longest_ns = c.until_ns - now_ns;
	}
	UNIT_CHECK(longest_ns == CALM_MAX_NS);
	/* Long after the last one it is the first again. */
	now_ns = c.until_ns + 10 * CALM_MAX_NS;
	UNIT_CHECK(be_taken(&c, now_ns));
	UNIT_CHECK(c.until_ns == now_ns + CALM_MIN_NS);

	rival_end(&r);
}

/* ---- in a loop ----------------------------------------------------------- */

static uint64_t cpu_ns(const struct rusage *ru)
{
	return (uint64_t)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) *
		       NS_PER_S +
	       (uint64_t)(ru->ru_utime.tv_usec + ru->ru_stime.tv_usec) *
		       NS_PER_US;
}

static void a_loop_without_work_sleeps_at_once_and_does_not_wake(void)
{
	uint64_t end_ns = clock_now_ns() + 300 * NS_PER_MS;
	struct rusage before, after;
	unsigned nr_rounds = 0;
	struct loop *loop;

	UNIT_REQUIRE(loop_open(&loop) == 0);
	loop_set_spin(loop, 100 * NS_PER_US);
	UNIT_CHECK(getrusage(RUSAGE_THREAD, &before) == 0);
	while (clock_now_ns() < end_ns) {
		UNIT_CHECK(loop_once(loop, end_ns) == 0);
		nr_rounds++;
	}
	UNIT_CHECK(getrusage(RUSAGE_THREAD, &after) == 0);
	UNIT_CHECK(nr_rounds <= 2);
	UNIT_CHECK(cpu_ns(&after) - cpu_ns(&before) < 20 * NS_PER_MS);
	loop_close(loop);
}

static void take(void *arg, uint32_t events)
{
	int *fd = arg;
	uint64_t value;

	(void)events;
	UNIT_CHECK(read(*fd, &value, sizeof(value)) == sizeof(value));
	UNIT_CHECK(value == 1);
	*fd = -1;
}

static void ping(void *arg)
{
	uint64_t one = 1;

	UNIT_CHECK(write(*(int *)arg, &one, sizeof(one)) == sizeof(one));
}

static void a_loop_that_spins_serves_descriptors_and_timers(void)
{
	int fd = eventfd(0, EFD_NONBLOCK), at = fd;
	struct loop_timer *timer;
	struct loop_fd *src;
	struct loop *loop;

	UNIT_REQUIRE(fd >= 0 && loop_open(&loop) == 0);
	loop_set_spin(loop, 100 * NS_PER_US);
	UNIT_REQUIRE(loop_fd_add(loop, fd, EPOLLIN, take, &at, &src) == 0);
	UNIT_REQUIRE(loop_timer_add(loop, ping, &at, &timer) == 0);
	for (unsigned i = 0; i < 50; i++) {
		at = fd;
		loop_timer_arm(timer, clock_now_ns() + i * 20 * NS_PER_US);
		while (at == fd)
			UNIT_REQUIRE(loop_once(loop, UINT64_MAX) == 0);
	}
	loop_close(loop);
	close(fd);
}

UNIT_MAIN("spin", UNIT_TEST(a_spin_that_finds_nothing_ends_for_many_sleeps),
	  UNIT_TEST(a_spin_that_pays_is_kept_and_one_that_does_not_is_halved),
	  UNIT_TEST(the_owner_may_name_the_longest_spin),
	  UNIT_TEST(a_spin_ends_when_somebody_else_needs_the_cpu),
	  UNIT_TEST(a_calm_is_longer_when_it_follows_soon),
	  UNIT_TEST(a_loop_without_work_sleeps_at_once_and_does_not_wake),
	  UNIT_TEST(a_loop_that_spins_serves_descriptors_and_timers))
