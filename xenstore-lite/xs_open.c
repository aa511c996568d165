/* SPDX-License-Identifier: MIT */
/*
 * xs_open.c - a client's beginning and end: its one descriptor, its first
 * connection. See xs_private.h.
 */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util/clock.h"

#define TIMEOUT_NS (30 * NS_PER_S)

/* Most that a blocking call polls before it sleeps: a store that had to be
 * woken has answered. */
#define SPIN_NS (100 * NS_PER_US)

/* The descriptor that holds all others, and the first of them. */
static int open_descriptors(struct xs *xs)
{
	struct epoll_event ev = { .events = EPOLLIN };

	xs->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (xs->epfd < 0)
		return -errno;
	xs->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (xs->timer_fd < 0)
		return -errno;
	if (epoll_ctl(xs->epfd, EPOLL_CTL_ADD, xs->timer_fd, &ev))
		return -errno;
	return 0;
}

/* NULL: *ret_err says why. */
static struct xs *xs_alloc(int *ret_err)
{
	struct xs *xs = calloc(1, sizeof(*xs));

	*ret_err = -ENOMEM;
	if (!xs)
		return NULL;
	xs->epfd = xs->timer_fd = -1;
	list_init(&xs->calls);
	list_init(&xs->answered);
	list_init(&xs->watches);
	list_init(&xs->events);
	list_init(&xs->txns);
	xs->timeout_ns = TIMEOUT_NS;
	xs->spin.max_ns = SPIN_NS;
	*ret_err = open_descriptors(xs);
	if (!*ret_err)
		return xs;
	xs_close(xs);
	return NULL;
}

void xs_close(struct xs *xs)
{
	if (!xs)
		return;
	xs_calls_fini(xs);
	xs_watches_fini(xs);
	xs_txns_fini(xs);
	xs_conn_close(xs);
	if (xs->timer_fd >= 0)
		close(xs->timer_fd);
	if (xs->epfd >= 0)
		close(xs->epfd);
	free(xs);
}

int xs_fd(const struct xs *xs)
{
	return xs->epfd;
}

void xs_set_timeout(struct xs *xs, uint64_t timeout_ns)
{
	xs->timeout_ns = timeout_ns;
}

int xs_open_fd(int fd, struct xs **ret)
{
	struct xs_link *link;
	int err;
	struct xs *xs = xs_alloc(&err);

	if (!xs)
		return err;
	err = xs_socket_link(fd, &link);
	if (err)
		goto fail;
	err = xs_conn_use(xs, link);
	if (err) {
		link->fd = -1; /* it stays the caller's */
		link->ops->close(link);
		goto fail;
	}
	*ret = xs;
	return 0;

fail:
	xs_close(xs);
	return err;
}

/* That the listener's queue is full now is no failure. */
static int first_connect(struct xs *xs, struct xs **ret)
{
	int err = xs_conn_connect(xs);

	if (err && err != -EAGAIN) {
		xs_close(xs);
		return err;
	}
	*ret = xs;
	return 0;
}

int xs_open_link(xs_link_fn *fn, void *arg, struct xs **ret)
{
	int err;
	struct xs *xs = xs_alloc(&err);

	if (!xs)
		return err;
	xs->connect = fn;
	xs->connect_arg = arg;
	return first_connect(xs, ret);
}

static int socket_connect(void *arg, struct xs_link **ret)
{
	struct xs *xs = arg;
	int fd = xs->socket.fn(xs->socket.arg), err;

	if (fd < 0)
		return fd;
	err = xs_socket_link(fd, ret);
	if (err)
		close(fd);
	return err;
}

int xs_open(xs_connect_fn *fn, void *arg, struct xs **ret)
{
	int err;
	struct xs *xs = xs_alloc(&err);

	if (!xs)
		return err;
	xs->socket.fn = fn;
	xs->socket.arg = arg;
	xs->connect = socket_connect;
	xs->connect_arg = xs;
	return first_connect(xs, ret);
}
