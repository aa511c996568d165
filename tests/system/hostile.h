/* SPDX-License-Identifier: MIT */
/*
 * hostile.h - what the hostile guests blk_hostile and net_hostile have in
 * common: a domain, its device's directories, and writes of them without end.
 */
#ifndef TESTS_SYSTEM_HOSTILE_H
#define TESTS_SYSTEM_HOSTILE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "ring/ring.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define CONNECT_NS (10 * NS_PER_S)

struct guest {
	struct platform *platform;
	struct xs *xs;
	domid_t backend_id;
	char dir[64], back[256];
};

static inline int write_number(struct guest *g, const char *node,
			       uint32_t number)
{
	return xs_printf(g->xs, XS_NO_TXN, g->dir, node, "%u", number);
}

static inline int wait_for_state(struct guest *g, uint32_t want)
{
	uint64_t deadline_ns = clock_now_ns() + CONNECT_NS;
	uint32_t state = 0;

	while (clock_now_ns() < deadline_ns) {
		int err = xs_read_u32(g->xs, XS_NO_TXN, g->back, "state", 8,
				      &state);

		if (err || state == want)
			return err;
	}
	return -ETIMEDOUT;
}

/* The device called dir of the domain, once its backend is ready for it. */
static inline int guest_open(struct guest *g, const char *run_dir,
			     domid_t domid, const char *dir)
{
	uint32_t backend_id;
	int err = platform_lite_open(run_dir, domid, &g->platform);

	if (!err)
		err = xs_open(platform_store_connector, g->platform, &g->xs);
	if (err)
		return err;
	snprintf(g->dir, sizeof(g->dir), "%s", dir);
	err = xs_read_u32(g->xs, XS_NO_TXN, g->dir, "backend-id",
			  DOMID_FIRST_RESERVED - 1, &backend_id);
	if (!err)
		err = xs_read_str(g->xs, XS_NO_TXN, g->dir, "backend", g->back,
				  sizeof(g->back));
	if (err)
		return err;
	g->backend_id = (domid_t)backend_id;
	err = write_number(g, "state", 1);
	return err ? err : wait_for_state(g, 2);
}

static inline void guest_close(struct guest *g)
{
	xs_close(g->xs);
	platform_close(g->platform);
}

/* Events for so long, and nothing behind them. Returns how many. */
static inline unsigned long long events(struct evtchn *ev, uint32_t seconds)
{
	uint64_t end_ns = clock_now_ns() + seconds * NS_PER_S;
	unsigned long long nr = 0;

	for (; clock_now_ns() < end_ns; nr++)
		evtchn_notify(ev);
	return nr;
}

/* One write at a time, which is heard by itself, or as fast as it goes. */
static inline int write_one(struct guest *g, const char *path,
			    const char *value, bool wait)
{
	struct xs_request rq = { .op = XS_OP_WRITE,
				 .path = path,
				 .data = value,
				 .len = strlen(value) };

	return wait ? xs_write(g->xs, XS_NO_TXN, path, value, rq.len)
		    : xs_submit(g->xs, &rq);
}

/*
 * So many writes of nodes: every value that a state can have, and some more; a
 * tenth one at a time. Returns how many the store took.
 */
static inline unsigned long long
nodes(struct guest *g, const char *const names[4], uint32_t count)
{
	char path[128], value[12];
	unsigned long long nr;

	for (nr = 0; nr < count;) {
		int err;

		snprintf(path, sizeof(path), "%s/%s", g->dir, names[nr % 4]);
		snprintf(value, sizeof(value), "%llu", nr / 2 % 10);
		err = write_one(g, path, value, nr < count / 10);
		nr += !err;
		if (err && err != -EBUSY)
			return nr;
		if ((err || nr % 64 == 0) && xs_dispatch(g->xs))
			return nr;
	}
	/* The answer to this one comes after all of them. */
	if (write_number(g, "state", 4))
		return 0;
	return nr;
}

#endif /* TESTS_SYSTEM_HOSTILE_H */
