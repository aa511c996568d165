/* SPDX-License-Identifier: MIT */
/*
 * capture.h - shows a switch's frames to the toolstack, through pages of its
 * (abi/capture.h). A mirror of the switch: it copies what fits and counts what
 * does not; no port waits for it.
 *
 * Made and freed on the control thread; started, stopped and used in between on
 * the data thread. Ends by itself when the reader is gone. Logs: never.
 */
#ifndef NETBACK_CAPTURE_H
#define NETBACK_CAPTURE_H

#include "netback/switch.h"
#include "platform/platform.h"
#include "worker/worker.h"

#define CAPTURE_TEXT_MAX 80 /* of the node, with NUL */

struct capture_config {
	grant_ref_t first_ref;
	evtchn_port_t port;
	uint32_t snap_bytes;
	bool all; /* every frame on the switch, not only the port's */
};

struct capture;

/* The text of the node `capture`. -EINVAL, -ERANGE: it is none. */
int capture_parse(const char *text, struct capture_config *ret) PV_MUST_CHECK;

/* Map the pages of domain 0, bind its channel. */
int capture_open(struct platform *platform, const struct capture_config *config,
		 struct capture **ret) PV_MUST_CHECK;
void capture_close(struct capture *c); /* NULL is fine */

/* Data thread. port: whose frames; it is on its switch. */
int capture_start(struct capture *c, struct worker *worker,
		  struct switch_port *port) PV_MUST_CHECK;
void capture_stop(struct capture *c); /* idempotent */

#endif /* NETBACK_CAPTURE_H */
