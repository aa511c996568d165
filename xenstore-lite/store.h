/* SPDX-License-Identifier: MIT */
/*
 * store.h - the committed tree, in memory.
 *
 * Nodes are found by their whole path in one hash table, and linked to their
 * parent, siblings and owner: each operation here costs O(length of the path),
 * whatever the number of nodes. Nothing here recurses, checks a right or a
 * quota: that is access.h's; nothing but a transaction's commit changes the
 * tree (transaction.h). Pure memory, no input or output, never logs.
 *
 * Thread: the one that owns the store.
 */
#ifndef XENSTORE_LITE_STORE_H
#define XENSTORE_LITE_STORE_H

#include <stdint.h>

#include "util/annotate.h"
#include "util/list.h"
#include "xenstore-lite/domain.h"
#include "xenstore-lite/htable.h"
#include "xenstore-lite/path.h"
#include "xenstore-lite/perms.h"

/* An immutable counted value; the empty value is NULL. */
struct blob {
	uint32_t refs, len;
	char data[];
};

/* NULL with *err = -ENOMEM, or NULL with 0 for an empty value. */
struct blob *blob_new(const void *data, uint32_t len, int *err);
struct blob *blob_get(struct blob *b); /* NULL is fine, here and below */
void blob_put(struct blob *b);
static inline uint32_t blob_len(const struct blob *b)
{
	return b ? b->len : 0;
}

/* What a node holds besides its children; holds references. */
struct node_state {
	struct blob *value;
	struct perms *perms;
};

void node_state_copy(struct node_state *to, const struct node_state *from);
void node_state_fini(struct node_state *state); /* leaves it zeroed */
/* What it counts for: as if nothing were shared. */
int64_t node_state_bytes(const struct node_state *state);

struct store_node {
	struct store_node *parent; /* NULL for the root */
	struct list siblings, children, owned;
	struct xsd_domain *owner;
	uint64_t children_generation; /* new when the set of children changes */
	uint32_t nr_children;
	domid_t writer;		 /* who gave it its generation */
	domid_t children_writer; /* the same of its children's */
	/* What a look-up needs, side by side: a big tree fits no cache. */
	struct hnode by_path;
	struct node_state state;
	uint64_t generation; /* unique; new when state changes */
	uint16_t len;
	char path[];
};

/* Who removed a node, as long as no other took its place here. */
struct store_removal {
	uint64_t hash, generation;
	domid_t writer;
};
#define STORE_NR_REMOVALS 256u

/* What a node counts for against its owner's memory. */
static inline int64_t store_node_bytes(size_t len,
				       const struct node_state *state)
{
	return (int64_t)(sizeof(struct store_node) + len + 1) +
	       node_state_bytes(state);
}

struct journal;

struct store {
	struct path_seed seed;
	struct htable nodes;
	struct xsd_domains domains;
	struct store_node *root;
	uint64_t last_generation;
	struct journal *journal; /* NULL: nothing outlives the process */
	domid_t writer;		 /* who changes it now */
	/* Things looked at and done: what a request costs the others. */
	uint64_t work;
	struct store_removal removals[STORE_NR_REMOVALS];
};

/* Makes domain 0 and the root, which domain 0 owns and nobody else may read. */
int store_init(struct store *store, uint64_t secret) PV_MUST_CHECK;
/* No connection may be left. */
void store_fini(struct store *store);

struct store_node *store_find(const struct store *store, const char *path,
			      size_t len, uint64_t hash);

/* The owner that a set names; NULL when that domain is dead. */
struct xsd_domain *store_owner(const struct store *store,
			       const struct perms *perms);

/*
 * The steps of a commit; none can fail. A node is allocated first (NULL: no
 * memory), then put below its parent, taking state's references over (state is
 * left zeroed); its owner must live. A node that is removed has no children.
 */
struct store_node *store_node_alloc(const char *path, size_t len);
void store_node_free(struct store_node *node); /* one that was never added */
void store_add(struct store *store, struct store_node *parent,
	       struct store_node *node, uint64_t hash,
	       struct node_state *state);
void store_change(struct store *store, struct store_node *node,
		  struct node_state *state);
void store_remove(struct store *store, struct store_node *node);

/*
 * Count everything again and compare: links, owners, quotas.
 * Returns the number of faults.
 */
unsigned store_check(const struct store *store);

#endif /* XENSTORE_LITE_STORE_H */
