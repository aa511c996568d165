/* SPDX-License-Identifier: MIT */
/* journal_open.c - a journal's directory: taken, left, removed. See
 * journal.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"
#include "xenstore-lite/journal.h"
#include "xenstore-lite/private.h"
#include "xenstore-lite/recover.h"

/* How long a dead process's child may take to let go of the lock. */
#define LOCK_WAIT_NS (2 * NS_PER_S)

static int lock_dir(struct journal *j)
{
	const struct timespec pause = { .tv_nsec = (long)NS_PER_MS };
	uint64_t deadline_ns = clock_now_ns() + LOCK_WAIT_NS;

	j->lock_fd = openat(j->dir_fd, JOURNAL_LOCK,
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lock_fd < 0)
		return -errno;
	while (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_now_ns() >= deadline_ns)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int open_dir(struct journal *j)
{
	j->made_dir = mkdir(j->dir, 0700) == 0;
	if (!j->made_dir && errno != EEXIST)
		return -errno;
	j->dir_fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir_fd < 0)
		return -errno;
	return lock_dir(j);
}

/* Unless something is in it that is not ours to remove. */
static void remove_dir(struct journal *j)
{
	unlinkat(j->dir_fd, JOURNAL_LOCK, 0);
	rmdir(j->dir);
}

static void free_journal(struct journal *j)
{
	j->stats->on = false;
	if (j->fd >= 0)
		close(j->fd);
	if (j->dir_fd >= 0)
		close(j->dir_fd);
	/* Last: from here on the directory may be another's. */
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	encoder_fini(&j->round);
	free(j->dir);
	free(j);
}

int journal_open(struct xsd *xsd, const struct journal_options *options,
		 struct journal **ret)
{
	struct journal *j = calloc(1, sizeof(*j));
	int err;

	if (!j)
		return -ENOMEM;
	j->xsd = xsd;
	j->stats = &xsd->stats.journal;
	j->fd = j->dir_fd = j->lock_fd = -1;
	j->sync = options->sync;
	j->io = options->io ? options->io : &journal_io_system;
	j->compact_bytes = options->compact_bytes ? options->compact_bytes
						  : JOURNAL_COMPACT_BYTES;
	j->dir = strdup(options->dir);
	err = j->dir ? open_dir(j) : -ENOMEM;
	if (err)
		log_error("%s: cannot take the journal's directory: %s",
			  options->dir, strerror(-err));
	else
		err = recover(j, xsd, options->salvage);
	if (err) {
		if (j->made_dir)
			remove_dir(j);
		free_journal(j);
		return err;
	}
	j->stats->on = true;
	j->stats->segment = j->file.segment;
	j->stats->file_bytes = j->file_bytes;
	*ret = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	journal_stop_child(j);
	free_journal(j);
}

void journal_erase(struct journal *j)
{
	enum journal_name kind;
	struct dirent *entry;
	uint64_t segment;
	DIR *dir;

	journal_stop_child(j);
	dir = opendir(j->dir);
	while (dir && (entry = readdir(dir)))
		if (journal_name_parse(entry->d_name, &kind, &segment))
			unlinkat(j->dir_fd, entry->d_name, 0);
	if (dir)
		closedir(dir);
	/* What salvage put aside stays, and the directory with it. */
	remove_dir(j);
	free_journal(j);
}
