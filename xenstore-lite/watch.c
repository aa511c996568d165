/* SPDX-License-Identifier: MIT */
/* watch.c - watches and their pending events. See watch.h. */
#include "xenstore-lite/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/use.h"
#include "xenstore-lite/watch_private.h"

void watches_init(struct watches *ws, const struct path_seed *seed)
{
	ws->seed = seed;
	htable_init(&ws->points);
	htable_init(&ws->events);
	ws->nr_queued = ws->nr_merged = ws->nr_replaced = 0;
	ws->last_serial = 0;
}

void watches_fini(struct watches *ws)
{
	htable_fini(&ws->points);
	htable_fini(&ws->events);
}

void watcher_init(struct watcher *watcher, struct xsd_domain *domain,
		  void (*wake)(struct watcher *watcher))
{
	watcher->domain = domain;
	list_init(&watcher->watches);
	list_init(&watcher->events);
	watcher->nr_events = 0;
	watcher->wake = wake;
	watcher->broken = false;
}

void watcher_fini(struct watches *ws, struct watcher *watcher)
{
	watch_del_all(ws, watcher);
}

/* ---- pending events ------------------------------------------------------ */

static uint32_t event_bytes(const struct event *event)
{
	return (uint32_t)(sizeof(*event) + event->len + 1);
}

static void charge_event(const struct watch *watch, int32_t bytes)
{
	struct xsd_domain *domain = watch->watcher->domain;

	domain->event_bytes += (uint32_t)bytes;
	xsd_domain_charge(domain, bytes);
}

static void event_drop(struct watches *ws, struct event *event)
{
	htable_del(&ws->events, &event->by_content);
	list_del(&event->of_watcher);
	list_del(&event->of_watch);
	event->watch->watcher->nr_events--;
	charge_event(event->watch, -(int32_t)event_bytes(event));
	free(event);
}

uint64_t watch_event_hash(const struct watch *watch, uint64_t path_hash)
{
	return path_hash_end(path_hash ^ (uint64_t)(uintptr_t)watch);
}

bool watch_is_pending(const struct watches *ws, const struct watch *watch,
		      const char *path, size_t len, uint64_t hash)
{
	for (struct hnode *h = htable_first(&ws->events, hash); h;
	     h = htable_next(h)) {
		const struct event *event =
			container_of(h, struct event, by_content);

		if (event->watch == watch && event->len == len &&
		    memcmp(event->path, path, len) == 0)
			return true;
	}
	return false;
}

void watch_enqueue(struct watches *ws, struct watch *watch, const char *path,
		   size_t len, uint64_t hash)
{
	struct watcher *watcher = watch->watcher;
	struct event *event = malloc(sizeof(*event) + len + 1);

	if (!event) {
		watcher->broken = true;
		watcher->wake(watcher);
		return;
	}
	event->watch = watch;
	event->len = len;
	memcpy(event->path, path, len);
	event->path[len] = '\0';
	htable_add(&ws->events, &event->by_content, hash);
	list_add_tail(&watcher->events, &event->of_watcher);
	list_add_tail(&watch->events, &event->of_watch);
	watcher->nr_events++;
	ws->nr_queued++;
	charge_event(watch, (int32_t)event_bytes(event));
	use_saw(watcher->domain, XSD_USE_EVENTS, watcher->domain->event_bytes);
	watcher->wake(watcher);
}

/* "Look at everything": instead of whatever is pending for this watch. */
static void enqueue_whole(struct watches *ws, struct watch *watch)
{
	const struct point *point = watch->point;
	uint64_t hash = watch_event_hash(watch, point->by_path.hash);

	if (watch_is_pending(ws, watch, point->path, point->len, hash)) {
		ws->nr_merged++;
		return;
	}
	list_for_each_safe(l, tmp, &watch->events) {
		event_drop(ws, container_of(l, struct event, of_watch));
		ws->nr_replaced++;
	}
	watch_enqueue(ws, watch, point->path, point->len, hash);
}

static bool has_room_for_event(const struct xsd_domain *domain, size_t bytes)
{
	const struct xsd_limits *limits = domain->limits;

	return (limits->event_bytes == XSD_UNLIMITED ||
		domain->event_bytes + bytes <= limits->event_bytes) &&
	       (limits->memory_soft == XSD_UNLIMITED ||
		domain->memory_bytes + bytes <= limits->memory_soft);
}

/* What does not fit a message, or the quota, becomes the whole. */
static void notify(struct watches *ws, struct watch *watch, const char *path,
		   size_t len, uint64_t path_hash)
{
	const struct xsd_domain *domain = watch->watcher->domain;
	uint64_t hash = watch_event_hash(watch, path_hash);

	if (watch_is_pending(ws, watch, path, len, hash)) {
		ws->nr_merged++;
		return;
	}
	if (len - watch->rel_off + 1 + watch->token_bytes >
		    XENSTORE_PAYLOAD_MAX ||
	    !has_room_for_event(domain, sizeof(struct event) + len + 1))
		enqueue_whole(ws, watch);
	else
		watch_enqueue(ws, watch, path, len, hash);
}

