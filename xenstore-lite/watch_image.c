/* SPDX-License-Identifier: MIT */
/* watch_image.c - a connection's watches, and what it has not heard yet, in
 * the live-update image. See image.h. */
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/image_private.h"
#include "xenstore-lite/watch_private.h"

/* ---- saving ------------------------------------------------------------- */

static void save_watch(struct encoder *e, const struct watch *watch)
{
	enc_u64(e, watch->serial);
	enc_text(e, watch->point->path, watch->point->len);
	enc_u32(e, (uint32_t)watch->rel_off);
	enc_u32(e, watch->depth);
	enc_text(e, watch->token, watch->token_bytes - 1);
}

/* Events refer to their watches by the serial numbers. */
void image_save_watcher(struct encoder *e, const struct watcher *watcher)
{
	uint32_t nr = 0;

	list_for_each(l, &watcher->watches)
		nr++;
	enc_u32(e, nr);
	list_for_each(l, &watcher->watches)
		save_watch(e, container_of(l, struct watch, of_watcher));
	enc_u32(e, watcher->nr_events);
	list_for_each(l, &watcher->events) {
		const struct event *event =
			container_of(l, struct event, of_watcher);

		enc_u64(e, event->watch->serial);
		enc_text(e, event->path, event->len);
	}
	enc_u8(e, watcher->broken);
}

/* ---- restoring ---------------------------------------------------------- */

/* A copy with a NUL of its own; false: it has one inside, or is too long. */
static bool dec_name(struct decoder *d, char *buf, size_t size, size_t *ret_len)
{
	const char *text = dec_text(d, size - 1, ret_len);

	if (!text || memchr(text, '\0', *ret_len)) {
		d->bad = true;
		return false;
	}
	memcpy(buf, text, *ret_len);
	buf[*ret_len] = '\0';
	return true;
}

/* Where a watch with this serial number belongs, from the end. */
static void add_to_point(struct point *point, struct watch *watch)
{
	struct list *before = point->watches.prev;

	while (before != &point->watches &&
	       container_of(before, struct watch, of_point)->serial >
		       watch->serial)
		before = before->prev;
	list_add_head(before, &watch->of_point);
}

static struct watch *new_watch(struct watches *ws, struct watcher *watcher,
			       const char *path, size_t len, const char *token)
{
	uint64_t hash = path_hash(ws->seed, path, len);
	struct point *point = watch_find_point(ws, path, len, hash);
	size_t token_bytes = strlen(token) + 1;
	struct watch *watch = malloc(sizeof(*watch) + token_bytes);

	if (watch && !point)
		point = watch_add_point(ws, path, len, hash);
	if (!watch || !point) {
		free(watch);
		return NULL;
	}
	list_init(&watch->events);
	watch->watcher = watcher;
	watch->point = point;
	watch->token_bytes = token_bytes;
	memcpy(watch->token, token, token_bytes);
	return watch;
}

static void restore_watch(struct watches *ws, struct watcher *watcher,
			  struct decoder *d)
{
	char path[XSD_PATH_MAX + 1], token[XENSTORE_PAYLOAD_MAX + 1];
	uint64_t serial = dec_u64(d);
	struct watch *watch;
	size_t len, token_len;
	uint32_t rel_off, depth;

	if (!dec_name(d, path, sizeof(path), &len))
		return;
	rel_off = dec_u32(d);
	depth = dec_u32(d);
	if (!dec_name(d, token, sizeof(token), &token_len))
		return;
	d->bad |= len == 0 || rel_off >= len || serial > ws->last_serial ||
		  len - rel_off + token_len + 2 > XENSTORE_PAYLOAD_MAX;
	if (d->bad)
		return;
	watch = new_watch(ws, watcher, path, len, token);
	if (!watch) {
		d->bad = d->no_memory = true;
		return;
	}
	watch->serial = serial;
	watch->rel_off = rel_off;
	watch->depth = depth;
	add_to_point(watch->point, watch);
	list_add_tail(&watcher->watches, &watch->of_watcher);
	watcher->domain->nr_watches++;
	xsd_domain_charge(watcher->domain, watch_bytes(len, token_len + 1));
}

/* They come in the order in which they were queued, not in the watches'. */
static struct watch *find_serial(const struct watcher *watcher,
				 const struct watch *hint, uint64_t serial)
{
	if (hint && hint->serial == serial)
		return container_of(hint->of_watcher.prev->next, struct watch,
				    of_watcher);
	list_for_each(l, &watcher->watches) {
		struct watch *watch = container_of(l, struct watch, of_watcher);

		if (watch->serial == serial)
			return watch;
	}
	return NULL;
}

static void restore_event(struct watches *ws, struct watcher *watcher,
			  const struct watch **hint, struct decoder *d)
{
	struct watch *watch = find_serial(watcher, *hint, dec_u64(d));
	char path[XSD_PATH_MAX + 1];
	uint64_t hash;
	size_t len;

	if (!watch)
		d->bad = true;
	if (!dec_name(d, path, sizeof(path), &len) || d->bad)
		return;
	hash = watch_event_hash(watch, path_hash(ws->seed, path, len));
	d->bad |= len < watch->rel_off ||
		  len - watch->rel_off + 1 + watch->token_bytes >
			  XENSTORE_PAYLOAD_MAX ||
		  watch_is_pending(ws, watch, path, len, hash);
	if (!d->bad)
		watch_enqueue(ws, watch, path, len, hash);
	*hint = watch;
}

void image_restore_watcher(struct decoder *d, struct watches *ws,
			   struct watcher *watcher)
{
	const struct watch *hint = NULL;
	uint32_t nr = dec_u32(d);

	while (nr-- && !d->bad)
		restore_watch(ws, watcher, d);
	nr = dec_u32(d);
	while (nr-- && !d->bad)
		restore_event(ws, watcher, &hint, d);
	watcher->broken |= dec_bool(d);
}
