/* SPDX-License-Identifier: MIT */
/*
 * solo.h - one process at a time drives a frontend's device.
 *
 * Two that drive one device would each take the connection from the other, for
 * ever. So one of them holds a lock, a byte of RUN/lock, that ends with it.
 * Without the right to open that file there is no protection.
 *
 * Thread: any. Logs: never.
 */
#ifndef UTIL_SOLO_H
#define UTIL_SOLO_H

#include <stdint.h>

#include "util/annotate.h"

enum solo_kind {
	SOLO_VBD,
	SOLO_VIF
};

/*
 * *ret_fd: holds the lock until it is closed; -1: there is none to be had.
 * Returns 0, or -EBUSY: another process has the device.
 */
int solo_take(const char *run_dir, enum solo_kind kind, uint16_t domid,
	      uint32_t handle, int *ret_fd) PV_MUST_CHECK;

#endif /* UTIL_SOLO_H */
