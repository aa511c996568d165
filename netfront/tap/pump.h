/* SPDX-License-Identifier: MIT */
/*
 * pump.h - moves frames between a TAP and a netfront until told to stop.
 *
 * Every queue has a thread of its own, that of queue 0 is the caller's. It
 * works in batches, spins for a while when there is nothing to do and that pays
 * (util/spin.h), then sleeps on the descriptors. A frame is one system call: a
 * TAP has none for several, and asking for 32 at a time by io_uring saved 0.1
 * us of the 2.5 that one takes. The TAP's carrier, MTU and number of queues
 * follow the connection.
 */
#ifndef NETFRONT_TAP_PUMP_H
#define NETFRONT_TAP_PUMP_H

#include "netfront/netfront.h"
#include "netfront/tap/tap.h"

/*
 * Run until stop_fd is readable or the vif is detached (0), or the connection
 * is lost for good (-errno). stop_fd is not read.
 */
int pump_run(struct netfront *nf, struct tap *tap, int stop_fd) PV_MUST_CHECK;

#endif /* NETFRONT_TAP_PUMP_H */
