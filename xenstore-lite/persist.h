/* SPDX-License-Identifier: MIT */
/*
 * persist.h - how a change of the store outlives the process.
 *
 * Everything that must survive passes here before it is made: a change whose
 * record has no room is refused with -ENOSPC and has not happened. Answers are
 * sent only after the records of their round are written (persist_flush), so
 * what was acknowledged is never lost.
 *
 * Nodes are recorded by the commit of a transaction, a new domain by the commit
 * that makes its home. These calls are for what is no node: the caller has put
 * the new value in its place, tells nobody yet, and takes it back when the
 * record is refused. Without persist_open they all succeed, and nothing
 * outlives the process.
 *
 * Thread: the store's. Logs: as journal.h.
 */
#ifndef XENSTORE_LITE_PERSIST_H
#define XENSTORE_LITE_PERSIST_H

#include "util/annotate.h"
#include "xenstore-lite/domain.h"
#include "xenstore-lite/journal.h"

struct xsd;

/*
 * Make a fresh store what the journal says, and go on with it. The domains that
 * it then has may be dead: whoever knows must say so (xsd_domain_destroy).
 * Errors as journal_open, logged.
 */
int persist_open(struct xsd *xsd,
		 const struct journal_options *options) PV_MUST_CHECK;
/*
 * Write what was recorded since the last call, all in one. At the end of each
 * round: it looks after the files too. -errno: it is not on disk, and there
 * will be no output; call again in JOURNAL_RETRY_NS.
 */
int persist_flush(struct xsd *xsd) PV_MUST_CHECK;
/* The writing only; free when there is nothing. xsd_conn_output does it, so no
 * answer leaves before. */
int persist_write(struct xsd *xsd) PV_MUST_CHECK;
void persist_close(struct xsd *xsd); /* the files stay */
void persist_erase(struct xsd *xsd); /* the files go */

/* The domain is to have these attributes: those marked "journal". */
int persist_domain(struct xsd *xsd,
		   const struct xsd_domain *domain) PV_MUST_CHECK;
/* A domain is to go, with all that is its own. */
void persist_domain_gone(struct xsd *xsd, const struct xsd_domain *domain);
/* The rights of the special names and the quotas of domains to come are to be
 * as they are now. */
int persist_specials(struct xsd *xsd) PV_MUST_CHECK;

/* ---- in the live-update image ---------------------------------------------
 */

#define PERSIST_NR_FDS 3

/* The journal's descriptors; -1: none. */
void persist_fds(const struct xsd *xsd, int fds[PERSIST_NR_FDS]);
/* Where it stands; all is flushed. */
void persist_save(const struct xsd *xsd, struct encoder *e);
/* Go on there, behind xsd_restore. -EBADMSG; -EBADF; -ENOMEM. */
int persist_restore(struct xsd *xsd, struct decoder *d) PV_MUST_CHECK;
/* Read what persist_restore would, and do nothing. */
int persist_check_image(struct decoder *d) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_PERSIST_H */
