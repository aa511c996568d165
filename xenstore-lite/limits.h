/* SPDX-License-Identifier: MIT */
/*
 * limits.h - every bound of the store in one place.
 *
 * Quotas count per domain, never per connection: a domain may open many
 * sockets. The defaults are Xen's own where Xen has one.
 */
#ifndef XENSTORE_LITE_LIMITS_H
#define XENSTORE_LITE_LIMITS_H

#include <stdint.h>

#include "abi/xs_wire.h"

#define XSD_UNLIMITED UINT32_MAX

struct xsd_limits {
	uint32_t nodes;	       /* owned at one time */
	uint32_t node_bytes;   /* of one node's value */
	uint32_t perms;	       /* entries of one node */
	uint32_t path_bytes;   /* below the domain's home, or absolute */
	uint32_t watches;      /* of all connections */
	uint32_t transactions; /* open at one time */
	uint32_t txn_nodes;    /* touched by one transaction */
	uint32_t event_bytes;  /* unread watch events, all connections */
	uint32_t connections;  /* open sockets */
};

/* Guests and driver domains / domain 0. */
extern const struct xsd_limits xsd_limits_domu, xsd_limits_priv;

/* A path's bytes without its NUL, once it is absolute. */
#define XSD_PATH_MAX (XENSTORE_ABS_PATH_MAX - 1)

/*
 * A connection that has this much unread output is not served further before
 * it reads: no more requests are taken, no more events are formatted.
 */
#define XSD_OUTPUT_HIGH_BYTES 16384u

/* Most bytes to feed at once: bounds what one client gets in one round. */
#define XSD_FEED_MAX_BYTES 16384u

#endif /* XENSTORE_LITE_LIMITS_H */
