/* SPDX-License-Identifier: MIT */
/*
 * recover.c - a directory's files made a store again: the newest whole
 * snapshot, then the segments from there on. See journal.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/log.h"
#include "util/num.h"
#include "xenstore-lite/private.h"
#include "xenstore-lite/recover.h"
#include "xenstore-lite/replay.h"

/* Generations that a dead process may have shown are not shown again. */
#define GENERATION_SKIP (1ull << 32)

/* Times that a file of one name can be put aside. */
#define ASIDE_MAX 1000u

struct numbers {
	uint64_t *all;
	size_t nr;
};

struct mapped {
	uint8_t *data;
	size_t len;
	char name[JOURNAL_NAME_MAX];
};

struct recovery {
	struct journal *j;
	struct replay replay;
	struct numbers segments, snapshots; /* ascending */
	bool damaged;
	/* of the segment that was read last: bytes to keep, and to cut */
	size_t whole, cut;
};

/* ---- what is there ------------------------------------------------------ */

static int add_number(struct numbers *n, uint64_t value)
{
	uint64_t *all;

	if (n->nr % 64 == 0) {
		all = reallocarray(n->all, n->nr + 64, sizeof(*all));
		if (!all)
			return -ENOMEM;
		n->all = all;
	}
	n->all[n->nr++] = value;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int add_file(struct recovery *rec, const char *name)
{
	enum journal_name kind;
	uint64_t segment;

	if (!journal_name_parse(name, &kind, &segment))
		return 0;
	switch (kind) {
	case JOURNAL_SEGMENT: return add_number(&rec->segments, segment);
	case JOURNAL_SNAPSHOT: return add_number(&rec->snapshots, segment);
	case JOURNAL_PART: break;
	}
	/* Nobody will ever finish it. */
	unlinkat(rec->j->dir_fd, name, 0);
	return 0;
}

static int list_files(struct recovery *rec)
{
	int err = 0, fd = openat(rec->j->dir_fd, ".", O_RDONLY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir)))
		err = add_file(rec, entry->d_name);
	closedir(dir);
	if (rec->segments.nr)
		qsort(rec->segments.all, rec->segments.nr, sizeof(uint64_t),
		      by_number);
	if (rec->snapshots.nr)
		qsort(rec->snapshots.all, rec->snapshots.nr, sizeof(uint64_t),
		      by_number);
	return err;
}

/* ---- a file as bytes ---------------------------------------------------- */

static int map_file(const struct recovery *rec, enum journal_name kind,
		    uint64_t segment, struct mapped *ret)
{
	struct stat st;
	int fd;

	memset(ret, 0, sizeof(*ret));
	fd = openat(rec->j->dir_fd, journal_name(kind, segment, ret->name),
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EIO;
	}
	ret->len = (size_t)st.st_size;
	if (ret->len) {
		void *data = mmap(NULL, ret->len, PROT_READ,
				  MAP_PRIVATE | MAP_POPULATE, fd, 0);

		if (data == MAP_FAILED) {
			close(fd);
			return -errno;
		}
		ret->data = data;
	}
	close(fd);
	return 0;
}

static void unmap(struct mapped *m)
{
	if (m->data)
		munmap(m->data, m->len);
	m->data = NULL;
}

/* One line for what is damaged, and what can be done. */
static int complain(const struct recovery *rec, const char *name, int err)
{
	const struct replay *r = &rec->replay;

	if (err == -EPROTONOSUPPORT)
		log_error("%s/%s: written by another version of this program",
			  rec->j->dir, name);
	else if (err == -EBADMSG)
		log_error(
			"%s/%s: damaged at offset %zu (%s), and what follows is not: --salvage keeps what can be read and puts the files aside",
			rec->j->dir, name, r->offset, r->why);
	else
		log_error("%s/%s: %s", rec->j->dir, name, strerror(-err));
	return err;
}

/* ---- the snapshot ------------------------------------------------------- */

/*
 * The newest one that is whole. Without any, the newest of all when salvaging;
 * else 0: from nothing.
 */
