/* SPDX-License-Identifier: MIT */
/* limits.c - the default quotas, and their names. See limits.h. */
#include "xenstore-lite/limits.h"

#include <stddef.h>
#include <string.h>

#include "util/num.h"

const struct xsd_limits xsd_limits_domu = {
	.nodes = 1000,
	.node_bytes = 2048,
	.perms = 5,
	.path_bytes = XENSTORE_REL_PATH_MAX,
	.watches = 128,
	.transactions = 10,
	.txn_nodes = 1024,
	.outstanding = 20,
	.memory = 2560 * 1024,
	.memory_soft = 2048 * 1024,
	.event_bytes = 256 * 1024,
	.connections = 512,
};

const struct xsd_limits xsd_limits_priv = {
	.nodes = XSD_UNLIMITED,
	.node_bytes = XENSTORE_PAYLOAD_MAX,
	.perms = XSD_UNLIMITED,
	.path_bytes = XSD_PATH_MAX,
	.watches = XSD_UNLIMITED,
	.transactions = XSD_UNLIMITED,
	.txn_nodes = XSD_UNLIMITED,
	.outstanding = XSD_UNLIMITED,
	.memory = XSD_UNLIMITED,
	.memory_soft = XSD_UNLIMITED,
	.event_bytes = 16 * 1024 * 1024,
	.connections = 8192,
};

struct xsd_quota {
	const char *name;
	size_t offset; /* in struct xsd_limits */
};

/* The last is another name of one above: the specification's. */
static const struct xsd_quota quotas[] = {
	{ "nodes", offsetof(struct xsd_limits, nodes) },
	{ "watches", offsetof(struct xsd_limits, watches) },
	{ "outstanding", offsetof(struct xsd_limits, outstanding) },
	{ "memory", offsetof(struct xsd_limits, memory) },
	{ "soft-memory", offsetof(struct xsd_limits, memory_soft) },
	{ "transactions", offsetof(struct xsd_limits, transactions) },
	{ "transaction-nodes", offsetof(struct xsd_limits, txn_nodes) },
	{ "node-permissions", offsetof(struct xsd_limits, perms) },
	{ "path-max", offsetof(struct xsd_limits, path_bytes) },
	{ "node-size", offsetof(struct xsd_limits, node_bytes) },
	{ "event-memory", offsetof(struct xsd_limits, event_bytes) },
	{ "connections", offsetof(struct xsd_limits, connections) },
	{ "permissions", offsetof(struct xsd_limits, perms) },
};

const struct xsd_quota *xsd_quota_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++)
		if (strcmp(quotas[i].name, name) == 0)
			return &quotas[i];
	return NULL;
}

const char *xsd_quota_names(void)
{
	return "nodes watches outstanding memory soft-memory transactions "
	       "transaction-nodes node-permissions path-max node-size "
	       "event-memory connections";
}

uint32_t xsd_quota_get(const struct xsd_quota *quota,
		       const struct xsd_limits *limits)
{
	uint32_t value;

	memcpy(&value, (const char *)limits + quota->offset, sizeof(value));
	return value == XSD_UNLIMITED ? 0 : value;
}

void xsd_quota_set(const struct xsd_quota *quota, struct xsd_limits *limits,
		   uint32_t value)
{
	if (value == 0)
		value = XSD_UNLIMITED;
	memcpy((char *)limits + quota->offset, &value, sizeof(value));
}
