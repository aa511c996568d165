/* SPDX-License-Identifier: MIT */
/*
 * vlan.h - which VLANs (IEEE 802.1Q) an interface belongs to, and how people
 * write that: the toolstack and the backend read the same words.
 *
 * VLAN 0 is the plain network: what carries no tag and was given no VLAN.
 *
 * Pure; any thread. Logs: never.
 */
#ifndef UTIL_VLAN_H
#define UTIL_VLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define VLAN_ID_MAX   4094u
#define VLAN_ID_BYTES 5u    /* its text with NUL */
#define VLAN_NONE     4095u /* no frame belongs there */

/* A zeroed one belongs everywhere: plain without a tag, all others with one. */
struct vlan_set {
	bool limited;	     /* the rest counts */
	uint16_t native;     /* of frames without a tag; VLAN_NONE: of none */
	uint64_t tagged[64]; /* a bit for each that is spoken with a tag */
};

/* vlan: 0..VLAN_ID_MAX. */
static inline bool vlan_is_tagged(const struct vlan_set *set, uint16_t vlan)
{
	if (!set->limited)
		return vlan != 0;
	return set->tagged[vlan / 64] >> vlan % 64 & 1;
}

static inline uint16_t vlan_native(const struct vlan_set *set)
{
	return set->limited ? set->native : 0;
}

static inline bool vlan_has(const struct vlan_set *set, uint16_t vlan)
{
	return vlan_native(set) == vlan || vlan_is_tagged(set, vlan);
}

/*
 * native: a number 0..4094, or "": none. trunk: numbers 1..4094 and ranges,
 * "10/20-25", or "": none. Both "": everywhere.
 * -EINVAL not such words; -ERANGE a number too high, or a range backwards.
 */
int vlan_parse(const char *native, const char *trunk,
	       struct vlan_set *ret) PV_MUST_CHECK;

/*
 * Cut xl's "NAME.VLAN:TRUNK:TRUNK" apart, in place: name keeps NAME, *native
 * and *trunk (words for vlan_parse) point to the others or to "". A point that
 * no number from 1 to 4094 follows belongs to the name.
 */
void vlan_split_bridge(char *name, const char **native, const char **trunk);

#endif /* UTIL_VLAN_H */
