/* SPDX-License-Identifier: MIT */
/* conn.c - bytes of one client: framing, output. See conn.h. */
#include "xenstore-lite/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/persist.h"
#include "xenstore-lite/private.h"

/* ---- bytes ----------------------------------------------------------------
 */

static int bytes_reserve(struct xsd_conn *conn, struct bytes *b, size_t more)
{
	size_t size = b->size ? b->size : 512;
	char *data;

	if (b->start + b->len + more <= b->size)
		return 0;
	while (size < b->len + more)
		size *= 2;
	data = malloc(size);
	if (!data)
		return -ENOMEM;
	if (b->len)
		memcpy(data, b->data + b->start, b->len);
	free(b->data);
	xsd_domain_charge(conn->domain, (int64_t)size - (int64_t)b->size);
	b->data = data;
	b->start = 0;
	b->size = size;
	return 0;
}

/*
 * Room for one more message of output. Most answers are sent in the round in
 * which they were made: a few buffers go from hand to hand.
 */
static int output_reserve(struct xsd_conn *conn)
{
	struct xsd *xsd = conn->xsd;
	struct bytes *b = &conn->out;

	if (!b->data) {
		b->data = xsd->nr_spare ? xsd->spare[--xsd->nr_spare]
					: malloc(XSD_OUTPUT_BYTES);
		if (!b->data)
			return -ENOMEM;
		b->size = XSD_OUTPUT_BYTES;
		xsd_domain_charge(conn->domain, XSD_OUTPUT_BYTES);
	}
	assert(b->len + XSD_MESSAGE_MAX <= b->size);
	if (b->start + b->len + XSD_MESSAGE_MAX > b->size) {
		memmove(b->data, b->data + b->start, b->len);
		b->start = 0;
	}
	return 0;
}

static void output_free(struct xsd_conn *conn)
{
	struct xsd *xsd = conn->xsd;

	xsd_domain_charge(conn->domain, -(int64_t)conn->out.size);
	if (conn->out.data && xsd->nr_spare < XSD_NR_SPARE)
		xsd->spare[xsd->nr_spare++] = conn->out.data;
	else
		free(conn->out.data);
	memset(&conn->out, 0, sizeof(conn->out));
}

static void output_take(struct xsd_conn *conn, size_t len)
{
	conn->out.start += len;
	conn->out.len -= len;
	if (conn->out.len == 0)
		output_free(conn);
}

static void bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (len)
		memcpy(b->data + b->start + b->len, data, len);
	b->len += len;
}

/* An idle connection keeps no buffer. */
static void bytes_take(struct xsd_conn *conn, struct bytes *b, size_t len)
{
	b->start += len;
	b->len -= len;
	if (b->len)
		return;
	xsd_domain_charge(conn->domain, -(int64_t)b->size);
	free(b->data);
	memset(b, 0, sizeof(*b));
}

/* ---- being held back ------------------------------------------------- */

void conn_unhold(struct xsd_domain *domain)
{
	while (!list_empty(&domain->held)) {
		struct xsd_conn *conn = container_of(domain->held.next,
						     struct xsd_conn, of_held);

		list_del(&conn->of_held);
		conn->xsd->ops->output(conn->arg);
	}
}

/* So many answers are read. */
static void settle(struct xsd_conn *conn, uint32_t nr)
{
	struct xsd_domain *domain = conn->domain;
	bool held = xsd_domain_held(domain);

	conn->nr_outstanding -= nr;
	domain->nr_outstanding -= nr;
	if (held && !xsd_domain_held(domain))
		conn_unhold(domain);
}

/* ---- life -----------------------------------------------------------------
 */

static void wake(struct watcher *watcher)
{
	struct xsd_conn *conn = container_of(watcher, struct xsd_conn, watcher);

	conn->xsd->ops->output(conn->arg);
}

struct xsd_conn *conn_new(struct xsd *xsd, struct xsd_domain *domain, void *arg)
{
	struct xsd_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->xsd = xsd;
	conn->id = ++xsd->last_conn_id;
	conn->domain = domain;
	conn->arg = arg;
	list_init(&conn->txns);
	list_init(&conn->of_held);
	watcher_init(&conn->watcher, domain, wake);
	list_add_tail(&domain->conns, &conn->of_domain);
	domain->nr_conns++;
	xsd_domain_charge(domain, (int64_t)sizeof(*conn));
	stats_conn_opened(xsd);
	return conn;
}

