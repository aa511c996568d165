/* SPDX-License-Identifier: MIT */
/*
 * loopdev.h - a file as a block device. The device is autoclear: it exists as
 * long as somebody has it open, so nothing remains of a process that was
 * killed. Quiet; 0 or -errno.
 */
#ifndef PVSPLIT_LOOPDEV_H
#define PVSPLIT_LOOPDEV_H

#include <stdbool.h>
#include <stddef.h>

#include "util/annotate.h"

#define LOOPDEV_NAME_MAX 24

/* *ret_fd keeps the device; name becomes "/dev/loopN". */
int loopdev_attach(const char *file, bool readonly, char name[LOOPDEV_NAME_MAX],
		   int *ret_fd) PV_MUST_CHECK;
/* Detach now (or when the last user closes it), and close fd. */
void loopdev_detach(int fd);
/* Is pathname the loop driver's control device, a character device? */
bool loopdev_available(void);

#endif /* PVSPLIT_LOOPDEV_H */
