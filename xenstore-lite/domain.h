/* SPDX-License-Identifier: MIT */
/*
 * domain.h - the domains that the store knows, and what each of them uses.
 *
 * Quotas are counted here, per domain: all its connections share them.
 */
#ifndef XENSTORE_LITE_DOMAIN_H
#define XENSTORE_LITE_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/list.h"
#include "xenstore-lite/limits.h"

#define XSD_DOMAIN0_LIFE 1

struct xsd_domain {
	struct list link;
	domid_t domid;
	bool privileged;      /* domain 0 */
	uint64_t incarnation; /* unique to this life; domain 0's is 1 */
	const struct xsd_limits *limits;
	struct list nodes; /* owned: struct store_node.owned */
	struct list conns; /* struct xsd_conn.of_domain */
	uint32_t nr_nodes, nr_watches, nr_transactions, nr_conns;
	uint32_t event_bytes;
};

struct xsd_domains {
	struct xsd_domain **by_domid; /* DOMID_FIRST_RESERVED slots */
	struct list all;
};

int xsd_domains_init(struct xsd_domains *domains) PV_MUST_CHECK;
void xsd_domains_fini(struct xsd_domains *domains);

/* -EEXIST; -EINVAL a reserved number, no incarnation; -ENOMEM. */
int xsd_domain_add(struct xsd_domains *domains, uint32_t domid,
		   uint64_t incarnation, struct xsd_domain **ret) PV_MUST_CHECK;
/* The domain must have no node, connection, watch left. */
void xsd_domain_del(struct xsd_domains *domains, struct xsd_domain *domain);
struct xsd_domain *xsd_domain_find(const struct xsd_domains *domains,
				   uint32_t domid);

#endif /* XENSTORE_LITE_DOMAIN_H */
