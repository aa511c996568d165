/* SPDX-License-Identifier: MIT */
/*
 * features.c - the nodes of a vbd: what the backend offers, what we answer.
 *
 * Backends from the oldest (no node but `sectors` and `sector-size`) to ours:
 * whatever is absent is not offered. `sectors`, like every sector number in a
 * request, counts 512 bytes here, whatever sector-size says: that is what
 * backends have come to do. Called by connect.c; control thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfront/private.h"

/* The largest logical sector: a segment holds whole ones. */
#define SECTOR_MAX PV_PAGE_SIZE

static int read_node(struct blkfront *bf, const char *node, uint32_t max,
		     uint32_t absent, uint32_t *ret)
{
	return xs_read_u32_default(bf->xs, XS_NO_TXN, bf->dev.otherend, node,
				   max, absent, ret);
}

static int read_flag(struct blkfront *bf, const char *node, bool *ret)
{
	uint32_t value;
	int err = read_node(bf, node, 1, 0, &value);

	if (!err)
		*ret = value;
	return err;
}

static bool is_power_of_two(uint32_t n)
{
	return n && (n & (n - 1)) == 0;
}

/* ---- reading --------------------------------------------------------------
 */

int features_read_transport(struct blkfront *bf, struct transport *ret)
{
	uint32_t order, pages, queues;
	int err;

	err = read_node(bf, "max-ring-page-order", UINT32_MAX, 0, &order);
	/* the older way to say it */
	if (!err)
		err = read_node(bf, "max-ring-pages", UINT32_MAX, 1, &pages);
	if (!err)
		err = read_node(bf, "multi-queue-max-queues", UINT32_MAX, 1,
				&queues);
	if (err)
		return err;
	while (order < bf->ring_order_max && pages >> (order + 1))
		order++;
	ret->ring_order =
		order < bf->ring_order_max ? order : bf->ring_order_max;
	ret->nr_rings = queues < bf->nr_queues ? queues : bf->nr_queues;
	if (ret->nr_rings == 0)
		ret->nr_rings = 1;
	return 0;
}

int features_read_size(struct blkfront *bf, uint32_t sector_bytes,
		       uint64_t *ret_bytes)
{
	uint64_t sectors;
	int err = xs_read_u64(bf->xs, XS_NO_TXN, bf->dev.otherend, "sectors",
			      INT64_MAX / BLKIF_SECTOR_SIZE, &sectors);

	if (err)
		return err;
	if (sectors * BLKIF_SECTOR_SIZE % sector_bytes)
		return -EINVAL;
	*ret_bytes = sectors * BLKIF_SECTOR_SIZE;
	return 0;
}

static int read_sector(struct blkfront *bf, struct blkfront_info *info)
{
	int err;

	err = read_node(bf, "sector-size", UINT32_MAX, BLKIF_SECTOR_SIZE,
			&info->sector_bytes);
	if (!err)
		err = read_node(bf, "physical-sector-size", 1u << 20,
				info->sector_bytes, &info->physical_bytes);
	if (err)
		return err;
	if (!is_power_of_two(info->sector_bytes) ||
	    info->sector_bytes < BLKIF_SECTOR_SIZE ||
	    info->sector_bytes > SECTOR_MAX)
		return -EOPNOTSUPP;
	if (!is_power_of_two(info->physical_bytes) ||
	    info->physical_bytes < BLKIF_SECTOR_SIZE)
		return -EINVAL;
	return 0;
}

/* Both extents' nodes are there, or neither: else there is no discard. */
static int read_discard(struct blkfront *bf, struct blkfront_info *info)
{
	int err = read_flag(bf, "feature-discard", &info->discard);

	if (!err)
		err = read_flag(bf, "discard-secure", &info->secure_discard);
	if (!err)
		err = read_node(bf, "discard-granularity", UINT32_MAX,
				info->sector_bytes,
				&info->discard_granularity_bytes);
	if (!err)
		err = read_node(bf, "discard-alignment", UINT32_MAX, 0,
				&info->discard_alignment_bytes);
	if (err)
		return err;
	if (info->discard_granularity_bytes % info->sector_bytes ||
	    !info->discard_granularity_bytes)
		info->discard_granularity_bytes = info->sector_bytes;
	info->secure_discard = info->discard && info->secure_discard;
	return 0;
}

int features_read_disk(struct blkfront *bf, struct blkfront_info *info,
		       struct limits *limits)
{
	uint32_t flags, segments;
	int err = read_sector(bf, info);

