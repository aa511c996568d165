/* SPDX-License-Identifier: MIT */
/* vif_link.c - the nodes carrier and mtu; see vif_link.h. Used by vif.c. */
#include "netback/vif_link.h"

#include <string.h>

#include "util/log.h"
#include "xenstore-lite/xs.h"

int vif_link_announce(struct xenbus_device *dev, const struct nic_link *link)
{
	return xs_printf(dev->xs, XS_NO_TXN, dev->node, "carrier", "%u",
			 link->up);
}

int vif_link_resume(struct xenbus_device *dev, const struct nic_link *link)
{
	uint32_t carrier;
	int err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->node, "carrier",
				      1, 1, &carrier);

	if (err || carrier == link->up)
		return err;
	return vif_link_announce(dev, link);
}

void vif_link_change(struct xenbus_device *dev, const struct nic_link *was,
		     const struct nic_link *now)
{
	int err = 0;

	if (was->up != now->up)
		err = vif_link_announce(dev, now);
	if (!err && was->mtu != now->mtu)
		err = xs_printf(dev->xs, XS_NO_TXN, dev->otherend, "mtu", "%u",
				now->mtu);
	if (err)
		log_limited(&dev->limit, LOG_WARN,
			    "%s: telling its bridge's link: %s", dev->name,
			    strerrordesc_np(-err));
}
