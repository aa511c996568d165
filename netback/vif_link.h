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

int vif_link_announce(struct xenbus_device *dev,
		      const struct nic_link *link) PV_MUST_CHECK;
/* Nothing is written that is there already: a predecessor wrote it. */
int vif_link_resume(struct xenbus_device *dev,
		    const struct nic_link *link) PV_MUST_CHECK;
void vif_link_change(struct xenbus_device *dev, const struct nic_link *was,
		     const struct nic_link *now);

#endif /* NETBACK_VIF_LINK_H */
