/* SPDX-License-Identifier: MIT */
/*
 * journal.h - the file that remembers every change before anybody hears of it.
 *
 *	journal_commit, ...	a record into the round's buffer  (journal.c)
 *	journal_flush		one write of all of them
 *	journal_compact		a new segment, a snapshot         (compact.c)
 *	journal_open		what there was, made again        (recover.c)
 *
 * A change is recorded before it is made, and only if there is room for it on
 * disk: room is allocated ahead, so that the write itself does not run out of
 * it. Answers wait for journal_flush. Appending costs what the change costs,
 * whatever the size of the store.
 *
 * DIR holds journal.K, the changes of segment K in order, and snapshot.K, the
 * whole store as it was when segment K began. A snapshot is written by a forked
 * child, which nobody waits for; what is older than it goes when it is whole.
 *
 * Thread: the store's. Logs: what keeps it from writing, once, and the end of
 * that; snapshots that fail; what recovery has to say.
 */
#ifndef XENSTORE_LITE_JOURNAL_H
#define XENSTORE_LITE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/annotate.h"
#include "xenstore-lite/changes.h"

/* How the disk is reached; a test puts its own in place. As the system calls:
 * -1 and errno. */
struct journal_io {
	ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t off);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	int (*fdatasync)(int fd);
};

struct journal_options {
	const char *dir; /* made when it is missing */
	bool sync;	 /* fdatasync before each round's answers */
	bool salvage;	 /* keep what can be read of damaged files */
	const struct journal_io *io; /* NULL: the system's */
	uint64_t compact_bytes;	     /* 0: JOURNAL_COMPACT_BYTES */
};

/* A segment is ended when all since the last snapshot are this long, and twice
 * as long as it. */
#define JOURNAL_COMPACT_BYTES (16ull << 20)

struct stats_journal;

struct journal {
	const struct xsd *xsd;
	struct stats_journal *stats;
	const struct journal_io *io;
	char *dir; /* for the log */
	int dir_fd, lock_fd, fd;
	bool sync;
	bool made_dir; /* by us: it goes again if that was in vain */

	/* the segment that is written */
	struct record_file file;
	uint64_t next_seq;
	uint64_t file_bytes;
	uint64_t room_bytes;  /* allocated, from the file's beginning */
	struct encoder round; /* records that are not written yet */
	uint32_t nr_domains;  /* whose end has its room already */
	uint64_t generation;  /* to record before the first change; or 0 */

	/* what is wrong */
	int write_err;
	uint64_t write_retry_ns;
	bool full;
	uint64_t full_retry_ns;

	/* compaction */
	uint64_t oldest_segment; /* that is still there */
	uint64_t compact_bytes, snapshot_bytes;
	uint64_t behind_bytes; /* of earlier segments since that snapshot */
	pid_t child;	       /* writes the snapshot of file.segment; or 0 */
	uint32_t nr_child_failures;
	uint64_t compact_retry_ns;
};

/*
 * Make the store of dir again in xsd, which is fresh, and go on recording its
 * changes. -EBUSY another process has it; -EBADMSG damaged (logged);
 * -EPROTONOSUPPORT of another version; -ENOMEM; or why the disk fails.
 */
int journal_open(struct xsd *xsd, const struct journal_options *options,
		 struct journal **ret) PV_MUST_CHECK;
/* Nothing more is recorded. The files stay; what was not flushed is lost. */
void journal_close(struct journal *j); /* NULL is fine */
/* The same, and the files go. */
void journal_erase(struct journal *j);

/*
 * Record, or refuse: -ENOSPC no room, and nothing was recorded; -EIO the disk
 * does not take what was recorded before; -E2BIG; -ENOMEM.
 * journal_commit: born is a domain that begins with it, or NULL.
 */
int journal_commit(struct journal *j, const struct xsd_domain *born,
		   struct txn_node *const *dirty, size_t nr) PV_MUST_CHECK;
int journal_domain(struct journal *j,
		   const struct xsd_domain *domain) PV_MUST_CHECK;
int journal_specials(struct journal *j) PV_MUST_CHECK;
/* Its room was taken when the domain began: cannot fail. */
void journal_domain_gone(struct journal *j, const struct xsd_domain *domain);

/*
 * Write what was recorded; before that is done nothing that depends on it may
 * leave the process. -errno: try again in JOURNAL_RETRY_NS (calls before that
 * return at once).
 */
#define JOURNAL_RETRY_NS (100ull * 1000 * 1000)
int journal_flush(struct journal *j) PV_MUST_CHECK;
/* The same, but the files stay as they are: no segment is ended. */
int journal_write(struct journal *j) PV_MUST_CHECK;

/* ---- inside the journal ------------------------------------------------- */

extern const struct journal_io journal_io_system;

#define JOURNAL_LOCK	 "lock"
#define JOURNAL_NAME_MAX 48

enum journal_name {
	JOURNAL_SEGMENT,  /* journal.K */
	JOURNAL_SNAPSHOT, /* snapshot.K */
	JOURNAL_PART,	  /* snapshot.K.part, while it is written */
};
const char *journal_name(enum journal_name kind, uint64_t segment,
			 char buf[JOURNAL_NAME_MAX]);
/* What a file's name says; false: it is none of ours. */
bool journal_name_parse(const char *name, enum journal_name *ret,
			uint64_t *segment);

int journal_open_segment(struct journal *j, const struct record_file *file,
			 int *ret_fd) PV_MUST_CHECK;
/* The domains whose end must find its room; and how much room that is. */
void journal_count_domains(struct journal *j, const struct store *store);
uint64_t journal_promised_bytes(const struct journal *j);
int journal_write_all(const struct journal_io *io, int fd, const void *data,
		      size_t len, uint64_t off) PV_MUST_CHECK;
int journal_new_mark(uint64_t *ret) PV_MUST_CHECK;

/* Called after each flush that succeeded. */
void journal_compact(struct journal *j);
/* Remove files of segments before segment. */
void journal_forget(struct journal *j, uint64_t segment);
/* Kill the child, if there is one, and wait for its end. */
void journal_stop_child(struct journal *j);

/* Write snapshot.K whole, K and the sequence number being file's. */
int snapshot_write(const struct xsd *xsd, int dir_fd,
		   const struct journal_io *io,
		   const struct record_file *file) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_JOURNAL_H */
