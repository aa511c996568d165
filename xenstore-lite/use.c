/* SPDX-License-Identifier: MIT */
/* use.c - what a domain uses of its quotas. See use.h. */
#include "xenstore-lite/use.h"

#include "xenstore-lite/private.h"

/* The largest of its open transactions. */
static uint32_t txn_nodes(const struct xsd_domain *domain)
{
	uint32_t most = 0;

	list_for_each(c, &domain->conns) {
		const struct xsd_conn *conn =
			container_of(c, struct xsd_conn, of_domain);

		list_for_each(t, &conn->txns) {
			const struct txn *txn =
				container_of(t, struct txn, of_conn);

			if (txn->nr_nodes > most)
				most = txn->nr_nodes;
		}
	}
	return most;
}

/* Only domain 0's has no bound below this. */
static uint32_t memory(const struct xsd_domain *domain)
{
	return domain->memory_bytes < XSD_UNLIMITED
		       ? (uint32_t)domain->memory_bytes
		       : XSD_UNLIMITED - 1;
}

const char *use_name(enum xsd_use use)
{
	static const char *const names[XSD_NR_USES] = {
		[XSD_USE_NODES] = "nodes",
		[XSD_USE_WATCHES] = "watches",
		[XSD_USE_TRANSACTIONS] = "transactions",
		[XSD_USE_TXN_NODES] = "transaction-nodes",
		[XSD_USE_OUTSTANDING] = "outstanding",
		[XSD_USE_MEMORY] = "memory",
		[XSD_USE_EVENTS] = "event-memory",
		[XSD_USE_CONNECTIONS] = "connections",
		[XSD_USE_NODE_BYTES] = "node-size",
		[XSD_USE_PERMS] = "node-permissions",
		[XSD_USE_PATH_BYTES] = "path-max",
	};

	return names[use];
}

uint32_t use_now(const struct xsd_domain *domain, enum xsd_use use)
{
	switch (use) {
	case XSD_USE_NODES: return domain->nr_nodes;
	case XSD_USE_WATCHES: return domain->nr_watches;
	case XSD_USE_TRANSACTIONS: return domain->nr_transactions;
	case XSD_USE_TXN_NODES: return txn_nodes(domain);
	case XSD_USE_OUTSTANDING: return domain->nr_outstanding;
	case XSD_USE_MEMORY: return memory(domain);
	case XSD_USE_EVENTS: return domain->event_bytes;
	case XSD_USE_CONNECTIONS: return domain->nr_conns;
	case XSD_USE_NODE_BYTES:
	case XSD_USE_PERMS:
	case XSD_USE_PATH_BYTES:
	case XSD_NR_USES: break;
	}
	return 0;
}

uint32_t use_limit(const struct xsd_domain *domain, enum xsd_use use)
{
	return xsd_quota_get(xsd_quota_find(use_name(use)), domain->limits);
}

void use_look(struct xsd_domain *domain)
{
	use_saw(domain, XSD_USE_NODES, domain->nr_nodes);
	use_saw(domain, XSD_USE_WATCHES, domain->nr_watches);
	use_saw(domain, XSD_USE_TRANSACTIONS, domain->nr_transactions);
	use_saw(domain, XSD_USE_OUTSTANDING, domain->nr_outstanding);
	use_saw(domain, XSD_USE_MEMORY, memory(domain));
	use_saw(domain, XSD_USE_EVENTS, domain->event_bytes);
	use_saw(domain, XSD_USE_CONNECTIONS, domain->nr_conns);
}

void use_forget(struct xsd_domain *domain)
{
	for (unsigned i = 0; i < XSD_NR_USES; i++)
		domain->use_max[i] = use_now(domain, (enum xsd_use)i);
}
