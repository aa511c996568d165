/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the data thread of worker.h.
 *
 * Sources are on one of two lists, active or asleep. A round polls the active
 * ones. A source that has found nothing for the spin time is armed and put to
 * sleep; when none is active the thread sleeps in epoll. Calls from the control
 * thread arrive through a mutex-protected list and an eventfd.
 */
#include "worker/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/clock.h"

#define EPOLL_BATCH	64
#define SPIN_MIN_NS	(2 * NS_PER_US)
#define ROUNDS_PER_LOOK 64 /* spin rounds between two looks at descriptors */

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
	struct list active, asleep;
	/* Where run_round stands: moved on when that source is removed. */
	struct list *cursor;
	uint64_t spin_ns, spin_max_ns;
	bool stop;

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
		struct call *c =
			container_of(w->calls.next, struct call, link);

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

static int watch_fd(struct worker *w, int fd, struct work_source *src)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = src };

	if (fd < 0)
		return 0;
	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int worker_add(struct worker *w, struct work_source *src)
{
	int err = watch_fd(w, src->fd, src);

	if (err)
		return err;
	err = watch_fd(w, src->extra_fd, src);
	if (err) {
		if (src->fd >= 0)
			epoll_ctl(w->epfd, EPOLL_CTL_DEL, src->fd, NULL);
		return err;
	}
	src->worker = w;
	src->active = true;
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

static void put_to_sleep(struct worker *w, struct work_source *src)
{
	src->active = false;
	list_del(&src->link);
	list_add_tail(&w->asleep, &src->link);
}

/* Poll every active source once. Returns the units of work done. */
static unsigned run_round(struct worker *w, uint64_t now)
{
	unsigned total = 0;

	for (w->cursor = w->active.next; w->cursor != &w->active;) {
		struct work_source *src =
			container_of(w->cursor, struct work_source, link);
		unsigned n;

		w->cursor = w->cursor->next;
		n = src->ops->poll(src, WORKER_BUDGET);
		total += n;
		/* poll may have removed src; then it is not ours to touch */
		if (n)
			src->last_work_ns = now;
	}
	w->cursor = NULL;
	return total;
}

/* Arm and put to sleep whatever has been idle for the spin time. */
static void retire_idle(struct worker *w, uint64_t now)
{
	for (w->cursor = w->active.next; w->cursor != &w->active;) {
		struct work_source *src =
			container_of(w->cursor, struct work_source, link);

		w->cursor = w->cursor->next;
		if (now - src->last_work_ns < w->spin_ns)
			continue;
		if (src->ops->arm(src)) {
			/* The spin was a little too short: grow it. */
			src->last_work_ns = now;
			continue;
		}
		if (src->worker == w)
			put_to_sleep(w, src);
	}
	w->cursor = NULL;
}

/*
 * Look at the descriptors; wait when nothing is active. Only here does time
 * spent asleep show: a short sleep means the spin should have been longer.
 */
static void look(struct worker *w)
{
	struct epoll_event ev[EPOLL_BATCH];
	bool sleeping = list_empty(&w->active);
	uint64_t before = sleeping ? clock_now_ns() : 0, slept_ns;
	int n = epoll_wait(w->epfd, ev, EPOLL_BATCH, sleeping ? -1 : 0);

	for (int i = 0; i < n; i++) {
		struct work_source *src = ev[i].data.ptr;
		uint64_t junk;

		if (!src) {
			ssize_t r = read(w->wakefd, &junk, sizeof(junk));

			(void)r;
			continue;
		}
		if (src->worker != w)
			continue;
		if (src->ops->event)
			src->ops->event(src);
		worker_wake(src);
	}
	if (!sleeping)
		return;
	slept_ns = clock_now_ns() - before;
	if (slept_ns < w->spin_max_ns * 2)
		w->spin_ns = w->spin_ns * 2 < w->spin_max_ns ? w->spin_ns * 2 :
							       w->spin_max_ns;
	else if (slept_ns > w->spin_max_ns * 16 &&
		 w->spin_ns / 2 >= SPIN_MIN_NS)
		w->spin_ns /= 2;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	unsigned rounds = 0;

	while (!w->stop) {
		uint64_t now = clock_now_ns();

		run_calls(w);
		if (!run_round(w, now)) {
			retire_idle(w, now);
			clock_cpu_relax();
		}
		if (list_empty(&w->active) || ++rounds % ROUNDS_PER_LOOK == 0)
			if (!w->stop)
				look(w);
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
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	sigset_t all, old;
	int err;

	if (!w)
		return -ENOMEM;
	list_init(&w->active);
	list_init(&w->asleep);
	list_init(&w->calls);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->answered, NULL);
	w->spin_max_ns = spin_max_ns;
	w->spin_ns = spin_max_ns < SPIN_MIN_NS ? spin_max_ns : SPIN_MIN_NS;
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epfd < 0 || w->wakefd < 0 ||
	    epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->wakefd, &ev) < 0) {
		err = -errno;
		goto fail;
	}
	/* Signals belong to the control thread. */
	sigfillset(&all);
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
