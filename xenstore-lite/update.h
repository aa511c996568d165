/* SPDX-License-Identifier: MIT */
/*
 * update.h - the live update, as a client asks for it (XS_CONTROL live-update):
 * another program takes the store over, with all its connections.
 *
 * What is asked for is remembered here until the daemon has the time
 * (live.h); the answer is the successor's, or ours when there is none.
 *
 * Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_UPDATE_H
#define XENSTORE_LITE_UPDATE_H

#include <stdbool.h>

#include "util/annotate.h"

struct xsd;

/* Whether one is asked for; *file: the program, or NULL for this one. */
bool xsd_update_wanted(const struct xsd *xsd, const char **file);
/* It is done (0), or was not (-errno): whoever asked is told. */
void xsd_update_done(struct xsd *xsd, int err);

#endif /* XENSTORE_LITE_UPDATE_H */
