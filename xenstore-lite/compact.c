/* SPDX-License-Identifier: MIT */
/*
 * compact.c - a journal that stays short: the next segment, and a child that
 * writes the snapshot it begins with. See journal.h.
 *
 * The child has the store as it was when it was forked, by the kernel's copy on
 * write. It ends with its parent, so that no snapshot appears out of the past;
 * it keeps the lock until then, and none of the parent's other descriptors, so
 * that a client's end is seen at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"
#include "xenstore-lite/journal.h"
#include "xenstore-lite/private.h"

/* After a failure: 1 s, 2 s, 4 s, ... */
#define RETRY_FIRST_NS	  (1 * NS_PER_S)
#define RETRY_DOUBLED_MAX 8u

static void remove_file(const struct journal *j, enum journal_name kind,
			uint64_t segment)
{
	char name[JOURNAL_NAME_MAX];

	unlinkat(j->dir_fd, journal_name(kind, segment, name), 0);
}

void journal_forget(struct journal *j, uint64_t segment)
{
	for (; j->oldest_segment < segment; j->oldest_segment++) {
		remove_file(j, JOURNAL_SNAPSHOT, j->oldest_segment);
		remove_file(j, JOURNAL_PART, j->oldest_segment);
		remove_file(j, JOURNAL_SEGMENT, j->oldest_segment);
	}
}

/* ---- the child ---------------------------------------------------------- */

static void close_all_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b);
	unsigned high = (unsigned)(a < b ? b : a);

	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

static void run_child(const struct journal *j, const struct record_file *file,
		      pid_t parent) __attribute__((noreturn));

static void run_child(const struct journal *j, const struct record_file *file,
		      pid_t parent)
{
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	close_all_but(j->dir_fd, j->lock_fd);
	err = snapshot_write(j->xsd, j->dir_fd, j->io, file);
	if (err)
		log_error("%s: cannot write snapshot.%llu: %s", j->dir,
			  (unsigned long long)file->segment, strerror(-err));
	_exit(err ? 1 : 0);
}

static void not_now(struct journal *j)
{
	unsigned doubled = j->nr_child_failures;

	if (doubled > RETRY_DOUBLED_MAX)
		doubled = RETRY_DOUBLED_MAX;
	j->nr_child_failures++;
	j->stats->nr_failed_snapshots++;
	j->compact_retry_ns = clock_now_ns() + (RETRY_FIRST_NS << doubled);
}

/* The snapshot is whole: nothing before it is needed. */
static void child_succeeded(struct journal *j)
{
	char name[JOURNAL_NAME_MAX];
	struct stat st;

	if (fstatat(j->dir_fd,
		    journal_name(JOURNAL_SNAPSHOT, j->file.segment, name), &st,
		    AT_SYMLINK_NOFOLLOW) == 0)
		j->snapshot_bytes = (uint64_t)st.st_size;
	j->behind_bytes = 0;
	j->nr_child_failures = 0;
	j->stats->nr_snapshots++;
	journal_forget(j, j->file.segment);
}

static void look_at_child(struct journal *j)
{
	int status;
	pid_t pid = waitpid(j->child, &status, WNOHANG);

	if (pid == 0)
		return;
	j->child = 0;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		child_succeeded(j);
		return;
	}
	log_warn("%s: snapshot.%llu was not finished: will try again", j->dir,
		 (unsigned long long)j->file.segment);
	not_now(j);
}

void journal_stop_child(struct journal *j)
{
	if (j->child <= 0)
		return;
	kill(j->child, SIGKILL);
	while (waitpid(j->child, NULL, 0) < 0 && errno == EINTR)
		;
	j->child = 0;
}

/* ---- the next segment --------------------------------------------------- */

/* A segment's unused room goes back to the file system with the segment. */
static void take_segment(struct journal *j, const struct record_file *file,
			 int fd, uint64_t room_bytes)
{
	if (ftruncate(j->fd, (off_t)j->file_bytes) < 0)
		log_debug("%s: room of segment %llu: %s", j->dir,
			  (unsigned long long)j->file.segment, strerror(errno));
	close(j->fd);
	j->behind_bytes += j->file_bytes;
	j->fd = fd;
	j->file = *file;
	j->file_bytes = RECORD_FILE_BYTES;
	j->room_bytes = room_bytes;
	j->stats->segment = file->segment;
	j->stats->file_bytes = j->file_bytes;
}

/* The room that was promised in this segment must be there in the next. */
static int open_next(struct journal *j, const struct record_file *file,
		     int *ret_fd, uint64_t *room_bytes)
{
	uint64_t end = RECORD_FILE_BYTES + journal_promised_bytes(j);
	int fd, err = journal_open_segment(j, file, &fd);

	if (err)
		return err;
	*room_bytes = end;
	if (j->room_bytes == UINT64_MAX) {
		*room_bytes = UINT64_MAX;
	} else if (j->io->fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)end) <
		   0) {
		err = -errno;
		close(fd);
		remove_file(j, JOURNAL_SEGMENT, file->segment);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int begin_segment(struct journal *j)
{
	struct record_file file = { .kind = RECORD_JOURNAL,
				    .segment = j->file.segment + 1,
				    .first_seq = j->next_seq };
	uint64_t room_bytes;
	pid_t parent = getpid(), pid;
	int fd = -1, err = journal_new_mark(&file.mark);

	if (!err)
		err = open_next(j, &file, &fd, &room_bytes);
	if (err)
		return err;
	pid = fork();
	if (pid == 0)
		run_child(j, &file, parent);
	if (pid < 0) {
		err = -errno;
		close(fd);
		remove_file(j, JOURNAL_SEGMENT, file.segment);
		return err;
	}
	j->child = pid;
	take_segment(j, &file, fd, room_bytes);
	return 0;
}

void journal_compact(struct journal *j)
{
	uint64_t bytes;
	int err;

	if (j->child)
		look_at_child(j);
	bytes = j->behind_bytes + j->file_bytes;
	if (j->child || bytes < j->compact_bytes ||
	    bytes < 2 * j->snapshot_bytes)
		return;
	if (j->nr_child_failures && clock_now_ns() < j->compact_retry_ns)
		return;
	err = begin_segment(j);
	if (!err)
		return;
	if (!j->nr_child_failures)
		log_warn(
			"%s: cannot begin the next segment: %s: will try again",
			j->dir, strerror(-err));
	not_now(j);
}
