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

/* Segments of one indirect request: 1 MiB. One indirect page holds them. */
#define BLK_SEGMENTS_MAX 256u

struct blk_limits {
	uint64_t nr_sectors_512b; /* of the disk, now */
	uint32_t sector_512b;	  /* of the disk's sectors: 1 or 8 */
	bool readonly;
	bool discard, discard_secure; /* offered */
	enum blk_layout layout;
};

enum blk_kind {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	/* A flush that carries data: flushed before, written, flushed after. */
	BLK_WRITE_FLUSHED,
	BLK_DISCARD,
};

struct blk_segment {
	grant_ref_t ref;
	uint16_t offset_bytes; /* in the page */
	uint16_t size_bytes;   /* 512..4096 */
};

struct blk_io {
	uint64_t id; /* the frontend's, echoed */
	/* As sent, echoed; of an indirect request the one within it, which is
	 * what Linux's backend echoes and its frontend insists on. */
	uint8_t operation;
	enum blk_kind kind;
	bool barrier; /* after all that came before it, before all after it */
	bool secure;  /* BLK_DISCARD: BLKIF_DISCARD_SECURE */
	uint64_t offset_bytes;
	/* Sum of the segments, a discard's range, 0 for BLK_FLUSH. */
	uint64_t size_bytes;
	uint32_t nr_segments; /* 0 for BLK_FLUSH and BLK_DISCARD */
	const struct blk_segment *seg;
};

/* Of an indirect request: where its segments are, and how many. */
struct blk_indirect {
	grant_ref_t ref;      /* untrusted; of the one page that matters */
	uint32_t nr_segments; /* 1..BLK_SEGMENTS_MAX */
	uint64_t sector;      /* untrusted */
};

#define BLK_INDIRECT 1

/*
 * room: for BLKIF_MAX_SEGMENTS_PER_REQUEST segments; io->seg points there.
 * Out: io->id and io->operation always, for the answer; the rest on success.
 * Returns 0; -EOPNOTSUPP an operation that is unknown or was never offered;
 * -EROFS; -EINVAL bad segments or not in the disk's sectors; -ERANGE past the
 * end of the disk.
 * BLK_INDIRECT: as good so far, but the segments are elsewhere, as *indirect
 * says: map that page, copy it once, call blkif_parse_indirect.
 */
int blkif_parse(const struct blk_raw *raw, const struct blk_limits *limits,
		struct blk_io *io, struct blk_segment *room,
		struct blk_indirect *indirect) PV_MUST_CHECK;

/*
 * The rest of it. segments: a private copy, indirect->nr_segments of them.
 * room: for as many. Errors: blkif_parse's.
 */
int blkif_parse_indirect(const struct blkif_request_segment *segments,
			 const struct blk_indirect *indirect,
			 const struct blk_limits *limits, struct blk_io *io,
			 struct blk_segment *room) PV_MUST_CHECK;

/* The one place that turns 0 or -errno into BLKIF_RSP_*. */
int16_t blkif_status(int err);

/* A response in the layout's form, padding zeroed. Returns its size. */
size_t blkif_response(enum blk_layout layout, uint64_t id, uint8_t operation,
		      int16_t status, struct blk_raw *ret);

#endif /* BLKBACK_PARSE_H */
