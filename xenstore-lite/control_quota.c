/* SPDX-License-Identifier: MIT */
/*
 * control_quota.c - "quota" and "quota-soft": limits, and what is used of them,
 * in the words of Xen's own. See control.h.
 *
 * What is set is the quota of domains to come and of all that have the same
 * value as those had before; whoever was given one of his own (XS_SET_QUOTA)
 * keeps it.
 */
#include <errno.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/control.h"
#include "xenstore-lite/persist.h"
#include "xenstore-lite/use.h"

static const struct shown {
	const char *name;  /* as xenstore-control is told */
	const char *quota; /* as xsd_quota_find knows it */
	bool soft;
	const char *text;
} all[] = {
	{ "nodes", "nodes", false, "Nodes per domain" },
	{ "watches", "watches", false, "Watches per domain" },
	{ "outstanding", "outstanding", false,
	  "Outstanding requests per domain" },
	{ "memory", "memory", false, "Memory per domain (error level)" },
	{ "transactions", "transactions", false,
	  "Open transactions per domain" },
	{ "transaction-nodes", "transaction-nodes", false,
	  "Nodes touched by one transaction" },
	{ "node-permissions", "node-permissions", false,
	  "Permissions of one node" },
	{ "path-max", "path-max", false, "Length of a node's path" },
	{ "node-size", "node-size", false, "Size of a node's value" },
	{ "event-memory", "event-memory", false,
	  "Memory of unread watch events per domain" },
	{ "connections", "connections", false, "Connections per domain" },
	{ "memory", "soft-memory", true, "Memory per domain (warning level)" },
};

static int show(const struct control_call *call, bool soft)
{
	const struct xsd_domains *domains = &call->conn->xsd->store.domains;

	control_add(call->text, "Quota settings:\n");
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].soft == soft)
			control_add(call->text, "%-17s: %8u %s\n", all[i].name,
				    xsd_quota_get(xsd_quota_find(all[i].quota),
						  &domains->defaults),
				    all[i].text);
	return 0;
}

/* One domain's, when it has what domains had so far. */
static int follow(struct xsd *xsd, struct xsd_domain *domain,
		  const struct xsd_quota *quota, uint32_t before,
		  uint32_t value)
{
	int err;

	if (xsd_quota_get(quota, &domain->quota) != before)
		return 0;
	xsd_quota_set(quota, &domain->quota, value);
	err = persist_domain(xsd, domain);
	if (err)
		xsd_quota_set(quota, &domain->quota, before);
	return err;
}

/*
 * The domains first: when the journal has no room half way, some have the new
 * value and domains to come have not; saying it again does the rest.
 */
static int set_all(struct xsd *xsd, const struct xsd_quota *quota,
		   uint32_t value)
{
	struct xsd_domains *domains = &xsd->store.domains;
	uint32_t before = xsd_quota_get(quota, &domains->defaults);
	int err = 0;

	list_for_each(l, &domains->all) {
		err = follow(xsd, container_of(l, struct xsd_domain, link),
			     quota, before, value);
		if (err)
			return err;
	}
	xsd_quota_set(quota, &domains->defaults, value);
	err = persist_specials(xsd);
	if (err)
		xsd_quota_set(quota, &domains->defaults, before);
	return err;
}

static int set(const struct control_call *call, bool soft)
{
	uint32_t value;

	if (call->nr_args != 3 ||
	    num_parse_u32(call->args[2], INT32_MAX, &value) || value == 0)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].soft == soft &&
		    strcmp(all[i].name, call->args[1]) == 0)
			return set_all(call->conn->xsd,
				       xsd_quota_find(all[i].quota), value);
	return -EINVAL;
}

static int show_domain(const struct control_call *call)
{
	struct xsd_domain *domain;
	uint32_t domid;

	if (call->nr_args != 1 ||
	    num_parse_u32(call->args[0], UINT32_MAX, &domid))
		return -EINVAL;
	domain = xsd_domain_find(&call->conn->xsd->store.domains, domid);
	if (!domain)
		return -ENOENT;
	use_look(domain);
	control_add(call->text, "Domain %u:\n", domid);
	for (unsigned i = 0; i < XSD_NR_USES; i++)
		control_add(call->text, "%-17s: %8u (max %8u)\n",
			    use_name((enum xsd_use)i),
			    use_now(domain, (enum xsd_use)i),
			    domain->use_max[i]);
	return 0;
}

/* Of all domains but domain 0, dead ones too. */
static uint32_t highest(const struct xsd *xsd, enum xsd_use use)
{
	uint32_t most = xsd->stats.use_max[use];

	list_for_each(l, &xsd->store.domains.all) {
		struct xsd_domain *domain =
			container_of(l, struct xsd_domain, link);

		if (domain->privileged)
			continue;
		use_look(domain);
		if (domain->use_max[use] > most)
			most = domain->use_max[use];
	}
	return most;
}

static void forget(struct xsd *xsd)
{
	memset(xsd->stats.use_max, 0, sizeof(xsd->stats.use_max));
	list_for_each(l, &xsd->store.domains.all)
		use_forget(container_of(l, struct xsd_domain, link));
}

static int show_highest(const struct control_call *call)
{
	struct xsd *xsd = call->conn->xsd;

	if (call->nr_args == 2 && strcmp(call->args[1], "-r") == 0)
		forget(xsd);
	else if (call->nr_args != 1)
		return -EINVAL;
	control_add(call->text, "Max. seen accounting values:\n");
	for (unsigned i = 0; i < XSD_NR_USES; i++)
		control_add(call->text, "%-17s: %8u\n",
			    use_name((enum xsd_use)i),
			    highest(xsd, (enum xsd_use)i));
	return 0;
}

int control_quota(const struct control_call *call)
{
	if (!call->nr_args)
		return show(call, false);
	if (strcmp(call->args[0], "set") == 0)
		return set(call, false);
	if (strcmp(call->args[0], "max") == 0)
		return show_highest(call);
	return show_domain(call);
}

int control_quota_soft(const struct control_call *call)
{
	if (!call->nr_args)
		return show(call, true);
	if (strcmp(call->args[0], "set") == 0)
		return set(call, true);
	return -EINVAL;
}
