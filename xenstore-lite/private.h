/* SPDX-License-Identifier: MIT */
/* private.h - what conn.c, the requests and xsd.c share. See conn.h. */
#ifndef XENSTORE_LITE_PRIVATE_H
#define XENSTORE_LITE_PRIVATE_H

#include "abi/xs_wire.h"
#include "util/clock.h"
#include "xenstore-lite/access.h"
#include "xenstore-lite/conn.h"
#include "xenstore-lite/stats.h"
#include "xenstore-lite/watch.h"

#define XSD_MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

/* A connection's output: a message is added only while less than
 * XSD_OUTPUT_HIGH_BYTES are there. */
#define XSD_OUTPUT_BYTES (XSD_OUTPUT_HIGH_BYTES + XSD_MESSAGE_MAX)
/* Most such buffers that wait for the next who needs one. */
#define XSD_NR_SPARE 64u

/* The request log of control_log.c. */
struct xsd_log {
	bool on; /* in the image */
	uint64_t second_ns;
	uint32_t nr_lines; /* asked for in that second */
};

/* A live update that was asked for (update.h). */
struct xsd_update {
	bool wanted;
	char *file; /* NULL: this program again */
	/* Who waits for the answer; no connection: nobody. */
	uint64_t conn_id;
	uint32_t req_id, tx_id;
};

struct xsd {
	struct store store;
	struct watches watches;
	struct perms *special_perms[XSD_NR_SPECIALS];
	const struct xsd_ops *ops;
	bool held;	    /* no output: what it tells of is not on disk yet */
	struct list paused; /* struct xsd_domain.credit.of_paused */
	uint64_t last_conn_id; /* in the image */
	struct xsd_log log;
	struct xsd_update update; /* in the image, but the file */
	char *spare[XSD_NR_SPARE];
	uint32_t nr_spare;
	struct xsd_stats stats; /* in the image, but turned_ns */
};

static inline uint64_t xsd_now_ns(const struct xsd *xsd)
{
	return xsd->ops->now_ns ? xsd->ops->now_ns() : clock_now_ns();
}

/* Bytes in transit: data[start, start + len). */
struct bytes {
	char *data;
	size_t start, len, size;
};

struct xsd_conn {
	struct list of_domain;
	struct xsd *xsd;
	struct xsd_domain *domain;
	uint64_t id; /* never used twice; in the image */
	struct watcher watcher;
	struct list txns;
	uint32_t last_txn_id;
	struct bytes in, out;
	/* Of the first message in out: bytes left of it, when a part is gone
	 * already; 0: none is. In the image. */
	uint32_t first_left;
	bool first_is_event;
	uint32_t nr_outstanding; /* answers in out */
	struct list of_held;	 /* xsd_domain.held */
	void *arg;
	bool protocol_error, no_memory;
	bool more; /* in holds a request whose turn comes; in the image */
};

struct request {
	struct xsd_sockmsg hdr;
	const char *payload; /* hdr.len bytes, at most XENSTORE_PAYLOAD_MAX */
	struct txn *txn;     /* the one of hdr.tx_id, or NULL */
};

/*
 * Carry out one request, whose hdr and payload are set; room for its answer is
 * there.
 */
void request_run(struct xsd_conn *conn, struct request *rq);

/* Room for one whole message is there. len <= XENSTORE_PAYLOAD_MAX. */
void conn_put(struct xsd_conn *conn, uint32_t type, uint32_t req_id,
	      uint32_t tx_id, const void *data, size_t len);
/* A connection that no quota refuses. NULL: no memory. */
struct xsd_conn *conn_new(struct xsd *xsd, struct xsd_domain *domain,
			  void *arg);
void conn_end_txn(struct xsd_conn *conn, struct txn *txn, enum stats_end end);

/* An answer that was put off. No memory: the connection ends. */
void conn_put_late(struct xsd_conn *conn, uint32_t type, uint32_t req_id,
		   uint32_t tx_id, const void *data, size_t len);

/* What held the domain's connections back is over for now. */
void conn_unhold(struct xsd_domain *domain);

/* txn_change_fn: tell the watches. arg is the struct xsd. */
void xsd_changed(void *arg, const struct change *change);

#endif /* XENSTORE_LITE_PRIVATE_H */
