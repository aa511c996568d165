/* SPDX-License-Identifier: MIT */
/* image.c - the whole store as bytes: domains, nodes, the rest. See image.h. */
#include "xenstore-lite/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/changes.h"
#include "xenstore-lite/image_private.h"

#define IMAGE_MAGIC 0x656761696d767370ull /* "psvimage" */

/* ---- the order of a domain's nodes -------------------------------------- */

/* A node, and where it stands among those that its owner has: what a domain's
 * death removes first is seen by watches. */
struct place {
	struct store_node *node;
	/* The node's, while there are children to come. */
	uint64_t children_generation;
	domid_t children_writer;
	uint32_t pos;
};

static int by_node(const void *a, const void *b)
{
	const struct store_node *x = ((const struct place *)a)->node;
	const struct store_node *y = ((const struct place *)b)->node;

	return (x > y) - (x < y);
}

static int by_pos(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->pos > y->pos) - (x->pos < y->pos);
}

static struct place *find_places(const struct store *store)
{
	struct place *places = calloc(store->nodes.nr, sizeof(*places));
	size_t nr = 0;

	if (!places)
		return NULL;
	list_for_each(d, &store->domains.all)
		list_for_each(
			l, &container_of(d, struct xsd_domain, link)->nodes) {
			places[nr].node =
				container_of(l, struct store_node, owned);
			places[nr].pos = (uint32_t)nr;
			nr++;
		}
	qsort(places, nr, sizeof(*places), by_node);
	return places;
}

/* ---- nodes -------------------------------------------------------------- */

/* The node after node, parents before children, children in their order. */
static struct store_node *next_node(const struct store_node *node)
{
	if (!list_empty(&node->children))
		return container_of(node->children.next, struct store_node,
				    siblings);
	while (node->parent && node->siblings.next == &node->parent->children)
		node = node->parent;
	if (!node->parent)
		return NULL;
	return container_of(node->siblings.next, struct store_node, siblings);
}

static void save_nodes(struct encoder *e, const struct store *store)
{
	struct place *places = find_places(store);

	if (!places) {
		e->failed = true;
		return;
	}
	enc_u32(e, store->nodes.nr);
	for (struct store_node *node = store->root; node;
	     node = next_node(node)) {
		const struct place key = { .node = node };
		const struct place *place =
			bsearch(&key, places, store->nodes.nr, sizeof(*places),
				by_node);

		enc_path(e, node->path, node->len);
		enc_state(e, &node->state);
		enc_u64(e, node->generation);
		enc_u64(e, node->children_generation);
		enc_u16(e, node->writer);
		enc_u16(e, node->children_writer);
		enc_u32(e, place->pos);
	}
	free(places);
}

/* The root is there; any other is made below its parent. */
static struct store_node *put_node(struct decoder *d, struct store *store,
				   const struct xpath *path,
				   struct node_state *state)
{
	size_t len = path_parent_len(path->text, path->len);
	uint64_t hash = path_hash(&store->seed, path->text, path->len);
	struct store_node *node =
		store_find(store, path->text, path->len, hash);
	struct store_node *parent =
		store_find(store, path->text, len,
			   path_hash(&store->seed, path->text, len));

	if (!store_owner(store, state->perms) ||
	    (node == store->root) != (path->len == 1) ||
	    (node && node != store->root) || (!node && !parent)) {
		d->bad = true;
		return NULL;
	}
	if (parent)
		perms_share(&state->perms, parent->state.perms);
	if (node) {
		store_change(store, node, state);
		return node;
	}
	node = store_node_alloc(path->text, path->len);
	if (node)
		store_add(store, parent, node, hash, state);
	else
		d->bad = d->no_memory = true;
	return node;
}

static void restore_node(struct decoder *d, struct store *store,
			 struct place *place)
{
	struct node_state state = { 0 };
	struct xpath path;

	if (dec_path(d, &path))
		dec_state(d, &state);
	if (!state.perms)
		d->bad = true;
	if (!d->bad)
		place->node = put_node(d, store, &path, &state);
	node_state_fini(&state);
	if (d->bad)
		return;
	place->node->generation = dec_u64(d);
	place->children_generation = dec_u64(d);
	place->node->writer = dec_u16(d);
	place->children_writer = dec_u16(d);
	place->pos = dec_u32(d);
	d->bad |= place->node->generation == 0;
}

