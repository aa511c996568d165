/* SPDX-License-Identifier: MIT */
/*
 * worker_rig.h - for the tests of data threads: waiting for what another thread
 * does, a source with a mailbox that arms and looks again as a ring does, and
 * one that is always busy.
 */
#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "worker/worker.h"

#define SPIN_NS	    (50 * NS_PER_US)
#define PATIENCE_NS (20 * NS_PER_S)

/* ---- waiting for a condition of another thread -------------------------- */

static inline bool wait_for(_Atomic unsigned *value, unsigned least)
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

static inline void bump(_Atomic unsigned *value)
{
	/* pairs with wait_for() */
	atomic_fetch_add_explicit(value, 1, memory_order_release);
}

static inline struct worker *open_worker(uint64_t spin_max_ns)
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

static inline int add_on_thread(void *arg)
{
	struct add *a = arg;

	return worker_add(a->w, a->src);
}

static inline int remove_on_thread(void *arg)
{
	worker_remove(arg);
	return 0;
}

static inline int add(struct worker *w, struct work_source *src)
{
	struct add a = { w, src };

	return worker_call(w, add_on_thread, &a);
}

static inline void take_away(struct worker *w, struct work_source *src)
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

static inline void mailbox_post(struct mailbox *m)
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

static inline unsigned mailbox_poll(struct work_source *src, unsigned budget)
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

static inline bool mailbox_arm(struct work_source *src)
{
	struct mailbox *m = container_of(src, struct mailbox, src);

	bump(&m->nr_arms);
	/* pairs with mailbox_post() */
	atomic_store_explicit(&m->event, m->consumed + 1, memory_order_seq_cst);
	return atomic_load_explicit(&m->produced, memory_order_seq_cst) !=
	       m->consumed;
}

static inline void mailbox_event(struct work_source *src)
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

static inline void mailbox_init(struct mailbox *m)
{
	memset(m, 0, sizeof(*m));
	m->src.ops = &mailbox_ops;
	m->src.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->src.extra_fd = -1;
}

static inline int own_cpu_time(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	*(uint64_t *)arg =
		(uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	return 0;
}

/* A source that always has something to do. */
struct busy {
	struct work_source src;
	struct worker *worker;
	_Atomic unsigned nr_polls;
	bool over_budget;
};

static inline unsigned busy_poll(struct work_source *src, unsigned budget)
{
	struct busy *b = container_of(src, struct busy, src);

	b->over_budget |= budget > WORKER_BUDGET;
	bump(&b->nr_polls);
	return budget;
}

static inline bool never_arm(struct work_source *src)
{
	(void)src;
	abort();
}

static const struct work_source_ops busy_ops = {
	.poll = busy_poll,
	.arm = never_arm,
};

#endif /* TESTS_UNIT_WORKER_RIG_H */
