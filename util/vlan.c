/* SPDX-License-Identifier: MIT */
/* vlan.c - sets of VLANs from words; see vlan.h. Pure. */
#include "util/vlan.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

/* A number of at most 4 digits that ends at one of stop's; *at goes on there.
 */
static int take_id(const char **at, const char *stop, uint32_t *ret)
{
	char text[VLAN_ID_BYTES];
	size_t len = strcspn(*at, stop);

	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, *at, len);
	text[len] = '\0';
	*at += len;
	return num_parse_u32(text, VLAN_ID_MAX, ret);
}

static int take_term(const char **at, struct vlan_set *set)
{
	uint32_t first, last;
	int err = take_id(at, "-/", &first);

	if (err)
		return err;
	last = first;
	if (**at == '-') {
		(*at)++;
		err = take_id(at, "/", &last);
		if (err)
			return err;
	}
	if (first == 0 || last < first)
		return -ERANGE;
	for (uint32_t v = first; v <= last; v++)
		set->tagged[v / 64] |= UINT64_C(1) << v % 64;
	return 0;
}

int vlan_parse(const char *native, const char *trunk, struct vlan_set *ret)
{
	struct vlan_set set = { .limited = *native || *trunk };
	uint32_t id;
	int err;

	set.native = set.limited ? VLAN_NONE : 0;
	if (*native) {
		err = num_parse_u32(native, VLAN_ID_MAX, &id);
		if (err)
			return err;
		set.native = (uint16_t)id;
	}
	while (*trunk) {
		err = take_term(&trunk, &set);
		if (err)
			return err;
		if (*trunk && !*++trunk)
			return -EINVAL;
	}
	*ret = set;
	return 0;
}

void vlan_split_bridge(char *name, const char **native, const char **trunk)
{
	char *colon = strchr(name, ':'), *point;
	uint32_t id;

	*native = *trunk = "";
	if (colon) {
		*colon = '\0';
		*trunk = colon + 1;
		for (char *c = colon + 1; *c; c++)
			if (*c == ':')
				*c = '/';
	}
	point = strrchr(name, '.');
	if (!point || num_parse_u32(point + 1, VLAN_ID_MAX, &id) || !id)
		return;
	*point = '\0';
	*native = point + 1;
}
