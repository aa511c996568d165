/* SPDX-License-Identifier: MIT */
/*
 * vif_rules.c - from the nodes to switch_rules, see vif_rules.h. Neighbours:
 * util/vlan.c, filter.c (their words); vif.c calls. Control thread.
 */
#include "netback/vif_rules.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

#define TEXT_MAX 1024

/* "" when there is none. */
static int read_text(struct xenbus_device *dev, const char *node,
		     char text[TEXT_MAX])
{
	int err = xs_read_str(dev->xs, XS_NO_TXN, dev->node, node, text,
			      TEXT_MAX);

	if (err != -ENOENT)
		return err;
	text[0] = '\0';
	return 0;
}

static int read_u32(struct xenbus_device *dev, const char *node, uint32_t max,
		    uint32_t *ret)
{
	char text[TEXT_MAX];
	int err = read_text(dev, node, text);

	if (err)
		return err;
	*ret = 0;
	return *text ? num_parse_u32(text, max, ret) : 0;
}

static int read_flag(struct xenbus_device *dev, const char *node, bool *ret)
{
	uint32_t value;
	int err = read_u32(dev, node, 1, &value);

	if (!err)
		*ret = value;
	return err;
}

static int read_vlans(struct xenbus_device *dev, struct switch_rules *rules)
{
	char vlan[TEXT_MAX], trunk[TEXT_MAX], bridge[TEXT_MAX];
	const char *native = vlan, *tagged = trunk;
	int err = read_text(dev, "vlan", vlan);

	if (!err)
		err = read_text(dev, "trunk", trunk);
	if (!err && !*vlan && !*trunk) {
		err = read_text(dev, "bridge", bridge);
		if (!err)
			vlan_split_bridge(bridge, &native, &tagged);
	}
	return err ? err : vlan_parse(native, tagged, &rules->vlans);
}

static int read_filter(struct xenbus_device *dev, struct switch_rules *rules)
{
	char text[TEXT_MAX];
	int err = read_text(dev, "ip", text);

	if (err || !rules->filter.on)
		return err;
	return filter_parse_ips(text, &rules->filter);
}

static int read_isolated(struct xenbus_device *dev, struct switch_rules *rules)
{
	return read_flag(dev, "isolated", &rules->isolated);
}

static int read_down(struct xenbus_device *dev, struct switch_rules *rules)
{
	return read_flag(dev, "link-down", &rules->down);
}

static int read_antispoof(struct xenbus_device *dev, struct switch_rules *rules)
{
	return read_flag(dev, "antispoof", &rules->filter.on);
}

static int read_stormlimit(struct xenbus_device *dev,
			   struct switch_rules *rules)
{
	return read_u32(dev, "stormlimit", UINT32_MAX, &rules->storm_per_s);
}

/* In the order in which they are read. */
static const struct {
	const char *node;
	int (*read)(struct xenbus_device *dev, struct switch_rules *rules);
} readers[] = {
	{ "vlan", read_vlans },
	{ "isolated", read_isolated },
	{ "antispoof", read_antispoof },
	{ "ip", read_filter },
	{ "stormlimit", read_stormlimit },
	{ "link-down", read_down },
};

int vif_rules_read(struct xenbus_device *dev, struct switch_rules *ret,
		   const char **ret_node)
{
	struct switch_rules rules;

	memset(&rules, 0, sizeof(rules));
	for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
		int err = readers[i].read(dev, &rules);

		if (err) {
			*ret_node = readers[i].node;
			return err;
		}
	}
	memcpy(ret, &rules, sizeof(rules));
	return 0;
}

bool vif_rules_is_node(const char *node)
{
	for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
		if (!strcmp(node, readers[i].node))
			return true;
	return !*node || !strcmp(node, "trunk") || !strcmp(node, "bridge");
}
