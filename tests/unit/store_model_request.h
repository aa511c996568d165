/* SPDX-License-Identifier: MIT */
/*
 * store_model_request.h - requests to the model.
 *
 * A request outside a transaction is one of its own that is committed at once.
 */
#ifndef TESTS_UNIT_STORE_MODEL_REQUEST_H
#define TESTS_UNIT_STORE_MODEL_REQUEST_H

#include "tests/unit/store_model_watch.h"

struct model_answer {
	int err; /* 0 or -errno */
	size_t len;
	char data[XENSTORE_PAYLOAD_MAX];
};

/* One request on a node: who asks, in which view. */
struct model_call {
	struct model *m;
	struct model_txn *txn;
	struct model_tree tree;
	uint32_t domid;
};

static inline void model_say(struct model_answer *ret, const void *data,
			     size_t len)
{
	if (ret->len + len > sizeof(ret->data)) {
		ret->err = -E2BIG;
		return;
	}
	if (len)
		memcpy(ret->data + ret->len, data, len);
	ret->len += len;
}

/* ---- reading ------------------------------------------------------------- */

static inline int model_do_read(struct model_call *c, uint32_t type,
				const char *path, struct model_answer *ret)
{
	struct model_node *node;
	int err;

	model_touch(c->m, c->txn, path);
	err = model_look(c->m, &c->tree, c->domid, path, MODEL_READ, &node);
	if (err)
		return err;
	if (type == XS_READ)
		model_say(ret, node->value, node->len);
	if (type == XS_DIRECTORY)
		model_list(c->m, c->txn, path);
	for (struct model_node *n = c->tree.first; type == XS_DIRECTORY && n;
	     n = n->next) {
		char *parent = model_parent(n->path);
		const char *name = strrchr(n->path, '/') + 1;

		if (parent && strcmp(parent, path) == 0)
			model_say(ret, name, strlen(name) + 1);
		free(parent);
	}
	return ret->err;
}

/* Entries of domains that are no more are left out, but for the owner's. */
static inline void model_say_perms(const struct model *m,
				   const struct model_perms *perms,
				   struct model_answer *ret)
{
	for (unsigned i = 0; i < perms->nr; i++) {
		const struct model_perm *p = &perms->of[i];
		char text[16];

		if (i && !model_lives(m, p->domid, p->life))
			continue;
		snprintf(text, sizeof(text), "%c%u", p->letter, p->domid);
		model_say(ret, text, strlen(text) + 1);
	}
}

static inline int model_do_get_perms(struct model_call *c, const char *path,
				     struct model_answer *ret)
{
	struct model_node *node;
	int err;

	model_touch(c->m, c->txn, path);
	err = model_look(c->m, &c->tree, c->domid, path, MODEL_READ, &node);
	if (!err)
		model_say_perms(c->m, &node->perms, ret);
	return err;
}

/* ---- changing ------------------------------------------------------------ */

/* A new node below above: guests own what they make, the rest is inherited. */
static inline struct model_node *model_child(const struct model_call *c,
					     const struct model_node *above,
					     const char *path, size_t len)
{
	struct model_node *node = model_must(calloc(1, sizeof(*node)));

	node->path = model_must(strndup(path, len));
	model_set_value(node, "", 0);
	node->perms = above->perms;
	if (c->domid) {
		node->perms.of[0].domid = c->domid;
		node->perms.of[0].life = c->m->domains[c->domid].life;
	}
	return node;
}

