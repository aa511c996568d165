/* SPDX-License-Identifier: MIT */
/*
 * image.h - the whole store as bytes, for a live update: not only what a
 * journal keeps, but connections with what waits in their buffers, watches with
 * the events that nobody has read, open transactions with all they have seen.
 *
 * To save a store between two of its operations and to go on with what is made
 * of the bytes is the same as doing nothing: each answer, each event and each
 * generation is what it would have been.
 *
 * Any bytes are safe to restore: they make a store in which all counts are
 * right (xsd_check), or they are refused.
 *
 * Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_IMAGE_H
#define XENSTORE_LITE_IMAGE_H

#include "util/annotate.h"
#include "xenstore-lite/codec.h"
#include "xenstore-lite/conn.h"

#define IMAGE_VERSION 1u

/* What a connection's owner adds: the descriptor, say. */
struct image_owner {
	void (*save)(void *conn_arg, struct encoder *e);
	/*
	 * The same read again: who owns the connection now (*ret becomes what
	 * was given to xsd_conn_open). From then on ops->dropped may come.
	 * -errno: it cannot be.
	 */
	int (*restore)(void *arg, struct xsd_conn *conn, struct decoder *d,
		       void **ret);
	void *arg;
};

/* e.failed when there is no memory. Changes nothing that can be seen. */
void xsd_save(struct xsd *xsd, const struct image_owner *owner,
	      struct encoder *e);
/*
 * Make it in a fresh store. -EBADMSG it cannot be; -EPROTONOSUPPORT another
 * version; -ENOMEM: the store can only be closed then.
 */
int xsd_restore(struct xsd *xsd, const struct image_owner *owner,
		struct decoder *d) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_IMAGE_H */
