/* SPDX-License-Identifier: MIT */
/*
 * limits.h - a device's limits in the store: block-limit and network-limit show
 * and change them, listings show them.
 */
#ifndef PVSPLIT_LIMITS_H
#define PVSPLIT_LIMITS_H

#include "pvsplit/device.h"

/*
 * Add "limits" and, when it has a group, "limit-group" to a listing's object.
 * What is not set, or cannot be understood, is not added.
 */
void limits_json_add(struct pvsplit *ps, json_t *object,
		     const struct device *dev);

/*
 * KIND-limit DOMAIN HANDLE: change what the options name, then show all. name:
 * of the device, in the sentence.
 */
int limits_run(struct pvsplit *ps, const struct args *args,
	       enum device_kind kind, uint32_t handle, const char *name);

#endif /* PVSPLIT_LIMITS_H */
