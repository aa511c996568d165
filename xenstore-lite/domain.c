/* SPDX-License-Identifier: MIT */
/* domain.c - the domains that the store knows. See domain.h. */
#include "xenstore-lite/domain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int xsd_domains_init(struct xsd_domains *domains)
{
	domains->by_domid =
		calloc(DOMID_FIRST_RESERVED, sizeof(struct xsd_domain *));
	if (!domains->by_domid)
		return -ENOMEM;
	list_init(&domains->all);
	return 0;
}

void xsd_domains_fini(struct xsd_domains *domains)
{
	list_for_each_safe(l, tmp, &domains->all)
		xsd_domain_del(domains,
			       container_of(l, struct xsd_domain, link));
	free(domains->by_domid);
}

int xsd_domain_add(struct xsd_domains *domains, uint32_t domid,
		   uint64_t incarnation, struct xsd_domain **ret)
{
	struct xsd_domain *d;

	if (domid >= DOMID_FIRST_RESERVED || !incarnation)
		return -EINVAL;
	if (domains->by_domid[domid])
		return -EEXIST;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->domid = (domid_t)domid;
	d->privileged = domid == 0;
	d->limits = d->privileged ? &xsd_limits_priv : &xsd_limits_domu;
	d->incarnation = incarnation;
	list_init(&d->nodes);
	list_init(&d->conns);
	list_add_tail(&domains->all, &d->link);
	domains->by_domid[domid] = d;
	*ret = d;
	return 0;
}

void xsd_domain_del(struct xsd_domains *domains, struct xsd_domain *d)
{
	assert(list_empty(&d->nodes) && list_empty(&d->conns));
	domains->by_domid[d->domid] = NULL;
	list_del(&d->link);
	free(d);
}

struct xsd_domain *xsd_domain_find(const struct xsd_domains *domains,
				   uint32_t domid)
{
	return domid < DOMID_FIRST_RESERVED ? domains->by_domid[domid] : NULL;
}
