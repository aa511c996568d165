/* SPDX-License-Identifier: MIT */
/*
 * fake_xs.h - a store inside the test: the functions of xs.h over one table of
 * nodes that all connections share. A test program that includes it does not
 * link the real client.
 *
 * Watch events are queued per connection and run by xs_dispatch, in order, as
 * with the real one. FAKE_DENY makes a path unreadable for one connection.
 */
#ifndef TESTS_UNIT_FAKE_XS_H
#define TESTS_UNIT_FAKE_XS_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/list.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define FAKE_NODES_MAX 256

struct fake_node {
	char path[256];
	char *value;
	size_t len;
};

static struct fake_node fake_nodes[FAKE_NODES_MAX];
static struct list fake_connections = LIST_INIT(fake_connections);
static bool fake_domain_exists[16];
static unsigned fake_txn_timeout_at; /* of the next connection; below */
static unsigned fake_writes;	     /* of `state` nodes, by anybody */
static char fake_trace[256]; /* "2>3<4>": > the backend's, < the frontend's */

struct xs {
	struct list link, watches, events;
	bool lost;
	/* Runs once, before the next commit of this connection. */
	void (*before_commit)(void);
	/* That transaction from now on times out; 0: none. */
	unsigned txn_timeout_at;
};

struct xs_watch {
	struct list link;
	char path[256];
	xs_watch_fn *fn;
	void *arg;
};

struct fake_event {
	struct list link;
	struct xs_watch *watch;
	char path[256];
};

static inline void fake_reset(void)
{
	for (unsigned i = 0; i < FAKE_NODES_MAX; i++) {
		free(fake_nodes[i].value);
		memset(&fake_nodes[i], 0, sizeof(fake_nodes[i]));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fake_domain_exists); i++)
		fake_domain_exists[i] = true;
	fake_writes = 0;
	fake_trace[0] = '\0';
}

static inline struct fake_node *fake_find(const char *path)
{
	for (unsigned i = 0; i < FAKE_NODES_MAX; i++)
		if (fake_nodes[i].value && !strcmp(fake_nodes[i].path, path))
			return &fake_nodes[i];
	return NULL;
}

static inline bool fake_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

static inline void fake_queue(struct xs *xs, struct xs_watch *w,
			      const char *path)
{
	struct fake_event *ev = calloc(1, sizeof(*ev));

	if (!ev)
		abort();
	ev->watch = w;
	snprintf(ev->path, sizeof(ev->path), "%s", path);
	list_add_tail(&xs->events, &ev->link);
}

/* removed: a watch below path fires too, as the node it names is gone. */
static inline void fake_fire(const char *path, bool removed)
{
	list_for_each(c, &fake_connections) {
		struct xs *xs = container_of(c, struct xs, link);

		list_for_each(l, &xs->watches) {
			struct xs_watch *w =
				container_of(l, struct xs_watch, link);

			if (fake_below(path, w->path))
				fake_queue(xs, w, path);
			else if (removed && fake_below(w->path, path))
				fake_queue(xs, w, w->path);
		}
	}
}

static inline void fake_note(const char *path, const char *value)
{
	size_t len = strlen(path), n = strlen(fake_trace);

	if (len < 6 || strcmp(path + len - 6, "/state") != 0)
		return;
	fake_writes++;
	if (n + 8 > sizeof(fake_trace))
		n = 0;
	snprintf(fake_trace + n, sizeof(fake_trace) - n, "%c%s",
		 strstr(path, "/backend/") ? '>' : '<', value);
}

static inline void fake_put(const char *path, const void *data, size_t len)
{
	struct fake_node *n = fake_find(path);

	for (unsigned i = 0; !n && i < FAKE_NODES_MAX; i++)
		if (!fake_nodes[i].value)
			n = &fake_nodes[i];
	if (!n)
		abort();
	snprintf(n->path, sizeof(n->path), "%s", path);
	free(n->value);
	n->value = calloc(1, len + 1);
	if (!n->value)
		abort();
	memcpy(n->value, data, len);
	n->len = len;
	fake_note(path, n->value);
	fake_fire(path, false);
}

/* What somebody else does: set DIR/NODE to text; remove a directory. */
static inline void fake_set(const char *dir, const char *node, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	fake_put(path, text, strlen(text));
}

static inline bool fake_rm(const char *dir)
{
	bool found = false;

	for (unsigned i = 0; i < FAKE_NODES_MAX; i++) {
		struct fake_node *n = &fake_nodes[i];

		if (!n->value || !fake_below(n->path, dir))
			continue;
		free(n->value);
		n->value = NULL;
		found = true;
	}
	if (found)
		fake_fire(dir, true);
	return found;
}

static inline const char *fake_get(const char *dir, const char *node)
{
	char path[256];
	struct fake_node *n;

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	n = fake_find(path);
	return n ? n->value : "";
}

static inline struct xs *fake_open(void)
{
	struct xs *xs = calloc(1, sizeof(*xs));

	if (!xs)
		abort();
	list_init(&xs->watches);
	list_init(&xs->events);
	xs->txn_timeout_at = fake_txn_timeout_at;
	fake_txn_timeout_at = 0;
	list_add_tail(&fake_connections, &xs->link);
	return xs;
}

void xs_close(struct xs *xs)
{
	if (!xs)
		return;
	while (!list_empty(&xs->watches))
		xs_unwatch(xs, container_of(xs->watches.next, struct xs_watch,
					    link));
	list_del(&xs->link);
	free(xs);
}

