/* SPDX-License-Identifier: MIT */
/* control.c - a worker process's control thread: see control.h. */
#include "monitor/control.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "util/num.h"

static const int end_signals[] = { SIGTERM };

static void store_readable(void *arg, uint32_t events)
{
	struct control *c = arg;
	int err = xs_dispatch(c->xs);

	(void)events;
	if (err)
		loop_stop(c->loop, err);
}

/* Events that came during another call, before the loop sleeps. */
static bool store_prepare(void *arg)
{
	struct control *c = arg;
	int err = xs_pending(c->xs) ? xs_dispatch(c->xs) : 0;

	if (err)
		loop_stop(c->loop, err);
	return !err && xs_pending(c->xs);
}

static void monitor_readable(void *arg, uint32_t events)
{
	struct control *c = arg;

	(void)events;
	loop_stop(c->loop, 0);
}

static void event_readable(void *arg, uint32_t events)
{
	struct control *c = arg;

	(void)events;
	c->fired(c->arg);
}

static void signalled(void *arg, int signo)
{
	struct control *c = arg;

	(void)signo;
	loop_stop(c->loop, 0);
}

/* What a worker can give up by itself. */
static int drop_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* The sanitizers' leak check needs to trace its own process. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
#endif
	return close_range(MONITOR_WORKER_FD + 1, UINT_MAX, 0) ? -errno : 0;
}

static int connect_store(void *arg)
{
	return monitor_client_connect_store(arg);
}

/* The connections that the monitor makes for us. */
static int connect_all(struct control *c)
{
	int broker_fd;
	int err = monitor_client_open(MONITOR_WORKER_FD, &broker_fd,
				      &c->generation, &c->monitor);

	if (err)
		return err;
	err = platform_lite_adopt(broker_fd, &c->platform);
	if (err) {
		close(broker_fd);
		return err;
	}
	return xs_open(connect_store, c->monitor, &c->xs);
}

static int watch_all(struct control *c)
{
	struct loop_prepare *prepare;
	struct loop_fd *src;
	int err;

	err = loop_signals_add(c->loop, end_signals, ARRAY_SIZE(end_signals),
			       signalled, c);
	if (!err)
		err = loop_fd_add(c->loop, xs_fd(c->xs), EPOLLIN,
				  store_readable, c, &src);
	if (!err)
		err = loop_prepare_add(c->loop, store_prepare, c, &prepare);
	if (!err)
		err = loop_fd_add(c->loop, monitor_client_fd(c->monitor),
				  EPOLLIN, monitor_readable, c, &src);
	if (!err)
		err = loop_fd_add(c->loop, c->event_fd, EPOLLIN, event_readable,
				  c, &src);
	return err;
}

int control_open(struct control *c, void (*fired)(void *arg), void *arg)
{
	int err;

	*c = (struct control){ .event_fd = -1, .fired = fired, .arg = arg };
	loop_signals_block(end_signals, ARRAY_SIZE(end_signals));
	err = drop_privileges();
	if (!err)
		err = connect_all(c);
	if (err)
		return err;
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event_fd < 0)
		return -errno;
	err = loop_open(&c->loop);
	return err ? err : watch_all(c);
}

int control_ready(struct control *c)
{
	return monitor_client_ready(c->monitor);
}

int control_run(struct control *c)
{
	return loop_run(c->loop);
}

void control_close(struct control *c)
{
	if (c->loop)
		loop_close(c->loop);
	if (c->event_fd >= 0)
		close(c->event_fd);
	xs_close(c->xs);
	platform_close(c->platform);
	monitor_client_close(c->monitor);
}
