/* SPDX-License-Identifier: MIT */
/*
 * store_model_watch.h - who hears of what in the model.
 *
 * xenstore.txt: every watch at a changed path or above it hears of the change;
 * when a tree is removed, a watch below its top hears of its own path. Only
 * who may read the node, as it was or as it is, or its parent is told. Two
 * equal events that wait are one (watch.h).
 */
#ifndef TESTS_UNIT_STORE_MODEL_WATCH_H
#define TESTS_UNIT_STORE_MODEL_WATCH_H

#include "tests/unit/store_model_txn.h"

static const char *const model_special_names[MODEL_SPECIALS] = {
	"@introduceDomain",
	"@releaseDomain",
};

/* "@releaseDomain/N": of this domain alone. */
static inline bool model_is_release_of(const char *text, uint32_t *domid)
{
	char *end;

	if (strncmp(text, "@releaseDomain/", 15) != 0 || !text[15])
		return false;
	*domid = (uint32_t)strtoul(text + 15, &end, 10);
	return !*end;
}

static inline void model_tell(const struct model *m, struct model_conn *conn,
			      const struct model_watch *watch, const char *path,
			      bool optional)
{
	struct model_event **at = &conn->events;

	for (; *at; at = &(*at)->next)
		if ((*at)->watch == watch && strcmp((*at)->path, path) == 0)
			return;
	*at = model_must(calloc(1, sizeof(**at)));
	(*at)->watch = watch;
	(*at)->path = model_dup(path);
	(*at)->batch = m->batch;
	(*at)->optional = optional;
}

/* watch: only its events; NULL: all. */
static inline void model_forget_events(struct model_conn *conn,
				       const struct model_watch *watch)
{
	struct model_event **at = &conn->events;

	while (*at) {
		struct model_event *event = *at;

		if (watch && event->watch != watch) {
			at = &event->next;
			continue;
		}
		*at = event->next;
		free(event->path);
		free(event);
	}
}

/* What has become of one path. */
struct model_news {
	const char *path;
	const struct model_node *before, *after, *parent; /* NULL: absent */
	bool exact, optional;
};

static inline bool model_may_know(const struct model *m, uint32_t domid,
				  const struct model_news *news)
{
	const struct model_node *any[] = { news->before, news->after,
					   news->parent };

	for (unsigned i = 0; i < 3; i++)
		if (any[i] &&
		    model_rights(m, &any[i]->perms, domid) & MODEL_READ)
			return true;
	return false;
}

static inline unsigned model_levels(const char *path)
{
	unsigned nr = 0;

	for (; path[1]; path++)
		nr += *path == '/';
	return nr;
}

/* Whether a watch hears of a change at path. */
static inline bool model_reaches(const struct model_watch *w, const char *path,
				 bool exact)
{
	if (exact)
		return strcmp(path, w->path) == 0;
	return model_within(path, w->path) &&
	       model_levels(path) - model_levels(w->path) <= w->depth;
}

static inline void model_fire(struct model *m, const struct model_news *news)
{
	for (unsigned i = 0; i < MODEL_CONNS; i++) {
		struct model_conn *conn = &m->conns[i];
		struct model_watch *w;

		if (!conn->open || !model_may_know(m, conn->domid, news))
			continue;
		for (w = conn->watches; w; w = w->next)
			if (model_reaches(w, news->path, news->exact))
				model_tell(m, conn, w, news->path,
					   news->optional);
	}
}

static inline bool model_may_read(const struct model *m, uint32_t domid,
				  const struct model_perms *perms)
{
	return perms && perms->nr && model_rights(m, perms, domid) & MODEL_READ;
}

/*
 * Tell who watches name. told is name, or name with a domain behind it: who
 * wants all levels hears the bare name, if he may know of all domains; who
 * gives a depth hears of the domain, if he may know of this one.
 */
