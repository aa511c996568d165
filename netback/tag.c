/* SPDX-License-Identifier: MIT */
/* tag.c - VLAN tags in a frame's head; see tag.h. Used by switch.c. */
#include "netback/tag.h"

#include <errno.h>
#include <string.h>

#include "netback/nic.h"
#include "util/be.h"
#include "util/vlan.h"

#define TAG_AT	     (2 * PACKET_MAC_BYTES)
#define TPID_VLAN    0x8100u
#define TPID_SERVICE 0x88a8u
#define VLAN_MASK    0x0fffu

int tag_read(const struct frame *frame, uint16_t *ret_vlan)
{
	const uint8_t *tag = frame->head + TAG_AT;
	uint16_t vlan, inner;

	*ret_vlan = 0;
	if (get_be16(tag) != TPID_VLAN)
		return TAG_NONE;
	if (frame->head_bytes < PACKET_ETH_BYTES + FRAME_TAG_BYTES)
		return -EINVAL;
	vlan = get_be16(tag + 2) & VLAN_MASK;
	if (vlan > VLAN_ID_MAX)
		return -EINVAL;
	if (vlan) {
		*ret_vlan = vlan;
		return TAG_VLAN;
	}
	/* Taking such a tag off would let the sender choose a VLAN. */
	inner = get_be16(tag + FRAME_TAG_BYTES);
	return inner == TPID_VLAN || inner == TPID_SERVICE ? -EINVAL
							   : TAG_PRIORITY;
}

static void move_layout(struct frame *frame, int bytes)
{
	struct packet_layout *at = &frame->layout;

	if (!frame->meta.csum_blank)
		return;
	at->l3 = (uint16_t)(at->l3 + bytes);
	at->l4 = (uint16_t)(at->l4 + bytes);
	at->payload = (uint16_t)(at->payload + bytes);
	at->csum = (uint16_t)(at->csum + bytes);
}

bool tag_push(struct frame *frame, uint16_t vlan)
{
	uint8_t *tag = frame->head + TAG_AT;

	if (frame->size_bytes > NIC_FRAME_MAX - FRAME_TAG_BYTES)
		return false;
	memmove(tag + FRAME_TAG_BYTES, tag, frame->head_bytes - TAG_AT);
	put_be16(tag, TPID_VLAN);
	put_be16(tag + 2, vlan);
	frame->head_bytes += FRAME_TAG_BYTES;
	frame->size_bytes += FRAME_TAG_BYTES;
	move_layout(frame, (int)FRAME_TAG_BYTES);
	return true;
}

void tag_set(struct frame *frame, uint16_t vlan)
{
	uint8_t *tag = frame->head + TAG_AT;

	put_be16(tag + 2, (uint16_t)((get_be16(tag + 2) & ~VLAN_MASK) | vlan));
}

void tag_pop(struct frame *frame)
{
	uint8_t *tag = frame->head + TAG_AT;

	frame->head_bytes -= FRAME_TAG_BYTES;
	frame->size_bytes -= FRAME_TAG_BYTES;
	memmove(tag, tag + FRAME_TAG_BYTES, frame->head_bytes - TAG_AT);
	move_layout(frame, -(int)FRAME_TAG_BYTES);
}
