/* SPDX-License-Identifier: MIT */
/*
 * fuzz_blkif.c - any bytes as a block request, in every layout: the gate must
 * answer, and what it lets through must lie within the disk and its pages.
 */
#include <assert.h>
#include <string.h>

#include "blkback/parse.h"
#include "tests/fuzz/fuzz.h"

static void check_io(const struct blk_io *io, const struct blk_limits *limits)
{
	uint32_t sum = 0;

	assert(io->nr_segments <= BLKIF_MAX_SEGMENTS_PER_REQUEST);
	assert(io->kind == BLK_READ || !limits->readonly ||
	       io->kind == BLK_FLUSH);
	for (uint32_t i = 0; i < io->nr_segments; i++) {
		const struct blk_segment *s = &io->seg[i];

		assert(s->size_bytes >= 512 && s->size_bytes % 512 == 0);
		assert(s->offset_bytes + s->size_bytes <= PV_PAGE_SIZE);
		sum += s->size_bytes;
	}
	assert(sum == io->size_bytes);
	assert(!sum || io->offset_bytes <= limits->nr_sectors_512b * 512 - sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blk_raw raw = { 0 }, rsp;
	struct blk_io io;
	int err;

	if (size < 2)
		return 0;
	memcpy(raw.bytes, data + 2,
	       size - 2 < sizeof(raw.bytes) ? size - 2 : sizeof(raw.bytes));
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		struct blk_limits limits = {
			.nr_sectors_512b = (uint64_t)data[0] * 1024,
			.readonly = data[1] & 1,
			.layout = (enum blk_layout)layout,
		};

		err = blkif_parse(&raw, &limits, &io);
		if (!err)
			check_io(&io, &limits);
		blkif_response(limits.layout, io.id, io.operation,
			       blkif_status(err), &rsp);
	}
	return 0;
}