size_t watcher_next_event(struct watches *ws, struct watcher *watcher,
			  char *buf)
{
	struct event *event;
	const struct watch *watch;
	size_t len;

	if (list_empty(&watcher->events))
		return 0;
	event = container_of(watcher->events.next, struct event, of_watcher);
	watch = event->watch;
	len = event->len - watch->rel_off + 1;
	memcpy(buf, event->path + watch->rel_off, len);
	memcpy(buf + len, watch->token, watch->token_bytes);
	len += watch->token_bytes;
	event_drop(ws, event);
	return len;
}

/* ---- watches ------------------------------------------------------------- */

struct point *watch_find_point(const struct watches *ws, const char *path,
			       size_t len, uint64_t hash)
{
	for (struct hnode *h = htable_first(&ws->points, hash); h;
	     h = htable_next(h)) {
		struct point *point = container_of(h, struct point, by_path);

		if (point->len == len && memcmp(point->path, path, len) == 0)
			return point;
	}
	return NULL;
}

/*
 * Both lists at once, until the shorter ends: many may watch one path, and one
 * may watch many.
 */
struct watch *watch_find(const struct point *point,
			 const struct watcher *watcher, const char *token)
{
	struct list *p = point->watches.next, *w = watcher->watches.next;

	while (p != &point->watches && w != &watcher->watches) {
		struct watch *watch = container_of(p, struct watch, of_point);
		struct watch *own = container_of(w, struct watch, of_watcher);

		if (watch->watcher == watcher &&
		    strcmp(watch->token, token) == 0)
			return watch;
		if (own->point == point && strcmp(own->token, token) == 0)
			return own;
		p = p->next;
		w = w->next;
	}
	return NULL;
}

struct point *watch_add_point(struct watches *ws, const char *path, size_t len,
			      uint64_t hash)
{
	struct point *point = malloc(sizeof(*point) + len + 1);

	if (!point)
		return NULL;
	list_init(&point->watches);
	point->len = len;
	memcpy(point->path, path, len);
	point->path[len] = '\0';
	htable_add(&ws->points, &point->by_path, hash);
	return point;
}

void watch_drop_point(struct watches *ws, struct point *point)
{
	if (!list_empty(&point->watches))
		return;
	htable_del(&ws->points, &point->by_path);
	free(point);
}

int64_t watch_bytes(size_t len, size_t token_bytes)
{
	return (int64_t)(sizeof(struct watch) + token_bytes +
			 sizeof(struct point) + len + 1);
}

void watcher_count(const struct watcher *watcher, struct watcher_count *ret)
{
	memset(ret, 0, sizeof(*ret));
	list_for_each(l, &watcher->watches) {
		const struct watch *watch =
			container_of(l, struct watch, of_watcher);

		ret->nr_watches++;
		ret->bytes +=
			watch_bytes(watch->point->len, watch->token_bytes);
	}
	list_for_each(l, &watcher->events) {
		const struct event *event =
			container_of(l, struct event, of_watcher);

		ret->nr_events++;
		ret->event_bytes += event_bytes(event);
	}
	ret->bytes += ret->event_bytes;
}

int watch_add(struct watches *ws, struct watcher *watcher,
	      const struct xpath *path, uint32_t depth, const char *token)
{
	uint64_t hash = path_hash(ws->seed, path->text, path->len);
	struct point *point = watch_find_point(ws, path->text, path->len, hash);
	struct xsd_domain *domain = watcher->domain;
	size_t token_bytes = strlen(token) + 1;
	struct watch *watch;

	if (point && watch_find(point, watcher, token))
		return -EEXIST;
	if (domain->nr_watches >= domain->limits->watches)
		return -E2BIG;
	if (path->len - path->rel_off + 1u + token_bytes > XENSTORE_PAYLOAD_MAX)
		return -E2BIG;
	if (!xsd_domain_has_room(domain, watch_bytes(path->len, token_bytes)))
		return -ENOMEM;
	watch = malloc(sizeof(*watch) + token_bytes);
	if (!watch)
		return -ENOMEM;
	if (!point)
		point = watch_add_point(ws, path->text, path->len, hash);
	if (!point) {
		free(watch);
		return -ENOMEM;
	}
	list_init(&watch->events);
	watch->watcher = watcher;
	watch->point = point;
	watch->rel_off = path->rel_off;
	watch->depth = depth;
	watch->token_bytes = token_bytes;
	watch->serial = ++ws->last_serial;
	memcpy(watch->token, token, token_bytes);
	list_add_tail(&point->watches, &watch->of_point);
	list_add_tail(&watcher->watches, &watch->of_watcher);
	domain->nr_watches++;
	xsd_domain_charge(domain, watch_bytes(path->len, token_bytes));
	enqueue_whole(ws, watch);
	return 0;
}

