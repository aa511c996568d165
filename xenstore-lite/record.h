/* SPDX-License-Identifier: MIT */
/*
 * record.h - files of the journal: a header, then records.
 *
 *	header	magic 8  version 4  kind 4  segment 8  mark 8  first seq 8
 *		crc 4  0 4
 *	record	mark 8  crc 4  length 4  seq 8  type 4  payload
 *
 * The mark is a random number of this file and begins each of its records: a
 * client, who chooses values but does not know it, cannot write what looks like
 * a record. Sequence numbers grow by one from record to record, over all
 * segments. crc is zlib's crc32: a header's of what is before it, a record's of
 * what is behind it.
 *
 * Pure, as codec.h. Format and rules: docs/xenstore-journal.md.
 */
#ifndef XENSTORE_LITE_RECORD_H
#define XENSTORE_LITE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "xenstore-lite/codec.h"

#define RECORD_VERSION	   1u
#define RECORD_FILE_BYTES  48u /* the file's header */
#define RECORD_HEAD_BYTES  28u
#define RECORD_PAYLOAD_MAX (512u << 20)

enum record_kind {
	RECORD_JOURNAL = 1,
	RECORD_SNAPSHOT = 2,
};

enum record_type {
	RECORD_COMMIT = 1, /* nodes that change together */
	RECORD_DOMAIN_ADD, /* a domain, and the nodes it begins with */
	RECORD_DOMAIN_SET, /* its attributes */
	RECORD_DOMAIN_DEL, /* it is gone, with all that was its own */
	RECORD_SPECIALS,   /* rights of the special names */
	RECORD_GENERATION, /* generations begin again above this one */
	/* Of a snapshot only: its counts, first and last. */
	RECORD_SNAPSHOT_BEGIN,
	RECORD_SNAPSHOT_END,
	RECORD_NR_TYPES
};

struct record_file {
	enum record_kind kind;
	uint64_t segment, mark, first_seq;
};

struct record {
	enum record_type type;
	uint64_t seq;
	const uint8_t *payload;
	size_t len;
};

void record_put_file(struct encoder *e, const struct record_file *file);

/* Begin a record; returns where. Its payload follows, then record_end. */
size_t record_begin(struct encoder *e, uint64_t mark, uint64_t seq,
		    enum record_type type);
/* -ENOMEM, -E2BIG: the record is taken back. */
int record_end(struct encoder *e, size_t at) PV_MUST_CHECK;

/*
 * What a file says of itself. -ENODATA nothing was written yet, not even this
 * whole; -EPROTONOSUPPORT another version; -EBADMSG damaged: ret->mark is then
 * that of a whole first record, or 0 when there is none either.
 */
int record_get_file(const uint8_t *data, size_t len,
		    struct record_file *ret) PV_MUST_CHECK;

/* The record at *off, which moves behind it. -ENODATA *off is the end;
 * -EBADMSG there is none, or a damaged one. */
int record_next(const uint8_t *data, size_t len, uint64_t mark, size_t *off,
		struct record *ret) PV_MUST_CHECK;
/* Move *off on to the next whole record, at or behind it. */
bool record_find(const uint8_t *data, size_t len, uint64_t mark, size_t *off);

#endif /* XENSTORE_LITE_RECORD_H */
