/* SPDX-License-Identifier: MIT */
/*
 * limits.h - every bound of the store in one place.
 *
 * Quotas count per domain, never per connection: a domain may open many
 * sockets. Names and defaults are Xen's own where Xen has one. Where its
 * xenstored is off by one (it grants one watch and one transaction more than
 * it says) or counts differently (node-size: it adds a node's header, rights
 * and children's names; here it is the value's bytes, and memory counts the
 * rest), the number means what it says.
 *
 * Domain 0 is bound by none of them, whatever SET_QUOTA is told of it.
 */
#ifndef XENSTORE_LITE_LIMITS_H
#define XENSTORE_LITE_LIMITS_H

#include <stdint.h>

#include "abi/xs_wire.h"

#define XSD_UNLIMITED UINT32_MAX

struct xsd_quota;

struct xsd_limits {
	uint32_t nodes;	       /* owned at one time */
	uint32_t node_bytes;   /* of one node's value */
	uint32_t perms;	       /* entries of one node */
	uint32_t path_bytes;   /* below the domain's home, or absolute */
	uint32_t watches;      /* of all connections */
	uint32_t transactions; /* open at one time */
	uint32_t txn_nodes;    /* touched by one transaction */
	uint32_t outstanding;  /* answers that wait to be read, likewise */
	uint32_t memory;       /* bytes of all that it makes the store hold */
	uint32_t memory_soft;  /* from here on its events are merged */
	uint32_t event_bytes;  /* unread watch events, all connections */
	uint32_t connections;  /* open sockets */
};

/*
 * A quota by the name that GET_QUOTA and SET_QUOTA use; a soft one's begins
 * with "soft-". NULL when there is none such; one may have several names.
 */
const struct xsd_quota *xsd_quota_find(const char *name);
/* The names of all, with blanks between them; text that stays. */
const char *xsd_quota_names(void);
/* As on the wire: 0 is no limit. */
uint32_t xsd_quota_get(const struct xsd_quota *quota,
		       const struct xsd_limits *limits);
void xsd_quota_set(const struct xsd_quota *quota, struct xsd_limits *limits,
		   uint32_t value);

/* What guests and driver domains begin with / domain 0's, always. */
extern const struct xsd_limits xsd_limits_domu, xsd_limits_priv;

/* A path's bytes without its NUL, once it is absolute. */
#define XSD_PATH_MAX XENSTORE_ABS_PATH_MAX

/* What the store offers its clients: XENSTORE_SERVER_FEATURE_*. */
#define XSD_FEATURES                                                           \
	(XENSTORE_SERVER_FEATURE_RECONNECTION |                                \
	 XENSTORE_SERVER_FEATURE_ERROR | XENSTORE_SERVER_FEATURE_WATCHDEPTH)

/*
 * A connection that has this much unread output is not served further before
 * it reads: no more requests are taken, no more events are formatted.
 */
#define XSD_OUTPUT_HIGH_BYTES 16384u

/*
 * What one client gets in one turn: it is over when its requests have cost this
 * much in all (things looked at or changed, events). One request may exceed it;
 * how far is bounded by what there is, and by the quotas.
 */
#define XSD_TURN_WORK 2048u

/* Most bytes to feed at once: bounds what one client gets in one round. */
#define XSD_FEED_MAX_BYTES 16384u

#endif /* XENSTORE_LITE_LIMITS_H */
