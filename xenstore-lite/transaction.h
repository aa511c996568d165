/* SPDX-License-Identifier: MIT */
/*
 * transaction.h - a view of the tree that becomes true all at once, or not.
 *
 * A transaction keeps its own copy of every node that it touches, with the
 * generation that the node had. What it changes stays in the copy. The commit
 * first makes sure that every touched node still has that generation (else
 * -EAGAIN: conflicts are per node; two transactions that create different
 * children below one node do not conflict unless one has listed it), then
 * allocates all that it needs, has it recorded (journal.h), and only then
 * changes the tree: it either happens whole or leaves no trace. Cost: touched
 * nodes, not tree size.
 *
 * Every change goes through here: a request outside a transaction is one of
 * its own, so there is one path for accounting and for watches.
 *
 * A transaction that has been overtaken may see a mixture of old and new
 * nodes until its commit says so; what it has seen once stays as it was.
 *
 * Rights are checked above (access.h). Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_TRANSACTION_H
#define XENSTORE_LITE_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "util/list.h"
#include "xenstore-lite/store.h"

struct txn_node {
	struct hnode by_path;
	struct list touched, changed;  /* of the transaction, in order */
	struct list siblings, created; /* children that are new here */
	struct list work;
	struct node_state base;	 /* as first seen; perms NULL: absent */
	struct node_state state; /* as it is here; perms NULL: absent */
	uint64_t generation;	 /* as first seen; 0: absent */
	uint64_t children_generation;
	char *listing; /* base's children when first listed */
	size_t listing_bytes;
	struct store_node *fresh; /* allocated for the commit */
	struct store_node *now;	  /* the committed node, while it commits */
	uint32_t image_idx;	  /* while it is saved (image_txn.c) */
	uint32_t order;		  /* of creation: parents before children */
	bool listed, dirty, exact;
	uint16_t len;
	char path[];
};

#define TXN_FEW_BYTES 640u

struct txn {
	struct list of_conn;
	struct store *store;
	struct xsd_domain *domain;
	uint64_t start_ns; /* by the store's clock; in the image */
	uint32_t id, nr_nodes, max_nodes;
	uint32_t nr_changes;
	/* Nodes of domain, and their bytes: more (or less) than committed. */
	int64_t nr_own, own_bytes;
	/* What the domain is charged for it while it is open; 0: nothing, it
	 * lives as long as one request. */
	int64_t charged_bytes;
	struct xsd_domain *born; /* begins with this commit; or NULL */
	/* The commit failed by a change of this domain's, or nobody's in
	 * particular; and whether domain could have made that change. */
	struct xsd_domain *culprit;
	bool could;
	int broken; /* a step failed half way: the commit's answer */
	struct htable nodes;
	struct list touched, changed;
	struct list work; /* empty between calls */
	/* Where the first few nodes are: most transactions touch no more. */
	uint32_t few_used;
	_Alignas(struct txn_node) char few[TXN_FEW_BYTES];
};

void txn_init(struct txn *txn, struct store *store, struct xsd_domain *domain,
	      uint32_t max_nodes);
void txn_fini(struct txn *txn);
/*
 * It stays open: from now on it counts against its domain's memory. Its steps
 * then fail with -ENOMEM when there is no room.
 */
void txn_charge(struct txn *txn);
/* What it counts for, counted again. */
int64_t txn_bytes(const struct txn *txn);
/* Whether it may hold so much more. */
bool txn_has_room(const struct txn *txn, int64_t bytes);

static inline bool txn_node_present(const struct txn_node *node)
{
	return node->state.perms != NULL;
}

/* The node if it was touched already, else NULL. */
struct txn_node *txn_peek(const struct txn *txn, const char *path, size_t len,
			  uint64_t hash);
/* The steps of txn_touch: a node that is absent (NULL: no memory), into the
 * transaction, uncharged. */
struct txn_node *txn_touch_alloc(struct txn *txn, const char *path, size_t len);
void txn_touch_add(struct txn *txn, struct txn_node *node, uint64_t hash);
/*
 * Touch a node, present or absent. -ENOSPC the transaction's limit; -ENOMEM.
 */
int txn_touch(struct txn *txn, const char *path, size_t len, uint64_t hash,
	      struct txn_node **ret) PV_MUST_CHECK;

/* Take state's references over. notify: a watch event for this node. */
void txn_set(struct txn *txn, struct txn_node *node, struct node_state *state,
	     bool notify);
/* The same for an absent node below parent, which is present. */
void txn_create(struct txn *txn, struct txn_node *parent, struct txn_node *node,
		struct node_state *state, bool notify);
/* Remove a node and all below it, iteratively. All or nothing. */
int txn_remove(struct txn *txn, struct txn_node *node) PV_MUST_CHECK;

/*
 * Names of the children, each with its NUL, in one allocation that the caller
 * frees (NULL when there are none). generation changes when the list does.
 */
int txn_list(struct txn *txn, struct txn_node *node, char **ret,
	     size_t *ret_bytes, uint64_t *generation) PV_MUST_CHECK;
/* The same of the committed tree. */
int store_list(struct store *store, const struct store_node *node, char **ret,
	       size_t *ret_bytes) PV_MUST_CHECK;

/* One node that a commit has changed. */
struct change {
	const char *path;
	size_t len;
	const struct perms *before, *after; /* NULL: absent */
	const struct perms *parent; /* the parent's; NULL for the root */
	/* Removed with one of its ancestors: only watches at this very node
	 * have not heard of it yet. */
	bool exact;
};
typedef void txn_change_fn(void *arg, const struct change *change);

/*
 * Make it true, then call fn for each node that was changed, in the order in
 * which they first were. -EAGAIN a conflict; -ENOSPC the domain's nodes quota;
 * or no room to record it; -EIO it cannot be recorded; -ENOMEM. The transaction
 * can only be ended afterwards.
 */
int txn_commit(struct txn *txn, txn_change_fn *fn, void *arg) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_TRANSACTION_H */
