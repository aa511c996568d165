/* SPDX-License-Identifier: MIT */
/* network.c - network-attach, -list, -enable, -detach. See attach.h, device.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "pvsplit/attach.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/limits.h"
#include "util/limiter.h"
#include "util/num.h"

#define DEFAULT_BACKEND "network"
#define ATTACH_TRIES	8
#define DISABLED_MAX	256 /* the reason why a vif is */

const struct cmd_option network_attach_options[] = {
	{ "backend", "DOMAIN", "the driver domain that serves it" },
	{ "no-wait", NULL, "do not wait for the driver domain's answer" },
	{ 0 },
};

const char network_help[] =
	"SPEC is written as in xl-network-configuration(5): mac=ADDRESS (one\n"
	"of 00:16:3e:... is made up), bridge=NAME (without it, guests reach\n"
	"each other through the driver domain's switch), uplink=DRIVER:INTERFACE\n"
	"(that bridge's way out, netbackd(8), if it is no kernel bridge), vif=INDEX\n"
	"(the next free one), mtu=BYTES, rate=RATE/s[@INTERVAL] (what the guest may\n"
	"send: 10Mb/s, 1MB/s@20ms), backend=DOMAIN ('network'). bridge=NAME.VLAN puts\n"
	"it into a VLAN, NAME:VLAN:VLAN lets it speak those with tags. What it may\n"
	"do on the switch can be changed later: see network-rules.\n";

const char network_enable_help[] =
	"A guest whose rings break the protocol's rules loses its interface, which\n"
	"network-list calls Disabled (with --json it says why) until this command.\n"
	"It is connected again as soon as the guest comes again.\n";

int network_handle(const struct args *args, uint32_t *ret)
{
	if (!num_parse_u32(args->words[1], SPEC_VIF_MAX, ret))
		return 0;
	return complain(-EINVAL,
			"%s: '%s' is not a vif's number; 'pvsplit "
			"network-list' shows them",
			args->command, args->words[1]);
}

int network_adjust(struct pvsplit *ps, const struct args *args,
		   int (*parse)(const char *text, struct vif_spec *ret,
				char why[SPEC_WHY_MAX]),
		   int (*change)(struct xs *xs, xs_txn_t tx, void *arg),
		   int (*show)(struct pvsplit *ps, const struct args *args,
			       const struct device *dev))
{
	struct vif_spec spec;
	struct device dev;
	struct network_change c = { &dev, &spec };
	char why[SPEC_WHY_MAX];
	uint32_t handle;
	int err = network_handle(args, &handle);

	if (err)
		return err;
	if (parse(args->nr > 2 ? args->words[2] : "", &spec, why))
		return complain(-EINVAL, "%s: %s", args->command, why);
	err = device_find_args(ps, args, DEVICE_VIF, handle, &dev);
	if (err)
		return err;
	if (spec.given) {
		err = xs_transaction(ps->xs, change, &c);
		if (err)
			return complain(err,
					"%s: cannot write the store: %s; see "
					"'pvsplit status'",
					args->command, strerror(-err));
	}
	return show(ps, args, &dev);
}

/* An address of Xen's block, 00:16:3e. */
static int make_mac(uint8_t mac[6])
{
	mac[0] = 0x00;
	mac[1] = 0x16;
	mac[2] = 0x3e;
	if (getrandom(mac + 3, 3, 0) != 3)
		return -EIO;
	mac[3] &= 0x7f;
	return 0;
}

static int free_index(struct pvsplit *ps, domid_t domid, uint32_t *ret)
{
	struct device dev;

	for (uint32_t i = 0; i <= SPEC_VIF_MAX; i++) {
		int err = device_find(ps, DEVICE_VIF, domid, i, &dev);

		if (err == -ENOENT) {
			*ret = i;
			return 0;
		}
		if (err)
			return err;
	}
	return -ENOSPC;
}

static int attach_one(struct pvsplit *ps, const char *command, domid_t domid,
		      domid_t backend_id, const struct vif_spec *spec,
		      bool wait, struct device *dev)
{
	char handle[12], mtu[12], mac[20], rates[LIMITER_TEXT_MAX];
	struct limiter_rates limits = {
		.per_second[LIMITER_WRITE_BYTES] = spec->rate_bytes,
		.burst_ms = spec->rate_burst_ms,
	};
	const struct device_node front[] = {
		{ "handle", handle }, { "mac", mac }, { "mtu", mtu }, { 0 }
	};
	struct device_node back[6 + SPEC_NR_RULES] = {
		{ "handle", handle },
		{ "mac", mac },
		{ "bridge", spec->bridge },
		{ "type", "vif" },
	};
	const struct device_node libxl[] = { { "mac", mac },
					     { "bridge", spec->bridge },
					     { *spec->uplink ? "uplink" : NULL,
					       spec->uplink },
					     { 0 } };
	const struct device_nodes nodes = { front, back, libxl, "mtu" };
	struct spec_rule rules[SPEC_NR_RULES];
	unsigned nr = spec_rules(spec, rules);
	int err =
		limiter_format(LIMITER_NETWORKS, &limits, rates, sizeof(rates));

	if (err < 0)
		return err;
	for (unsigned i = 0; i < nr; i++)
		back[4 + i] =
			(struct device_node){ rules[i].node, rules[i].text };
	if (spec->rate_bytes)
		back[4 + nr] = (struct device_node){ "limit-rates", rates };
	snprintf(handle, sizeof(handle), "%u", spec->handle);
	snprintf(mtu, sizeof(mtu), "%u", spec->mtu);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x",
		 spec->mac[0], spec->mac[1], spec->mac[2], spec->mac[3],
		 spec->mac[4], spec->mac[5]);
	device_init(dev, DEVICE_VIF, domid, backend_id, spec->handle);
	return device_attach(ps, command, dev, &nodes, wait);
}

