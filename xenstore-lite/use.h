/* SPDX-License-Identifier: MIT */
/*
 * use.h - what a domain uses of its quotas, now and at most. Private to the
 * store.
 *
 * What is bounded in one request (the size of a value, say) has no "now": 0.
 * The highest is what was seen at the end of a request of the domain's own,
 * when an event was queued, when a transaction ended and whenever an operator
 * looks: what others give a domain and take away again between those goes
 * unseen, what it does itself never.
 */
#ifndef XENSTORE_LITE_USE_H
#define XENSTORE_LITE_USE_H

#include <stdint.h>

#include "xenstore-lite/domain.h"

/* The quota's name, as XS_CONTROL and GET_QUOTA call it. */
const char *use_name(enum xsd_use use);
uint32_t use_now(const struct xsd_domain *domain, enum xsd_use use);
/* 0: none. */
uint32_t use_limit(const struct xsd_domain *domain, enum xsd_use use);

static inline void use_saw(struct xsd_domain *domain, enum xsd_use use,
			   uint32_t now)
{
	if (now > domain->use_max[use])
		domain->use_max[use] = now;
}

/* Look at all that the domain counts itself. */
void use_look(struct xsd_domain *domain);
/* The highest is from now on what it is now. */
void use_forget(struct xsd_domain *domain);

#endif /* XENSTORE_LITE_USE_H */
