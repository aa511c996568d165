/* SPDX-License-Identifier: MIT */
/*
 * drivers.c - the storage drivers, in the order in which they are asked whether
 * a target is theirs. The Makefile says which are built. Any thread.
 */
#include "blkback/storage/drivers.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const struct storage_ops *const storage_drivers[] = {
	&storage_null,	&storage_mem, &storage_uring,
#ifdef HAVE_AIO
	&storage_aio,
#endif
#ifdef HAVE_NBD
	&storage_nbd,
#endif
#ifdef HAVE_ISCSI
	&storage_iscsi,
#endif
	NULL,
};

const char *const storage_left_out[] = {
#ifndef HAVE_AIO
	"aio\tneeds libaio",
#endif
#ifndef HAVE_NBD
	"nbd\tneeds libnbd",
#endif
#ifndef HAVE_ISCSI
	"iscsi\tneeds libiscsi",
#endif
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

int storage_look_again(struct storage *st)
{
	uint64_t size_bytes;
	int err;

	if (!st->ops->size)
		return 0;
	err = st->ops->size(st, &size_bytes);
	if (err)
		return err;
	if (!size_bytes)
		return -ENOSPC;
	if (size_bytes == storage_size_bytes(st))
		return 0;
	/* Pairs with storage_size_bytes(). */
	atomic_store_explicit(&st->size_bytes, size_bytes,
			      memory_order_relaxed);
	return 1;
}