int xsd_conn_open(struct xsd *xsd, uint32_t domid, void *arg,
		  struct xsd_conn **ret)
{
	struct xsd_domain *domain = xsd_domain_find(&xsd->store.domains, domid);
	struct xsd_conn *conn;

	if (!domain)
		return -ENOENT;
	if (domain->nr_conns >= domain->limits->connections)
		return -EMFILE;
	conn = conn_new(xsd, domain, arg);
	if (!conn)
		return -ENOMEM;
	*ret = conn;
	return 0;
}

void conn_end_txn(struct xsd_conn *conn, struct txn *txn, enum stats_end end)
{
	stats_txn(conn->xsd, txn, end);
	list_del(&txn->of_conn);
	conn->domain->nr_transactions--;
	txn_fini(txn);
	free(txn);
}

void xsd_conn_reset(struct xsd_conn *conn)
{
	list_for_each_safe(l, tmp, &conn->txns)
		conn_end_txn(conn, container_of(l, struct txn, of_conn),
			     STATS_ABORTED);
	watch_del_all(&conn->xsd->watches, &conn->watcher);
	conn->watcher.broken = false;
	conn->protocol_error = conn->no_memory = conn->more = false;
	bytes_take(conn, &conn->in, conn->in.len);
	output_take(conn, conn->out.len);
	conn->first_left = 0;
	settle(conn, conn->nr_outstanding);
}

void xsd_conn_close(struct xsd_conn *conn)
{
	if (!conn)
		return;
	list_del(&conn->of_held);
	xsd_conn_reset(conn);
	watcher_fini(&conn->xsd->watches, &conn->watcher);
	list_del(&conn->of_domain);
	conn->domain->nr_conns--;
	xsd_domain_charge(conn->domain, -(int64_t)sizeof(*conn));
	stats_conn_closed(conn->xsd);
	free(conn);
}

uint32_t xsd_conn_features(const struct xsd_conn *conn)
{
	return conn->domain->features;
}

/* ---- input ----------------------------------------------------------------
 */

static bool is_full(const struct xsd_conn *conn)
{
	return conn->out.len >= XSD_OUTPUT_HIGH_BYTES;
}

static bool is_dead(const struct xsd_conn *conn)
{
	return conn->protocol_error || conn->no_memory || conn->watcher.broken;
}

/* It makes the store hold too much: one request, and its answer is read first.
 */
static bool is_heavy(const struct xsd_conn *conn)
{
	return conn->out.len > 0 && !xsd_domain_has_room(conn->domain, 1);
}

/* Until there is an answer to its last request; room for it stays. */
static bool waits_for_update(const struct xsd_conn *conn)
{
	return conn->xsd->update.conn_id == conn->id;
}

static bool may_be_served(struct xsd_conn *conn)
{
	if (waits_for_update(conn))
		return false;
	if (is_full(conn) || is_dead(conn) || is_heavy(conn))
		return false;
	if (!xsd_domain_held(conn->domain))
		return true;
	if (conn->domain->credit.paused &&
	    credit_resume(conn->domain, xsd_now_ns(conn->xsd))) {
		conn_unhold(conn->domain);
		return may_be_served(conn);
	}
	if (list_empty(&conn->of_held))
		list_add_tail(&conn->domain->held, &conn->of_held);
	return false;
}

bool xsd_conn_wants_input(struct xsd_conn *conn)
{
	return !conn->more && may_be_served(conn);
}

static int verdict(const struct xsd_conn *conn)
{
	if (conn->protocol_error)
		return -EPROTO;
	return is_dead(conn) ? -ENOMEM : 0;
}

/* What all requests have cost so far. */
static uint64_t work_done(const struct xsd *xsd)
{
	return xsd->store.work + xsd->watches.nr_queued +
	       xsd->watches.nr_merged;
}

/*
 * Carry out the whole messages in data while there is room for the answers, and
 * no more than a turn's work; returns the bytes used.
 */
