/* SPDX-License-Identifier: MIT */
/*
 * image_txn.c - an open transaction in the live-update image: all the nodes
 * that it has touched, as it saw and as it left them. See image.h.
 */
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/image_private.h"

/* ---- saving ------------------------------------------------------------- */

static uint32_t count(const struct list *head)
{
	uint32_t nr = 0;

	list_for_each(l, head)
		nr++;
	return nr;
}

static void save_node(struct encoder *e, const struct txn_node *node)
{
	enc_path(e, node->path, node->len);
	enc_state(e, &node->base);
	enc_state(e, &node->state);
	enc_u64(e, node->generation);
	enc_u64(e, node->children_generation);
	enc_u32(e, node->order);
	enc_u8(e, node->listed);
	enc_u8(e, node->dirty);
	enc_u8(e, node->exact);
	enc_text(e, node->listing, node->listing_bytes);
}

/* Nodes in lists are named by where they stand among the touched. */
void image_save_txn(struct encoder *e, struct txn *txn)
{
	uint32_t idx = 0;

	enc_u32(e, txn->id);
	enc_u64(e, txn->start_ns);
	enc_u32(e, txn->max_nodes);
	enc_u32(e, txn->nr_changes);
	enc_u64(e, (uint64_t)txn->nr_own);
	enc_u64(e, (uint64_t)txn->own_bytes);
	enc_u32(e, (uint32_t)-txn->broken);
	enc_u32(e, txn->nr_nodes);
	list_for_each(l, &txn->touched) {
		struct txn_node *node =
			container_of(l, struct txn_node, touched);

		node->image_idx = idx++;
		save_node(e, node);
	}
	enc_u32(e, count(&txn->changed));
	list_for_each(l, &txn->changed)
		enc_u32(e,
			container_of(l, struct txn_node, changed)->image_idx);
	list_for_each(l, &txn->touched) {
		const struct txn_node *node =
			container_of(l, struct txn_node, touched);

		enc_u32(e, count(&node->created));
		list_for_each(c, &node->created)
			enc_u32(e, container_of(c, struct txn_node, siblings)
					   ->image_idx);
	}
}

/* ---- restoring ---------------------------------------------------------- */

/* Names, each with its NUL, that make paths with their parent's. */
static bool is_listing(const struct txn_node *node, const char *names,
		       size_t len)
{
	size_t room = XSD_PATH_MAX - node->len;

	if (len && names[len - 1] != '\0')
		return false;
	for (size_t i = 0; i < len; i += strlen(names + i) + 1) {
		size_t n = strlen(names + i);

		if (n == 0 || n + 1 > room || memchr(names + i, '/', n))
			return false;
	}
	return true;
}

static void restore_listing(struct decoder *d, struct txn_node *node)
{
	size_t len;
	const char *names = dec_text(d, SIZE_MAX, &len);

	d->bad |= !names || !is_listing(node, names, len) ||
		  (len > 0 && !node->listed);
	if (d->bad || !len)
		return;
	node->listing = malloc(len);
	if (!node->listing) {
		d->bad = d->no_memory = true;
		return;
	}
	memcpy(node->listing, names, len);
	node->listing_bytes = len;
}

static void share(struct node_state *state, const struct node_state *like)
{
	if (!state->perms || !like->perms)
		return;
	perms_share(&state->perms, like->perms);
	if (blob_len(state->value) == blob_len(like->value) && state->value &&
	    memcmp(state->value->data, like->value->data, state->value->len) ==
		    0) {
		blob_put(state->value);
		state->value = blob_get(like->value);
	}
}

static struct txn_node *restore_node(struct decoder *d, struct txn *txn)
{
	struct txn_node *node;
	struct xpath path;
	uint64_t hash;

	if (!dec_path(d, &path))
		return NULL;
	hash = path_hash(&txn->store->seed, path.text, path.len);
	if (txn_peek(txn, path.text, path.len, hash)) {
		d->bad = true;
		return NULL;
	}
	node = txn_touch_alloc(txn, path.text, path.len);
	if (!node) {
		d->bad = d->no_memory = true;
		return NULL;
	}
	txn_touch_add(txn, node, hash);
	dec_state(d, &node->base);
	dec_state(d, &node->state);
	share(&node->state, &node->base);
	node->generation = dec_u64(d);
	node->children_generation = dec_u64(d);
	node->order = dec_u32(d);
	node->listed = dec_bool(d);
	node->dirty = dec_bool(d);
	node->exact = dec_bool(d);
	restore_listing(d, node);
	d->bad |= (node->generation == 0) != (node->base.perms == NULL);
	return node;
}

