/* SPDX-License-Identifier: MIT */
/* access.c - what one domain may do to the tree. See access.h. */
#include "xenstore-lite/access.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/use.h"

/* A node as this view has it, without touching it; NULL when absent. */
static const struct node_state *view(const struct access *ax, const char *path,
				     size_t len, uint64_t hash)
{
	const struct txn_node *mine =
		ax->txn ? txn_peek(ax->txn, path, len, hash) : NULL;
	const struct store_node *node;

	if (mine)
		return txn_node_present(mine) ? &mine->state : NULL;
	node = store_find(ax->store, path, len, hash);
	return node ? &node->state : NULL;
}

/*
 * The nearest ancestor that exists (the root always does), and how many
 * components are missing between it and the path's end.
 */
static const struct node_state *nearest(const struct access *ax,
					const struct xpath *path,
					size_t *ret_len, uint32_t *missing)
{
	const struct node_state *found = NULL, *at;
	struct path_walk w;

	*missing = 0;
	path_walk_init(&w, &ax->store->seed, path->text, path->len);
	while (path_walk_next(&w)) {
		at = *missing ? NULL : view(ax, path->text, w.len, w.hash);
		if (!at) {
			(*missing)++;
			continue;
		}
		found = at;
		*ret_len = w.len;
	}
	return found;
}

/* What to say about an absent node to somebody who wanted need. */
static int absent(const struct access *ax, const struct xpath *path,
		  unsigned need)
{
	const struct node_state *ancestor;
	uint32_t missing;
	size_t len;

	ancestor = nearest(ax, path, &len, &missing);
	if (!ancestor || !(perms_of(ancestor->perms, ax->domain) & need))
		return -EACCES;
	return -ENOENT;
}

static int allowed(const struct access *ax, const struct perms *perms,
		   unsigned need)
{
	return (perms_of(perms, ax->domain) & need) == need ? 0 : -EACCES;
}

/*
 * The one choke point. Out: *state, and in a transaction *node (which is
 * touched, even when the answer is -ENOENT or -EACCES).
 */
static int look_up(const struct access *ax, const struct xpath *path,
		   unsigned need, const struct node_state **state,
		   struct txn_node **node)
{
	uint64_t hash = path_hash(&ax->store->seed, path->text, path->len);
	const struct store_node *base;
	int err;

	*state = NULL;
	*node = NULL;
	if (ax->txn) {
		err = txn_touch(ax->txn, path->text, path->len, hash, node);
		if (err)
			return err;
		*state = txn_node_present(*node) ? &(*node)->state : NULL;
	} else {
		base = store_find(ax->store, path->text, path->len, hash);
		*state = base ? &base->state : NULL;
	}
	return *state ? allowed(ax, (*state)->perms, need)
		      : absent(ax, path, need);
}

int access_read(const struct access *ax, const struct xpath *path,
		const struct blob **ret)
{
	const struct node_state *state;
	struct txn_node *node;
	int err = look_up(ax, path, PERM_READ, &state, &node);

	if (!err)
		*ret = state->value;
	return err;
}

int access_get_perms(const struct access *ax, const struct xpath *path,
		     const struct perms **ret)
{
	const struct node_state *state;
	struct txn_node *node;
	int err = look_up(ax, path, PERM_READ, &state, &node);

	if (!err)
		*ret = state->perms;
	return err;
}

int access_list(const struct access *ax, const struct xpath *path, char **ret,
		size_t *ret_bytes, uint64_t *generation)
{
	const struct node_state *state;
	const struct store_node *base;
	struct txn_node *node;
	int err = look_up(ax, path, PERM_READ, &state, &node);

	if (err)
		return err;
	if (ax->txn)
		return txn_list(ax->txn, node, ret, ret_bytes, generation);
	base = store_find(ax->store, path->text, path->len,
			  path_hash(&ax->store->seed, path->text, path->len));
	*generation = base->children_generation;
	return store_list(ax->store, base, ret, ret_bytes);
}

/* ---- creating ----------------------------------------------------------- */

static int within_quota(const struct access *ax, uint32_t more)
{
	const struct xsd_domain *d = ax->domain;

	if (d->limits->nodes == XSD_UNLIMITED)
		return 0;
	return (int64_t)d->nr_nodes + ax->txn->nr_own + more <=
			       (int64_t)d->limits->nodes
		       ? 0
		       : -ENOSPC;
}

/* Create the components behind parent_len; value goes to the last. */
static int create_chain(const struct access *ax, const struct xpath *path,
			size_t parent_len, struct blob *value)
{
	struct txn_node *parent = NULL, *node;
	struct node_state state;
	struct path_walk w;
	int err;

	path_walk_init(&w, &ax->store->seed, path->text, path->len);
	while (path_walk_next(&w)) {
		bool last = w.len == path->len;

		if (w.len < parent_len)
			continue;
		err = txn_touch(ax->txn, path->text, w.len, w.hash, &node);
		if (err)
			return err;
		if (w.len > parent_len) {
			assert(parent);
			state.perms =
				perms_inherit(parent->state.perms, ax->domain);
			if (!state.perms)
				return -ENOMEM;
			state.value = last ? blob_get(value) : NULL;
			txn_create(ax->txn, parent, node, &state, last);
		}
		parent = node;
	}
	return 0;
}

