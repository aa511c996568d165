/* SPDX-License-Identifier: MIT */
/* domain.c - the domains that the store knows. See domain.h. */
#include "xenstore-lite/domain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "xenstore-lite/perms.h"

int xsd_domains_init(struct xsd_domains *domains)
{
	domains->by_domid =
		calloc(DOMID_FIRST_RESERVED, sizeof(struct xsd_domain *));
	if (!domains->by_domid)
		return -ENOMEM;
	list_init(&domains->all);
	domains->defaults = xsd_limits_domu;
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
	d->quota = domains->defaults;
	d->limits = d->privileged ? &xsd_limits_priv : &d->quota;
	d->features = XSD_FEATURES;
	d->incarnation = incarnation;
	list_init(&d->nodes);
	list_init(&d->conns);
	list_init(&d->held);
	credit_init(&d->credit);
	list_init(&d->targeted_by);
	list_init(&d->of_target);
	list_add_tail(&domains->all, &d->link);
	domains->by_domid[domid] = d;
	*ret = d;
	return 0;
}

void xsd_domain_del(struct xsd_domains *domains, struct xsd_domain *d)
{
	assert(list_empty(&d->nodes) && list_empty(&d->conns));
	list_for_each_safe(l, tmp, &d->targeted_by)
		xsd_domain_set_target(
			container_of(l, struct xsd_domain, of_target), NULL);
	xsd_domain_set_target(d, NULL);
	perms_put(d->release_perms);
	credit_fini(&d->credit);
	domains->by_domid[d->domid] = NULL;
	list_del(&d->link);
	free(d);
}

void xsd_domain_set_target(struct xsd_domain *d, struct xsd_domain *target)
{
	list_del(&d->of_target);
	d->target = target;
	if (target)
		list_add_tail(&target->targeted_by, &d->of_target);
}

struct xsd_domain *xsd_domain_find(const struct xsd_domains *domains,
				   uint32_t domid)
{
	return domid < DOMID_FIRST_RESERVED ? domains->by_domid[domid] : NULL;
}
