/* SPDX-License-Identifier: MIT */
/* libvhost_private.h - between libvhost.c and libvhost_open.c. */
#ifndef BENCH_LIBVHOST_PRIVATE_H
#define BENCH_LIBVHOST_PRIVATE_H

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "bench/libvhost.h"

#define QUEUE_SLOTS 512u /* >= VHOST_BLK_SLOTS * SLOT_DESCS, a power of two */
#define SLOT_DESCS  3u	 /* header, data, status */
#define NO_EVENT    0x4000u

_Static_assert(QUEUE_SLOTS >= VHOST_BLK_SLOTS * SLOT_DESCS,
	       "every slot has its descriptors");

struct vhost_slot {
	_Alignas(64) struct virtio_blk_outhdr header;
	uint8_t status;
};

/* Shared with the server; where a virtqueue's parts are is ours to choose. */
struct vhost_memory {
	_Alignas(4096) struct vring_desc desc[QUEUE_SLOTS];
	_Alignas(4096) struct {
		uint16_t flags, idx, ring[QUEUE_SLOTS];
	} avail;
	uint16_t used_event; /* right behind avail */
	_Alignas(4096) struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[QUEUE_SLOTS];
	} used;
	uint16_t avail_event; /* right behind used */
	_Alignas(4096) struct vhost_slot slots[VHOST_BLK_SLOTS];
	_Alignas(4096) uint8_t bufs[];
};

struct vhost_blk {
	struct vhost_memory *mem;
	size_t mem_bytes;
	uint64_t size_bytes;
	int sock, mem_fd, kick_fd, call_fd;
	uint16_t avail_idx, shown_idx; /* put; shown to the server */
	uint16_t used_idx, seen_idx;   /* taken; the server's as last seen */
};

#endif /* BENCH_LIBVHOST_PRIVATE_H */
