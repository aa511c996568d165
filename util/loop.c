/* SPDX-License-Identifier: MIT */
/*
 * loop.c - the event loop of loop.h.
 *
 * A removed source is only marked and unlinked from epoll; it is freed at the
 * end of the round, because the current batch of epoll events may still hold
 * its pointer.
 */
#include "util/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/list.h"
#include "util/spin.h"

#define LOOP_BATCH 64

struct loop {
	int epfd;
	int sigfd;
	bool stopped;
	int result;
	struct loop_fd *sig_src;
	loop_signal_fn *sig_fn;
	void *sig_arg;
	struct spin spin; /* max_ns 0: never */
	struct list fds, timers, prepares, dead;
};

struct loop_fd {
	struct list link;
	struct loop *loop;
	int fd;
	bool removed;
	loop_fd_fn *fn;
	void *arg;
};

struct loop_timer {
	struct list link;
	struct loop *loop;
	uint64_t deadline_ns; /* UINT64_MAX: disarmed */
	bool removed;
	loop_timer_fn *fn;
	void *arg;
};

struct loop_prepare {
	struct list link;
	struct loop *loop;
	bool removed;
	loop_prepare_fn *fn;
	void *arg;
};

int loop_open(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0) {
		int err = -errno;

		free(loop);
		return err;
	}
	loop->sigfd = -1;
	list_init(&loop->fds);
	list_init(&loop->timers);
	list_init(&loop->prepares);
	list_init(&loop->dead);
	*ret = loop;
	return 0;
}

/* Every source starts with its link, so one sweep frees all kinds. */
static void free_all(struct list *head)
{
	list_for_each_safe(l, tmp, head) {
		list_del(l);
		free(l);
	}
}

void loop_close(struct loop *loop)
{
	if (!loop)
		return;
	free_all(&loop->fds);
	free_all(&loop->timers);
	free_all(&loop->prepares);
	free_all(&loop->dead);
	if (loop->sigfd >= 0)
		close(loop->sigfd);
	close(loop->epfd);
	free(loop);
}

int loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
		void *arg, struct loop_fd **ret)
{
	struct epoll_event ev = { .events = events };
	struct loop_fd *src = calloc(1, sizeof(*src));

	if (!src)
		return -ENOMEM;
	src->loop = loop;
	src->fd = fd;
	src->fn = fn;
	src->arg = arg;
	ev.data.ptr = src;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int err = -errno;

		free(src);
		return err;
	}
	list_add_tail(&loop->fds, &src->link);
	*ret = src;
	return 0;
}

