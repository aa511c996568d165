/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the data thread of worker.h.
 *
 * Sources are on one of three lists: active, asleep, or delayed, which is
 * sleep with an end (in the order of that end). A round polls the active ones.
 * A source that has found nothing for the spin time is armed and put to sleep;
 * when none is active the thread sleeps in epoll, until the first delayed one
 * is due. Calls from the control thread arrive through a mutex-protected list
 * and an eventfd.
 *
 * While spinning the thread offers its CPU to others now and then; when
 * somebody took it, spinning stops for a while (util/calm.h).
 */
#include "worker/worker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/calm.h"
#include "util/clock.h"

#define EPOLL_BATCH 64
#define SPIN_MIN_NS (2 * NS_PER_US)
#define LOOK_NS	    (20 * NS_PER_US) /* between two looks at descriptors */
#define GAP_NS	    (10 * NS_PER_US) /* an empty round that took long */
#define EMPTY_MAX   8u /* empty rounds on one reading of the clock */

struct call {
	struct list link;
	worker_fn *fn;
	void *arg;
	int result;
	bool done;
};

struct worker {
	pthread_t thread;
	int epfd, wakefd;
	struct list active, asleep, delayed;
	/* Where a walk stands: moved on when that source is removed. */
	struct list *cursor;
	/* Events not yet handled: struck out when their source is removed. */
	struct epoll_event *events;
	int nr_events;
	bool stop;
	uint64_t round_ns; /* when the round began */

	uint64_t spin_ns, spin_max_ns;
	struct calm calm;

	pthread_mutex_t lock; /* guards calls, call.done */
	pthread_cond_t answered;
	struct list calls;
	_Atomic bool has_calls;
};

static bool on_thread(const struct worker *w)
{
	return pthread_equal(pthread_self(), w->thread);
}

