/* SPDX-License-Identifier: MIT */
/*
 * request_session.c - what a connection keeps: watches, transactions.
 * See request.h.
 */
#include "xenstore-lite/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

/* ---- watches ---------------------------------------------------------- */

/* The path of a watch: a node's or a special name. */
static int watch_path(const struct xsd_conn *conn, const char *text,
		      struct xpath *ret)
{
	enum xsd_special special;

	if (text[0] != '@')
		return request_path(conn, text, ret);
	if (xsd_special_parse(text, &special))
		return -EINVAL;
	ret->len = (uint16_t)strlen(text);
	ret->rel_off = 0;
	memcpy(ret->text, text, ret->len + 1u);
	return 0;
}

int do_watch(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct xpath path;
	int err;

	if (request_strings(rq, args, 2, 2) != 2)
		return -EINVAL;
	err = watch_path(conn, args[0], &path);
	if (!err)
		err = watch_add(&conn->xsd->watches, &conn->watcher, path.text,
				path.len, path.rel_off, args[1]);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}

int do_unwatch(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct xpath path;
	int err;

	if (request_strings(rq, args, 2, 2) != 2)
		return -EINVAL;
	err = watch_path(conn, args[0], &path);
	if (!err)
		err = watch_del(&conn->xsd->watches, &conn->watcher, path.text,
				path.len, args[1]);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}

int do_reset_watches(struct xsd_conn *conn, const struct request *rq)
{
	watch_del_all(&conn->xsd->watches, &conn->watcher);
	list_for_each_safe(l, tmp, &conn->txns)
		conn_end_txn(conn, container_of(l, struct txn, of_conn));
	request_answer_ok(conn, rq);
	return 0;
}

/* ---- transactions ----------------------------------------------------- */

int do_transaction_start(struct xsd_conn *conn, const struct request *rq)
{
	struct xsd_domain *domain = conn->domain;
	struct txn *txn;
	char text[12];

	if (rq->hdr.tx_id != 0)
		return -EBUSY;
	if (domain->nr_transactions >= domain->limits->transactions)
		return -ENOSPC;
	txn = malloc(sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	txn_init(txn, &conn->xsd->store, domain, domain->limits->txn_nodes);
	do
		txn->id = ++conn->last_txn_id;
	while (txn->id == 0 || request_txn(conn, txn->id));
	list_add_tail(&conn->txns, &txn->of_conn);
	domain->nr_transactions++;
	if (str_printf(text, sizeof(text), "%u", txn->id) < 0)
		return -EIO;
	request_answer_string(conn, rq, text);
	return 0;
}

int do_transaction_end(struct xsd_conn *conn, const struct request *rq)
{
	struct txn *txn = request_txn(conn, rq->hdr.tx_id);
	const char *arg;
	bool commit;
	int err = 0;

	if (request_strings(rq, &arg, 1, 1) != 1)
		return -EINVAL;
	commit = strcmp(arg, "T") == 0;
	if (!commit && strcmp(arg, "F") != 0)
		return -EINVAL;
	if (!txn)
		return -ENOENT;
	if (commit)
		err = txn_commit(txn, xsd_changed, conn->xsd);
	conn_end_txn(conn, txn);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}
