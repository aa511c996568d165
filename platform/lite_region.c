/* SPDX-License-Identifier: MIT */
/* lite_region.c - the table of mapped regions. See lite_region.h. */
#include "platform/lite_region.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/clock.h"

/* Idle regions kept for the next map, over all peers. */
#define IDLE_REGIONS_MAX 64u
#define IDLE_PAGES_MAX	 16384u

/*
 * A peer names references that do not exist, each a round trip on the data
 * thread: after this many in a period it gets its refusal without one.
 */
#define FRUITLESS_MAX	    64u
#define FRUITLESS_PERIOD_NS NS_PER_S

void lite_map_init(struct lite *l)
{
	for (unsigned i = 0; i < LITE_PEER_BUCKETS; i++)
		list_init(&l->peers[i]);
	list_init(&l->idle);
}

static void region_close(struct lite_region *r)
{
	munmap(r->base, lite_region_bytes(r->nr_pages));
	close(r->fd);
	free(r->use);
	free(r);
}

void lite_map_fini(struct lite *l)
{
	for (unsigned i = 0; i < LITE_PEER_BUCKETS; i++) {
		list_for_each_safe(link, tmp, &l->peers[i]) {
			struct lite_peer *peer =
				container_of(link, struct lite_peer, link);

			list_for_each_safe(rl, rtmp, &peer->regions)
				region_close(container_of(
					rl, struct lite_region, link));
			free(peer);
		}
	}
}

struct lite_peer *lite_peer_get(struct lite *l, domid_t domid)
{
	struct list *bucket = &l->peers[domid % LITE_PEER_BUCKETS];
	struct lite_peer *peer;

	list_for_each(link, bucket) {
		peer = container_of(link, struct lite_peer, link);
		if (peer->domid == domid)
			return peer;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	list_init(&peer->regions);
	peer->domid = domid;
	list_add_head(bucket, &peer->link);
	return peer;
}

static bool covers(const struct lite_region *r, grant_ref_t ref)
{
	return ref - r->first_ref < r->nr_pages;
}

struct lite_region *lite_region_lookup(struct lite_peer *peer, grant_ref_t ref)
{
	list_for_each(link, &peer->regions) {
		struct lite_region *r =
			container_of(link, struct lite_region, link);

		if (!covers(r, ref))
			continue;
		if (peer->regions.next != link) {
			list_del(link);
			list_add_head(&peer->regions, link);
		}
		return r;
	}
	return NULL;
}

static struct lite_region *lookup_id(struct lite_peer *peer, uint64_t id)
{
	list_for_each(link, &peer->regions) {
		struct lite_region *r =
			container_of(link, struct lite_region, link);

		if (r->id == id)
			return r;
	}
	return NULL;
}

static void idle_remove(struct lite *l, struct lite_region *r)
{
	list_del(&r->idle);
	l->nr_idle--;
	l->nr_idle_pages -= r->nr_pages;
}

/* No new map from here on; at once gone when there is none. */
static void detach(struct lite *l, struct lite_region *r, struct list *dead)
{
	list_del(&r->link);
	r->detached = true;
	if (r->nr_maps)
		return;
	idle_remove(l, r);
	list_add_tail(dead, &r->link);
}

/* The range is somebody else's now: whatever overlapped it is out of date. */
static void detach_range(struct lite *l, struct lite_peer *peer,
			 grant_ref_t first, uint32_t nr, struct list *dead)
{
	list_for_each_safe(link, tmp, &peer->regions) {
		struct lite_region *r =
			container_of(link, struct lite_region, link);

		if (first - r->first_ref < r->nr_pages ||
		    r->first_ref - first < nr)
			detach(l, r, dead);
	}
}

static bool ask_allowed(struct lite_peer *peer)
{
	uint64_t now = clock_now_ns();

	if (now - peer->period_start_ns >= FRUITLESS_PERIOD_NS) {
		peer->period_start_ns = now;
		peer->nr_fruitless = 0;
	}
	return peer->nr_fruitless < FRUITLESS_MAX;
}

/* Map what the broker gave; takes fd on success. */
static int region_open(const struct lite_reply *rep, int fd,
		       struct lite_region **ret)
{
	bool readonly = rep->flags & SHARE_PEER_READONLY;
	struct lite_region *r;
	int err;

