/* SPDX-License-Identifier: MIT */
/*
 * params.h - what a frontend wrote about its ring, read strictly.
 * Thread: control. Logs: never; a failure goes to xenbus_fatal.
 */
#ifndef BLKBACK_PARAMS_H
#define BLKBACK_PARAMS_H

#include "blkback/inflight.h"
#include "xenbus/xenbus.h"

/*
 * Read ring-page-order, ring-ref or ring-refN, event-channel, protocol and
 * feature-persistent from the other end's directory. Every value is untrusted;
 * a malformed or missing one is fatal to the device (said by xenbus_fatal).
 */
int params_read(struct xenbus_device *dev,
		struct inflight_params *ret) PV_MUST_CHECK;

#endif /* BLKBACK_PARAMS_H */
