/* SPDX-License-Identifier: MIT */
/* watch_private.h - what watch.c and watch_image.c share. See watch.h. */
#ifndef XENSTORE_LITE_WATCH_PRIVATE_H
#define XENSTORE_LITE_WATCH_PRIVATE_H

#include "xenstore-lite/watch.h"

/* A path that at least one watch is set on. */
struct point {
	struct hnode by_path;
	struct list watches;
	size_t len;
	char path[];
};

struct watch {
	struct list of_point, of_watcher;
	struct list events;
	struct watcher *watcher;
	struct point *point;
	size_t rel_off;
	size_t token_bytes; /* with its NUL */
	uint32_t depth;
	uint64_t serial; /* of_point's order; in the image */
	char token[];
};

struct event {
	struct hnode by_content;
	struct list of_watcher, of_watch;
	struct watch *watch;
	size_t len;
	char path[];
};

uint64_t watch_event_hash(const struct watch *watch, uint64_t path_hash);
bool watch_is_pending(const struct watches *ws, const struct watch *watch,
		      const char *path, size_t len, uint64_t hash);
void watch_enqueue(struct watches *ws, struct watch *watch, const char *path,
		   size_t len, uint64_t hash);

struct point *watch_find_point(const struct watches *ws, const char *path,
			       size_t len, uint64_t hash);
struct watch *watch_find(const struct point *point,
			 const struct watcher *watcher, const char *token);
struct point *watch_add_point(struct watches *ws, const char *path, size_t len,
			      uint64_t hash);
void watch_drop_point(struct watches *ws, struct point *point);
/* What it counts for against its owner's memory. */
int64_t watch_bytes(size_t len, size_t token_bytes);

#endif /* XENSTORE_LITE_WATCH_PRIVATE_H */
