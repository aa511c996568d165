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
	struct nic_link uplink_link; /* as last looked at; up without one */
	unsigned nr_users;
	unsigned nr_present; /* vifs that are connected */
};

/*
 * The bridge called target->bridge, made when it is the first use. Takes the
 * nr_fds descriptors over in any case.
 */
int bridge_get(struct list *bridges, struct worker *worker,
	       const struct vif_target *target, const int *fds, unsigned nr_fds,
	       struct bridge **ret) PV_MUST_CHECK;
void bridge_put(struct bridge *bridge); /* NULL is fine */

/*
 * Look at the uplink's link anew if that concerns ifname (NULL: any). True: it
 * is another, in uplink_link.
 */
bool bridge_look(struct bridge *bridge, const char *ifname);

/*
 * A vif on it was connected, or is no longer: the uplink's interface has a
 * carrier while there is any.
 */
void bridge_arrive(struct bridge *bridge);
/* keep: it goes on with a successor. */
void bridge_leave(struct bridge *bridge, bool keep);

#endif /* NETBACK_BRIDGE_H */
