/* SPDX-License-Identifier: MIT */
/*
 * transaction.c - overlay of touched nodes. See transaction.h; the commit is
 * in commit.c.
 */
#include "xenstore-lite/transaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void txn_init(struct txn *txn, struct store *store, struct xsd_domain *domain,
	      uint32_t max_nodes)
{
	memset(txn, 0, offsetof(struct txn, few));
	list_init(&txn->of_conn);
	txn->store = store;
	txn->domain = domain;
	txn->max_nodes = max_nodes;
	htable_init(&txn->nodes);
	list_init(&txn->touched);
	list_init(&txn->changed);
	list_init(&txn->work);
}

static int64_t touch_bytes(size_t len)
{
	return (int64_t)(sizeof(struct txn_node) + len + 1);
}

int64_t txn_bytes(const struct txn *txn)
{
	int64_t bytes = (int64_t)sizeof(*txn);

	list_for_each(l, &txn->touched) {
		const struct txn_node *node =
			container_of(l, struct txn_node, touched);

		bytes += touch_bytes(node->len) + (int64_t)node->listing_bytes +
			 node_state_bytes(&node->base) +
			 node_state_bytes(&node->state);
	}
	return bytes;
}

static void charge(struct txn *txn, int64_t bytes)
{
	if (!txn->charged_bytes)
		return;
	txn->charged_bytes += bytes;
	xsd_domain_charge(txn->domain, bytes);
}

void txn_charge(struct txn *txn)
{
	txn->charged_bytes = txn_bytes(txn);
	xsd_domain_charge(txn->domain, txn->charged_bytes);
}

bool txn_has_room(const struct txn *txn, int64_t bytes)
{
	return !txn->charged_bytes || xsd_domain_has_room(txn->domain, bytes);
}

static void touch_free(const struct txn *txn, struct txn_node *node)
{
	uintptr_t few = (uintptr_t)txn->few;

	if ((uintptr_t)node - few >= sizeof(txn->few))
		free(node);
}

void txn_fini(struct txn *txn)
{
	charge(txn, -txn->charged_bytes);
	list_for_each_safe(l, tmp, &txn->touched) {
		struct txn_node *node =
			container_of(l, struct txn_node, touched);

		node_state_fini(&node->base);
		node_state_fini(&node->state);
		free(node->listing);
		store_node_free(node->fresh);
		touch_free(txn, node);
	}
	htable_fini(&txn->nodes);
}

struct txn_node *txn_peek(const struct txn *txn, const char *path, size_t len,
			  uint64_t hash)
{
	for (struct hnode *h = htable_first(&txn->nodes, hash); h;
	     h = htable_next(h)) {
		struct txn_node *node =
			container_of(h, struct txn_node, by_path);

		if (node->len == len && memcmp(node->path, path, len) == 0)
			return node;
	}
	return NULL;
}

struct txn_node *txn_touch_alloc(struct txn *txn, const char *path, size_t len)
{
	const size_t align = _Alignof(struct txn_node);
	size_t bytes = (sizeof(struct txn_node) + len + align) / align * align;
	struct txn_node *node;

	if (bytes <= sizeof(txn->few) - txn->few_used) {
		node = (struct txn_node *)(void *)(txn->few + txn->few_used);
		txn->few_used += (uint32_t)bytes;
		memset(node, 0, bytes);
	} else {
		node = calloc(1, bytes);
	}
	if (!node)
		return NULL;
	list_init(&node->changed);
	list_init(&node->siblings);
	list_init(&node->created);
	list_init(&node->work);
	node->len = (uint16_t)len;
	memcpy(node->path, path, len);
	return node;
}

void txn_touch_add(struct txn *txn, struct txn_node *node, uint64_t hash)
{
	htable_add(&txn->nodes, &node->by_path, hash);
	list_add_tail(&txn->touched, &node->touched);
	txn->nr_nodes++;
}

int txn_touch(struct txn *txn, const char *path, size_t len, uint64_t hash,
	      struct txn_node **ret)
{
	struct txn_node *node = txn_peek(txn, path, len, hash);
	const struct store_node *base;
	int64_t bytes = touch_bytes(len);

	if (node) {
		*ret = node;
		return 0;
	}
	if (txn->nr_nodes >= txn->max_nodes)
		return -ENOSPC;
	base = store_find(txn->store, path, len, hash);
	if (base)
		bytes += 2 * node_state_bytes(&base->state);
	if (!txn_has_room(txn, bytes))
		return -ENOMEM;
	node = txn_touch_alloc(txn, path, len);
	if (!node)
		return -ENOMEM;
	if (base) {
		node_state_copy(&node->base, &base->state);
		node_state_copy(&node->state, &base->state);
		node->generation = base->generation;
		node->children_generation = base->children_generation;
	}
	txn_touch_add(txn, node, hash);
	txn->store->work++;
	charge(txn, bytes);
	*ret = node;
	return 0;
}

/* 1 when the transaction's domain owns a node in this state. */
static int owns(const struct txn *txn, const struct node_state *state)
{
	const struct perm *e = state->perms ? state->perms->entries : NULL;

	return e && e->domid == txn->domain->domid &&
	       e->incarnation == txn->domain->incarnation;
}

static void change(struct txn *txn, struct txn_node *node,
		   struct node_state *state)
{
	txn->nr_own += owns(txn, state) - owns(txn, &node->state);
	txn->own_bytes +=
		owns(txn, state) * store_node_bytes(node->len, state) -
		owns(txn, &node->state) *
			store_node_bytes(node->len, &node->state);
	charge(txn, node_state_bytes(state) - node_state_bytes(&node->state));
	node_state_fini(&node->state);
	node->state = *state;
	memset(state, 0, sizeof(*state));
	node->dirty = true;
	txn->nr_changes++;
}

