/* SPDX-License-Identifier: MIT */
/*
 * store_model_domain.h - the model's connections that end, domains that come
 * and go, what domain 0 says of them.
 */
#ifndef TESTS_UNIT_STORE_MODEL_DOMAIN_H
#define TESTS_UNIT_STORE_MODEL_DOMAIN_H

#include "tests/unit/store_model_request.h"

/* ---- connections, domains ------------------------------------------------ */

static inline void model_reset(struct model_conn *conn)
{
	while (conn->watches)
		model_drop_watch(conn, &conn->watches);
	for (unsigned i = 0; i < MODEL_TXNS; i++)
		model_txn_free(&conn->txns[i]);
}

static inline void model_close(struct model_conn *conn)
{
	model_reset(conn);
	memset(conn, 0, sizeof(*conn));
}

/* One node of a new domain: docs/xenstore-paths.md. perms: "n0|r1|". */
static inline void model_home(struct model *m, struct model_txn *txn,
			      uint32_t domid, const char *leaf,
			      const char *value, bool its_own)
{
	struct model_answer ignored;
	char path[64], perms[32];
	int len = snprintf(perms, sizeof(perms), "n%u", its_own ? domid : 0);

	if (!its_own && domid)
		len += 1 + snprintf(perms + len + 1,
				    sizeof(perms) - (size_t)len - 1, "r%u",
				    domid);
	snprintf(path, sizeof(path), "/local/domain/%u%s", domid, leaf);
	model_request(m, 0, txn, XS_WRITE, path, value, strlen(value),
		      &ignored);
	model_request(m, 0, txn, XS_SET_PERMS, path, perms, (size_t)len + 1,
		      &ignored);
}

static inline void model_domain_create(struct model *m, uint32_t domid,
				       const char *name)
{
	struct model_txn txn = { .domid = 0 };
	struct model_domain *d = &m->domains[domid];
	char id[12];

	snprintf(id, sizeof(id), "%u", domid);
	if (domid) {
		memset(d, 0, sizeof(*d));
		d->life = ++m->clock;
		d->quota = m->new_quota;
	}
	model_home(m, &txn, domid, "", "", false);
	model_home(m, &txn, domid, "/name", name, false);
	model_home(m, &txn, domid, "/domid", id, false);
	model_home(m, &txn, domid, "/device", "", false);
	model_home(m, &txn, domid, "/backend", "", true);
	model_home(m, &txn, domid, "/data", "", true);
	if (model_commit(m, &txn))
		abort();
	model_txn_free(&txn);
	if (domid)
		model_fire_special(m, MODEL_INTRODUCE, domid, NULL);
}

static inline int model_set_target(struct model *m, uint32_t domid,
				   uint32_t target)
{
	struct model_domain *d;

	if (domid >= MODEL_DOMAINS || target >= MODEL_DOMAINS ||
	    !m->domains[domid].life || !m->domains[target].life)
		return -ENOENT;
	d = &m->domains[domid];
	d->has_target = true;
	d->target = target;
	d->target_life = m->domains[target].life;
	return 0;
}

static inline int model_set_quota(struct model *m, uint32_t domid,
				  const char *name, unsigned value)
{
	struct model_quota *q;

	if (domid >= MODEL_DOMAINS || !m->domains[domid].life)
		return -ENOENT;
	q = &m->domains[domid].quota;
	value = value ? value : MODEL_UNLIMITED;
	if (strcmp(name, "nodes") == 0)
		q->nodes = value;
	else if (strcmp(name, "watches") == 0)
		q->watches = value;
	else if (strcmp(name, "transactions") == 0)
		q->transactions = value;
	else if (strcmp(name, "node-size") == 0)
		q->node_bytes = value;
	else if (strcmp(name, "node-permissions") == 0)
		q->perms = value;
	else
		return -EINVAL;
	return 0;
}

/* Whether a path goes when domid does: what it owns, its home, all below. */
static inline bool model_dies(const struct model *m, uint32_t domid,
			      const char *path)
{
	char home[40], libxl[40];

	snprintf(home, sizeof(home), "/local/domain/%u", domid);
	snprintf(libxl, sizeof(libxl), "/libxl/%u", domid);
	if (model_within(path, home) || model_within(path, libxl))
		return true;
	for (const struct model_node *n = m->tree.first; n; n = n->next)
		if (model_names(m, &n->perms.of[0], domid) &&
		    model_within(path, n->path))
			return true;
	return false;
}

/*
 * A watch above a node that goes with its parent need not hear of it, but may:
 * it depends on which of the two went first.
 */
static inline void model_fire_death(struct model *m, struct model_node *node,
				    const struct model_tree *left)
{
	struct model_news news = { .path = node->path, .before = node };
	char *parent = model_parent(node->path);
	bool top = model_find(left, parent) != NULL;

	news.parent = model_find(&m->tree, parent);
	news.exact = !top;
	model_fire(m, &news);
	news.exact = false;
	news.optional = true;
	model_fire(m, &news);
	free(parent);
}

static inline void model_domain_destroy(struct model *m, uint32_t domid)
{
	struct model_tree left = model_tree_copy(&m->tree);
	struct model_perms one;

	for (unsigned i = 0; i < MODEL_CONNS; i++)
		if (m->conns[i].open && m->conns[i].domid == domid)
			model_close(&m->conns[i]);
	for (struct model_node *n = m->tree.first; n; n = n->next)
		if (model_dies(m, domid, n->path))
			model_remove(&left, n->path);
	m->batch++;
	for (struct model_node *n = m->tree.first; n; n = n->next)
		if (!model_find(&left, n->path))
			model_fire_death(m, n, &left);
	model_become(m, &left);
	one = m->domains[domid].release;
	memset(&m->domains[domid], 0, sizeof(m->domains[domid]));
	model_fire_special(m, MODEL_RELEASE, domid, &one);
}

/* ---- the whole ----------------------------------------------------------- */

static inline void model_init(struct model *m)
{
	static const struct model_perms none = { 1, { { 0, 1, 'n' } } };
	struct model_node *root = model_must(calloc(1, sizeof(*root)));

	memset(m, 0, sizeof(*m));
	m->clock = 1;
	m->domains[0].life = 1;
	root->path = model_dup("/");
	root->generation = root->children = ++m->clock;
	root->perms = none;
	model_set_value(root, "", 0);
	model_put(&m->tree, root);
	for (unsigned i = 0; i < MODEL_SPECIALS; i++)
		m->special[i] = none;
}

static inline void model_fini(struct model *m)
{
	for (unsigned i = 0; i < MODEL_CONNS; i++)
		model_close(&m->conns[i]);
	model_tree_free(&m->tree);
}

#endif /* TESTS_UNIT_STORE_MODEL_DOMAIN_H */
