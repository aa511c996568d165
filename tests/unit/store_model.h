/* SPDX-License-Identifier: MIT */
/*
 * store_model.h - what the store must do, as plainly as it can be said: the
 * reference that the real store is compared with (store_steps.h).
 *
 * The tree is a linked list of whole paths. A request works on a whole copy of
 * the tree that it sees, quotas are counted from scratch, rights are written
 * down from Xen's docs/misc/xenstore.txt. Nothing is shared with the store but
 * the numbers of the wire.
 *
 *	store_model.h	       the tree, rights, paths, quotas
 *	store_model_txn.h      transactions: what is touched, conflicts, commit
 *	store_model_watch.h    who hears of what
 *	store_model_request.h  requests
 *	store_model_domain.h   domains that come and go
 */
#ifndef TESTS_UNIT_STORE_MODEL_H
#define TESTS_UNIT_STORE_MODEL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/xs_wire.h"

#define MODEL_DOMAINS 6u
#define MODEL_CONNS   12u
#define MODEL_TXNS    4u /* of one connection */
#define MODEL_PERMS   8u

#define MODEL_ALL_LEVELS UINT32_MAX
#define MODEL_UNLIMITED	 UINT32_MAX

#define MODEL_READ  1u
#define MODEL_WRITE 2u
#define MODEL_OWNER 4u
#define MODEL_ALL   7u

/* A new owner that does not live. */
#define MODEL_OWNER_IS_DEAD (-ENOENT)

struct model_perm {
	uint32_t domid;
	uint64_t life; /* which life of domid; 0: none */
	char letter;
};

struct model_perms {
	unsigned nr;
	struct model_perm of[MODEL_PERMS];
};

struct model_node {
	struct model_node *next;
	char *path, *value;
	size_t len;
	struct model_perms perms;
	uint64_t generation; /* new with every change */
	uint64_t children;   /* new when the set of children changes */
};

struct model_tree {
	struct model_node *first;
};

/* What a guest may have; domain 0 may have all. */
struct model_quota {
	unsigned nodes, node_bytes, perms, watches, transactions;
};

struct model_domain {
	uint64_t life; /* 0: there is no such domain */
	bool has_target;
	uint32_t target;
	uint64_t target_life;
	struct model_perms release; /* who may hear of its end; nr 0: unset */
	struct model_quota quota;
};

struct model_watch {
	struct model_watch *next;
	char *path, *token;
	size_t rel_off; /* events are told from here on */
	unsigned depth; /* levels below path that count; MODEL_ALL_LEVELS */
};

struct model_event {
	struct model_event *next;
	const struct model_watch *watch;
	char *path;
	unsigned batch; /* of one cause: their order among them is free */
	bool optional;	/* may be told, need not be */
};

struct model_touch;
struct model_change;
struct model_txn {
	bool open;
	/* A step in it failed half way: it may be refused for that. */
	bool cloudy;
	uint32_t domid;
	struct model_touch *touched;
	struct model_change *changes;
};

struct model_conn {
	bool open;
	uint32_t domid;
	struct model_watch *watches;
	struct model_event *events;
	struct model_txn txns[MODEL_TXNS];
};

enum model_special {
	MODEL_INTRODUCE,
	MODEL_RELEASE,
	MODEL_SPECIALS
};

struct model {
	struct model_tree tree;
	struct model_domain domains[MODEL_DOMAINS];
	struct model_quota new_quota; /* of a domain that appears */
	struct model_conn conns[MODEL_CONNS];
	struct model_perms special[MODEL_SPECIALS];
	uint64_t clock; /* generations and lives */
	unsigned batch;
};

static inline void *model_must(void *p)
{
	if (!p)
		abort();
	return p;
}

static inline char *model_dup(const char *text)
{
	return model_must(strdup(text));
}

/* ---- paths --------------------------------------------------------------- */

/* Whether path is top or below it. */
static inline bool model_within(const char *path, const char *top)
{
	size_t len = strlen(top);

	if (strcmp(top, "/") == 0)
		return path[0] == '/';
	return strncmp(path, top, len) == 0 &&
	       (path[len] == '\0' || path[len] == '/');
}

