/* SPDX-License-Identifier: MIT */
/* record.c - files of the journal. See record.h. */
#include "xenstore-lite/record.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

static const char file_magic[8] = { 'p', 'v', 's', 't', 'o', 'r', 'e', '\n' };

/* Offsets within a file's header, and within a record. */
enum {
	FILE_VERSION = 8,
	FILE_KIND = 12,
	FILE_SEGMENT = 16,
	FILE_MARK = 24,
	FILE_FIRST_SEQ = 32,
	FILE_CRC = 40,
	FILE_ZERO = 44,

	/* The sum is of all that is behind it, in one run. */
	HEAD_MARK = 0,
	HEAD_CRC = 8,
	HEAD_LEN = 12,
	HEAD_SEQ = 16,
	HEAD_TYPE = 24,
};

static uint32_t crc_of(const uint8_t *data, size_t len)
{
	return (uint32_t)crc32_z(0, data, len);
}

void record_put_file(struct encoder *e, const struct record_file *file)
{
	size_t at = e->len;

	enc_bytes(e, file_magic, sizeof(file_magic));
	enc_u32(e, RECORD_VERSION);
	enc_u32(e, (uint32_t)file->kind);
	enc_u64(e, file->segment);
	enc_u64(e, file->mark);
	enc_u64(e, file->first_seq);
	if (!e->failed)
		enc_u32(e, crc_of(e->data + at, FILE_CRC));
	enc_u32(e, 0);
}

size_t record_begin(struct encoder *e, uint64_t mark, uint64_t seq,
		    enum record_type type)
{
	size_t at = e->len;

	if (encoder_reserve(e, RECORD_HEAD_BYTES)) {
		e->failed = true;
		return at;
	}
	enc_u64(e, mark);
	enc_u64(e, 0); /* sum and length: record_end */
	enc_u64(e, seq);
	enc_u32(e, (uint32_t)type);
	return at;
}

static uint32_t record_crc(const uint8_t *head, size_t len)
{
	return crc_of(head + HEAD_LEN, RECORD_HEAD_BYTES - HEAD_LEN + len);
}

int record_end(struct encoder *e, size_t at)
{
	size_t len = e->len - at - RECORD_HEAD_BYTES;
	int err = 0;

	if (e->failed)
		err = -ENOMEM;
	else if (len > RECORD_PAYLOAD_MAX)
		err = -E2BIG;
	if (err) {
		e->failed = false;
		e->len = at;
		return err;
	}
	codec_put_u32(e->data + at + HEAD_LEN, (uint32_t)len);
	codec_put_u32(e->data + at + HEAD_CRC, record_crc(e->data + at, len));
	return 0;
}

int record_next(const uint8_t *data, size_t len, uint64_t mark, size_t *off,
		struct record *ret)
{
	const uint8_t *head = data + *off;
	size_t left = len - *off, payload;
	uint32_t type;

	if (left == 0)
		return -ENODATA;
	if (left < RECORD_HEAD_BYTES || codec_get_u64(head) != mark)
		return -EBADMSG;
	payload = codec_get_u32(head + HEAD_LEN);
	if (payload > RECORD_PAYLOAD_MAX || payload > left - RECORD_HEAD_BYTES)
		return -EBADMSG;
	if (codec_get_u32(head + HEAD_CRC) != record_crc(head, payload))
		return -EBADMSG;
	type = codec_get_u32(head + HEAD_TYPE);
	if (type == 0 || type >= RECORD_NR_TYPES)
		return -EBADMSG;
	ret->type = (enum record_type)type;
	ret->seq = codec_get_u64(head + HEAD_SEQ);
	ret->payload = head + RECORD_HEAD_BYTES;
	ret->len = payload;
	*off += RECORD_HEAD_BYTES + payload;
	return 0;
}

bool record_find(const uint8_t *data, size_t len, uint64_t mark, size_t *off)
{
	uint8_t text[sizeof(mark)];
	struct record record;

	codec_put_u64(text, mark);
	while (*off < len) {
		const uint8_t *at =
			memmem(data + *off, len - *off, text, sizeof(text));
		size_t end;

		if (!at)
			return false;
		end = *off = (size_t)(at - data);
		if (record_next(data, len, mark, &end, &record) == 0)
			return true;
		(*off)++;
	}
	return false;
}

/* The mark of the record that follows a damaged header, or 0. */
static uint64_t mark_of_first(const uint8_t *data, size_t len)
{
	size_t off = RECORD_FILE_BYTES;
	struct record record;
	uint64_t mark;

	if (len < RECORD_FILE_BYTES + RECORD_HEAD_BYTES)
		return 0;
	mark = codec_get_u64(data + off);
	return record_next(data, len, mark, &off, &record) ? 0 : mark;
}

static bool is_zero(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i])
			return false;
	return true;
}

int record_get_file(const uint8_t *data, size_t len, struct record_file *ret)
{
	uint32_t kind;

	memset(ret, 0, sizeof(*ret));
	if (len < RECORD_FILE_BYTES || is_zero(data, len))
		return -ENODATA;
	kind = codec_get_u32(data + FILE_KIND);
	if (memcmp(data, file_magic, sizeof(file_magic)) != 0 ||
	    codec_get_u32(data + FILE_CRC) != crc_of(data, FILE_CRC) ||
	    codec_get_u32(data + FILE_ZERO) != 0) {
		ret->mark = mark_of_first(data, len);
		return -EBADMSG;
	}
	if (codec_get_u32(data + FILE_VERSION) != RECORD_VERSION ||
	    (kind != RECORD_JOURNAL && kind != RECORD_SNAPSHOT))
		return -EPROTONOSUPPORT;
	ret->kind = (enum record_kind)kind;
	ret->segment = codec_get_u64(data + FILE_SEGMENT);
	ret->mark = codec_get_u64(data + FILE_MARK);
	ret->first_seq = codec_get_u64(data + FILE_FIRST_SEQ);
	return 0;
}
