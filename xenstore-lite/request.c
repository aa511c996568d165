/* SPDX-License-Identifier: MIT */
/*
 * request.c - one message to one answer: what all handlers need, and who
 * handles what. See request.h.
 */
#include "xenstore-lite/request.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

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

void request_run(struct xsd_conn *conn, const struct request *rq)
{
	const char *error;
	int err = -ENOSYS;

	if (rq->hdr.type < XS_TYPE_COUNT && handlers[rq->hdr.type].fn) {
		err = -EACCES;
		if (!handlers[rq->hdr.type].privileged ||
		    conn->domain->privileged)
			err = handlers[rq->hdr.type].fn(conn, rq);
	}
	if (!err)
		return;
	error = xsd_error_name(-err);
	conn_put(conn, XS_ERROR, rq->hdr.req_id, rq->hdr.tx_id, error,
		 strlen(error) + 1);
}