int loop_fd_set_events(struct loop_fd *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (epoll_ctl(src->loop->epfd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		return -errno;
	return 0;
}

static void bury(struct loop *loop, struct list *link)
{
	list_del(link);
	list_add_tail(&loop->dead, link);
}

void loop_fd_remove(struct loop_fd *src)
{
	if (!src || src->removed)
		return;
	epoll_ctl(src->loop->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	src->removed = true;
	bury(src->loop, &src->link);
}

int loop_timer_add(struct loop *loop, loop_timer_fn *fn, void *arg,
		   struct loop_timer **ret)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->deadline_ns = UINT64_MAX;
	t->fn = fn;
	t->arg = arg;
	list_add_tail(&loop->timers, &t->link);
	*ret = t;
	return 0;
}

void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns)
{
	t->deadline_ns = deadline_ns;
}

void loop_timer_disarm(struct loop_timer *t)
{
	t->deadline_ns = UINT64_MAX;
}

void loop_timer_remove(struct loop_timer *t)
{
	if (!t || t->removed)
		return;
	t->removed = true;
	bury(t->loop, &t->link);
}

int loop_prepare_add(struct loop *loop, loop_prepare_fn *fn, void *arg,
		     struct loop_prepare **ret)
{
	struct loop_prepare *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->fn = fn;
	p->arg = arg;
	list_add_tail(&loop->prepares, &p->link);
	*ret = p;
	return 0;
}

void loop_prepare_remove(struct loop_prepare *p)
{
	if (!p || p->removed)
		return;
	p->removed = true;
	bury(p->loop, &p->link);
}

/*
 * Callbacks may remove any source, so the walk keeps its place with a marker
 * element of its own in the list instead of a pointer to a neighbour.
 */
static struct list *walk_next(struct list *marker, struct list *head)
{
	struct list *l = marker->next;

	list_del(marker);
	if (l == head)
		return NULL;
	list_add_head(l, marker);
	return l;
}

static bool run_prepares(struct loop *loop)
{
	struct list marker = LIST_INIT(marker), *l;
	bool more = false;

	list_add_head(&loop->prepares, &marker);
	while ((l = walk_next(&marker, &loop->prepares)) != NULL) {
		struct loop_prepare *p =
			container_of(l, struct loop_prepare, link);

		more |= p->fn(p->arg);
	}
	return more;
}

static void run_timers(struct loop *loop)
{
	struct list marker = LIST_INIT(marker), *l;
	uint64_t now = clock_now_ns();

	list_add_head(&loop->timers, &marker);
	while ((l = walk_next(&marker, &loop->timers)) != NULL) {
		struct loop_timer *t = container_of(l, struct loop_timer, link);

		if (t->deadline_ns > now)
			continue;
		t->deadline_ns = UINT64_MAX;
		t->fn(t->arg);
	}
}

static int timeout_ms(struct loop *loop, uint64_t deadline_ns)
{
	uint64_t now, wait_ns;

	list_for_each(l, &loop->timers) {
		struct loop_timer *t = container_of(l, struct loop_timer, link);

		if (t->deadline_ns < deadline_ns)
			deadline_ns = t->deadline_ns;
	}
	if (deadline_ns == UINT64_MAX)
		return -1;
	now = clock_now_ns();
	if (deadline_ns <= now)
		return 0;
	wait_ns = deadline_ns - now;
	if (wait_ns / NS_PER_MS >= 1000000)
		return 1000000000;
	return (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
}

void loop_set_spin(struct loop *loop, uint64_t max_ns)
{
	loop->spin = (struct spin){ .max_ns = max_ns };
}

/* As epoll_wait, but a sleep begins with a spin. */
static int wait_events(struct loop *loop, struct epoll_event *ev, int wait_ms)
{
	int n;

	if (wait_ms == 0 || loop->spin.max_ns == 0)
		return epoll_wait(loop->epfd, ev, LOOP_BATCH, wait_ms);
	do
		n = epoll_wait(loop->epfd, ev, LOOP_BATCH, 0);
	while (n == 0 && spin_again(&loop->spin));
	if (n == 0)
		return epoll_wait(loop->epfd, ev, LOOP_BATCH, wait_ms);
	spin_worked(&loop->spin);
	return n;
}

int loop_once(struct loop *loop, uint64_t deadline_ns)
{
	struct epoll_event ev[LOOP_BATCH];
	int n;

	if (run_prepares(loop) || loop->stopped)
		deadline_ns = 0;
	n = wait_events(loop, ev, timeout_ms(loop, deadline_ns));
	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct loop_fd *src = ev[i].data.ptr;

		if (!src->removed)
			src->fn(src->arg, ev[i].events);
	}
	run_timers(loop);
	free_all(&loop->dead);
	return 0;
}

int loop_run(struct loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		int err = loop_once(loop, UINT64_MAX);

		if (err)
			return err;
	}
	return loop->result;
}

void loop_stop(struct loop *loop, int result)
{
	loop->stopped = true;
	loop->result = result;
}

static void signal_mask(const int *signals, unsigned nr, sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < nr; i++)
		sigaddset(set, signals[i]);
}

void loop_signals_block(const int *signals, unsigned nr)
{
	sigset_t set;

	signal_mask(signals, nr, &set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void signal_ready(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(loop->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		loop->sig_fn(loop->sig_arg, (int)si.ssi_signo);
}

int loop_signals_add(struct loop *loop, const int *signals, unsigned nr,
		     loop_signal_fn *fn, void *arg)
{
	sigset_t set;
	int err;

	signal_mask(signals, nr, &set);
	loop->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->sigfd < 0)
		return -errno;
	loop->sig_fn = fn;
	loop->sig_arg = arg;
	err = loop_fd_add(loop, loop->sigfd, EPOLLIN, signal_ready, loop,
			  &loop->sig_src);
	if (err) {
		close(loop->sigfd);
		loop->sigfd = -1;
	}
	return err;
}