int network_attach(struct pvsplit *ps, const char *command, domid_t domid,
		   struct vif_spec *spec, const char *backend, bool wait,
		   struct device *ret)
{
	bool automatic = spec->handle == SPEC_VIF_AUTO;
	struct device dev;
	domid_t backend_id;
	int err;

	if (!backend)
		backend = *spec->backend ? spec->backend : DEFAULT_BACKEND;
	err = domain_resolve(ps, command, backend, &backend_id);
	if (err)
		return err;
	if (!spec->has_mac && make_mac(spec->mac))
		return complain(-EIO,
				"%s: no random numbers; give mac=", command);
	spec->has_mac = true;
	for (int i = 0; i < ATTACH_TRIES; i++) {
		if (automatic) {
			err = free_index(ps, domid, &spec->handle);
			if (err)
				return complain(err,
						"%s: domain %u: no free vif "
						"index: %s; give vif=",
						command, domid, strerror(-err));
		}
		err = attach_one(ps, command, domid, backend_id, spec, wait,
				 &dev);
		if (err != -EEXIST || !automatic)
			break;
	}
	if (err == -EEXIST)
		return complain(err,
				"%s: domain %u has a vif %u already; choose "
				"another or detach it",
				command, domid, spec->handle);
	if (!err && ret)
		*ret = dev;
	return err;
}

int network_attach_run(struct pvsplit *ps, const struct args *args)
{
	struct vif_spec spec;
	char why[SPEC_WHY_MAX];
	domid_t domid;
	int err;

	if (spec_vif_parse(args->nr > 1 ? args->words[1] : "", false, &spec,
			   why))
		return complain(-EINVAL, "%s: %s", args->command, why);
	err = pvsplit_connect(ps);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (!err)
		err = domain_resolve(ps, args->command, args->words[0], &domid);
	if (!err)
		err = network_attach(ps, args->command, domid, &spec,
				     args_get(args, "backend"),
				     !args_get(args, "no-wait"), NULL);
	if (err)
		return err;
	return output_result(ps,
			     json_pack("{s:i, s:i}", "domid", (int)domid, "vif",
				       (int)spec.handle),
			     "domain %u: vif %u", domid, spec.handle);
}

/* Why it is not served: its guest broke a rule. */
static void add_disabled(struct pvsplit *ps, const struct device *dev,
			 json_t *object)
{
	char why[DISABLED_MAX];

	if (xs_read_str(ps->xs, XS_NO_TXN, dev->back, "disabled", why,
			sizeof(why)))
		return;
	json_object_set_new(object, "disabled", json_string(why));
	json_object_set_new(object, "backend-state", json_string("Disabled"));
}

static int add_to_list(struct pvsplit *ps, const struct device *dev, void *arg)
{
	json_t *list = arg, *object = device_json(ps, dev);

	if (!object)
		return -ENOMEM;
	add_disabled(ps, dev, object);
	device_json_add(ps, object, dev, "mac", "mac");
	device_json_add(ps, object, dev, "bridge", "bridge");
	limits_json_add(ps, object, dev);
	return json_array_append_new(list, object) ? -ENOMEM : 0;
}

int network_list_run(struct pvsplit *ps, const struct args *args)
{
	static const struct column columns[] = {
		{ "domain", "DOMAIN" },	      { "handle", "VIF" },
		{ "backend", "BACKEND" },     { "frontend-state", "FRONTEND" },
		{ "backend-state", "STATE" }, { "mac", "MAC" },
		{ "bridge", "BRIDGE" },	      { 0 },
	};

	return device_list_run(ps, args, DEVICE_VIF, add_to_list, columns);
}

int network_enable_run(struct pvsplit *ps, const struct args *args)
{
	char path[DEVICE_PATH_MAX + sizeof("/disabled")], why[DISABLED_MAX];
	struct device dev;
	uint32_t handle;
	int err = network_handle(args, &handle);

	if (!err)
		err = device_find_args(ps, args, DEVICE_VIF, handle, &dev);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/disabled", dev.back);
	err = xs_read_str(ps->xs, XS_NO_TXN, dev.back, "disabled", why,
			  sizeof(why));
	if (err != -ENOENT)
		err = xs_rm(ps->xs, XS_NO_TXN, path);
	if (err && err != -ENOENT)
		return complain(err,
				"%s: cannot write the store: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	return output_result(ps,
			     json_pack("{s:i, s:i, s:b}", "domid",
				       (int)dev.domid, "vif", (int)handle,
				       "was-disabled", !err),
			     err ? "domain %u: vif %u was not disabled"
				 : "domain %u: vif %u is enabled",
			     dev.domid, handle);
}

int network_detach_run(struct pvsplit *ps, const struct args *args)
{
	uint32_t handle;
	int err = network_handle(args, &handle);

	return err ? err : device_detach_run(ps, args, DEVICE_VIF, handle);
}
