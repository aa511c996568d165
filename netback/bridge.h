/* SPDX-License-Identifier: MIT */
/*
 * bridge.h - the switches of one netback, by the name that the toolstack gave:
 * all vifs with the same bridge share one, and its uplink.
 *
 * Thread: the control thread; what runs on the data thread crosses over with
 * worker_call inside. Logs: uplink failures.
 */
#ifndef NETBACK_BRIDGE_H
#define NETBACK_BRIDGE_H

#include "netback/target.h"
#include "netback/uplink.h"

struct bridge {
	struct list link;
	char name[BRIDGE_NAME_MAX];
	struct vswitch *sw;
	struct uplink *uplink; /* NULL: none */
	struct worker *worker;
	unsigned nr_users;
};

/*
 * The bridge called target->bridge, made when it is the first use. Takes the
 * nr_fds descriptors over in any case.
 */
int bridge_get(struct list *bridges, struct worker *worker,
	       const struct vif_target *target, const int *fds, unsigned nr_fds,
	       struct bridge **ret) PV_MUST_CHECK;
void bridge_put(struct bridge *bridge); /* NULL is fine */

#endif /* NETBACK_BRIDGE_H */
