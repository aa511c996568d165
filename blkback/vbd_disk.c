/* SPDX-License-Identifier: MIT */
/*
 * vbd_disk.c - what is behind a disk, and the nodes that tell the frontend of
 * it; see vbd_private.h. Neighbours: target.c, storage.h. Control thread.
 *
 * Resize: whoever changed the size of what is behind the disk writes `resize`
 * into the backend's directory. The size is asked for, `sectors` is written,
 * and the state anew, as it was: its watch is how a frontend learns of the new
 * size. Then the node is removed.
 */
#include "blkback/vbd_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blkback/rmw.h"
#include "blkback/target.h"
#include "util/num.h"

uint32_t vbd_max_queues(const struct vbd *v)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	if (nr < 1 ||
	    (v->medium && (v->medium->desc.flags & STORAGE_ONE_CHANNEL)))
		return 1;
	return nr < (long)INFLIGHT_QUEUES_MAX ? (uint32_t)nr
					      : INFLIGHT_QUEUES_MAX;
}

int vbd_disk_open(struct vbd *v)
{
	struct xenbus_device *dev = v->dev;
	int err;

	if (v->medium)
		return 0;
	err = target_attach(v->bb->control.monitor, dev->otherend_id,
			    dev->handle, &v->medium);
	if (err)
		return err;
	v->storage = v->medium;
	v->medium->event_fd = v->bb->control.event_fd;
	log_info("%s: %s: %llu KiB, %s%s", dev->name, v->storage->desc.target,
		 (unsigned long long)v->storage->desc.size_bytes / 1024,
		 v->storage->desc.how,
		 v->storage->desc.flags & STORAGE_READONLY ? ", read-only"
							   : "");
	vbd_faults_opened(v);
	return 0;
}

static void drop_adapter(struct vbd *v)
{
	if (v->storage != v->medium)
		v->storage->ops->close(v->storage);
	v->storage = v->medium;
}

void vbd_disk_close(struct vbd *v)
{
	drop_adapter(v);
	if (v->medium)
		v->medium->ops->close(v->medium);
	v->storage = v->medium = NULL;
}

int vbd_disk_adapt(struct vbd *v, bool large_sectors)
{
	drop_adapter(v);
	if (large_sectors || v->medium->desc.sector_bytes == 512)
		return 0;
	return rmw_open(v->medium, &v->storage);
}

struct number {
	const char *node;
	uint64_t value;
};

static int write_numbers(const struct vbd *v, const struct number *numbers,
			 size_t nr)
{
	int err = 0;

	for (size_t i = 0; !err && i < nr; i++)
		err = xs_printf(v->dev->xs, XS_NO_TXN, v->dev->node,
				numbers[i].node, "%llu",
				(unsigned long long)numbers[i].value);
	return err;
}

/* The toolstack may forbid it: so an image keeps the space that it was given.
 */
static int announce_discard(struct vbd *v)
{
	const struct storage_desc *desc = &v->storage->desc;
	bool secure = desc->flags & STORAGE_CAN_DISCARD_SECURE;
	const struct number numbers[] = {
		{ "discard-granularity", desc->discard_granularity_bytes },
		{ "discard-alignment", desc->discard_alignment_bytes },
		{ "discard-secure", secure },
		{ "feature-discard", 1 },
	};
	uint32_t enable;
	int err = xs_read_u32_default(v->dev->xs, XS_NO_TXN, v->dev->node,
				      "discard-enable", 1, 1, &enable);

	if (err)
		return err;
	v->discard = enable && (desc->flags & STORAGE_CAN_DISCARD);
	if (!v->discard)
		return xs_printf(v->dev->xs, XS_NO_TXN, v->dev->node,
				 "feature-discard", "0");
	return write_numbers(v, numbers, ARRAY_SIZE(numbers));
}

int vbd_disk_announce(struct vbd *v)
{
	const struct number numbers[] = {
		{ "feature-flush-cache", 1 },
		/*
		 * Windows and Linux flush. A barrier is for those that know
		 * nothing else: they would run without any order.
		 */
		{ "feature-barrier", 1 },
		{ "feature-persistent", 1 },
		{ "feature-max-indirect-segments", BLK_SEGMENTS_MAX },
		{ "max-ring-page-order", INFLIGHT_RING_ORDER_MAX },
		{ "multi-queue-max-queues", vbd_max_queues(v) },
	};
	int err = write_numbers(v, numbers, ARRAY_SIZE(numbers));

	return err ? err : announce_discard(v);
}

static bool resize_wanted(const struct vbd *v)
{
	char text[32];

	return xs_read_str(v->dev->xs, XS_NO_TXN, v->dev->node, "resize", text,
			   sizeof(text)) != -ENOENT;
}

static void resize_done(struct vbd *v)
{
	struct xenbus_device *dev = v->dev;
	char path[sizeof(dev->node) + sizeof("/resize")];
	int err;

	snprintf(path, sizeof(path), "%s/resize", dev->node);
	err = xs_rm(dev->xs, XS_NO_TXN, path);
	if (err)
		log_limited(&dev->limit, LOG_WARN, "%s: removing %s: %s",
			    dev->name, path, strerrordesc_np(-err));
}

int vbd_disk_publish(struct vbd *v)
{
	const struct storage_desc *desc = &v->storage->desc;
	int err;

	if (resize_wanted(v))
		resize_done(v);
	err = storage_look_again(v->storage);
	if (err < 0)
		return err;
	return write_numbers(
		v,
		(const struct number[]){
			{ "sectors", storage_size_bytes(v->storage) / 512 },
			{ "sector-size", desc->sector_bytes },
			{ "physical-sector-size", desc->physical_bytes },
			{ "info",
			  desc->flags & STORAGE_READONLY ? VDISK_READONLY : 0 },
		},
		4);
}

static void tell_size(struct vbd *v)
{
	uint64_t size_bytes = storage_size_bytes(v->storage);
	const struct number sectors = { "sectors", size_bytes / 512 };
	int err = write_numbers(v, &sectors, 1);

	if (!err)
		err = xenbus_switch(v->dev, v->dev->state);
	if (err)
		log_warn("%s: cannot tell the frontend its new size: %s",
			 v->dev->name, strerrordesc_np(-err));
	else
		log_info("%s: has %llu KiB now", v->dev->name,
			 (unsigned long long)size_bytes / 1024);
}

static void look(struct vbd *v)
{
	int err = storage_look_again(v->storage);

	if (err > 0)
		tell_size(v);
	else if (err)
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: its new size cannot be used: %s", v->dev->name,
			    err == -ENOSPC ? "it is empty"
					   : strerrordesc_np(-err));
}

/*
 * Whoever asked goes on when the node is gone: by then all is told. Who asks
 * while we tell finds the node in place: so one more look after it.
 */
void vbd_disk_changed(struct vbd *v)
{
	if (!v->storage || !resize_wanted(v))
		return;
	look(v);
	resize_done(v);
	look(v);
}

void vbd_disk_tended(struct vbd *v)
{
	if (v->state == VBD_RUNNING && v->medium->ops->tend)
		look(v);
}

void vbd_disk_resumed(struct vbd *v)
{
	struct xenbus_device *dev = v->dev;
	uint64_t told;
	int err = xs_read_u64(dev->xs, XS_NO_TXN, dev->node, "sectors",
			      UINT64_MAX, &told);

	if (!err && told != storage_size_bytes(v->storage) / 512)
		tell_size(v);
	vbd_disk_changed(v);
}