	if (!err)
		err = features_read_size(bf, info->sector_bytes,
					 &info->size_bytes);
	if (!err)
		err = read_node(bf, "info", UINT32_MAX, 0, &flags);
	if (!err)
		err = read_flag(bf, "feature-flush-cache", &info->flush);
	if (!err)
		err = read_discard(bf, info);
	if (!err)
		err = read_node(bf, "feature-max-indirect-segments", UINT32_MAX,
				0, &segments);
	if (err)
		return err;
	if (segments < BLKIF_MAX_SEGMENTS_PER_REQUEST)
		segments = BLKIF_MAX_SEGMENTS_PER_REQUEST;
	if (segments > BLKFRONT_SEGMENTS_MAX)
		segments = BLKFRONT_SEGMENTS_MAX;
	info->readonly = (flags & VDISK_READONLY) != 0;
	info->max_request_bytes = segments * PV_PAGE_SIZE;
	info->nr_queues = bf->transport.nr_rings;
	info->ring_pages = 1u << bf->transport.ring_order;
	*limits = (struct limits){ .max_segments = segments,
				   .flush = info->flush,
				   .discard = info->discard,
				   .secure_discard = info->secure_discard };
	return 0;
}

/* ---- publishing -----------------------------------------------------------
 */

static bool is_of_rings(const char *node)
{
	return strncmp(node, "ring-", 5) == 0 ||
	       strncmp(node, "queue-", 6) == 0 ||
	       strcmp(node, "event-channel") == 0 ||
	       strcmp(node, "num-ring-pages") == 0 ||
	       strcmp(node, "multi-queue-num-queues") == 0;
}

/* Remove what an earlier connection, with other rings, has left. */
static int forget_rings(struct xs *xs, xs_txn_t tx, const char *dir)
{
	char path[sizeof(((struct xenbus_device *)0)->node) + 32];
	char **nodes;
	unsigned nr;
	int err = xs_directory(xs, tx, dir, &nodes, &nr);

	if (err)
		return err;
	for (unsigned i = 0; !err && i < nr; i++) {
		if (!is_of_rings(nodes[i]) ||
		    str_printf(path, sizeof(path), "%s/%s", dir, nodes[i]) < 0)
			continue;
		err = xs_rm(xs, tx, path);
		if (err == -ENOENT)
			err = 0;
	}
	free(nodes);
	return err;
}

static int publish_ring(struct xs *xs, xs_txn_t tx, const char *dir,
			const struct blkfront_queue *bq)
{
	uint32_t ref = bq->ring.first_ref;
	char node[24];
	int err = 0;

	if (bq->ring.nr_pages == 1)
		err = xs_printf(xs, tx, dir, "ring-ref", "%u", ref);
	for (uint32_t i = 0; !err && i < bq->ring.nr_pages; i++) {
		if (bq->ring.nr_pages == 1)
			break;
		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = xs_printf(xs, tx, dir, node, "%u", ref + i);
	}
	if (err)
		return err;
	return xs_printf(xs, tx, dir, "event-channel", "%u",
			 evtchn_port(bq->evtchn));
}

/* One ring is laid out as it was before there could be several. */
static int publish_rings(struct blkfront *bf, struct xs *xs, xs_txn_t tx)
{
	char dir[sizeof(bf->dev.node) + 16];
	int err;

	if (bf->transport.nr_rings == 1)
		return publish_ring(xs, tx, bf->dev.node, &bf->queues[0]);
	err = xs_printf(xs, tx, bf->dev.node, "multi-queue-num-queues", "%u",
			bf->transport.nr_rings);
	for (uint32_t i = 0; !err && i < bf->transport.nr_rings; i++) {
		err = str_printf(dir, sizeof(dir), "%s/queue-%u", bf->dev.node,
				 i);
		if (err >= 0)
			err = publish_ring(xs, tx, dir, &bf->queues[i]);
	}
	return err;
}

int features_publish(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct blkfront *bf = arg;
	const char *dir = bf->dev.node;
	uint32_t order = bf->transport.ring_order;
	int err = forget_rings(xs, tx, dir);

	if (!err && order)
		err = xs_printf(xs, tx, dir, "ring-page-order", "%u", order);
	if (!err && order)
		err = xs_printf(xs, tx, dir, "num-ring-pages", "%u",
				1u << order);
	if (!err)
		err = publish_rings(bf, xs, tx);
	if (!err)
		err = xs_printf(xs, tx, dir, "protocol", "%s",
				XEN_IO_PROTO_ABI_X86_64);
	if (!err)
		err = xs_printf(xs, tx, dir, "feature-persistent", "1");
	if (!err)
		err = xs_printf(xs, tx, dir, "feature-large-sector-size", "1");
	return err;
}
