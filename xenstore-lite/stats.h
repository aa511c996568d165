/* SPDX-License-Identifier: MIT */
/*
 * stats.h - what the store counts of its own work, for operators. Private to
 * the store; control.c shows it.
 *
 * The clock is read once per request: a request's time begins when the one
 * before it ended or, for the first after a sleep, when the store turned to its
 * connection. It ends when the answer is ready; waiting in queues and for the
 * journal is not in it. So what a request costs the others is what one sees.
 *
 * Figures count from the start of the process, or from the first of a row of
 * live updates. Times are nanoseconds of the monotonic clock.
 */
#ifndef XENSTORE_LITE_STATS_H
#define XENSTORE_LITE_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/grant.h"
#include "abi/xs_wire.h"
#include "util/hist.h"
#include "xenstore-lite/domain.h"

struct xsd;
struct xsd_conn;
struct txn;

/* One per message type, and one for all types that there are not. */
#define STATS_NR_KINDS (XS_TYPE_COUNT + 1)

/* How a transaction ended. */
enum stats_end {
	STATS_COMMITTED,
	STATS_CONFLICT, /* -EAGAIN */
	STATS_REFUSED,	/* the commit failed otherwise: a quota, no memory */
	STATS_ABORTED,	/* by the client, or with it */
	STATS_NR_ENDS
};

/* The most that ever waited in one connection's queue, and whose it was. */
struct stats_queue {
	uint64_t bytes, conn_id;
	domid_t domid;
};

/* The journal fills this in. */
struct stats_journal {
	bool on;      /* false: nothing outlives the process */
	bool full;    /* no room: changes are refused */
	int err;      /* why the disk takes nothing now, as -errno; or 0 */
	int last_err; /* the last such, and when; or 0 */
	uint64_t last_err_ns;
	uint64_t segment;    /* journal.K that is written */
	uint64_t file_bytes; /* of it */
	uint64_t nr_records, record_bytes;
	uint64_t nr_refused; /* changes, for want of room */
	uint64_t nr_flushes, nr_snapshots, nr_failed_snapshots;
	struct hist flush_ns;
};

struct xsd_stats {
	uint64_t start_ns;
	uint64_t turned_ns; /* to what is done now; 0: nothing is */
	struct {
		uint64_t nr_errors;
		struct hist latency_ns; /* its count: requests */
	} kinds[STATS_NR_KINDS];
	uint64_t nr_errors[XSD_NR_ERRORS]; /* in the order of xsd_errors */
	uint64_t nr_ends[STATS_NR_ENDS];   /* of transactions */
	struct hist txn_ns;		   /* from start to end */
	uint64_t nr_conns, nr_conns_max, nr_conns_ever;
	uint64_t in_bytes, out_bytes;
	struct stats_queue in_max, out_max;
	uint32_t use_max[XSD_NR_USES]; /* the highest of dead domains */
	struct stats_journal journal;
};

/* The kind of a message's type. */
unsigned stats_kind(uint32_t type);
/* "READ" for XS_READ; "other" for all that is none. NULL: not for requests. */
const char *stats_kind_name(unsigned kind);

void stats_init(struct xsd *xsd);

/* The store turns to a connection's requests; cheap when it did already. */
void stats_turn(struct xsd *xsd);
/* A request has its answer. Returns what it took. */
uint64_t stats_request(struct xsd_conn *conn, uint32_t type, int err);

/* A transaction ends; stats_end_of: by what its commit said. */
enum stats_end stats_end_of(int err);
void stats_txn(struct xsd *xsd, const struct txn *txn, enum stats_end end);

void stats_conn_opened(struct xsd *xsd);
void stats_conn_closed(struct xsd *xsd);
/* What it used at most is remembered. */
void stats_domain_gone(struct xsd *xsd, const struct xsd_domain *domain);
/* Look at how much waits in a connection's queues. */
void stats_queues(const struct xsd_conn *conn);

#endif /* XENSTORE_LITE_STATS_H */
