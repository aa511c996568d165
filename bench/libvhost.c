/* SPDX-License-Identifier: MIT */
/* libvhost.c - the virtqueue of libvhost.h; libvhost_open.c makes it. */
#include "bench/libvhost_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

uint64_t vhost_blk_size_bytes(const struct vhost_blk *vb)
{
	return vb->size_bytes;
}

void vhost_blk_put(struct vhost_blk *vb, unsigned slot, bool write,
		   uint64_t offset_bytes, uint32_t size_bytes)
{
	struct vring_desc *desc = &vb->mem->desc[slot * SLOT_DESCS];
	struct vhost_slot *s = &vb->mem->slots[slot];

	s->header.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	s->header.sector = offset_bytes / 512;
	s->status = 0xff;
	desc[1].len = size_bytes;
	desc[1].flags = VRING_DESC_F_NEXT | (write ? 0 : VRING_DESC_F_WRITE);
	vb->mem->avail.ring[vb->avail_idx++ % QUEUE_SLOTS] =
		(uint16_t)(slot * SLOT_DESCS);
}

void vhost_blk_kick(struct vhost_blk *vb)
{
	uint16_t old = vb->shown_idx, event;
	uint64_t one = 1;

	if (old == vb->avail_idx)
		return;
	vb->shown_idx = vb->avail_idx;
	/* Both pair with the server's look before it sleeps. */
	__atomic_store_n(&vb->mem->avail.idx, vb->avail_idx, __ATOMIC_SEQ_CST);
	event = __atomic_load_n(&vb->mem->avail_event, __ATOMIC_SEQ_CST);
	if (vring_need_event(event, vb->avail_idx, old))
		(void)!write(vb->kick_fd, &one, sizeof(one));
}

int vhost_blk_get(struct vhost_blk *vb, unsigned *ret)
{
	struct vring_used_elem *elem;
	unsigned slot;

	/* Pairs with the server's store. */
	if (vb->used_idx == vb->seen_idx)
		vb->seen_idx =
			__atomic_load_n(&vb->mem->used.idx, __ATOMIC_ACQUIRE);
	if (vb->used_idx == vb->seen_idx)
		return 0;
	elem = &vb->mem->used.ring[vb->used_idx++ % QUEUE_SLOTS];
	slot = elem->id / SLOT_DESCS;
	if (slot >= VHOST_BLK_SLOTS ||
	    vb->mem->slots[slot].status != VIRTIO_BLK_S_OK)
		return -EIO;
	*ret = slot;
	return 1;
}

void vhost_blk_sleep(struct vhost_blk *vb)
{
	struct pollfd pfd = { .fd = vb->call_fd, .events = POLLIN };
	uint64_t count;

	/* Both pair with the server's store and its look at the event index. */
	__atomic_store_n(&vb->mem->used_event, vb->used_idx, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vb->mem->used.idx, __ATOMIC_SEQ_CST) ==
	    vb->used_idx)
		poll(&pfd, 1, -1);
	(void)!read(vb->call_fd, &count, sizeof(count));
	/* Half the range away: no event until we sleep again. */
	__atomic_store_n(&vb->mem->used_event, vb->used_idx - NO_EVENT,
			 __ATOMIC_RELAXED);
}
