/* SPDX-License-Identifier: MIT */
/*
 * drivers.c - the storage drivers, in the order in which they are asked whether
 * a target is theirs. Neighbours: uring.c, null.c, mem.c. Any thread.
 */
#include "blkback/storage/drivers.h"

#include <stddef.h>
#include <string.h>

const struct storage_ops *const storage_drivers[] = {
	&storage_null,
	&storage_mem,
	&storage_uring,
	NULL,
};

const struct storage_ops *storage_find(const char *target)
{
	for (unsigned i = 0; storage_drivers[i]; i++)
		if (storage_drivers[i]->claims(target))
			return storage_drivers[i];
	return NULL;
}

const struct storage_ops *storage_by_name(const char *name)
{
	for (unsigned i = 0; storage_drivers[i]; i++)
		if (strcmp(storage_drivers[i]->name, name) == 0)
			return storage_drivers[i];
	return NULL;
}