static void restore_nodes(struct decoder *d, struct store *store)
{
	uint32_t nr = dec_u32(d), i;
	struct place *places;

	/* Each takes more bytes than its place. */
	if (nr > d->left / sizeof(*places)) {
		d->bad = true;
		return;
	}
	places = calloc(nr + 1u, sizeof(*places));
	if (!places)
		d->bad = d->no_memory = true;
	for (i = 0; i < nr && !d->bad; i++)
		restore_node(d, store, &places[i]);
	d->bad |= store->nodes.nr != nr;
	if (!d->bad) {
		qsort(places, nr, sizeof(*places), by_pos);
		for (i = 0; i < nr; i++) {
			struct store_node *node = places[i].node;

			node->children_generation =
				places[i].children_generation;
			node->children_writer = places[i].children_writer;
			list_del(&node->owned);
			list_add_tail(&node->owner->nodes, &node->owned);
		}
	}
	free(places);
}

/* ---- domains ------------------------------------------------------------ */

static uint32_t count(const struct list *head)
{
	uint32_t nr = 0;

	list_for_each(l, head)
		nr++;
	return nr;
}

/* All before any is another's target; domain 0 is the first. */
static void save_domains(struct encoder *e, const struct store *store)
{
	enc_u32(e, count(&store->domains.all));
	list_for_each(l, &store->domains.all) {
		struct xsd_domain alone =
			*container_of(l, struct xsd_domain, link);

		alone.target = NULL;
		enc_domain(e, &alone);
	}
	list_for_each(l, &store->domains.all)
		enc_domain(e, container_of(l, struct xsd_domain, link));
}

static void note(struct decoder *d, int err)
{
	if (!err)
		return;
	d->bad = true;
	d->no_memory |= err == -ENOMEM;
}

static void restore_domains(struct decoder *d, struct xsd *xsd)
{
	uint32_t nr = dec_u32(d);
	struct xsd_domain *domain;

	for (uint32_t i = 0; i < nr && !d->bad; i++)
		note(d, dec_domain(d, xsd, i > 0, &domain));
	for (uint32_t i = 0; i < nr && !d->bad; i++)
		note(d, dec_domain(d, xsd, false, &domain));
}

static void save_conns(struct encoder *e, const struct image_owner *owner,
		       const struct xsd *xsd)
{
	list_for_each(d, &xsd->store.domains.all) {
		const struct xsd_domain *domain =
			container_of(d, struct xsd_domain, link);

		enc_u32(e, count(&domain->conns));
		list_for_each(l, &domain->conns)
			image_save_conn(
				e, owner,
				container_of(l, struct xsd_conn, of_domain));
	}
}

static void restore_conns(struct decoder *d, const struct image_owner *owner,
			  struct xsd *xsd)
{
	list_for_each(l, &xsd->store.domains.all) {
		struct xsd_domain *domain =
			container_of(l, struct xsd_domain, link);
		uint32_t nr = dec_u32(d);

		while (nr-- && !d->bad)
			image_restore_conn(d, owner, xsd, domain);
	}
}

/* ---- what was counted --------------------------------------------------- */

static void save_domain_counts(struct encoder *e,
			       const struct xsd_domain *domain)
{
	const struct xsd_credit *credit = &domain->credit;

	for (unsigned i = 0; i < XSD_NR_USES; i++)
		enc_u32(e, domain->use_max[i]);
	enc_u64(e, domain->did.nr_requests);
	enc_u64(e, domain->did.nr_errors);
	enc_u64(e, domain->did.spent_ns);
	enc_u64(e, domain->did.nr_conflicts);
	enc_u64(e, domain->born_generation);
	enc_u64(e, (uint64_t)credit->left_ns);
	enc_u64(e, credit->at_ns);
	enc_u64(e, credit->paused_until_ns);
	enc_u32(e, credit->nr_doubled);
	enc_u32(e, credit->nr_pauses);
	enc_u64(e, credit->pauses_ns);
	enc_u8(e, credit->paused);
}

static void restore_domain_counts(struct decoder *d, struct xsd *xsd,
				  struct xsd_domain *domain)
{
	struct xsd_credit *credit = &domain->credit;

	for (unsigned i = 0; i < XSD_NR_USES; i++)
		domain->use_max[i] = dec_u32(d);
	domain->did.nr_requests = dec_u64(d);
	domain->did.nr_errors = dec_u64(d);
	domain->did.spent_ns = dec_u64(d);
	domain->did.nr_conflicts = dec_u64(d);
	domain->born_generation = dec_u64(d);
	credit->left_ns = (int64_t)dec_u64(d);
	credit->at_ns = dec_u64(d);
	credit->paused_until_ns = dec_u64(d);
	credit->nr_doubled = dec_u32(d);
	credit->nr_pauses = dec_u32(d);
	credit->pauses_ns = dec_u64(d);
	credit->paused = dec_bool(d);
	d->bad |= credit->left_ns > (int64_t)XSD_CREDIT_MAX_NS ||
		  credit->left_ns < -(int64_t)XSD_CREDIT_OWED_NS ||
		  (credit->paused && domain->privileged);
	if (credit->paused)
		list_add_tail(&xsd->paused, &credit->of_paused);
}

