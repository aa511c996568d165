/* SPDX-License-Identifier: MIT */
/*
 * xs_conn.c - the client's connection: bytes out, messages in, waiting; lost,
 * and made anew. See xs_private.h.
 *
 * The store may be hostile or broken: a message that is too long, an answer to
 * what was not asked, or an event without its strings ends the connection.
 */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util/clock.h"

/* Between two tries to connect, while they fail. */
#define RETRY_MIN_NS   (10 * NS_PER_MS)
#define RETRY_MAX_NS   NS_PER_S
#define RETRY_DOUBLING 7

/* Requests in one system call. */
#define SEND_BATCH 64

/* Buffers of answers taken in one dispatch. */
#define RECEIVE_ROUNDS 16

/* ---- made and lost ------------------------------------------------------- */

int xs_conn_use(struct xs *xs, struct xs_link *link)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (epoll_ctl(xs->epfd, EPOLL_CTL_ADD, link->fd, &ev))
		return -errno;
	xs->link = link;
	xs->epoll_events = ev.events;
	xs->full = xs->closed = false;
	xs->rx_start = xs->rx_len = 0;
	return 0;
}

void xs_conn_close(struct xs *xs)
{
	if (!xs->link)
		return;
	epoll_ctl(xs->epfd, EPOLL_CTL_DEL, xs->link->fd, NULL);
	xs->link->ops->close(xs->link);
	xs->link = NULL;
}

/* Set the timer unless it fires early enough. */
static void timer_arm(struct xs *xs, uint64_t at_ns)
{
	struct itimerspec its = { 0 };

	if (at_ns == UINT64_MAX ||
	    (xs->timer_at_ns && xs->timer_at_ns <= at_ns))
		return;
	at_ns = at_ns ? at_ns : 1;
	its.it_value.tv_sec = (time_t)(at_ns / NS_PER_S);
	its.it_value.tv_nsec = (long)(at_ns % NS_PER_S);
	if (timerfd_settime(xs->timer_fd, TFD_TIMER_ABSTIME, &its, NULL) == 0)
		xs->timer_at_ns = at_ns;
}

static void retry_later(struct xs *xs)
{
	unsigned n = xs->nr_failures;
	uint64_t pause_ns = 0;

	if (n)
		pause_ns = n <= RETRY_DOUBLING ? RETRY_MIN_NS << (n - 1)
					       : RETRY_MAX_NS;
	xs->retry_at_ns = clock_now_ns() + pause_ns;
	timer_arm(xs, xs->retry_at_ns);
}

void xs_conn_lost(struct xs *xs, int err)
{
	if (xs->err)
		return;
	xs_conn_close(xs);
	if (!xs->connect) {
		xs->err = err;
		xs->timer_at_ns = 0;
		timer_arm(xs, 0); /* whoever waits is told */
	} else {
		/* One that talks nonsense is given time to come to itself. */
		if (err == -EPROTO)
			xs->nr_failures = RETRY_DOUBLING + 1;
		retry_later(xs);
	}
	xs_txns_lost(xs);
	xs_calls_lost(xs, err);
}

int xs_conn_nonsense(struct xs *xs)
{
	xs_conn_lost(xs, -EPROTO);
	return -EPROTO;
}

int xs_conn_connect(struct xs *xs)
{
	struct xs_link *link;
	int err;

	xs->nr_failures++;
	err = xs->connect(xs->connect_arg, &link);
	if (!err) {
		err = xs_conn_use(xs, link);
		if (err)
			link->ops->close(link);
	}
	if (err == -ECONNRESET) {
		xs->connect = NULL;
		xs_conn_lost(xs, err);
		return err;
	}
	if (err) {
		retry_later(xs);
		return err;
	}
	err = xs_watches_again(xs, true, false);
	if (err)
		xs_conn_lost(xs, err);
	return err;
}

bool xs_conn_ready(struct xs *xs)
{
	if (xs->link || xs->err)
		return !xs->err;
	return clock_now_ns() >= xs->retry_at_ns && xs_conn_connect(xs) == 0;
}

/* ---- bytes out ----------------------------------------------------------- */

static unsigned gather(const struct xs *xs, struct iovec iov[SEND_BATCH])
{
	size_t skip = xs->unsent_from;
	struct list *l = &xs->unsent->link;
	unsigned nr = 0;

	for (; l != &xs->calls && nr < SEND_BATCH; l = l->next, nr++) {
		struct xs_call *call = container_of(l, struct xs_call, link);

		iov[nr].iov_base =
			(char *)call + offsetof(struct xs_call, hdr) + skip;
		iov[nr].iov_len = call->bytes - skip;
		skip = 0;
	}
	return nr;
}

static void mark_sent(struct xs *xs, size_t len)
{
	while (len && xs->unsent) {
		struct xs_call *call = xs->unsent;
		size_t left = call->bytes - xs->unsent_from;

		if (len < left) {
			xs->unsent_from += len;
			return;
		}
		len -= left;
		xs->unsent_from = 0;
		xs->unsent = call->link.next == &xs->calls
				     ? NULL
				     : container_of(call->link.next,
						    struct xs_call, link);
	}
}

void xs_conn_send(struct xs *xs)
{
	struct iovec iov[SEND_BATCH];

	xs->full = false;
	while (xs->link && xs->unsent && !xs->full && !xs->closed) {
		ssize_t n = xs->link->ops->send(xs->link, iov, gather(xs, iov));

		if (n > 0)
			mark_sent(xs, (size_t)n);
		else if (n == -EAGAIN)
			xs->full = true;
		else
			xs->closed = true; /* recv will say so, at its end */
	}
}

/* ---- messages in --------------------------------------------------------- */

