/* SPDX-License-Identifier: MIT */
/*
 * link.c - waiting for a server, see link.h. Neighbours: nbd.c and iscsi.c,
 * which speak; done.h.
 */
#include "blkback/storage/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/iov.h"

#define PAUSE_MIN_NS (100 * NS_PER_MS)
#define PAUSE_MAX_NS (5 * NS_PER_S)
#define CONNECT_NS   (5 * NS_PER_S)
/* Not one answer for so long while some are owed: the server is gone. */
#define SILENCE_NS	    (30 * NS_PER_S)
#define SILENCE_DETACHED_NS (2 * NS_PER_S)
#define EVENTS_MAX	    4
#define TRIES_MAX	    100

int link_init(struct link *l, const struct link_ops *ops, struct storage *st,
	      unsigned depth, uint64_t fail_after_ns)
{
	*l = (struct link){ .ops = ops,
			    .st = st,
			    .pause_ns = PAUSE_MIN_NS,
			    .fail_after_ns = fail_after_ns,
			    .down_ns = clock_now_ns() };
	list_init(&l->free);
	list_init(&l->busy);
	done_list_init(&l->done);
	l->slots = calloc(depth, sizeof(*l->slots));
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!l->slots || l->epfd < 0 || l->timer_fd < 0 || l->wake_fd < 0 ||
	    link_watch(l, l->timer_fd, EPOLLIN, LINK_TIMER) ||
	    link_watch(l, l->wake_fd, EPOLLIN, LINK_WAKE)) {
		link_fini(l);
		return l->slots ? -EMFILE : -ENOMEM;
	}
	for (unsigned i = 0; i < depth; i++) {
		l->slots[i].owner = l;
		list_add_tail(&l->free, &l->slots[i].link);
	}
	return 0;
}

void link_fini(struct link *l)
{
	if (!l->ops)
		return;
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l->slots);
	l->ops = NULL;
}

