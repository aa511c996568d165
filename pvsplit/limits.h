/* SPDX-License-Identifier: MIT */
/* limits.h - a device's limits in the store, as listings show them. */
#ifndef PVSPLIT_LIMITS_H
#define PVSPLIT_LIMITS_H

#include "pvsplit/device.h"

/*
 * Add "limits" and, when it has a group, "limit-group" to a listing's object.
 * What is not set, or cannot be understood, is not added.
 */
void limits_json_add(struct pvsplit *ps, json_t *object,
		     const struct device *dev);

#endif /* PVSPLIT_LIMITS_H */
