/* SPDX-License-Identifier: MIT */
/*
 * table.h - what a monitor holds for its workers: opened devices and kept
 * descriptors, both bounded. Private to monitor/, the monitor's thread.
 */
#ifndef MONITOR_TABLE_H
#define MONITOR_TABLE_H

#include "monitor/monitor.h"
#include "util/list.h"

struct monitor_table {
	const struct monitor_ops *ops;
	void *arg;
	struct list devices, kept;
	unsigned nr_devices, nr_kept;
	uint32_t generation; /* the worker that is served now */
};

void monitor_table_init(struct monitor_table *table,
			const struct monitor_ops *ops, void *arg);
/* Releases every device, closes everything. */
void monitor_table_fini(struct monitor_table *table);

/*
 * The device, opened unless it is already. why (WHY_MAX) is set on failure.
 * *ret stays the table's. -ENOSPC too many.
 */
int monitor_table_open(struct monitor_table *table, domid_t domid,
		       uint32_t handle, const struct monitor_device **ret,
		       char *why) PV_MUST_CHECK;
/* A fresh connection, the caller's. -ENOENT not open; -EOPNOTSUPP. */
int monitor_table_connect(struct monitor_table *table, domid_t domid,
			  uint32_t handle) PV_MUST_CHECK;
int monitor_table_release(struct monitor_table *table, domid_t domid,
			  uint32_t handle);

/* Takes fd over, on success only. -ENOSPC too many; -ENOMEM. */
int monitor_table_keep(struct monitor_table *table, const char *key,
		       int fd) PV_MUST_CHECK;
/* The descriptor, still the table's, or -ENOENT. */
int monitor_table_get(struct monitor_table *table, const char *key);
int monitor_table_drop(struct monitor_table *table, const char *key);

/* Give up whatever no call of this generation was about. */
void monitor_table_retire(struct monitor_table *table);

#endif /* MONITOR_TABLE_H */
