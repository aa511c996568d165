/* SPDX-License-Identifier: MIT */
/* limit.c - what a request costs and whether it may pass. See limit.h. */
#include "blkback/limit.h"

#include <string.h>

static uint16_t indirect_segments(const struct blk_raw *raw)
{
	uint16_t nr;

	_Static_assert(offsetof(struct blkif_request_indirect, nr_segments) ==
			       offsetof(struct blkif_x86_32_request_indirect,
					nr_segments),
		       "in both layouts");
	memcpy(&nr,
	       raw->bytes +
		       offsetof(struct blkif_request_indirect, nr_segments),
	       sizeof(nr));
	return nr < BLK_SEGMENTS_MAX ? nr : BLK_SEGMENTS_MAX;
}

static unsigned direct_segments(const struct blk_raw *raw)
{
	uint8_t nr = raw->bytes[offsetof(struct blkif_request, nr_segments)];

	return nr < BLKIF_MAX_SEGMENTS_PER_REQUEST
		       ? nr
		       : BLKIF_MAX_SEGMENTS_PER_REQUEST;
}

/* A segment that is nonsense counts as nothing: it will be refused. */
static uint64_t direct_bytes(const struct blk_raw *raw, enum blk_layout layout)
{
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	size_t at = layout == BLK_LAYOUT_X86_64
			    ? offsetof(struct blkif_request, seg)
			    : offsetof(struct blkif_x86_32_request, seg);
	uint64_t nr_sectors = 0;

	memcpy(seg, raw->bytes + at, sizeof(seg));
	for (unsigned i = 0; i < direct_segments(raw); i++)
		if (seg[i].first_sect <= seg[i].last_sect &&
		    seg[i].last_sect < BLKIF_SECTORS_PER_PAGE)
			nr_sectors += seg[i].last_sect - seg[i].first_sect + 1u;
	return nr_sectors * BLKIF_SECTOR_SIZE;
}

uint64_t blk_raw_size(const struct blk_raw *raw, enum blk_layout layout)
{
	switch (raw->bytes[0]) {
	case BLKIF_OP_READ:
	case BLKIF_OP_WRITE:
	case BLKIF_OP_WRITE_BARRIER: return direct_bytes(raw, layout);
	case BLKIF_OP_INDIRECT:
		return (uint64_t)indirect_segments(raw) * PV_PAGE_SIZE;
	default: return 0;
	}
}

unsigned blk_raw_cost(const struct blk_raw *raw)
{
	unsigned nr = 1;

	switch (raw->bytes[0]) {
	case BLKIF_OP_READ:
	case BLKIF_OP_WRITE:
	case BLKIF_OP_WRITE_BARRIER: nr = direct_segments(raw); break;
	case BLKIF_OP_INDIRECT: nr = indirect_segments(raw); break;
	default: break;
	}
	return nr ? nr : 1;
}

/* Whatever may change the disk, or wait for changes, counts as a write. */
static enum limiter_direction direction_of(const struct blk_raw *raw)
{
	uint8_t op = raw->bytes[0];

	if (op == BLKIF_OP_INDIRECT)
		op = raw->bytes[offsetof(struct blkif_request_indirect,
					 indirect_op)];
	return op == BLKIF_OP_READ ? LIMITER_READ : LIMITER_WRITE;
}

uint64_t queue_limit_admit(struct queue_limit *l, enum blk_layout layout,
			   uint64_t now_ns)
{
	return limiter_member_admit(&l->member, direction_of(&l->raw),
				    blk_raw_size(&l->raw, layout), now_ns);
}