int worker_call(struct worker *w, worker_fn *fn, void *arg)
{
	struct call call = { .fn = fn, .arg = arg };
	uint64_t one = 1;
	ssize_t n;

	if (on_thread(w))
		return fn(arg);
	pthread_mutex_lock(&w->lock);
	list_add_tail(&w->calls, &call.link);
	/* pairs with run_calls(): the mutex orders the list itself */
	atomic_store_explicit(&w->has_calls, true, memory_order_release);
	n = write(w->wakefd, &one, sizeof(one));
	(void)n; /* cannot block: nobody else writes 2^64 times */
	while (!call.done)
		pthread_cond_wait(&w->answered, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return call.result;
}

static void run_calls(struct worker *w)
{
	/* pairs with worker_call() */
	if (!atomic_load_explicit(&w->has_calls, memory_order_acquire))
		return;
	pthread_mutex_lock(&w->lock);
	while (!list_empty(&w->calls)) {
		struct call *c = container_of(w->calls.next, struct call, link);

		list_del(&c->link);
		pthread_mutex_unlock(&w->lock);
		c->result = c->fn(c->arg);
		pthread_mutex_lock(&w->lock);
		c->done = true;
		pthread_cond_broadcast(&w->answered);
	}
	atomic_store_explicit(&w->has_calls, false, memory_order_relaxed);
	pthread_mutex_unlock(&w->lock);
}

/*
 * What an event says: the source, and in bit 0 which of its descriptors. The
 * wake-up descriptor says the worker itself; 0 is an event struck out.
 */
static uint64_t tag(const void *ptr, bool extra)
{
	return (uint64_t)(uintptr_t)ptr | extra;
}

/* A hang-up is told all the same, and after it there is nothing to change. */
static void listen_to(struct worker *w, struct work_source *src, bool on)
{
	struct epoll_event ev = { .events = on ? EPOLLIN : 0,
				  .data.u64 = tag(src, false) };

	if (src->fd >= 0)
		epoll_ctl(w->epfd, EPOLL_CTL_MOD, src->fd, &ev);
	if (!src->extra_is_peers)
		return;
	ev.data.u64 = tag(src, true);
	epoll_ctl(w->epfd, EPOLL_CTL_MOD, src->extra_fd, &ev);
}

static int watch_fd(struct worker *w, struct work_source *src, bool extra)
{
	struct epoll_event ev = { .events = EPOLLIN,
				  .data.u64 = tag(src, extra) };
	int fd = extra ? src->extra_fd : src->fd;

	if (fd < 0)
		return 0;
	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int worker_add(struct worker *w, struct work_source *src)
{
	int err = watch_fd(w, src, false);

	if (err)
		return err;
	err = watch_fd(w, src, true);
	if (err) {
		if (src->fd >= 0)
			epoll_ctl(w->epfd, EPOLL_CTL_DEL, src->fd, NULL);
		return err;
	}
	src->worker = w;
	src->active = true;
	src->owed = 0;
	src->not_before_ns = 0;
	src->storm = (struct storm){ 0 };
	src->woken = false;
	src->muted_until_ns = 0;
	src->last_work_ns = clock_now_ns();
	list_add_tail(&w->active, &src->link);
	return 0;
}

void worker_remove(struct work_source *src)
{
	struct worker *w = src->worker;

	if (!w)
		return;
	if (src->fd >= 0)
		epoll_ctl(w->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	if (src->extra_fd >= 0)
		epoll_ctl(w->epfd, EPOLL_CTL_DEL, src->extra_fd, NULL);
	if (w->cursor == &src->link)
		w->cursor = src->link.next;
	for (int i = 0; i < w->nr_events; i++)
		if ((w->events[i].data.u64 & ~1ull) == tag(src, false))
			w->events[i].data.u64 = 0;
	list_del(&src->link);
	src->worker = NULL;
}

void worker_wake(struct work_source *src)
{
	struct worker *w = src->worker;

	if (!w || src->active)
		return;
	src->active = true;
	src->last_work_ns = clock_now_ns();
	list_del(&src->link);
	list_add_tail(&w->active, &src->link);
}

uint64_t worker_round_ns(const struct work_source *src)
{
	return src->worker ? src->worker->round_ns : clock_now_ns();
}

/* Mostly the latest of all: the place is looked for from the end. */
static void delay(struct worker *w, struct work_source *src)
{
	struct list *at = w->delayed.prev;

	while (at != &w->delayed &&
	       container_of(at, struct work_source, link)->due_ns > src->due_ns)
		at = at->prev;
	list_add_head(at, &src->link);
}

/* It goes to sleep: was it woken for nothing, and once too often? */
static void judge_event(struct worker *w, struct work_source *src, uint64_t now)
{
	uint64_t pause_ns = src->woken ? storm_fruitless(&src->storm) : 0;

	src->woken = false;
	if (!pause_ns)
		return;
	src->muted_until_ns = now + pause_ns;
	listen_to(w, src, false);
}

static void put_to_sleep(struct worker *w, struct work_source *src,
			 uint64_t now)
{
	src->active = false;
	src->owed = 0;
	list_del(&src->link);
	judge_event(w, src, now);
	src->due_ns = src->not_before_ns;
	if (src->muted_until_ns &&
	    (!src->due_ns || src->due_ns > src->muted_until_ns))
		src->due_ns = src->muted_until_ns;
	if (src->due_ns)
		delay(w, src);
	else
		list_add_tail(&w->asleep, &src->link);
}

/* When the first of the delayed is due, or UINT64_MAX. */
static uint64_t next_due_ns(const struct worker *w)
{
	if (list_empty(&w->delayed))
		return UINT64_MAX;
	return container_of(w->delayed.next, struct work_source, link)->due_ns;
}

static void wake_due(struct worker *w, uint64_t now)
{
	while (next_due_ns(w) <= now) {
		struct work_source *src =
			container_of(w->delayed.next, struct work_source, link);

		worker_wake(src);
		if (!src->muted_until_ns || src->muted_until_ns > now)
			continue;
		src->muted_until_ns = 0;
		src->last_work_ns = 0; /* looked at once */
		listen_to(w, src, true);
	}
}

/*
 * What src may begin in this round: its budget, less what it owes. A source
 * that is alone owes nobody.
 */
static unsigned budget_of(struct worker *w, struct work_source *src)
{
	unsigned budget = WORKER_BUDGET;

	if (w->active.next == w->active.prev)
		src->owed = 0;
	if (src->owed >= budget) {
		src->owed -= budget;
		return 0;
	}
	budget -= src->owed;
	src->owed = 0;
	return budget;
}

/* Poll every active source once. Returns the units of work done. */
static unsigned run_round(struct worker *w, uint64_t now)
{
	unsigned total = 0;

	for (w->cursor = w->active.next; w->cursor != &w->active;) {
		struct work_source *src =
			container_of(w->cursor, struct work_source, link);
		unsigned budget, n;

		w->cursor = w->cursor->next;
		budget = budget_of(w, src);
		n = src->ops->poll(src, budget);
		if (n > budget && n > 1)
			src->owed += n - budget;
		/* One that has to wait for the others has not run dry. */
		total += budget ? n : 1;
		if (n || !budget)
			src->last_work_ns = now;
		if (n) {
			storm_worked(&src->storm);
			src->woken = false;
		}
	}
	w->cursor = NULL;
	return total;
}

/*
 * Rounds until one finds work, but few: reading the clock takes as long as a
 * look at an empty ring, and a request that has just come waits for both.
 */
static unsigned spin_rounds(struct worker *w, uint64_t now)
{
	unsigned n = run_round(w, now);

	if (!w->spin_ns)
		return n;
	for (unsigned i = 1; !n && i < EMPTY_MAX && !list_empty(&w->active);
	     i++) {
		clock_cpu_relax();
		n = run_round(w, now);
	}
	return n;
}

/* Arm and put to sleep whatever has been idle for the spin time. */
static void retire_idle(struct worker *w, uint64_t now)
{
	for (w->cursor = w->active.next; w->cursor != &w->active;) {
		struct work_source *src =
			container_of(w->cursor, struct work_source, link);

		w->cursor = w->cursor->next;
		/* One that may not work needs no spin. */
		if (now - src->last_work_ns < w->spin_ns && !src->not_before_ns)
			continue;
		if (src->ops->arm(src))
			src->last_work_ns = now;
		else if (src->worker == w)
			put_to_sleep(w, src, now);
	}
	w->cursor = NULL;
}

static void grow_spin(struct worker *w, uint64_t now)
{
	uint64_t longer = w->spin_ns ? w->spin_ns * 2 : SPIN_MIN_NS;

	if (calm_now(&w->calm, now))
		return;
	w->spin_ns = longer < w->spin_max_ns ? longer : w->spin_max_ns;
}

static void handle_event(struct worker *w, const struct epoll_event *ev)
{
	bool extra = ev->data.u64 & 1;
	struct work_source *src;
	uint64_t junk;
	ssize_t n;

	if (!ev->data.u64)
		return;
	if (ev->data.u64 == tag(w, false)) {
		n = read(w->wakefd, &junk, sizeof(junk));
		(void)n; /* only to make it unreadable */
		return;
	}
	src = (struct work_source *)(uintptr_t)(ev->data.u64 & ~1ull);
	/* A hang-up stays readable for ever: it is told once. */
	if (ev->events & (EPOLLHUP | EPOLLERR))
		epoll_ctl(w->epfd, EPOLL_CTL_DEL,
			  extra ? src->extra_fd : src->fd, NULL);
	src->woken |= !src->active && (!extra || src->extra_is_peers);
	worker_wake(src);
	if (src->woken && storm_is_suspect(&src->storm))
		src->last_work_ns = 0;
	if (src->ops->event)
		src->ops->event(src);
}

/*
 * epoll_pwait2: nanoseconds. Where the kernel has none (before 5.11),
 * milliseconds, rounded up.
 */
static int wait_until(struct worker *w, struct epoll_event *ev, uint64_t now_ns,
		      uint64_t until_ns)
{
	uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	struct timespec ts = { .tv_sec = (time_t)(wait_ns / NS_PER_S),
			       .tv_nsec = (long)(wait_ns % NS_PER_S) };
	int n;

	if (until_ns == UINT64_MAX)
		return epoll_wait(w->epfd, ev, EPOLL_BATCH, -1);
	n = epoll_pwait2(w->epfd, ev, EPOLL_BATCH, &ts, NULL);
	if (n >= 0 || (errno != ENOSYS && errno != EPERM))
		return n;
	wait_ns = wait_ns / NS_PER_MS + 1;
	return epoll_wait(w->epfd, ev, EPOLL_BATCH,
			  wait_ns > INT_MAX ? INT_MAX : (int)wait_ns);
}

/*
 * Look at the descriptors; wait when nothing is active. Only here does time
 * spent asleep show: a short sleep means the spin should have been longer.
 */
static void look(struct worker *w)
{
	struct epoll_event ev[EPOLL_BATCH];
	bool sleeping = list_empty(&w->active);
	uint64_t before = sleeping ? clock_now_ns() : 0, now;
	uint64_t until = next_due_ns(w);
	int n = sleeping ? wait_until(w, ev, before, until)
			 : epoll_wait(w->epfd, ev, EPOLL_BATCH, 0);

	/* A sleep that a limit ended says nothing about the spin. */
	if (sleeping && n) {
		now = clock_now_ns();
		if (now - before < w->spin_max_ns * 2)
			grow_spin(w, now);
		else if (now - before > w->spin_max_ns * 16 &&
			 w->spin_ns / 2 >= SPIN_MIN_NS)
			w->spin_ns /= 2;
	}
	w->events = ev;
	w->nr_events = n;
	for (int i = 0; i < n; i++)
		handle_event(w, &ev[i]);
	w->nr_events = 0;
	w->events = NULL;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t looked_ns = 0;
	bool was_empty = false;

	while (!w->stop) {
		uint64_t now = clock_now_ns();
		bool due = now - looked_ns >= LOOK_NS;

		/* Was it because somebody else ran on our CPU? */
		if (was_empty && now - w->round_ns > GAP_NS &&
		    calm_begins(&w->calm, now))
			w->spin_ns = 0;
		w->round_ns = now;
		wake_due(w, now);
		run_calls(w);
		was_empty = !spin_rounds(w, now);
		if (was_empty || due)
			retire_idle(w, now);
		if (w->stop)
			break;
		if (list_empty(&w->active)) {
			was_empty = false; /* the time asleep is no gap */
			look(w);
			looked_ns = clock_now_ns();
		} else if (due) {
			look(w);
			looked_ns = now;
			if (was_empty)
				sched_yield();
		} else if (was_empty) {
			clock_cpu_relax();
		}
	}
	return NULL;
}

static int stop_on_thread(void *arg)
{
	struct worker *w = arg;

	w->stop = true;
	return 0;
}

int worker_open(const char *name, uint64_t spin_max_ns, struct worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct epoll_event ev = { .events = EPOLLIN };
	sigset_t all, old;
	int err;

	if (!w)
		return -ENOMEM;
	list_init(&w->active);
	list_init(&w->asleep);
	list_init(&w->delayed);
	list_init(&w->calls);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->answered, NULL);
	w->spin_max_ns = spin_max_ns;
	w->spin_ns = spin_max_ns < SPIN_MIN_NS ? spin_max_ns : SPIN_MIN_NS;
	ev.data.u64 = tag(w, false);
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epfd < 0 || w->wakefd < 0 ||
	    epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->wakefd, &ev) < 0) {
		err = -errno;
		goto fail;
	}
	/* Signals belong to the control thread, but for what this one does. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		goto fail;
	pthread_setname_np(w->thread, name);
	*ret = w;
	return 0;

fail:
	if (w->wakefd >= 0)
		close(w->wakefd);
	if (w->epfd >= 0)
		close(w->epfd);
	pthread_cond_destroy(&w->answered);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return err;
}

void worker_close(struct worker *w)
{
	if (!w)
		return;
	worker_call(w, stop_on_thread, w);
	pthread_join(w->thread, NULL);
	close(w->wakefd);
	close(w->epfd);
	pthread_cond_destroy(&w->answered);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
