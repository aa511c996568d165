/* SPDX-License-Identifier: MIT */
/*
 * xs_watch.c - watches of the client, their events, and how they come back
 * after the connection was lost. See xs_private.h.
 *
 * An event for a token that is not ours is ignored: it is of a watch that was
 * given up, and tokens are never used again.
 */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/num.h"

/* Unread events of one watch; above it they are joined to one for the watched
 * path, as the store does. */
#define XS_EVENTS_MAX 1024u

/* A watch that the store did not take back is asked for again after this. */
#define REWATCH_NS NS_PER_S

struct xs_watch {
	struct list link;
	struct list events;
	unsigned nr_events;
	xs_watch_fn *fn;
	void *arg;
	bool known;   /* the store had it once: it comes back after a loss */
	bool refused; /* not taken back yet */
	struct xs_call *again; /* being asked for again */
	struct iovec parts[3]; /* path, token, depth */
	unsigned nr_parts;
	char token[20], depth[12];
	char path[];
};

struct event {
	struct list link, of_watch;
	struct xs_watch *watch;
	char path[];
};

static struct xs_watch *watch_of(struct list *l)
{
	return container_of(l, struct xs_watch, link);
}

static void event_free(struct event *event)
{
	list_del(&event->link);
	list_del(&event->of_watch);
	event->watch->nr_events--;
	free(event);
}

static void drop_events(struct xs_watch *watch)
{
	list_for_each_safe(l, tmp, &watch->events)
		event_free(container_of(l, struct event, of_watch));
}

static void watch_free(struct xs_watch *watch)
{
	if (watch->again)
		watch->again->arg = NULL;
	drop_events(watch);
	list_del(&watch->link);
	free(watch);
}

void xs_watches_fini(struct xs *xs)
{
	list_for_each_safe(l, tmp, &xs->watches)
		watch_free(watch_of(l));
}

/* ---- events ---------------------------------------------------------------
 */

static struct xs_watch *find_watch(struct xs *xs, const char *token)
{
	list_for_each(l, &xs->watches)
		if (strcmp(watch_of(l)->token, token) == 0)
			return watch_of(l);
	return NULL;
}

static bool is_queued(const struct xs_watch *watch, const char *path)
{
	list_for_each(l, &watch->events)
		if (strcmp(container_of(l, struct event, of_watch)->path,
			   path) == 0)
			return true;
	return false;
}

static int queue_event(struct xs *xs, struct xs_watch *watch, const char *path)
{
	struct event *event;
	size_t bytes;

	if (watch->nr_events >= XS_EVENTS_MAX) {
		drop_events(watch);
		path = watch->path;
	} else if (is_queued(watch, path)) {
		return 0;
	}
	bytes = strlen(path) + 1;
	event = malloc(sizeof(*event) + bytes);
	if (!event)
		return -ENOMEM;
	event->watch = watch;
	memcpy(event->path, path, bytes);
	list_add_tail(&xs->events, &event->link);
	list_add_tail(&watch->events, &event->of_watch);
	watch->nr_events++;
	return 0;
}

int xs_watch_event(struct xs *xs, const char *payload, size_t len)
{
	const char *path = payload, *token;
	struct xs_watch *watch;
	size_t path_bytes;

	if (len == 0 || payload[len - 1] != '\0')
		return -EPROTO;
	path_bytes = strlen(path) + 1;
	if (path_bytes >= len || path_bytes > XS_PATH_MAX)
		return -EPROTO;
	token = path + path_bytes;
	watch = find_watch(xs, token);
	return watch ? queue_event(xs, watch, path) : 0;
}

/* Run what is queued now; what callbacks cause comes with the next dispatch,
 * so that a watch which fires itself does not keep us here. */
void xs_events_run(struct xs *xs)
{
	struct list now = LIST_INIT(now);

	while (!list_empty(&xs->events)) {
		struct list *l = xs->events.next;

		list_del(l);
		list_add_tail(&now, l);
	}
	while (!list_empty(&now)) {
		struct event *event =
			container_of(now.next, struct event, link);
		xs_watch_fn *fn = event->watch->fn;
		void *arg = event->watch->arg;
		char path[XS_PATH_MAX];

		memcpy(path, event->path, strlen(event->path) + 1);
		event_free(event);
		fn(arg, path);
	}
}

