/* SPDX-License-Identifier: MIT */
/*
 * target.h - the monitor's half of netback: what the toolstack configured for a
 * vif, and the uplinks opened for it.
 *
 * The worker cannot say which bridge it wants: the monitor reads the name from
 * the toolstack's own directory, /libxl/N/device/vif/I, and what is to be the
 * uplink of its switch. One is opened for each bridge; every vif on it gets
 * duplicates of the same descriptors.
 *
 * Thread: the monitor's only one. Logs: nothing; reasons go to `why`.
 */
#ifndef NETBACK_TARGET_H
#define NETBACK_TARGET_H

#include "abi/grant.h"
#include "monitor/monitor.h"
#include "netback/nic.h"
#include "util/list.h"

#define BRIDGE_NAME_MAX 16u /* an interface's name with its NUL */

/* What the worker is told of a vif: monitor_device.info. */
struct vif_target {
	char bridge[BRIDGE_NAME_MAX]; /* "": a switch without an uplink */
	struct nic_desc nic;	      /* driver "": none */
	uint8_t mac[6];
};

/* Are the bytes a vif_target with proper strings? */
int vif_target_check(const void *info, uint32_t info_bytes,
		     struct vif_target *ret) PV_MUST_CHECK;

struct target_set {
	const char *run_dir;
	domid_t domid;
	const struct nic_ops *nic; /* where a vif names none */
	uint32_t nr_queues;	   /* wanted of each uplink */
	struct list uplinks;
};

void target_set_init(struct target_set *set, const char *run_dir, domid_t domid,
		     const struct nic_ops *nic, uint32_t nr_queues);
void target_set_fini(struct target_set *set);

/* For monitor_run; arg is the target_set. */
extern const struct monitor_ops target_monitor_ops;

#endif /* NETBACK_TARGET_H */