/* The parent's path in a new string; NULL for the root's. */
static inline char *model_parent(const char *path)
{
	char *parent = model_dup(path), *slash = strrchr(parent, '/');

	if (strcmp(path, "/") == 0) {
		free(parent);
		return NULL;
	}
	slash[slash == parent] = '\0';
	return parent;
}

/*
 * The absolute path that text means, in a new string; NULL: it is none.
 * xenstore.txt: alphanumerics and -/_@, no doubled and no trailing slash, not
 * empty, 3072 bytes at most, 2048 below the domain's home. A special name is
 * left as it is.
 */
static inline char *model_path_or_special(uint32_t domid, const char *text)
{
	size_t size = strlen(text) + 64, len;
	char *path = model_must(malloc(size));

	if (text[0] == '/' || text[0] == '@')
		snprintf(path, size, "%s", text);
	else
		snprintf(path, size, "/local/domain/%u/%s", domid, text);
	len = strlen(path);
	if (text[0] == '\0' || strstr(path, "//") ||
	    (len > 1 && path[len - 1] == '/') || strlen(text) > 2048 ||
	    strspn(path, "abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@") != len) {
		free(path);
		return NULL;
	}
	return path;
}

/* The same for a node: a special name is none. */
static inline char *model_path(uint32_t domid, const char *text)
{
	return text[0] == '@' ? NULL : model_path_or_special(domid, text);
}

/* ---- the tree ------------------------------------------------------------ */

static inline struct model_node *model_find(const struct model_tree *tree,
					    const char *path)
{
	struct model_node *node = tree->first;

	while (node && strcmp(node->path, path) != 0)
		node = node->next;
	return node;
}

static inline void model_node_free(struct model_node *node)
{
	if (!node)
		return;
	free(node->path);
	free(node->value);
	free(node);
}

static inline struct model_node *model_node_copy(const struct model_node *from)
{
	struct model_node *node = model_must(malloc(sizeof(*node)));

	*node = *from;
	node->next = NULL;
	node->path = model_dup(from->path);
	node->value = model_must(malloc(from->len + 1));
	memcpy(node->value, from->value, from->len);
	return node;
}

static inline void model_remove(struct model_tree *tree, const char *path)
{
	struct model_node **at = &tree->first, *gone;

	while (*at && strcmp((*at)->path, path) != 0)
		at = &(*at)->next;
	gone = *at;
	if (gone)
		*at = gone->next;
	model_node_free(gone);
}

/* Takes node over; one of the same path goes. */
static inline void model_put(struct model_tree *tree, struct model_node *node)
{
	model_remove(tree, node->path);
	node->next = tree->first;
	tree->first = node;
}

static inline void model_tree_free(struct model_tree *tree)
{
	while (tree->first) {
		struct model_node *node = tree->first;

		tree->first = node->next;
		model_node_free(node);
	}
}

static inline struct model_tree model_tree_copy(const struct model_tree *from)
{
	struct model_tree tree = { NULL };

	for (struct model_node *n = from->first; n; n = n->next) {
		struct model_node *copy = model_node_copy(n);

		copy->next = tree.first;
		tree.first = copy;
	}
	return tree;
}

static inline void model_set_value(struct model_node *node, const void *data,
				   size_t len)
{
	free(node->value);
	node->value = model_must(malloc(len + 1));
	if (len)
		memcpy(node->value, data, len);
	node->len = len;
}

/* ---- rights -------------------------------------------------------------- */

static inline bool model_lives(const struct model *m, uint32_t domid,
			       uint64_t life)
{
	return domid < MODEL_DOMAINS && life && m->domains[domid].life == life;
}

/* Whether an entry speaks of domid as it lives now. */
static inline bool model_names(const struct model *m,
			       const struct model_perm *perm, uint32_t domid)
{
	return perm->domid == domid && model_lives(m, domid, perm->life);
}

