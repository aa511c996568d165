/* SPDX-License-Identifier: MIT */
/* codec.c - the store's things as bytes. See codec.h. */
#include "xenstore-lite/codec.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENCODER_FIRST_BYTES 4096u

/* ---- encoding ----------------------------------------------------------- */

void encoder_fini(struct encoder *e)
{
	free(e->data);
	memset(e, 0, sizeof(*e));
}

int encoder_grow(struct encoder *e, size_t more)
{
	size_t size = e->size ? e->size : ENCODER_FIRST_BYTES;
	uint8_t *data;

	while (size - e->len < more) {
		if (size > SIZE_MAX / 2)
			return -ENOMEM;
		size *= 2;
	}
	data = realloc(e->data, size);
	if (!data)
		return -ENOMEM;
	e->data = data;
	e->size = size;
	return 0;
}

void enc_text(struct encoder *e, const void *data, size_t len)
{
	enc_u32(e, (uint32_t)len);
	enc_bytes(e, data, len);
}

void codec_put_u32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

void codec_put_u64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

uint32_t codec_get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

uint64_t codec_get_u64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

/* ---- decoding ----------------------------------------------------------- */

void decoder_init(struct decoder *d, const void *data, size_t len)
{
	memset(d, 0, sizeof(*d));
	d->at = data;
	d->left = len;
}

const void *dec_bytes(struct decoder *d, size_t len)
{
	const void *at = d->at;

	if (d->bad || len > d->left) {
		d->bad = true;
		return NULL;
	}
	d->at += len;
	d->left -= len;
	return at;
}

uint8_t dec_u8(struct decoder *d)
{
	const uint8_t *at = dec_bytes(d, 1);

	return at ? *at : 0;
}

uint16_t dec_u16(struct decoder *d)
{
	const void *at = dec_bytes(d, sizeof(uint16_t));
	uint16_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return le16toh(v);
}

uint32_t dec_u32(struct decoder *d)
{
	const void *at = dec_bytes(d, sizeof(uint32_t));

	return at ? codec_get_u32(at) : 0;
}

uint64_t dec_u64(struct decoder *d)
{
	const void *at = dec_bytes(d, sizeof(uint64_t));

	return at ? codec_get_u64(at) : 0;
}

bool dec_bool(struct decoder *d)
{
	uint8_t v = dec_u8(d);

	d->bad |= v > 1;
	return !d->bad && v;
}

const void *dec_text(struct decoder *d, size_t max, size_t *ret_len)
{
	size_t len = dec_u32(d);
	const void *at;

	d->bad |= len > max;
	at = dec_bytes(d, len);
	*ret_len = at ? len : 0;
	return at;
}

static void no_memory(struct decoder *d)
{
	d->bad = d->no_memory = true;
}

int decoder_end(const struct decoder *d)
{
	if (d->no_memory)
		return -ENOMEM;
	return d->bad || d->left ? -EBADMSG : 0;
}

/* ---- the store's things ------------------------------------------------- */

void enc_perms(struct encoder *e, const struct perms *perms)
{
	enc_u32(e, perms ? perms->nr : 0);
	for (uint32_t i = 0; perms && i < perms->nr; i++) {
		enc_u64(e, perms->entries[i].incarnation);
		enc_u16(e, perms->entries[i].domid);
		enc_u8(e, perms->entries[i].rights);
	}
}

struct perms *dec_perms(struct decoder *d)
{
	uint32_t nr = dec_u32(d);
	struct perms *perms;

	/* 11 bytes an entry: so many must be there before any is allocated. */
	d->bad |= nr > CODEC_PERMS_MAX || nr > d->left / 11;
	if (d->bad || nr == 0)
		return NULL;
	perms = perms_alloc(nr);
	if (!perms) {
		no_memory(d);
		return NULL;
	}
	for (uint32_t i = 0; i < nr; i++) {
		struct perm *entry = &perms->entries[i];

		entry->incarnation = dec_u64(d);
		entry->domid = dec_u16(d);
		entry->rights = dec_u8(d);
		d->bad |= entry->rights & ~(PERM_READ | PERM_WRITE);
	}
	if (!d->bad)
		return perms;
	perms_put(perms);
	return NULL;
}

void enc_blob(struct encoder *e, const struct blob *blob)
{
	enc_text(e, blob ? blob->data : NULL, blob_len(blob));
}

struct blob *dec_blob(struct decoder *d)
{
	size_t len;
	const void *data = dec_text(d, XENSTORE_PAYLOAD_MAX, &len);
	struct blob *blob;
	int err;

	if (!data)
		return NULL;
	blob = blob_new(data, (uint32_t)len, &err);
	if (err)
		no_memory(d);
	return blob;
}

void enc_state(struct encoder *e, const struct node_state *state)
{
	enc_perms(e, state->perms);
	if (state->perms)
		enc_blob(e, state->value);
}

void dec_state(struct decoder *d, struct node_state *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->perms = dec_perms(d);
	if (!ret->perms)
		return;
	ret->value = dec_blob(d);
	if (d->bad)
		node_state_fini(ret);
}

/* All of struct xsd_limits, in its order. */
#define NR_LIMITS (sizeof(struct xsd_limits) / sizeof(uint32_t))

void enc_limits(struct encoder *e, const struct xsd_limits *limits)
{
	uint32_t values[NR_LIMITS];

	memcpy(values, limits, sizeof(values));
	for (size_t i = 0; i < NR_LIMITS; i++)
		enc_u32(e, values[i]);
}

void dec_limits(struct decoder *d, struct xsd_limits *ret)
{
	uint32_t values[NR_LIMITS];

	for (size_t i = 0; i < NR_LIMITS; i++)
		values[i] = dec_u32(d);
	memcpy(ret, values, sizeof(*ret));
}

void enc_path(struct encoder *e, const char *path, size_t len)
{
	enc_u16(e, (uint16_t)len);
	enc_bytes(e, path, len);
}

bool dec_path(struct decoder *d, struct xpath *ret)
{
	char text[XSD_PATH_MAX + 1];
	size_t len = dec_u16(d);
	const char *at;

	d->bad |= len == 0 || len > XSD_PATH_MAX;
	at = dec_bytes(d, len);
	if (!at)
		return false;
	memcpy(text, at, len);
	text[len] = '\0';
	if (text[0] != '/' || strlen(text) != len ||
	    xpath_parse(text, 0, XSD_PATH_MAX, ret))
		d->bad = true;
	return !d->bad;
}
