/* SPDX-License-Identifier: MIT */
/*
 * lite_region.h - the mapping side's table of regions: which memfds of which
 * granting domain are mapped here. lite_map.c uses it, lite_region.c is it.
 *
 * A region is mapped once, whole, when one of its references is first asked
 * for; from then on mapping a reference is validation and arithmetic. A region
 * with no page mapped is idle and kept for a while; idle ones are bounded.
 *
 * Everything here is called with map_lock held. Functions that must talk to
 * the broker drop it meanwhile and say so.
 */
#ifndef PLATFORM_LITE_REGION_H
#define PLATFORM_LITE_REGION_H

#include "platform/lite.h"
#include "platform/lite_entry.h"

/* One granting domain. Never freed before the platform: domains are few. */
struct lite_peer {
	struct list link; /* in lite.peers[] */
	struct list regions;
	domid_t domid;
	/* questions to the broker that told us nothing new, this period */
	uint32_t nr_fruitless;
	uint64_t period_start_ns;
};

/* How often one page is mapped here. */
struct lite_page_use {
	uint32_t nr_maps;
	uint32_t nr_writers;
};

struct lite_region {
	struct list link; /* in lite_peer.regions, or nowhere: detached */
	struct list idle; /* in lite.idle while nr_maps is 0 */
	uint64_t id;
	int fd;
	grant_ref_t first_ref;
	uint32_t nr_pages;
	bool readonly;
	bool detached; /* revoked: no new map, freed with its last */
	uint32_t nr_maps;
	void *base; /* entries, then pages */
	struct lite_page_use *use;
};

static inline lite_entry_t *lite_region_entry(const struct lite_region *r,
					      uint32_t idx)
{
	return (lite_entry_t *)r->base + idx;
}

static inline uint64_t lite_page_offset(const struct lite_region *r,
					uint32_t idx)
{
	return ((uint64_t)lite_entry_pages(r->nr_pages) + idx) * PV_PAGE_SIZE;
}

static inline void *lite_region_page(const struct lite_region *r, uint32_t idx)
{
	return (char *)r->base + lite_page_offset(r, idx);
}

/* The granting domain's record, made at need. NULL: out of memory. */
struct lite_peer *lite_peer_get(struct lite *l, domid_t domid);

/* The region that covers ref as far as we know, or NULL. */
struct lite_region *lite_region_lookup(struct lite_peer *peer, grant_ref_t ref);

/*
 * Ask the broker who has ref now; drops map_lock. What is in the table for ref
 * and is not the broker's answer is detached. *ret may be the region that was
 * there before; hold it before map_lock is dropped. -EACCES also when the peer
 * made us ask too often in vain. dead: as lite_region_drop.
 */
int lite_region_ask(struct lite *l, struct lite_peer *peer, grant_ref_t ref,
		    struct list *dead, struct lite_region **ret) PV_MUST_CHECK;

/* The region's first map, or another one. */
void lite_region_hold(struct lite *l, struct lite_region *r);
/*
 * One map less. Regions that have to go are put on dead; the caller frees them
 * with lite_region_free after dropping map_lock.
 */
void lite_region_drop(struct lite *l, struct lite_region *r, bool keep_idle,
		      struct list *dead);
/* All idle ones of a granting domain. dead: as above. */
void lite_region_drop_idle(struct lite *l, struct lite_peer *peer,
			   struct list *dead);
void lite_region_free(struct list *dead);

#endif /* PLATFORM_LITE_REGION_H */
