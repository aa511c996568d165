/* SPDX-License-Identifier: MIT */
/*
 * meet.h - before a run on two interfaces: does what one sends reach the other?
 * A frontend is up as soon as its own part of the handshake is done, so that
 * the first frames to it may find nobody. Thread: main, which owns all queues.
 */
#ifndef NETFRONT_TOOLS_MEET_H
#define NETFRONT_TOOLS_MEET_H

#include "netfront/netfront.h"
#include "netfront/tools/probe.h"
#include "util/annotate.h"

/*
 * Send probes of a run along path, from ends[0] to ends[1], until one arrives
 * and no more are under way. 0, also when stop_asked; -ETIMEDOUT none does; or
 * the error of an interface that was lost.
 */
int meet(struct netfront *const ends[2], const struct probe_path *path,
	 uint16_t run) PV_MUST_CHECK;

#endif /* NETFRONT_TOOLS_MEET_H */
