/* SPDX-License-Identifier: MIT */
/* waiting.c - see waiting.h. Neighbour: frame.c. Data thread. */
#include "netback/waiting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What stands before a frame's bytes. */
struct entry {
	uint64_t since_ns;
	uint32_t size_bytes, head_bytes;
	struct packet_meta meta;
	struct packet_layout layout;
	struct queue_hash hash;
};

#define ALIGN (_Alignof(struct entry))

static uint32_t entry_bytes(uint32_t size_bytes)
{
	return (uint32_t)((sizeof(struct entry) + size_bytes + ALIGN - 1) &
			  ~(ALIGN - 1));
}

/* Where an entry of so many bytes goes, or WAITING_BYTES. */
static uint32_t find_room(struct waiting *w, uint32_t bytes)
{
	if (!w->nr)
		w->first = w->end = w->wrap = 0;
	if (w->wrap)
		return w->first - w->end >= bytes ? w->end : WAITING_BYTES;
	if (WAITING_BYTES - w->end >= bytes)
		return w->end;
	if (w->first < bytes)
		return WAITING_BYTES;
	w->wrap = w->end;
	return 0;
}

int waiting_add(struct waiting *w, const struct frame *frame,
		const struct queue_hash *hash, uint64_t now_ns)
{
	const struct entry entry = {
		.since_ns = now_ns,
		.size_bytes = frame->size_bytes,
		.head_bytes = frame->head_bytes,
		.meta = frame->meta,
		.layout = frame->layout,
		.hash = *hash,
	};
	uint32_t bytes = entry_bytes(frame->size_bytes), at;
	struct frame_cursor cursor = { 0 };

	if (!w->buf)
		w->buf = malloc(WAITING_BYTES);
	at = w->buf ? find_room(w, bytes) : WAITING_BYTES;
	if (at == WAITING_BYTES)
		return -ENOBUFS;
	memcpy(w->buf + at, &entry, sizeof(entry));
	frame_copy_out(frame, &cursor,
		       (void PV_SHARED *)(w->buf + at + sizeof(entry)),
		       frame->size_bytes);
	w->end = at + bytes;
	w->nr++;
	return 0;
}

bool waiting_first(const struct waiting *w, struct frame *ret,
		   struct queue_hash *ret_hash, uint64_t *ret_since_ns)
{
	const uint8_t *bytes = w->buf + w->first + sizeof(struct entry);
	struct entry entry;

	if (!w->nr)
		return false;
	memcpy(&entry, w->buf + w->first, sizeof(entry));
	ret->head_bytes = entry.head_bytes;
	ret->size_bytes = entry.size_bytes;
	ret->meta = entry.meta;
	ret->layout = entry.layout;
	memcpy(ret->head, bytes, entry.head_bytes);
	ret->nr_parts = entry.size_bytes > entry.head_bytes;
	ret->parts[0] = (struct frame_part){
		.base = (const void PV_SHARED *)(bytes + entry.head_bytes),
		.size_bytes = entry.size_bytes - entry.head_bytes,
	};
	*ret_hash = entry.hash;
	*ret_since_ns = entry.since_ns;
	return true;
}

void waiting_drop_first(struct waiting *w)
{
	struct entry entry;

	memcpy(&entry, w->buf + w->first, sizeof(entry));
	w->first += entry_bytes(entry.size_bytes);
	if (w->wrap && w->first == w->wrap)
		w->first = w->wrap = 0;
	w->nr--;
}

void waiting_free(struct waiting *w)
{
	free(w->buf);
	*w = (struct waiting){ 0 };
}
