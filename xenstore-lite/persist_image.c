/* SPDX-License-Identifier: MIT */
/* persist_image.c - where the journal stands, in the live-update image. See
 * persist.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/persist.h"
#include "xenstore-lite/private.h"

void persist_fds(const struct xsd *xsd, int fds[PERSIST_NR_FDS])
{
	const struct journal *j = xsd->store.journal;

	fds[0] = j ? j->dir_fd : -1;
	fds[1] = j ? j->lock_fd : -1;
	fds[2] = j ? j->fd : -1;
}

void persist_save(const struct xsd *xsd, struct encoder *e)
{
	const struct journal *j = xsd->store.journal;

	enc_u8(e, j != NULL);
	if (!j)
		return;
	enc_text(e, j->dir, strlen(j->dir));
	enc_u32(e, (uint32_t)j->dir_fd);
	enc_u32(e, (uint32_t)j->lock_fd);
	enc_u32(e, (uint32_t)j->fd);
	enc_u8(e, j->sync);
	enc_u64(e, j->file.segment);
	enc_u64(e, j->file.mark);
	enc_u64(e, j->file.first_seq);
	enc_u64(e, j->next_seq);
	enc_u64(e, j->file_bytes);
	enc_u64(e, j->room_bytes);
	enc_u64(e, j->generation);
	enc_u64(e, j->oldest_segment);
	enc_u64(e, j->compact_bytes);
	enc_u64(e, j->snapshot_bytes);
	enc_u64(e, j->behind_bytes);
	enc_u32(e, (uint32_t)j->child);
	enc_u32(e, j->nr_child_failures);
	enc_u64(e, j->compact_retry_ns);
}

static int adopt(struct decoder *d)
{
	uint32_t fd = dec_u32(d);

	d->bad |= fd > INT32_MAX;
	return d->bad ? -1 : (int)fd;
}

/* Everything but what has to be opened or allocated. */
static void get(struct decoder *d, struct journal *j, char dir[PATH_MAX])
{
	size_t len;
	const char *text = dec_text(d, PATH_MAX - 1, &len);

	if (!text || memchr(text, '\0', len)) {
		d->bad = true;
		return;
	}
	memcpy(dir, text, len);
	dir[len] = '\0';
	j->dir_fd = adopt(d);
	j->lock_fd = adopt(d);
	j->fd = adopt(d);
	j->sync = dec_bool(d);
	j->file.kind = RECORD_JOURNAL;
	j->file.segment = dec_u64(d);
	j->file.mark = dec_u64(d);
	j->file.first_seq = dec_u64(d);
	j->next_seq = dec_u64(d);
	j->file_bytes = dec_u64(d);
	j->room_bytes = dec_u64(d);
	j->generation = dec_u64(d);
	j->oldest_segment = dec_u64(d);
	j->compact_bytes = dec_u64(d);
	j->snapshot_bytes = dec_u64(d);
	j->behind_bytes = dec_u64(d);
	j->child = (pid_t)dec_u32(d);
	j->nr_child_failures = dec_u32(d);
	j->compact_retry_ns = dec_u64(d);
	d->bad |= j->child < 0 || !j->file.mark || !j->file.segment ||
		  j->file_bytes < RECORD_FILE_BYTES ||
		  j->room_bytes < j->file_bytes ||
		  j->oldest_segment > j->file.segment;
}

int persist_check_image(struct decoder *d)
{
	struct journal j = { 0 };
	char dir[PATH_MAX];

	if (dec_bool(d))
		get(d, &j, dir);
	return d->bad ? -EBADMSG : 0;
}

static int keep_to_ourselves(const struct journal *j)
{
	const int fds[] = { j->dir_fd, j->lock_fd, j->fd };

	for (unsigned i = 0; i < 3; i++)
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
	return 0;
}

static int attach(struct xsd *xsd, struct journal *j, const char *dir)
{
	int err;

	j->xsd = xsd;
	j->io = &journal_io_system;
	j->dir = strdup(dir);
	if (!j->dir)
		return -ENOMEM;
	journal_count_domains(j, &xsd->store);
	err = encoder_reserve(&j->round, journal_promised_bytes(j));
	if (!err)
		err = keep_to_ourselves(j);
	if (err) {
		encoder_fini(&j->round);
		free(j->dir);
		return err;
	}
	j->stats = &xsd->stats.journal;
	j->stats->on = true;
	j->stats->segment = j->file.segment;
	j->stats->file_bytes = j->file_bytes;
	xsd->store.journal = j;
	return 0;
}

int persist_restore(struct xsd *xsd, struct decoder *d)
{
	struct journal *j;
	char dir[PATH_MAX];
	int err;

	if (!dec_bool(d))
		return d->bad ? -EBADMSG : 0;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	get(d, j, dir);
	err = d->bad ? -EBADMSG : attach(xsd, j, dir);
	if (err)
		free(j);
	return err;
}
