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

/*
 * Path, token and, where the feature is on, how many levels below the path
 * count too.
 */
int do_watch(struct xsd_conn *conn, const struct request *rq)
{
	bool has_depth =
		conn->domain->features & XENSTORE_SERVER_FEATURE_WATCHDEPTH;
	uint32_t depth = WATCH_ALL_LEVELS;
	const char *args[3];
	struct xpath path;
	int nr = request_strings(rq, args, 2, has_depth ? 3 : 2);
	int err;

	if (nr < 0 || (nr == 3 && num_parse_u32(args[2], INT32_MAX, &depth)))
		return -EINVAL;
	err = request_any_path(conn, args[0], &path);
	if (!err)
		err = watch_add(&conn->xsd->watches, &conn->watcher, &path,
				depth, args[1]);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}

int do_unwatch(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct xpath path;
	int err;

	if (request_strings(rq, args, 2, 2) < 0)
		return -EINVAL;
	err = request_any_path(conn, args[0], &path);
	if (!err)
		err = watch_del(&conn->xsd->watches, &conn->watcher, &path,
				args[1]);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}

/* Transactions too, the one that the request may name included (XSA-484). */
int do_reset_watches(struct xsd_conn *conn, const struct request *rq)
{
	watch_del_all(&conn->xsd->watches, &conn->watcher);
	list_for_each_safe(l, tmp, &conn->txns)
		conn_end_txn(conn, container_of(l, struct txn, of_conn),
			     STATS_ABORTED);
	request_answer_ok(conn, rq);
	return 0;
}

/* ---- transactions ----------------------------------------------------- */

int do_transaction_start(struct xsd_conn *conn, const struct request *rq)
{
	struct xsd_domain *domain = conn->domain;
	struct txn *txn;
	char text[12];

	if (rq->txn)
		return -EBUSY;
	if (domain->nr_transactions >= domain->limits->transactions)
		return -ENOSPC;
	if (!xsd_domain_has_room(domain, (int64_t)sizeof(*txn)))
		return -ENOMEM;
	txn = malloc(sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	txn_init(txn, &conn->xsd->store, domain, domain->limits->txn_nodes);
	txn_charge(txn);
	do
		txn->id = ++conn->last_txn_id;
	while (txn->id == 0 || request_txn(conn, txn->id));
	txn->start_ns = conn->xsd->stats.turned_ns;
	list_add_tail(&conn->txns, &txn->of_conn);
	domain->nr_transactions++;
	if (str_printf(text, sizeof(text), "%u", txn->id) < 0)
		return -EIO;
	request_answer_string(conn, rq, text);
	return 0;
}

int do_transaction_end(struct xsd_conn *conn, const struct request *rq)
{
	struct txn *txn = rq->txn;
	const char *arg;
	bool commit;
	int err = 0;

	if (request_only_string(rq, &arg))
		return -EINVAL;
	commit = strcmp(arg, "T") == 0;
	if (!commit && strcmp(arg, "F") != 0)
		return -EINVAL;
	if (!txn)
		return -ENOENT;
	if (commit)
		err = request_commit(conn, txn);
	conn_end_txn(conn, txn, commit ? stats_end_of(err) : STATS_ABORTED);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}
