/* SPDX-License-Identifier: MIT */
/*
 * xs_txn.c - the client's transactions. See xs_private.h.
 *
 * The caller's ids are ours, not the store's: a store that was started again
 * may give the same number to another transaction, and what was begun before
 * must never be taken for it.
 */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <stdlib.h>

#include "util/num.h"

struct txn {
	struct list link;
	xs_txn_t id;
	uint32_t wire; /* the store's; 0: lost with its connection */
};

static struct txn *find(const struct xs *xs, xs_txn_t id)
{
	list_for_each(l, &xs->txns) {
		struct txn *txn = container_of(l, struct txn, link);

		if (txn->id == id)
			return txn;
	}
	return NULL;
}

static void txn_free(struct txn *txn)
{
	list_del(&txn->link);
	free(txn);
}

int xs_txn_wire(const struct xs *xs, xs_txn_t tx, uint32_t *ret)
{
	const struct txn *txn;

	if (tx == XS_NO_TXN) {
		*ret = 0;
		return 0;
	}
	txn = find(xs, tx);
	if (!txn)
		return -ENOENT;
	if (!txn->wire)
		return -EAGAIN;
	*ret = txn->wire;
	return 0;
}

void xs_txns_lost(struct xs *xs)
{
	list_for_each(l, &xs->txns)
		container_of(l, struct txn, link)->wire = 0;
}

void xs_txns_fini(struct xs *xs)
{
	list_for_each_safe(l, tmp, &xs->txns)
		txn_free(container_of(l, struct txn, link));
}

int xs_transaction_start(struct xs *xs, xs_txn_t *ret)
{
	struct txn *txn = malloc(sizeof(*txn));
	char *text;
	size_t len;
	int err;

	if (!txn)
		return -ENOMEM;
	err = xs_talk_text(xs, XS_TRANSACTION_START, XS_NO_TXN, "", &text,
			   &len);
	if (err)
		goto fail;
	err = num_parse_u32(text, UINT32_MAX, &txn->wire);
	free(text);
	if (err || !txn->wire) {
		err = xs_conn_nonsense(xs);
		goto fail;
	}
	do
		txn->id = ++xs->last_txn;
	while (txn->id == XS_NO_TXN || find(xs, txn->id));
	list_add_head(&xs->txns, &txn->link);
	*ret = txn->id;
	return 0;

fail:
	free(txn);
	return err;
}

int xs_transaction_end(struct xs *xs, xs_txn_t tx, bool commit)
{
	struct txn *txn = find(xs, tx);
	int err = xs_talk_text(xs, XS_TRANSACTION_END, tx, commit ? "T" : "F",
			       NULL, NULL);

	if (txn)
		txn_free(txn);
	return err;
}
