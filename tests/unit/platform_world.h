/* SPDX-License-Identifier: MIT */
/*
 * platform_world.h - a run directory, a broker in a thread of its own and a few
 * domains, for the tests of the lite platform and the broker.
 */
#ifndef TESTS_UNIT_PLATFORM_WORLD_H
#define TESTS_UNIT_PLATFORM_WORLD_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/broker.h"
#include "platform/lite_control.h"
#include "platform/platform.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/num.h"

struct world {
	char dir[64];
	struct loop *loop;
	struct broker *broker;
	pthread_t thread;
	int stop_fd;
	struct loop_fd *stop_src;
	struct platform *dom0;
	atomic_uint nr_created, nr_destroyed;
};

static inline int world_created(void *arg, const struct broker_domain *domain)
{
	struct world *w = arg;

	if (!strcmp(domain->name, "refused-by-the-store"))
		return -EDQUOT;
	atomic_fetch_add(&w->nr_created, 1);
	return 0;
}

static inline int world_destroyed(void *arg, domid_t domid, uint64_t life)
{
	struct world *w = arg;

	(void)domid;
	(void)life;
	atomic_fetch_add(&w->nr_destroyed, 1);
	return 0;
}

static inline void world_stop(void *arg, uint32_t events)
{
	(void)events;
	loop_stop(arg, 0);
}

static inline void *world_thread(void *arg)
{
	struct world *w = arg;

	return (void *)(intptr_t)loop_run(w->loop);
}

/* Aborts on failure: no test can go on without it. */
static inline void world_must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static inline void world_open(struct world *w)
{
	static const struct broker_ops ops = { .created = world_created,
					       .destroyed = world_destroyed };
	domid_t dom0;

	memset(w, 0, sizeof(*w));
	log_init("test", LOG_ERROR);
	memcpy(w->dir, "/tmp/pvsplit-unit-XXXXXX",
	       sizeof("/tmp/pvsplit-unit-XXXXXX"));
	world_must(mkdtemp(w->dir) != NULL, "mkdtemp");
	world_must(!loop_open(&w->loop), "loop_open");
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world_must(!loop_fd_add(w->loop, w->stop_fd, POLLIN, world_stop,
				w->loop, &w->stop_src),
		   "loop_fd_add");
	world_must(!broker_open(w->loop, w->dir, &ops, w, &w->broker),
		   "broker_open");
	world_must(!broker_domain_create(w->broker, 0, "Domain-0", geteuid(),
					 &dom0),
		   "domain 0");
	world_must(!pthread_create(&w->thread, NULL, world_thread, w),
		   "pthread_create");
	world_must(!platform_lite_open(w->dir, 0, &w->dom0), "open domain 0");
}

/* Everything below the run directory must be gone by now. */
static inline int world_close(struct world *w)
{
	int clean;

	platform_close(w->dom0);
	world_must(eventfd_write(w->stop_fd, 1) == 0, "eventfd_write");
	pthread_join(w->thread, NULL);
	broker_close(w->broker);
	loop_fd_remove(w->stop_src);
	close(w->stop_fd);
	loop_close(w->loop);
	clean = rmdir(w->dir) == 0;
	return clean &&
	       atomic_load(&w->nr_created) == atomic_load(&w->nr_destroyed);
}

static inline domid_t world_domain(struct world *w, const char *name)
{
	domid_t domid = 0;

	world_must(!lite_domain_create(w->dom0, name, geteuid(), 0, &domid),
		   "domain_create");
	return domid;
}

static inline struct platform *world_platform(struct world *w, domid_t domid)
{
	struct platform *p = NULL;

	world_must(!platform_lite_open(w->dir, domid, &p), "lite_open");
	return p;
}

/* A platform over a connection of which *ret_fd is another name. */
static inline struct platform *world_adopt(struct world *w, domid_t domid,
					   int *ret_fd)
{
	struct platform *p = NULL;
	char path[128];
	int fd;

	world_must(str_printf(path, sizeof(path), "%s/%u/broker", w->dir,
			      domid) > 0,
		   "path");
	fd = unix_connect(path, SOCK_SEQPACKET);
	*ret_fd = dup(fd);
	world_must(fd >= 0 && *ret_fd >= 0, "connect");
	world_must(!platform_lite_adopt(fd, &p), "lite_adopt");
	return p;
}

/* Wait until fd is readable; false when it is not within two seconds. */
static inline bool world_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 2000) == 1;
}

/* Wait until the channel has something to say. */
static inline int world_clear(struct evtchn *ev)
{
	if (!world_readable(evtchn_fd(ev)))
		return -ETIMEDOUT;
	return evtchn_clear(ev);
}

#endif /* TESTS_UNIT_PLATFORM_WORLD_H */
