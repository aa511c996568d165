/* SPDX-License-Identifier: MIT */
/*
 * xsring.h - the two byte queues of a domain's store page, both halves.
 *
 * The page (struct xenstore_domain_interface of abi/xs_wire.h) holds requests
 * to the daemon and answers to the guest, 1,024 bytes each, with a producer and
 * a consumer index each that run freely over 2^32, and three words about the
 * connection itself. The guest owns the page; both sides can write to all of
 * it at any instant. So, on either side:
 *
 *   - our own indices are private and published, never read back; a guest's
 *     half takes them from the page once, when the daemon says "connected";
 *   - a peer's index is looked at once per call, into a local, and is
 *     impossible (-EPROTO, for good until the next connection) when it is more
 *     than 1,024 bytes away from ours, or has moved backwards;
 *   - a byte is copied out once and never looked at again in the page.
 *
 * Memory order is written once, in xsring.c.
 *
 * Reconnection (the daemon offers it): the guest writes XENSTORE_RECONNECT,
 * notifies, and looks at nothing else until it reads XENSTORE_CONNECTED. The
 * daemon forgets what the connection was, empties both queues, writes
 * CONNECTED, notifies. A guest that shares a page that was never used begins
 * the same way: it asks, and is answered once the daemon knows of the page. A
 * daemon that has given a connection up writes why into the error word, and
 * serves it again when it is asked to reconnect.
 *
 * Pure memory, no I/O, no allocation. Thread: a half belongs to one thread.
 * Logs: never. Source: xen/include/public/io/xs_wire.h,
 * docs/misc/xenstore-ring.txt.
 */
#ifndef XENSTORE_LITE_XSRING_H
#define XENSTORE_LITE_XSRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/xs_wire.h"
#include "util/annotate.h"

enum xsring_side {
	XSRING_DAEMON,
	XSRING_GUEST
};

struct xsring {
	struct xenstore_domain_interface PV_SHARED *page;
	enum xsring_side side;
	uint32_t in_cons;   /* next byte to read (private) */
	uint32_t in_shown;  /* in_cons as the peer was shown it */
	uint32_t in_prod;   /* the peer's index as last seen and checked */
	uint32_t out_prod;  /* next byte to write (private) */
	uint32_t out_shown; /* out_prod as the peer was shown it */
	uint32_t out_cons;  /* the peer's index as last seen and checked */
	bool broken;	    /* an index was impossible */
	bool waiting;	    /* a guest's: for "connected" */
	uint32_t features;  /* a daemon's: what it offers */
};

/* ---- both halves --------------------------------------------------------- */

/* Bytes that can be read. -EPROTO: the peer's index is impossible. */
int xsring_readable(struct xsring *r) PV_MUST_CHECK;
/* Copy out at most len of those that xsring_readable found; returns how many.
 */
size_t xsring_read(struct xsring *r, void *data, size_t len);

/* Bytes that there is room for. -EPROTO: the peer's index is impossible. */
int xsring_writable(struct xsring *r) PV_MUST_CHECK;
/* Copy in at most len, as far as xsring_writable found room; returns how many.
 */
size_t xsring_write(struct xsring *r, const void *data, size_t len);

/*
 * Show the peer what was read and written since the last time. True: notify it.
 * The daemon notifies whenever something moved, as the protocol has it; the
 * guest, as Linux does, leaves it out when it has only read and the daemon
 * cannot have found the queue full.
 */
bool xsring_push(struct xsring *r) PV_MUST_CHECK;

/* ---- the daemon's half --------------------------------------------------- */

/*
 * Touches nothing of the page but the features that it offers there. Without
 * XENSTORE_SERVER_FEATURE_ERROR the error word stays untouched, without
 * _RECONNECTION nobody is heard who asks.
 */
void xsring_daemon_init(struct xsring *r,
			struct xenstore_domain_interface PV_SHARED *page,
			uint32_t features);
/* Go on at these indices, our own, as a predecessor's image has them; shows
 * them. Notify. */
void xsring_daemon_resume(struct xsring *r, uint32_t in_cons,
			  uint32_t out_prod);
/* The guest asks to reconnect. */
bool xsring_daemon_asked(const struct xsring *r);
/* Both queues empty, no error, connected: a connection begins. Notify. */
void xsring_daemon_connect(struct xsring *r);
/* XENSTORE_ERROR_*: why this guest is served no more. Notify. */
void xsring_daemon_fail(struct xsring *r, uint32_t error);

/* ---- the guest's half ---------------------------------------------------- */

enum xsring_state {
	XSRING_CONNECTED,
	XSRING_WAITING, /* for the daemon to say "connected" */
	XSRING_FAILED,	/* the daemon gave up; what can be done: reconnect */
};

/*
 * Of a page that the daemon does not know yet (zeroed: fresh) or that somebody
 * else has introduced. Look at xsring_guest_state before anything else.
 */
void xsring_guest_init(struct xsring *r,
		       struct xenstore_domain_interface PV_SHARED *page,
		       bool fresh);
/* Ask for a new connection, then notify. -EOPNOTSUPP the daemon cannot. */
int xsring_guest_reconnect(struct xsring *r) PV_MUST_CHECK;
/* Looks at the page. When WAITING ends, our indices are taken from there. */
enum xsring_state xsring_guest_state(struct xsring *r);

#endif /* XENSTORE_LITE_XSRING_H */
