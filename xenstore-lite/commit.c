/* SPDX-License-Identifier: MIT */
/*
 * commit.c - a transaction's end: check all, allocate all, record it, then
 * change. See transaction.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/journal.h"
#include "xenstore-lite/transaction.h"

#define COMMIT_FEW 16u /* nodes whose order is worked out without malloc */

static bool is_current(const struct txn *txn, const struct txn_node *node)
{
	const struct store_node *base = node->now;

	if ((base ? base->generation : 0) != node->generation)
		return false;
	if (base && node->listed &&
	    base->children_generation != node->children_generation)
		return false;
	/* An owner may have died since the right to be one was given. */
	return !node->dirty || !txn_node_present(node) ||
	       store_owner(txn->store, node->state.perms);
}

/* Who made the change that a node of the transaction is not current for, and
 * as which generation. False: that is not known. */
static bool changed_by(const struct txn *txn, const struct txn_node *node,
		       domid_t *who, uint64_t *generation)
{
	const struct store_node *base = node->now;
	const struct store_removal *removal;

	if (base && base->generation != node->generation) {
		*who = base->writer;
		*generation = base->generation;
		return true;
	}
	if (base) {
		*who = base->children_writer;
		*generation = base->children_generation;
		return base->children_generation != node->children_generation;
	}
	removal = &txn->store->removals[node->by_path.hash % STORE_NR_REMOVALS];
	*who = removal->writer;
	*generation = removal->generation;
	return removal->hash == node->by_path.hash;
}

/* credit.h: not domain 0, not itself, not an earlier life of the same number.
 */
static void blame(struct txn *txn, const struct txn_node *node)
{
	const struct store_node *base = node->now;
	const struct perms *perms = base ? base->state.perms : node->base.perms;
	struct xsd_domain *domain;
	uint64_t generation;
	domid_t who;

	if (txn->culprit || !changed_by(txn, node, &who, &generation))
		return;
	domain = xsd_domain_find(&txn->store->domains, who);
	if (!domain || domain->privileged || domain == txn->domain ||
	    generation <= domain->born_generation)
		return;
	txn->culprit = domain;
	txn->could = perms && (perms_of(perms, txn->domain) & PERM_WRITE);
}

static int check(struct txn *txn)
{
	const struct xsd_domain *d = txn->domain;
	int err = 0;

	if (txn->broken)
		return txn->broken;
	list_for_each(l, &txn->touched) {
		struct txn_node *node =
			container_of(l, struct txn_node, touched);

		node->now = store_find(txn->store, node->path, node->len,
				       node->by_path.hash);
		if (is_current(txn, node))
			continue;
		err = -EAGAIN;
		blame(txn, node);
	}
	if (err)
		return err;
	if (txn->nr_own > 0 && d->limits->nodes != XSD_UNLIMITED &&
	    d->nr_nodes + txn->nr_own > d->limits->nodes)
		return -ENOSPC;
	/* What it holds open goes when it ends. */
	if (!xsd_domain_has_room(d, txn->own_bytes - txn->charged_bytes))
		return -ENOMEM;
	return 0;
}

/* What is removed comes first, children before parents, which have shorter
 * paths; then the rest, created in the order in which the client did. */
static int by_turn(const void *a, const void *b)
{
	const struct txn_node *x = *(struct txn_node *const *)a;
	const struct txn_node *y = *(struct txn_node *const *)b;

	if (txn_node_present(x) != txn_node_present(y))
		return txn_node_present(x) ? 1 : -1;
	if (!txn_node_present(x))
		return (int)y->len - (int)x->len;
	return (x->order > y->order) - (x->order < y->order);
}

/*
 * The dirty nodes in the order of their turns, and a new node for each that is
 * to be created.
 */
static int prepare(struct txn *txn, struct txn_node **dirty, size_t *nr)
{
	size_t n = 0;

	list_for_each(l, &txn->touched) {
		struct txn_node *node =
			container_of(l, struct txn_node, touched);

		if (!node->dirty)
			continue;
		dirty[n++] = node;
		if (!txn_node_present(node) || node->generation)
			continue;
		node->fresh = store_node_alloc(node->path, node->len);
		if (!node->fresh)
			return -ENOMEM;
	}
	if (n > 1)
		qsort(dirty, n, sizeof(struct txn_node *), by_turn);
	*nr = n;
	return 0;
}

static struct store_node *parent_of(const struct txn *txn,
				    const struct txn_node *node)
{
	size_t len = path_parent_len(node->path, node->len);

	return store_find(txn->store, node->path, len,
			  path_hash(&txn->store->seed, node->path, len));
}

static void apply(struct txn *txn, struct txn_node **dirty, size_t nr)
{
	/* The announcement still needs state.perms: hand over a copy. */
	struct node_state state;

	for (size_t i = 0; i < nr; i++) {
		struct txn_node *node = dirty[i];

		if (!txn_node_present(node)) {
			if (node->now)
				store_remove(txn->store, node->now);
			node->now = NULL;
			continue;
		}
		node_state_copy(&state, &node->state);
		if (node->fresh) {
			store_add(txn->store, parent_of(txn, node), node->fresh,
				  node->by_path.hash, &state);
			node->now = node->fresh;
			node->fresh = NULL;
		} else {
			store_change(txn->store, node->now, &state);
		}
	}
}

/* The parent's set: as it is now or, when it went too, as it was. */
static const struct perms *parent_perms(const struct txn *txn,
					const struct txn_node *node)
{
	size_t len;
	uint64_t hash;
	const struct store_node *now;
	const struct txn_node *was;

	if (node->now)
		return node->now->parent ? node->now->parent->state.perms
					 : NULL;
	len = path_parent_len(node->path, node->len);
	hash = path_hash(&txn->store->seed, node->path, len);
	now = store_find(txn->store, node->path, len, hash);
	if (now)
		return now->state.perms;
	was = txn_peek(txn, node->path, len, hash);
	return was ? was->base.perms : NULL;
}

static void announce(const struct txn *txn, txn_change_fn *fn, void *arg)
{
	list_for_each(l, &txn->changed) {
		const struct txn_node *node =
			container_of(l, struct txn_node, changed);
		struct change change = {
			.path = node->path,
			.len = node->len,
			.before = node->base.perms,
			.after = node->state.perms,
			.parent = parent_perms(txn, node),
			.exact = node->exact,
		};

		if (change.before || change.after)
			fn(arg, &change);
	}
}

int txn_commit(struct txn *txn, txn_change_fn *fn, void *arg)
{
	struct txn_node *few[COMMIT_FEW], **dirty = few;
	size_t nr;
	int err = check(txn);

	if (err)
		return err;
	if (txn->nr_changes == 0)
		return 0;
	if (txn->nr_nodes > COMMIT_FEW)
		dirty = malloc(txn->nr_nodes * sizeof(struct txn_node *));
	err = dirty ? prepare(txn, dirty, &nr) : -ENOMEM;
	if (!err && txn->store->journal)
		err = journal_commit(txn->store->journal, txn->born, dirty, nr);
	if (!err) {
		txn->store->writer = txn->domain->domid;
		apply(txn, dirty, nr);
		txn->store->writer = 0;
	}
	if (dirty != few)
		free(dirty);
	if (!err)
		announce(txn, fn, arg);
	return err;
}
