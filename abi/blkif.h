/* SPDX-License-Identifier: MIT */
/*
 * blkif.h - the split block device: requests, responses, limits.
 *
 * All sector quantities are in units of 512 bytes (unless both ends agreed on
 * a larger sector-size). Structures come in the x86_64 layout, which is also
 * the native one here, and in the x86_32 layout for the `protocol` node
 * x86_32-abi, where 64-bit members are aligned to 4 bytes only.
 * Padding is spelled out so that an initialiser zeroes it.
 *
 * Source: xen/include/public/io/blkif.h, io/protocols.h.
 */
#ifndef ABI_BLKIF_H
#define ABI_BLKIF_H

#include <stddef.h>
#include <stdint.h>

#include "abi/grant.h"

/* Values of the frontend's `protocol` node. */
#define XEN_IO_PROTO_ABI_X86_32 "x86_32-abi"
#define XEN_IO_PROTO_ABI_X86_64 "x86_64-abi"

/* blkif_request.operation */
#define BLKIF_OP_READ		 0
#define BLKIF_OP_WRITE		 1
#define BLKIF_OP_WRITE_BARRIER	 2 /* optional: feature-barrier */
#define BLKIF_OP_FLUSH_DISKCACHE 3 /* optional: feature-flush-cache */
#define BLKIF_OP_RESERVED_1	 4
#define BLKIF_OP_DISCARD	 5 /* optional: feature-discard */
#define BLKIF_OP_INDIRECT	 6 /* optional: feature-max-indirect-segments */

/* blkif_response.status */
#define BLKIF_RSP_OKAY	     0
#define BLKIF_RSP_ERROR	     (-1)
#define BLKIF_RSP_EOPNOTSUPP (-2)

/* Segments in a direct request; pages of segments in an indirect one. */
#define BLKIF_MAX_SEGMENTS_PER_REQUEST	     11
#define BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST 8
/* Segments in one indirect page (8 bytes each). */
#define BLKIF_SEGMENTS_PER_INDIRECT_PAGE 512

/* blkif_request_discard.flag; honoured only with discard-secure. */
#define BLKIF_DISCARD_SECURE (1 << 0)

/* Bits of the backend's `info` node. */
#define VDISK_CDROM	0x1
#define VDISK_REMOVABLE 0x2
#define VDISK_READONLY	0x4

/* The unit of sector_number, first_sect and last_sect. */
#define BLKIF_SECTOR_SIZE      512u
#define BLKIF_SECTORS_PER_PAGE 8u

/* One page, or part of one: sectors first_sect..last_sect of it, inclusive. */
struct blkif_request_segment {
	grant_ref_t gref;
	uint8_t first_sect; /* 0..7 */
	uint8_t last_sect;  /* first_sect..7 */
	uint8_t pad[2];
};