	if (rep->nr_pages == 0 || rep->nr_pages > SHARE_PAGES_MAX ||
	    rep->number > UINT32_MAX - rep->nr_pages)
		return -EPROTO;
	err = lite_region_check(fd, rep->nr_pages, readonly);
	if (err)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->use = calloc(rep->nr_pages, sizeof(*r->use));
	if (!r->use) {
		free(r);
		return -ENOMEM;
	}
	r->base = mmap(NULL, lite_region_bytes(rep->nr_pages),
		       readonly ? PROT_READ : PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (r->base == MAP_FAILED) {
		err = -errno;
		free(r->use);
		free(r);
		return err;
	}
	list_init(&r->link);
	list_init(&r->idle);
	r->id = rep->id;
	r->fd = fd;
	r->first_ref = rep->number;
	r->nr_pages = rep->nr_pages;
	r->readonly = readonly;
	*ret = r;
	return 0;
}

/* A process of ours that died left its in-use bits: nobody else holds it. */
static void clear_stale_bits(struct lite_region *r)
{
	for (uint32_t i = 0; i < r->nr_pages; i++)
		if (lite_entry_load(lite_region_entry(r, i)).flags &
		    LITE_IN_USE)
			lite_entry_unuse(lite_region_entry(r, i), LITE_IN_USE);
}

/* Without map_lock. On success *ret is a region that is in no table yet. */
static int find_and_open(struct lite *l, domid_t domid, grant_ref_t ref,
			 struct lite_reply *rep, struct lite_region **ret)
{
	struct lite_request req = { .op = LITE_REGION_FIND,
				    .domid = domid,
				    .number = ref };
	int fd = -1, err = lite_call(l, &req, rep, &fd);

	if (err)
		return err;
	err = ref - rep->number < rep->nr_pages ? region_open(rep, fd, ret)
						: -EPROTO;
	if (err)
		close(fd);
	return err;
}

int lite_region_ask(struct lite *l, struct lite_peer *peer, grant_ref_t ref,
		    struct list *dead, struct lite_region **ret)
{
	struct lite_region *r = NULL, *known;
	struct lite_reply rep;
	int err;

	if (!ask_allowed(peer))
		return -EACCES;
	pthread_mutex_unlock(&l->map_lock);
	err = find_and_open(l, peer->domid, ref, &rep, &r);
	pthread_mutex_lock(&l->map_lock);
	if (!r) {
		peer->nr_fruitless++;
		if (err == -ENOENT || err == -EACCES)
			detach_range(l, peer, ref, 1, dead);
		return err;
	}
	known = lookup_id(peer, r->id);
	if (known) {
		peer->nr_fruitless++;
		list_add_tail(dead, &r->link);
		*ret = known;
		return 0;
	}
	detach_range(l, peer, r->first_ref, r->nr_pages, dead);
	if (rep.flags & LITE_REGION_SOLE && !r->readonly)
		clear_stale_bits(r);
	list_add_head(&peer->regions, &r->link);
	list_add_tail(&l->idle, &r->idle);
	l->nr_idle++;
	l->nr_idle_pages += r->nr_pages;
	*ret = r;
	return 0;
}

void lite_region_hold(struct lite *l, struct lite_region *r)
{
	if (r->nr_maps++ == 0)
		idle_remove(l, r);
}

void lite_region_drop(struct lite *l, struct lite_region *r, bool keep_idle,
		      struct list *dead)
{
	if (--r->nr_maps)
		return;
	if (r->detached) {
		list_add_tail(dead, &r->link);
		return;
	}
	list_add_tail(&l->idle, &r->idle);
	l->nr_idle++;
	l->nr_idle_pages += r->nr_pages;
	if (!keep_idle)
		detach(l, r, dead);
	while (l->nr_idle > IDLE_REGIONS_MAX ||
	       l->nr_idle_pages > IDLE_PAGES_MAX)
		detach(l, container_of(l->idle.next, struct lite_region, idle),
		       dead);
}

void lite_region_drop_idle(struct lite *l, struct lite_peer *peer,
			   struct list *dead)
{
	list_for_each_safe(link, tmp, &peer->regions) {
		struct lite_region *r =
			container_of(link, struct lite_region, link);

		if (!r->nr_maps)
			detach(l, r, dead);
	}
}

void lite_region_free(struct list *dead)
{
	list_for_each_safe(link, tmp, dead)
		region_close(container_of(link, struct lite_region, link));
}