/* The node and its missing parents, which are told of to nobody. */
static inline int model_create(struct model_call *c, const char *path,
			       const void *data, size_t len)
{
	const struct model_node *above = model_ancestor(&c->tree, path);
	size_t end,
		start = strcmp(above->path, "/") == 0 ? 0 : strlen(above->path);
	unsigned missing = 0;
	struct model_node *node;

	for (const char *s = path + start; *s; s++)
		missing += *s == '/';
	if (c->domid && model_nr_nodes(c->m, &c->tree, c->domid) + missing >
				c->m->domains[c->domid].quota.nodes)
		return -ENOSPC;
	model_touch(c->m, c->txn, above->path);
	for (end = start; path[end];) {
		end += 1 + strcspn(path + end + 1, "/");
		node = model_child(c, above, path, end);
		if (!path[end])
			model_set_value(node, data, len);
		model_change(c->m, c->txn, node->path, node);
		above = node;
	}
	model_announce(c->txn, path, ++c->m->batch, false);
	return 0;
}

static inline int model_do_write(struct model_call *c, uint32_t type,
				 const char *path, const void *data, size_t len)
{
	struct model_node *node;
	int err;

	model_touch(c->m, c->txn, path);
	err = model_look(c->m, &c->tree, c->domid, path, MODEL_WRITE, &node);
	if (err && err != -ENOENT)
		return err;
	if (c->domid && len > c->m->domains[c->domid].quota.node_bytes)
		return -ENOSPC;
	if (!node)
		return model_create(c, path, data, len);
	if (type == XS_MKDIR)
		return 0;
	node = model_node_copy(node);
	model_set_value(node, data, len);
	model_change(c->m, c->txn, path, node);
	model_announce(c->txn, path, ++c->m->batch, false);
	return 0;
}

static inline int model_do_rm(struct model_call *c, const char *path)
{
	char *parent = model_parent(path);
	bool has_parent = parent && model_find(&c->tree, parent);
	unsigned group = ++c->m->batch;
	struct model_node *node;
	int err;

	free(parent);
	model_touch(c->m, c->txn, path);
	err = model_look(c->m, &c->tree, c->domid, path, MODEL_WRITE, &node);
	if (err == -ENOENT)
		return has_parent ? 0 : -ENOENT;
	if (err)
		return err;
	if (strcmp(path, "/") == 0)
		return -EINVAL;
	model_announce(c->txn, path, group, false);
	for (node = c->tree.first; node; node = node->next) {
		if (!model_within(node->path, path))
			continue;
		model_list(c->m, c->txn, node->path);
		model_change(c->m, c->txn, node->path, NULL);
		if (strcmp(node->path, path) != 0)
			model_announce(c->txn, node->path, group, true);
	}
	return 0;
}

/* texts: strings, each with its NUL. */
static inline int model_parse_perms(const struct model *m, uint32_t domid,
				    const char *texts, size_t len,
				    struct model_perms *ret)
{
	unsigned max = domid ? m->domains[domid].quota.perms : MODEL_PERMS;
	unsigned nr = 0;
	int err = 0;

	for (size_t at = 0; at < len; at += strlen(texts + at) + 1)
		nr++;
	if (nr == 0)
		return -EINVAL;
	if (nr > max)
		return -ENOSPC;
	ret->nr = 0;
	for (size_t at = 0; at < len && !err; at += strlen(texts + at) + 1)
		err = model_perm_parse(m, texts + at, &ret->of[ret->nr++]);
	if (!err && !ret->of[0].life)
		err = MODEL_OWNER_IS_DEAD;
	return err;
}

static inline int model_do_set_perms(struct model_call *c, const char *path,
				     const struct model_perms *perms)
{
	const struct model_perm *owner = &perms->of[0];
	struct model_node *node;
	int err;

	model_touch(c->m, c->txn, path);
	err = model_look(c->m, &c->tree, c->domid, path,
			 MODEL_WRITE | MODEL_OWNER, &node);
	if (err)
		return err;
	if (c->domid && (owner->domid != node->perms.of[0].domid ||
			 owner->life != node->perms.of[0].life))
		return -EPERM;
	/* Nobody but domain 0 lives as long as the root. */
	if (strcmp(path, "/") == 0 && owner->domid != 0)
		return -EINVAL;
	node = model_node_copy(node);
	node->perms = *perms;
	model_change(c->m, c->txn, path, node);
	model_announce(c->txn, path, ++c->m->batch, false);
	return 0;
}

