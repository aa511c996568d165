/* SPDX-License-Identifier: MIT */
/*
 * pump.h - moves frames between a TAP and a netfront until told to stop.
 *
 * One thread does everything. It works in batches, spins for a while when there
 * is nothing to do (a wake-up costs more than a frame), then sleeps on the
 * descriptors. The carrier of the TAP follows the connection.
 */
#ifndef NETFRONT_PUMP_H
#define NETFRONT_PUMP_H

#include "netfront/netfront.h"

/*
 * Run until stop_fd is readable (0) or the connection is lost for good
 * (-errno).
 */
int pump_run(struct netfront *nf, int tap_fd, int stop_fd) PV_MUST_CHECK;

#endif /* NETFRONT_PUMP_H */
