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
#include "xenbus/xenbus.h"

/*
 * Monitor: the open callback. arg is a struct platform of the driver domain's
 * own. Reads /libxl/N/device/vbd/V, which only the toolstack can write.
 */
extern const struct monitor_ops target_ops;

/*
 * Worker: control thread. monitor_client_open_device's errors. What a server
 * said about its disk is kept with the monitor: a successor attaches to the
 * same disk even while the server is away.
 */
int target_attach(struct monitor_client *mc, domid_t domid, uint32_t handle,
		  struct storage **ret) PV_MUST_CHECK;
/* Worker, control thread: give the storage what it asks for, if anything. */
void target_tend(struct monitor_client *mc, struct xenbus_device *dev,
		 struct storage *st);
/* Worker, control thread: the device is over, whoever had attached to it. */
void target_forget(struct monitor_client *mc, domid_t domid, uint32_t handle);

#endif /* BLKBACK_TARGET_H */