static inline bool model_speaks_of(const struct model *m,
				   const struct model_perm *perm,
				   uint32_t domid)
{
	const struct model_domain *d = &m->domains[domid];

	if (model_names(m, perm, domid))
		return true;
	return d->has_target && model_lives(m, d->target, d->target_life) &&
	       model_names(m, perm, d->target);
}

static inline unsigned model_letter(char letter)
{
	switch (letter) {
	case 'r': return MODEL_READ;
	case 'w': return MODEL_WRITE;
	case 'b': return MODEL_READ | MODEL_WRITE;
	default: return 0;
	}
}

/*
 * Domain 0 and the owner may do all; who has an entry of his own may do what
 * it says; the others what the owner's entry says. Who has a target may also
 * do what the target may.
 */
static inline unsigned model_rights(const struct model *m,
				    const struct model_perms *perms,
				    uint32_t domid)
{
	if (domid == 0 || model_speaks_of(m, &perms->of[0], domid))
		return MODEL_ALL;
	for (unsigned i = 1; i < perms->nr; i++)
		if (model_speaks_of(m, &perms->of[i], domid))
			return model_letter(perms->of[i].letter);
	return model_letter(perms->of[0].letter);
}

/* The nearest ancestor that there is: the root always is. */
static inline struct model_node *model_ancestor(const struct model_tree *tree,
						const char *path)
{
	char *at = model_parent(path);
	struct model_node *node = NULL;

	while (at) {
		char *parent = model_parent(at);

		if (!node)
			node = model_find(tree, at);
		free(at);
		at = parent;
	}
	return node;
}

/*
 * Look for a node with the rights need. One that is not there is said to be
 * missing only to him who has any of them on the nearest ancestor.
 */
static inline int model_look(const struct model *m,
			     const struct model_tree *tree, uint32_t domid,
			     const char *path, unsigned need,
			     struct model_node **ret)
{
	struct model_node *node = model_find(tree, path), *above;

	*ret = node;
	if (node)
		return (model_rights(m, &node->perms, domid) & need) == need
			       ? 0
			       : -EACCES;
	above = model_ancestor(tree, path);
	return above && model_rights(m, &above->perms, domid) & need ? -ENOENT
								     : -EACCES;
}

/* "b3" and so on. -EINVAL. */
static inline int model_perm_parse(const struct model *m, const char *text,
				   struct model_perm *ret)
{
	unsigned long domid;
	char *end;

	if (!text[0] || !strchr("nrwb", text[0]) || text[1] < '0' ||
	    text[1] > '9')
		return -EINVAL;
	domid = strtoul(text + 1, &end, 10);
	if (*end || domid > UINT16_MAX)
		return -EINVAL;
	ret->letter = text[0];
	ret->domid = (uint32_t)domid;
	ret->life = domid < MODEL_DOMAINS ? m->domains[domid].life : 0;
	return 0;
}

/* ---- counting from scratch ----------------------------------------------- */

static inline unsigned model_nr_nodes(const struct model *m,
				      const struct model_tree *tree,
				      uint32_t domid)
{
	unsigned nr = 0;

	for (const struct model_node *n = tree->first; n; n = n->next)
		nr += model_names(m, &n->perms.of[0], domid);
	return nr;
}

static inline unsigned model_nr_conns(const struct model *m, uint32_t domid)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < MODEL_CONNS; i++)
		nr += m->conns[i].open && m->conns[i].domid == domid;
	return nr;
}

static inline unsigned model_nr_txns(const struct model *m, uint32_t domid)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < MODEL_CONNS; i++)
		for (unsigned t = 0; t < MODEL_TXNS; t++)
			nr += m->conns[i].domid == domid &&
			      m->conns[i].txns[t].open;
	return nr;
}

static inline unsigned model_nr_watches(const struct model *m, uint32_t domid)
{
	const struct model_watch *w;
	unsigned nr = 0;

	for (unsigned i = 0; i < MODEL_CONNS; i++)
		if (m->conns[i].open && m->conns[i].domid == domid)
			for (w = m->conns[i].watches; w; w = w->next)
				nr++;
	return nr;
}

#endif /* TESTS_UNIT_STORE_MODEL_H */
