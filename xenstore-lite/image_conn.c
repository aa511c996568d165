/* SPDX-License-Identifier: MIT */
/* image_conn.c - a connection in the live-update image. See image.h. */
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/image_private.h"

/* An unfinished request and what was fed last, doubled as buffers grow. */
#define INPUT_MAX_BYTES (1u << 20)

/* ---- saving ------------------------------------------------------------- */

static void save_bytes(struct encoder *e, const struct bytes *b)
{
	enc_u32(e, (uint32_t)b->size);
	enc_u32(e, (uint32_t)b->start);
	enc_text(e, b->len ? b->data + b->start : NULL, b->len);
}

void image_save_conn(struct encoder *e, const struct image_owner *owner,
		     struct xsd_conn *conn)
{
	uint32_t nr = 0;

	enc_u64(e, conn->id);
	owner->save(conn->arg, e);
	enc_u32(e, conn->last_txn_id);
	save_bytes(e, &conn->in);
	save_bytes(e, &conn->out);
	enc_u32(e, conn->first_left);
	enc_u8(e, conn->first_is_event);
	enc_u8(e, conn->protocol_error);
	enc_u8(e, conn->no_memory);
	enc_u8(e, conn->more);
	enc_u8(e, !list_empty(&conn->of_held));
	list_for_each(l, &conn->txns)
		nr++;
	enc_u32(e, nr);
	list_for_each(l, &conn->txns)
		image_save_txn(e, container_of(l, struct txn, of_conn));
	image_save_watcher(e, &conn->watcher);
}

/* ---- restoring ---------------------------------------------------------- */

static void restore_bytes(struct decoder *d, struct xsd_conn *conn,
			  struct bytes *b, uint32_t max_bytes)
{
	uint32_t size = dec_u32(d), start = dec_u32(d);
	size_t len;
	const void *data = dec_text(d, max_bytes, &len);

	d->bad |= size > max_bytes || start > size || len > size - start ||
		  (size == 0) != (len == 0);
	if (d->bad || size == 0)
		return;
	b->data = malloc(size);
	if (!b->data) {
		d->bad = d->no_memory = true;
		return;
	}
	b->size = size;
	b->start = start;
	b->len = len;
	memcpy(b->data + start, data, len);
	xsd_domain_charge(conn->domain, (int64_t)size);
}

/* Whole messages, but for the first; their answers are counted. */
static void check_output(struct decoder *d, struct xsd_conn *conn)
{
	const char *at = conn->out.data + conn->out.start;
	size_t left = conn->out.len, len = conn->first_left;
	uint32_t nr = len > 0 && !conn->first_is_event;
	struct xsd_sockmsg hdr;

	while (len <= left) {
		at += len;
		left -= len;
		if (left < sizeof(hdr))
			break;
		memcpy(&hdr, at, sizeof(hdr));
		nr += hdr.type != XS_WATCH_EVENT;
		len = sizeof(hdr) + hdr.len;
		d->bad |= hdr.len > XENSTORE_PAYLOAD_MAX;
	}
	d->bad |= left > 0;
	conn->nr_outstanding = nr;
	conn->domain->nr_outstanding += nr;
}

static void restore_output(struct decoder *d, struct xsd_conn *conn)
{
	restore_bytes(d, conn, &conn->out, XSD_OUTPUT_BYTES);
	conn->first_left = dec_u32(d);
	conn->first_is_event = dec_bool(d);
	d->bad |= conn->first_left > conn->out.len ||
		  (conn->out.size && conn->out.size != XSD_OUTPUT_BYTES);
	if (d->bad)
		conn->first_left = 0;
	else if (conn->out.len)
		check_output(d, conn);
}

static void restore_state(struct decoder *d, struct xsd_conn *conn)
{
	uint32_t nr;

	conn->last_txn_id = dec_u32(d);
	restore_bytes(d, conn, &conn->in, INPUT_MAX_BYTES);
	restore_output(d, conn);
	conn->protocol_error = dec_bool(d);
	conn->no_memory = dec_bool(d);
	conn->more = dec_bool(d);
	d->bad |= conn->more && !conn->in.len;
	if (dec_bool(d))
		list_add_tail(&conn->domain->held, &conn->of_held);
	nr = dec_u32(d);
	while (nr-- && !d->bad)
		image_restore_txn(d, conn);
	image_restore_watcher(d, &conn->xsd->watches, &conn->watcher);
}

void image_restore_conn(struct decoder *d, const struct image_owner *owner,
			struct xsd *xsd, struct xsd_domain *domain)
{
	uint64_t id = dec_u64(d);
	struct xsd_conn *conn;

	if (d->bad)
		return;
	conn = conn_new(xsd, domain, NULL);
	if (!conn) {
		d->bad = d->no_memory = true;
		return;
	}
	conn->id = id;
	if (owner->restore(owner->arg, conn, d, &conn->arg)) {
		d->bad = true;
		xsd_conn_close(conn);
		return;
	}
	restore_state(d, conn);
}
