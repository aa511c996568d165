/* SPDX-License-Identifier: MIT */
/*
 * segment.h - a large TCP packet as the packets that it stands for.
 *
 * What a network card does with a frame that is to be segmented, for a receiver
 * that cannot: each segment has the frame's headers, with lengths, IPv4
 * identification and header checksum, sequence number and flags of its own (FIN
 * and PSH on the last, CWR on the first), and its piece of the payload. Its TCP
 * checksum is blank: whoever copies the segment fills it in, or leaves it to
 * the receiver. All of it is bytewise what Linux makes of the same frame.
 *
 * Headers are written, payload is named by where it is in the frame. What
 * follows the IP packet in the frame is left out.
 *
 * Pure; allocates nothing. Thread: any. Logs: never.
 */
#ifndef UTIL_SEGMENT_H
#define UTIL_SEGMENT_H

#include "util/packet.h"

struct segment {
	uint32_t head_bytes; /* all headers */
	uint32_t payload_at, payload_bytes;
	/* Of the segment; its meta is a blank checksum and nothing else. */
	struct packet_layout layout;
};

struct segmenter {
	const uint8_t *head;
	struct packet_layout at;
	uint32_t mss_bytes;
	uint32_t done_bytes, payload_bytes;
	uint32_t nr; /* made so far */
};

/*
 * head: all headers of a TCP packet over IPv4 or IPv6, to which it stays
 * pointed; at: as packet_locate found them. mss_bytes: payload of each segment
 * but the last, not 0.
 */
void segmenter_init(struct segmenter *s, const uint8_t *head,
		    const struct packet_layout *at, uint32_t mss_bytes);
/*
 * The next segment: its headers, at most PACKET_HEAD_MAX bytes, into head.
 * There is at least one. False: there are no more.
 */
bool segmenter_next(struct segmenter *s, uint8_t *head,
		    struct segment *ret) PV_MUST_CHECK;

/* The segments that are still to come. */
static inline uint32_t segmenter_left(const struct segmenter *s)
{
	uint32_t left_bytes = s->payload_bytes - s->done_bytes;

	return !s->nr && !left_bytes
		       ? 1
		       : (left_bytes + s->mss_bytes - 1) / s->mss_bytes;
}

#endif /* UTIL_SEGMENT_H */
