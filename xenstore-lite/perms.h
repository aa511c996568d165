/* SPDX-License-Identifier: MIT */
/*
 * perms.h - who may do what with a node.
 *
 * The first entry names the owner, who may do all, and what everybody else may
 * do who has no entry of his own. Domain 0 may do all, always. A domain with a
 * target (XS_SET_TARGET: the device model of a guest) has the target's rights
 * besides its own; of its target's target it gets none.
 *
 * An entry names not a number but one life of a domain (its incarnation): when
 * the domain dies the entry is void, and a later domain with the same number
 * inherits nothing. Sets are immutable, counted and shared between nodes.
 */
#ifndef XENSTORE_LITE_PERMS_H
#define XENSTORE_LITE_PERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"

struct xsd_domain;
struct xsd_domains;

#define PERM_READ  0x1u
#define PERM_WRITE 0x2u
#define PERM_OWNER 0x4u
#define PERM_ALL   (PERM_READ | PERM_WRITE | PERM_OWNER)

struct perm {
	uint64_t incarnation; /* 0: of no domain that ever lived */
	domid_t domid;
	uint8_t rights; /* PERM_READ, PERM_WRITE */
};

struct perms {
	uint32_t refs, nr;
	struct perm entries[]; /* nr >= 1 */
};

/* A set of nr >= 1 zeroed entries, for its maker to fill. NULL: no memory. */
struct perms *perms_alloc(uint32_t nr);
/* A set with one entry: domain owns, others have rights. NULL: no memory. */
struct perms *perms_new(const struct xsd_domain *owner, uint8_t rights);
struct perms *perms_get(struct perms *p);
void perms_put(struct perms *p); /* NULL is fine */
/* When both say the same: hold the other instead. */
void perms_share(struct perms **p, struct perms *other);

/* What a domain may do: PERM_* bits. */
unsigned perms_of(const struct perms *p, const struct xsd_domain *domain);

/*
 * What a node created by domain below a node with parent's set gets: the same,
 * but guests own what they create. NULL: no memory.
 */
struct perms *perms_inherit(struct perms *parent,
			    const struct xsd_domain *creator);

/*
 * From the wire: nr strings like "r5". -EINVAL malformed; -ENOENT an owner that
 * does not exist; -ENOSPC above max entries; -ENOMEM.
 */
int perms_parse(const struct xsd_domains *domains, const char *const *texts,
		unsigned nr, uint32_t max, struct perms **ret) PV_MUST_CHECK;

/*
 * To the wire: strings each ended by a NUL, void entries left out.
 * Returns the bytes; -E2BIG when they do not fit.
 */
int perms_format(const struct perms *p, const struct xsd_domains *domains,
		 char *buf, size_t size) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_PERMS_H */
