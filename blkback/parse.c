/* SPDX-License-Identifier: MIT */
/*
 * parse.c - checks of parse.h. Called by queue.c for every request and by
 * nobody else; data thread.
 */
#include "blkback/parse.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

size_t blk_slot_bytes(enum blk_layout layout)
{
	switch (layout) {
	case BLK_LAYOUT_X86_64: return sizeof(struct blkif_request);
	case BLK_LAYOUT_X86_32: return sizeof(struct blkif_x86_32_request);
	}
	return 0;
}

/* Both layouts differ only in where things are: one form from here on. */
static void unify(const struct blk_raw *raw, enum blk_layout layout,
		  struct blkif_request *ret)
{
	struct blkif_x86_32_request narrow;

	_Static_assert(sizeof(*raw) == sizeof(*ret), "a raw copy is a request");
	if (layout == BLK_LAYOUT_X86_64) {
		memcpy(ret, raw, sizeof(*ret));
		return;
	}
	memcpy(&narrow, raw, sizeof(narrow));
	memset(ret, 0, sizeof(*ret));
	ret->operation = narrow.operation;
	ret->nr_segments = narrow.nr_segments;
	ret->id = narrow.id;
	ret->sector_number = narrow.sector_number;
	memcpy(ret->seg, narrow.seg, sizeof(ret->seg));
}

static int parse_kind(const struct blkif_request *req, enum blk_kind *ret)
{
	switch (req->operation) {
	case BLKIF_OP_READ: *ret = BLK_READ; return 0;
	case BLKIF_OP_WRITE: *ret = BLK_WRITE; return 0;
	case BLKIF_OP_FLUSH_DISKCACHE:
		*ret = req->nr_segments ? BLK_WRITE_FLUSHED : BLK_FLUSH;
		return 0;
	default: return -EOPNOTSUPP;
	}
}

static int parse_segments(const struct blkif_request *req, struct blk_io *io)
{
	uint32_t size_bytes = 0;

	if (req->nr_segments < 1 ||
	    req->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
		return -EINVAL;
	for (uint32_t i = 0; i < req->nr_segments; i++) {
		const struct blkif_request_segment *s = &req->seg[i];
		uint32_t nr;

		if (s->first_sect > s->last_sect ||
		    s->last_sect >= BLKIF_SECTORS_PER_PAGE)
			return -EINVAL;
		nr = s->last_sect - s->first_sect + 1u;
		io->seg[i] = (struct blk_segment){
			.ref = s->gref,
			.offset_bytes =
				(uint16_t)(s->first_sect * BLKIF_SECTOR_SIZE),
			.size_bytes = (uint16_t)(nr * BLKIF_SECTOR_SIZE),
		};
		size_bytes += nr * BLKIF_SECTOR_SIZE;
	}
	io->size_bytes = size_bytes;
	io->nr_segments = req->nr_segments;
	return 0;
}

int blkif_parse(const struct blk_raw *raw, const struct blk_limits *limits,
		struct blk_io *io)
{
	struct blkif_request req;
	enum blk_kind kind;
	int err;

	unify(raw, limits->layout, &req);
	io->id = req.id;
	io->operation = req.operation;
	err = parse_kind(&req, &kind);
	if (err)
		return err;
	io->kind = kind;
	io->offset_bytes = 0;
	io->size_bytes = 0;
	io->nr_segments = 0;
	if (kind == BLK_FLUSH)
		return 0;
	if (kind != BLK_READ && limits->readonly)
		return -EROFS;
	err = parse_segments(&req, io);
	if (err)
		return err;
	/* In sectors first: the product below cannot overflow then. */
	if (!num_range_within(req.sector_number,
			      io->size_bytes / BLKIF_SECTOR_SIZE,
			      limits->nr_sectors_512b))
		return -ERANGE;
	io->offset_bytes = req.sector_number * BLKIF_SECTOR_SIZE;
	return 0;
}

int16_t blkif_status(int err)
{
	switch (err) {
	case 0: return BLKIF_RSP_OKAY;
	case -EOPNOTSUPP: return BLKIF_RSP_EOPNOTSUPP;
	default: return BLKIF_RSP_ERROR;
	}
}

size_t blkif_response(enum blk_layout layout, uint64_t id, uint8_t operation,
		      int16_t status, struct blk_raw *ret)
{
	struct blkif_response wide = {
		.id = id,
		.operation = operation,
		.status = status,
	};
	struct blkif_x86_32_response narrow = {
		.id = id,
		.operation = operation,
		.status = status,
	};

	switch (layout) {
	case BLK_LAYOUT_X86_64:
		memcpy(ret, &wide, sizeof(wide));
		return sizeof(wide);
	case BLK_LAYOUT_X86_32:
		memcpy(ret, &narrow, sizeof(narrow));
		return sizeof(narrow);
	}
	return 0;
}
