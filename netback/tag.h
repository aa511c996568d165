/* SPDX-License-Identifier: MIT */
/*
 * tag.h - the VLAN tag (IEEE 802.1Q) of a frame: read, put on, taken off.
 *
 * Only the head, private memory, is looked at and changed. Tags of service
 * providers (0x88a8) are data like any other.
 *
 * Pure. Thread: the data thread.
 */
#ifndef NETBACK_TAG_H
#define NETBACK_TAG_H

#include "netback/frame.h"

enum tag_kind {
	TAG_NONE,
	TAG_PRIORITY, /* a tag that names no VLAN */
	TAG_VLAN,
};

/*
 * *ret_vlan: 0 unless TAG_VLAN. -EINVAL: a tag that is cut off or names VLAN
 * 4095, or one that names no VLAN with another behind it.
 */
int tag_read(const struct frame *frame, uint16_t *ret_vlan) PV_MUST_CHECK;

/* Put a tag on, the outermost. False: the frame would be too large. */
bool tag_push(struct frame *frame, uint16_t vlan) PV_MUST_CHECK;
/* Of a frame that has a tag: another VLAN in it; take it off. */
void tag_set(struct frame *frame, uint16_t vlan);
void tag_pop(struct frame *frame);

#endif /* NETBACK_TAG_H */
