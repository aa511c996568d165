/* SPDX-License-Identifier: MIT */
/*
 * network_rules.c - network-rules: what an interface may do on its switch,
 * shown and changed. The nodes are in docs/xenstore-paths.md; the driver domain
 * watches them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pvsplit/attach.h"
#include "pvsplit/jobs.h"
#include "util/num.h"

const char network_rules_help[] =
	"Without SPEC: show them. SPEC is KEY=VALUE,...; what is not named stays\n"
	"as it is, a key without a value takes the rule away. A change is obeyed\n"
	"at once.\n"
	"  vlan=N           frames without a tag belong to VLAN N (0: to none)\n"
	"  trunk=N/N-N      these VLANs are spoken with a tag\n"
	"  isolated=yes     no frames to and from other isolated interfaces\n"
	"  antispoof=yes    it can use its own MAC address only, and if ip= is\n"
	"                   given, of IP addresses these only\n"
	"  ip=A A           its addresses, separated by spaces\n"
	"  stormlimit=N     frames a second to many receivers\n";

static int change_in_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	const struct network_change *c = arg;
	struct spec_rule rules[SPEC_NR_RULES];
	unsigned nr = spec_rules(c->spec, rules);

	for (unsigned i = 0; i < nr; i++) {
		int err = xs_printf(xs, tx, c->dev->back, rules[i].node, "%s",
				    rules[i].text);

		if (err)
			return err;
	}
	return 0;
}

/* Add "KEY=VALUE" to text and the object. */
static int add_rule(struct pvsplit *ps, const struct device *dev,
		    const char *node, json_t *object, char *text, size_t size)
{
	char value[SPEC_IPS_MAX];
	size_t len = strlen(text);
	int err = xs_read_str(ps->xs, XS_NO_TXN, dev->back, node, value,
			      sizeof(value));

	if (err == -ENOENT || (!err && !*value))
		return 0;
	if (err)
		return err;
	json_object_set_new(object, node, json_string(value));
	err = str_printf(text + len, size - len, "%s%s=%s", len ? "," : "",
			 node, value);
	return err < 0 ? err : 0;
}

static int show(struct pvsplit *ps, const struct args *args,
		const struct device *dev)
{
	static const char *const nodes[] = {
		"vlan", "trunk", "isolated", "antispoof", "ip", "stormlimit"
	};
	json_t *object = json_pack("{s:i, s:i}", "domid", (int)dev->domid,
				   "vif", (int)dev->handle);
	char text[2 * SPEC_IPS_MAX] = "";
	int err = object ? 0 : -ENOMEM;

	for (unsigned i = 0; !err && i < ARRAY_SIZE(nodes); i++)
		err = add_rule(ps, dev, nodes[i], object, text, sizeof(text));
	if (err) {
		json_decref(object);
		return complain(err,
				"%s: cannot read the rules: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	}
	return output_result(ps, object, "domain %u, vif %u: %s", dev->domid,
			     dev->handle, *text ? text : "no rules");
}

int network_rules_run(struct pvsplit *ps, const struct args *args)
{
	return network_adjust(ps, args, spec_rules_parse, change_in_txn, show);
}
