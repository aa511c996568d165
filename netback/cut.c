/* SPDX-License-Identifier: MIT */
/* cut.c - see cut.h. Neighbours: frame.c, util/segment.c. Data thread. */
#include "netback/cut.h"

#include <errno.h>

/* May its checksums be replaced by new ones? */
static int check_sums(const struct frame *frame, const struct packet_layout *at)
{
	if (!at->ipv6 &&
	    packet_sum_fold(packet_sum(frame->head + at->l3,
				       (size_t)(at->l4 - at->l3), 0)) != 0xffff)
		return -EBADMSG;
	if (frame->meta.csum_blank || frame->meta.data_validated)
		return 0;
	return frame_csum_is_right(frame, at) ? 0 : -EBADMSG;
}

int cut_begin(struct cut *c, const struct frame *frame, uint32_t max_bytes)
{
	struct packet_layout at = frame->layout;
	uint32_t mss_bytes = frame->meta.gso_size;

	if (frame->meta.gso == PACKET_GSO_NONE) {
		int err;

		if (packet_locate(frame->head, frame->head_bytes,
				  frame->size_bytes, &at) ||
		    !at.tcp)
			return -EOPNOTSUPP;
		err = check_sums(frame, &at);
		if (err)
			return err;
		mss_bytes = max_bytes;
	}
	if (mss_bytes > max_bytes - at.payload)
		mss_bytes = max_bytes - at.payload;
	c->frame = frame;
	c->at = frame_seek(frame, at.payload);
	segmenter_init(&c->segmenter, frame->head, &at, mss_bytes);
	return 0;
}

bool cut_next(struct cut *c, struct frame *ret)
{
	struct segment seg;

	if (!segmenter_next(&c->segmenter, ret->head, &seg))
		return false;
	ret->head_bytes = ret->size_bytes = seg.head_bytes;
	ret->nr_parts = 0;
	ret->meta = (struct packet_meta){
		.csum_blank = true,
		.data_validated = c->frame->meta.data_validated,
	};
	ret->layout = seg.layout;
	frame_refer(c->frame, &c->at, seg.payload_bytes, ret);
	return true;
}
