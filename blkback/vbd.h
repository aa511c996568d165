/* SPDX-License-Identifier: MIT */
/*
 * vbd.h - a disk as xenbus sees it: the backend's steps of the handshake.
 *
 *	idle --connect--> starting --> running --disconnect--> stopping --> idle
 *	  \--probe, after a predecessor--> fenced --^
 *
 * starting: all is ready, but no request is consumed before the state node says
 * Connected; so a worker that dies before that has left nothing to recover.
 * fenced: a predecessor's requests may still be in the kernel; the ring waits.
 *
 * Thread: the control thread. Logs: with the device's name.
 */
#ifndef BLKBACK_VBD_H
#define BLKBACK_VBD_H

#include <stdint.h>

#include "monitor/control.h"
#include "monitor/limits.h"
#include "util/list.h"
#include "worker/worker.h"
#include "xenbus/xenbus.h"

#define BLKBACK_WORKERS_MAX 64u

/* What all disks of this worker process share. */
struct blkback {
	struct control
		control; /* its event_fd is the queues': vbd_run_events */
	struct worker *workers[BLKBACK_WORKERS_MAX];
	uint32_t nr_workers;
	uint32_t next_worker;
	struct list vbds;
	struct limit_groups limit_groups;
	struct loop_timer *idle_timer; /* NULL until it is needed */
	bool ticking;
};

extern const struct xenbus_driver vbd_driver;
extern const struct xenbus_bus_ops vbd_bus_ops; /* arg: struct blkback */

/* A queue has stopped or faulted, or begun to keep pages. */
void vbd_run_events(struct blkback *bb);

/*
 * The process is about to end: consume nothing more and wait, at most until
 * deadline_ns, until nothing is in flight. The states in the store and what the
 * monitor keeps stay as they are.
 */
void vbd_drain_all(struct blkback *bb, uint64_t deadline_ns);

#endif /* BLKBACK_VBD_H */
