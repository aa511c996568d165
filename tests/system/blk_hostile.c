/* SPDX-License-Identifier: MIT */
/*
 * blk_hostile.c - a guest that connects to its disk 51712 as it should and then
 * does one thing without end. Used by blk-hostile.sh.
 *
 *	blk_hostile RUN_DIR DOMID events SECONDS	events, and no request
 *	blk_hostile RUN_DIR DOMID nodes COUNT	so many writes of its own nodes,
 *						its state among them
 *
 * Prints "ready" once it is connected, and how many it was in the end. 1: the
 * store did not take them all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "ring/ring.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define HANDLE	   51712u
#define CONNECT_NS (10 * NS_PER_S)

struct guest {
	struct platform *platform;
	struct xs *xs;
	char dir[64], back[256];
	struct share ring;
	struct evtchn *ev;
};

static int write_number(struct guest *g, const char *node, uint32_t number)
{
	return xs_printf(g->xs, XS_NO_TXN, g->dir, node, "%u", number);
}

static int wait_for_state(struct guest *g, uint32_t want)
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

static int connect_disk(struct guest *g)
{
	struct ring_front ring;
	uint32_t backend_id;
	int err;

	err = xs_read_u32(g->xs, XS_NO_TXN, g->dir, "backend-id",
			  DOMID_FIRST_RESERVED - 1, &backend_id);
	if (!err)
		err = xs_read_str(g->xs, XS_NO_TXN, g->dir, "backend", g->back,
				  sizeof(g->back));
	if (!err)
		err = wait_for_state(g, 2);
	if (!err)
		err = platform_share(g->platform, (domid_t)backend_id, 1, 0,
				     &g->ring);
	if (!err)
		err = platform_evtchn_alloc(g->platform, (domid_t)backend_id,
					    &g->ev);
	if (err)
		return err;
	ring_front_init(&ring, (void PV_SHARED *)g->ring.base, PV_PAGE_SIZE,
			112);
	err = write_number(g, "ring-ref", g->ring.first_ref);
	if (!err)
		err = write_number(g, "event-channel", evtchn_port(g->ev));
	if (!err)
		err = xs_printf(g->xs, XS_NO_TXN, g->dir, "protocol", "%s",
				"x86_64-abi");
	if (!err)
		err = write_number(g, "state", 3);
	return err ? err : wait_for_state(g, 4);
}

static unsigned long long events(struct guest *g, uint32_t seconds)
{
	uint64_t end_ns = clock_now_ns() + seconds * NS_PER_S;
	unsigned long long nr = 0;

	for (; clock_now_ns() < end_ns; nr++)
		evtchn_notify(g->ev);
	return nr;
}

/* One write at a time, which is heard by itself, or as fast as it goes. */
static int write_one(struct guest *g, const char *path, const char *value,
		     bool wait)
{
	struct xs_request rq = { .op = XS_OP_WRITE,
				 .path = path,
				 .data = value,
				 .len = strlen(value) };

	return wait ? xs_write(g->xs, XS_NO_TXN, path, value, rq.len)
		    : xs_submit(g->xs, &rq);
}

/* Every value that a state can have, and some more; a tenth one at a time. */
static unsigned long long nodes(struct guest *g, uint32_t count)
{
	static const char *const names[] = { "state", "state", "ring-ref",
					     "anything" };
	char path[128], value[12];
	unsigned long long nr;

	for (nr = 0; nr < count;) {
		int err;

		snprintf(path, sizeof(path), "%s/%s", g->dir,
			 names[nr % ARRAY_SIZE(names)]);
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

int main(int argc, char **argv)
{
	struct guest g = { 0 };
	unsigned long long nr;
	uint32_t domid, count;
	bool storm;
	int err;

	if (argc != 5 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[4], UINT32_MAX, &count)) {
		fprintf(stderr, "usage: blk_hostile RUN_DIR DOMID "
				"events|nodes NUMBER\n");
		return 2;
	}
	snprintf(g.dir, sizeof(g.dir), "device/vbd/%u", HANDLE);
	err = platform_lite_open(argv[1], (domid_t)domid, &g.platform);
	if (!err)
		err = xs_open(platform_store_connector, g.platform, &g.xs);
	if (!err)
		err = connect_disk(&g);
	if (err) {
		fprintf(stderr, "blk_hostile: connecting: %s\n",
			strerror(-err));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	storm = !strcmp(argv[3], "events");
	nr = storm ? events(&g, count) : nodes(&g, count);
	printf("%llu\n", nr);
	xs_close(g.xs);
	platform_close(g.platform);
	return storm || nr == count ? 0 : 1;
}
