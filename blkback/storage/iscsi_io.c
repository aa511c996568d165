/* SPDX-License-Identifier: MIT */
/*
 * iscsi_io.c - one io as SCSI commands: READ(16) and WRITE(16) straight into
 * and from the guest's memory, as many as the LUN's longest transfer asks for;
 * SYNCHRONIZE CACHE(10) over all of it; UNMAP in steps.
 *
 * A command's error reaches the io that it was of. An end of the session
 * reaches none: link.c issues them again.
 */
#include "blkback/storage/iscsi.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"

#define BUSY_PAUSE_NS (100 * NS_PER_MS)

static struct iscsi_channel *channel_of(struct link *l)
{
	return container_of(l, struct iscsi_channel, link);
}

/* A short read would show the guest what was in its memory before. */
static int check_residual(const struct storage_io *io,
			  const struct scsi_task *task)
{
	bool has_data = io->op == STORAGE_READ || io->op == STORAGE_WRITE;

	return has_data && task->residual_status == SCSI_RESIDUAL_UNDERFLOW &&
			       task->residual
		       ? -EIO
		       : 0;
}

static void part_done(struct iscsi_context *ctx, int status, void *data,
		      void *arg)
{
	struct link_slot *s = arg;
	struct iscsi_channel *c = channel_of(s->owner);
	struct scsi_task *task = data;
	enum iscsi_end end;
	int err;

	(void)ctx;
	if (c->link.lost)
		goto out;
	end = iscsi_session_judge(status, task, &err);
	c->size_changed |= end == ISCSI_END_SIZE;
	switch (end) {
	case ISCSI_END_DONE:
		if (!err)
			err = check_residual(s->io, task);
		link_part_done(s, err);
		break;
	case ISCSI_END_SIZE:
	case ISCSI_END_RETRY: link_part_again(s, -EIO, 0); break;
	case ISCSI_END_LATER: link_part_again(s, -EBUSY, BUSY_PAUSE_NS); break;
	case ISCSI_END_SESSION: c->link.lost = true; break;
	}
out:
	scsi_free_scsi_task(task);
}

/* Takes task over; NULL: there was no memory for it. */
static void issue_task(struct iscsi_channel *c, struct link_slot *s,
		       struct scsi_task *task)
{
	s->nr_parts++;
	if (task && iscsi_scsi_command_async(c->session.ctx,
					     (int)c->session.target->lun, task,
					     part_done, NULL, s) == 0)
		return;
	if (task)
		scsi_free_scsi_task(task);
	if (iscsi_is_logged_in(c->session.ctx))
		link_part_done(s, -ENOMEM);
	else
		c->link.lost = true;
}

/* What libiscsi calls a vector is one, by its promise. */
static struct scsi_iovec *vector_of(const struct storage_io *io)
{
	_Static_assert(sizeof(struct scsi_iovec) == sizeof(struct iovec) &&
			       offsetof(struct scsi_iovec, iov_len) ==
				       offsetof(struct iovec, iov_len),
		       "libiscsi's vectors are readv's");
	return (struct scsi_iovec *)(void *)io->iov;
}

static int add_slice(struct scsi_task *task, bool is_read, void *base,
		     size_t size_bytes)
{
	return is_read ? scsi_task_add_data_in_buffer(task, (int)size_bytes,
						      base)
		       : scsi_task_add_data_out_buffer(task, (int)size_bytes,
						       base);
}

/* The io's memory from from on. */
static int set_memory(struct scsi_task *task, const struct storage_io *io,
		      uint64_t from, uint64_t size_bytes)
{
	bool is_read = io->op == STORAGE_READ;

	if (size_bytes == io->size_bytes) {
		if (is_read)
			scsi_task_set_iov_in(task, vector_of(io),
					     (int)io->nr_iov);
		else
			scsi_task_set_iov_out(task, vector_of(io),
					      (int)io->nr_iov);
		return 0;
	}
	for (unsigned i = 0; i < io->nr_iov && size_bytes; i++) {
		char *base = io->iov[i].iov_base;
		uint64_t len = io->iov[i].iov_len;

		if (from >= len) {
			from -= len;
			continue;
		}
		len = len - from < size_bytes ? len - from : size_bytes;
		if (add_slice(task, is_read, base + from, len))
			return -ENOMEM;
		size_bytes -= len;
		from = 0;
	}
	return 0;
}

static struct scsi_task *transfer(const struct iscsi_channel *c,
				  const struct storage_io *io, uint64_t from,
				  uint64_t size_bytes)
{
	const uint32_t sector = c->session.seen.sector_bytes;
	uint64_t lba = (io->offset_bytes + from) / sector;
	struct scsi_task *task;

	if (io->op == STORAGE_READ)
		task = scsi_cdb_read16(lba, (uint32_t)size_bytes, (int)sector,
				       0, 0, 0, 0, 0);
	else
		task = scsi_cdb_write16(lba, (uint32_t)size_bytes, (int)sector,
					0, 0, 0, 0, 0);
	if (task && set_memory(task, io, from, size_bytes)) {
		scsi_free_scsi_task(task);
		task = NULL;
	}
	return task;
}

static void issue_transfers(struct iscsi_channel *c, struct link_slot *s)
{
	const struct storage_io *io = s->io;
	const uint64_t max = c->session.seen.max_bytes;

	for (uint64_t at = 0; at < io->size_bytes && !c->link.lost;) {
		uint64_t n = io->size_bytes - at;

		if (n > max)
			n = max;
		issue_task(c, s, transfer(c, io, at, n));
		at += n;
	}
}

static void issue_flush(struct iscsi_channel *c, struct link_slot *s)
{
	/* A LUN without a volatile cache has nothing to flush. */
	if (c->session.seen.can_flush)
		issue_task(c, s, scsi_cdb_synchronizecache10(0, 0, 0, 0));
}

static void issue_unmap(struct iscsi_channel *c, struct link_slot *s)
{
	const struct iscsi_seen *seen = &c->session.seen;
	const struct storage_io *io = s->io;
	uint64_t left = (io->size_bytes - io->done_bytes) / seen->sector_bytes;
	struct unmap_list range = {
		.lba = (io->offset_bytes + io->done_bytes) / seen->sector_bytes,
		.num = left < seen->max_unmap_sectors ? (uint32_t)left
						      : seen->max_unmap_sectors,
	};

	s->step_bytes = (uint64_t)range.num * seen->sector_bytes;
	s->nr_parts++;
	if (iscsi_unmap_task(c->session.ctx, (int)c->session.target->lun, 0, 0,
			     &range, 1, part_done, s))
		return;
	if (iscsi_is_logged_in(c->session.ctx))
		link_part_done(s, -ENOMEM);
	else
		c->link.lost = true;
}

void iscsi_io_issue(struct link *l, struct link_slot *s)
{
	struct iscsi_channel *c = channel_of(l);

	switch (s->io->op) {
	case STORAGE_READ:
	case STORAGE_WRITE: issue_transfers(c, s); break;
	case STORAGE_FLUSH: issue_flush(c, s); break;
	case STORAGE_DISCARD: issue_unmap(c, s); break;
	}
}
