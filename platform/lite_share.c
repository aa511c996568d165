/* SPDX-License-Identifier: MIT */
/*
 * lite_share.c - the granting side: regions of pages that one peer may map.
 *
 * Every share is a fresh memfd, so memory given up is never reused while a peer
 * still maps it: the kernel keeps it for the last mapping. A share whose peer
 * would not let go is kept in a bounded quarantine all the same, so that what
 * a hostile peer can pin has an end. Thread: any.
 */
#include "platform/lite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/lite_entry.h"

/* Shares that a peer will not let go of; then no new one is made. */
#define QUARANTINE_MAX 32u

struct lite_share {
	struct list link; /* in lite.quarantine */
	void *base;	  /* entries, then pages */
	uint64_t id;
	uint32_t nr_pages;
	uint32_t flags;
};

static lite_entry_t *entries_of(const struct lite_share *s)
{
	return s->base;
}

static void share_free(struct lite_share *s)
{
	munmap(s->base, lite_region_bytes(s->nr_pages));
	free(s);
}

/* -> the broker frees the region, or says that a peer holds it. */
static int region_remove(struct lite *l, uint64_t id, bool forget, bool *held)
{
	struct lite_request req = { .op = LITE_REGION_REMOVE,
				    .id = id,
				    .flags = forget ? LITE_REGION_FORGET : 0 };
	struct lite_reply rep;
	int err = lite_call(l, &req, &rep, NULL);

	*held = !err && (rep.flags & LITE_REGION_HELD);
	return err;
}

/* Take the permissions away; true while the peer has a page in use. */
static bool share_revoke(struct lite_share *s)
{
	uint16_t in_use = 0;

	for (uint32_t i = 0; i < s->nr_pages; i++)
		in_use |= lite_entry_revoke(&entries_of(s)[i]);
	return in_use != 0;
}

/* Free whatever the peers have let go of since. Takes share_lock. */
static void quarantine_sweep(struct lite *l)
{
	pthread_mutex_lock(&l->share_lock);
	list_for_each_safe(link, tmp, &l->quarantine) {
		struct lite_share *s =
			container_of(link, struct lite_share, link);
		bool held, in_use = share_revoke(s);

		(void)region_remove(l, s->id, !in_use, &held);
		if (in_use && held)
			continue;
		list_del(&s->link);
		l->nr_quarantined--;
		share_free(s);
	}
	pthread_mutex_unlock(&l->share_lock);
}

static bool quarantine_full(struct lite *l)
{
	bool full;

	pthread_mutex_lock(&l->share_lock);
	full = l->nr_quarantined >= QUARANTINE_MAX;
	pthread_mutex_unlock(&l->share_lock);
	return full;
}

/*
 * Commit the memory now (the granting side pays, and nothing faults later),
 * map it, close the region for the peer's writes when that was asked.
 */
static int share_map(struct lite_share *s, int fd)
{
	size_t size_bytes = lite_region_bytes(s->nr_pages);
	int err;

	if (fallocate(fd, 0, 0, (off_t)size_bytes) < 0)
		return errno == ENOSPC || errno == EFBIG ? -ENOMEM : -errno;
	s->base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, fd, 0);
	if (s->base == MAP_FAILED)
		return -errno;
	if (s->flags & SHARE_PEER_READONLY &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		err = -errno;
	else
		err = lite_region_check(fd, s->nr_pages,
					s->flags & SHARE_PEER_READONLY);
	if (err)
		munmap(s->base, size_bytes);
	return err;
}

static void share_grant(struct lite_share *s, domid_t peer)
{
	uint16_t flags = GTF_permit_access;

	if (s->flags & SHARE_PEER_READONLY)
		flags |= GTF_readonly;
	for (uint32_t i = 0; i < s->nr_pages; i++)
		lite_entry_grant(&entries_of(s)[i], flags, peer, i);
}

static int share_open(struct lite *l, domid_t peer, struct lite_share *s,
		      grant_ref_t *ret_first)
{
	struct lite_request req = { .op = LITE_REGION_ADD,
				    .domid = peer,
				    .nr_pages = s->nr_pages,
				    .flags = s->flags };
	struct lite_reply rep;
	bool held;
	int fd = -1, err = lite_call(l, &req, &rep, &fd);

	if (err)
		return err;
	s->id = rep.id;
	err = share_map(s, fd);
	close(fd);
	if (err) {
		(void)region_remove(l, s->id, true, &held);
		return err;
	}
	share_grant(s, peer);
	*ret_first = rep.number;
	return 0;
}

int lite_share(struct platform *p, domid_t peer, uint32_t nr_pages,
	       uint32_t flags, struct share *ret)
{
	struct lite *l = lite_of(p);
	struct lite_share *s;
	grant_ref_t first;
	int err;

	if (quarantine_full(l))
		quarantine_sweep(l);
	if (quarantine_full(l))
		return -ENOSPC;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	list_init(&s->link);
	s->nr_pages = nr_pages;
	s->flags = flags;
	err = share_open(l, peer, s, &first);
	if (err) {
		free(s);
		return err;
	}
	*ret = (struct share){
		.base = (char *)s->base +
			(size_t)lite_entry_pages(nr_pages) * PV_PAGE_SIZE,
		.nr_pages = nr_pages,
		.first_ref = first,
		.peer = peer,
		.flags = flags,
		.priv = s,
	};
	return 0;
}

/*
 * A read-only peer cannot mark what it uses, and need not: it can only look at
 * memory that nobody will ever use for something else.
 */
int lite_unshare(struct platform *p, struct share *share)
{
	struct lite *l = lite_of(p);
	struct lite_share *s = share->priv;
	bool in_use, held;
	int err;

	if (!s)
		return -EINVAL;
	in_use = share_revoke(s);
	err = region_remove(l, s->id, !in_use, &held);
	if (!in_use || !held) {
		share_free(s);
		/* Without a broker nobody knows whether the peer lives. */
		return in_use && err ? -EBUSY : 0;
	}
	pthread_mutex_lock(&l->share_lock);
	list_add_tail(&l->quarantine, &s->link);
	l->nr_quarantined++;
	pthread_mutex_unlock(&l->share_lock);
	return -EBUSY;
}

void lite_share_fini(struct lite *l)
{
	list_for_each_safe(link, tmp, &l->quarantine)
		share_free(container_of(link, struct lite_share, link));
}