/* READ, WRITE, WRITE_BARRIER, FLUSH_DISKCACHE. */
struct blkif_request {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle; /* the virtual device; READ and WRITE only */
	uint8_t pad[4];
	uint64_t id;		/* the frontend's, echoed in the response */
	uint64_t sector_number; /* start on the disk */
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

struct blkif_request_discard {
	uint8_t operation;
	uint8_t flag; /* 0 or BLKIF_DISCARD_SECURE */
	uint16_t handle;
	uint8_t pad[4];
	uint64_t id;
	uint64_t sector_number;
	uint64_t nr_sectors;
};

/* The segments are in pages of blkif_request_segment. */
struct blkif_request_indirect {
	uint8_t operation;
	uint8_t indirect_op; /* BLKIF_OP_READ or BLKIF_OP_WRITE */
	uint16_t nr_segments;
	uint8_t pad[4];
	uint64_t id;
	uint64_t sector_number;
	uint16_t handle;
	uint8_t pad1[2];
	grant_ref_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
	uint8_t pad2[4];
};

struct blkif_response {
	uint64_t id;
	uint8_t operation; /* copied from the request */
	uint8_t pad;
	int16_t status; /* BLKIF_RSP_* */
	uint8_t pad1[4];
};

_Static_assert(sizeof(struct blkif_request_segment) == 8, "segment");
_Static_assert(BLKIF_SEGMENTS_PER_INDIRECT_PAGE ==
		       PV_PAGE_SIZE / sizeof(struct blkif_request_segment),
	       "segments in a page");
_Static_assert(BLKIF_SECTOR_SIZE == 512 &&
		       BLKIF_SECTORS_PER_PAGE == PV_PAGE_SIZE / 512,
	       "sectors in a page");
_Static_assert(offsetof(struct blkif_request_segment, first_sect) == 4, "fs");
_Static_assert(offsetof(struct blkif_request_segment, last_sect) == 5, "ls");
_Static_assert(sizeof(struct blkif_request) == 112, "request");
_Static_assert(offsetof(struct blkif_request, nr_segments) == 1, "nr");
_Static_assert(offsetof(struct blkif_request, handle) == 2, "handle");
_Static_assert(offsetof(struct blkif_request, id) == 8, "id");
_Static_assert(offsetof(struct blkif_request, sector_number) == 16, "sector");
_Static_assert(offsetof(struct blkif_request, seg) == 24, "seg");
_Static_assert(sizeof(struct blkif_request_discard) == 32, "discard");
_Static_assert(offsetof(struct blkif_request_discard, id) == 8, "id");
_Static_assert(offsetof(struct blkif_request_discard, nr_sectors) == 24, "nr");
_Static_assert(sizeof(struct blkif_request_indirect) == 64, "indirect");
_Static_assert(offsetof(struct blkif_request_indirect, id) == 8, "id");
_Static_assert(offsetof(struct blkif_request_indirect, handle) == 24, "handle");
_Static_assert(offsetof(struct blkif_request_indirect, indirect_grefs) == 28,
	       "grefs");
_Static_assert(sizeof(struct blkif_response) == 16, "response");
_Static_assert(offsetof(struct blkif_response, operation) == 8, "operation");
_Static_assert(offsetof(struct blkif_response, status) == 10, "status");

/* ---- x86_32 layouts ---------------------------------------------------- */

#define ABI_X86_32 __attribute__((packed, aligned(4)))

struct blkif_x86_32_request {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle;
	uint64_t id;
	uint64_t sector_number;
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
} ABI_X86_32;

struct blkif_x86_32_request_discard {
	uint8_t operation;
	uint8_t flag;
	uint16_t handle;
	uint64_t id;
	uint64_t sector_number;
	uint64_t nr_sectors;
} ABI_X86_32;

struct blkif_x86_32_request_indirect {
	uint8_t operation;
	uint8_t indirect_op;
	uint16_t nr_segments;
	uint64_t id;
	uint64_t sector_number;
	uint16_t handle;
	uint8_t pad1[2];
	grant_ref_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
	uint64_t pad2;
} ABI_X86_32;

struct blkif_x86_32_response {
	uint64_t id;
	uint8_t operation;
	uint8_t pad;
	int16_t status;
} ABI_X86_32;

_Static_assert(sizeof(struct blkif_x86_32_request) == 108, "request");
_Static_assert(offsetof(struct blkif_x86_32_request, id) == 4, "id");
_Static_assert(offsetof(struct blkif_x86_32_request, sector_number) == 12,
	       "sector");
_Static_assert(offsetof(struct blkif_x86_32_request, seg) == 20, "seg");
_Static_assert(sizeof(struct blkif_x86_32_request_discard) == 28, "discard");
_Static_assert(offsetof(struct blkif_x86_32_request_discard, nr_sectors) == 20,
	       "nr_sectors");
_Static_assert(sizeof(struct blkif_x86_32_request_indirect) == 64, "indirect");
_Static_assert(offsetof(struct blkif_x86_32_request_indirect, handle) == 20,
	       "handle");
_Static_assert(offsetof(struct blkif_x86_32_request_indirect, indirect_grefs) ==
		       24,
	       "grefs");
_Static_assert(sizeof(struct blkif_x86_32_response) == 12, "response");
_Static_assert(offsetof(struct blkif_x86_32_response, status) == 10, "status");

#endif /* ABI_BLKIF_H */
