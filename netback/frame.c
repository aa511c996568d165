/* SPDX-License-Identifier: MIT */
/*
 * frame.c - copying out of frames; see frame.h. Besides ring/ and grant/ the
 * only place where a guest's memory is read or written. Data thread.
 */
#include "netback/frame.h"

#include <assert.h>
#include <string.h>

static void copy(void *dst, const void *src, size_t size_bytes)
{
	memcpy(dst, src, size_bytes);
	/* No second read of a peer's bytes in place of the copy's. */
	__asm__ volatile("" : : "r"(dst) : "memory");
}

void frame_read_shared(void *dst, const void PV_SHARED *src, size_t size_bytes)
{
	copy(dst, (const void *)(uintptr_t)src, size_bytes);
}

void frame_write_shared(void PV_SHARED *dst, const void *src, size_t size_bytes)
{
	copy((void *)(uintptr_t)dst, src, size_bytes);
}

static const void *piece(const struct frame *frame, unsigned part,
			 uint32_t *size_bytes)
{
	if (part == 0) {
		*size_bytes = frame->head_bytes;
		return frame->head;
	}
	assert(part <= frame->nr_parts);
	*size_bytes = frame->parts[part - 1].size_bytes;
	return (const void *)(uintptr_t)frame->parts[part - 1].base;
}

void frame_copy_out(const struct frame *frame, struct frame_cursor *at,
		    void PV_SHARED *dst, size_t size_bytes)
{
	uint8_t *to = (uint8_t *)(uintptr_t)dst;

	assert(size_bytes <= frame->size_bytes - at->done_bytes);
	while (size_bytes) {
		uint32_t have;
		const uint8_t *from = piece(frame, at->part, &have);
		size_t n = have - at->offset;

		if (n > size_bytes)
			n = size_bytes;
		copy(to, from + at->offset, n);
		to += n;
		size_bytes -= n;
		at->done_bytes += (uint32_t)n;
		at->offset += (uint32_t)n;
		if (at->offset == have) {
			at->part++;
			at->offset = 0;
		}
	}
}

unsigned frame_iov(const struct frame *frame,
		   struct iovec iov[FRAME_PARTS_MAX + 1])
{
	for (unsigned i = 0; i <= frame->nr_parts; i++) {
		uint32_t size_bytes;
		const void *base = piece(frame, i, &size_bytes);

		iov[i] = (struct iovec){ (void *)(uintptr_t)base, size_bytes };
	}
	return frame->nr_parts + 1;
}

void frame_snapshot_head(struct frame *frame)
{
	unsigned i = 0;

	assert(frame->head_bytes == 0);
	while (i < frame->nr_parts && frame->head_bytes < PACKET_HEAD_MAX) {
		struct frame_part *p = &frame->parts[i];
		uint32_t n = PACKET_HEAD_MAX - frame->head_bytes;

		if (n > p->size_bytes)
			n = p->size_bytes;
		frame_read_shared(frame->head + frame->head_bytes, p->base, n);
		frame->head_bytes += n;
		p->base = (const char PV_SHARED *)p->base + n;
		p->size_bytes -= n;
		if (!p->size_bytes)
			i++;
	}
	frame->nr_parts -= i;
	memmove(frame->parts, frame->parts + i,
		frame->nr_parts * sizeof(frame->parts[0]));
}

int frame_fill_csum(struct frame *frame, uint8_t *buf)
{
	struct frame_cursor at = { 0 };
	int err;

	frame_copy_out(frame, &at, (void PV_SHARED *)buf, frame->size_bytes);
	err = packet_fill_csum(buf, frame->size_bytes);
	if (err)
		return err;
	memcpy(frame->head, buf, frame->head_bytes);
	frame->nr_parts = 0;
	if (frame->size_bytes > frame->head_bytes) {
		frame->parts[0].base =
			(const void PV_SHARED *)(buf + frame->head_bytes);
		frame->parts[0].size_bytes =
			frame->size_bytes - frame->head_bytes;
		frame->nr_parts = 1;
	}
	frame->meta.csum_blank = false;
	frame->meta.data_validated = true;
	return 0;
}
