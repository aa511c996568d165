/* SPDX-License-Identifier: MIT */
/*
 * copy.c - see copy.h. A block goes from step to step; an end that is a file
 * answers at once, one that is a disk later, from blkfront_poll.
 */
#include "blkfront/tools/copy.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/list.h"
#include "util/num.h"

#define PROGRESS_MS 100

enum step {
	STEP_BEGIN,  /* nothing is read yet */
	STEP_READ,   /* data has it */
	STEP_LOOKED, /* other has what the other end holds */
	STEP_END
};

struct block {
	struct blkfront_io io;
	struct copy *copy;
	struct list link; /* in copy.idle */
	uint8_t *data, *other;
	uint64_t at;
	size_t size_bytes;
	enum step step;
	bool discarded;
};

struct copy {
	const struct copy_config *config;
	struct blkfront_info to_info; /* of a disk */
	struct copy_progress *progress;
	struct block blocks[COPY_DEPTH];
	struct list idle;
	unsigned nr_active;
	uint64_t next;
	int err;
	uint64_t err_at;
};

/* ---- the two ends: 0 done, 1 under way, or -errno -------------------------
 */

static void go_on(struct block *block, int result);

static void io_done(struct blkfront_io *io)
{
	go_on(container_of(io, struct block, io), io->result);
}

static int submit(struct block *block, const struct copy_end *end,
		  enum blkfront_op op, void *buf)
{
	int err;

	block->io = (struct blkfront_io){ .op = op,
					  .offset_bytes = block->at,
					  .size_bytes = block->size_bytes,
					  .buf = buf,
					  .done = io_done };
	err = blkfront_submit(end->bf, &block->io);
	return err ? err : 1;
}

