/* SPDX-License-Identifier: MIT */
/*
 * fuzz_blkif.c - any bytes as a block request, in every layout, and as the page
 * of an indirect one: the gate must answer, and what it lets through must lie
 * within the disk and its pages.
 *
 * Input: size of the disk, mode, the slot, the indirect page.
 */
#include <assert.h>
#include <string.h>

#include "blkback/parse.h"
#include "tests/fuzz/fuzz.h"

#define MODE_READONLY	    0x1
#define MODE_DISCARD	    0x2
#define MODE_DISCARD_SECURE 0x4
#define MODE_LARGE_SECTORS  0x8
#define HEAD_BYTES	    2u

static void check_io(const struct blk_io *io, const struct blk_limits *limits)
{
	uint64_t sector_bytes = limits->sector_512b * 512ull, sum = 0;

	assert(io->nr_segments <= BLK_SEGMENTS_MAX);
	assert(io->kind == BLK_READ || !limits->readonly ||
	       io->kind == BLK_FLUSH);
	assert(!io->secure || limits->discard_secure);
	for (uint32_t i = 0; i < io->nr_segments; i++) {
		const struct blk_segment *s = &io->seg[i];

		assert(s->size_bytes && s->size_bytes % sector_bytes == 0);
		assert(s->offset_bytes + s->size_bytes <= PV_PAGE_SIZE);
		sum += s->size_bytes;
	}
	if (io->kind == BLK_DISCARD)
		assert(limits->discard && io->size_bytes && !io->nr_segments);
	else
		assert(sum == io->size_bytes);
	assert(io->offset_bytes % sector_bytes == 0);
	assert(io->size_bytes % sector_bytes == 0);
	assert(io->size_bytes <= limits->nr_sectors_512b * 512);
	assert(io->offset_bytes <=
	       limits->nr_sectors_512b * 512 - io->size_bytes);
}

/* Takes min(size, bytes left) of the input, the rest is zeros. */
static void take(void *to, size_t size, const uint8_t **data, size_t *left)
{
	size_t n = size < *left ? size : *left;

	memset(to, 0, size);
	memcpy(to, *data, n);
	*data += n;
	*left -= n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct blkif_request_segment page[BLK_SEGMENTS_MAX];
	static struct blk_segment room[BLK_SEGMENTS_MAX];
	struct blk_raw raw, rsp;
	uint8_t head[HEAD_BYTES];
	struct blk_indirect in;
	struct blk_io io;
	int err;

	take(head, sizeof(head), &data, &size);
	take(raw.bytes, sizeof(raw.bytes), &data, &size);
	take(page, sizeof(page), &data, &size);
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		struct blk_limits limits = {
			.nr_sectors_512b = (uint64_t)head[0] * 1024,
			.sector_512b = head[1] & MODE_LARGE_SECTORS ? 8 : 1,
			.readonly = head[1] & MODE_READONLY,
			.discard = head[1] & MODE_DISCARD,
			.discard_secure = head[1] & MODE_DISCARD_SECURE,
			.layout = (enum blk_layout)layout,
		};

		err = blkif_parse(&raw, &limits, &io, room, &in);
		if (err == BLK_INDIRECT) {
			assert(in.nr_segments &&
			       in.nr_segments <= BLK_SEGMENTS_MAX);
			err = blkif_parse_indirect(page, &in, &limits, &io,
						   room);
		}
		assert(err <= 0);
		if (!err)
			check_io(&io, &limits);
		blkif_response(limits.layout, io.id, io.operation,
			       blkif_status(err), &rsp);
	}
	return 0;
}
