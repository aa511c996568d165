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
#include "xenstore-lite/credit.h"
#include "xenstore-lite/limits.h"

#define XSD_DOMAIN0_LIFE 1

struct perms;

/* What is counted against a quota (use.h). */
enum xsd_use {
	XSD_USE_NODES,
	XSD_USE_WATCHES,
	XSD_USE_TRANSACTIONS,
	XSD_USE_TXN_NODES, /* of its largest transaction */
	XSD_USE_OUTSTANDING,
	XSD_USE_MEMORY,
	XSD_USE_EVENTS,
	XSD_USE_CONNECTIONS,
	/* Of one request: there is no "now", only the highest. */
	XSD_USE_NODE_BYTES,
	XSD_USE_PERMS,
	XSD_USE_PATH_BYTES,
	XSD_NR_USES
};

/* What it did, since it began; in the image. */
struct xsd_activity {
	uint64_t nr_requests, nr_errors;
	uint64_t spent_ns;     /* that the store spent on them */
	uint64_t nr_conflicts; /* its transactions that failed by one */
};

/* "journal": in its record of the domain (persist.h); so in the image too. */
struct xsd_domain {
	struct list link;
	domid_t domid;
	bool privileged;      /* domain 0 */
	uint64_t incarnation; /* unique to this life; domain 0's is 1 */
	/* What is enforced: the domain's quota, but for domain 0. */
	const struct xsd_limits *limits;
	struct xsd_limits quota; /* journal */
	uint32_t features;	 /* XENSTORE_SERVER_FEATURE_*; journal */
	/* XS_SET_TARGET: it may do what this one may; NULL: none; journal. */
	struct xsd_domain *target;
	struct list targeted_by, of_target;
	/* Who may hear of its end, besides those who may hear of everybody's:
	 * the rights of @releaseDomain/N; NULL: nobody; journal. */
	struct perms *release_perms;
	/* Its shared page and port (xsd_domain_set_ring); 0: none; journal. */
	grant_ref_t ring_gref;
	evtchn_port_t ring_port;
	struct list nodes; /* owned: struct store_node.owned */
	struct list conns; /* struct xsd_conn.of_domain */
	uint32_t nr_nodes, nr_watches, nr_transactions, nr_conns;
	uint32_t event_bytes;
	uint32_t use_max[XSD_NR_USES]; /* the highest seen; in the image */
	struct xsd_activity did;
	/* All that it makes the store hold: its nodes, and what its connections
	 * have: buffers, watches, events, transactions. Follows from them. */
	uint64_t memory_bytes;
	uint32_t nr_outstanding; /* answers that wait to be read */
	struct xsd_credit credit;
	/* Connections that are not served because of one of these two. */
	struct list held; /* struct xsd_conn.of_held */
	/* Changes up to this one were an earlier life's. */
	uint64_t born_generation;
};

/* Whether its connections are not served now. */
static inline bool xsd_domain_held(const struct xsd_domain *domain)
{
	return domain->nr_outstanding >= domain->limits->outstanding ||
	       domain->credit.paused;
}

/*
 * Account for more (or less) memory. What one does to oneself is checked first
 * (-ENOMEM); what others may do is bounded otherwise (a node by its size, an
 * answer by a message), and only counted.
 */
static inline void xsd_domain_charge(struct xsd_domain *domain, int64_t bytes)
{
	domain->memory_bytes += (uint64_t)bytes;
}

static inline bool xsd_domain_has_room(const struct xsd_domain *domain,
				       int64_t bytes)
{
	return domain->limits->memory == XSD_UNLIMITED || bytes <= 0 ||
	       domain->memory_bytes + (uint64_t)bytes <= domain->limits->memory;
}

struct xsd_domains {
	struct xsd_domain **by_domid; /* DOMID_FIRST_RESERVED slots */
	struct list all;
	struct xsd_limits defaults; /* of domains to come; journal */
};

int xsd_domains_init(struct xsd_domains *domains) PV_MUST_CHECK;
void xsd_domains_fini(struct xsd_domains *domains);

/* -EEXIST; -EINVAL a reserved number, no incarnation; -ENOMEM. */
int xsd_domain_add(struct xsd_domains *domains, uint32_t domid,
		   uint64_t incarnation, struct xsd_domain **ret) PV_MUST_CHECK;
/* The domain must have no node, connection, watch left. Nobody has it as his
 * target any more. */
void xsd_domain_del(struct xsd_domains *domains, struct xsd_domain *domain);
/* target NULL: none. */
void xsd_domain_set_target(struct xsd_domain *domain,
			   struct xsd_domain *target);
struct xsd_domain *xsd_domain_find(const struct xsd_domains *domains,
				   uint32_t domid);

#endif /* XENSTORE_LITE_DOMAIN_H */
