/* SPDX-License-Identifier: MIT */
/*
 * fuzz_journal.c - a snapshot and a segment, replayed: whatever their bytes
 * are, the store that comes of them is one in which all counts are right.
 *
 * The first byte: bit 0 salvage, bit 1 the files are made of pieces. Without
 * pieces the rest is the snapshot's length (2 bytes) and the two files. A piece
 * becomes a record whose header is right: where (bit 7: in the segment) and
 * type (1 byte), what is wrong with it (1), length (1), payload.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/private.h"
#include "xenstore-lite/replay.h"

#define MARK 0x0123456789abcdefull

/* What can be wrong with a piece's record. */
#define WRONG_CRC 0x01u
#define WRONG_SEQ 0x02u
#define WRONG_LEN 0x04u

struct files {
	struct encoder snapshot, segment;
	uint64_t snapshot_seq, segment_seq;
};

static void has_output(void *arg)
{
	(void)arg;
}

static void begin(struct files *f)
{
	struct record_file file = { .kind = RECORD_SNAPSHOT,
				    .segment = 2,
				    .mark = MARK,
				    .first_seq = 5 };

	record_put_file(&f->snapshot, &file);
	file.kind = RECORD_JOURNAL;
	record_put_file(&f->segment, &file);
	f->snapshot_seq = 1;
	f->segment_seq = 5;
}

static void put(struct files *f, uint8_t what, uint8_t wrong,
		const uint8_t *payload, size_t len)
{
	bool later = what & 0x80;
	struct encoder *e = later ? &f->segment : &f->snapshot;
	uint64_t *seq = later ? &f->segment_seq : &f->snapshot_seq;
	enum record_type type =
		(enum record_type)((what & 0x7f) % RECORD_NR_TYPES);
	size_t at;

	*seq += wrong & WRONG_SEQ ? 3 : 0;
	at = record_begin(e, MARK, (*seq)++, type);
	enc_bytes(e, payload, len);
	if (record_end(e, at))
		abort();
	if (wrong & WRONG_CRC)
		e->data[e->len - 1] ^= 1;
	if (wrong & WRONG_LEN)
		e->data[at + 20] ^= 4;
}

static void from_pieces(struct files *f, const uint8_t *data, size_t size)
{
	begin(f);
	while (size >= 3) {
		size_t len = data[2] < size - 3 ? data[2] : size - 3;

		put(f, data[0], data[1], data + 3, len);
		data += 3 + len;
		size -= 3 + len;
	}
}

static void from_bytes(struct files *f, const uint8_t *data, size_t size)
{
	size_t len;

	if (size < 2)
		return;
	len = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (len > size)
		len = size;
	enc_bytes(&f->snapshot, data, len);
	enc_bytes(&f->segment, data + len, size - len);
}

/* As recover.c does. */
static void replay(const struct files *f, struct xsd *xsd, bool salvage)
{
	struct replay r = { .xsd = xsd, .salvage = salvage, .next_seq = 1 };
	struct record_file file;
	size_t whole;
	int err;

	err = replay_check_snapshot(&r, f->snapshot.data, f->snapshot.len, 2);
	if (err && !salvage)
		return;
	err = replay_snapshot(&r, f->snapshot.data, f->snapshot.len, 2);
	if (err && !salvage)
		return;
	err = replay_journal(&r, f->segment.data, f->segment.len, 2, true,
			     &file, &whole);
	if (!err && whole > f->segment.len)
		abort();
	/* What is kept of a segment is all there is to it. */
	if (!err && !salvage && whole > 0 && r.nr_refused)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = has_output };
	struct files f = { 0 };
	struct xsd *xsd;

	if (size < 1 || xsd_open(1, &ops, &xsd))
		return 0;
	if (data[0] & 2)
		from_pieces(&f, data + 1, size - 1);
	else
		from_bytes(&f, data + 1, size - 1);
	replay(&f, xsd, data[0] & 1);
	if (xsd_check(xsd))
		abort();
	xsd_close(xsd);
	encoder_fini(&f.snapshot);
	encoder_fini(&f.segment);
	return 0;
}
