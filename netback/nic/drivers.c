/* SPDX-License-Identifier: MIT */
/* drivers.c - every NIC driver there is; see netback/nic.h. */
#include "netback/nic.h"

#include <string.h>

#include "netback/nic/private.h"

const struct nic_ops *const nic_drivers[] = { &nic_tap, &nic_null, NULL };

const struct nic_ops *nic_by_name(const char *name)
{
	for (const struct nic_ops *const *d = nic_drivers; *d; d++)
		if (!strcmp((*d)->name, name))
			return *d;
	return NULL;
}