static int choose_snapshot(struct recovery *rec, uint64_t *ret)
{
	const struct numbers *n = &rec->snapshots;
	int err = 0;

	*ret = 0;
	for (size_t i = n->nr; i > 0; i--) {
		struct mapped m;

		err = map_file(rec, JOURNAL_SNAPSHOT, n->all[i - 1], &m);
		if (err)
			return complain(rec, m.name, err);
		err = replay_check_snapshot(&rec->replay, m.data, m.len,
					    n->all[i - 1]);
		unmap(&m);
		if (!err) {
			*ret = n->all[i - 1];
			return 0;
		}
		if (err != -EBADMSG || (i == 1 && !rec->replay.salvage))
			return complain(rec, m.name, err);
		log_warn("%s/%s: damaged at offset %zu (%s)", rec->j->dir,
			 m.name, rec->replay.offset, rec->replay.why);
		rec->damaged = true;
	}
	if (n->nr)
		*ret = n->all[n->nr - 1];
	return 0;
}

static int load_snapshot(struct recovery *rec, uint64_t segment)
{
	struct mapped m;
	int err = map_file(rec, JOURNAL_SNAPSHOT, segment, &m);

	if (!err) {
		err = replay_snapshot(&rec->replay, m.data, m.len, segment);
		rec->j->snapshot_bytes = m.len;
		unmap(&m);
	}
	if (err == -EBADMSG && rec->replay.salvage)
		return 0;
	return err ? complain(rec, m.name, err) : 0;
}

/* ---- the segments ------------------------------------------------------- */

static int load_segment(struct recovery *rec, uint64_t segment, bool last)
{
	struct replay *r = &rec->replay;
	struct mapped m;
	int err = map_file(rec, JOURNAL_SEGMENT, segment, &m);

	rec->whole = m.len;
	if (!err) {
		err = replay_journal(r, m.data, m.len, segment, last,
				     &rec->j->file, &rec->whole);
		rec->cut = m.len - rec->whole;
		if (!last)
			rec->j->behind_bytes += m.len;
		unmap(&m);
	}
	if (err && !(r->salvage && err == -EBADMSG))
		return complain(rec, m.name, err);
	if (r->why) {
		log_warn("%s/%s: damaged at offset %zu (%s)", rec->j->dir,
			 m.name, r->offset, r->why);
		rec->damaged = true;
	} else if (rec->cut) {
		log_warn("%s/%s: its last %zu bytes were never finished: cut",
			 rec->j->dir, m.name, rec->cut);
	}
	return 0;
}

static int load_segments(struct recovery *rec, uint64_t first)
{
	const struct numbers *n = &rec->segments;
	int err = 0;

	if (rec->snapshots.nr && (!n->nr || n->all[n->nr - 1] < first)) {
		log_error("%s: journal.%" PRIu64 " is missing%s", rec->j->dir,
			  first, rec->replay.salvage ? "" : ": see --salvage");
		rec->damaged = true;
		return rec->replay.salvage ? 0 : -EBADMSG;
	}
	for (size_t i = 0; i < n->nr && !err; i++)
		if (n->all[i] >= first)
			err = load_segment(rec, n->all[i], i + 1 == n->nr);
	return err;
}

/* ---- and on from there -------------------------------------------------- */

static uint64_t last_segment(const struct recovery *rec)
{
	const struct numbers *s = &rec->segments, *n = &rec->snapshots;
	uint64_t last = s->nr ? s->all[s->nr - 1] : 0;

	if (n->nr && n->all[n->nr - 1] > last)
		last = n->all[n->nr - 1];
	return last;
}

/* A new segment from the beginning, in a new file. */
static int start_segment(struct recovery *rec, uint64_t segment)
{
	struct journal *j = rec->j;
	int err;

	j->file = (struct record_file){ .kind = RECORD_JOURNAL,
					.segment = segment,
					.first_seq = rec->replay.next_seq };
	err = journal_new_mark(&j->file.mark);
	if (!err)
		err = journal_open_segment(j, &j->file, &j->fd);
	j->file_bytes = RECORD_FILE_BYTES;
	return err;
}

static int continue_segment(struct recovery *rec)
{
	char name[JOURNAL_NAME_MAX];
	struct journal *j = rec->j;

	journal_name(JOURNAL_SEGMENT, j->file.segment, name);
	j->fd = openat(j->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0)
		return -errno;
	if (rec->cut && ftruncate(j->fd, (off_t)rec->whole) < 0)
		return -errno;
	j->file_bytes = rec->whole;
	return 0;
}

/* Files of segments before this one go. */
static void forget_before(struct recovery *rec, uint64_t segment)
{
	char name[JOURNAL_NAME_MAX];

	for (size_t i = 0; i < rec->segments.nr; i++)
		if (rec->segments.all[i] < segment)
			unlinkat(rec->j->dir_fd,
				 journal_name(JOURNAL_SEGMENT,
					      rec->segments.all[i], name),
				 0);
	for (size_t i = 0; i < rec->snapshots.nr; i++)
		if (rec->snapshots.all[i] < segment)
			unlinkat(rec->j->dir_fd,
				 journal_name(JOURNAL_SNAPSHOT,
					      rec->snapshots.all[i], name),
				 0);
}

