/* SPDX-License-Identifier: MIT */
/*
 * libvhost.h - the least of a guest for a vhost-user-blk server: one split
 * virtqueue in shared memory, driven by who has opened it. A peer for
 * benchmarks, so it trusts the server.
 *
 * Requests are numbered from 0 to VHOST_BLK_SLOTS - 1; each has its chain of
 * three descriptors and its buffer for good.
 *
 * Thread: one, the caller's. Logs: never. Source: the virtio 1.2 specification;
 * QEMU's docs/interop/vhost-user.rst.
 */
#ifndef BENCH_LIBVHOST_H
#define BENCH_LIBVHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define VHOST_BLK_SLOTS 128u

struct vhost_blk;

/* buf_bytes: of each slot's buffer, at most 128 KiB. */
int vhost_blk_open(const char *socket_path, uint32_t buf_bytes,
		   struct vhost_blk **ret) PV_MUST_CHECK;
void vhost_blk_close(struct vhost_blk *vb); /* NULL is fine */

uint64_t vhost_blk_size_bytes(const struct vhost_blk *vb);

/* Put a free slot's request into the queue; the server sees it at the kick. */
void vhost_blk_put(struct vhost_blk *vb, unsigned slot, bool write,
		   uint64_t offset_bytes, uint32_t size_bytes);
/* Show what was put; notify the server if it wants that. */
void vhost_blk_kick(struct vhost_blk *vb);
/*
 * The next answered request's slot, in *ret. 1: there is one; 0: none now;
 * -EIO: it was answered with an error.
 */
int vhost_blk_get(struct vhost_blk *vb, unsigned *ret) PV_MUST_CHECK;
/* Wait for an answer in the kernel. */
void vhost_blk_sleep(struct vhost_blk *vb);

#endif /* BENCH_LIBVHOST_H */
