/* SPDX-License-Identifier: MIT */
/*
 * vif_capture.h - a vif's capture as the toolstack wants it: the node `capture`
 * of its backend directory (abi/capture.h), read whenever it changes.
 *
 * Thread: the control thread. Logs: with the device's name.
 */
#ifndef NETBACK_VIF_CAPTURE_H
#define NETBACK_VIF_CAPTURE_H

#include "netback/capture.h"
#include "netback/vif_queues.h"
#include "xenbus/xenbus.h"

/* A zeroed one captures nothing. */
struct vif_capture {
	struct capture *capture; /* NULL: none */
	char seen[CAPTURE_TEXT_MAX];
};

/* queues: the vif's, connected. */
void vif_capture_look(struct vif_capture *vc, struct xenbus_device *dev,
		      struct vif_queues *queues);
/* Before the queues are stopped. Idempotent. */
void vif_capture_end(struct vif_capture *vc, struct vif_queues *queues);

#endif /* NETBACK_VIF_CAPTURE_H */
