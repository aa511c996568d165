/* SPDX-License-Identifier: MIT */
/*
 * vif_link.h - what a vif's frontend is told of its bridge's link: the carrier,
 * in the backend's directory, and a change of the MTU, in the frontend's, where
 * the toolstack gave us the right to write that node.
 *
 * An MTU that the toolstack wrote stays until the bridge's changes.
 *
 * Thread: the control thread. Logs: what could not be written.
 */
#ifndef NETBACK_VIF_LINK_H
#define NETBACK_VIF_LINK_H

#include "netback/nic.h"
#include "xenbus/xenbus.h"

/*
 * The carrier is the bridge's, unless the vif's own link is down. Nothing is
 * written that is there already: by us, or by a predecessor.
 */
int vif_link_tell(struct xenbus_device *dev, const struct nic_link *link,
		  bool down) PV_MUST_CHECK;
/* The bridge's link has changed. */
void vif_link_change(struct xenbus_device *dev, const struct nic_link *was,
		     const struct nic_link *now, bool down);

#endif /* NETBACK_VIF_LINK_H */
