/* SPDX-License-Identifier: MIT */
/*
 * conn.h - the store as a machine: bytes in, bytes out.
 *
 * Knows nothing of sockets: the daemon, the simulated platform and the fuzzers
 * drive it alike. Any sequence of bytes is safe to feed.
 *
 *	struct xsd_conn      bytes of one client          (conn.c)
 *	     request         one message to one answer    (request.h)
 *	     access          rights, quotas               (access.c)
 *	     transaction     all or nothing               (transaction.c)
 *	     store, watch    the tree, who hears of it
 *
 * What a client can make the store hold is bounded per connection: one
 * unfinished request and what it was last fed, XSD_OUTPUT_HIGH_BYTES and one
 * answer of output; and per domain: limits.h. A client that does not read is
 * no longer served; nobody waits for it.
 *
 * Thread: one for a store and all its connections. Logs: only through xsd_ops.
 */
#ifndef XENSTORE_LITE_CONN_H
#define XENSTORE_LITE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "xenstore-lite/limits.h"

struct xsd;
struct xsd_conn;

struct xsd_ops {
	/* There is output although this connection was not fed, or it may go
	 * on. May be called from inside any call here; must not call back. */
	void (*output)(void *conn_arg);
	/* The domain is no more: the owner must xsd_conn_close it now. */
	void (*dropped)(void *conn_arg);
	/*
	 * XS_INTRODUCE, asked for by the connection of conn_arg: domid, which
	 * exists and is not 0, speaks over its page gfn and port. NULL: nobody
	 * can (-ENOSYS). 0 or the -errno to answer. May not close conn_arg's.
	 */
	int (*introduce)(void *conn_arg, domid_t domid, uint64_t gfn,
			 evtchn_port_t port);
	/* Who is at the other end, for an operator: a word of letters, digits,
	 * ':' and '-'. NULL: nobody can tell. */
	void (*describe)(void *conn_arg, char *buf, size_t size);
	/* A line for the operator, asked for by XS_CONTROL; NULL: nowhere. */
	void (*log)(const char *line);
	/* The monotonic clock; NULL: the system's. */
	uint64_t (*now_ns)(void);
	/* Somebody carries live updates out (update.h). */
	bool can_update;
};

/*
 * A store with domain 0 and an empty tree. secret: random, so that nobody can
 * guess which paths share a hash bucket. -ENOMEM.
 */
int xsd_open(uint64_t secret, const struct xsd_ops *ops,
	     struct xsd **ret) PV_MUST_CHECK;
void xsd_close(struct xsd *xsd); /* NULL is fine; drops all connections */

/*
 * A domain appears: its nodes of docs/xenstore-paths.md are made and
 * @introduceDomain fires. Domain 0 exists; the call makes its nodes when they
 * are not there. life: never used before, for any domain; domain 0's is 1.
 * -EEXIST; -EINVAL; -ENOMEM.
 */
int xsd_domain_create(struct xsd *xsd, uint32_t domid, uint64_t life,
		      const char *name) PV_MUST_CHECK;
/*
 * A domain is gone: its connections are dropped, its home, /libxl/N and all
 * that it owned are removed, its rights on all other nodes are void, and
 * @releaseDomain fires. Cannot fail for want of memory.
 * -ENOENT; -EINVAL domain 0.
 */
int xsd_domain_destroy(struct xsd *xsd, uint32_t domid);
bool xsd_domain_exists(const struct xsd *xsd, uint32_t domid);
/* Which life of the domid it is; 0: there is none. */
uint64_t xsd_domain_life(const struct xsd *xsd, uint32_t domid);

/*
 * The domain's ring: a page that it granted, and its port (0: none), recorded
 * so that a successor finds them. -ENOENT; or why it cannot be recorded, and
 * then it is as before.
 */
int xsd_domain_set_ring(struct xsd *xsd, domid_t domid, grant_ref_t gref,
			evtchn_port_t port) PV_MUST_CHECK;
/* False: it has none. */
bool xsd_domain_ring(const struct xsd *xsd, domid_t domid,
		     grant_ref_t *ret_gref, evtchn_port_t *ret_port);

/*
 * When the pause of the first domain that is paused ends (credit.h), as
 * ops->now_ns has it; 0: none is. xsd_wake is to be called then: it goes on
 * with those whose pause is over.
 */
uint64_t xsd_wake_ns(const struct xsd *xsd);
void xsd_wake(struct xsd *xsd);

/* Count everything again; returns the number of faults, which is 0. */
unsigned xsd_check(const struct xsd *xsd);

/* ---- connections --------------------------------------------------------- */

/*
 * A client that is domain domid. -ENOENT no such domain; -EMFILE it has too
 * many connections; -ENOMEM.
 */
int xsd_conn_open(struct xsd *xsd, uint32_t domid, void *arg,
		  struct xsd_conn **ret) PV_MUST_CHECK;
/* Ends its transactions and watches. NULL is fine. */
void xsd_conn_close(struct xsd_conn *conn);
/* As if it had been closed and opened again; what was unread is gone, and an
 * error of its own is forgiven. */
void xsd_conn_reset(struct xsd_conn *conn);

/* What its domain may be offered: XENSTORE_SERVER_FEATURE_*. */
uint32_t xsd_conn_features(const struct xsd_conn *conn);

/*
 * Whether it may be fed now: not while it has too much unread output, or
 * requests that wait for its next turn; nor while its domain has as many unread
 * answers as it may, is paused (credit.h), or uses more memory than it may and
 * this connection has something to read. ops->output is called when that may
 * have changed without this connection's doing.
 */
bool xsd_conn_wants_input(struct xsd_conn *conn);
/*
 * At most XSD_FEED_MAX_BYTES, and only when it wants input. Requests are
 * carried out as they complete, up to a turn's work (XSD_TURN_WORK). -EPROTO
 * the client broke the protocol; -ENOMEM: both end the connection.
 */
int xsd_conn_feed(struct xsd_conn *conn, const void *data,
		  size_t len) PV_MUST_CHECK;

/*
 * What to send; *data is valid until the next call. Returns the bytes: 0 also
 * while what they tell of cannot be put on disk (persist.h); xsd_ops.output
 * says when it can.
 */
size_t xsd_conn_output(struct xsd_conn *conn, const void **data);
/*
 * len bytes of it were sent; goes on with requests that had to wait. To be
 * called with 0 too, once for each time that ops->output was: that is a new
 * turn, for requests that cost much. Errors as xsd_conn_feed.
 */
int xsd_conn_sent(struct xsd_conn *conn, size_t len) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_CONN_H */