static inline void model_fire_named(struct model *m, const char *name,
				    const char *told,
				    const struct model_perms *all,
				    const struct model_perms *one)
{
	for (unsigned i = 0; i < MODEL_CONNS; i++) {
		struct model_conn *c = &m->conns[i];
		bool of_all = model_may_read(m, c->domid, all);
		bool of_one = of_all || model_may_read(m, c->domid, one);

		for (struct model_watch *w = c->watches; w; w = w->next) {
			bool bare = w->depth == MODEL_ALL_LEVELS;

			if (strcmp(w->path, name) != 0)
				continue;
			if (told == name && of_one)
				model_tell(m, c, w, told, false);
			else if (told != name && bare && of_all)
				model_tell(m, c, w, name, false);
			else if (told != name && !bare && w->depth && of_one)
				model_tell(m, c, w, told, false);
		}
	}
}

/* domid came or went. one: who else may know of this one. */
static inline void model_fire_special(struct model *m, enum model_special which,
				      uint32_t domid,
				      const struct model_perms *one)
{
	const char *name = model_special_names[which];
	char told[32];

	snprintf(told, sizeof(told), "%s/%u", name, domid);
	m->batch++;
	model_fire_named(m, name, told, &m->special[which], one);
	model_fire_named(m, told, told, &m->special[which], one);
}

/* ---- commit -------------------------------------------------------------- */

static inline const struct model_node *
model_parent_then(const struct model_tree *now, const struct model_tree *before,
		  const char *path)
{
	char *parent = model_parent(path);
	const struct model_node *node = NULL;

	if (parent)
		node = model_find(now, parent);
	if (parent && !node)
		node = model_find(before, parent);
	free(parent);
	return node;
}

/* Make it true and tell of it. Errors as model_merge. */
static inline int model_commit(struct model *m, struct model_txn *txn)
{
	unsigned group = 0;
	struct model_tree tree;
	int err = model_merge(m, txn, &tree);

	if (err)
		return err;
	if (!model_has_changes(txn)) {
		model_tree_free(&tree);
		return 0;
	}
	for (const struct model_change *c = txn->changes; c; c = c->next) {
		const struct model_touch *t = model_touched(txn, c->path);
		struct model_news news = {
			.path = c->path,
			.before = t->before,
			.after = t->now,
			.parent = model_parent_then(&tree, &m->tree, c->path),
			.exact = c->exact,
		};

		if (c->group != group)
			m->batch++;
		group = c->group;
		if (t->before || t->now)
			model_fire(m, &news);
	}
	m->batch++;
	model_become(m, &tree);
	return 0;
}

/* ---- setting ------------------------------------------------------------- */

static inline struct model_watch **
model_find_watch(struct model_conn *conn, const char *path, const char *token)
{
	struct model_watch **at = &conn->watches;

	while (*at && (strcmp((*at)->path, path) != 0 ||
		       strcmp((*at)->token, token) != 0))
		at = &(*at)->next;
	return at;
}

static inline int model_watch(struct model *m, struct model_conn *conn,
			      const char *text, const char *token,
			      unsigned depth)
{
	char *path = model_path_or_special(conn->domid, text);
	struct model_watch **at, *watch;

	if (!path)
		return -EINVAL;
	at = model_find_watch(conn, path, token);
	if (*at ||
	    (conn->domid && model_nr_watches(m, conn->domid) >=
				    m->domains[conn->domid].quota.watches)) {
		free(path);
		return *at ? -EEXIST : -E2BIG;
	}
	watch = model_must(calloc(1, sizeof(*watch)));
	watch->path = path;
	watch->token = model_dup(token);
	watch->depth = depth;
	watch->rel_off = strlen(path) - strlen(text);
	*at = watch;
	m->batch++;
	model_tell(m, conn, watch, path, false);
	return 0;
}

static inline void model_drop_watch(struct model_conn *conn,
				    struct model_watch **at)
{
	struct model_watch *watch = *at;

	model_forget_events(conn, watch);
	*at = watch->next;
	free(watch->path);
	free(watch->token);
	free(watch);
}

static inline int model_unwatch(struct model_conn *conn, const char *text,
				const char *token)
{
	char *path = model_path_or_special(conn->domid, text);
	struct model_watch **at;

	if (!path)
		return -EINVAL;
	at = model_find_watch(conn, path, token);
	free(path);
	if (!*at)
		return -ENOENT;
	model_drop_watch(conn, at);
	return 0;
}

#endif /* TESTS_UNIT_STORE_MODEL_WATCH_H */
