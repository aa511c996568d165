/* SPDX-License-Identifier: MIT */
/* table.c - opened devices and kept descriptors. See table.h. */
#include "monitor/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/num.h"

struct device {
	struct list link;
	domid_t domid;
	uint32_t handle;
	uint32_t generation; /* the last that asked for it */
	struct monitor_device dev;
};

struct kept {
	struct list link;
	char key[MONITOR_KEY_MAX];
	uint32_t generation; /* the last that asked for it or kept it */
	int fd;
};

void monitor_table_init(struct monitor_table *table,
			const struct monitor_ops *ops, void *arg)
{
	table->ops = ops;
	table->arg = arg;
	list_init(&table->devices);
	list_init(&table->kept);
	table->nr_devices = table->nr_kept = 0;
	table->generation = 0;
}

static struct device *find_device(const struct monitor_table *table,
				  domid_t domid, uint32_t handle)
{
	list_for_each(l, &table->devices) {
		struct device *d = container_of(l, struct device, link);

		if (d->domid == domid && d->handle == handle)
			return d;
	}
	return NULL;
}

static void close_device(struct monitor_table *table, struct device *d)
{
	if (table->ops->release)
		table->ops->release(table->arg, d->domid, d->handle, &d->dev);
	for (uint32_t i = 0; i < d->dev.nr_fds; i++)
		close(d->dev.fds[i]);
	list_del(&d->link);
	table->nr_devices--;
	free(d);
}

int monitor_table_open(struct monitor_table *table, domid_t domid,
		       uint32_t handle, const struct monitor_device **ret,
		       char *why)
{
	struct device *d = find_device(table, domid, handle);
	int err;

	if (d) {
		d->generation = table->generation;
		*ret = &d->dev;
		return 0;
	}
	if (table->nr_devices >= MONITOR_DEVICES_MAX) {
		err = str_printf(why, WHY_MAX, "too many devices (%u)",
				 MONITOR_DEVICES_MAX);
		return err < 0 ? err : -ENOSPC;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		err = str_printf(why, WHY_MAX, "out of memory");
		return err < 0 ? err : -ENOMEM;
	}
	err = table->ops->open(table->arg, domid, handle, &d->dev, why);
	if (err) {
		free(d);
		return err;
	}
	assert(d->dev.nr_fds <= MONITOR_FDS_MAX &&
	       d->dev.info_bytes <= MONITOR_INFO_MAX);
	d->domid = domid;
	d->handle = handle;
	d->generation = table->generation;
	list_add_tail(&table->devices, &d->link);
	table->nr_devices++;
	*ret = &d->dev;
	return 0;
}

int monitor_table_connect(struct monitor_table *table, domid_t domid,
			  uint32_t handle)
{
	struct device *d = find_device(table, domid, handle);

	if (!d)
		return -ENOENT;
	if (!table->ops->connect)
		return -EOPNOTSUPP;
	return table->ops->connect(table->arg, &d->dev);
}

int monitor_table_release(struct monitor_table *table, domid_t domid,
			  uint32_t handle)
{
	struct device *d = find_device(table, domid, handle);

	if (!d)
		return -ENOENT;
	close_device(table, d);
	return 0;
}

static struct kept *find_kept(const struct monitor_table *table,
			      const char *key)
{
	list_for_each(l, &table->kept) {
		struct kept *k = container_of(l, struct kept, link);

		if (strcmp(k->key, key) == 0)
			return k;
	}
	return NULL;
}

static void drop_kept(struct monitor_table *table, struct kept *k)
{
	close(k->fd);
	list_del(&k->link);
	table->nr_kept--;
	free(k);
}

int monitor_table_keep(struct monitor_table *table, const char *key, int fd)
{
	struct kept *k = find_kept(table, key);
	int err;

	if (k) {
		close(k->fd);
		k->fd = fd;
		k->generation = table->generation;
		return 0;
	}
	if (table->nr_kept >= MONITOR_KEPT_MAX)
		return -ENOSPC;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	err = str_printf(k->key, sizeof(k->key), "%s", key);
	if (err < 0) {
		free(k);
		return err;
	}
	k->fd = fd;
	k->generation = table->generation;
	list_add_tail(&table->kept, &k->link);
	table->nr_kept++;
	return 0;
}

int monitor_table_get(struct monitor_table *table, const char *key)
{
	struct kept *k = find_kept(table, key);

	if (!k)
		return -ENOENT;
	k->generation = table->generation;
	return k->fd;
}

int monitor_table_drop(struct monitor_table *table, const char *key)
{
	struct kept *k = find_kept(table, key);

	if (!k)
		return -ENOENT;
	drop_kept(table, k);
	return 0;
}

void monitor_table_fini(struct monitor_table *table)
{
	while (!list_empty(&table->devices))
		close_device(table, container_of(table->devices.next,
						 struct device, link));
	while (!list_empty(&table->kept))
		drop_kept(table,
			  container_of(table->kept.next, struct kept, link));
}

void monitor_table_retire(struct monitor_table *table)
{
	list_for_each_safe(l, tmp, &table->devices) {
		struct device *d = container_of(l, struct device, link);

		if (d->generation != table->generation)
			close_device(table, d);
	}
	list_for_each_safe(l, tmp, &table->kept) {
		struct kept *k = container_of(l, struct kept, link);

		if (k->generation != table->generation)
			drop_kept(table, k);
	}
}