/* By the paths' hashes, so the seed goes along. */
static void save_removals(struct encoder *e, const struct store *store)
{
	for (unsigned i = 0; i < STORE_NR_REMOVALS; i++) {
		enc_u64(e, store->removals[i].hash);
		enc_u64(e, store->removals[i].generation);
		enc_u16(e, store->removals[i].writer);
	}
}

static void restore_removals(struct decoder *d, struct store *store)
{
	for (unsigned i = 0; i < STORE_NR_REMOVALS; i++) {
		store->removals[i].hash = dec_u64(d);
		store->removals[i].generation = dec_u64(d);
		store->removals[i].writer = dec_u16(d);
	}
}

static void save_counts(struct encoder *e, const struct xsd *xsd)
{
	struct xsd_stats stats = xsd->stats;

	stats.turned_ns = 0;
	enc_u64(e, xsd->store.last_generation);
	enc_u64(e, xsd->last_conn_id);
	enc_u64(e, xsd->update.conn_id);
	enc_u32(e, xsd->update.req_id);
	enc_u32(e, xsd->update.tx_id);
	enc_u8(e, xsd->log.on);
	enc_u64(e, xsd->watches.nr_queued);
	enc_u64(e, xsd->watches.nr_merged);
	enc_u64(e, xsd->watches.nr_replaced);
	list_for_each(l, &xsd->store.domains.all)
		save_domain_counts(e, container_of(l, struct xsd_domain, link));
	save_removals(e, &xsd->store);
	enc_text(e, &stats, sizeof(stats));
}

/* Figures of a version that counted other things are of no use. */
static void restore_stats(struct decoder *d, struct xsd_stats *stats)
{
	struct stats_journal journal = stats->journal;
	size_t len;
	const void *data = dec_text(d, SIZE_MAX, &len);

	if (!data || len != sizeof(*stats))
		return;
	memcpy(stats, data, len);
	stats->journal.on = journal.on;
	stats->journal.full = journal.full;
	stats->journal.err = journal.err;
}

static void restore_counts(struct decoder *d, struct xsd *xsd)
{
	struct store *store = &xsd->store;

	store->last_generation = dec_u64(d);
	xsd->last_conn_id = dec_u64(d);
	xsd->update.conn_id = dec_u64(d);
	xsd->update.req_id = dec_u32(d);
	xsd->update.tx_id = dec_u32(d);
	xsd->log.on = dec_bool(d);
	xsd->watches.nr_queued = dec_u64(d);
	xsd->watches.nr_merged = dec_u64(d);
	xsd->watches.nr_replaced = dec_u64(d);
	list_for_each(l, &store->domains.all)
		restore_domain_counts(d, xsd,
				      container_of(l, struct xsd_domain, link));
	restore_removals(d, store);
	restore_stats(d, &xsd->stats);
	for (const struct store_node *node = store->root; node;
	     node = next_node(node))
		d->bad |= node->generation > store->last_generation ||
			  node->children_generation > store->last_generation;
}

/* The fresh store's only node is hashed anew. */
static void restore_seed(struct decoder *d, struct store *store)
{
	struct store_node *root = store->root;

	htable_del(&store->nodes, &root->by_path);
	store->seed.start = dec_u64(d);
	store->seed.mul = dec_u64(d);
	htable_add(&store->nodes, &root->by_path,
		   path_hash(&store->seed, root->path, root->len));
}

/* ---- all of it ---------------------------------------------------------- */

void xsd_save(struct xsd *xsd, const struct image_owner *owner,
	      struct encoder *e)
{
	enc_u64(e, IMAGE_MAGIC);
	enc_u32(e, IMAGE_VERSION);
	enc_u64(e, xsd->store.seed.start);
	enc_u64(e, xsd->store.seed.mul);
	save_domains(e, &xsd->store);
	enc_specials(e, xsd);
	save_nodes(e, &xsd->store);
	enc_u64(e, xsd->watches.last_serial);
	save_conns(e, owner, xsd);
	save_counts(e, xsd);
}

int xsd_restore(struct xsd *xsd, const struct image_owner *owner,
		struct decoder *d)
{
	if (dec_u64(d) != IMAGE_MAGIC)
		return -EBADMSG;
	if (dec_u32(d) != IMAGE_VERSION)
		return -EPROTONOSUPPORT;
	restore_seed(d, &xsd->store);
	restore_domains(d, xsd);
	if (!d->bad)
		note(d, dec_specials(d, xsd));
	if (!d->bad)
		restore_nodes(d, &xsd->store);
	xsd->watches.last_serial = dec_u64(d);
	if (!d->bad)
		restore_conns(d, owner, xsd);
	if (!d->bad)
		restore_counts(d, xsd);
	if (d->bad)
		return d->no_memory ? -ENOMEM : -EBADMSG;
	return xsd_check(xsd) ? -EBADMSG : 0;
}
