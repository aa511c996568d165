/* SPDX-License-Identifier: MIT */
/*
 * vif_private.h - between vif.c (the handshake, life and end) and vif_changes.c
 * (what may be changed of a vif while it is connected). Control thread.
 */
#ifndef NETBACK_VIF_PRIVATE_H
#define NETBACK_VIF_PRIVATE_H

#include "monitor/stats.h"
#include "netback/bridge.h"
#include "netback/vif.h"
#include "netback/vif_capture.h"
#include "netback/vif_queues.h"

struct vif {
	struct list link;
	struct netback *nb;
	struct xenbus_device *dev;
	struct vif_target target;
	struct bridge *bridge; /* NULL until the monitor gave us the device */
	struct vif_queues queues;
	struct loop_timer *timer; /* armed: they are to be started */
	struct vif_capture capture;
	struct device_limits limits;
	struct stats stats;
	/* NULL: what the frontend wishes is agreed when it connects. */
	struct xs_watch *wish_watch;
	bool present; /* counted by the bridge */
	uint64_t connected_ns;
	/*
	 * Set once by the data thread. fault_err is written last and read
	 * first: on_fault() and vif_run_faults() pair.
	 */
	const char *fault_why;
	int fault_err;
};

/* ---- vif_changes.c ---- */

/* Limits, figures, the watch of what the frontend wishes. */
void vif_changes_init(struct vif *v);
void vif_changes_fini(struct vif *v);

/*
 * All that the store says of what the vif may do and wishes, for queues that
 * are to be opened. *ret_node: what could not be understood.
 */
int vif_changes_read(struct vif *v, const char **ret_node) PV_MUST_CHECK;

/* Its queues run: limits are in force, frames are captured. */
void vif_changes_started(struct vif *v);

/* Something in our directory may have changed; "": anything. */
void vif_changed(struct xenbus_device *dev, const char *node);
/* The frontend asks to be looked at again. */
int vif_reconfigure(struct xenbus_device *dev);

#endif /* NETBACK_VIF_PRIVATE_H */
