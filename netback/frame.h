/* SPDX-License-Identifier: MIT */
/*
 * frame.h - one Ethernet frame on its way through the switch.
 *
 * The first bytes are a private copy: all that anybody checks is read from
 * there and passed on from there. The rest still lies where the sender put it,
 * in a guest's pages, and is copied once, into the receiver's.
 *
 * Thread: the data thread; a frame lives as long as one call of switch_forward.
 */
#ifndef NETBACK_FRAME_H
#define NETBACK_FRAME_H

#include <sys/uio.h>

#include "util/annotate.h"
#include "util/packet.h"

/* The pieces of the largest netif packet, and one for the head. */
#define FRAME_PARTS_MAX 20u
#define FRAME_TAG_BYTES 4u /* a VLAN tag, which the switch may put on */

struct frame_part {
	const void PV_SHARED *base;
	uint32_t size_bytes;
};

/* What a small frame needs comes first. */
struct frame {
	uint32_t head_bytes; /* >= PACKET_ETH_BYTES */
	uint32_t size_bytes; /* head and parts */
	unsigned nr_parts;
	struct packet_meta meta;
	struct packet_layout layout; /* valid when meta.csum_blank */
	uint8_t head[PACKET_HEAD_MAX + FRAME_TAG_BYTES];
	struct frame_part parts[FRAME_PARTS_MAX];
};

/* Where a copy out of a frame stands. Zero-initialise. */
struct frame_cursor {
	uint32_t done_bytes; /* from the frame's start */
	unsigned part;	     /* 0: the head; else parts[part - 1] */
	uint32_t offset;     /* within it */
};

/* Copy bytes that the peer may change meanwhile. */
void frame_read_shared(void *dst, const void PV_SHARED *src, size_t size_bytes);
/* They will be read soon. */
static inline void frame_prefetch(const void PV_SHARED *src)
{
	__builtin_prefetch((const void *)(uintptr_t)src);
}
/* It will be written soon. */
static inline void frame_prefetch_write(void PV_SHARED *dst)
{
	__builtin_prefetch((void *)(uintptr_t)dst, 1);
}
/* Copy into memory that another domain sees. */
void frame_write_shared(void PV_SHARED *dst, const void *src,
			size_t size_bytes);
/*
 * Copy the next size_bytes of the frame to dst, a guest's page or ours. The
 * caller stays within frame->size_bytes.
 */
void frame_copy_out(const struct frame *frame, struct frame_cursor *at,
		    void PV_SHARED *dst, size_t size_bytes);

/* A cursor at offset, at most frame->size_bytes. */
struct frame_cursor frame_seek(const struct frame *frame, uint32_t offset);
/* Append the next size_bytes of the frame to to, which then points at them. */
void frame_refer(const struct frame *frame, struct frame_cursor *at,
		 size_t size_bytes, struct frame *to);

/* The pieces as the kernel's writev wants them; returns their number. */
unsigned frame_iov(const struct frame *frame,
		   struct iovec iov[FRAME_PARTS_MAX + 1]);

/*
 * Move the first bytes of the parts into head, so that every header is in
 * private memory. Needs head_bytes == 0.
 */
void frame_snapshot_head(struct frame *frame);
/* All of that for a frame in one piece; sets everything but meta and layout. */
void frame_snapshot(struct frame *frame, const void PV_SHARED *src,
		    uint32_t size_bytes);

/*
 * Give the frame a whole checksum instead of a blank one. A sender that changes
 * its bytes before they are copied spoils its own frame.
 */
void frame_fill_csum(struct frame *frame);
/* Of a frame whose checksum is not blank; layout: as packet_locate found it. */
bool frame_csum_is_right(const struct frame *frame,
			 const struct packet_layout *layout);

#endif /* NETBACK_FRAME_H */
