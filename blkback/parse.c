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

/*
 * Both layouts differ only in where things are: the wide form from here on.
 * One function per form of request; raw is a private copy.
 */
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

static void unify_discard(const struct blk_raw *raw, enum blk_layout layout,
			  struct blkif_request_discard *ret)
{
	struct blkif_x86_32_request_discard narrow;

	if (layout == BLK_LAYOUT_X86_64) {
		memcpy(ret, raw, sizeof(*ret));
		return;
	}
	memcpy(&narrow, raw, sizeof(narrow));
	*ret = (struct blkif_request_discard){
		.operation = narrow.operation,
		.flag = narrow.flag,
		.id = narrow.id,
		.sector_number = narrow.sector_number,
		.nr_sectors = narrow.nr_sectors,
	};
}

static void unify_indirect(const struct blk_raw *raw, enum blk_layout layout,
			   struct blkif_request_indirect *ret)
{
	struct blkif_x86_32_request_indirect narrow;

	if (layout == BLK_LAYOUT_X86_64) {
		memcpy(ret, raw, sizeof(*ret));
		return;
	}
	memcpy(&narrow, raw, sizeof(narrow));
	*ret = (struct blkif_request_indirect){
		.operation = narrow.operation,
		.indirect_op = narrow.indirect_op,
		.nr_segments = narrow.nr_segments,
		.id = narrow.id,
		.sector_number = narrow.sector_number,
	};
	memcpy(ret->indirect_grefs, narrow.indirect_grefs,
	       sizeof(ret->indirect_grefs));
}

/*
 * The one check of mode and range, for every kind of request that has a range.
 * In sectors first: the products cannot overflow then.
 */
static int check_range(struct blk_io *io, uint64_t sector, uint64_t nr_sectors,
		       const struct blk_limits *limits)
{
	if (io->kind != BLK_READ && limits->readonly)
		return -EROFS;
	if (!nr_sectors || sector % limits->sector_512b ||
	    nr_sectors % limits->sector_512b)
		return -EINVAL;
	if (!num_range_within(sector, nr_sectors, limits->nr_sectors_512b))
		return -ERANGE;
	io->offset_bytes = sector * BLKIF_SECTOR_SIZE;
	io->size_bytes = nr_sectors * BLKIF_SECTOR_SIZE;
	return 0;
}

/* nr is in bounds; room is for as many. */
static int parse_segments(const struct blkif_request_segment *segments,
			  uint32_t nr, uint64_t sector,
			  const struct blk_limits *limits, struct blk_io *io,
			  struct blk_segment *room)
{
	uint64_t nr_sectors = 0;

	if (io->kind != BLK_READ && limits->readonly)
		return -EROFS;
	for (uint32_t i = 0; i < nr; i++) {
		const struct blkif_request_segment *s = &segments[i];
		uint32_t nr_here;

		if (s->first_sect > s->last_sect ||
		    s->last_sect >= BLKIF_SECTORS_PER_PAGE)
			return -EINVAL;
		nr_here = s->last_sect - s->first_sect + 1u;
		if (s->first_sect % limits->sector_512b ||
		    nr_here % limits->sector_512b)
			return -EINVAL;
		room[i] = (struct blk_segment){
			.ref = s->gref,
			.offset_bytes =
				(uint16_t)(s->first_sect * BLKIF_SECTOR_SIZE),
			.size_bytes = (uint16_t)(nr_here * BLKIF_SECTOR_SIZE),
		};
		nr_sectors += nr_here;
	}
	io->seg = room;
	io->nr_segments = nr;
	return check_range(io, sector, nr_sectors, limits);
}