/* ---- special names ------------------------------------------------------- */

/* Where the rights of a special name are; NULL: it is none. */
static inline struct model_perms *model_find_special(struct model *m,
						     const char *text)
{
	uint32_t domid;

	for (int i = 0; i < MODEL_SPECIALS; i++)
		if (strcmp(text, model_special_names[i]) == 0)
			return &m->special[i];
	if (model_is_release_of(text, &domid) && domid < MODEL_DOMAINS &&
	    m->domains[domid].life)
		return &m->domains[domid].release;
	return NULL;
}

/* One that there is not is like a node missing below the root. */
static inline int model_get_special(struct model *m, uint32_t domid,
				    const char *text, struct model_answer *ret)
{
	const struct model_perms *perms = model_find_special(m, text);

	if (!perms)
		return model_may_read(m, domid,
				      &model_find(&m->tree, "/")->perms)
			       ? -ENOENT
			       : -EACCES;
	if (!model_may_read(m, domid,
			    perms->nr ? perms : &m->special[MODEL_RELEASE]))
		return -EACCES;
	if (!perms->nr)
		return -ENOENT;
	model_say_perms(m, perms, ret);
	return 0;
}

/* Only domain 0 sets them, and stays their owner. */
static inline int model_set_special(struct model *m, uint32_t domid,
				    const char *text,
				    const struct model_perms *perms)
{
	struct model_perms *at = model_find_special(m, text), before;

	if (domid)
		return -EACCES;
	if (!at)
		return -ENOENT;
	if (perms->of[0].domid)
		return -EINVAL;
	before = *at;
	*at = *perms;
	m->batch++;
	model_fire_named(m, text, text, &before, perms);
	return 0;
}

/* ---- one request --------------------------------------------------------- */

static inline int model_dispatch(struct model_call *c, uint32_t type,
				 const char *path, const void *data, size_t len,
				 const struct model_perms *perms,
				 struct model_answer *ret)
{
	switch (type) {
	case XS_READ:
	case XS_DIRECTORY: return model_do_read(c, type, path, ret);
	case XS_GET_PERMS: return model_do_get_perms(c, path, ret);
	case XS_WRITE: return model_do_write(c, type, path, data, len);
	case XS_MKDIR: return model_do_write(c, type, path, NULL, 0);
	case XS_RM: return model_do_rm(c, path);
	case XS_SET_PERMS: return model_do_set_perms(c, path, perms);
	default: return -ENOSYS;
	}
}

/*
 * A request on the node that text names: data is what follows the path. txn:
 * NULL outside a transaction.
 */
static inline void model_request(struct model *m, uint32_t domid,
				 struct model_txn *txn, uint32_t type,
				 const char *text, const void *data, size_t len,
				 struct model_answer *ret)
{
	struct model_txn own = { .domid = domid };
	struct model_call c = { m, txn ? txn : &own, { NULL }, domid };
	struct model_perms perms = { 0 };
	bool special = text[0] == '@' &&
		       (type == XS_GET_PERMS || type == XS_SET_PERMS);
	char *path = special ? model_path_or_special(domid, text)
			     : model_path(domid, text);
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	if (type == XS_SET_PERMS)
		err = model_parse_perms(m, domid, data, len, &perms);
	if (!err && !path)
		err = -EINVAL;
	if (!err && special) {
		err = type == XS_GET_PERMS
			      ? model_get_special(m, domid, text, ret)
			      : model_set_special(m, domid, text, &perms);
	} else if (!err) {
		c.tree = model_view(m, c.txn);
		err = model_dispatch(&c, type, path, data, len, &perms, ret);
		model_tree_free(&c.tree);
		if (!err && !txn)
			err = model_commit(m, &own);
	}
	model_txn_free(&own);
	free(path);
	ret->err = err;
}

#endif /* TESTS_UNIT_STORE_MODEL_REQUEST_H */
