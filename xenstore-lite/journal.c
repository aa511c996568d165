/* SPDX-License-Identifier: MIT */
/* journal.c - records into the round's buffer, and that to disk. See
 * journal.h. */
#include "xenstore-lite/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"
#include "xenstore-lite/private.h"

/* Room is taken in steps of this size; when that is too much, of a page. */
#define ROOM_STEP_BYTES (1ull << 20)
#define ROOM_PAGE_BYTES 4096ull

/* Records that wait for the round's end are written before it above this. */
#define ROUND_MAX_BYTES	 (1u << 20)
#define ROUND_KEEP_BYTES (4u << 20)

#define FULL_RETRY_NS (500 * NS_PER_MS)

#define GONE_RECORD_BYTES	(RECORD_HEAD_BYTES + CHANGES_GONE_BYTES)
#define GENERATION_RECORD_BYTES (RECORD_HEAD_BYTES + sizeof(uint64_t))

const struct journal_io journal_io_system = {
	.pwrite = pwrite,
	.fallocate = fallocate,
	.fdatasync = fdatasync,
};

int journal_new_mark(uint64_t *ret)
{
	do {
		if (getrandom(ret, sizeof(*ret), 0) != (ssize_t)sizeof(*ret))
			return -errno;
	} while (*ret == 0);
	return 0;
}

