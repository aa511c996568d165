/* SPDX-License-Identifier: MIT */
/*
 * vdev.h - virtual disks by name: "xvda" is number 51712, by Xen's scheme.
 *
 * Pure; any thread. Logs: never. Source: xen/docs/man/xen-vbd-interface.7.
 */
#ifndef UTIL_VDEV_H
#define UTIL_VDEV_H

#include <stdint.h>

#include "util/annotate.h"

#define VDEV_NAME_MAX 8

/*
 * A whole disk's name to its number: xvda.. (202, 16 minors each; from the 17th
 * on, 1 << 28 | index << 8), hda..hdd, sda..sdp. -EINVAL no such name.
 */
int vdev_number(const char *name, uint32_t *ret) PV_MUST_CHECK;
/* A name or a number. -EINVAL neither. */
int vdev_parse(const char *text, uint32_t *ret) PV_MUST_CHECK;

#endif /* UTIL_VDEV_H */
