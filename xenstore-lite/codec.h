/* SPDX-License-Identifier: MIT */
/*
 * codec.h - the store's things as bytes, and back: what the journal and the
 * live-update image are made of.
 *
 * Numbers are little-endian. An encoder grows; when there is no memory it only
 * remembers that. A decoder never reads past its end: from the first thing that
 * is not there or cannot be, all that it gives is 0, and it says so at the end.
 * So both are asked once, after the last step, whether all went well.
 *
 * Pure: no file, no store that is changed. Any bytes are safe to decode.
 */
#ifndef XENSTORE_LITE_CODEC_H
#define XENSTORE_LITE_CODEC_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "util/annotate.h"
#include "xenstore-lite/store.h"

struct encoder {
	uint8_t *data;
	size_t len, size;
	bool failed; /* no memory: data lacks something */
};

void encoder_fini(struct encoder *e); /* zeroed is fine; leaves it zeroed */
int encoder_grow(struct encoder *e, size_t more) PV_MUST_CHECK;
/* Room for more bytes without another allocation. -ENOMEM. */
static inline int PV_MUST_CHECK encoder_reserve(struct encoder *e, size_t more)
{
	return more <= e->size - e->len ? 0 : encoder_grow(e, more);
}

static inline void enc_bytes(struct encoder *e, const void *data, size_t len)
{
	if (encoder_reserve(e, len)) {
		e->failed = true;
		return;
	}
	if (len)
		memcpy(e->data + e->len, data, len);
	e->len += len;
}

static inline void enc_u8(struct encoder *e, uint8_t v)
{
	enc_bytes(e, &v, sizeof(v));
}

static inline void enc_u16(struct encoder *e, uint16_t v)
{
	v = htole16(v);
	enc_bytes(e, &v, sizeof(v));
}

static inline void enc_u32(struct encoder *e, uint32_t v)
{
	v = htole32(v);
	enc_bytes(e, &v, sizeof(v));
}

static inline void enc_u64(struct encoder *e, uint64_t v)
{
	v = htole64(v);
	enc_bytes(e, &v, sizeof(v));
}

/* A length of 32 bits, then the bytes. */
void enc_text(struct encoder *e, const void *data, size_t len);

/* Into bytes that are there already. */
void codec_put_u32(uint8_t *at, uint32_t v);
void codec_put_u64(uint8_t *at, uint64_t v);
uint32_t codec_get_u32(const uint8_t *at);
uint64_t codec_get_u64(const uint8_t *at);

struct decoder {
	const uint8_t *at;
	size_t left;
	bool bad;
	bool no_memory; /* bad only for want of memory */
};

void decoder_init(struct decoder *d, const void *data, size_t len);
uint8_t dec_u8(struct decoder *d);
uint16_t dec_u16(struct decoder *d);
uint32_t dec_u32(struct decoder *d);
uint64_t dec_u64(struct decoder *d);
bool dec_bool(struct decoder *d); /* 0 or 1, nothing else */
/* Points into the bytes; NULL when they are not there. */
const void *dec_bytes(struct decoder *d, size_t len);
/* As enc_text; more than max is bad. */
const void *dec_text(struct decoder *d, size_t max, size_t *ret_len);
/* 0 when all was there and nothing is left; -EBADMSG; -ENOMEM. */
int decoder_end(const struct decoder *d) PV_MUST_CHECK;

/* ---- the store's things ------------------------------------------------- */

/* Entries of a set: more than fit one message cannot be. */
#define CODEC_PERMS_MAX (XENSTORE_PAYLOAD_MAX / 2)

/* perms NULL: none, which comes back as NULL. */
void enc_perms(struct encoder *e, const struct perms *perms);
/* A reference for the caller; NULL none, or bad. */
struct perms *dec_perms(struct decoder *d);

void enc_blob(struct encoder *e, const struct blob *blob);
struct blob *dec_blob(struct decoder *d);

void enc_state(struct encoder *e, const struct node_state *state);
/* perms NULL: absent (or bad). The caller ends it. */
void dec_state(struct decoder *d, struct node_state *ret);

void enc_limits(struct encoder *e, const struct xsd_limits *limits);
void dec_limits(struct decoder *d, struct xsd_limits *ret);

/* A node's path, checked as one from the wire; false: bad. */
void enc_path(struct encoder *e, const char *path, size_t len);
bool dec_path(struct decoder *d, struct xpath *ret);

#endif /* XENSTORE_LITE_CODEC_H */
