/* SPDX-License-Identifier: MIT */
/*
 * platform.c - the front of platform.h: checks every argument once and passes
 * on to the implementation. Thread: any.
 */
#include "platform/platform.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/private.h"
#include "util/num.h"

static char runtime_dir[4096];
static const char *default_run_dir = "/run/pvsplit";

static void find_run_dir(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() != 0 && runtime && runtime[0] &&
	    str_printf(runtime_dir, sizeof(runtime_dir), "%s/pvsplit",
		       runtime) > 0)
		default_run_dir = runtime_dir;
}

const char *platform_run_dir(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *dir = getenv("PVSPLIT_RUN");

	if (dir && dir[0])
		return dir;
	pthread_once(&once, find_run_dir);
	return default_run_dir;
}

void platform_close(struct platform *p)
{
	if (p)
		p->ops->close(p);
}

domid_t platform_domid(const struct platform *p)
{
	return p->domid;
}

int platform_store_connect(struct platform *p)
{
	return p->ops->store_connect(p);
}

int platform_store_connector(void *arg)
{
	return platform_store_connect(arg);
}

int platform_share(struct platform *p, domid_t peer, uint32_t nr_pages,
		   uint32_t flags, struct share *ret)
{
	if (peer >= DOMID_FIRST_RESERVED || nr_pages == 0 ||
	    nr_pages > SHARE_PAGES_MAX || (flags & ~SHARE_PEER_READONLY))
		return -EINVAL;
	return p->ops->share(p, peer, nr_pages, flags, ret);
}

int platform_unshare(struct platform *p, struct share *share)
{
	int err = p->ops->unshare(p, share);

	memset(share, 0, sizeof(*share));
	return err;
}

int platform_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
		 uint32_t nr, bool writable, struct grant_map *ret)
{
	if (domid >= DOMID_FIRST_RESERVED || nr == 0 || nr > GRANT_MAP_MAX)
		return -EINVAL;
	return p->ops->map(p, domid, refs, nr, writable, ret);
}

void platform_unmap(struct platform *p, struct grant_map *map)
{
	p->ops->unmap(p, map);
	memset(map, 0, sizeof(*map));
}

void platform_forget(struct platform *p, domid_t domid)
{
	if (p->ops->forget)
		p->ops->forget(p, domid);
}

static int copy_one(struct platform *p, const struct grant_copy *op)
{
	if (op->domid >= DOMID_FIRST_RESERVED ||
	    !num_range_within(op->offset, op->size_bytes, PV_PAGE_SIZE))
		return -EINVAL;
	return p->ops->copy(p, op);
}

int platform_copy(struct platform *p, struct grant_copy *ops, uint32_t nr)
{
	int first = 0;

	for (uint32_t i = 0; i < nr; i++)
		ops[i].status = -EIO;
	for (uint32_t i = 0; i < nr; i++) {
		ops[i].status = copy_one(p, &ops[i]);
		if (ops[i].status && !first)
			first = ops[i].status;
	}
	return first;
}

int platform_evtchn_alloc(struct platform *p, domid_t remote,
			  struct evtchn **ret)
{
	if (remote >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	return p->ops->evtchn_alloc(p, remote, ret);
}

int platform_evtchn_bind(struct platform *p, domid_t remote,
			 evtchn_port_t remote_port, struct evtchn **ret)
{
	if (remote >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	return p->ops->evtchn_bind(p, remote, remote_port, ret);
}

evtchn_port_t evtchn_port(const struct evtchn *ev)
{
	return ev->port;
}

int evtchn_fd(const struct evtchn *ev)
{
	return ev->fd;
}

void evtchn_notify(struct evtchn *ev)
{
	ev->ops->evtchn_notify(ev);
}

int evtchn_clear(struct evtchn *ev)
{
	return ev->ops->evtchn_clear(ev);
}

void evtchn_close(struct evtchn *ev)
{
	if (ev)
		ev->ops->evtchn_close(ev, false);
}

void evtchn_abandon(struct evtchn *ev)
{
	if (ev)
		ev->ops->evtchn_close(ev, true);
}
