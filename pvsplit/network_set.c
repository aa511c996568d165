/* SPDX-License-Identifier: MIT */
/*
 * network_set.c - network-set: an interface's address and MTU, shown and
 * changed while it is connected. Both ends watch the nodes
 * (docs/xenstore-paths.md).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pvsplit/attach.h"
#include "pvsplit/jobs.h"
#include "util/num.h"

const char network_set_help[] =
	"Without SPEC: show them. SPEC is KEY=VALUE,...; what is not named stays\n"
	"as it is. A change is told to both ends at once; a guest that takes its\n"
	"address or MTU when it connects has it then.\n"
	"  mac=ADDRESS      the interface's own address\n"
	"  mtu=BYTES        what its guest may send at once, 68 to 65521\n"
	"  link=down        it carries no frames, and its guest sees no carrier,\n"
	"                   until link=up\n";

static int write_mac(struct xs *xs, xs_txn_t tx, const struct network_change *c)
{
	const char *const dirs[] = { c->dev->libxl, c->dev->back,
				     c->dev->front };
	const uint8_t *m = c->spec->mac;
	int err = 0;

	for (unsigned i = 0; !err && i < ARRAY_SIZE(dirs); i++)
		err = xs_printf(xs, tx, dirs[i], "mac",
				"%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1],
				m[2], m[3], m[4], m[5]);
	return err;
}

static int change_in_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	const struct network_change *c = arg;
	int err = 0;

	if (c->spec->has_mac)
		err = write_mac(xs, tx, c);
	if (!err && c->spec->mtu)
		err = xs_printf(xs, tx, c->dev->front, "mtu", "%u",
				c->spec->mtu);
	if (!err && *c->spec->link)
		err = xs_printf(xs, tx, c->dev->back, "link-down", "%s",
				strcmp(c->spec->link, "down") ? "" : "1");
	return err;
}

/* "" when there is none. */
static int read_text(struct pvsplit *ps, const char *dir, const char *node,
		     char *buf, size_t size)
{
	int err = xs_read_str(ps->xs, XS_NO_TXN, dir, node, buf, size);

	if (err != -ENOENT)
		return err;
	buf[0] = '\0';
	return 0;
}

static int show(struct pvsplit *ps, const struct args *args,
		const struct device *dev)
{
	char mac[32], mtu[16], down[8];
	const char *link;
	int err = read_text(ps, dev->libxl, "mac", mac, sizeof(mac));

	if (!err)
		err = read_text(ps, dev->front, "mtu", mtu, sizeof(mtu));
	if (!err)
		err = read_text(ps, dev->back, "link-down", down, sizeof(down));
	if (err)
		return complain(err,
				"%s: cannot read the store: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	link = strcmp(down, "1") ? "up" : "down";
	return output_result(ps,
			     json_pack("{s:i, s:i, s:s, s:s, s:s}", "domid",
				       (int)dev->domid, "vif", (int)dev->handle,
				       "mac", mac, "mtu", mtu, "link", link),
			     "domain %u, vif %u: mac=%s,mtu=%s,link=%s",
			     dev->domid, dev->handle, mac, mtu, link);
}

int network_set_run(struct pvsplit *ps, const struct args *args)
{
	return network_adjust(ps, args, spec_set_parse, change_in_txn, show);
}
