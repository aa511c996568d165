/* SPDX-License-Identifier: MIT */
/*
 * request.c - one message to one answer: what all handlers need, and who
 * handles what. See request.h.
 */
#include "xenstore-lite/request.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/control.h"

/* ---- payloads --------------------------------------------------------- */

int request_strings(const struct request *rq, const char **ret, int min,
		    int max)
{
	const char *at = rq->payload, *end = at + rq->hdr.len;
	int nr = 0;

	if (rq->hdr.len && end[-1] != '\0')
		return -EINVAL;
	while (at < end) {
		if (nr == max)
			return -EINVAL;
		ret[nr++] = at;
		at += strlen(at) + 1;
	}
	return nr < min ? -EINVAL : nr;
}

void request_answer(struct xsd_conn *conn, const struct request *rq,
		    const void *data, size_t len)
{
	conn_put(conn, rq->hdr.type, rq->hdr.req_id, rq->hdr.tx_id, data, len);
}

void request_answer_string(struct xsd_conn *conn, const struct request *rq,
			   const char *text)
{
	request_answer(conn, rq, text, strlen(text) + 1);
}

void request_answer_ok(struct xsd_conn *conn, const struct request *rq)
{
	request_answer_string(conn, rq, "OK");
}

int request_path(const struct xsd_conn *conn, const char *text,
		 struct xpath *ret)
{
	return xpath_parse(text, conn->domain->domid,
			   conn->domain->limits->path_bytes, ret);
}

int request_only_path(const struct xsd_conn *conn, const struct request *rq,
		      struct xpath *ret)
{
	const char *text;
	int nr = request_strings(rq, &text, 1, 1);

	return nr < 0 ? nr : request_path(conn, text, ret);
}

int request_only_domid(const struct request *rq, uint32_t *ret)
{
	const char *text;
	int nr = request_strings(rq, &text, 1, 1);

	return nr < 0 || num_parse_u32(text, DOMID_FIRST_RESERVED - 1, ret)
		       ? -EINVAL
		       : 0;
}

struct txn *request_txn(const struct xsd_conn *conn, uint32_t id)
{
	list_for_each(l, &conn->txns) {
		struct txn *txn = container_of(l, struct txn, of_conn);

		if (txn->id == id)
			return txn;
	}
	return NULL;
}

int request_view(struct xsd_conn *conn, const struct request *rq,
		 struct access *ret)
{
	ret->store = &conn->xsd->store;
	ret->domain = conn->domain;
	ret->txn = NULL;
	if (rq->hdr.tx_id == 0)
		return 0;
	ret->txn = request_txn(conn, rq->hdr.tx_id);
	return ret->txn ? 0 : -ENOENT;
}

/* ---- dispatch --------------------------------------------------------- */

static const struct {
	request_handler *fn;
	bool privileged; /* only domain 0 may */
} handlers[XS_TYPE_COUNT] = {
	[XS_CONTROL] = { do_control, true },
	[XS_DIRECTORY] = { do_directory, false },
	[XS_READ] = { do_read, false },
	[XS_GET_PERMS] = { do_get_perms, false },
	[XS_WATCH] = { do_watch, false },
	[XS_UNWATCH] = { do_unwatch, false },
	[XS_TRANSACTION_START] = { do_transaction_start, false },
	[XS_TRANSACTION_END] = { do_transaction_end, false },
	[XS_INTRODUCE] = { do_introduce, true },
	[XS_RELEASE] = { do_release, true },
	[XS_GET_DOMAIN_PATH] = { do_get_domain_path, false },
	[XS_WRITE] = { do_write, false },
	[XS_MKDIR] = { do_mkdir, false },
	[XS_RM] = { do_rm, false },
	[XS_SET_PERMS] = { do_set_perms, false },
	[XS_IS_DOMAIN_INTRODUCED] = { do_is_domain_introduced, false },
	[XS_RESET_WATCHES] = { do_reset_watches, false },
	[XS_DIRECTORY_PART] = { do_directory_part, false },
};

/* A transaction that there is not comes before all else that may be wrong; a
 * watch has nothing to do with any. */
static bool has_bad_txn(const struct xsd_conn *conn, const struct request *rq)
{
	return rq->hdr.tx_id && rq->hdr.type != XS_WATCH &&
	       rq->hdr.type != XS_UNWATCH && !request_txn(conn, rq->hdr.tx_id);
}

static int dispatch(struct xsd_conn *conn, const struct request *rq)
{
	uint32_t type = rq->hdr.type;

	if (type >= XS_TYPE_COUNT || !handlers[type].fn)
		return -ENOSYS;
	if (handlers[type].privileged && !conn->domain->privileged)
		return -EACCES;
	if (has_bad_txn(conn, rq))
		return -ENOENT;
	return handlers[type].fn(conn, rq);
}

void request_run(struct xsd_conn *conn, const struct request *rq)
{
	int err = dispatch(conn, rq);
	const char *error;
	uint64_t took_ns;

	took_ns = stats_request(conn->xsd, rq->hdr.type, err);
	if (conn->xsd->log.on)
		control_log_request(conn, rq, err, took_ns);
	if (!err)
		return;
	error = xsd_error_name(-err);
	conn_put(conn, XS_ERROR, rq->hdr.req_id, rq->hdr.tx_id, error,
		 strlen(error) + 1);
}