int journal_write_all(const struct journal_io *io, int fd, const void *data,
		      size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = io->pwrite(fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data = (const char *)data + n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

/* ---- room --------------------------------------------------------------- */

uint64_t journal_promised_bytes(const struct journal *j)
{
	return (uint64_t)j->nr_domains * GONE_RECORD_BYTES +
	       (j->generation ? GENERATION_RECORD_BYTES : 0);
}

void journal_count_domains(struct journal *j, const struct store *store)
{
	j->nr_domains = 0;
	list_for_each(l, &store->domains.all)
		j->nr_domains +=
			container_of(l, struct xsd_domain, link)->domid != 0;
}

/* Allocate up to end. KEEP_SIZE: what was not written is not in the file. */
static int allocate(struct journal *j, uint64_t end, uint64_t step)
{
	uint64_t target = (end + step - 1) / step * step;
	int err;

	do {
		err = j->io->fallocate(j->fd, FALLOC_FL_KEEP_SIZE,
				       (off_t)j->room_bytes,
				       (off_t)(target - j->room_bytes));
	} while (err < 0 && errno == EINTR);
	if (err < 0)
		return errno == EDQUOT ? -ENOSPC : -errno;
	j->room_bytes = target;
	return 0;
}

static int take_room(struct journal *j, uint64_t end)
{
	int err = allocate(j, end, ROOM_STEP_BYTES);

	if (err == -ENOSPC)
		err = allocate(j, end, ROOM_PAGE_BYTES);
	if (err == -EOPNOTSUPP || err == -ENOSYS) {
		log_warn(
			"%s: this file system cannot reserve room: when it is full, the store waits",
			j->dir);
		j->room_bytes = UINT64_MAX;
		err = 0;
	}
	return err;
}

/* Room for what the round holds now and for what was promised. */
static int have_room(struct journal *j)
{
	uint64_t end = j->file_bytes + j->round.len + journal_promised_bytes(j);
	uint64_t now;
	int err;

	if (end <= j->room_bytes)
		return 0;
	now = clock_now_ns();
	if (j->full && now < j->full_retry_ns)
		return -ENOSPC;
	err = take_room(j, end);
	if (err && !j->full)
		log_error(
			"%s: no room for a change (%s): changes are refused until there is",
			j->dir, strerror(-err));
	else if (!err && j->full)
		log_info("%s: there is room again", j->dir);
	j->full = j->stats->full = err != 0;
	j->full_retry_ns = now + FULL_RETRY_NS;
	return err;
}

/* ---- records ------------------------------------------------------------ */

/* The first change of this process's life says where its generations begin. */
static void put_generation(struct journal *j)
{
	size_t at;

	if (!j->generation)
		return;
	at = record_begin(&j->round, j->file.mark, j->next_seq,
			  RECORD_GENERATION);
	enc_u64(&j->round, j->generation);
	if (record_end(&j->round, at) == 0) {
		j->next_seq++;
		j->generation = 0;
	}
}

struct append {
	size_t start, at;
	uint64_t seq, generation;
};

static struct append append_begin(struct journal *j, enum record_type type)
{
	struct append a = { .start = j->round.len,
			    .seq = j->next_seq,
			    .generation = j->generation };

	put_generation(j);
	a.at = record_begin(&j->round, j->file.mark, j->next_seq, type);
	return a;
}

static void append_undo(struct journal *j, const struct append *a)
{
	j->round.len = a->start;
	j->round.failed = false;
	j->next_seq = a->seq;
	j->generation = a->generation;
}

static void count_record(struct journal *j, const struct append *a)
{
	j->next_seq++;
	j->stats->nr_records++;
	j->stats->record_bytes += j->round.len - a->at;
}

static int append_end(struct journal *j, const struct append *a)
{
	int err = j->write_err ? -EIO : 0;

	if (!err)
		err = record_end(&j->round, a->at);
	/* A domain's end must find its place in memory too. */
	if (!err)
		err = encoder_reserve(&j->round, journal_promised_bytes(j));
	if (!err)
		err = have_room(j);
	if (err) {
		j->stats->nr_refused++;
		append_undo(j, a);
		return err;
	}
	count_record(j, a);
	/* What is wrong then is told to the round's flush. */
	if (j->round.len > ROUND_MAX_BYTES)
		(void)!journal_write(j);
	return 0;
}

int journal_commit(struct journal *j, const struct xsd_domain *born,
		   struct txn_node *const *dirty, size_t nr)
{
	struct append a =
		append_begin(j, born ? RECORD_DOMAIN_ADD : RECORD_COMMIT);
	int err;

	if (born) {
		enc_domain(&j->round, born);
		j->nr_domains++;
	}
	enc_commit(&j->round, dirty, nr);
	err = append_end(j, &a);
	if (err && born)
		j->nr_domains--;
	return err;
}

int journal_domain(struct journal *j, const struct xsd_domain *domain)
{
	struct append a = append_begin(j, RECORD_DOMAIN_SET);

	enc_domain(&j->round, domain);
	return append_end(j, &a);
}

int journal_specials(struct journal *j)
{
	struct append a = append_begin(j, RECORD_SPECIALS);

	enc_specials(&j->round, j->xsd);
	return append_end(j, &a);
}

void journal_domain_gone(struct journal *j, const struct xsd_domain *domain)
{
	struct append a = append_begin(j, RECORD_DOMAIN_DEL);

	enc_domain_gone(&j->round, domain);
	if (record_end(&j->round, a.at) == 0)
		count_record(j, &a);
	j->nr_domains--;
}

/* ---- writing ------------------------------------------------------------ */

/* The buffer's memory is given back when one round was very large. */
static void round_done(struct journal *j)
{
	struct encoder small = { 0 };

	j->file_bytes += j->round.len;
	j->stats->file_bytes = j->file_bytes;
	j->round.len = 0;
	if (j->round.size <= ROUND_KEEP_BYTES ||
	    encoder_reserve(&small, journal_promised_bytes(j)))
		return;
	encoder_fini(&j->round);
	j->round = small;
}

static void write_failed(struct journal *j, int err)
{
	if (!j->write_err)
		log_error("%s: cannot write the journal: %s: answers wait "
			  "until it can be written",
			  j->dir, strerror(-err));
	j->write_err = j->stats->err = j->stats->last_err = err;
	j->stats->last_err_ns = xsd_now_ns(j->xsd);
	j->write_retry_ns = clock_now_ns() + JOURNAL_RETRY_NS;
}

/*
 * After an error all is written again from the round's first byte: a failed
 * fdatasync may have dropped pages that were written before.
 */
int journal_write(struct journal *j)
{
	uint64_t start_ns;
	int err;

	if (!j->round.len)
		return 0;
	start_ns = clock_now_ns();
	if (j->write_err && start_ns < j->write_retry_ns)
		return j->write_err;
	err = journal_write_all(j->io, j->fd, j->round.data, j->round.len,
				j->file_bytes);
	if (!err && j->sync && j->io->fdatasync(j->fd) < 0)
		err = -errno;
	if (err) {
		write_failed(j, err);
		return err;
	}
	j->stats->nr_flushes++;
	hist_record(&j->stats->flush_ns, clock_now_ns() - start_ns);
	if (j->write_err)
		log_info("%s: the journal can be written again", j->dir);
	j->write_err = j->stats->err = 0;
	round_done(j);
	return 0;
}

int journal_flush(struct journal *j)
{
	int err = journal_write(j);

	if (!err)
		journal_compact(j);
	return err;
}

/* ---- files -------------------------------------------------------------- */

static const struct {
	const char *before, *after;
} names[] = {
	[JOURNAL_SEGMENT] = { "journal.", "" },
	[JOURNAL_SNAPSHOT] = { "snapshot.", "" },
	[JOURNAL_PART] = { "snapshot.", ".part" },
};

const char *journal_name(enum journal_name kind, uint64_t segment,
			 char buf[JOURNAL_NAME_MAX])
{
	snprintf(buf, JOURNAL_NAME_MAX, "%s%" PRIu64 "%s", names[kind].before,
		 segment, names[kind].after);
	return buf;
}

bool journal_name_parse(const char *name, enum journal_name *ret,
			uint64_t *segment)
{
	char digits[JOURNAL_NAME_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		size_t before = strlen(names[i].before);
		size_t after = strlen(names[i].after), len = strlen(name);

		if (len < before + after || len >= sizeof(digits) ||
		    strncmp(name, names[i].before, before) != 0 ||
		    strcmp(name + len - after, names[i].after) != 0)
			continue;
		len -= before + after;
		memcpy(digits, name + before, len);
		digits[len] = '\0';
		if (num_parse_u64(digits, UINT64_MAX - 1, segment) == 0 &&
		    *segment > 0) {
			*ret = (enum journal_name)i;
			return true;
		}
	}
	return false;
}

/* A fresh file that begins with this header. */
int journal_open_segment(struct journal *j, const struct record_file *file,
			 int *ret_fd)
{
	char name[JOURNAL_NAME_MAX];
	struct encoder e = { 0 };
	int fd, err;

	journal_name(JOURNAL_SEGMENT, file->segment, name);
	fd = openat(j->dir_fd, name,
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	record_put_file(&e, file);
	err = e.failed ? -ENOMEM
		       : journal_write_all(j->io, fd, e.data, e.len, 0);
	encoder_fini(&e);
	if (!err && j->sync && j->io->fdatasync(fd) < 0)
		err = -errno;
	/* The file's name must survive what its bytes do. */
	if (!err && j->sync && fsync(j->dir_fd) < 0)
		err = -errno;
	if (err) {
		close(fd);
		unlinkat(j->dir_fd, name, 0);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
