/* SPDX-License-Identifier: MIT */
/*
 * persist.h - how a change of the store outlives the process.
 *
 * Everything that must survive passes here before it is made: a change whose
 * record has no room is refused with -ENOSPC and has not happened. Answers are
 * sent only after the records of their round are written (conn.h's users see to
 * that), so what was acknowledged is never lost.
 *
 * Nodes are recorded by the commit of a transaction. These calls are for what
 * is no node: the caller has put the new value in its place, tells nobody yet,
 * and takes it back when the record is refused. Thread: the store's. Logs:
 * never.
 */
#ifndef XENSTORE_LITE_PERSIST_H
#define XENSTORE_LITE_PERSIST_H

#include "util/annotate.h"
#include "xenstore-lite/domain.h"

struct xsd;

/* The domain is to have these attributes: those marked "journal". */
static inline int PV_MUST_CHECK persist_domain(struct xsd *xsd,
					       const struct xsd_domain *domain)
{
	(void)xsd;
	(void)domain;
	return 0;
}

/* The rights of the special names and the quotas of domains to come are to be
 * as they are now. */
static inline int PV_MUST_CHECK persist_specials(struct xsd *xsd)
{
	(void)xsd;
	return 0;
}

#endif /* XENSTORE_LITE_PERSIST_H */