static void announce(struct txn *txn, struct txn_node *node, bool exact)
{
	if (list_empty(&node->changed)) {
		list_add_tail(&txn->changed, &node->changed);
		node->exact = exact;
	} else if (!exact) {
		node->exact = false;
	}
}

void txn_set(struct txn *txn, struct txn_node *node, struct node_state *state,
	     bool notify)
{
	change(txn, node, state);
	if (notify)
		announce(txn, node, false);
}

void txn_create(struct txn *txn, struct txn_node *parent, struct txn_node *node,
		struct node_state *state, bool notify)
{
	/* One that was there at first is found through the listing. */
	if (node->generation == 0 && list_empty(&node->siblings))
		list_add_tail(&parent->created, &node->siblings);
	txn_set(txn, node, state, notify);
	node->order = txn->nr_changes;
}

/* ---- children ----------------------------------------------------------- */

int store_list(struct store *store, const struct store_node *node, char **ret,
	       size_t *ret_bytes)
{
	size_t bytes = 0;
	char *buf = NULL;

	store->work += node->nr_children;
	list_for_each(l, &node->children) {
		const struct store_node *child =
			container_of(l, struct store_node, siblings);

		bytes += strlen(path_name(child->path, child->len)) + 1;
	}
	if (bytes) {
		char *at = buf = malloc(bytes);

		if (!buf)
			return -ENOMEM;
		list_for_each(l, &node->children) {
			const struct store_node *child =
				container_of(l, struct store_node, siblings);

			at = stpcpy(at, path_name(child->path, child->len)) + 1;
		}
	}
	*ret = buf;
	*ret_bytes = bytes;
	return 0;
}

/* Remember which children the node has in the tree; from now on a conflict. */
static int take_listing(struct txn *txn, struct txn_node *node)
{
	const struct store_node *base;
	int err;

	if (node->listed)
		return 0;
	base = store_find(txn->store, node->path, node->len,
			  node->by_path.hash);
	if (base && node->generation) {
		err = store_list(txn->store, base, &node->listing,
				 &node->listing_bytes);
		if (err)
			return err;
		if (!txn_has_room(txn, (int64_t)node->listing_bytes)) {
			free(node->listing);
			node->listing = NULL;
			node->listing_bytes = 0;
			return -ENOMEM;
		}
		node->children_generation = base->children_generation;
		charge(txn, (int64_t)node->listing_bytes);
	}
	node->listed = true;
	return 0;
}

static size_t child_path(const struct txn_node *node, const char *name,
			 char *path)
{
	size_t len = node->len > 1 ? node->len : 0;

	memcpy(path, node->path, len);
	path[len] = '/';
	return (size_t)(stpcpy(path + len + 1, name) - path);
}

static struct txn_node *peek_child(struct txn *txn, struct txn_node *node,
				   const char *name)
{
	char path[XSD_PATH_MAX + 1];
	size_t len = child_path(node, name, path);

	return txn_peek(txn, path, len,
			path_hash(&txn->store->seed, path, len));
}

/* A name of the base's listing that is a child here too, as it was. */
static bool still_there(struct txn *txn, struct txn_node *node,
			const char *name)
{
	const struct txn_node *child = peek_child(txn, node, name);

	return !child || (txn_node_present(child) && child->generation);
}

int txn_list(struct txn *txn, struct txn_node *node, char **ret,
	     size_t *ret_bytes, uint64_t *generation)
{
	size_t bytes;
	char *buf, *at;
	int err = take_listing(txn, node);

	if (err)
		return err;
	bytes = node->listing_bytes;
	txn->store->work += bytes / 8;
	list_for_each(l, &node->created)
		bytes += container_of(l, struct txn_node, siblings)->len;
	buf = at = malloc(bytes + 1);
	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < node->listing_bytes;
	     i += strlen(node->listing + i) + 1)
		if (still_there(txn, node, node->listing + i))
			at = stpcpy(at, node->listing + i) + 1;
	list_for_each(l, &node->created) {
		const struct txn_node *child =
			container_of(l, struct txn_node, siblings);

		if (txn_node_present(child))
			at = stpcpy(at, path_name(child->path, child->len)) + 1;
	}
	*ret = buf;
	*ret_bytes = (size_t)(at - buf);
	*generation = node->children_generation + txn->nr_changes;
	return 0;
}

/* ---- removal ------------------------------------------------------------ */

/* Touch every child that is present and queue it behind node. */
static int queue_children(struct txn *txn, struct txn_node *node)
{
	char path[XSD_PATH_MAX + 1];
	size_t bytes;
	uint64_t generation;
	char *names;
	int err = txn_list(txn, node, &names, &bytes, &generation);

	if (err)
		return err;
	for (size_t i = 0; i < bytes && !err; i += strlen(names + i) + 1) {
		size_t len = child_path(node, names + i, path);
		struct txn_node *child;

		err = txn_touch(txn, path, len,
				path_hash(&txn->store->seed, path, len),
				&child);
		if (!err && txn_node_present(child) && list_empty(&child->work))
			list_add_tail(&txn->work, &child->work);
	}
	free(names);
	return err;
}

int txn_remove(struct txn *txn, struct txn_node *node)
{
	int err = 0;

	list_add_tail(&txn->work, &node->work);
	for (struct list *l = txn->work.next; l != &txn->work && !err;
	     l = l->next)
		err = queue_children(txn,
				     container_of(l, struct txn_node, work));
	list_for_each_safe(l, tmp, &txn->work) {
		struct txn_node *n = container_of(l, struct txn_node, work);
		struct node_state absent = { 0 };

		list_del(&n->work);
		if (err)
			continue;
		change(txn, n, &absent);
		announce(txn, n, n != node);
	}
	return err;
}
