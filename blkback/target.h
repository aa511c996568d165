/* SPDX-License-Identifier: MIT */
/*
 * target.h - what holds a disk's bytes: opened in the monitor as the toolstack
 * says, attached to in the worker.
 */
#ifndef BLKBACK_TARGET_H
#define BLKBACK_TARGET_H

#include "blkback/storage.h"
#include "monitor/monitor.h"
#include "platform/platform.h"

/*
 * Monitor: the open callback. arg is a struct platform of the driver domain's
 * own. Reads /libxl/N/device/vbd/V, which only the toolstack can write.
 */
extern const struct monitor_ops target_ops;

/* Worker: control thread. monitor_client_open_device's errors. */
int target_attach(struct monitor_client *mc, domid_t domid, uint32_t handle,
		  struct storage **ret) PV_MUST_CHECK;

#endif /* BLKBACK_TARGET_H */
