/* SPDX-License-Identifier: MIT */
/*
 * pages.c - mapping of a request's pages, see pages.h. Called by queue.c.
 */
#include "blkback/pages.h"

#include <errno.h>
#include <string.h>

/*
 * Pages of one disk that stay mapped at most: what Linux's backend allows. A
 * deeper ring maps the rest for each request.
 */
#define CACHE_PAGES_MAX 1056u

int page_mapper_init(struct page_mapper *m, struct platform *platform,
		     domid_t domid, uint32_t nr_slots, bool persistent)
{
	uint32_t nr = nr_slots * BLKIF_MAX_SEGMENTS_PER_REQUEST;

	*m = (struct page_mapper){ .platform = platform, .domid = domid };
	if (!persistent)
		return 0;
	return grant_cache_open(platform, domid,
				nr < CACHE_PAGES_MAX ? nr : CACHE_PAGES_MAX,
				&m->cache);
}

void page_mapper_fini(struct page_mapper *m)
{
	grant_cache_close(m->cache);
	m->cache = NULL;
}

/*
 * The storage drivers hand the address to the kernel or copy the bytes as they
 * are; nobody interprets them. So here they stop being PV_SHARED.
 */
static void set_iov(struct iovec *iov, const struct blk_segment *seg,
		    void PV_SHARED *page)
{
	iov->iov_base = (char *)(uintptr_t)page + seg->offset_bytes;
	iov->iov_len = seg->size_bytes;
}

static int get_cached(struct page_mapper *m, const struct blk_io *io,
		      bool writable, struct request_pages *pages,
		      struct iovec *iov)
{
	for (uint32_t i = 0; i < io->nr_segments; i++) {
		void PV_SHARED *page;
		int err = grant_cache_get(m->cache, io->seg[i].ref, writable,
					  &page);

		if (err) {
			request_pages_put(m, io, pages);
			return err;
		}
		pages->nr_cached++;
		set_iov(&iov[i], &io->seg[i], page);
	}
	return 0;
}

static int map_all(struct page_mapper *m, const struct blk_io *io,
		   bool writable, struct request_pages *pages,
		   struct iovec *iov)
{
	grant_ref_t refs[BLK_SEGMENTS_MAX];
	int err;

	_Static_assert(BLK_SEGMENTS_MAX <= GRANT_MAP_MAX, "one call maps all");

	for (uint32_t i = 0; i < io->nr_segments; i++)
		refs[i] = io->seg[i].ref;
	err = platform_map(m->platform, m->domid, refs, io->nr_segments,
			   writable, &pages->map);
	if (err)
		return err;
	for (uint32_t i = 0; i < io->nr_segments; i++)
		set_iov(&iov[i], &io->seg[i],
			(char PV_SHARED *)pages->map.base + i * PV_PAGE_SIZE);
	return 0;
}

/* The barrier keeps the compiler from reading the page again later. */
static void copy_once(void *to, const void PV_SHARED *page, size_t size_bytes)
{
	memcpy(to, (const void *)(uintptr_t)page, size_bytes);
	__asm__ volatile("" : : "r"(to) : "memory");
}

static int copy_mapped(struct page_mapper *m, grant_ref_t ref, void *to,
		       size_t size_bytes)
{
	struct grant_map map;
	int err = platform_map(m->platform, m->domid, &ref, 1, false, &map);

	if (err)
		return err;
	copy_once(to, map.base, size_bytes);
	platform_unmap(m->platform, &map);
	return 0;
}

int page_copy(struct page_mapper *m, grant_ref_t ref, void *to,
	      size_t size_bytes)
{
	void PV_SHARED *page;
	int err;

	if (!m->cache)
		return copy_mapped(m, ref, to, size_bytes);
	err = grant_cache_get(m->cache, ref, false, &page);
	if (err == -EBUSY)
		return copy_mapped(m, ref, to, size_bytes);
	if (err)
		return err;
	copy_once(to, page, size_bytes);
	grant_cache_put(m->cache, ref);
	return 0;
}

uint32_t page_mapper_expire(struct page_mapper *m)
{
	return m->cache ? grant_cache_expire(m->cache) : 0;
}

uint32_t page_mapper_nr_cached(const struct page_mapper *m)
{
	return m->cache ? grant_cache_nr_mapped(m->cache) : 0;
}

int request_pages_get(struct page_mapper *m, const struct blk_io *io,
		      struct request_pages *pages, struct iovec *iov)
{
	bool writable = io->kind == BLK_READ;

	memset(pages, 0, sizeof(*pages));
	if (!io->nr_segments)
		return 0;
	if (m->cache) {
		int err = get_cached(m, io, writable, pages, iov);

		/* -EBUSY: every cached page is in use by other requests. */
		if (err != -EBUSY)
			return err;
	}
	return map_all(m, io, writable, pages, iov);
}

void request_pages_put(struct page_mapper *m, const struct blk_io *io,
		       struct request_pages *pages)
{
	while (pages->nr_cached)
		grant_cache_put(m->cache, io->seg[--pages->nr_cached].ref);
	if (pages->map.nr_pages)
		platform_unmap(m->platform, &pages->map);
}
