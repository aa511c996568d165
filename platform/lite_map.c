/* SPDX-License-Identifier: MIT */
/*
 * lite_map.c - the mapping side: from references to memory, checked page by
 * page. The kernel guards the region, this guards the page: entries of pages
 * that are not for us (or no longer) are honoured here, and the in-use bits
 * that tell the granting side are set and cleared here. Thread: any.
 *
 * A region that we may only read has its entries out of our reach too: there
 * are no in-use bits in it.
 */
#include "platform/lite.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/lite_region.h"

/* The peer may keep changing an entry under us; then it has lost its page. */
#define ENTRY_TRIES 8

/* One mapped page. */
struct piece {
	struct lite_region *region;
	uint32_t idx;
};

/* References out of order: an address range of its own. */
struct lite_scatter {
	uint32_t nr;
	struct piece pieces[];
};

/*
 * Take page idx for us. -ESTALE: the entry does not grant it (perhaps the
 * region is out of date); -EACCES: granted, but not for writing.
 */
static int page_take(struct lite *l, struct lite_region *r, uint32_t idx,
		     bool writable)
{
	lite_entry_t *e = lite_region_entry(r, idx);
	struct grant_entry_v1 seen = lite_entry_load(e);
	struct lite_page_use *use = &r->use[idx];
	uint16_t bits = (use->nr_maps ? 0 : GTF_reading) |
			(writable && !use->nr_writers ? GTF_writing : 0);

	for (int i = 0; i < ENTRY_TRIES; i++) {
		if ((seen.flags & GTF_type_mask) != GTF_permit_access ||
		    seen.domid != l->platform.domid || seen.frame != idx)
			return -ESTALE;
		if (writable && (r->readonly || (seen.flags & GTF_readonly)))
			return -EACCES;
		if (r->readonly || !bits || lite_entry_use(e, &seen, bits)) {
			use->nr_maps++;
			use->nr_writers += writable;
			lite_region_hold(l, r);
			return 0;
		}
	}
	return -EACCES;
}

static void page_give_back(struct lite *l, const struct piece *piece,
			   bool writable, struct list *dead)
{
	struct lite_region *r = piece->region;
	struct lite_page_use *use = &r->use[piece->idx];
	lite_entry_t *e = lite_region_entry(r, piece->idx);
	uint16_t bits = 0;

	if (writable && --use->nr_writers == 0)
		bits |= GTF_writing;
	if (--use->nr_maps == 0)
		bits |= GTF_reading;
	if (bits && !r->readonly)
		lite_entry_unuse(e, bits);
	lite_region_drop(l, r,
			 (lite_entry_load(e).flags & GTF_type_mask) ==
				 GTF_permit_access,
			 dead);
}

/* With map_lock; may drop it to ask the broker. */
static int page_acquire(struct lite *l, struct lite_peer *peer, grant_ref_t ref,
			bool writable, struct list *dead, struct piece *ret)
{
	struct lite_region *r = lite_region_lookup(peer, ref);
	int err = r ? page_take(l, r, ref - r->first_ref, writable) : -ESTALE;

	if (err == -ESTALE) {
		err = lite_region_ask(l, peer, ref, dead, &r);
		if (!err)
			err = page_take(l, r, ref - r->first_ref, writable);
		if (err == -ESTALE)
			err = -EACCES;
	}
	if (err)
		return err;
	ret->region = r;
	ret->idx = ref - r->first_ref;
	return 0;
}

static void give_back_all(struct lite *l, const struct piece *pieces,
			  uint32_t nr, bool writable)
{
	struct list dead = LIST_INIT(dead);

	pthread_mutex_lock(&l->map_lock);
	for (uint32_t i = 0; i < nr; i++)
		page_give_back(l, &pieces[i], writable, &dead);
	pthread_mutex_unlock(&l->map_lock);
	lite_region_free(&dead);
}

