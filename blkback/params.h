/* SPDX-License-Identifier: MIT */
/*
 * params.h - what a frontend wrote about its rings, read strictly.
 * Thread: control. Logs: never; a failure goes to xenbus_fatal.
 */
#ifndef BLKBACK_PARAMS_H
#define BLKBACK_PARAMS_H

#include "blkback/inflight.h"
#include "xenbus/xenbus.h"

/*
 * Read multi-queue-num-queues (1 .. max_queues), ring-page-order, protocol,
 * feature-persistent and feature-large-sector-size, then each queue's ring-ref
 * or ring-refN and event-channel, from the other end's directory. Every value
 * is untrusted; a malformed or missing one is fatal to the device (said by
 * xenbus_fatal).
 * Out: *ret, the caller's to free: one struct for each of (*ret)->nr_queues.
 */
int params_read(struct xenbus_device *dev, uint32_t max_queues,
		struct inflight_params **ret) PV_MUST_CHECK;

#endif /* BLKBACK_PARAMS_H */
