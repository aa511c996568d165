/* SPDX-License-Identifier: MIT */
/*
 * worker.c - data threads: wake-ups that are never lost, sleep that costs
 * nothing, sources that come and go from inside their own callbacks, budgets.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"
#include "worker/worker.h"

#define SPIN_NS	    (50 * NS_PER_US)
#define PATIENCE_NS (20 * NS_PER_S)

/* ---- waiting for a condition of another thread -------------------------- */

static bool wait_for(_Atomic unsigned *value, unsigned least)
{
	uint64_t deadline = clock_now_ns() + PATIENCE_NS;

	/* pairs with the stores of the callbacks below */
	while (atomic_load_explicit(value, memory_order_acquire) < least) {
		struct timespec ts = { .tv_nsec = 200000 };

		if (clock_now_ns() > deadline)
			return false;
		nanosleep(&ts, NULL);
	}
	return true;
}

static void bump(_Atomic unsigned *value)
{
	/* pairs with wait_for() */
	atomic_fetch_add_explicit(value, 1, memory_order_release);
}

static struct worker *open_worker(uint64_t spin_max_ns)
{
	struct worker *w = NULL;

	if (worker_open("test", spin_max_ns, &w))
		abort();
	return w;
}

struct add {
	struct worker *w;
	struct work_source *src;
};

static int add_on_thread(void *arg)
{
	struct add *a = arg;

	return worker_add(a->w, a->src);
}

static int remove_on_thread(void *arg)
{
	worker_remove(arg);
	return 0;
}

static int add(struct worker *w, struct work_source *src)
{
	struct add a = { w, src };

	return worker_call(w, add_on_thread, &a);
}

static void take_away(struct worker *w, struct work_source *src)
{
	worker_call(w, remove_on_thread, src);
}

/* ---- a mailbox with the arm-and-look-again protocol ---------------------- */

/*
 * As a ring: produced and an event threshold in shared memory, and a
 * notification only when the consumer asked for one.
 */
struct mailbox {
	struct work_source src;
	_Atomic unsigned produced, event;
	unsigned consumed; /* the worker's */
	struct mailbox *peer;
	_Atomic unsigned nr_handled, nr_arms;
	unsigned limit;
};

static void mailbox_post(struct mailbox *m)
{
	uint64_t one = 1;
	/* pairs with mailbox_poll() and mailbox_arm() */
	unsigned n = atomic_fetch_add_explicit(&m->produced, 1,
					       memory_order_seq_cst) +
		     1;

	/* pairs with mailbox_arm() */
	if (n == atomic_load_explicit(&m->event, memory_order_seq_cst))
		if (write(m->src.fd, &one, sizeof(one)) < 0)
			abort();
}

static unsigned mailbox_poll(struct work_source *src, unsigned budget)
{
	struct mailbox *m = container_of(src, struct mailbox, src);
	/* pairs with mailbox_post() */
	unsigned produced =
		atomic_load_explicit(&m->produced, memory_order_acquire);
	unsigned n = 0;

	for (; m->consumed != produced && n < budget; n++) {
		m->consumed++;
		if (m->peer && m->consumed < m->limit)
			mailbox_post(m->peer);
		bump(&m->nr_handled);
	}
	return n;
}

static bool mailbox_arm(struct work_source *src)
{
	struct mailbox *m = container_of(src, struct mailbox, src);

	bump(&m->nr_arms);
	/* pairs with mailbox_post() */
	atomic_store_explicit(&m->event, m->consumed + 1, memory_order_seq_cst);
	return atomic_load_explicit(&m->produced, memory_order_seq_cst) !=
	       m->consumed;
}

static void mailbox_event(struct work_source *src)
{
	uint64_t junk;

	if (read(src->fd, &junk, sizeof(junk)) < 0 && errno != EAGAIN)
		abort();
}

static const struct work_source_ops mailbox_ops = {
	.poll = mailbox_poll,
	.arm = mailbox_arm,
	.event = mailbox_event,
};

static void mailbox_init(struct mailbox *m)
{
	memset(m, 0, sizeof(*m));
	m->src.ops = &mailbox_ops;
	m->src.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->src.extra_fd = -1;
}

/* ---- tests --------------------------------------------------------------- */

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

