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
#include "xenstore-lite/use.h"

/* ---- payloads --------------------------------------------------------- */

int request_strings(const struct request *rq, const char **ret, int min,
		    int max)
{
	const char *at = rq->payload, *end = at + rq->hdr.len, *nul;
	int nr = 0;

	while (at < end && (nul = memchr(at, '\0', (size_t)(end - at)))) {
		if (nr == max)
			return -EINVAL;
		ret[nr++] = at;
		at = nul + 1;
	}
	return nr < min ? -EINVAL : nr;
}

int request_only_string(const struct request *rq, const char **ret)
{
	if (request_strings(rq, ret, 1, 1) < 0 ||
	    rq->payload[rq->hdr.len - 1] != '\0')
		return -EINVAL;
	return 0;
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

/* What was asked for, whatever becomes of it. */
static int path_seen(const struct xsd_conn *conn, const struct xpath *path,
		     int err)
{
	if (!err)
		use_saw(conn->domain, XSD_USE_PATH_BYTES, path->counted);
	return err;
}

int request_path(const struct xsd_conn *conn, const char *text,
		 struct xpath *ret)
{
	return path_seen(conn, ret,
			 xpath_parse(text, conn->domain->domid,
				     conn->domain->limits->path_bytes, ret));
}

int request_only_path(const struct xsd_conn *conn, const struct request *rq,
		      struct xpath *ret)
{
	const char *text;
	int err = request_only_string(rq, &text);

	return err ? err : request_path(conn, text, ret);
}

int request_domid(const char *text, uint32_t *ret)
{
	return num_parse_u32(text, UINT16_MAX, ret) ? -EINVAL : 0;
}

struct xsd_domain *request_find_domain(const struct xsd_conn *conn,
				       const char *text, int *err)
{
	struct xsd_domain *domain;
	uint32_t domid;

	*err = request_domid(text, &domid);
	if (*err)
		return NULL;
	domain = xsd_domain_find(&conn->xsd->store.domains, domid);
	if (!domain)
		*err = -ENOENT;
	return domain;
}

int request_only_domid(const struct request *rq, uint32_t *ret)
{
	const char *text;
	int err = request_only_string(rq, &text);

	return err ? err : request_domid(text, ret);
}

int request_any_path(const struct xsd_conn *conn, const char *text,
		     struct xpath *ret)
{
	return path_seen(conn, ret,
			 xpath_parse_any(text, conn->domain->domid,
					 conn->domain->limits->path_bytes,
					 ret));
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

void request_view(struct xsd_conn *conn, const struct request *rq,
		  struct access *ret)
{
	ret->store = &conn->xsd->store;
	ret->domain = conn->domain;
	ret->txn = rq->txn;
}

int request_commit(struct xsd_conn *conn, struct txn *txn)
{
	uint64_t now_ns = conn->xsd->stats.turned_ns;
	int err = txn_commit(txn, xsd_changed, conn->xsd);

	if (!err && txn->nr_changes > 0)
		credit_spend(conn->domain, now_ns);
	if (err == -EAGAIN && txn->culprit)
		credit_blame(txn->culprit, txn->could, now_ns,
			     &conn->xsd->paused);
	return err;
}

/* ---- dispatch --------------------------------------------------------- */

/* Only domain 0 may. */
#define PRIVILEGED 0x1u
/* The request's transaction does not matter. */
#define NO_TXN 0x2u

static const struct {
	request_handler *fn;
	unsigned flags;
} handlers[XS_TYPE_COUNT] = {
	[XS_CONTROL] = { do_control, PRIVILEGED },
	[XS_DIRECTORY] = { do_directory, 0 },
	[XS_READ] = { do_read, 0 },
	[XS_GET_PERMS] = { do_get_perms, 0 },
	[XS_WATCH] = { do_watch, NO_TXN },
	[XS_UNWATCH] = { do_unwatch, NO_TXN },
	[XS_TRANSACTION_START] = { do_transaction_start, 0 },
	[XS_TRANSACTION_END] = { do_transaction_end, 0 },
	[XS_INTRODUCE] = { do_introduce, PRIVILEGED },
	[XS_RELEASE] = { do_release, PRIVILEGED },
	[XS_RESUME] = { do_resume, PRIVILEGED },
	[XS_GET_DOMAIN_PATH] = { do_get_domain_path, 0 },
	[XS_WRITE] = { do_write, 0 },
	[XS_MKDIR] = { do_mkdir, 0 },
	[XS_RM] = { do_rm, 0 },
	[XS_SET_PERMS] = { do_set_perms, 0 },
	[XS_IS_DOMAIN_INTRODUCED] = { do_is_domain_introduced, 0 },
	[XS_SET_TARGET] = { do_set_target, PRIVILEGED },
	[XS_RESET_WATCHES] = { do_reset_watches, 0 },
	[XS_DIRECTORY_PART] = { do_directory_part, 0 },
	[XS_GET_FEATURE] = { do_get_feature, 0 },
	[XS_SET_FEATURE] = { do_set_feature, PRIVILEGED },
	[XS_GET_QUOTA] = { do_get_quota, PRIVILEGED },
	[XS_SET_QUOTA] = { do_set_quota, PRIVILEGED },
};

/* The order of the checks is Xen's, so that the errors are too. */
static int dispatch(struct xsd_conn *conn, struct request *rq)
{
	uint32_t type = rq->hdr.type;

	if (type >= XS_TYPE_COUNT || !handlers[type].fn)
		return -ENOSYS;
	if ((handlers[type].flags & PRIVILEGED) && !conn->domain->privileged)
		return -EACCES;
	rq->txn = NULL;
	if (rq->hdr.tx_id && !(handlers[type].flags & NO_TXN)) {
		rq->txn = request_txn(conn, rq->hdr.tx_id);
		if (!rq->txn)
			return -ENOENT;
	}
	return handlers[type].fn(conn, rq);
}

void request_run(struct xsd_conn *conn, struct request *rq)
{
	int err = dispatch(conn, rq);
	const char *error;
	uint64_t took_ns;

	use_look(conn->domain);
	took_ns = stats_request(conn, rq->hdr.type, err);
	if (conn->xsd->log.on)
		control_log_request(conn, rq, err, took_ns);
	if (!err)
		return;
	error = xsd_error_name(-err);
	conn_put(conn, XS_ERROR, rq->hdr.req_id, rq->hdr.tx_id, error,
		 strlen(error) + 1);
}