/* No more than this: each of the missing with the ancestor's rights. */
static int64_t create_bytes(const struct node_state *ancestor,
			    const struct xpath *path, uint32_t missing,
			    struct blob *value)
{
	const struct node_state each = { .perms = ancestor->perms };
	const struct node_state last = { .value = value };

	return missing * ((int64_t)sizeof(struct txn_node) + path->len + 1 +
			  node_state_bytes(&each)) +
	       node_state_bytes(&last);
}

/* Whether the transaction may touch the nr nodes from the path's prefix of len
 * bytes on: those that it has touched already are free. */
static bool may_touch(const struct access *ax, const struct xpath *path,
		      size_t len, uint32_t nr)
{
	uint32_t left = ax->txn->max_nodes - ax->txn->nr_nodes;
	struct path_walk w;

	if (nr <= left)
		return true;
	path_walk_init(&w, &ax->store->seed, path->text, path->len);
	while (path_walk_next(&w))
		nr -= w.len >= len &&
		      txn_peek(ax->txn, path->text, w.len, w.hash);
	return nr <= left;
}

static int create(const struct access *ax, const struct xpath *path,
		  struct blob *value)
{
	uint32_t missing, changes = ax->txn->nr_changes;
	const struct node_state *ancestor;
	size_t len = 0;
	int err;

	ancestor = nearest(ax, path, &len, &missing);
	/* Only in a view that was overtaken: its commit cannot succeed. */
	if (!ancestor)
		return -EAGAIN;
	err = allowed(ax, ancestor->perms, PERM_WRITE);
	if (!err)
		err = within_quota(ax, missing);
	if (err)
		return err;
	if (!may_touch(ax, path, len, missing + 1))
		return -ENOSPC;
	if (!txn_has_room(ax->txn,
			  create_bytes(ancestor, path, missing, value)))
		return -ENOMEM;
	err = create_chain(ax, path, len, value);
	if (err && changes != ax->txn->nr_changes)
		ax->txn->broken = err;
	return err;
}

static int set_value(const struct access *ax, struct txn_node *node,
		     struct blob *value)
{
	struct node_state state = { .value = blob_get(value),
				    .perms = perms_get(node->state.perms) };

	if (!txn_has_room(ax->txn, node_state_bytes(&state))) {
		node_state_fini(&state);
		return -ENOMEM;
	}
	txn_set(ax->txn, node, &state, true);
	return 0;
}

int access_write(const struct access *ax, const struct xpath *path,
		 const void *data, uint32_t len)
{
	const struct node_state *state;
	struct txn_node *node;
	struct blob *value;
	int err = look_up(ax, path, PERM_WRITE, &state, &node);

	assert(ax->txn);
	if (err && err != -ENOENT)
		return err;
	if (len > ax->domain->limits->node_bytes)
		return -ENOSPC;
	use_saw(ax->domain, XSD_USE_NODE_BYTES, len);
	value = blob_new(data, len, &err);
	if (err)
		return err;
	err = state ? set_value(ax, node, value) : create(ax, path, value);
	blob_put(value);
	return err;
}

int access_mkdir(const struct access *ax, const struct xpath *path)
{
	const struct node_state *state;
	struct txn_node *node;
	int err = look_up(ax, path, PERM_WRITE, &state, &node);

	assert(ax->txn);
	return err == -ENOENT ? create(ax, path, NULL) : err;
}

/* ---- removing, rights ---------------------------------------------------- */

int access_rm(const struct access *ax, const struct xpath *path)
{
	size_t parent_len = path_parent_len(path->text, path->len);
	const struct node_state *state;
	struct txn_node *node;
	uint64_t hash;
	int err = look_up(ax, path, PERM_WRITE, &state, &node);

	assert(ax->txn);
	if (err == -ENOENT) {
		hash = path_hash(&ax->store->seed, path->text, parent_len);
		return view(ax, path->text, parent_len, hash) ? 0 : -ENOENT;
	}
	if (err)
		return err;
	return parent_len ? txn_remove(ax->txn, node) : -EINVAL;
}

int access_set_perms(const struct access *ax, const struct xpath *path,
		     struct perms *perms)
{
	const struct perm *owner = perms->entries;
	const struct node_state *state;
	struct node_state changed;
	struct txn_node *node;
	int err = look_up(ax, path, PERM_WRITE | PERM_OWNER, &state, &node);

	assert(ax->txn);
	if (err)
		return err;
	if (!ax->domain->privileged &&
	    (owner->domid != state->perms->entries[0].domid ||
	     owner->incarnation != state->perms->entries[0].incarnation))
		return -EPERM;
	/* The root outlives every domain but domain 0. */
	if (path->len == 1 && owner->domid != 0)
		return -EINVAL;
	changed.value = blob_get(state->value);
	changed.perms = perms_get(perms);
	if (!txn_has_room(ax->txn, node_state_bytes(&changed))) {
		node_state_fini(&changed);
		return -ENOMEM;
	}
	txn_set(ax->txn, node, &changed, true);
	return 0;
}
