/* SPDX-License-Identifier: MIT */
/*
 * vif_params.h - what a frontend wrote about its queues, read strictly.
 * Thread: control. Logs: never.
 */
#ifndef NETBACK_VIF_PARAMS_H
#define NETBACK_VIF_PARAMS_H

#include "netback/queue.h"
#include "xenbus/xenbus.h"

/*
 * Read multi-queue-num-queues (1 .. RECORD_QUEUES_MAX), the features that the
 * frontend has, then each queue's rings and channels: from the other end's
 * directory, or from queue-N in it when there are several. Every value is
 * untrusted; a malformed or missing one is fatal to the device (said by
 * xenbus_fatal).
 * Out: ret[0 .. ret[0].nr_queues - 1].
 */
int vif_params_read(struct xenbus_device *dev,
		    struct queue_params ret[RECORD_QUEUES_MAX]) PV_MUST_CHECK;

/*
 * What it wishes now: request-multicast-control, xdp-headroom (0 ..
 * QUEUE_HEADROOM_MAX). *ret_node: which node it was. -EINVAL, -ERANGE,
 * -ENAMETOOLONG: it is not to be understood; another -errno of the store's.
 */
#define VIF_WISH_MCAST "request-multicast-control"
int vif_wishes_read(struct xenbus_device *dev, struct queue_wishes *ret,
		    const char **ret_node) PV_MUST_CHECK;

#endif /* NETBACK_VIF_PARAMS_H */
