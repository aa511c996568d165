/* SPDX-License-Identifier: MIT */
/* up.h - the broker and the driver domains of a run directory, for the demo. */
#ifndef PVSPLIT_UP_H
#define PVSPLIT_UP_H

#include "pvsplit/pvsplit.h"

/*
 * Start what does not run yet: the broker with its store, nr_storage storage
 * driver domains ("storage", "storage2", ...) and, if network, "network". When
 * something fails, what this call started is ended again.
 */
int up_start(struct pvsplit *ps, unsigned nr_storage,
	     bool network) PV_MUST_CHECK;
int up_stop(struct pvsplit *ps) PV_MUST_CHECK;

#endif /* PVSPLIT_UP_H */