static void drop_watch(struct watches *ws, struct watch *watch)
{
	list_for_each_safe(l, tmp, &watch->events)
		event_drop(ws, container_of(l, struct event, of_watch));
	list_del(&watch->of_point);
	list_del(&watch->of_watcher);
	watch->watcher->domain->nr_watches--;
	xsd_domain_charge(watch->watcher->domain,
			  -watch_bytes(watch->point->len, watch->token_bytes));
	watch_drop_point(ws, watch->point);
	free(watch);
}

int watch_del(struct watches *ws, struct watcher *watcher,
	      const struct xpath *path, const char *token)
{
	struct point *point =
		watch_find_point(ws, path->text, path->len,
				 path_hash(ws->seed, path->text, path->len));
	struct watch *watch = point ? watch_find(point, watcher, token) : NULL;

	if (!watch)
		return -ENOENT;
	drop_watch(ws, watch);
	return 0;
}

void watch_del_all(struct watches *ws, struct watcher *watcher)
{
	list_for_each_safe(l, tmp, &watcher->watches)
		drop_watch(ws, container_of(l, struct watch, of_watcher));
}

/* ---- firing -------------------------------------------------------------- */

static bool may_know(const struct xsd_domain *domain,
		     const struct change *change)
{
	const struct perms *any[] = { change->after, change->before,
				      change->parent };

	for (unsigned i = 0; i < 3; i++)
		if (any[i] && (perms_of(any[i], domain) & PERM_READ))
			return true;
	return false;
}

/* Components of a node's path; the root has none. */
static uint32_t count_levels(const char *path, size_t len)
{
	uint32_t nr = 0;

	for (size_t i = 0; len > 1 && i < len; i++)
		nr += path[i] == '/';
	return nr;
}

/* The watches of a path that is the changed node's or an ancestor's. */
static void fire_point(struct watches *ws, const struct point *point,
		       const struct change *change)
{
	uint64_t hash = path_hash(ws->seed, change->path, change->len);
	uint32_t above = count_levels(change->path, change->len) -
			 count_levels(point->path, point->len);

	list_for_each(l, &point->watches) {
		struct watch *watch = container_of(l, struct watch, of_point);

		if (above <= watch->depth &&
		    may_know(watch->watcher->domain, change))
			notify(ws, watch, change->path, change->len, hash);
	}
}

void watch_fire(struct watches *ws, const struct change *change)
{
	struct path_walk w;

	path_walk_init(&w, ws->seed, change->path, change->len);
	while (path_walk_next(&w)) {
		const struct point *point;

		if (change->exact && w.len != change->len)
			continue;
		point = watch_find_point(ws, change->path, w.len, w.hash);
		if (point)
			fire_point(ws, point, change);
	}
}

static bool may_read(const struct perms *perms, const struct watcher *watcher)
{
	return perms && (perms_of(perms, watcher->domain) & PERM_READ);
}

/* Who watches name: those with a depth hear told, the others hear name. */
static void fire_named(struct watches *ws, const char *name, const char *told,
		       const struct perms *perms, const struct perms *perms_one)
{
	size_t len = strlen(name), told_len = strlen(told);
	uint64_t hash = path_hash(ws->seed, name, len);
	uint64_t told_hash = path_hash(ws->seed, told, told_len);
	const struct point *point = watch_find_point(ws, name, len, hash);

	if (!point)
		return;
	list_for_each(l, &point->watches) {
		struct watch *watch = container_of(l, struct watch, of_point);
		bool whole = watch->depth == WATCH_ALL_LEVELS && told != name;

		if (whole && may_read(perms, watch->watcher))
			notify(ws, watch, name, len, hash);
		else if (!whole && (watch->depth > 0 || told == name) &&
			 (may_read(perms, watch->watcher) ||
			  may_read(perms_one, watch->watcher)))
			notify(ws, watch, told, told_len, told_hash);
	}
}

void watch_fire_special(struct watches *ws, enum xsd_special special,
			uint32_t domid, const struct perms *perms,
			const struct perms *perms_one)
{
	char one[XSD_SPECIAL_MAX];

	if (str_printf(one, sizeof(one), "%s/%u", xsd_special_names[special],
		       domid) < 0)
		return;
	fire_named(ws, xsd_special_names[special], one, perms, perms_one);
	fire_named(ws, one, one, perms, perms_one);
}

void watch_fire_perms(struct watches *ws, const char *name,
		      const struct perms *before, const struct perms *after)
{
	fire_named(ws, name, name, before, after);
}
