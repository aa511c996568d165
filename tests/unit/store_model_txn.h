/* SPDX-License-Identifier: MIT */
/*
 * store_model_txn.h - the model's transactions.
 *
 * A transaction knows which paths it has touched, how each was then and how it
 * is in it now. Its view is a copy of the whole committed tree with these laid
 * over it. The commit is refused when one of them has another generation now,
 * or one that was listed another set of children.
 */
#ifndef TESTS_UNIT_STORE_MODEL_TXN_H
#define TESTS_UNIT_STORE_MODEL_TXN_H

#include "tests/unit/store_model.h"

struct model_touch {
	struct model_touch *next;
	char *path;
	struct model_node *before; /* as first seen; NULL: absent */
	struct model_node *now;	   /* in the transaction; NULL: absent */
	bool dirty, listed;
	uint64_t children; /* when listed */
};

/* A path that a watch may have to hear of, in the order of the changes. */
struct model_change {
	struct model_change *next;
	char *path;
	unsigned group; /* those of one removal share one */
	bool exact;	/* only for watches at this very path */
};

static inline struct model_touch *model_touched(const struct model_txn *txn,
						const char *path)
{
	struct model_touch *t = txn->touched;

	while (t && strcmp(t->path, path) != 0)
		t = t->next;
	return t;
}

static inline struct model_touch *
model_touch(const struct model *m, struct model_txn *txn, const char *path)
{
	struct model_touch *t = model_touched(txn, path);
	const struct model_node *base = model_find(&m->tree, path);

	if (t)
		return t;
	t = model_must(calloc(1, sizeof(*t)));
	t->path = model_dup(path);
	t->before = base ? model_node_copy(base) : NULL;
	t->now = base ? model_node_copy(base) : NULL;
	t->next = txn->touched;
	txn->touched = t;
	return t;
}

/* From now on another set of children is a conflict. */
static inline void model_list(const struct model *m, struct model_txn *txn,
			      const char *path)
{
	struct model_touch *t = model_touch(m, txn, path);
	const struct model_node *base = model_find(&m->tree, path);

	if (t->listed)
		return;
	t->listed = true;
	t->children = base ? base->children : 0;
}

static inline unsigned model_nr_touched(const struct model_txn *txn)
{
	unsigned nr = 0;

	for (const struct model_touch *t = txn->touched; t; t = t->next)
		nr++;
	return nr;
}

static inline void model_txn_free(struct model_txn *txn)
{
	while (txn->touched) {
		struct model_touch *t = txn->touched;

		txn->touched = t->next;
		free(t->path);
		model_node_free(t->before);
		model_node_free(t->now);
		free(t);
	}
	while (txn->changes) {
		struct model_change *c = txn->changes;

		txn->changes = c->next;
		free(c->path);
		free(c);
	}
	memset(txn, 0, sizeof(*txn));
}

/* The tree as the transaction sees it: a copy, the caller's to free. */
static inline struct model_tree model_view(const struct model *m,
					   const struct model_txn *txn)
{
	struct model_tree tree = model_tree_copy(&m->tree);

	for (const struct model_touch *t = txn->touched; t; t = t->next) {
		model_remove(&tree, t->path);
		if (t->now)
			model_put(&tree, model_node_copy(t->now));
	}
	return tree;
}

/* ---- changing in it ------------------------------------------------------ */

/* A watch event is due for path, if it is not due already. */
static inline void model_announce(struct model_txn *txn, const char *path,
				  unsigned group, bool exact)
{
	struct model_change **at = &txn->changes;

	while (*at && strcmp((*at)->path, path) != 0)
		at = &(*at)->next;
	if (*at) {
		(*at)->exact = (*at)->exact && exact;
		return;
	}
	*at = model_must(calloc(1, sizeof(**at)));
	(*at)->path = model_dup(path);
	(*at)->group = group;
	(*at)->exact = exact;
}

/* node: NULL removes; else taken over. */
static inline void model_change(const struct model *m, struct model_txn *txn,
				const char *path, struct model_node *node)
{
	struct model_touch *t = model_touch(m, txn, path);

	model_node_free(t->now);
	t->now = node;
	t->dirty = true;
}

static inline bool model_has_changes(const struct model_txn *txn)
{
	const struct model_touch *t = txn->touched;

	while (t && !t->dirty)
		t = t->next;
	return t != NULL;
}

/* ---- conflicts, commit --------------------------------------------------- */

/* Whether somebody else has changed what the transaction has touched. */
static inline bool model_overtaken(const struct model *m,
				   const struct model_txn *txn)
{
	for (const struct model_touch *t = txn->touched; t; t = t->next) {
		const struct model_node *base = model_find(&m->tree, t->path);
		const struct model_perm *owner;

		if ((base ? base->generation : 0) !=
		    (t->before ? t->before->generation : 0))
			return true;
		if (base && t->listed && base->children != t->children)
			return true;
		if (!t->dirty || !t->now)
			continue;
		/* Its owner may have died meanwhile. */
		owner = &t->now->perms.of[0];
		if (!model_lives(m, owner->domid, owner->life))
			return true;
	}
	return false;
}

/* The children of a node that is in from but not in other are others now. */
static inline void model_mark_parents(struct model *m,
				      const struct model_tree *from,
				      const struct model_tree *other,
				      struct model_tree *marked)
{
	for (const struct model_node *n = from->first; n; n = n->next) {
		char *path = model_find(other, n->path) ? NULL
							: model_parent(n->path);
		struct model_node *parent =
			path ? model_find(marked, path) : NULL;

		if (parent)
			parent->children = ++m->clock;
		free(path);
	}
}

/* Put a new tree in the old one's place. */
static inline void model_become(struct model *m, struct model_tree *tree)
{
	for (struct model_node *n = tree->first; n; n = n->next)
		if (!model_find(&m->tree, n->path))
			n->children = ++m->clock;
	model_mark_parents(m, tree, &m->tree, tree);
	model_mark_parents(m, &m->tree, tree, tree);
	model_tree_free(&m->tree);
	m->tree = *tree;
}

/*
 * The committed tree with the transaction's changes in *ret. -EAGAIN; -ENOSPC
 * when its domain would own more than it may, and more than before.
 */
static inline int model_merge(struct model *m, const struct model_txn *txn,
			      struct model_tree *ret)
{
	unsigned before = model_nr_nodes(m, &m->tree, txn->domid), after;

	if (model_overtaken(m, txn))
		return -EAGAIN;
	*ret = model_view(m, txn);
	after = model_nr_nodes(m, ret, txn->domid);
	if (txn->domid && after > before &&
	    after > m->domains[txn->domid].quota.nodes) {
		model_tree_free(ret);
		return -ENOSPC;
	}
	for (const struct model_touch *t = txn->touched; t; t = t->next)
		if (t->dirty && t->now)
			model_find(ret, t->path)->generation = ++m->clock;
	return 0;
}

#endif /* TESTS_UNIT_STORE_MODEL_TXN_H */