/* What is behind a file's end are zeros. */
static int read_end(struct block *block, const struct copy_end *end,
		    uint8_t *buf)
{
	size_t got = 0;

	if (end->bf)
		return submit(block, end, BLKFRONT_READ, buf);
	while (got < block->size_bytes) {
		ssize_t n = pread(end->fd, buf + got, block->size_bytes - got,
				  (off_t)(block->at + got));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	memset(buf + got, 0, block->size_bytes - got);
	return 0;
}

static int write_end(struct block *block)
{
	const struct copy_config *c = block->copy->config;
	size_t done = 0;

	block->copy->progress->written_bytes += block->size_bytes;
	if (c->to.bf && c->from.bf) {
		memcpy(block->other, block->data, block->size_bytes);
		return submit(block, &c->to, BLKFRONT_WRITE, block->other);
	}
	if (c->to.bf)
		return submit(block, &c->to, BLKFRONT_WRITE, block->data);
	while (done < block->size_bytes) {
		ssize_t n = pwrite(c->to.fd, block->data + done,
				   block->size_bytes - done,
				   (off_t)(block->at + done));

		if (n == 0)
			return -EIO;
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* ---- a block's steps ------------------------------------------------------
 */

static bool is_zero(const uint8_t *data, size_t size_bytes)
{
	return data[0] == 0 && !memcmp(data, data + 1, size_bytes - 1);
}

static int look(struct block *block)
{
	block->step = STEP_LOOKED;
	return read_end(block, &block->copy->config->to, block->other);
}

static int compare(const struct block *block)
{
	struct copy *copy = block->copy;
	size_t i = 0;

	if (!memcmp(block->data, block->other, block->size_bytes))
		return 0;
	while (block->data[i] == block->other[i])
		i++;
	if (!copy->err)
		copy->err_at = block->at + i;
	return -EILSEQ;
}

static int after_read(struct block *block)
{
	const struct copy_config *c = block->copy->config;

	if (c->compare)
		return look(block);
	if (is_zero(block->data, block->size_bytes)) {
		if (!c->to.zeroed)
			return look(block);
		block->step = STEP_END;
		return 0;
	}
	block->step = STEP_END;
	return write_end(block);
}

/* Zeros are to be where something else may be. */
static int after_look(struct block *block)
{
	struct copy *copy = block->copy;
	const struct copy_config *c = copy->config;

	if (c->compare) {
		block->step = STEP_END;
		return compare(block);
	}
	if (is_zero(block->other, block->size_bytes)) {
		if (block->discarded)
			copy->progress->discarded_bytes += block->size_bytes;
		block->step = STEP_END;
		return 0;
	}
	if (c->discard && c->to.bf && copy->to_info.discard &&
	    !block->discarded) {
		block->discarded = true;
		block->step = STEP_READ; /* look again, at what it left */
		return submit(block, &c->to, BLKFRONT_DISCARD, NULL);
	}
	block->step = STEP_END;
	return write_end(block);
}

static int take_step(struct block *block)
{
	switch (block->step) {
	case STEP_BEGIN:
		block->step = STEP_READ;
		return read_end(block, &block->copy->config->from, block->data);
	case STEP_READ: return after_read(block);
	case STEP_LOOKED: return after_look(block);
	case STEP_END: break;
	}
	return 0;
}

static void go_on(struct block *block, int result)
{
	struct copy *copy = block->copy;

	while (result == 0 && block->step != STEP_END)
		result = take_step(block);
	if (result == 1)
		return;
	if (result && !copy->err) {
		copy->err = result;
		if (result != -EILSEQ)
			copy->err_at = block->at;
	}
	if (!result)
		copy->progress->done_bytes += block->size_bytes;
	copy->nr_active--;
	list_add_tail(&copy->idle, &block->link);
}

static void begin_block(struct copy *copy)
{
	struct block *block = container_of(copy->idle.next, struct block, link);
	uint64_t left = copy->config->size_bytes - copy->next;

	list_del(&block->link);
	block->at = copy->next;
	block->size_bytes = left < COPY_BLOCK ? (size_t)left : COPY_BLOCK;
	block->step = STEP_BEGIN;
	block->discarded = false;
	copy->next += block->size_bytes;
	copy->nr_active++;
	go_on(block, 0);
}

/* ---- all of it ------------------------------------------------------------
 */

static int poll_end(const struct copy_end *end)
{
	int nr = end->bf ? blkfront_poll(end->bf) : 0;

	return nr < 0 ? nr : 0;
}

static void sleep_on_ends(const struct copy_config *c)
{
	struct pollfd pfd[] = {
		{ .fd = c->from.bf ? blkfront_fd(c->from.bf) : -1,
		  .events = POLLIN },
		{ .fd = c->to.bf ? blkfront_fd(c->to.bf) : -1,
		  .events = POLLIN },
	};
	bool busy = c->from.bf && blkfront_arm(c->from.bf);

	busy = (c->to.bf && blkfront_arm(c->to.bf)) || busy;
	if (!busy)
		poll(pfd, ARRAY_SIZE(pfd), PROGRESS_MS);
}

static int flush(const struct copy_config *c)
{
	int err;

	if (!c->to.bf)
		return fsync(c->to.fd) < 0 && errno != EINVAL ? -errno : 0;
	err = blkfront_rw_sync(c->to.bf, BLKFRONT_FLUSH, 0, NULL, 0);
	/* nothing is cached where nothing can be flushed */
	return err == -EOPNOTSUPP ? 0 : err;
}

/* When a disk is lost every io of it has ended; the other end's go on. */
static void move(struct copy *copy)
{
	const struct copy_config *c = copy->config;

	while (copy->nr_active || (copy->next < c->size_bytes && !copy->err)) {
		int err;

		while (!copy->err && copy->next < c->size_bytes &&
		       !list_empty(&copy->idle))
			begin_block(copy);
		err = poll_end(&c->from);
		err = err ? err : poll_end(&c->to);
		if (!copy->err)
			copy->err = err;
		if (!copy->err && !c->progress(c->arg, copy->progress))
			copy->err = -ECANCELED;
		if (copy->nr_active)
			sleep_on_ends(c);
	}
}

static int make_blocks(struct copy *copy)
{
	const struct copy_config *c = copy->config;
	struct blkfront *bf = c->from.bf ? c->from.bf : c->to.bf;

	for (unsigned i = 0; i < COPY_DEPTH; i++) {
		struct block *block = &copy->blocks[i];

		block->copy = copy;
		block->data = blkfront_buf_alloc(bf, COPY_BLOCK);
		block->other =
			c->to.bf ? blkfront_buf_alloc(c->to.bf, COPY_BLOCK)
				 : malloc(COPY_BLOCK);
		if (!block->data || !block->other)
			return -ENOMEM;
		list_add_tail(&copy->idle, &block->link);
	}
	return 0;
}

static void free_blocks(struct copy *copy)
{
	const struct copy_config *c = copy->config;
	struct blkfront *bf = c->from.bf ? c->from.bf : c->to.bf;

	for (unsigned i = 0; i < COPY_DEPTH; i++) {
		struct block *block = &copy->blocks[i];

		blkfront_buf_free(bf, block->data, COPY_BLOCK);
		if (c->to.bf)
			blkfront_buf_free(c->to.bf, block->other, COPY_BLOCK);
		else
			free(block->other);
	}
	free(copy);
}

int copy_run(const struct copy_config *config, struct copy_progress *ret,
	     uint64_t *where)
{
	struct copy *copy = calloc(1, sizeof(*copy));
	int err;

	memset(ret, 0, sizeof(*ret));
	*where = 0;
	if (!copy)
		return -ENOMEM;
	copy->config = config;
	copy->progress = ret;
	list_init(&copy->idle);
	if (config->to.bf)
		blkfront_info(config->to.bf, &copy->to_info);
	err = make_blocks(copy);
	if (!err) {
		move(copy);
		err = copy->err;
		*where = copy->err_at;
	}
	if (!err && !config->compare)
		err = flush(config);
	free_blocks(copy);
	return err;
}
