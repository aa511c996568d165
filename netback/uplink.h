/* SPDX-License-Identifier: MIT */
/*
 * uplink.h - a NIC as a port of the switch and a source of the data thread.
 *
 * Made and freed on the control thread, used in between on the data thread.
 * Logs: once, when the interface fails for good.
 */
#ifndef NETBACK_UPLINK_H
#define NETBACK_UPLINK_H

#include "netback/nic.h"
#include "netback/switch.h"
#include "worker/worker.h"

struct uplink_stats {
	uint64_t sent, received;
	uint64_t full;	 /* dropped: the interface had no room */
	uint64_t errors; /* dropped: refused, or not to be understood */
};

struct uplink;

/* Takes fds over, on success only. */
int uplink_open(const struct nic_desc *desc, const int *fds,
		struct uplink **ret) PV_MUST_CHECK;
void uplink_close(struct uplink *up); /* NULL is fine */

/* Data thread. */
int uplink_start(struct uplink *up, struct worker *worker,
		 struct vswitch *sw) PV_MUST_CHECK;
void uplink_stop(struct uplink *up);
struct uplink_stats uplink_stats(const struct uplink *up);

/*
 * Control thread: the link as it is now; down when the interface is gone.
 * False: it cannot be asked.
 */
bool uplink_link(const struct uplink *up, struct nic_link *ret) PV_MUST_CHECK;
/* Is it its interface, or the bridge that this is in? NULL: it may be. */
bool uplink_concerns(const struct uplink *up, const char *ifname);
/* Control thread: the interface shows whether anybody is behind it. */
void uplink_carrier(struct uplink *up, bool on);

#endif /* NETBACK_UPLINK_H */
