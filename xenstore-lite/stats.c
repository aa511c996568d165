/* SPDX-License-Identifier: MIT */
/* stats.c - the store's counters. See stats.h. */
#include "xenstore-lite/stats.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/private.h"
#include "xenstore-lite/use.h"

static const char *const kind_names[STATS_NR_KINDS] = {
	[XS_CONTROL] = "CONTROL",
	[XS_DIRECTORY] = "DIRECTORY",
	[XS_READ] = "READ",
	[XS_GET_PERMS] = "GET_PERMS",
	[XS_WATCH] = "WATCH",
	[XS_UNWATCH] = "UNWATCH",
	[XS_TRANSACTION_START] = "TRANSACTION_START",
	[XS_TRANSACTION_END] = "TRANSACTION_END",
	[XS_INTRODUCE] = "INTRODUCE",
	[XS_RELEASE] = "RELEASE",
	[XS_GET_DOMAIN_PATH] = "GET_DOMAIN_PATH",
	[XS_WRITE] = "WRITE",
	[XS_MKDIR] = "MKDIR",
	[XS_RM] = "RM",
	[XS_SET_PERMS] = "SET_PERMS",
	[XS_IS_DOMAIN_INTRODUCED] = "IS_DOMAIN_INTRODUCED",
	[XS_RESUME] = "RESUME",
	[XS_SET_TARGET] = "SET_TARGET",
	[XS_RESET_WATCHES] = "RESET_WATCHES",
	[XS_DIRECTORY_PART] = "DIRECTORY_PART",
	[XS_GET_FEATURE] = "GET_FEATURE",
	[XS_SET_FEATURE] = "SET_FEATURE",
	[XS_GET_QUOTA] = "GET_QUOTA",
	[XS_SET_QUOTA] = "SET_QUOTA",
	[XS_TYPE_COUNT] = "other",
};

unsigned stats_kind(uint32_t type)
{
	return type < XS_TYPE_COUNT && kind_names[type] ? (unsigned)type
							: XS_TYPE_COUNT;
}

const char *stats_kind_name(unsigned kind)
{
	return kind_names[kind];
}

void stats_init(struct xsd *xsd)
{
	xsd->stats.start_ns = xsd_now_ns(xsd);
}

void stats_turn(struct xsd *xsd)
{
	if (!xsd->stats.turned_ns)
		xsd->stats.turned_ns = xsd_now_ns(xsd);
}

/* Which of xsd_errors the client is told; the first for what has no name. */
static unsigned error_index(int err)
{
	for (unsigned i = 0; i < XSD_NR_ERRORS; i++)
		if (xsd_errors[i].errnum == -err)
			return i;
	return 0;
}

uint64_t stats_request(struct xsd_conn *conn, uint32_t type, int err)
{
	struct xsd_stats *stats = &conn->xsd->stats;
	struct xsd_activity *did = &conn->domain->did;
	unsigned kind = stats_kind(type);
	uint64_t now_ns = xsd_now_ns(conn->xsd);
	uint64_t took_ns = now_ns - stats->turned_ns;

	stats->turned_ns = now_ns;
	hist_record(&stats->kinds[kind].latency_ns, took_ns);
	did->nr_requests++;
	did->spent_ns += took_ns;
	if (err) {
		did->nr_errors++;
		stats->kinds[kind].nr_errors++;
		stats->nr_errors[error_index(err)]++;
	}
	return took_ns;
}

enum stats_end stats_end_of(int err)
{
	if (!err)
		return STATS_COMMITTED;
	return err == -EAGAIN ? STATS_CONFLICT : STATS_REFUSED;
}

void stats_txn(struct xsd *xsd, const struct txn *txn, enum stats_end end)
{
	struct xsd_stats *stats = &xsd->stats;

	stats_turn(xsd);
	stats->nr_ends[end]++;
	if (end == STATS_CONFLICT)
		txn->domain->did.nr_conflicts++;
	hist_record(&stats->txn_ns, stats->turned_ns - txn->start_ns);
	use_saw(txn->domain, XSD_USE_TXN_NODES, txn->nr_nodes);
}

void stats_conn_opened(struct xsd *xsd)
{
	struct xsd_stats *stats = &xsd->stats;

	stats->nr_conns_ever++;
	if (++stats->nr_conns > stats->nr_conns_max)
		stats->nr_conns_max = stats->nr_conns;
}

void stats_conn_closed(struct xsd *xsd)
{
	xsd->stats.nr_conns--;
}

void stats_domain_gone(struct xsd *xsd, const struct xsd_domain *domain)
{
	for (unsigned i = 0; i < XSD_NR_USES; i++)
		if (domain->use_max[i] > xsd->stats.use_max[i])
			xsd->stats.use_max[i] = domain->use_max[i];
}

static void look_at(const struct xsd_conn *conn, struct stats_queue *max,
		    size_t bytes)
{
	if (bytes <= max->bytes)
		return;
	max->bytes = bytes;
	max->conn_id = conn->id;
	max->domid = conn->domain->domid;
}

void stats_queues(const struct xsd_conn *conn)
{
	look_at(conn, &conn->xsd->stats.in_max, conn->in.len);
	look_at(conn, &conn->xsd->stats.out_max, conn->out.len);
}
