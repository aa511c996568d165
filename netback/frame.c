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

/* The next bytes that lie in one piece, at most max of them: *ret_bytes. */
static const uint8_t *advance(const struct frame *frame,
			      struct frame_cursor *at, size_t max,
			      uint32_t *ret_bytes)
{
	uint32_t have;
	const uint8_t *from = piece(frame, at->part, &have);
	uint32_t n = have - at->offset;

	from += at->offset;
	if (n > max)
		n = (uint32_t)max;
	at->done_bytes += n;
	at->offset += n;
	if (at->offset == have) {
		at->part++;
		at->offset = 0;
	}
	*ret_bytes = n;
	return from;
}

void frame_copy_out(const struct frame *frame, struct frame_cursor *at,
		    void PV_SHARED *dst, size_t size_bytes)
{
	uint8_t *to = (uint8_t *)(uintptr_t)dst;

	assert(size_bytes <= frame->size_bytes - at->done_bytes);
	while (size_bytes) {
		uint32_t n;
		const uint8_t *from = advance(frame, at, size_bytes, &n);

		copy(to, from, n);
		to += n;
		size_bytes -= n;
	}
}

struct frame_cursor frame_seek(const struct frame *frame, uint32_t offset)
{
	struct frame_cursor at = { 0 };
	uint32_t n;

	assert(offset <= frame->size_bytes);
	while (at.done_bytes < offset)
		advance(frame, &at, offset - at.done_bytes, &n);
	return at;
}

void frame_refer(const struct frame *frame, struct frame_cursor *at,
		 size_t size_bytes, struct frame *to)
{
	assert(size_bytes <= frame->size_bytes - at->done_bytes);
	while (size_bytes) {
		uint32_t n;
		const uint8_t *from = advance(frame, at, size_bytes, &n);

		assert(to->nr_parts < FRAME_PARTS_MAX);
		to->parts[to->nr_parts++] = (struct frame_part){
			.base = (const void PV_SHARED *)from,
			.size_bytes = n,
		};
		to->size_bytes += n;
		size_bytes -= n;
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

void frame_snapshot(struct frame *frame, const void PV_SHARED *src,
		    uint32_t size_bytes)
{
	frame->size_bytes = frame->head_bytes = size_bytes;
	frame->nr_parts = 0;
	if (size_bytes > PACKET_HEAD_MAX) {
		frame->head_bytes = PACKET_HEAD_MAX;
		frame->nr_parts = 1;
		frame->parts[0] = (struct frame_part){
			.base = (const char PV_SHARED *)src + PACKET_HEAD_MAX,
			.size_bytes = size_bytes - PACKET_HEAD_MAX,
		};
	}
	frame_read_shared(frame->head, src, frame->head_bytes);
}

/* Of the TCP or UDP header and what follows it. */
static uint64_t sum_l4(const struct frame *frame,
		       const struct packet_layout *layout)
{
	struct frame_cursor at = frame_seek(frame, layout->l4);
	uint32_t done = 0;
	uint64_t sum = 0;

	while (done < layout->l4_bytes) {
		uint32_t n;
		const uint8_t *from =
			advance(frame, &at, layout->l4_bytes - done, &n);
		uint16_t part = packet_sum_fold(packet_sum(from, n, 0));

		/* Behind an odd number of bytes all words are shifted. */
		sum += done & 1 ? __builtin_bswap16(part) : part;
		done += n;
	}
	return sum;
}

void frame_fill_csum(struct frame *frame)
{
	const struct packet_layout *layout = &frame->layout;
	uint16_t sum = packet_pseudo_sum(frame->head, layout);

	memcpy(frame->head + layout->csum, &sum, sizeof(sum));
	sum = packet_csum_of(layout, sum_l4(frame, layout));
	memcpy(frame->head + layout->csum, &sum, sizeof(sum));
	frame->meta.csum_blank = false;
	frame->meta.data_validated = true;
}

bool frame_csum_is_right(const struct frame *frame,
			 const struct packet_layout *layout)
{
	uint64_t sum = packet_pseudo_sum(frame->head, layout);

	return packet_sum_fold(sum + sum_l4(frame, layout)) == 0xffff;
}
