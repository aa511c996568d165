/* SPDX-License-Identifier: MIT */
/*
 * image_private.h - the image's parts: domains and nodes (image.c), connections
 * (image_conn.c), transactions (image_txn.c), watches (watch_image.c).
 *
 * What is wrong is remembered by the decoder.
 */
#ifndef XENSTORE_LITE_IMAGE_PRIVATE_H
#define XENSTORE_LITE_IMAGE_PRIVATE_H

#include "xenstore-lite/image.h"
#include "xenstore-lite/private.h"

void image_save_conn(struct encoder *e, const struct image_owner *owner,
		     struct xsd_conn *conn);
void image_restore_conn(struct decoder *d, const struct image_owner *owner,
			struct xsd *xsd, struct xsd_domain *domain);

void image_save_txn(struct encoder *e, struct txn *txn);
/* Makes one of conn's. */
void image_restore_txn(struct decoder *d, struct xsd_conn *conn);

void image_save_watcher(struct encoder *e, const struct watcher *watcher);
void image_restore_watcher(struct decoder *d, struct watches *ws,
			   struct watcher *watcher);

#endif /* XENSTORE_LITE_IMAGE_PRIVATE_H */
