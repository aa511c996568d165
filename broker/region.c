/* SPDX-License-Identifier: MIT */
/*
 * region.c - regions of shared pages: the memfd of each, who granted it,
 * which one domain may find it, and which connections hold it.
 *
 * The broker makes the memfd itself, so it has the right size and seals from
 * its first moment. A region granted read-only cannot be found before its
 * owner, who needs a writable mapping first, has sealed it against writing.
 * Thread: the daemon's loop.
 */
#include "broker/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/platform.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

/* References below this belong to the toolstack. */
#define FIRST_REF ((uint64_t)GNTTAB_NR_RESERVED_ENTRIES)

/* A connection of the peer that was given the region's descriptor. */
struct holder {
	struct list region_link;
	struct list conn_link;
	struct conn *conn;
};

static void holder_free(struct holder *h)
{
	list_del(&h->region_link);
	list_del(&h->conn_link);
	free(h);
}

void broker_holder_free_all(struct conn *c)
{
	list_for_each_safe(link, tmp, &c->holders)
		holder_free(container_of(link, struct holder, conn_link));
}

static int holder_add(struct region *r, struct conn *c)
{
	struct holder *h;

	list_for_each(link, &r->holders)
		if (container_of(link, struct holder, region_link)->conn == c)
			return 0;
	h = malloc(sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->conn = c;
	list_add_tail(&r->holders, &h->region_link);
	list_add_tail(&c->holders, &h->conn_link);
	return 0;
}

static int region_memfd(uint32_t nr_pages, uint32_t flags)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	int fd = memfd_create("pvsplit-grants", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	int err;

	/* Linux before 6.3 does not know how to make it not executable. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("pvsplit-grants",
				  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (!(flags & SHARE_PEER_READONLY))
		seals |= F_SEAL_SEAL;
	if (ftruncate(fd, (off_t)lite_region_bytes(nr_pages)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static bool overlaps(const struct region *r, uint64_t first, uint32_t nr)
{
	return first < (uint64_t)r->first_ref + r->nr_pages &&
	       r->first_ref < first + nr;
}

/*
 * The next free range of the domain's reference space. Numbers come round only
 * after all others have been used; a domid whose numbers have come round is
 * not given to another domain.
 */
static grant_ref_t refs_take(struct domain *d, uint32_t nr)
{
	uint64_t *used = &d->broker->nr_refs[d->domid];

	for (;;) {
		uint64_t first = FIRST_REF + *used % BROKER_NR_REFS;
		uint64_t skip = 0;

		if (first + nr > FIRST_REF + BROKER_NR_REFS)
			skip = FIRST_REF + BROKER_NR_REFS - first;
		list_for_each(link, &d->regions) {
			struct region *r =
				container_of(link, struct region, domain_link);

			if (!skip && overlaps(r, first, nr))
				skip = (uint64_t)r->first_ref + r->nr_pages -
				       first;
		}
		*used += skip ? skip : nr;
		if (!skip)
			return (grant_ref_t)first;
	}
}

int broker_region_add(struct conn *c, const struct lite_request *req,
		      struct lite_reply *rep, int *ret_fd)
{
	struct domain *d = c->domain;
	struct domain *peer = broker_find(d->broker, req->domid);
	const struct broker_limits *limits = broker_limits_of(d);
	struct region *r;

	if (req->nr_pages == 0 || req->nr_pages > SHARE_PAGES_MAX ||
	    req->flags & ~SHARE_PEER_READONLY)
		return -EINVAL;
	if (!peer)
		return -ENOENT;
	if (d->nr_regions >= limits->nr_regions ||
	    req->nr_pages > limits->nr_pages - d->nr_pages)
		return -ENOSPC;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->fd = region_memfd(req->nr_pages, req->flags);
	if (r->fd < 0) {
		int err = r->fd;

		free(r);
		return err;
	}
	r->conn = c;
	r->id = d->broker->next_serial++;
	r->peer_serial = peer->serial;
	r->first_ref = refs_take(d, req->nr_pages);
	r->nr_pages = req->nr_pages;
	r->flags = req->flags;
	list_init(&r->holders);
	list_add_tail(&c->regions, &r->link);
	list_add_tail(&d->regions, &r->domain_link);
	d->nr_regions++;
	d->nr_pages += r->nr_pages;
	rep->id = r->id;
	rep->number = r->first_ref;
	*ret_fd = r->fd;
	return 0;
}

void broker_region_free(struct region *r)
{
	struct domain *d = r->conn->domain;

	list_for_each_safe(link, tmp, &r->holders)
		holder_free(container_of(link, struct holder, region_link));
	list_del(&r->link);
	list_del(&r->domain_link);
	d->nr_regions--;
	d->nr_pages -= r->nr_pages;
	close(r->fd);
	free(r);
}

int broker_region_remove(struct conn *c, const struct lite_request *req,
			 struct lite_reply *rep, int *ret_fd)
{
	(void)ret_fd;
	list_for_each(link, &c->regions) {
		struct region *r = container_of(link, struct region, link);

		if (r->id != req->id)
			continue;
		if (req->flags & LITE_REGION_FORGET ||
		    list_empty(&r->holders)) {
			broker_region_free(r);
			return 0;
		}
		r->removed = true;
		rep->flags = LITE_REGION_HELD;
		return 0;
	}
	return -ENOENT;
}

/* Read-only regions only: has the owner closed it for writing? */
static bool ready(const struct region *r)
{
	const int need = F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

	return !(r->flags & SHARE_PEER_READONLY) ||
	       (fcntl(r->fd, F_GET_SEALS) & need) == need;
}

static struct region *lookup(struct domain *d, grant_ref_t ref)
{
	list_for_each(link, &d->regions) {
		struct region *r =
			container_of(link, struct region, domain_link);

		if (ref - r->first_ref < r->nr_pages)
			return r->removed || !ready(r) ? NULL : r;
	}
	return NULL;
}

int broker_region_find(struct conn *c, const struct lite_request *req,
		       struct lite_reply *rep, int *ret_fd)
{
	struct domain *d = broker_find(c->domain->broker, req->domid);
	struct region *r = d ? lookup(d, req->number) : NULL;
	int err;

	if (!r)
		return -ENOENT;
	if (r->peer_serial != c->domain->serial)
		return -EACCES;
	err = holder_add(r, c);
	if (err)
		return err;
	rep->id = r->id;
	rep->number = r->first_ref;
	rep->nr_pages = r->nr_pages;
	rep->flags = r->flags;
	if (r->holders.next->next == &r->holders)
		rep->flags |= LITE_REGION_SOLE;
	*ret_fd = r->fd;
	return 0;
}
