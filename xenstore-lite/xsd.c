/* SPDX-License-Identifier: MIT */
/* xsd.c - the store as a whole: domains that come and go. See conn.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/persist.h"
#include "xenstore-lite/private.h"

int xsd_open(uint64_t secret, const struct xsd_ops *ops, struct xsd **ret)
{
	struct xsd *xsd = calloc(1, sizeof(*xsd));
	const struct xsd_domain *domain0;
	int err;

	if (!xsd)
		return -ENOMEM;
	err = store_init(&xsd->store, secret);
	if (err) {
		free(xsd);
		return err;
	}
	watches_init(&xsd->watches, &xsd->store.seed);
	xsd->ops = ops;
	list_init(&xsd->paused);
	stats_init(xsd);
	domain0 = xsd_domain_find(&xsd->store.domains, 0);
	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++) {
		xsd->special_perms[i] = perms_new(domain0, 0);
		if (!xsd->special_perms[i])
			err = -ENOMEM;
	}
	if (err) {
		xsd_close(xsd);
		return err;
	}
	*ret = xsd;
	return 0;
}

static void drop_conns(struct xsd *xsd, struct xsd_domain *domain)
{
	while (!list_empty(&domain->conns))
		xsd->ops->dropped(container_of(domain->conns.next,
					       struct xsd_conn, of_domain)
					  ->arg);
}

void xsd_close(struct xsd *xsd)
{
	if (!xsd)
		return;
	list_for_each(l, &xsd->store.domains.all)
		drop_conns(xsd, container_of(l, struct xsd_domain, link));
	persist_close(xsd);
	free(xsd->update.file);
	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++)
		perms_put(xsd->special_perms[i]);
	while (xsd->nr_spare)
		free(xsd->spare[--xsd->nr_spare]);
	watches_fini(&xsd->watches);
	store_fini(&xsd->store);
	free(xsd);
}

bool xsd_domain_exists(const struct xsd *xsd, uint32_t domid)
{
	return xsd_domain_find(&xsd->store.domains, domid) != NULL;
}

uint64_t xsd_domain_life(const struct xsd *xsd, uint32_t domid)
{
	const struct xsd_domain *d =
		xsd_domain_find(&xsd->store.domains, domid);

	return d ? d->incarnation : 0;
}

int xsd_domain_set_ring(struct xsd *xsd, domid_t domid, grant_ref_t gref,
			evtchn_port_t port)
{
	struct xsd_domain *domain = xsd_domain_find(&xsd->store.domains, domid);
	grant_ref_t old_gref;
	evtchn_port_t old_port;
	int err;

	if (!domain)
		return -ENOENT;
	old_gref = domain->ring_gref;
	old_port = domain->ring_port;
	domain->ring_gref = gref;
	domain->ring_port = port;
	err = persist_domain(xsd, domain);
	if (err) {
		domain->ring_gref = old_gref;
		domain->ring_port = old_port;
	}
	return err;
}

bool xsd_domain_ring(const struct xsd *xsd, domid_t domid,
		     grant_ref_t *ret_gref, evtchn_port_t *ret_port)
{
	const struct xsd_domain *domain =
		xsd_domain_find(&xsd->store.domains, domid);

	if (!domain || !domain->ring_port)
		return false;
	*ret_gref = domain->ring_gref;
	*ret_port = domain->ring_port;
	return true;
}

void xsd_changed(void *arg, const struct change *change)
{
	struct xsd *xsd = arg;

	watch_fire(&xsd->watches, change);
}

#define HOMES "/local/domain/"

static struct store_node *find_numbered(const struct xsd *xsd,
					const char *prefix, uint32_t domid)
{
	char path[64];
	int len = str_printf(path, sizeof(path), "%s%u", prefix, domid);

	if (len < 0)
		return NULL;
	return store_find(&xsd->store, path, (size_t)len,
			  path_hash(&xsd->store.seed, path, (size_t)len));
}

uint64_t xsd_wake_ns(const struct xsd *xsd)
{
	uint64_t first = 0;

	list_for_each(l, &xsd->paused) {
		const struct xsd_domain *domain =
			container_of(l, struct xsd_domain, credit.of_paused);

		if (!first || domain->credit.paused_until_ns < first)
			first = domain->credit.paused_until_ns;
	}
	return first;
}

void xsd_wake(struct xsd *xsd)
{
	uint64_t now_ns = xsd_now_ns(xsd);

	list_for_each_safe(l, tmp, &xsd->paused) {
		struct xsd_domain *domain =
			container_of(l, struct xsd_domain, credit.of_paused);

		if (credit_resume(domain, now_ns))
			conn_unhold(domain);
	}
}

/* ---- a domain appears ------------------------------------------------------
 */

/* A node of a new domain: perms "nX" or "nX,rY", as docs/xenstore-paths.md. */
static int add_node(const struct access *ax, const char *path,
		    const char *value, const char *owner, const char *reader)
{
	const char *texts[] = { owner, reader };
	struct perms *perms;
	struct xpath xp;
	int err = xpath_parse(path, 0, XSD_PATH_MAX, &xp);

	if (err)
		return err;
	err = access_write(ax, &xp, value, (uint32_t)strlen(value));
	if (err)
		return err;
	err = perms_parse(&ax->store->domains, texts, reader ? 2 : 1, 2,
			  &perms);
	if (err)
		return err;
	err = access_set_perms(ax, &xp, perms);
	perms_put(perms);
	return err;
}

