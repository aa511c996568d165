/* SPDX-License-Identifier: MIT */
/* perms.c - who may do what with a node. See perms.h. */
#include "xenstore-lite/perms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/domain.h"

struct perms *perms_alloc(uint32_t nr)
{
	struct perms *p = calloc(1, sizeof(*p) + nr * sizeof(p->entries[0]));

	if (p) {
		p->refs = 1;
		p->nr = nr;
	}
	return p;
}

static void name(struct perm *e, const struct xsd_domain *domain)
{
	e->domid = domain->domid;
	e->incarnation = domain->incarnation;
}

struct perms *perms_new(const struct xsd_domain *owner, uint8_t rights)
{
	struct perms *p = perms_alloc(1);

	if (p) {
		name(&p->entries[0], owner);
		p->entries[0].rights = rights;
	}
	return p;
}

struct perms *perms_get(struct perms *p)
{
	p->refs++;
	return p;
}

void perms_put(struct perms *p)
{
	if (p && --p->refs == 0)
		free(p);
}

void perms_share(struct perms **p, struct perms *other)
{
	const struct perm *x = (*p)->entries, *y = other->entries;

	if ((*p)->nr != other->nr)
		return;
	for (uint32_t i = 0; i < other->nr; i++)
		if (x[i].incarnation != y[i].incarnation ||
		    x[i].domid != y[i].domid || x[i].rights != y[i].rights)
			return;
	perms_put(*p);
	*p = perms_get(other);
}

static bool is_of(const struct perm *e, const struct xsd_domain *domain)
{
	return e->domid == domain->domid &&
	       e->incarnation == domain->incarnation;
}

/* An entry for the domain itself, or for the one that it is a stand-in of. */
static bool applies(const struct perm *e, const struct xsd_domain *domain)
{
	return is_of(e, domain) || (domain->target && is_of(e, domain->target));
}

unsigned perms_of(const struct perms *p, const struct xsd_domain *domain)
{
	if (domain->privileged || applies(&p->entries[0], domain))
		return PERM_ALL;
	for (uint32_t i = 1; i < p->nr; i++)
		if (applies(&p->entries[i], domain))
			return p->entries[i].rights;
	return p->entries[0].rights;
}

struct perms *perms_inherit(struct perms *parent,
			    const struct xsd_domain *creator)
{
	struct perms *p;

	if (creator->privileged || is_of(&parent->entries[0], creator))
		return perms_get(parent);
	p = perms_alloc(parent->nr);
	if (p) {
		memcpy(p->entries, parent->entries,
		       parent->nr * sizeof(p->entries[0]));
		name(&p->entries[0], creator);
	}
	return p;
}

static int parse_entry(const struct xsd_domains *domains, const char *text,
		       struct perm *ret)
{
	const struct xsd_domain *domain;
	uint32_t domid;

	switch (text[0]) {
	case 'n': ret->rights = 0; break;
	case 'r': ret->rights = PERM_READ; break;
	case 'w': ret->rights = PERM_WRITE; break;
	case 'b': ret->rights = PERM_READ | PERM_WRITE; break;
	default: return -EINVAL;
	}
	if (num_parse_u32(text + 1, UINT16_MAX, &domid))
		return -EINVAL;
	ret->domid = (domid_t)domid;
	domain = xsd_domain_find(domains, domid);
	ret->incarnation = domain ? domain->incarnation : 0;
	return 0;
}

int perms_parse(const struct xsd_domains *domains, const char *const *texts,
		unsigned nr, uint32_t max, struct perms **ret)
{
	struct perms *p;
	int err = 0;

	if (nr == 0)
		return -EINVAL;
	if (nr > max)
		return -ENOSPC;
	p = perms_alloc(nr);
	if (!p)
		return -ENOMEM;
	for (unsigned i = 0; i < nr && !err; i++)
		err = parse_entry(domains, texts[i], &p->entries[i]);
	if (!err && p->entries[0].incarnation == 0)
		err = -ENOENT;
	if (err) {
		perms_put(p);
		return err;
	}
	*ret = p;
	return 0;
}

int perms_format(const struct perms *p, const struct xsd_domains *domains,
		 char *buf, size_t size)
{
	static const char letters[] = { 'n', 'r', 'w', 'b' };
	size_t used = 0;

	for (uint32_t i = 0; i < p->nr; i++) {
		const struct perm *e = &p->entries[i];
		const struct xsd_domain *d = xsd_domain_find(domains, e->domid);
		int n;

		if (i > 0 && (!d || !is_of(e, d)))
			continue;
		n = str_printf(buf + used, size - used, "%c%u",
			       letters[e->rights & 3u], e->domid);
		if (n < 0)
			return -E2BIG;
		used += (size_t)n + 1;
	}
	return (int)used;
}