static int own_cpu_time(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	*(uint64_t *)arg =
		(uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	return 0;
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

/* A source that always has something to do. */
struct busy {
	struct work_source src;
	struct worker *worker;
	_Atomic unsigned nr_polls;
	bool over_budget;
};

static unsigned busy_poll(struct work_source *src, unsigned budget)
{
	struct busy *b = container_of(src, struct busy, src);

	b->over_budget |= budget > WORKER_BUDGET;
	bump(&b->nr_polls);
	return budget;
}

static bool never_arm(struct work_source *src)
{
	(void)src;
	abort();
}

static const struct work_source_ops busy_ops = {
	.poll = busy_poll,
	.arm = never_arm,
};

/* Between two rounds: each has been polled as often as the others. */
static int take_all_away(void *arg)
{
	struct busy *b = arg;

	for (int i = 0; i < 3; i++)
		worker_remove(&b[i].src);
	return 0;
}

static int add_all(void *arg)
{
	struct busy *b = arg;
	int err = 0;

	for (int i = 0; i < 3 && !err; i++)
		err = worker_add(b[i].worker, &b[i].src);
	return err;
}

static void is_fair_between_busy_sources(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct busy b[3];
	unsigned least = ~0u, most = 0;

	memset(b, 0, sizeof(b));
	for (int i = 0; i < 3; i++) {
		b[i].src.ops = &busy_ops;
		b[i].src.fd = b[i].src.extra_fd = -1;
		b[i].worker = w;
	}
	UNIT_CHECK(worker_call(w, add_all, b) == 0);
	UNIT_CHECK(wait_for(&b[0].nr_polls, 10000));
	worker_call(w, take_all_away, b);
	for (int i = 0; i < 3; i++) {
		unsigned n = atomic_load(&b[i].nr_polls);

		least = n < least ? n : least;
		most = n > most ? n : most;
		UNIT_CHECK(!b[i].over_budget);
	}
	UNIT_CHECK(least == most);
	worker_close(w);
}

/* A source that always has more, in pieces of its own cost. */
struct glutton {
	struct work_source src;
	struct worker *worker;
	unsigned piece; /* the cost of each */
	uint64_t begun; /* the cost of all */
	bool overdrawn; /* began something with nothing left */
	_Atomic unsigned nr_polls;
};

static unsigned glutton_poll(struct work_source *src, unsigned budget)
{
	struct glutton *g = container_of(src, struct glutton, src);
	unsigned cost = 0;

	while (cost < budget)
		cost += g->piece;
	g->overdrawn |= cost >= budget + g->piece;
	g->begun += cost;
	bump(&g->nr_polls);
	return cost;
}

static const struct work_source_ops glutton_ops = {
	.poll = glutton_poll,
	.arm = never_arm,
};

#define NR_GLUTTONS 100

static int add_gluttons(void *arg)
{
	struct glutton *g = arg;
	int err = 0;

	for (int i = 0; i < NR_GLUTTONS && !err; i++)
		err = worker_add(g[i].worker, &g[i].src);
	return err;
}

static int take_gluttons_away(void *arg)
{
	struct glutton *g = arg;

	for (int i = 0; i < NR_GLUTTONS; i++)
		worker_remove(&g[i].src);
	return 0;
}

/* Requests of 4 KiB beside such of 64 KiB and of 1 MiB. */
static void shares_by_cost_not_by_number(void)
{
	static const unsigned pieces[] = { 1, 16, 256, 7 };
	struct worker *w = open_worker(SPIN_NS);
	struct glutton *g = calloc(NR_GLUTTONS, sizeof(*g));
	uint64_t least = UINT64_MAX, most = 0;

	UNIT_REQUIRE(g != NULL);
	for (unsigned i = 0; i < NR_GLUTTONS; i++) {
		g[i].src.ops = &glutton_ops;
		g[i].src.fd = g[i].src.extra_fd = -1;
		g[i].worker = w;
		g[i].piece = pieces[i % ARRAY_SIZE(pieces)];
	}
	UNIT_CHECK(worker_call(w, add_gluttons, g) == 0);
	UNIT_CHECK(wait_for(&g[0].nr_polls, 1000));
	worker_call(w, take_gluttons_away, g);
	for (unsigned i = 0; i < NR_GLUTTONS; i++) {
		least = g[i].begun < least ? g[i].begun : least;
		most = g[i].begun > most ? g[i].begun : most;
		UNIT_CHECK(!g[i].overdrawn);
	}
	/* 1,000 rounds of 64 units: a piece is 0.4 % of that. */
	UNIT_CHECK(most * 100 <= least * 101);
	worker_close(w);
	free(g);
}

static void lets_one_that_is_alone_work_without_pause(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct glutton g = {
		.src = { .ops = &glutton_ops, .fd = -1, .extra_fd = -1 },
		.piece = 256
	};

	UNIT_CHECK(add(w, &g.src) == 0);
	UNIT_CHECK(wait_for(&g.nr_polls, 1000));
	take_away(w, &g.src);
	UNIT_CHECK(g.begun == 256ull * atomic_load(&g.nr_polls));
	worker_close(w);
}

/* ---- sources that have to wait
 * ----------------------------------------------- */

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

/* A source whose every callback may remove sources, itself included. */
struct fickle {
	struct work_source src;
	struct work_source *victims[3];
	enum {
		IN_POLL,
		IN_ARM,
		IN_EVENT
	} where;
	_Atomic unsigned done;
};

static void fickle_act(struct fickle *f, int where)
{
	if ((int)f->where != where)
		return;
	for (int i = 0; i < 3; i++)
		if (f->victims[i])
			worker_remove(f->victims[i]);
	bump(&f->done);
}

static unsigned fickle_poll(struct work_source *src, unsigned budget)
{
	(void)budget;
	fickle_act(container_of(src, struct fickle, src), IN_POLL);
	return 0;
}

static bool fickle_arm(struct work_source *src)
{
	fickle_act(container_of(src, struct fickle, src), IN_ARM);
	return false;
}

static void fickle_event(struct work_source *src)
{
	uint64_t junk;

	if (read(src->fd, &junk, sizeof(junk)) < 0)
		abort();
	fickle_act(container_of(src, struct fickle, src), IN_EVENT);
}

static const struct work_source_ops fickle_ops = {
	.poll = fickle_poll,
	.arm = fickle_arm,
	.event = fickle_event,
};

static struct fickle *fickle_new(void)
{
	struct fickle *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->src.ops = &fickle_ops;
	f->src.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->src.extra_fd = -1;
	f->where = (typeof(f->where))-1;
	return f;
}

struct trio {
	struct worker *w;
	struct fickle *f[3];
	int err;
};

static int add_trio(void *arg)
{
	struct trio *t = arg;

	for (int i = 0; i < 3; i++)
		t->err |= worker_add(t->w, &t->f[i]->src);
	return 0;
}

/* All three become readable at once, so that one epoll batch holds them. */
static int poke_trio(void *arg)
{
	struct trio *t = arg;
	uint64_t one = 1;

	for (int i = 0; i < 3; i++)
		if (write(t->f[i]->src.fd, &one, sizeof(one)) < 0)
			abort();
	return 0;
}

static int count_trio(void *arg)
{
	struct trio *t = arg;
	int n = 0;

	for (int i = 0; i < 3; i++)
		n += t->f[i]->src.worker != NULL;
	return n;
}

static int drop_trio(void *arg)
{
	struct trio *t = arg;

	for (int i = 0; i < 3; i++)
		worker_remove(&t->f[i]->src);
	return 0;
}

/* Source actor removes the ones in mask, from inside its callback. */
static void removal_case(int where, int actor, unsigned mask)
{
	struct trio t = { .w = open_worker(0) };
	int left = 3;

	for (int i = 0; i < 3; i++)
		t.f[i] = fickle_new();
	for (int i = 0; i < 3; i++)
		if (mask >> i & 1) {
			t.f[actor]->victims[i] = &t.f[i]->src;
			left--;
		}
	t.f[actor]->where = (typeof(t.f[actor]->where))where;
	worker_call(t.w, add_trio, &t);
	UNIT_CHECK(t.err == 0);
	/*
	 * With IN_EVENT an earlier source of the batch must act; when the
	 * batch comes in another order the outcome is the same.
	 */
	worker_call(t.w, poke_trio, &t);
	UNIT_CHECK(wait_for(&t.f[actor]->done, 1));
	UNIT_CHECK(worker_call(t.w, count_trio, &t) == left);
	worker_call(t.w, drop_trio, &t);
	worker_close(t.w);
	for (int i = 0; i < 3; i++) {
		close(t.f[i]->src.fd);
		free(t.f[i]);
	}
}

static void removes_any_source_from_inside_any_callback(void)
{
	for (int where = IN_POLL; where <= IN_EVENT; where++)
		for (int actor = 0; actor < 3; actor++)
			for (unsigned mask = 1; mask < 8; mask++)
				removal_case(where, actor, mask);
}

struct sum {
	struct worker *w;
	unsigned nr, inner;
};

static int count_call(void *arg)
{
	struct sum *s = arg;

	s->nr++;
	return (int)s->nr;
}

static int nested_call(void *arg)
{
	struct sum *s = arg;

	s->inner += worker_call(s->w, count_call, s) > 0;
	return 77;
}

static void *call_often(void *arg)
{
	for (int i = 0; i < 5000; i++)
		worker_call(((struct sum *)arg)->w, count_call, arg);
	return NULL;
}

static void runs_every_call_once_and_answers_it(void)
{
	struct sum s = { .w = open_worker(SPIN_NS) };
	pthread_t threads[3];

	UNIT_CHECK(worker_call(s.w, nested_call, &s) == 77);
	UNIT_CHECK(s.inner == 1 && s.nr == 1);
	for (int i = 0; i < 3; i++)
		UNIT_CHECK(!pthread_create(&threads[i], NULL, call_often, &s));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* Calls run on one thread, so no update was lost. */
	UNIT_CHECK(worker_call(s.w, count_call, &s) == 15002);
	worker_close(s.w);
}

/* The peer of an event channel dies: its end hangs up for ever. */
struct hangup {
	struct work_source src;
	_Atomic unsigned nr_events;
};

static unsigned hangup_poll(struct work_source *src, unsigned budget)
{
	(void)src;
	(void)budget;
	return 0;
}

static bool hangup_arm(struct work_source *src)
{
	(void)src;
	return false;
}

static void hangup_event(struct work_source *src)
{
	bump(&container_of(src, struct hangup, src)->nr_events);
}

static const struct work_source_ops hangup_ops = {
	.poll = hangup_poll,
	.arm = hangup_arm,
	.event = hangup_event,
};

static void tells_a_hang_up_once_and_sleeps_on(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct hangup h = { .src = { .ops = &hangup_ops, .extra_fd = -1 } };
	struct timespec ts = { .tv_nsec = 200000000 };
	uint64_t before = 0, after = 0;
	int pair[2];

	UNIT_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	h.src.fd = pair[0];
	UNIT_CHECK(add(w, &h.src) == 0);
	close(pair[1]);
	UNIT_CHECK(wait_for(&h.nr_events, 1));
	worker_call(w, own_cpu_time, &before);
	nanosleep(&ts, NULL);
	worker_call(w, own_cpu_time, &after);
	UNIT_CHECK(after - before < 5 * NS_PER_MS);
	UNIT_CHECK(atomic_load(&h.nr_events) == 1);
	take_away(w, &h.src);
	worker_close(w);
	close(pair[0]);
}

static int readd_on_thread(void *arg)
{
	struct add *a = arg;
	int err;

	worker_remove(a->src);
	worker_remove(a->src);
	err = worker_add(a->w, a->src);
	return err;
}

static void takes_a_removed_source_again(void)
{
	struct worker *w = open_worker(0), *other = open_worker(0);
	struct mailbox m;
	struct add a;

	mailbox_init(&m);
	UNIT_CHECK(add(w, &m.src) == 0);
	a = (struct add){ w, &m.src };
	UNIT_CHECK(worker_call(w, readd_on_thread, &a) == 0);
	mailbox_post(&m);
	UNIT_CHECK(wait_for(&m.nr_handled, 1));
	take_away(w, &m.src);
	UNIT_CHECK(m.src.worker == NULL);
	/* A queue may move to another thread. */
	UNIT_CHECK(add(other, &m.src) == 0);
	mailbox_post(&m);
	UNIT_CHECK(wait_for(&m.nr_handled, 2));
	take_away(other, &m.src);
	worker_close(w);
	worker_close(other);
	close(m.src.fd);
}

static void refuses_a_bad_descriptor_and_undoes(void)
{
	struct worker *w = open_worker(0);
	struct mailbox m;

	mailbox_init(&m);
	m.src.extra_fd = 9999;
	UNIT_CHECK(add(w, &m.src) == -EBADF);
	UNIT_CHECK(m.src.worker == NULL);
	m.src.extra_fd = -1;
	UNIT_CHECK(add(w, &m.src) == 0);
	take_away(w, &m.src);
	worker_close(w);
	worker_close(NULL);
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
	  UNIT_TEST(is_fair_between_busy_sources),
	  UNIT_TEST(shares_by_cost_not_by_number),
	  UNIT_TEST(lets_one_that_is_alone_work_without_pause),
	  UNIT_TEST(wakes_delayed_sources_when_they_are_due),
	  UNIT_TEST(polls_a_delayed_source_whose_descriptor_fires),
	  UNIT_TEST(sleeps_without_an_end_when_none_is_delayed_any_more),
	  UNIT_TEST(wakes_and_retires_others_beside_a_busy_source),
	  UNIT_TEST(removes_any_source_from_inside_any_callback),
	  UNIT_TEST(runs_every_call_once_and_answers_it),
	  UNIT_TEST(tells_a_hang_up_once_and_sleeps_on),
	  UNIT_TEST(takes_a_removed_source_again),
	  UNIT_TEST(refuses_a_bad_descriptor_and_undoes),
	  UNIT_TEST(wakes_a_sleeping_source_without_its_descriptor))
