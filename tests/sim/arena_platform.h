/* SPDX-License-Identifier: MIT */
/*
 * arena_platform.h - a platform whose granted pages lie in one piece of memory
 * and whose events are not heard: for tests that drive a queue by hand, round
 * after round. Page i of the arena has reference ARENA_REF + i.
 */
#ifndef TESTS_SIM_ARENA_PLATFORM_H
#define TESTS_SIM_ARENA_PLATFORM_H

#include <errno.h>

#include "platform/private.h"

#define ARENA_DOMID 3
#define ARENA_REF   100u

struct arena_platform {
	struct platform platform;
	uint8_t *base;
	uint32_t nr_pages;
};

static int arena_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
		     uint32_t nr, bool writable, struct grant_map *ret)
{
	struct arena_platform *a = (struct arena_platform *)p;
	uint32_t idx = refs[0] - ARENA_REF;

	if (nr != 1 || idx >= a->nr_pages || domid != ARENA_DOMID)
		return -EACCES;
	*ret = (struct grant_map){
		.base = shared_of(a->base + (size_t)idx * PV_PAGE_SIZE),
		.nr_pages = nr,
		.domid = domid,
		.writable = writable,
	};
	return 0;
}

static void arena_unmap(struct platform *p, struct grant_map *map)
{
	(void)p;
	(void)map;
}

static const struct platform_ops arena_ops;

static int arena_bind(struct platform *p, domid_t remote,
		      evtchn_port_t remote_port, struct evtchn **ret)
{
	static struct evtchn ev = { .ops = &arena_ops, .fd = -1 };

	(void)p;
	(void)remote;
	ev.port = remote_port;
	*ret = &ev;
	return 0;
}

static void arena_notify(struct evtchn *ev)
{
	(void)ev;
}

static int arena_clear(struct evtchn *ev)
{
	(void)ev;
	return 0;
}

static void arena_close(struct evtchn *ev, bool keep)
{
	(void)ev;
	(void)keep;
}

static const struct platform_ops arena_ops = {
	.map = arena_map,
	.unmap = arena_unmap,
	.evtchn_bind = arena_bind,
	.evtchn_notify = arena_notify,
	.evtchn_clear = arena_clear,
	.evtchn_close = arena_close,
};

#endif /* TESTS_SIM_ARENA_PLATFORM_H */
