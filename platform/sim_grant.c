/* SPDX-License-Identifier: MIT */
/*
 * sim_grant.c - shared pages of the simulated world: a table of shares instead
 * of entries in memory, counted instead of marked. Thread: the sim's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/sim_private.h"

struct sim_share {
	struct list link; /* in sim.shares */
	struct sim *sim;
	domid_t owner, peer;
	uint32_t flags;
	grant_ref_t first_ref;
	uint32_t nr_pages;
	uint32_t nr_in_use; /* mapped pages, of the living */
	uint32_t nr_maps;   /* struct sim_map that point here */
	bool revoked;	    /* cannot be found any more */
	bool owned;	    /* the granting side has its mapping yet */
	int fd;
	void *base;
};

struct sim_piece {
	struct sim_share *share;
	uint32_t idx;
};

struct sim_map {
	struct list link; /* in sim_domain.maps */
	struct sim *sim;
	bool counted; /* its domain lives */
	uint32_t nr;
	struct sim_piece pieces[];
};

/* Free the share once nobody points to it. */
static void share_put(struct sim_share *s)
{
	if (s->owned || s->nr_maps)
		return;
	list_del(&s->link);
	s->sim->nr_shares--;
	close(s->fd);
	free(s);
}

static int share_memory(struct sim_share *s)
{
	size_t size_bytes = (size_t)s->nr_pages * PV_PAGE_SIZE;
	int err;

	s->fd = memfd_create("pvsplit-sim", MFD_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	if (ftruncate(s->fd, (off_t)size_bytes) == 0) {
		s->base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			       MAP_SHARED, s->fd, 0);
		if (s->base != MAP_FAILED)
			return 0;
	}
	err = -errno;
	close(s->fd);
	return err;
}

int sim_share(struct platform *p, domid_t peer, uint32_t nr_pages,
	      uint32_t flags, struct share *ret)
{
	struct sim_domain *d = sim_domain_of(p);
	struct sim_share *s;
	int err;

	if (d->dead)
		return -ECONNRESET;
	if (!sim_find(d->sim, peer))
		return -ENOENT;
	if (d->next_ref > UINT32_MAX - nr_pages ||
	    sim_strikes(d->sim, d->sim->faults.share_fail))
		return -ENOSPC;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->nr_pages = nr_pages;
	err = share_memory(s);
	if (err) {
		free(s);
		return err;
	}
	s->sim = d->sim;
	s->owner = p->domid;
	s->peer = peer;
	s->flags = flags;
	s->first_ref = d->next_ref;
	s->owned = true;
	d->next_ref += nr_pages;
	list_add_tail(&d->sim->shares, &s->link);
	d->sim->nr_shares++;
	*ret = (struct share){ .base = s->base,
			       .nr_pages = nr_pages,
			       .first_ref = s->first_ref,
			       .peer = peer,
			       .flags = flags,
			       .priv = s };
	return 0;
}

int sim_unshare(struct platform *p, struct share *share)
{
	struct sim_share *s = share->priv;
	bool in_use;

	(void)p;
	if (!s)
		return -EINVAL;
	in_use = s->nr_in_use && !(s->flags & SHARE_PEER_READONLY);
	munmap(s->base, (size_t)s->nr_pages * PV_PAGE_SIZE);
	s->revoked = true;
	s->owned = false;
	share_put(s);
	return in_use ? -EBUSY : 0;
}

static int find_page(struct sim_domain *d, domid_t domid, grant_ref_t ref,
		     bool writable, struct sim_piece *ret)
{
	list_for_each(link, &d->sim->shares) {
		struct sim_share *s =
			container_of(link, struct sim_share, link);

		if (s->revoked || s->owner != domid ||
		    ref - s->first_ref >= s->nr_pages)
			continue;
		if (s->peer != d->platform.domid ||
		    (writable && (s->flags & SHARE_PEER_READONLY)))
			return -EACCES;
		ret->share = s;
		ret->idx = ref - s->first_ref;
		return 0;
	}
	return -ENOENT;
}

static int map_memory(const struct sim_map *m, bool writable, void **ret)
{
	struct span_page pages[GRANT_MAP_MAX];

	for (uint32_t i = 0; i < m->nr; i++) {
		pages[i].fd = m->pieces[i].share->fd;
		pages[i].offset_bytes =
			(uint64_t)m->pieces[i].idx * PV_PAGE_SIZE;
	}
	return span_map(pages, m->nr, writable, ret);
}

static void map_count(struct sim_domain *d, struct sim_map *m)
{
	for (uint32_t i = 0; i < m->nr; i++) {
		m->pieces[i].share->nr_maps++;
		m->pieces[i].share->nr_in_use++;
	}
	m->counted = true;
	d->sim->nr_mapped_pages += m->nr;
	list_add_tail(&d->maps, &m->link);
}

static void map_uncount(struct sim_map *m)
{
	if (!m->counted)
		return;
	for (uint32_t i = 0; i < m->nr; i++)
		m->pieces[i].share->nr_in_use--;
	m->counted = false;
}

int sim_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
	    uint32_t nr, bool writable, struct grant_map *ret)
{
	struct sim_domain *d = sim_domain_of(p);
	struct sim_map *m;
	void *base;
	int err = 0;

	if (d->dead)
		return -ECONNRESET;
	if (sim_strikes(d->sim, d->sim->faults.map_fail))
		return -ENOMEM;
	m = calloc(1, sizeof(*m) + nr * sizeof(m->pieces[0]));
	if (!m)
		return -ENOMEM;
	m->sim = d->sim;
	m->nr = nr;
	for (uint32_t i = 0; i < nr && !err; i++)
		err = find_page(d, domid, refs[i], writable, &m->pieces[i]);
	if (!err)
		err = map_memory(m, writable, &base);
	if (err) {
		free(m);
		return err;
	}
	map_count(d, m);
	*ret = (struct grant_map){ .base = shared_of(base),
				   .nr_pages = nr,
				   .domid = domid,
				   .writable = writable,
				   .priv = m };
	return 0;
}

void sim_unmap(struct platform *p, struct grant_map *map)
{
	struct sim_map *m = map->priv;

	(void)p;
	if (!m)
		return;
	span_unmap(local_of(map->base), m->nr);
	map_uncount(m);
	for (uint32_t i = 0; i < m->nr; i++) {
		m->pieces[i].share->nr_maps--;
		share_put(m->pieces[i].share);
	}
	m->sim->nr_mapped_pages -= m->nr;
	list_del(&m->link);
	free(m);
}

int sim_copy(struct platform *p, const struct grant_copy *op)
{
	struct grant_map map;
	char *page;
	int err = sim_map(p, op->domid, &op->ref, 1, op->to_peer, &map);

	if (err)
		return err;
	page = local_of(map.base);
	if (op->to_peer)
		memcpy(page + op->offset, op->local, op->size_bytes);
	else
		memcpy(op->local, page + op->offset, op->size_bytes);
	sim_unmap(p, &map);
	return 0;
}

void sim_grants_end(struct sim_domain *d)
{
	list_for_each(link, &d->sim->shares) {
		struct sim_share *s =
			container_of(link, struct sim_share, link);

		/* A later domain of the same id is not this peer. */
		if (s->owner == d->platform.domid ||
		    s->peer == d->platform.domid)
			s->revoked = true;
	}
	list_for_each_safe(link, tmp, &d->maps) {
		map_uncount(container_of(link, struct sim_map, link));
		list_del(link);
	}
}
