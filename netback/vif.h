/* SPDX-License-Identifier: MIT */
/*
 * vif.h - a vif as a xenbus device: its handshake, its life, its revival.
 *
 * Connect reads what the frontend wrote, makes its queues ready and leaves a
 * record of each with the monitor. They are started on the data thread once the
 * state node says Connected: a worker that dies before that has consumed
 * nothing, and its successor connects anew. A worker that finds records of a
 * vif that is Connected, or Closing, goes on with the rings where its
 * predecessor stopped; no state node changes.
 *
 * Thread: the control thread. Logs: what became of a vif.
 */
#ifndef NETBACK_VIF_H
#define NETBACK_VIF_H

#include "monitor/control.h"
#include "monitor/limits.h"
#include "util/list.h"
#include "worker/worker.h"
#include "xenbus/xenbus.h"

/* All that the vifs of one worker process share. */
struct netback {
	struct control control;	   /* its event_fd: vif_run_faults */
	struct worker *worker;	   /* the data thread */
	struct list vifs, bridges; /* empty at first */
	struct limit_groups limit_groups;
	bool stopping; /* the process ends: leave everything to a successor */
};

extern const struct xenbus_driver vif_driver;
extern const struct xenbus_bus_ops vif_bus_ops; /* arg: struct netback */

/* Act on what the data thread reported. */
void vif_run_faults(struct netback *nb);

struct bridge;
struct nic_link;

/* A links_fn: tell the frontends on it. */
void vif_link_changed(void *netback, struct bridge *bridge,
		      const struct nic_link *was);

#endif /* NETBACK_VIF_H */
