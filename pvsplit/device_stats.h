/* SPDX-License-Identifier: MIT */
/* device_stats.h - a device's figures, as its driver domain tells them. */
#ifndef PVSPLIT_DEVICE_STATS_H
#define PVSPLIT_DEVICE_STATS_H

#include "pvsplit/device.h"

/*
 * Ask for the figures of a device and wait for them, at most a second. *ret: an
 * object of numbers, by the names of blkback/account.h
 * or netback/traffic.h, and "per-queue", an
 * array of the same for each queue when there are several; it is the caller's.
 * hists: and "histograms", by name, arrays of { low, high, count }, ascending.
 * -ENOENT it is not connected; -ETIMEDOUT; -EPROTO; -ENOMEM; the store's.
 */
int device_stats_read(struct pvsplit *ps, const struct device *dev, bool hists,
		      json_t **ret) PV_MUST_CHECK;

/* A figure, 0 when there is none of that name. */
uint64_t device_stats_get(const json_t *stats, const char *name);

#endif /* PVSPLIT_DEVICE_STATS_H */
