/* SPDX-License-Identifier: MIT */
/* store.c - the committed tree. See store.h. */
#include "xenstore-lite/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct blob *blob_new(const void *data, uint32_t len, int *err)
{
	struct blob *b;

	*err = 0;
	if (len == 0)
		return NULL;
	b = malloc(sizeof(*b) + len);
	if (!b) {
		*err = -ENOMEM;
		return NULL;
	}
	b->refs = 1;
	b->len = len;
	memcpy(b->data, data, len);
	return b;
}

struct blob *blob_get(struct blob *b)
{
	if (b)
		b->refs++;
	return b;
}

void blob_put(struct blob *b)
{
	if (b && --b->refs == 0)
		free(b);
}

void node_state_copy(struct node_state *to, const struct node_state *from)
{
	to->value = blob_get(from->value);
	to->perms = perms_get(from->perms);
}

void node_state_fini(struct node_state *state)
{
	blob_put(state->value);
	perms_put(state->perms);
	memset(state, 0, sizeof(*state));
}

int64_t node_state_bytes(const struct node_state *state)
{
	const struct perms *perms = state->perms;
	size_t bytes = state->value ? sizeof(*state->value) : 0;

	if (perms)
		bytes += sizeof(*perms) + perms->nr * sizeof(perms->entries[0]);
	return (int64_t)(bytes + blob_len(state->value));
}

struct store_node *store_find(const struct store *store, const char *path,
			      size_t len, uint64_t hash)
{
	for (struct hnode *h = htable_first(&store->nodes, hash); h;
	     h = htable_next(h)) {
		struct store_node *node =
			container_of(h, struct store_node, by_path);

		if (node->len == len && memcmp(node->path, path, len) == 0)
			return node;
	}
	return NULL;
}

struct xsd_domain *store_owner(const struct store *store,
			       const struct perms *perms)
{
	const struct perm *e = &perms->entries[0];
	struct xsd_domain *d = xsd_domain_find(&store->domains, e->domid);

	return d && d->incarnation == e->incarnation ? d : NULL;
}

struct store_node *store_node_alloc(const char *path, size_t len)
{
	struct store_node *node = calloc(1, sizeof(*node) + len + 1);

	if (!node)
		return NULL;
	list_init(&node->siblings);
	list_init(&node->children);
	list_init(&node->owned);
	node->len = (uint16_t)len;
	memcpy(node->path, path, len);
	return node;
}

void store_node_free(struct store_node *node)
{
	free(node);
}

static void take_state(struct store *store, struct store_node *node,
		       struct node_state *state)
{
	struct xsd_domain *owner = store_owner(store, state->perms);

	assert(owner);
	if (node->owner)
		xsd_domain_charge(node->owner,
				  -store_node_bytes(node->len, &node->state));
	xsd_domain_charge(owner, store_node_bytes(node->len, state));
	if (owner != node->owner) {
		if (node->owner)
			node->owner->nr_nodes--;
		list_del(&node->owned);
		node->owner = owner;
		owner->nr_nodes++;
		list_add_tail(&owner->nodes, &node->owned);
	}
	node_state_fini(&node->state);
	node->state = *state;
	memset(state, 0, sizeof(*state));
	node->generation = ++store->last_generation;
	node->writer = store->writer;
}

static void set_children(struct store *store, struct store_node *parent)
{
	parent->children_generation = ++store->last_generation;
	parent->children_writer = store->writer;
}

void store_add(struct store *store, struct store_node *parent,
	       struct store_node *node, uint64_t hash, struct node_state *state)
{
	take_state(store, node, state);
	node->children_generation = node->generation;
	node->children_writer = node->writer;
	htable_add(&store->nodes, &node->by_path, hash);
	node->parent = parent;
	if (!parent)
		return;
	list_add_tail(&parent->children, &node->siblings);
	parent->nr_children++;
	set_children(store, parent);
}

void store_change(struct store *store, struct store_node *node,
		  struct node_state *state)
{
	take_state(store, node, state);
}

static void remember_removal(struct store *store, const struct store_node *node)
{
	uint64_t hash = node->by_path.hash;
	struct store_removal *r = &store->removals[hash % STORE_NR_REMOVALS];

	r->hash = hash;
	r->generation = store->last_generation;
	r->writer = store->writer;
}

void store_remove(struct store *store, struct store_node *node)
{
	assert(list_empty(&node->children) && node->parent);
	node->parent->nr_children--;
	set_children(store, node->parent);
	remember_removal(store, node);
	htable_del(&store->nodes, &node->by_path);
	node->owner->nr_nodes--;
	xsd_domain_charge(node->owner,
			  -store_node_bytes(node->len, &node->state));
	list_del(&node->owned);
	list_del(&node->siblings);
	node_state_fini(&node->state);
	free(node);
}

int store_init(struct store *store, uint64_t secret)
{
	struct xsd_domain *domain0;
	struct node_state state = { 0 };
	int err;

	memset(store, 0, sizeof(*store));
	path_seed_init(&store->seed, secret);
	htable_init(&store->nodes);
	err = xsd_domains_init(&store->domains);
	if (err)
		return err;
	err = xsd_domain_add(&store->domains, 0, XSD_DOMAIN0_LIFE, &domain0);
	if (err)
		goto fail;
	err = -ENOMEM;
	state.perms = perms_new(domain0, 0);
	if (!state.perms)
		goto fail;
	store->root = store_node_alloc("/", 1);
	if (!store->root)
		goto fail_perms;
	store_add(store, NULL, store->root, path_hash(&store->seed, "/", 1),
		  &state);
	return 0;

fail_perms:
	node_state_fini(&state);
fail:
	xsd_domains_fini(&store->domains);
	return err;
}

void store_fini(struct store *store)
{
	list_for_each(d, &store->domains.all) {
		struct xsd_domain *domain =
			container_of(d, struct xsd_domain, link);

		list_for_each_safe(l, tmp, &domain->nodes) {
			struct store_node *node =
				container_of(l, struct store_node, owned);

			node_state_fini(&node->state);
			free(node);
		}
		list_init(&domain->nodes);
	}
	htable_fini(&store->nodes);
	xsd_domains_fini(&store->domains);
}

/* ---- recount ------------------------------------------------------------ */

static unsigned check_node(const struct store *store,
			   const struct store_node *node)
{
	size_t parent_len = path_parent_len(node->path, node->len);
	uint64_t hash = path_hash(&store->seed, node->path, node->len);
	unsigned faults = 0;
	uint32_t nr = 0;

	list_for_each(l, &node->children) {
		const struct store_node *child =
			container_of(l, struct store_node, siblings);

		faults += child->parent != node;
		nr++;
	}
	faults += nr != node->nr_children;
	faults += store_find(store, node->path, node->len, hash) != node;
	faults += store_owner(store, node->state.perms) != node->owner;
	if (!node->parent)
		return faults + (node != store->root);
	faults += node->parent->len != parent_len ||
		  memcmp(node->parent->path, node->path, parent_len) != 0;
	return faults;
}

unsigned store_check(const struct store *store)
{
	unsigned faults = 0;
	uint32_t total = 0;

	list_for_each(d, &store->domains.all) {
		const struct xsd_domain *domain =
			container_of(d, struct xsd_domain, link);
		uint32_t nr = 0;

		list_for_each(l, &domain->nodes) {
			const struct store_node *node =
				container_of(l, struct store_node, owned);

			faults += node->owner != domain;
			faults += check_node(store, node);
			nr++;
		}
		faults += nr != domain->nr_nodes;
		total += nr;
	}
	return faults + (total != store->nodes.nr);
}
