/* SPDX-License-Identifier: MIT */
/*
 * capture_ring.h - the reader's side of a capture's pages (abi/capture.h),
 * where the driver domain may write anything at any time: records are copied
 * out, checked, and bounded by what the reader asked for. network_capture.c
 * calls. Logs: never.
 */
#ifndef PVSPLIT_CAPTURE_RING_H
#define PVSPLIT_CAPTURE_RING_H

#include <stdint.h>

#include "abi/capture.h"

struct capture_ring {
	void *pages; /* the header, CAPTURE_PAGES of records */
	uint32_t snap_bytes;
	uint32_t cons;
};

/*
 * The next record into *ret, its bytes, at most snap_bytes, into data. Returns
 * 1; 0 when there is none. A driver domain that lies, or that began anew, is
 * read on from where it says that it is.
 */
int capture_ring_next(struct capture_ring *ring, struct capture_record *ret,
		      uint8_t *data);

/* Give back the room of what was read. */
void capture_ring_release(const struct capture_ring *ring);

#endif /* PVSPLIT_CAPTURE_RING_H */
