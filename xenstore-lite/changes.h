/* SPDX-License-Identifier: MIT */
/*
 * changes.h - what the journal's records say: written from the store, and
 * carried out again by the code that made the change in the first place.
 *
 * No file is touched here. Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_CHANGES_H
#define XENSTORE_LITE_CHANGES_H

#include "util/annotate.h"
#include "xenstore-lite/codec.h"
#include "xenstore-lite/record.h"
#include "xenstore-lite/transaction.h"

struct xsd;

/* The nodes of a commit, in the order of their turns. */
void enc_commit(struct encoder *e, struct txn_node *const *dirty, size_t nr);
/* One node that there is, as a commit that creates it (or changes the root). */
void enc_node(struct encoder *e, const struct store_node *node);
/* A domain's identity and attributes. */
void enc_domain(struct encoder *e, const struct xsd_domain *domain);
/* Make it, or (not fresh) change that life of it. -EBADMSG; -ENOMEM. */
int dec_domain(struct decoder *d, struct xsd *xsd, bool fresh,
	       struct xsd_domain **ret) PV_MUST_CHECK;
void enc_domain_gone(struct encoder *e, const struct xsd_domain *domain);
/* The rights of the special names, and the quotas of domains to come. */
void enc_specials(struct encoder *e, const struct xsd *xsd);
int dec_specials(struct decoder *d, struct xsd *xsd) PV_MUST_CHECK;

/* Payload bytes of enc_domain_gone. */
#define CHANGES_GONE_BYTES 10u

/*
 * Carry out a record, whole or not at all. -EBADMSG: it is malformed, of
 * another type, or does not fit what the store holds; -ENOMEM.
 */
int changes_apply(struct xsd *xsd, const struct record *record) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_CHANGES_H */