int link_watch(struct link *l, int fd, uint32_t events, uint32_t bit)
{
	struct epoll_event ev = { .events = events, .data.u32 = bit };

	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int link_rewatch(struct link *l, int fd, uint32_t events, uint32_t bit)
{
	struct epoll_event ev = { .events = events, .data.u32 = bit };

	return epoll_ctl(l->epfd, EPOLL_CTL_MOD, fd, &ev) ? -errno : 0;
}

void link_unwatch(struct link *l, int fd)
{
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
}

unsigned link_look(struct link *l)
{
	struct epoll_event ev[EVENTS_MAX];
	int nr = epoll_wait(l->epfd, ev, EVENTS_MAX, 0);
	unsigned bits = 0;
	uint64_t junk;
	ssize_t n;

	for (int i = 0; i < nr; i++) {
		bits |= ev[i].data.u32;
		if (ev[i].data.u32 == LINK_SOCKET)
			l->socket_events = ev[i].events;
	}
	if (bits & LINK_TIMER) {
		n = read(l->timer_fd, &junk, sizeof(junk));
		(void)n; /* only to make it unreadable */
		l->timer_ns = 0;
	}
	if (bits & LINK_WAKE) {
		n = read(l->wake_fd, &junk, sizeof(junk));
		(void)n;
	}
	return bits;
}

void link_tell(struct link *l, unsigned bit)
{
	uint64_t one = 1;
	ssize_t n;

	/* Pairs with link_news(). */
	atomic_fetch_or_explicit(&l->news, bit, memory_order_release);
	if (l->st->event_fd < 0)
		return;
	n = write(l->st->event_fd, &one, sizeof(one));
	(void)n; /* full means that control has not looked yet */
}

unsigned link_news(struct link *l)
{
	/* Pairs with link_tell(). */
	return atomic_exchange_explicit(&l->news, 0, memory_order_acquire);
}

void link_say(unsigned news, const char *refused,
	      const struct storage_keeper *keeper)
{
	if (news & LINK_NEWS_LOST)
		keeper->say(keeper->arg, "the server is gone: requests wait "
					 "for it to come back");
	if (news & LINK_NEWS_REFUSED)
		keeper->say(keeper->arg, refused);
	if (news & LINK_NEWS_FAILING)
		keeper->say(keeper->arg, "the server was away for too long: "
					 "requests fail until it is back");
	if (news & LINK_NEWS_UP)
		keeper->say(keeper->arg, "the server is back");
}

/* ---- ios ----------------------------------------------------------------- */

static void end(struct link_slot *s, int result)
{
	struct link *l = s->owner;

	if (s->bounce && !result && s->io->op == STORAGE_READ)
		iov_scatter(s->bounce, s->io->iov, s->io->nr_iov);
	free(s->bounce);
	s->bounce = NULL;
	l->nr_again -= s->again;
	s->again = false;
	list_del(&s->link);
	list_add_head(&l->free, &s->link);
	done_list_add(&l->done, s->io, result);
}

void link_part_done(struct link_slot *s, int err)
{
	struct link *l = s->owner;

	if (err && !s->result)
		s->result = err;
	if (--s->nr_parts || l->lost)
		return;
	l->heard_ns = clock_now_ns();
	if (!s->result && s->retry) {
		s->again = true;
		l->nr_again++;
		return;
	}
	if (!s->result) {
		s->io->done_bytes += s->step_bytes;
		s->step_bytes = 0;
		if (s->io->op == STORAGE_DISCARD &&
		    s->io->done_bytes < s->io->size_bytes) {
			s->again = true;
			l->nr_again++;
			return;
		}
		l->pause_ns = PAUSE_MIN_NS;
	}
	end(s, s->result);
}

void link_part_again(struct link_slot *s, int err, uint64_t pause_ns)
{
	struct link *l = s->owner;
	uint64_t at_ns = clock_now_ns() + pause_ns;

	if (l->given_up || ++s->nr_tries > TRIES_MAX) {
		link_part_done(s, err);
		return;
	}
	s->retry = true;
	if (pause_ns && at_ns > l->again_ns)
		l->again_ns = at_ns;
	link_part_done(s, 0);
}

/* One part is ours, so that the slot cannot end while it is being issued. */
static void issue(struct link *l, struct link_slot *s)
{
	s->nr_parts = 1;
	s->result = 0;
	s->retry = false;
	s->step_bytes = 0;
	l->ops->issue(l, s);
	if (!l->lost)
		link_part_done(s, 0);
}

int link_submit(struct link *l, struct storage_io *io)
{
	struct link_slot *s;

	io->done_bytes = 0;
	if (l->state != LINK_UP && (l->given_up || l->failing)) {
		done_list_add(&l->done, io, -EIO);
		return 0;
	}
	if (list_empty(&l->free))
		return -EAGAIN;
	s = container_of(l->free.next, struct link_slot, link);
	s->io = io;
	s->nr_tries = 0;
	if (list_empty(&l->busy))
		l->heard_ns = clock_now_ns();
	list_del(&s->link);
	list_add_tail(&l->busy, &s->link);
	if (l->state == LINK_UP && !l->lost)
		issue(l, s);
	return 0;
}

/*
 * Every slot once, in order. While one is issued any other may end, so none is
 * held but through the lists.
 */
static void issue_all(struct link *l, bool only_again)
{
	struct list todo = LIST_INIT(todo);

	while (!list_empty(&l->busy)) {
		struct list *first = l->busy.next;

		list_del(first);
		list_add_tail(&todo, first);
	}
	while (!list_empty(&todo)) {
		struct link_slot *s =
			container_of(todo.next, struct link_slot, link);

		list_del(&s->link);
		list_add_tail(&l->busy, &s->link);
		if (l->lost || (only_again && !s->again))
			continue;
		l->nr_again -= s->again;
		s->again = false;
		issue(l, s);
	}
}

unsigned link_reap(struct link *l)
{
	return done_list_run(&l->done);
}

/* ---- up and down --------------------------------------------------------- */

void link_up(struct link *l)
{
	l->state = LINK_UP;
	l->lost = false;
	l->failing = false;
	l->heard_ns = clock_now_ns();
	if (l->was_up)
		link_tell(l, LINK_NEWS_UP);
	l->was_up = true;
	issue_all(l, false);
}

static void go_down(struct link *l, uint64_t now)
{
	/* What the driver cancels now is not an answer. */
	l->lost = true;
	l->ops->drop(l);
	l->lost = false;
	if (l->state == LINK_UP) {
		l->down_ns = now;
		link_tell(l, LINK_NEWS_LOST);
	}
	l->state = LINK_DOWN;
	l->next_ns = now + l->pause_ns;
	l->pause_ns =
		l->pause_ns < PAUSE_MAX_NS / 2 ? l->pause_ns * 2 : PAUSE_MAX_NS;
}

static uint64_t silence_end_ns(const struct link *l)
{
	return l->heard_ns + (l->given_up ? SILENCE_DETACHED_NS : SILENCE_NS);
}

static void fail_waiting(struct link *l)
{
	list_for_each_safe(pos, tmp, &l->busy)
		end(container_of(pos, struct link_slot, link), -EIO);
}

static void arm_timer(struct link *l, uint64_t at_ns)
{
	struct itimerspec spec = { 0 };

	spec.it_value.tv_sec = (time_t)(at_ns / NS_PER_S);
	spec.it_value.tv_nsec = (long)(at_ns % NS_PER_S) + 1;
	if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
		l->timer_ns = at_ns;
}

void link_wake(struct link *l)
{
	uint64_t one = 1;
	ssize_t n = write(l->wake_fd, &one, sizeof(one));

	(void)n; /* full means that it was not read yet */
}

static void set_timer(struct link *l)
{
	uint64_t at_ns = UINT64_MAX;

	if (l->state != LINK_UP)
		at_ns = l->next_ns;
	else if (!list_empty(&l->busy))
		at_ns = silence_end_ns(l);
	if (l->state == LINK_UP && l->nr_again && l->again_ns < at_ns)
		at_ns = l->again_ns;
	if (l->state != LINK_UP && l->fail_after_ns && !l->failing &&
	    l->down_ns + l->fail_after_ns < at_ns)
		at_ns = l->down_ns + l->fail_after_ns;
	/* One that fires too early costs a look. */
	if (at_ns == UINT64_MAX || (l->timer_ns && l->timer_ns <= at_ns))
		return;
	arm_timer(l, at_ns);
}

static void try_again(struct link *l, uint64_t now)
{
	l->state = LINK_CONNECTING;
	l->next_ns = now + CONNECT_NS;
	if (l->ops->begin(l))
		l->lost = true;
}

void link_run(struct link *l)
{
	uint64_t now = clock_now_ns();

	if (l->nr_again && l->state == LINK_UP && now >= l->again_ns)
		issue_all(l, true);
	if (l->state == LINK_DOWN && now >= l->next_ns)
		try_again(l, now);
	else if (l->state == LINK_CONNECTING && now >= l->next_ns)
		l->lost = true;
	else if (l->state == LINK_UP && !list_empty(&l->busy) &&
		 now >= silence_end_ns(l))
		l->lost = true;
	if (l->lost)
		go_down(l, now);
	if (l->state != LINK_UP && l->fail_after_ns && !l->failing &&
	    now >= l->down_ns + l->fail_after_ns) {
		l->failing = true;
		link_tell(l, LINK_NEWS_FAILING);
	}
	if (l->state != LINK_UP && (l->given_up || l->failing))
		fail_waiting(l);
	set_timer(l);
}

void link_give_up(struct link *l)
{
	l->given_up = true;
}