static int parse_direct(const struct blkif_request *req,
			const struct blk_limits *limits, struct blk_io *io,
			struct blk_segment *room)
{
	switch (req->operation) {
	case BLKIF_OP_READ: io->kind = BLK_READ; break;
	case BLKIF_OP_WRITE: io->kind = BLK_WRITE; break;
	case BLKIF_OP_WRITE_BARRIER:
	case BLKIF_OP_FLUSH_DISKCACHE:
		io->barrier = req->operation == BLKIF_OP_WRITE_BARRIER;
		io->kind = req->nr_segments ? BLK_WRITE_FLUSHED : BLK_FLUSH;
		break;
	default: return -EOPNOTSUPP;
	}
	if (io->kind == BLK_FLUSH)
		return 0;
	if (req->nr_segments < 1 ||
	    req->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
		return io->kind != BLK_READ && limits->readonly ? -EROFS
								: -EINVAL;
	return parse_segments(req->seg, req->nr_segments, req->sector_number,
			      limits, io, room);
}

static int parse_discard(const struct blk_raw *raw,
			 const struct blk_limits *limits, struct blk_io *io)
{
	struct blkif_request_discard req;

	unify_discard(raw, limits->layout, &req);
	if (!limits->discard)
		return -EOPNOTSUPP;
	if (req.flag & ~BLKIF_DISCARD_SECURE)
		return -EINVAL;
	io->kind = BLK_DISCARD;
	io->secure = req.flag & BLKIF_DISCARD_SECURE;
	/*
	 * The header lets a backend that does not offer it ignore the flag. The
	 * guest would believe that its data is gone.
	 */
	if (io->secure && !limits->discard_secure)
		return -EOPNOTSUPP;
	return check_range(io, req.sector_number, req.nr_sectors, limits);
}

static int parse_indirect_head(const struct blk_raw *raw,
			       const struct blk_limits *limits,
			       struct blk_io *io, struct blk_indirect *indirect)
{
	struct blkif_request_indirect req;

	_Static_assert(BLK_SEGMENTS_MAX <= BLKIF_SEGMENTS_PER_INDIRECT_PAGE,
		       "one indirect page is enough");
	unify_indirect(raw, limits->layout, &req);
	io->operation = req.indirect_op;
	switch (req.indirect_op) {
	case BLKIF_OP_READ: io->kind = BLK_READ; break;
	case BLKIF_OP_WRITE: io->kind = BLK_WRITE; break;
	default: return -EOPNOTSUPP;
	}
	if (io->kind == BLK_WRITE && limits->readonly)
		return -EROFS;
	if (req.nr_segments < 1 || req.nr_segments > BLK_SEGMENTS_MAX)
		return -EINVAL;
	*indirect = (struct blk_indirect){
		.ref = req.indirect_grefs[0],
		.nr_segments = req.nr_segments,
		.sector = req.sector_number,
	};
	return BLK_INDIRECT;
}

int blkif_parse(const struct blk_raw *raw, const struct blk_limits *limits,
		struct blk_io *io, struct blk_segment *room,
		struct blk_indirect *indirect)
{
	struct blkif_request req;

	unify(raw, limits->layout, &req);
	/* Where every form of request has them. */
	*io = (struct blk_io){ .id = req.id, .operation = req.operation };
	switch (req.operation) {
	case BLKIF_OP_DISCARD: return parse_discard(raw, limits, io);
	case BLKIF_OP_INDIRECT:
		return parse_indirect_head(raw, limits, io, indirect);
	default: return parse_direct(&req, limits, io, room);
	}
}

int blkif_parse_indirect(const struct blkif_request_segment *segments,
			 const struct blk_indirect *indirect,
			 const struct blk_limits *limits, struct blk_io *io,
			 struct blk_segment *room)
{
	return parse_segments(segments, indirect->nr_segments, indirect->sector,
			      limits, io, room);
}

int16_t blkif_status(int err)
{
	switch (err) {
	case 0: return BLKIF_RSP_OKAY;
	case -EOPNOTSUPP: return BLKIF_RSP_EOPNOTSUPP;
	default: return BLKIF_RSP_ERROR;
	}
}

/* The narrow response is the beginning of the wide one. */
_Static_assert(offsetof(struct blkif_x86_32_response, operation) ==
			       offsetof(struct blkif_response, operation) &&
		       offsetof(struct blkif_x86_32_response, status) ==
			       offsetof(struct blkif_response, status),
	       "one response for both layouts");

size_t blkif_response(enum blk_layout layout, uint64_t id, uint8_t operation,
		      int16_t status, struct blk_raw *ret)
{
	struct blkif_response rsp = {
		.id = id,
		.operation = operation,
		.status = status,
	};

	memcpy(ret, &rsp, sizeof(rsp));
	return layout == BLK_LAYOUT_X86_32
		       ? sizeof(struct blkif_x86_32_response)
		       : sizeof(rsp);
}
