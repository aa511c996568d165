/* SPDX-License-Identifier: MIT */
/*
 * control.h - the control thread of a backend's worker process, as far as it is
 * the same for disks and networks: its connections, its event loop, its end.
 *
 *	control_open	privileges given up, connections taken from the monitor,
 *			loop made, everything watched
 *	(the backend opens its data threads and its xenbus bus)
 *	control_ready	the monitor is told
 *	control_run	until SIGTERM or the monitor's end
 *	(the backend closes both again)
 *	control_close
 *
 * A store that ends or hangs is waited for (xs.h); it is asked anew once it is
 * there again.
 *
 * Thread: the control thread. Logs: never.
 */
#ifndef MONITOR_CONTROL_H
#define MONITOR_CONTROL_H

#include "monitor/monitor.h"
#include "platform/platform.h"
#include "util/loop.h"
#include "xenstore-lite/xs.h"

/* Read-only for its users. */
struct control {
	struct monitor_client *monitor;
	struct platform *platform;
	struct xs *xs;
	struct loop *loop;
	/* An eventfd that data threads write to; it runs fired(). */
	int event_fd;
	uint32_t generation; /* 0: the first worker of this monitor */
	void (*fired)(void *arg);
	void *arg;
};

/*
 * In a fresh process, before any other thread. fired(arg) reads event_fd empty
 * and does what the data threads asked for. On failure control_close is still
 * to be called.
 */
int control_open(struct control *c, void (*fired)(void *arg),
		 void *arg) PV_MUST_CHECK;
int control_ready(struct control *c) PV_MUST_CHECK;
/* 0 at an orderly end. */
int control_run(struct control *c) PV_MUST_CHECK;
void control_close(struct control *c);

#endif /* MONITOR_CONTROL_H */
