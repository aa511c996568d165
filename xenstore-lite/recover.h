/* SPDX-License-Identifier: MIT */
/* recover.h - what journal_open finds in its directory. See journal.h. */
#ifndef XENSTORE_LITE_RECOVER_H
#define XENSTORE_LITE_RECOVER_H

#include "xenstore-lite/journal.h"

/*
 * Read all there is into xsd, and open the segment to go on with: j's dir,
 * dir_fd and io are set; sets what concerns the segment. Errors as
 * journal_open, logged.
 */
int recover(struct journal *j, struct xsd *xsd, bool salvage) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_RECOVER_H */