static struct txn_node *pick(struct decoder *d, struct txn_node **nodes,
			     uint32_t nr)
{
	uint32_t idx = dec_u32(d);

	if (d->bad || idx >= nr) {
		d->bad = true;
		return NULL;
	}
	return nodes[idx];
}

static void restore_lists(struct decoder *d, struct txn *txn,
			  struct txn_node **nodes, uint32_t nr)
{
	uint32_t left = dec_u32(d);

	while (left-- && !d->bad) {
		struct txn_node *node = pick(d, nodes, nr);

		d->bad |= node && !list_empty(&node->changed);
		if (!d->bad)
			list_add_tail(&txn->changed, &node->changed);
	}
	for (uint32_t i = 0; i < nr && !d->bad; i++) {
		left = dec_u32(d);
		while (left-- && !d->bad) {
			struct txn_node *node = pick(d, nodes, nr);

			d->bad |= node && !list_empty(&node->siblings);
			if (!d->bad)
				list_add_tail(&nodes[i]->created,
					      &node->siblings);
		}
	}
}

/* ---- whether the commit could carry it out ------------------------------ */

static struct txn_node *peek_parent(const struct txn *txn,
				    const struct txn_node *node)
{
	size_t len = path_parent_len(node->path, node->len);

	return txn_peek(txn, node->path, len,
			path_hash(&txn->store->seed, node->path, len));
}

/* Every child that there is now has been removed as well. */
static bool leaves_no_child(const struct txn *txn, const struct txn_node *node,
			    const struct store_node *base)
{
	list_for_each(l, &base->children) {
		const struct store_node *child =
			container_of(l, struct store_node, siblings);
		const struct txn_node *mine = txn_peek(
			txn, child->path, child->len, child->by_path.hash);

		if (!mine || txn_node_present(mine) || !mine->dirty)
			return base->children_generation !=
			       node->children_generation;
	}
	return true;
}

/* What the steps of a client leave of a node: below a node that is there, and
 * nothing below one that is not. */
static bool is_sound(const struct txn *txn, const struct txn_node *node)
{
	const struct store_node *base = store_find(
		txn->store, node->path, node->len, node->by_path.hash);
	const struct txn_node *parent = peek_parent(txn, node);

	if (!node->dirty)
		return true;
	if (node->len == 1)
		return txn_node_present(node);
	if (!txn_node_present(node))
		return !base || base->generation != node->generation ||
		       (node->listed && leaves_no_child(txn, node, base));
	/* The parent may have gone meanwhile: then it has been touched. */
	if (parent)
		return txn_node_present(parent);
	return node->generation != 0;
}

static void check(struct decoder *d, const struct txn *txn)
{
	list_for_each(l, &txn->touched)
		if (!d->bad)
			d->bad = !is_sound(
				txn, container_of(l, struct txn_node, touched));
}

static void restore_nodes(struct decoder *d, struct txn *txn)
{
	uint32_t nr = dec_u32(d), i;
	struct txn_node **nodes;

	if (nr > d->left / sizeof(struct txn_node *)) {
		d->bad = true;
		return;
	}
	nodes = calloc(nr + 1u, sizeof(*nodes));
	if (!nodes) {
		d->bad = d->no_memory = true;
		return;
	}
	for (i = 0; i < nr && !d->bad; i++)
		nodes[i] = restore_node(d, txn);
	if (!d->bad)
		restore_lists(d, txn, nodes, nr);
	free(nodes);
	if (!d->bad)
		check(d, txn);
}

void image_restore_txn(struct decoder *d, struct xsd_conn *conn)
{
	struct txn *txn = malloc(sizeof(*txn));

	if (!txn) {
		d->bad = d->no_memory = true;
		return;
	}
	txn_init(txn, &conn->xsd->store, conn->domain, 0);
	txn->id = dec_u32(d);
	txn->start_ns = dec_u64(d);
	txn->max_nodes = dec_u32(d);
	txn->nr_changes = dec_u32(d);
	txn->nr_own = (int64_t)dec_u64(d);
	txn->own_bytes = (int64_t)dec_u64(d);
	txn->broken = -(int)(dec_u32(d) & 0xfff);
	restore_nodes(d, txn);
	list_add_tail(&conn->txns, &txn->of_conn);
	conn->domain->nr_transactions++;
	txn_charge(txn);
}
