/* SPDX-License-Identifier: MIT */
/* replay.c - the journal's files, as bytes, made a store again. See
 * replay.h. */
#include "xenstore-lite/replay.h"

#include <errno.h>

#include "xenstore-lite/changes.h"
#include "xenstore-lite/private.h"

static int damaged(struct replay *r, size_t offset, const char *why)
{
	if (!r->why) {
		r->offset = offset;
		r->why = why;
	}
	return -EBADMSG;
}

/* A file's header; with salvage, its mark at least. */
static int get_file(struct replay *r, const uint8_t *data, size_t len,
		    enum record_kind kind, uint64_t segment,
		    struct record_file *ret)
{
	int err = record_get_file(data, len, ret);

	if (err == -EPROTONOSUPPORT)
		return err;
	if (err)
		err = damaged(r, 0, "no header");
	else if (ret->kind != kind || ret->segment != segment || !ret->mark)
		err = damaged(r, 0, "the header of another file");
	if (!err || (r->salvage && ret->mark))
		return 0;
	r->lost_bytes += len;
	return err;
}

/* ---- snapshots ---------------------------------------------------------- */

struct counts {
	uint64_t last_generation;
	uint32_t nr_domains, nr_nodes;
};

static int get_counts(const struct record *record, struct counts *ret)
{
	struct decoder d;

	decoder_init(&d, record->payload, record->len);
	ret->last_generation = dec_u64(&d);
	ret->nr_domains = dec_u32(&d);
	ret->nr_nodes = dec_u32(&d);
	return decoder_end(&d);
}

int replay_check_snapshot(struct replay *r, const uint8_t *data, size_t len,
			  uint64_t segment)
{
	struct record record = { .type = RECORD_NR_TYPES };
	size_t off = RECORD_FILE_BYTES, at = 0;
	struct record_file file;
	uint64_t seq = 0;
	int err;

	r->why = NULL;
	err = get_file(r, data, len, RECORD_SNAPSHOT, segment, &file);
	if (err)
		return err;
	do {
		bool begins = record.type == RECORD_NR_TYPES;

		at = off;
		if (record_next(data, len, file.mark, &off, &record) ||
		    record.seq != ++seq)
			return damaged(r, at, "a damaged record");
		if (begins != (record.type == RECORD_SNAPSHOT_BEGIN))
			return damaged(r, at, "a record out of place");
	} while (record.type != RECORD_SNAPSHOT_END);
	return off == len ? 0 : damaged(r, off, "more behind the end");
}

static int end_snapshot(struct replay *r, size_t at, const struct counts *c)
{
	struct store *store = &r->xsd->store;
	uint32_t nr_domains = 0;

	list_for_each(l, &store->domains.all)
		nr_domains++;
	if (store->last_generation < c->last_generation)
		store->last_generation = c->last_generation;
	if (nr_domains != c->nr_domains || store->nodes.nr != c->nr_nodes)
		return damaged(r, at, "not as much as it says");
	return 0;
}

static int apply(struct replay *r, size_t at, const struct record *record)
{
	int err = changes_apply(r->xsd, record);

	if (err == -EBADMSG) {
		r->nr_refused++;
		return damaged(r, at, "a record that does not fit");
	}
	r->nr_applied += !err;
	return err;
}

static int apply_snapshot_record(struct replay *r, size_t at,
				 const struct record *record)
{
	struct counts c;

	if (record->type != RECORD_SNAPSHOT_BEGIN &&
	    record->type != RECORD_SNAPSHOT_END)
		return apply(r, at, record);
	if (get_counts(record, &c))
		return damaged(r, at, "counts that are none");
	return record->type == RECORD_SNAPSHOT_END ? end_snapshot(r, at, &c)
						   : 0;
}

/* On from a record at off that is none: where the next one is, or the end. */
static size_t skip(struct replay *r, const uint8_t *data, size_t len,
		   uint64_t mark, size_t off)
{
	size_t next = off + 1;

	if (!record_find(data, len, mark, &next))
		next = len;
	r->lost_bytes += next - off;
	return next;
}

int replay_snapshot(struct replay *r, const uint8_t *data, size_t len,
		    uint64_t segment)
{
	size_t off = RECORD_FILE_BYTES;
	struct record_file file;
	int err;

	r->why = NULL;
	err = get_file(r, data, len, RECORD_SNAPSHOT, segment, &file);
	while (!err && off < len) {
		struct record record;
		size_t at = off;

		err = record_next(data, len, file.mark, &off, &record);
		if (err) {
			err = damaged(r, at, "a damaged record");
			off = skip(r, data, len, file.mark, at);
		} else {
			err = apply_snapshot_record(r, at, &record);
		}
		if (err == -EBADMSG && r->salvage)
			err = 0;
	}
	r->next_seq = file.first_seq;
	return err;
}

/* ---- segments ----------------------------------------------------------- */

/* Whether the record's turn has come; with salvage, whether it may come. */
static int check_turn(struct replay *r, size_t at, const struct record *record)
{
	if (record->seq == r->next_seq || !r->next_seq)
		return 0;
	damaged(r, at, "records are missing");
	if (!r->salvage)
		return -EBADMSG;
	if (record->seq < r->next_seq) {
		r->nr_refused++;
		return -EBADMSG;
	}
	r->nr_missing += record->seq - r->next_seq;
	return 0;
}

static int replay_record(struct replay *r, size_t at,
			 const struct record *record)
{
	int err = check_turn(r, at, record);

	if (err)
		return err;
	r->next_seq = record->seq + 1;
	return apply(r, at, record);
}

static int replay_records(struct replay *r, const uint8_t *data, size_t len,
			  uint64_t mark, bool last, size_t *whole)
{
	size_t off = RECORD_FILE_BYTES;
	int err = 0;

	while (!err && off < len) {
		struct record record;
		size_t at = off, next = off + 1;

		err = record_next(data, len, mark, &off, &record);
		if (!err) {
			err = replay_record(r, at, &record);
		} else if (last && !record_find(data, len, mark, &next)) {
			*whole = at;
			return 0;
		} else {
			err = damaged(r, at, "a damaged record");
			off = skip(r, data, len, mark, at);
		}
		if (err == -EBADMSG && r->salvage)
			err = 0;
	}
	*whole = len;
	return err;
}

int replay_journal(struct replay *r, const uint8_t *data, size_t len,
		   uint64_t segment, bool last, struct record_file *file,
		   size_t *whole)
{
	int err;

	r->why = NULL;
	/* Its writer died before there was a header, or any record. */
	err = record_get_file(data, len, file);
	if (last && (err == -ENODATA ||
		     (err == -EBADMSG && len <= RECORD_FILE_BYTES))) {
		*whole = 0;
		return 0;
	}
	err = get_file(r, data, len, RECORD_JOURNAL, segment, file);
	if (err)
		return err;
	if (!r->next_seq)
		r->next_seq = file->first_seq;
	if (file->first_seq != r->next_seq && !r->why) {
		err = damaged(r, 0, "records before this file are missing");
		if (!r->salvage)
			return err;
	}
	return replay_records(r, data, len, file->mark, last, whole);
}
