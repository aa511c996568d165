/* SPDX-License-Identifier: MIT */
/*
 * capture.h - the pages through which a driver domain shows frames to the
 * toolstack. Ours, not Xen's.
 *
 *	page 0			struct capture_header
 *	pages 1..CAPTURE_PAGES	a ring of CAPTURE_BYTES: records one behind the
 *				other, each a struct capture_record, then so
 *				many bytes of the frame, then up to 7 bytes
 *				until the next multiple of 8
 *
 * The toolstack shares the pages and an event channel, and says so in the vif's
 * backend directory: `capture` = "REF PORT SNAP WHAT WORD", REF the first of
 * consecutive references, PORT its channel (the driver domain sees by it that
 * nobody reads any more; no events are sent), SNAP how many bytes of each frame
 * are wanted, WHAT "vif" (frames from it and to it) or "all" (every frame on
 * its switch, once), WORD any word that the last one was not.
 *
 * prod and cons count bytes modulo 2^32. The driver domain writes whole records
 * below prod and never waits: what does not fit is counted in nr_dropped. One
 * that begins anew begins at cons. Neither side trusts the other's index.
 */
#ifndef ABI_CAPTURE_H
#define ABI_CAPTURE_H

#include <stdint.h>

#define CAPTURE_PAGES 128u
#define CAPTURE_BYTES (CAPTURE_PAGES * 4096u)
#define CAPTURE_ALIGN 8u

struct capture_header {
	uint32_t started; /* 1: frames come. By the driver domain, as ... */
	uint32_t prod;
	uint64_t nr_dropped;
	uint32_t cons; /* by the toolstack */
	uint32_t pad;
};

struct capture_record {
	uint32_t size_bytes;  /* that follow */
	uint32_t frame_bytes; /* that the frame has */
	uint64_t time_ns;     /* since 1970 */
};

_Static_assert(sizeof(struct capture_header) == 24, "header");
_Static_assert(sizeof(struct capture_record) == 16, "record");

#endif /* ABI_CAPTURE_H */
