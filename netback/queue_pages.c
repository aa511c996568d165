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

/* What is below nr is complete, whenever we die. */
static void set_nr(struct record_pages *pages, uint32_t nr)
{
	/* pairs with queue_pages_resume() in a successor */
	__atomic_store_n(&pages->nr, nr, __ATOMIC_RELEASE);
}

bool queue_has_page(const struct queue *q, grant_ref_t ref)
{
	const struct record_pages *pages = &q->record->pages;

	return find(pages, ref) < pages->nr;
}

uint32_t queue_nr_pages(const struct queue *q)
{
	return q->record->pages.nr;
}

void queue_keep_pages(struct queue *q, uint32_t nr)
{
	struct record_pages *pages = pages_of(q);

	while (pages->nr > nr) {
		grant_cache_put(q->cache, pages->refs[pages->nr - 1]);
		set_nr(pages, pages->nr - 1);
	}
}

static int add(struct queue *q, const struct xen_netif_gref *page)
{
	struct record_pages *pages = pages_of(q);
	void PV_SHARED *base;
	int err;

	if (page->flags & ~XEN_NETIF_CTRLF_GREF_readonly)
		return -EINVAL;
	if (queue_has_page(q, page->ref))
		return 0;
	if (pages->nr == RECORD_PAGES_MAX)
		return -ENOSPC;
	err = grant_cache_get(q->cache, page->ref,
			      !(page->flags & XEN_NETIF_CTRLF_GREF_readonly),
			      &base);
	if (err)
		return err;
	pages->refs[pages->nr] = page->ref;
	set_nr(pages, pages->nr + 1);
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
	if (err)
		queue_keep_pages(q, before);
	return err;
}

void queue_del_page(struct queue *q, grant_ref_t ref)
{
	struct record_pages *pages = pages_of(q);
	uint32_t i = find(pages, ref);

	if (i == pages->nr)
		return;
	grant_cache_put(q->cache, ref);
	grant_cache_forget(q->cache, ref);
	pages->refs[i] = pages->refs[pages->nr - 1];
	set_nr(pages, pages->nr - 1);
}

int queue_pages_resume(struct queue *q)
{
	struct record_pages *pages = pages_of(q);
	/* pairs with set_nr() in the predecessor */
	uint32_t nr = __atomic_load_n(&pages->nr, __ATOMIC_ACQUIRE);
	int err = nr > RECORD_PAGES_MAX ? -EPROTO : 0;

	/* It died while the last one took another's place. */
	if (!err && nr && find(pages, pages->refs[nr - 1]) < nr - 1)
		pages->nr = --nr;
	for (uint32_t i = 0; !err && i < nr; i++) {
		void PV_SHARED *base;

		err = grant_cache_get(q->cache, pages->refs[i], false, &base);
	}
	return err;
}
