/* SPDX-License-Identifier: MIT */
/*
 * cut.c - an io's next piece becomes one ring request.
 *
 * A read or write is cut where a request's segments end, a segment being one
 * page or a run of its 512-byte sectors: 11 of them are in the request itself,
 * more in a page of their own. Everything here counts sectors of 512 bytes,
 * whatever the disk's are. Called by queue.c.
 */
#include "blkfront/private.h"

#include <assert.h>
#include <string.h>

uint32_t cut_nr_segments(const void *buf, size_t size_bytes)
{
	size_t in_page = (uintptr_t)buf % PV_PAGE_SIZE;

	return (uint32_t)((in_page + size_bytes + PV_PAGE_SIZE - 1) /
			  PV_PAGE_SIZE);
}

static uint8_t blkif_op(enum blkfront_op op)
{
	switch (op) {
	case BLKFRONT_READ: return BLKIF_OP_READ;
	case BLKFRONT_WRITE: return BLKIF_OP_WRITE;
	case BLKFRONT_FLUSH: return BLKIF_OP_FLUSH_DISKCACHE;
	case BLKFRONT_DISCARD:
	case BLKFRONT_SECURE_DISCARD: return BLKIF_OP_DISCARD;
	}
	assert(!"an op that submit let through");
	return BLKIF_OP_READ;
}

bool cut_is_supported(const struct limits *limits, enum blkfront_op op)
{
	switch (op) {
	case BLKFRONT_READ:
	case BLKFRONT_WRITE: return true;
	case BLKFRONT_FLUSH: return limits->flush;
	case BLKFRONT_DISCARD: return limits->discard;
	case BLKFRONT_SECURE_DISCARD: return limits->secure_discard;
	}
	return false;
}

/* Write nr segments for the region's bytes from offset on. Returns the bytes.
 */
static size_t fill_segments(struct blkif_request_segment *segs, uint32_t nr,
			    const struct pages *buffers, size_t offset,
			    size_t size_bytes)
{
	size_t filled = 0;

	for (uint32_t i = 0; i < nr; i++) {
		size_t at = offset + filled;
		size_t in_page = at % PV_PAGE_SIZE;
		size_t bytes = PV_PAGE_SIZE - in_page;

		if (bytes > size_bytes - filled)
			bytes = size_bytes - filled;
		segs[i] = (struct blkif_request_segment){
			.gref = buffers->first_ref +
				(grant_ref_t)(at / PV_PAGE_SIZE),
			.first_sect = (uint8_t)(in_page / BLKIF_SECTOR_SIZE),
			.last_sect = (uint8_t)((in_page + bytes) /
						       BLKIF_SECTOR_SIZE -
					       1),
		};
		filled += bytes;
	}
	return filled;
}

static void fill_discard(const struct blkfront_io *io,
			 struct blkif_request_discard *req)
{
	req->operation = BLKIF_OP_DISCARD;
	req->flag =
		io->op == BLKFRONT_SECURE_DISCARD ? BLKIF_DISCARD_SECURE : 0;
	req->sector_number = io->offset_bytes / BLKIF_SECTOR_SIZE;
	req->nr_sectors = io->size_bytes / BLKIF_SECTOR_SIZE;
}

size_t cut_request(const struct pages *buffers, const struct blkfront_io *io,
		   size_t from, uint32_t max_segments, const struct pages *page,
		   union ring_request *req)
{
	size_t size_bytes = io->size_bytes - from, offset;
	const uint8_t *buf;
	uint32_t nr;

	if (io->op == BLKFRONT_DISCARD || io->op == BLKFRONT_SECURE_DISCARD) {
		fill_discard(io, &req->discard);
		return io->size_bytes;
	}
	req->direct.operation = blkif_op(io->op);
	if (io->op == BLKFRONT_FLUSH)
		return 0;
	buf = (const uint8_t *)io->buf + from;
	offset = (size_t)(buf - buffers->base);
	nr = cut_nr_segments(buf, size_bytes);
	if (nr > max_segments)
		nr = max_segments;
	if (nr <= BLKIF_MAX_SEGMENTS_PER_REQUEST || !page) {
		if (nr > BLKIF_MAX_SEGMENTS_PER_REQUEST)
			nr = BLKIF_MAX_SEGMENTS_PER_REQUEST;
		req->direct.nr_segments = (uint8_t)nr;
		req->direct.sector_number =
			(io->offset_bytes + from) / BLKIF_SECTOR_SIZE;
		return fill_segments(req->direct.seg, nr, buffers, offset,
				     size_bytes);
	}
	req->indirect.operation = BLKIF_OP_INDIRECT;
	req->indirect.indirect_op = blkif_op(io->op);
	req->indirect.nr_segments = (uint16_t)nr;
	req->indirect.sector_number =
		(io->offset_bytes + from) / BLKIF_SECTOR_SIZE;
	req->indirect.indirect_grefs[0] = page->first_ref;
	return fill_segments((void *)page->base, nr, buffers, offset,
			     size_bytes);
}
