/* SPDX-License-Identifier: MIT */
/*
 * vif_changes.c - what may be changed of a vif while it is connected: by its
 * toolstack in our directory (its address, rules, limits, a capture), by its
 * frontend in its
 * own (what it wishes); and the figures that somebody asks for there. See
 * vif_private.h. Neighbours: vif_rules.c, vif_params.c (the nodes),
 * vif_queues.c (where they are obeyed). Control thread.
 */
#include "netback/vif_private.h"

#include <errno.h>
#include <string.h>

#include "netback/vif_link.h"
#include "netback/vif_params.h"
#include "netback/vif_rules.h"
#include "util/num.h"

/* ---- limits and figures ------------------------------------------------ */

static void apply_limits(void *arg, const struct limiter_pair *limiters)
{
	struct vif *v = arg;

	vif_queues_set_limiters(&v->queues, limiters);
}

static void stats_add(void *arg, uint32_t queue, void *account)
{
	const struct vif *v = arg;

	vif_queues_traffic(&v->queues, queue, account);
}

static void stats_put(const void *account, struct figures *f)
{
	traffic_put(account, f);
}

static const struct hist *stats_hist(const void *account, unsigned i,
				     const char **ret_name)
{
	return traffic_hist(account, i, ret_name);
}

static const struct stats_ops vif_stats_ops = {
	.account_bytes = sizeof(struct traffic),
	.add = stats_add,
	.put = stats_put,
	.hist = stats_hist,
};

/* ---- rules and wishes -------------------------------------------------- */

/* Nothing changes when one of these cannot be read. */
static int read_mac(struct vif *v, const char **ret_node)
{
	uint8_t mac[PACKET_MAC_BYTES];
	char text[32];
	int err = xs_read_str(v->dev->xs, XS_NO_TXN, v->dev->node, "mac", text,
			      sizeof(text));

	*ret_node = "mac";
	if (err == -ENOENT) {
		memcpy(mac, v->target.mac, sizeof(mac));
		err = 0;
	} else if (!err) {
		err = packet_parse_mac(text, mac);
	}
	if (!err)
		vif_queues_set_mac(&v->queues, mac);
	return err;
}

static int read_rules(struct vif *v, const char **ret_node)
{
	struct switch_rules rules;
	int err = vif_rules_read(v->dev, &rules, ret_node);

	if (err)
		return err;
	vif_queues_set_rules(&v->queues, &rules);
	*ret_node = "carrier";
	return vif_link_tell(v->dev, &v->bridge->uplink_link, rules.down);
}

static int read_wishes(struct vif *v, const char **ret_node)
{
	struct queue_wishes wishes;
	int err = vif_wishes_read(v->dev, &wishes, ret_node);

	if (!err)
		vif_queues_set_wishes(&v->queues, &wishes);
	return err;
}

int vif_changes_read(struct vif *v, const char **ret_node)
{
	int err = read_mac(v, ret_node);

	if (!err)
		err = read_rules(v, ret_node);
	return err ? err : read_wishes(v, ret_node);
}

static void look_at(struct vif *v,
		    int (*read)(struct vif *v, const char **ret_node))
{
	const char *node;
	int err = read(v, &node);

	if (err)
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: %s is refused: %s; what was before stays",
			    v->dev->name, node, strerrordesc_np(-err));
}

/* What it wishes is read again: that which is to be agreed first, too. */
int vif_reconfigure(struct xenbus_device *dev)
{
	look_at(dev->priv, read_wishes);
	return 0;
}

/* Of a vif that is not connected, connecting reads it. */
static void wish_fired(void *arg, const char *path)
{
	struct vif *v = arg;

	(void)path;
	if (v->queues.port)
		look_at(v, read_wishes);
}

static void watch_wishes(struct vif *v)
{
	struct xenbus_device *dev = v->dev;
	char path[sizeof(dev->otherend) + sizeof(VIF_WISH_MCAST)];
	int err = str_printf(path, sizeof(path), "%s/" VIF_WISH_MCAST,
			     dev->otherend);

	if (err >= 0)
		err = xs_watch(dev->xs, path, wish_fired, v, &v->wish_watch);
	if (err)
		log_warn("%s: watching %s: %s; the multicast filter is agreed "
			 "at connect",
			 dev->name, path, strerrordesc_np(-err));
}

/* ---- the vif's life ---------------------------------------------------- */

void vif_changes_init(struct vif *v)
{
	limits_init(&v->limits, &v->nb->limit_groups, v->dev, apply_limits, v);
	v->stats = (struct stats){
		.ops = &vif_stats_ops,
		.dev = v->dev,
		.arg = v,
	};
	watch_wishes(v);
}

void vif_changes_fini(struct vif *v)
{
	xs_unwatch(v->dev->xs, v->wish_watch);
	limits_fini(&v->limits);
}

void vif_changes_started(struct vif *v)
{
	limits_start(&v->limits);
	vif_capture_look(&v->capture, v->dev, &v->queues);
}

static bool concerns(const char *node, const char *wanted)
{
	size_t len = strlen(node);

	/* It, or a directory that it is in. */
	return !len || (!strncmp(wanted, node, len) &&
			(!wanted[len] || wanted[len] == '/'));
}

/* Most of what changes in our directory is what we wrote: that is no news. */
void vif_changed(struct xenbus_device *dev, const char *node)
{
	struct vif *v = dev->priv;

	if (concerns(node, "capture"))
		vif_capture_look(&v->capture, dev, &v->queues);
	if (concerns(node, "mac"))
		look_at(v, read_mac);
	if (vif_rules_is_node(node))
		look_at(v, read_rules);
	if (concerns(node, LIMIT_RATES) || concerns(node, LIMIT_RATE_XL) ||
	    concerns(node, "limit-group"))
		limits_changed(&v->limits);
	if (concerns(node, "statistics/request"))
		stats_changed(&v->stats, v->queues.port ? v->queues.nr : 0,
			      v->connected_ns);
}