static int add_nodes(const struct access *ax, uint32_t domid, const char *name)
{
	char id[12], mine[12], reads[12];
	/* Domain 0 needs no entry. */
	const char *reader = domid ? reads : NULL;
	const struct {
		const char *leaf, *value, *owner, *reader;
	} nodes[] = {
		{ "", "", "n0", reader },	{ "/name", name, "n0", reader },
		{ "/domid", id, "n0", reader }, { "/device", "", "n0", reader },
		{ "/backend", "", mine, NULL }, { "/data", "", mine, NULL },
	};
	char path[64];
	int err;

	if (str_printf(id, sizeof(id), "%u", domid) < 0 ||
	    str_printf(mine, sizeof(mine), "n%u", domid) < 0 ||
	    str_printf(reads, sizeof(reads), "r%u", domid) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
		err = str_printf(path, sizeof(path), HOMES "%u%s", domid,
				 nodes[i].leaf);
		if (err < 0)
			return err;
		err = add_node(ax, path, nodes[i].value, nodes[i].owner,
			       nodes[i].reader);
		if (err)
			return err;
	}
	return 0;
}

/* born: the domain that begins with its home; NULL for domain 0. */
static int make_home(struct xsd *xsd, struct xsd_domain *born, uint32_t domid,
		     const char *name)
{
	struct access ax = { .store = &xsd->store };
	struct txn txn;
	int err;

	ax.domain = xsd_domain_find(&xsd->store.domains, 0);
	txn_init(&txn, &xsd->store, ax.domain, XSD_UNLIMITED);
	txn.born = born;
	ax.txn = &txn;
	err = add_nodes(&ax, domid, name);
	if (!err)
		err = txn_commit(&txn, xsd_changed, xsd);
	txn_fini(&txn);
	return err;
}

int xsd_domain_create(struct xsd *xsd, uint32_t domid, uint64_t life,
		      const char *name)
{
	struct xsd_domain *domain;
	int err;

	if (domid == 0 && life != XSD_DOMAIN0_LIFE)
		return -EINVAL;
	if (domid == 0)
		return find_numbered(xsd, HOMES, 0)
			       ? 0
			       : make_home(xsd, NULL, 0, name);
	err = xsd_domain_add(&xsd->store.domains, domid, life, &domain);
	if (err)
		return err;
	domain->born_generation = xsd->store.last_generation;
	err = make_home(xsd, domain, domid, name);
	if (err) {
		xsd_domain_del(&xsd->store.domains, domain);
		return err;
	}
	watch_fire_special(&xsd->watches, XSD_INTRODUCE_DOMAIN, domid,
			   xsd->special_perms[XSD_INTRODUCE_DOMAIN], NULL);
	return 0;
}

/* ---- a domain is gone ------------------------------------------------------
 */

static void remove_leaf(struct xsd *xsd, struct store_node *node, bool exact)
{
	struct perms *before = perms_get(node->state.perms);
	struct perms *parent = perms_get(node->parent->state.perms);
	char path[XSD_PATH_MAX + 1];
	struct change change = { .path = path,
				 .len = node->len,
				 .before = before,
				 .parent = parent,
				 .exact = exact };

	memcpy(path, node->path, node->len + 1u);
	store_remove(&xsd->store, node);
	xsd_changed(xsd, &change);
	perms_put(before);
	perms_put(parent);
}

/* Without a transaction: it allocates nothing, so it cannot fail. */
static void remove_tree(struct xsd *xsd, struct store_node *top)
{
	struct store_node *node = top;

	for (;;) {
		while (!list_empty(&node->children))
			node = container_of(node->children.next,
					    struct store_node, siblings);
		if (node == top)
			break;
		struct store_node *parent = node->parent;

		remove_leaf(xsd, node, true);
		node = parent;
	}
	remove_leaf(xsd, top, false);
}

static void remove_path(struct xsd *xsd, const char *prefix, uint32_t domid)
{
	struct store_node *node = find_numbered(xsd, prefix, domid);

	if (node)
		remove_tree(xsd, node);
}

int xsd_domain_destroy(struct xsd *xsd, uint32_t domid)
{
	struct xsd_domain *domain = xsd_domain_find(&xsd->store.domains, domid);
	struct perms *perms_one;

	if (domid == 0)
		return -EINVAL;
	if (!domain)
		return -ENOENT;
	drop_conns(xsd, domain);
	persist_domain_gone(xsd, domain);
	stats_domain_gone(xsd, domain);
	remove_path(xsd, HOMES, domid);
	remove_path(xsd, "/libxl/", domid);
	/* Never the root: that is domain 0's (access_set_perms). */
	while (!list_empty(&domain->nodes))
		remove_tree(xsd, container_of(domain->nodes.next,
					      struct store_node, owned));
	perms_one = domain->release_perms;
	domain->release_perms = NULL;
	xsd_domain_del(&xsd->store.domains, domain);
	watch_fire_special(&xsd->watches, XSD_RELEASE_DOMAIN, domid,
			   xsd->special_perms[XSD_RELEASE_DOMAIN], perms_one);
	perms_put(perms_one);
	return 0;
}