static size_t run(struct xsd_conn *conn, const char *data, size_t len)
{
	uint64_t enough = work_done(conn->xsd) + XSD_TURN_WORK;
	struct request rq;
	size_t used = 0;

	stats_turn(conn->xsd);
	conn->more = false;
	while (may_be_served(conn) && len - used >= sizeof(rq.hdr)) {
		memcpy(&rq.hdr, data + used, sizeof(rq.hdr));
		if (rq.hdr.len > XENSTORE_PAYLOAD_MAX) {
			conn->protocol_error = true;
			break;
		}
		if (len - used < sizeof(rq.hdr) + rq.hdr.len)
			break;
		if (work_done(conn->xsd) >= enough) {
			conn->more = true;
			conn->xsd->ops->output(conn->arg);
			break;
		}
		if (output_reserve(conn)) {
			conn->no_memory = true;
			break;
		}
		conn->xsd->store.work++;
		rq.payload = data + used + sizeof(rq.hdr);
		used += sizeof(rq.hdr) + rq.hdr.len;
		request_run(conn, &rq);
	}
	return used;
}

static void run_stored(struct xsd_conn *conn)
{
	if (conn->in.len)
		bytes_take(conn, &conn->in,
			   run(conn, conn->in.data + conn->in.start,
			       conn->in.len));
}

int xsd_conn_feed(struct xsd_conn *conn, const void *data, size_t len)
{
	assert(len <= XSD_FEED_MAX_BYTES && !is_full(conn));
	conn->xsd->stats.in_bytes += len;
	if (!conn->in.len) {
		size_t used = run(conn, data, len);

		data = (const char *)data + used;
		len -= used;
	}
	if (len && !is_dead(conn)) {
		if (bytes_reserve(conn, &conn->in, len)) {
			conn->no_memory = true;
		} else {
			bytes_add(&conn->in, data, len);
			stats_queues(conn);
			if (!conn->more)
				run_stored(conn);
		}
	}
	return verdict(conn);
}

/* ---- output ---------------------------------------------------------------
 */

void conn_put(struct xsd_conn *conn, uint32_t type, uint32_t req_id,
	      uint32_t tx_id, const void *data, size_t len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = req_id,
				   .tx_id = tx_id,
				   .len = (uint32_t)len };

	assert(len <= XENSTORE_PAYLOAD_MAX);
	bytes_add(&conn->out, &hdr, sizeof(hdr));
	bytes_add(&conn->out, data, len);
	if (type != XS_WATCH_EVENT) {
		conn->nr_outstanding++;
		conn->domain->nr_outstanding++;
	}
}

/* Which of the messages that begin the output are gone with len bytes. */
static void count_sent(struct xsd_conn *conn, size_t len)
{
	const char *at = conn->out.data + conn->out.start;
	struct xsd_sockmsg hdr;
	uint32_t nr = 0;

	while (len > 0) {
		size_t n;

		if (conn->first_left == 0) {
			memcpy(&hdr, at, sizeof(hdr));
			conn->first_left = (uint32_t)sizeof(hdr) + hdr.len;
			conn->first_is_event = hdr.type == XS_WATCH_EVENT;
		}
		n = len < conn->first_left ? len : conn->first_left;
		conn->first_left -= (uint32_t)n;
		nr += conn->first_left == 0 && !conn->first_is_event;
		at += n;
		len -= n;
	}
	if (nr)
		settle(conn, nr);
}

static void put_events(struct xsd_conn *conn)
{
	char payload[XENSTORE_PAYLOAD_MAX];

	while (!is_full(conn) && !waits_for_update(conn) &&
	       !list_empty(&conn->watcher.events)) {
		size_t len;

		if (output_reserve(conn)) {
			conn->no_memory = true;
			return;
		}
		len = watcher_next_event(&conn->xsd->watches, &conn->watcher,
					 payload);
		conn_put(conn, XS_WATCH_EVENT, 0, 0, payload, len);
	}
}

void conn_put_late(struct xsd_conn *conn, uint32_t type, uint32_t req_id,
		   uint32_t tx_id, const void *data, size_t len)
{
	if (output_reserve(conn))
		conn->no_memory = true;
	else
		conn_put(conn, type, req_id, tx_id, data, len);
	conn->xsd->ops->output(conn->arg);
}

size_t xsd_conn_output(struct xsd_conn *conn, const void **data)
{
	*data = NULL;
	conn->xsd->stats.turned_ns = 0;
	if (persist_write(conn->xsd))
		return 0;
	put_events(conn);
	stats_queues(conn);
	if (conn->out.len)
		*data = conn->out.data + conn->out.start;
	return conn->out.len;
}

int xsd_conn_sent(struct xsd_conn *conn, size_t len)
{
	assert(len <= conn->out.len);
	conn->xsd->stats.out_bytes += len;
	if (len)
		count_sent(conn, len);
	output_take(conn, len);
	if (len == 0 || !conn->more)
		run_stored(conn);
	return verdict(conn);
}