/* -errno: the connection cannot go on. */
static int take_messages(struct xs *xs)
{
	struct xsd_sockmsg hdr;
	int err = 0;

	while (!err && xs->rx_len >= sizeof(hdr)) {
		const char *payload = xs->rx + xs->rx_start + sizeof(hdr);

		memcpy(&hdr, xs->rx + xs->rx_start, sizeof(hdr));
		if (hdr.len > XENSTORE_PAYLOAD_MAX)
			return -EPROTO;
		if (xs->rx_len < sizeof(hdr) + hdr.len)
			break;
		if (hdr.type == XS_WATCH_EVENT)
			err = xs_watch_event(xs, payload, hdr.len);
		else
			err = xs_call_answer(xs, &hdr, payload);
		xs->rx_start += sizeof(hdr) + hdr.len;
		xs->rx_len -= sizeof(hdr) + hdr.len;
		xs->nr_failures = 0;
	}
	return err;
}

bool xs_conn_receive(struct xs *xs)
{
	size_t room;
	ssize_t n;
	int err;

	if (!xs->link || xs->err)
		return false;
	if (xs->rx_start) {
		memmove(xs->rx, xs->rx + xs->rx_start, xs->rx_len);
		xs->rx_start = 0;
	}
	room = sizeof(xs->rx) - xs->rx_len;
	n = xs->link->ops->recv(xs->link, xs->rx + xs->rx_len, room);
	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		xs_conn_lost(xs, -ECONNRESET);
		return false;
	}
	xs->rx_len += (size_t)n;
	err = take_messages(xs);
	if (err)
		xs_conn_lost(xs, err);
	return !err && (size_t)n == room;
}

/* ---- waiting ------------------------------------------------------------- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* The answer is often there before a sleep would have begun. */
static bool spin_for(struct xs *xs, struct pollfd *pfd)
{
	while (spin_again(&xs->spin))
		if (poll(pfd, 1, 0) != 0) {
			spin_worked(&xs->spin);
			return true;
		}
	return false;
}

/* The one place where a blocking call sleeps. */
static int wait_for(struct xs *xs, short events, uint64_t until_ns)
{
	struct pollfd pfd = { .fd = xs->link ? xs->link->fd : -1,
			      .events = events };
	uint64_t now_ns = clock_now_ns();
	struct timespec ts = { 0 };

	if (xs->link && spin_for(xs, &pfd))
		return 0;
	if (until_ns > now_ns) {
		ts.tv_sec = (time_t)((until_ns - now_ns) / NS_PER_S);
		ts.tv_nsec = (long)((until_ns - now_ns) % NS_PER_S);
	}
	if (ppoll(&pfd, 1, &ts, NULL) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int xs_conn_wait(struct xs *xs, uint64_t deadline_ns)
{
	short events = POLLIN;
	uint64_t until_ns = deadline_ns;

	if (clock_now_ns() >= deadline_ns)
		return -ETIMEDOUT;
	if (xs->link && xs->full && xs->unsent)
		events |= (short)xs->link->room_events;
	if (!xs->link)
		until_ns = earlier(until_ns, xs->retry_at_ns);
	return wait_for(xs, events, until_ns);
}

/* ---- the event loop's side ----------------------------------------------- */

void xs_conn_arm(struct xs *xs)
{
	uint32_t events = EPOLLIN;

	timer_arm(xs,
		  earlier(xs_calls_deadline(xs),
			  xs->rewatch_at_ns ? xs->rewatch_at_ns : UINT64_MAX));
	if (!xs->link)
		return;
	if (xs->full && xs->unsent)
		events |= xs->link->room_events;
	if (events != xs->epoll_events) {
		struct epoll_event ev = { .events = events };

		xs->epoll_events = events;
		epoll_ctl(xs->epfd, EPOLL_CTL_MOD, xs->link->fd, &ev);
	}
}

static void timer_expired(struct xs *xs)
{
	uint64_t now_ns = clock_now_ns(), count;
	ssize_t n;

	if (xs->err || now_ns < xs->timer_at_ns)
		return;
	n = read(xs->timer_fd, &count, sizeof(count));
	(void)n; /* only to make it unreadable */
	xs->timer_at_ns = 0;
	if (xs_calls_expire(xs, now_ns) && xs->link)
		xs_conn_lost(xs, -ETIMEDOUT);
	if (!xs->link && now_ns < xs->retry_at_ns)
		timer_arm(xs, xs->retry_at_ns);
	if (xs->link && xs->rewatch_at_ns && now_ns >= xs->rewatch_at_ns) {
		int err;

		xs->rewatch_at_ns = 0;
		err = xs_watches_again(xs, false, true);
		if (err)
			xs_conn_lost(xs, err);
	}
}

void xs_flush(struct xs *xs)
{
	if (!xs_conn_ready(xs))
		return;
	xs_conn_send(xs);
	xs_conn_arm(xs);
}

int xs_dispatch(struct xs *xs)
{
	bool was_lost = xs->err != 0;

	if (xs->timer_at_ns)
		timer_expired(xs);
	if (xs_conn_ready(xs)) {
		int rounds = RECEIVE_ROUNDS;

		while (xs_conn_receive(xs) && --rounds)
			;
	}
	/* In this order a callback never sees a value that is older than the
	 * event that it has seen. What arrived before the end is delivered. */
	xs_calls_run(xs);
	xs_events_run(xs);
	xs_conn_send(xs);
	xs_conn_arm(xs);
	return was_lost ? -ECONNRESET : xs->err;
}

bool xs_pending(const struct xs *xs)
{
	return !list_empty(&xs->answered) || !list_empty(&xs->events) ||
	       (xs->link && xs->unsent && !xs->full && !xs->closed);
}
