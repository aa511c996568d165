/* SPDX-License-Identifier: MIT */
/*
 * parse.h - the gate: from a copied ring slot to an operation that is safe to
 * carry out. Pure and total. A struct blk_io is the proof that the bytes were
 * checked; nothing behind this point looks at a raw request again.
 *
 * Thread: any. Logs: never. Source: xen/include/public/io/blkif.h.
 */
#ifndef BLKBACK_PARSE_H
#define BLKBACK_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/blkif.h"
#include "util/annotate.h"

/* Which of the two layouts the frontend chose by its `protocol` node. */
enum blk_layout {
	BLK_LAYOUT_X86_64,
	BLK_LAYOUT_X86_32,
};
#define BLK_NR_LAYOUTS 2u

/* A slot's bytes, copied once out of the ring. */
#define BLK_RAW_BYTES 112u
struct blk_raw {
	uint8_t bytes[BLK_RAW_BYTES];
} __attribute__((aligned(8)));

/* Bytes of one ring slot; at most BLK_RAW_BYTES. */
size_t blk_slot_bytes(enum blk_layout layout);

struct blk_limits {
	uint64_t nr_sectors_512b; /* of the disk */
	bool readonly;
	enum blk_layout layout;
};

enum blk_kind {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	/* A flush that carries data: flushed before, written, flushed after. */
	BLK_WRITE_FLUSHED,
};

struct blk_segment {
	grant_ref_t ref;
	uint16_t offset_bytes; /* in the page */
	uint16_t size_bytes;   /* 512..4096 */
};

struct blk_io {
	uint64_t id;	   /* the frontend's, echoed */
	uint8_t operation; /* as sent, echoed */
	enum blk_kind kind;
	uint64_t offset_bytes;
	uint32_t size_bytes; /* sum of the segments; 0 for BLK_FLUSH */
	uint32_t nr_segments;
	struct blk_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

/*
 * Out: io->id and io->operation always, for the answer; the rest on success.
 * Returns 0; -EOPNOTSUPP an operation that is unknown or was never offered;
 * -EROFS; -EINVAL bad segments; -ERANGE past the end of the disk.
 */
int blkif_parse(const struct blk_raw *raw, const struct blk_limits *limits,
		struct blk_io *io) PV_MUST_CHECK;

/* The one place that turns 0 or -errno into BLKIF_RSP_*. */
int16_t blkif_status(int err);

/* A response in the layout's form, padding zeroed. Returns its size. */
size_t blkif_response(enum blk_layout layout, uint64_t id, uint8_t operation,
		      int16_t status, struct blk_raw *ret);

#endif /* BLKBACK_PARSE_H */