/* All or nothing. */
static int acquire_all(struct lite *l, domid_t domid, const grant_ref_t *refs,
		       uint32_t nr, bool writable, struct piece *pieces)
{
	struct list dead = LIST_INIT(dead);
	struct lite_peer *peer;
	uint32_t done = 0;
	int err = 0;

	assert(nr > 0);
	pthread_mutex_lock(&l->map_lock);
	peer = lite_peer_get(l, domid);
	if (!peer)
		err = -ENOMEM;
	while (!err && done < nr) {
		err = page_acquire(l, peer, refs[done], writable, &dead,
				   &pieces[done]);
		if (!err)
			done++;
	}
	pthread_mutex_unlock(&l->map_lock);
	lite_region_free(&dead);
	if (err)
		give_back_all(l, pieces, done, writable);
	return err;
}

static bool consecutive(const struct piece *pieces, uint32_t nr)
{
	for (uint32_t i = 1; i < nr; i++)
		if (pieces[i].region != pieces[0].region ||
		    pieces[i].idx != pieces[0].idx + i)
			return false;
	return true;
}

static int scatter_open(const struct piece *pieces, uint32_t nr, bool writable,
			struct grant_map *ret)
{
	struct lite_scatter *sc =
		malloc(sizeof(*sc) + nr * sizeof(sc->pieces[0]));
	struct span_page pages[GRANT_MAP_MAX];
	void *base;
	int err;

	if (!sc)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++) {
		pages[i].fd = pieces[i].region->fd;
		pages[i].offset_bytes =
			lite_page_offset(pieces[i].region, pieces[i].idx);
	}
	err = span_map(pages, nr, writable, &base);
	if (err) {
		free(sc);
		return err;
	}
	sc->nr = nr;
	memcpy(sc->pieces, pieces, nr * sizeof(sc->pieces[0]));
	ret->base = shared_of(base);
	ret->priv = sc;
	return 0;
}

int lite_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
	     uint32_t nr, bool writable, struct grant_map *ret)
{
	struct grant_map map = { .nr_pages = nr,
				 .domid = domid,
				 .writable = writable };
	struct piece pieces[GRANT_MAP_MAX];
	struct lite *l = lite_of(p);
	int err = acquire_all(l, domid, refs, nr, writable, pieces);

	if (err)
		return err;
	if (consecutive(pieces, nr)) {
		map.base = shared_of(
			lite_region_page(pieces[0].region, pieces[0].idx));
		map.priv = pieces[0].region;
	} else {
		err = scatter_open(pieces, nr, writable, &map);
		if (err) {
			give_back_all(l, pieces, nr, writable);
			return err;
		}
		map.scattered = true;
	}
	*ret = map;
	return 0;
}

void lite_unmap(struct platform *p, struct grant_map *map)
{
	struct piece pieces[GRANT_MAP_MAX];
	struct lite *l = lite_of(p);

	if (!map->priv)
		return;
	if (map->scattered) {
		struct lite_scatter *sc = map->priv;

		span_unmap(local_of(map->base), sc->nr);
		give_back_all(l, sc->pieces, sc->nr, map->writable);
		free(sc);
		return;
	}
	for (uint32_t i = 0; i < map->nr_pages; i++) {
		struct lite_region *r = map->priv;

		pieces[i].region = r;
		pieces[i].idx =
			i + (uint32_t)(((char *)local_of(map->base) -
					(char *)lite_region_page(r, 0)) /
				       PV_PAGE_SIZE);
	}
	give_back_all(l, pieces, map->nr_pages, map->writable);
}

void lite_forget(struct platform *p, domid_t domid)
{
	struct list dead = LIST_INIT(dead);
	struct lite *l = lite_of(p);
	struct lite_peer *peer;

	pthread_mutex_lock(&l->map_lock);
	peer = lite_peer_get(l, domid);
	if (peer)
		lite_region_drop_idle(l, peer, &dead);
	pthread_mutex_unlock(&l->map_lock);
	lite_region_free(&dead);
}

int lite_copy(struct platform *p, const struct grant_copy *op)
{
	struct lite *l = lite_of(p);
	struct piece piece;
	char *page;
	int err = acquire_all(l, op->domid, &op->ref, 1, op->to_peer, &piece);

	if (err)
		return err;
	page = lite_region_page(piece.region, piece.idx);
	if (op->to_peer)
		memcpy(page + op->offset, op->local, op->size_bytes);
	else
		memcpy(op->local, page + op->offset, op->size_bytes);
	give_back_all(l, &piece, 1, op->to_peer);
	return 0;
}
