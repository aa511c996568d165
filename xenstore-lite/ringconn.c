/* SPDX-License-Identifier: MIT */
/* ringconn.c - a client that speaks over a shared page. See ringconn.h. */
#include "xenstore-lite/ringconn.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"

/* Events in a row that may bring nothing; from then on each doubles the time
 * until the next look. */
#define SPURIOUS_FREE	 1u
#define SPURIOUS_MAX_LOG 10u /* 1,024 ms */

int ringconn_open(struct ringconn *rc, struct platform *p, domid_t domid,
		  grant_ref_t gref, evtchn_port_t port, struct xsd_conn *conn)
{
	int err;

	memset(rc, 0, sizeof(*rc));
	rc->platform = p;
	rc->gref = gref;
	rc->port = port;
	rc->error = XENSTORE_ERROR_COMM;
	err = platform_map(p, domid, &gref, 1, true, &rc->map);
	if (err)
		return err;
	err = platform_evtchn_bind(p, domid, port, &rc->channel);
	if (err) {
		platform_unmap(p, &rc->map);
		return err;
	}
	rc->conn = conn;
	xsring_daemon_init(&rc->ring, rc->map.base, xsd_conn_features(conn));
	return 0;
}

void ringconn_close(struct ringconn *rc, bool keep_port)
{
	xsd_conn_close(rc->conn);
	if (keep_port)
		evtchn_abandon(rc->channel);
	else
		evtchn_close(rc->channel);
	platform_unmap(rc->platform, &rc->map);
}

static void connect(struct ringconn *rc)
{
	xsd_conn_reset(rc->conn);
	xsring_daemon_connect(&rc->ring);
	rc->error = XENSTORE_ERROR_NONE;
	rc->notify = true;
}

static void fail(struct ringconn *rc, uint32_t error)
{
	xsd_conn_reset(rc->conn);
	xsring_daemon_fail(&rc->ring, error);
	rc->error = error;
	rc->notify = true;
}

/* The connection's verdict on itself, as the guest is told it. */
static void judge(struct ringconn *rc, int err)
{
	if (err)
		fail(rc, err == -EPROTO ? XENSTORE_ERROR_PROTO
					: XENSTORE_ERROR_COMM);
}

void ringconn_start(struct ringconn *rc)
{
	connect(rc);
}

void ringconn_orphan(struct ringconn *rc)
{
	fail(rc, XENSTORE_ERROR_COMM);
}

void ringconn_resume(struct ringconn *rc, uint32_t in_cons, uint32_t out_prod,
		     uint32_t error)
{
	xsring_daemon_resume(&rc->ring, in_cons, out_prod);
	rc->error = error;
	/* Whether the guest was told of the last bytes is not known. */
	rc->notify = true;
}

int ringconn_event(struct ringconn *rc)
{
	int got = evtchn_clear(rc->channel);

	if (got > 0)
		rc->got_event = true;
	return got < 0 ? got : 0;
}

/* ---- looking at the page --------------------------------------------------
 */

/* Bytes that the guest has sent; -EPROTO, and then it has failed. */
static int waiting(struct ringconn *rc)
{
	uint32_t seen = rc->ring.in_prod;
	int nr = xsring_readable(&rc->ring);

	if (nr < 0)
		fail(rc, XENSTORE_ERROR_RINGIDX);
	else if (rc->ring.in_prod != seen)
		rc->progress = true;
	return nr;
}

/* Bytes that the guest has room for; the same. */
static int room(struct ringconn *rc)
{
	uint32_t seen = rc->ring.out_cons;
	int nr = xsring_writable(&rc->ring);

	if (nr < 0)
		fail(rc, XENSTORE_ERROR_RINGIDX);
	else if (rc->ring.out_cons != seen)
		rc->progress = true;
	return nr;
}

void ringconn_input(struct ringconn *rc)
{
	char buf[XENSTORE_RING_SIZE];
	size_t len;

	if (xsring_daemon_asked(&rc->ring)) {
		connect(rc);
		rc->progress = true;
	}
	if (rc->error || waiting(rc) <= 0 || !xsd_conn_wants_input(rc->conn))
		return;
	len = xsring_read(&rc->ring, buf, sizeof(buf));
	rc->progress = true;
	judge(rc, xsd_conn_feed(rc->conn, buf, len));
}

/* At most what there was room for when it was looked at. */
static void give(struct ringconn *rc)
{
	const void *data;
	int left = room(rc);
	size_t len;

	while (left > 0 && !rc->error &&
	       (len = xsd_conn_output(rc->conn, &data)) > 0) {
		len = xsring_write(&rc->ring, data,
				   len < (size_t)left ? len : (size_t)left);
		left -= (int)len;
		judge(rc, xsd_conn_sent(rc->conn, len));
	}
	/* It can fail without having anything to say. */
	if (!rc->error)
		judge(rc, xsd_conn_sent(rc->conn, 0));
	if (!rc->error && xsring_push(&rc->ring))
		rc->notify = true;
}

/* May the guest's next event be waited for, or is there more already? */
static bool has_more(struct ringconn *rc)
{
	const void *data;

	if (rc->error)
		return xsring_daemon_asked(&rc->ring);
	if (xsd_conn_wants_input(rc->conn) && waiting(rc) != 0)
		return true;
	return xsd_conn_output(rc->conn, &data) > 0 && room(rc) != 0;
}

/* Late end of interrupt. */
static void account_event(struct ringconn *rc, uint64_t now_ns)
{
	unsigned log;

	if (rc->progress) {
		rc->nr_spurious = 0;
		rc->resume_ns = 0;
	} else if (rc->got_event) {
		if (rc->nr_spurious <= SPURIOUS_FREE + SPURIOUS_MAX_LOG)
			rc->nr_spurious++;
		if (rc->nr_spurious > SPURIOUS_FREE) {
			log = rc->nr_spurious - SPURIOUS_FREE - 1;
			rc->resume_ns = now_ns + (NS_PER_MS << log);
		}
	}
	rc->progress = false;
	rc->got_event = false;
}

bool ringconn_output(struct ringconn *rc, uint64_t now_ns)
{
	bool more;

	if (!rc->error)
		give(rc);
	more = has_more(rc);
	account_event(rc, now_ns);
	if (rc->notify)
		evtchn_notify(rc->channel);
	rc->notify = false;
	return more;
}
