/* SPDX-License-Identifier: MIT */
/* vif_link.c - the nodes carrier and mtu; see vif_link.h. Used by vif.c. */
#include "netback/vif_link.h"

#include <string.h>

#include "util/log.h"
#include "xenstore-lite/xs.h"

int vif_link_tell(struct xenbus_device *dev, const struct nic_link *link,
		  bool down)
{
	uint32_t carrier, want = link->up && !down;
	int err = xs_read_u32(dev->xs, XS_NO_TXN, dev->node, "carrier", 1,
			      &carrier);

	if (!err && carrier == want)
		return 0;
	return xs_printf(dev->xs, XS_NO_TXN, dev->node, "carrier", "%u", want);
}

void vif_link_change(struct xenbus_device *dev, const struct nic_link *was,
		     const struct nic_link *now, bool down)
{
	int err = vif_link_tell(dev, now, down);

	if (!err && was->mtu != now->mtu)
		err = xs_printf(dev->xs, XS_NO_TXN, dev->otherend, "mtu", "%u",
				now->mtu);
	if (err)
		log_limited(&dev->limit, LOG_WARN,
			    "%s: telling its bridge's link: %s", dev->name,
			    strerrordesc_np(-err));
}
