/* SPDX-License-Identifier: MIT */
/* drivers.h - every storage driver by name, for drivers.c and for tests. */
#ifndef BLKBACK_STORAGE_DRIVERS_H
#define BLKBACK_STORAGE_DRIVERS_H

#include "blkback/storage.h"

extern const struct storage_ops storage_null;
extern const struct storage_ops storage_mem;
extern const struct storage_ops storage_uring;
extern const struct storage_ops storage_aio;   /* if it is built */
extern const struct storage_ops storage_nbd;   /* if it is built */
extern const struct storage_ops storage_iscsi; /* if it is built */

#endif /* BLKBACK_STORAGE_DRIVERS_H */
