/* SPDX-License-Identifier: MIT */
/*
 * cache.c - the backend's persistently mapped pages of one frontend: a hash by
 * reference over a fixed array of entries, and a list of the unpinned ones in
 * the order of their last use. A frontend that names a hundred thousand
 * references gets evictions, not memory. Thread: the cache's owner.
 *
 * Before the hash there is a table of spots: the references that a frontend has
 * for its buffers follow each other, so each has a spot of its own there. A
 * page that was peeked at is marked, and has its place in the list renewed when
 * somebody wants to unmap it.
 */
#include "grant/grant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "util/list.h"

struct entry {
	struct list hash_link;
	struct list lru_link; /* in lru while unpinned, in spare while empty */
	grant_ref_t ref;
	uint32_t nr_pins;
	uint32_t put_step; /* the cache's step when it was last put */
	struct grant_map map;
	/*
	 * The earlier read-only mapping, still somebody's: unmapped with the
	 * last pin. nr_pages 0: none.
	 */
	struct grant_map old;
};

/* A mapped page by its reference's low bits; page NULL: none. */
struct spot {
	void PV_SHARED *page;
	grant_ref_t ref;
	bool writable;
	bool peeked; /* since its entry was put at the list's end */
};

struct grant_cache {
	struct platform *platform;
	domid_t domid;
	uint32_t max_pages;
	uint32_t nr_mapped; /* mappings, old ones included */
	uint32_t hash_mask; /* of buckets and spots */
	uint32_t step;	    /* of the idle clock; wraps, differences count */
	struct list *buckets;
	struct spot *spots;
	struct list lru; /* unpinned, least recently used first */
	struct list spare;
	struct entry entries[];
};

/* Odd multiplier of golden ratio size: neighbours land far apart. */
static struct list *bucket_of(struct grant_cache *cache, grant_ref_t ref)
{
	return &cache->buckets[(ref * 0x9e3779b1u >> 16) & cache->hash_mask];
}

static struct spot *spot_of(struct grant_cache *cache, grant_ref_t ref)
{
	return &cache->spots[ref & cache->hash_mask];
}

int grant_cache_open(struct platform *p, domid_t domid, uint32_t max_pages,
		     struct grant_cache **ret)
{
	struct grant_cache *cache;
	uint32_t nr_buckets = 1;

	if (max_pages == 0 || max_pages > SHARE_PAGES_MAX)
		return -EINVAL;
	cache = calloc(1,
		       sizeof(*cache) + max_pages * sizeof(cache->entries[0]));
	if (!cache)
		return -ENOMEM;
	while (nr_buckets < max_pages)
		nr_buckets <<= 1;
	cache->buckets = malloc(nr_buckets * sizeof(cache->buckets[0]));
	cache->spots = calloc(nr_buckets, sizeof(cache->spots[0]));
	if (!cache->buckets || !cache->spots) {
		free(cache->buckets);
		free(cache->spots);
		free(cache);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nr_buckets; i++)
		list_init(&cache->buckets[i]);
	list_init(&cache->lru);
	list_init(&cache->spare);
	for (uint32_t i = 0; i < max_pages; i++) {
		list_init(&cache->entries[i].hash_link);
		list_add_tail(&cache->spare, &cache->entries[i].lru_link);
	}
	cache->platform = p;
	cache->domid = domid;
	cache->max_pages = max_pages;
	cache->hash_mask = nr_buckets - 1;
	*ret = cache;
	return 0;
}

static void unmap_old(struct grant_cache *cache, struct entry *e)
{
	if (!e->old.nr_pages)
		return;
	platform_unmap(cache->platform, &e->old);
	cache->nr_mapped--;
}

static void entry_clear(struct grant_cache *cache, struct entry *e)
{
	struct spot *spot = spot_of(cache, e->ref);

	if (spot->ref == e->ref)
		spot->page = NULL;
	unmap_old(cache, e);
	platform_unmap(cache->platform, &e->map);
	cache->nr_mapped--;
	list_del(&e->hash_link);
	list_del(&e->lru_link);
	list_add_head(&cache->spare, &e->lru_link);
}

void grant_cache_close(struct grant_cache *cache)
{
	if (!cache)
		return;
	for (uint32_t i = 0; i < cache->max_pages; i++)
		if (cache->entries[i].map.nr_pages)
			entry_clear(cache, &cache->entries[i]);
	free(cache->buckets);
	free(cache->spots);
	free(cache);
}

static struct entry *lookup(struct grant_cache *cache, grant_ref_t ref)
{
	struct list *bucket = bucket_of(cache, ref);

	list_for_each(link, bucket) {
		struct entry *e = container_of(link, struct entry, hash_link);

		if (e->ref == ref)
			return e;
	}
	return NULL;
}

