/* SPDX-License-Identifier: MIT */
/*
 * private.h - what a platform implements. platform.c has checked every
 * argument against platform.h before a function here is called.
 */
#ifndef PLATFORM_PRIVATE_H
#define PLATFORM_PRIVATE_H

#include "platform/platform.h"

struct platform_ops {
	void (*close)(struct platform *p);
	int (*store_connect)(struct platform *p);
	int (*share)(struct platform *p, domid_t peer, uint32_t nr_pages,
		     uint32_t flags, struct share *ret);
	int (*unshare)(struct platform *p, struct share *share);
	int (*map)(struct platform *p, domid_t domid, const grant_ref_t *refs,
		   uint32_t nr, bool writable, struct grant_map *ret);
	void (*unmap)(struct platform *p, struct grant_map *map);
	/* NULL: nothing is kept. */
	void (*forget)(struct platform *p, domid_t domid);
	/* One operation; its status is what this returns. */
	int (*copy)(struct platform *p, const struct grant_copy *op);
	int (*evtchn_alloc)(struct platform *p, domid_t remote,
			    struct evtchn **ret);
	int (*evtchn_bind)(struct platform *p, domid_t remote,
			   evtchn_port_t remote_port, struct evtchn **ret);
	void (*evtchn_notify)(struct evtchn *ev);
	int (*evtchn_clear)(struct evtchn *ev);
	/* keep: leave the port bound (evtchn_abandon). Frees ev. */
	void (*evtchn_close)(struct evtchn *ev, bool keep);
};

/* First member of every implementation's own structure. */
struct platform {
	const struct platform_ops *ops;
	domid_t domid;
};

struct evtchn {
	const struct platform_ops *ops;
	evtchn_port_t port;
	int fd;
};

/*
 * One page of a mapping: where it is in which file. span_map makes nr such
 * pages one contiguous range; undone with span_unmap.
 */
struct span_page {
	int fd;
	uint64_t offset_bytes;
};
int span_map(const struct span_page *pages, uint32_t nr, bool writable,
	     void **ret) PV_MUST_CHECK;
void span_unmap(void *base, uint32_t nr);

/* Into and out of the peer's memory: the one place that drops PV_SHARED. */
static inline void PV_SHARED *shared_of(void *p)
{
	return (void PV_SHARED *)(uintptr_t)p;
}

static inline void *local_of(void PV_SHARED *p)
{
	return (void *)(uintptr_t)p;
}

#endif /* PLATFORM_PRIVATE_H */
