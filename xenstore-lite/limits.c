/* SPDX-License-Identifier: MIT */
/* limits.c - the default quotas. See limits.h. */
#include "xenstore-lite/limits.h"

const struct xsd_limits xsd_limits_domu = {
	.nodes = 1000,
	.node_bytes = 2048,
	.perms = 5,
	.path_bytes = XENSTORE_REL_PATH_MAX,
	.watches = 128,
	.transactions = 10,
	.txn_nodes = 1024,
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
	.event_bytes = 16 * 1024 * 1024,
	.connections = 8192,
};
