/* SPDX-License-Identifier: MIT */
/*
 * watch.h - who wants to hear of what, and what he has not heard yet.
 *
 * Watches are found by the path that they watch: a change costs a look-up for
 * each of the changed node's ancestors, whatever the number of watches.
 * Whether somebody may know of a change is decided when it happens: he must be
 * able to read the node (as it was or as it is) or its parent.
 *
 * Events wait, unformatted, until the client takes them. Two that are equal
 * are one: an event says "look again", not how often. (Xen's xenstored drops
 * what is unread after 20 seconds, oxenstored makes the writer wait: neither is
 * any good to the reader, or to the writer.) A domain whose unread events use
 * up its quota, or whose memory its soft one, loses none: the watch's events
 * are replaced by a single one for the watched path itself, as when the watch
 * was set, and its owner must look at everything below. So what a reader that
 * does not read can hold is bounded by its own quota, and nobody waits for it.
 *
 * Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_WATCH_H
#define XENSTORE_LITE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "util/list.h"
#include "xenstore-lite/transaction.h"

struct watches {
	const struct path_seed *seed;
	struct htable points; /* watched paths */
	struct htable events; /* all that are pending */
	/* Of all that happened: became events, were pending already, and
	 * events that one for the whole replaced. In the image. */
	uint64_t nr_queued, nr_merged, nr_replaced;
	uint64_t last_serial; /* of watches; in the image */
};

/* One connection's side; embed it. wake is called when an event is added. */
struct watcher {
	struct xsd_domain *domain;
	struct list watches, events;
	uint32_t nr_events;
	void (*wake)(struct watcher *watcher);
	bool broken; /* an event was lost for want of memory */
};

void watches_init(struct watches *ws, const struct path_seed *seed);
void watches_fini(struct watches *ws); /* no watcher may be left */

void watcher_init(struct watcher *watcher, struct xsd_domain *domain,
		  void (*wake)(struct watcher *watcher));
void watcher_fini(struct watches *ws, struct watcher *watcher);

/* How many levels below its path a watch reaches. */
#define WATCH_ALL_LEVELS UINT32_MAX

/*
 * Watch a path (a node's, or one with '@'). depth: levels below it that count
 * too, or WATCH_ALL_LEVELS. Its first event is pending afterwards.
 * -EEXIST same path and token; -E2BIG quota; -ENOMEM.
 */
int watch_add(struct watches *ws, struct watcher *watcher,
	      const struct xpath *path, uint32_t depth,
	      const char *token) PV_MUST_CHECK;
/* Its pending events go too. -ENOENT. */
int watch_del(struct watches *ws, struct watcher *watcher,
	      const struct xpath *path, const char *token) PV_MUST_CHECK;
void watch_del_all(struct watches *ws, struct watcher *watcher);

/* A node has changed. */
void watch_fire(struct watches *ws, const struct change *change);

/*
 * A domain came or went. Who watches the bare name hears just that. Who watches
 * it with a depth of 1 or more, or watches NAME/N, hears NAME/N instead.
 * perms say who may know of all, perms_one (or NULL) who else may know of it:
 * of this one domain, so only as NAME/N.
 */
void watch_fire_special(struct watches *ws, enum xsd_special special,
			uint32_t domid, const struct perms *perms,
			const struct perms *perms_one);
/* The rights of a special name have changed. */
void watch_fire_perms(struct watches *ws, const char *name,
		      const struct perms *before, const struct perms *after);

/* Count again what a watcher has. */
struct watcher_count {
	uint32_t nr_watches, nr_events, event_bytes;
	int64_t bytes; /* of memory */
};
void watcher_count(const struct watcher *watcher, struct watcher_count *ret);

/*
 * Take the oldest event: path and token, each with its NUL, into buf of
 * XENSTORE_PAYLOAD_MAX bytes. Returns the bytes; 0 when there is none.
 */
size_t watcher_next_event(struct watches *ws, struct watcher *watcher,
			  char *buf);

#endif /* XENSTORE_LITE_WATCH_H */
