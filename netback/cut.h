/* SPDX-License-Identifier: MIT */
/*
 * cut.h - a TCP frame as smaller ones, for a receiver that cannot take it
 * whole: one to be segmented, or one that is larger than what it takes at once.
 *
 * The pieces have headers of their own and point at the frame's payload. Their
 * checksums are blank. A frame with a whole checksum that nobody vouches for is
 * cut only when it is right, so that no damage is signed with a new one.
 *
 * Used by queue_rx.c and by the uplink, see util/segment.h. Data thread.
 */
#ifndef NETBACK_CUT_H
#define NETBACK_CUT_H

#include "netback/frame.h"
#include "util/segment.h"

struct cut {
	const struct frame *frame;
	struct frame_cursor at; /* the next piece's payload */
	struct segmenter segmenter;
};

/*
 * max_bytes: the largest piece that the receiver takes, PACKET_HEAD_MAX * 2 or
 * more. -EOPNOTSUPP: not TCP over IP; -EBADMSG: a wrong checksum.
 */
int cut_begin(struct cut *c, const struct frame *frame,
	      uint32_t max_bytes) PV_MUST_CHECK;
/* False: there are no more. The frame outlives its pieces. */
bool cut_next(struct cut *c, struct frame *ret) PV_MUST_CHECK;

/* Pieces that are still to come. */
static inline uint32_t cut_left(const struct cut *c)
{
	return segmenter_left(&c->segmenter);
}

#endif /* NETBACK_CUT_H */