/* Nobody has it (any more): the most recently used one. */
static void entry_rest(struct grant_cache *cache, struct entry *e)
{
	e->put_step = cache->step;
	list_del(&e->lru_link);
	list_add_tail(&cache->lru, &e->lru_link);
}

/* It was used more recently than its place in the list says: moved there. */
static bool entry_renew(struct grant_cache *cache, struct entry *e)
{
	struct spot *spot = spot_of(cache, e->ref);

	if (spot->ref != e->ref || !spot->page || !spot->peeked)
		return false;
	spot->peeked = false;
	entry_rest(cache, e);
	return true;
}

/* Room for one mapping more, without touching keep. */
static int make_room(struct grant_cache *cache, const struct entry *keep)
{
	struct list *link = cache->lru.next;

	if (cache->nr_mapped < cache->max_pages)
		return 0;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): never NULL */
	while (link != &cache->lru) {
		struct entry *e = container_of(link, struct entry, lru_link);

		if (e == keep) {
			link = link->next;
		} else if (entry_renew(cache, e)) {
			link = cache->lru.next;
		} else {
			entry_clear(cache, e);
			return 0;
		}
	}
	return -EBUSY;
}

static int entry_new(struct grant_cache *cache, grant_ref_t ref, bool writable,
		     struct entry **ret)
{
	struct entry *e;
	int err = make_room(cache, NULL);

	if (err)
		return err;
	e = container_of(cache->spare.next, struct entry, lru_link);
	err = platform_map(cache->platform, cache->domid, &ref, 1, writable,
			   &e->map);
	if (err)
		return err;
	cache->nr_mapped++;
	e->ref = ref;
	e->nr_pins = 0;
	e->put_step = cache->step;
	list_add_head(bucket_of(cache, ref), &e->hash_link);
	list_del(&e->lru_link);
	list_add_tail(&cache->lru, &e->lru_link);
	*ret = e;
	return 0;
}

/* Mapped read-only, wanted writable. */
static int entry_upgrade(struct grant_cache *cache, struct entry **ret)
{
	struct entry *e = *ret;
	struct grant_map map;
	int err = make_room(cache, e);

	/* A cache of one page: give up the only mapping, if nobody uses it. */
	if (err && e->nr_pins)
		return err;
	if (err) {
		grant_ref_t ref = e->ref;

		entry_clear(cache, e);
		return entry_new(cache, ref, true, ret);
	}
	err = platform_map(cache->platform, cache->domid, &e->ref, 1, true,
			   &map);
	if (err)
		return err;
	cache->nr_mapped++;
	e->old = e->map;
	e->map = map;
	if (!e->nr_pins)
		unmap_old(cache, e);
	return 0;
}

int grant_cache_get(struct grant_cache *cache, grant_ref_t ref, bool writable,
		    void PV_SHARED **ret_page)
{
	struct entry *e = lookup(cache, ref);
	int err = 0;

	if (!e)
		err = entry_new(cache, ref, writable, &e);
	else if (writable && !e->map.writable)
		err = entry_upgrade(cache, &e);
	if (err)
		return err;
	if (e->nr_pins++ == 0)
		list_del(&e->lru_link);
	*spot_of(cache, ref) = (struct spot){ .page = e->map.base,
					      .ref = ref,
					      .writable = e->map.writable };
	*ret_page = e->map.base;
	return 0;
}

void PV_SHARED *grant_cache_peek(struct grant_cache *cache, grant_ref_t ref,
				 bool writable)
{
	struct spot *spot = spot_of(cache, ref);

	if (spot->ref != ref || (writable && !spot->writable))
		return NULL;
	spot->peeked = true;
	return spot->page;
}

void grant_cache_put(struct grant_cache *cache, grant_ref_t ref)
{
	struct entry *e = lookup(cache, ref);

	assert(e && e->nr_pins);
	if (--e->nr_pins)
		return;
	unmap_old(cache, e);
	entry_rest(cache, e);
}

void grant_cache_forget(struct grant_cache *cache, grant_ref_t ref)
{
	struct entry *e = lookup(cache, ref);

	if (e && !e->nr_pins)
		entry_clear(cache, e);
}

/* The list is in the order of the puts: the first young one ends it. */
uint32_t grant_cache_expire(struct grant_cache *cache)
{
	cache->step++;
	list_for_each_safe(link, next, &cache->lru) {
		struct entry *e = container_of(link, struct entry, lru_link);

		if (cache->step - e->put_step < 2)
			break;
		if (!entry_renew(cache, e))
			entry_clear(cache, e);
	}
	return cache->nr_mapped;
}

uint32_t grant_cache_nr_mapped(const struct grant_cache *cache)
{
	return cache->nr_mapped;
}