/* A second name, "NAME.damaged" or "NAME.damaged.2", .... */
static int link_aside(struct recovery *rec, enum journal_name kind,
		      uint64_t segment)
{
	char name[JOURNAL_NAME_MAX], aside[JOURNAL_NAME_MAX + 24];

	journal_name(kind, segment, name);
	snprintf(aside, sizeof(aside), "%s.damaged", name);
	for (unsigned i = 2;
	     linkat(rec->j->dir_fd, name, rec->j->dir_fd, aside, 0) < 0; i++) {
		if (errno != EEXIST || i > ASIDE_MAX)
			return -errno;
		snprintf(aside, sizeof(aside), "%s.damaged.%u", name, i);
	}
	return 0;
}

/* Before anything is written anew, so that nothing is ever without a name. */
static int put_aside(struct recovery *rec)
{
	int err = 0;

	for (size_t i = 0; i < rec->segments.nr && !err; i++)
		err = link_aside(rec, JOURNAL_SEGMENT, rec->segments.all[i]);
	for (size_t i = 0; i < rec->snapshots.nr && !err; i++)
		err = link_aside(rec, JOURNAL_SNAPSHOT, rec->snapshots.all[i]);
	return err;
}

static int start_anew(struct recovery *rec)
{
	struct record_file file = { .kind = RECORD_JOURNAL,
				    .segment = last_segment(rec) + 1,
				    .first_seq = rec->replay.next_seq };
	int err = put_aside(rec);

	if (!err)
		err = snapshot_write(rec->replay.xsd, rec->j->dir_fd,
				     rec->j->io, &file);
	if (!err)
		err = start_segment(rec, file.segment);
	if (err) {
		log_error("%s: cannot salvage: %s", rec->j->dir,
			  strerror(-err));
		return err;
	}
	forget_before(rec, file.segment);
	rec->j->behind_bytes = 0;
	log_warn("%s: salvaged: %" PRIu64 " records kept, %" PRIu64
		 " missing, %" PRIu64 " that no longer fit, %" PRIu64
		 " bytes unreadable; the damaged files are aside",
		 rec->j->dir, rec->replay.nr_applied, rec->replay.nr_missing,
		 rec->replay.nr_refused, rec->replay.lost_bytes);
	return 0;
}

static int go_on(struct recovery *rec)
{
	struct store *store = &rec->replay.xsd->store;
	bool fresh = !rec->segments.nr && !rec->snapshots.nr;
	struct journal *j = rec->j;
	int err;

	if (!rec->replay.next_seq)
		rec->replay.next_seq = 1;
	if (!fresh) {
		j->generation = store->last_generation + GENERATION_SKIP;
		store->last_generation = j->generation;
	}
	journal_count_domains(j, store);
	if (rec->damaged && rec->replay.salvage)
		err = start_anew(rec);
	else if (fresh || rec->whole == 0)
		err = start_segment(rec, fresh ? 1 : last_segment(rec));
	else
		err = continue_segment(rec);
	if (err && !rec->replay.salvage)
		log_error("%s: cannot go on with the journal: %s", j->dir,
			  strerror(-err));
	if (err)
		return err;
	j->next_seq = rec->replay.next_seq;
	j->room_bytes = j->file_bytes;
	return encoder_reserve(&j->round, journal_promised_bytes(j));
}

int recover(struct journal *j, struct xsd *xsd, bool salvage)
{
	struct recovery rec = {
		.j = j,
		.replay = { .xsd = xsd, .salvage = salvage, .next_seq = 1 }
	};
	uint64_t base = 0;
	int err = list_files(&rec);

	if (!err)
		err = choose_snapshot(&rec, &base);
	if (!err && base)
		err = load_snapshot(&rec, base);
	if (!err)
		err = load_segments(&rec, base ? base : 1);
	if (!err && xsd_check(xsd)) {
		log_error("%s: what was read does not add up", j->dir);
		err = -EBADMSG;
	}
	if (!err)
		err = go_on(&rec);
	if (!err) {
		forget_before(&rec, base);
		j->oldest_segment = base ? base : 1;
	}
	free(rec.segments.all);
	free(rec.snapshots.all);
	return err;
}
