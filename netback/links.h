/* SPDX-License-Identifier: MIT */
/*
 * links.h - the links of all bridges' uplinks, watched.
 *
 * The kernel is listened to through netlink; it needs no privilege. Each piece
 * of news about an uplink's interface, or its bridge, makes us look at the link
 * as it is, so that lost news do no harm.
 *
 * Thread: the control thread. Logs: changes.
 */
#ifndef NETBACK_LINKS_H
#define NETBACK_LINKS_H

#include "netback/bridge.h"
#include "util/loop.h"

struct links;

/* bridge->link is another than was. */
typedef void links_fn(void *arg, struct bridge *bridge,
		      const struct nic_link *was);

/* bridges: a list that outlives the watch. */
int links_open(struct loop *loop, struct list *bridges, links_fn *changed,
	       void *arg, struct links **ret) PV_MUST_CHECK;
void links_close(struct links *links); /* NULL is fine */

#endif /* NETBACK_LINKS_H */
