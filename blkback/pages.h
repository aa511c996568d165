/* SPDX-License-Identifier: MIT */
/*
 * pages.h - a request's pages, mapped while it is in flight: out of the
 * persistent cache when both ends agreed on that, else for this request alone.
 * Fails without a trace: after an error nothing of the request is mapped.
 *
 * Thread: the queue's data thread (init and fini: control). Logs: never.
 */
#ifndef BLKBACK_PAGES_H
#define BLKBACK_PAGES_H

#include <sys/uio.h>

#include "blkback/parse.h"
#include "grant/grant.h"

struct page_mapper {
	struct platform *platform;
	domid_t domid;
	struct grant_cache *cache; /* NULL: map and unmap for each request */
};

struct request_pages {
	uint32_t nr_cached;   /* segments whose page is pinned in the cache */
	struct grant_map map; /* or all of them in one mapping */
};

/* nr_slots: requests in flight at most. */
int page_mapper_init(struct page_mapper *m, struct platform *platform,
		     domid_t domid, uint32_t nr_slots,
		     bool persistent) PV_MUST_CHECK;
void page_mapper_fini(struct page_mapper *m); /* zeroed is fine */

/*
 * iov[i] becomes segment i. A flush has no segments and needs no pages.
 * Errors: platform_map's.
 */
int request_pages_get(struct page_mapper *m, const struct blk_io *io,
		      struct request_pages *pages,
		      struct iovec *iov) PV_MUST_CHECK;
void request_pages_put(struct page_mapper *m, const struct blk_io *io,
		       struct request_pages *pages);

/*
 * A private copy of the first size_bytes of ref's page, read once. Nothing
 * stays pinned. Errors: platform_map's.
 */
int page_copy(struct page_mapper *m, grant_ref_t ref, void *to,
	      size_t size_bytes) PV_MUST_CHECK;

/*
 * One step of the idle clock: what was not used since the step before the last
 * is unmapped. Returns how many pages stay mapped.
 */
uint32_t page_mapper_expire(struct page_mapper *m);
/* Pages that are mapped though nobody uses them now, at most. */
uint32_t page_mapper_nr_cached(const struct page_mapper *m);

#endif /* BLKBACK_PAGES_H */