/* What a client sees of a store that was started again. */
static inline void fake_fire_everything(struct xs *xs)
{
	list_for_each(l, &xs->watches) {
		struct xs_watch *w = container_of(l, struct xs_watch, link);

		fake_queue(xs, w, w->path);
	}
}

/* What happened while there was no connection to hear of it. */
static inline void fake_forget_events(struct xs *xs)
{
	list_for_each_safe(l, tmp, &xs->events) {
		list_del(l);
		free(container_of(l, struct fake_event, link));
	}
}

bool xs_pending(const struct xs *xs)
{
	return !list_empty(&xs->events);
}

/* Run the oldest event only. */
static inline void fake_dispatch_one(struct xs *xs)
{
	struct fake_event *ev;
	struct xs_watch *w;
	char path[256];

	if (list_empty(&xs->events))
		return;
	ev = container_of(xs->events.next, struct fake_event, link);
	w = ev->watch;
	memcpy(path, ev->path, sizeof(path));
	list_del(&ev->link);
	free(ev);
	w->fn(w->arg, path);
}

int xs_dispatch(struct xs *xs)
{
	while (!list_empty(&xs->events))
		fake_dispatch_one(xs);
	return xs->lost ? -ECONNRESET : 0;
}

int xs_watch(struct xs *xs, const char *path, xs_watch_fn *fn, void *arg,
	     struct xs_watch **ret)
{
	struct xs_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	snprintf(w->path, sizeof(w->path), "%s", path);
	w->fn = fn;
	w->arg = arg;
	list_add_tail(&xs->watches, &w->link);
	fake_queue(xs, w, path);
	*ret = w;
	return 0;
}

void xs_unwatch(struct xs *xs, struct xs_watch *watch)
{
	if (!watch)
		return;
	list_for_each_safe(l, tmp, &xs->events) {
		struct fake_event *ev =
			container_of(l, struct fake_event, link);

		if (ev->watch != watch)
			continue;
		list_del(l);
		free(ev);
	}
	list_del(&watch->link);
	free(watch);
}

int xs_write(struct xs *xs, xs_txn_t tx, const char *path, const void *data,
	     size_t len)
{
	(void)tx;
	if (xs->lost)
		return -ECONNRESET;
	fake_put(path, data, len);
	return 0;
}

int xs_rm(struct xs *xs, xs_txn_t tx, const char *path)
{
	(void)tx;
	return xs->lost ? -ECONNRESET : fake_rm(path) ? 0 : -ENOENT;
}

int xs_directory(struct xs *xs, xs_txn_t tx, const char *path, char ***ret,
		 unsigned *nr)
{
	char **names = calloc(FAKE_NODES_MAX, sizeof(char *) + 32), *text;
	size_t len = strlen(path);
	bool found = false;
	unsigned n = 0;

	(void)tx;
	if (!names)
		return -ENOMEM;
	text = (char *)(names + FAKE_NODES_MAX);
	for (unsigned i = 0; i < FAKE_NODES_MAX; i++) {
		const char *p = fake_nodes[i].path;
		char name[32];
		bool have = false;

		if (!fake_nodes[i].value || !fake_below(p, path))
			continue;
		found = true;
		if (!p[len])
			continue;
		snprintf(name, sizeof(name), "%.*s",
			 (int)strcspn(p + len + 1, "/"), p + len + 1);
		for (unsigned k = 0; k < n; k++)
			have |= !strcmp(names[k], name);
		if (have)
			continue;
		names[n] = text + n * 32;
		memcpy(names[n++], name, sizeof(name));
	}
	if (!found || xs->lost) {
		free(names);
		return found ? -ECONNRESET : -ENOENT;
	}
	*ret = names;
	*nr = n;
	return 0;
}

int xs_printf(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
	      const char *fmt, ...)
{
	char path[256], value[512];
	va_list ap;

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	return xs_write(xs, tx, path, value, strlen(value));
}

int xs_read_str(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		char *buf, size_t size)
{
	char path[256];
	struct fake_node *n;

	(void)tx;
	if (xs->lost)
		return -ECONNRESET;
	snprintf(path, sizeof(path), "%s/%s", dir, node);
	n = fake_find(path);
	if (!n)
		return -ENOENT;
	if (strlen(n->value) != n->len)
		return -EINVAL;
	if (n->len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, n->value, n->len + 1);
	return 0;
}

int xs_read_u32(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		uint32_t max, uint32_t *ret)
{
	char text[16];
	int err = xs_read_str(xs, tx, dir, node, text, sizeof(text));

	return err ? err : num_parse_u32(text, max, ret);
}

int xs_read_u32_default(struct xs *xs, xs_txn_t tx, const char *dir,
			const char *node, uint32_t max, uint32_t def,
			uint32_t *ret)
{
	int err = xs_read_u32(xs, tx, dir, node, max, ret);

	if (err != -ENOENT)
		return err;
	*ret = def;
	return 0;
}

/* One thread: a transaction is atomic anyway, but for what before_commit does
 * first, as a conflict would have it. */
int xs_transaction(struct xs *xs, xs_txn_fn *fn, void *arg)
{
	void (*before)(void) = xs->before_commit;

	if (xs->txn_timeout_at && !--xs->txn_timeout_at)
		return -ETIMEDOUT;
	xs->before_commit = NULL;
	if (before)
		before();
	return fn(xs, 1, arg);
}

int xs_is_domain_introduced(struct xs *xs, uint32_t domid)
{
	if (xs->lost)
		return -ECONNRESET;
	return domid < ARRAY_SIZE(fake_domain_exists) &&
	       fake_domain_exists[domid];
}

#endif /* TESTS_UNIT_FAKE_XS_H */
