/* SPDX-License-Identifier: MIT */
/*
 * vif_rules.h - what the toolstack lets a vif do on its switch, as it wrote it
 * into the vif's backend directory:
 *
 *	vlan		VLAN of frames without a tag, 0..4094
 *	trunk		VLANs with tags, "10/20-25"
 *	bridge		where neither is: "NAME.VLAN:TRUNK:TRUNK", as xl has it
 *	isolated	1: no frames to and from other isolated vifs
 *	antispoof	1: it names its own addresses only (filter.h) ...
 *	ip		... and of IP these, separated by spaces
 *	stormlimit	frames a second to many receivers, 0..UINT32_MAX
 *	link-down	1: no frames at all
 *
 * What is not there, or empty, does not limit. What cannot be understood is an
 * error: a vif is rather not connected than let do what was meant to be
 * forbidden.
 *
 * Thread: the control thread. Logs: never.
 */
#ifndef NETBACK_VIF_RULES_H
#define NETBACK_VIF_RULES_H

#include "netback/switch.h"
#include "xenbus/xenbus.h"

/*
 * Equal rules are equal bytes, padding included. *ret_node: which node it was.
 * -EINVAL, -ERANGE, -E2BIG, -ENAMETOOLONG: it is not to be understood; another
 * -errno of the store's.
 */
int vif_rules_read(struct xenbus_device *dev, struct switch_rules *ret,
		   const char **ret_node) PV_MUST_CHECK;
/* Is it one of the above? "" is. */
bool vif_rules_is_node(const char *node);

#endif /* NETBACK_VIF_RULES_H */
