/* SPDX-License-Identifier: MIT */
/*
 * grant.h - what drivers do with grants, above the platform.
 *
 * Frontend: a pool of pages shared with one backend for as long as the device
 * is connected; pages are handed out and taken back without a system call.
 * Backend: a cache of persistently mapped pages of one frontend, bounded, least
 * recently used first out.
 *
 * Thread: a pool or a cache belongs to one thread (the queue's owner).
 * Logs: never.
 */
#ifndef GRANT_GRANT_H
#define GRANT_GRANT_H

#include "platform/platform.h"

/* ---- frontend: page pool ----------------------------------------------- */

struct grant_pool;

/* Share nr_pages with peer (flags: SHARE_*). Errors: platform_share's. */
int grant_pool_open(struct platform *p, domid_t peer, uint32_t nr_pages,
		    uint32_t flags, struct grant_pool **ret) PV_MUST_CHECK;
/* NULL is fine. Returns platform_unshare's verdict. */
int grant_pool_close(struct grant_pool *pool);

void *grant_pool_base(const struct grant_pool *pool);
uint32_t grant_pool_nr_pages(const struct grant_pool *pool);
/* Page number <-> reference and address; idx < nr_pages. */
grant_ref_t grant_pool_ref(const struct grant_pool *pool, uint32_t idx);
void *grant_pool_page(const struct grant_pool *pool, uint32_t idx);
/* The page that holds address, or -1 when it is not in the pool. */
int64_t grant_pool_index(const struct grant_pool *pool, const void *address);

/* Take one free page (lowest first) / nr contiguous pages. -1: none. */
int64_t grant_pool_take(struct grant_pool *pool, uint32_t nr_contiguous);
void grant_pool_put(struct grant_pool *pool, uint32_t idx,
		    uint32_t nr_contiguous);

/* ---- backend: persistent cache ----------------------------------------- */

struct grant_cache;

/*
 * Remember at most max_pages mapped pages of domid. Entries in use are never
 * evicted.
 */
int grant_cache_open(struct platform *p, domid_t domid, uint32_t max_pages,
		     struct grant_cache **ret) PV_MUST_CHECK;
void grant_cache_close(struct grant_cache *cache); /* NULL is fine; unmaps */

/*
 * The mapped page of ref, pinned until grant_cache_put. A page that was first
 * mapped read-only and is now wanted writable is mapped anew.
 * Errors: platform_map's; -EBUSY every entry is pinned.
 */
int grant_cache_get(struct grant_cache *cache, grant_ref_t ref, bool writable,
		    void PV_SHARED **ret_page) PV_MUST_CHECK;
void grant_cache_put(struct grant_cache *cache, grant_ref_t ref);
/*
 * The same without a pin and without a system call: a look at one place by the
 * reference's number. Valid until the next other call with this cache. NULL:
 * not mapped like this, or another reference is at that place; then get it.
 */
void PV_SHARED *grant_cache_peek(struct grant_cache *cache, grant_ref_t ref,
				 bool writable);
/* Unmap ref's page now, if it is mapped and nobody has it. */
void grant_cache_forget(struct grant_cache *cache, grant_ref_t ref);
/*
 * A step of the owner's idle clock: unmap every page that was last put before
 * the step before this one. Returns how many mappings are left; with none, the
 * clock may stand still.
 */
uint32_t grant_cache_expire(struct grant_cache *cache);
uint32_t grant_cache_nr_mapped(const struct grant_cache *cache);

#endif /* GRANT_GRANT_H */