/* ---- watches --------------------------------------------------------------
 */

static int watch_new(struct xs *xs, const char *path, unsigned depth,
		     struct xs_watch **ret)
{
	size_t bytes = strlen(path) + 1;
	struct xs_watch *watch = calloc(1, sizeof(*watch) + bytes);
	int err;

	if (!watch)
		return -ENOMEM;
	list_init(&watch->link);
	list_init(&watch->events);
	memcpy(watch->path, path, bytes);
	/* Never used again: a late event cannot be taken for another's. */
	err = str_printf(watch->token, sizeof(watch->token), "%llx",
			 (unsigned long long)++xs->last_token);
	if (err >= 0)
		err = str_printf(watch->depth, sizeof(watch->depth), "%u",
				 depth);
	if (err < 0) {
		free(watch);
		return err;
	}
	watch->parts[0] = xs_text_part(watch->path);
	watch->parts[1] = xs_text_part(watch->token);
	watch->parts[2] = xs_text_part(watch->depth);
	watch->nr_parts = depth == XS_DEPTH_ALL ? 2 : 3;
	*ret = watch;
	return 0;
}

int xs_watch_depth(struct xs *xs, const char *path, unsigned depth,
		   xs_watch_fn *fn, void *arg, struct xs_watch **ret)
{
	struct xs_watch *watch;
	int err = watch_new(xs, path, depth, &watch);

	if (err)
		return err;
	watch->fn = fn;
	watch->arg = arg;
	list_add_tail(&xs->watches, &watch->link);
	err = xs_talk(xs, XS_WATCH, XS_NO_TXN, watch->parts, watch->nr_parts,
		      NULL, NULL);
	if (err) {
		watch_free(watch);
		return err;
	}
	watch->known = true;
	*ret = watch;
	return 0;
}

int xs_watch(struct xs *xs, const char *path, xs_watch_fn *fn, void *arg,
	     struct xs_watch **ret)
{
	return xs_watch_depth(xs, path, XS_DEPTH_ALL, fn, arg, ret);
}

/* Nobody waits for the answer: an event that comes after this has no watch. */
void xs_unwatch(struct xs *xs, struct xs_watch *watch)
{
	struct xs_call *call;

	if (!watch)
		return;
	if (xs->link && !xs->err &&
	    !xs_call_new(xs, XS_UNWATCH, 0, watch->parts, 2, &call)) {
		xs_call_queue(xs, call, &xs->calls);
		xs_conn_send(xs);
		xs_conn_arm(xs);
	}
	watch_free(watch);
}

/* ---- again ----------------------------------------------------------------
 */

/* It is deaf until the store takes it: its user is to look, and we try on. */
static void watch_settled(struct xs *xs, struct xs_call *call)
{
	struct xs_watch *watch = call->arg;
	int err;

	if (!watch)
		return;
	watch->again = NULL;
	watch->refused = call->err && call->err != -ECONNRESET;
	if (!watch->refused)
		return;
	if (!xs->rewatch_at_ns)
		xs->rewatch_at_ns = clock_now_ns() + REWATCH_NS;
	err = queue_event(xs, watch, watch->path);
	(void)err; /* no memory: it looks when the store has taken it */
}

int xs_watches_again(struct xs *xs, bool first, bool refused)
{
	struct list *at = &xs->calls;

	if (first && !list_empty(at))
		at = at->next;
	list_for_each(l, &xs->watches) {
		struct xs_watch *watch = watch_of(l);
		int err;

		if (!watch->known || watch->again ||
		    (refused && !watch->refused))
			continue;
		err = xs_call_new(xs, XS_WATCH, 0, watch->parts,
				  watch->nr_parts, &watch->again);
		if (err)
			return err;
		watch->again->settled = watch_settled;
		watch->again->arg = watch;
		xs_call_queue(xs, watch->again, at);
	}
	return 0;
}

int xs_reset_watches(struct xs *xs)
{
	struct iovec nothing = xs_text_part("");
	int err = xs_talk(xs, XS_RESET_WATCHES, XS_NO_TXN, &nothing, 1, NULL,
			  NULL);

	if (err)
		return err;
	xs_txns_lost(xs);
	err = xs_watches_again(xs, false, false);
	xs_flush(xs);
	return err;
}
