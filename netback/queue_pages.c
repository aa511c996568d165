/* SPDX-License-Identifier: MIT */
/*
 * queue_pages.c - pages that the frontend asked to stay mapped, see queue.h:
 * pinned in the queue's cache, and written down for a successor. Neighbours:
 * grant/cache.c; ctrl_serve.c calls. Data thread but for queue_pages_resume.
 */
#include <errno.h>
#include <string.h>

#include "netback/queue_private.h"

static struct record_pages *pages_of(struct queue *q)
{
	return &q->record->pages;
}

/* Its place, or nr when it is not there. */
static uint32_t find(const struct record_pages *pages, grant_ref_t ref)
{
	uint32_t i = 0;

	while (i < pages->nr && pages->refs[i] != ref)
		i++;
	return i;
}

static void drop_last(struct queue *q)
{
	struct record_pages *pages = pages_of(q);

	grant_cache_put(q->cache, pages->refs[--pages->nr]);
}

static int add(struct queue *q, const struct xen_netif_gref *page)
{
	struct record_pages *pages = pages_of(q);
	void PV_SHARED *base;
	int err;

	if (page->flags & ~XEN_NETIF_CTRLF_GREF_readonly)
		return -EINVAL;
	/* Again: a predecessor may have died before it could answer. */
	if (find(pages, page->ref) < pages->nr)
		return 0;
	if (pages->nr == RECORD_PAGES_MAX)
		return -ENOSPC;
	err = grant_cache_get(q->cache, page->ref,
			      !(page->flags & XEN_NETIF_CTRLF_GREF_readonly),
			      &base);
	if (err)
		return err;
	pages->refs[pages->nr++] = page->ref;
	return 0;
}

int queue_add_pages(struct queue *q, const struct xen_netif_gref *list,
		    uint32_t nr)
{
	uint32_t before = pages_of(q)->nr;
	int err = 0;

	for (uint32_t i = 0; !err && i < nr; i++)
		err = add(q, &list[i]);
	/* All of them, or none. */
	while (err && pages_of(q)->nr > before)
		drop_last(q);
	return err;
}

int queue_del_page(struct queue *q, grant_ref_t ref)
{
	struct record_pages *pages = pages_of(q);
	uint32_t i = find(pages, ref);

	if (i == pages->nr)
		return -EINVAL;
	grant_cache_put(q->cache, ref);
	grant_cache_forget(q->cache, ref);
	pages->refs[i] = pages->refs[--pages->nr];
	return 0;
}

int queue_pages_resume(struct queue *q)
{
	struct record_pages *pages = pages_of(q);
	uint32_t nr = pages->nr;
	int err = nr > RECORD_PAGES_MAX ? -EPROTO : 0;

	for (uint32_t i = 0; !err && i < nr; i++) {
		void PV_SHARED *base;

		err = grant_cache_get(q->cache, pages->refs[i], false, &base);
	}
	return err;
}
