/* SPDX-License-Identifier: MIT */
/*
 * copy.c - see copy.h. A block goes from step to step; an end that is a file
 * answers at once, one that is a disk later, from blkfront_queue_poll.
 *
 * A mover is a thread with blocks of its own and a queue of each disk. While
 * one waits in a file's call the others go on. The first one is the caller's
 * thread: it owns queue 0, so it stays until all have ended.
 */
#include "blkfront/tools/copy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
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
	struct mover *mover;
	struct list link; /* in mover.idle */
	uint8_t *data, *other;
	uint64_t at;
	size_t size_bytes;
	enum step step;
	bool discarded;
};

struct mover {
	struct copy *copy;
	pthread_t thread;		  /* not the first one's */
	struct blkfront_queue *from, *to; /* NULL: a file */
	struct block blocks[COPY_DEPTH / COPY_MOVERS];
	struct list idle;
	unsigned nr_active;
};

struct copy {
	const struct copy_config *config;
	struct blkfront_info to_info;	/* of a disk */
	struct copy_progress *progress; /* atomic: its parts */
	struct mover movers[COPY_MOVERS];
	unsigned nr_moving; /* atomic: movers that have blocks to move */
	int ended_fd;	    /* readable when none has */
	uint64_t next;	    /* atomic: where no block has begun yet */
	pthread_mutex_t lock;
	int err; /* atomic; written under the lock, once */
	uint64_t err_at;
};

static void count(uint64_t *figure, uint64_t more)
{
	__atomic_add_fetch(figure, more, __ATOMIC_RELAXED);
}

static int error_of(struct copy *copy)
{
	return __atomic_load_n(&copy->err, __ATOMIC_RELAXED);
}

/* The first one counts. */
static void fail(struct copy *copy, int err, uint64_t at)
{
	pthread_mutex_lock(&copy->lock);
	if (!copy->err) {
		copy->err_at = at;
		__atomic_store_n(&copy->err, err, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&copy->lock);
}

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
	struct mover *mover = block->mover;
	int err;

	block->io = (struct blkfront_io){ .op = op,
					  .offset_bytes = block->at,
					  .size_bytes = block->size_bytes,
					  .buf = buf,
					  .done = io_done };
	err = blkfront_queue_submit(
		end == &block->copy->config->to ? mover->to : mover->from,
		&block->io);
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

	count(&block->copy->progress->written_bytes, block->size_bytes);
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
	fail(copy, -EILSEQ, block->at + i);
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
			count(&copy->progress->discarded_bytes,
			      block->size_bytes);
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
	struct mover *mover = block->mover;
	struct copy *copy = block->copy;

	while (result == 0 && block->step != STEP_END)
		result = take_step(block);
	if (result == 1)
		return;
	if (result)
		fail(copy, result, block->at);
	else
		count(&copy->progress->done_bytes, block->size_bytes);
	mover->nr_active--;
	list_add_tail(&mover->idle, &block->link);
}

/* False: there is no more to begin. */
static bool begin_block(struct mover *mover)
{
	struct copy *copy = mover->copy;
	struct block *block =
		container_of(mover->idle.next, struct block, link);
	uint64_t size_bytes = copy->config->size_bytes;
	uint64_t at =
		__atomic_fetch_add(&copy->next, COPY_BLOCK, __ATOMIC_RELAXED);

	if (at >= size_bytes)
		return false;
	list_del(&block->link);
	block->at = at;
	block->size_bytes = size_bytes - at < COPY_BLOCK
				    ? (size_t)(size_bytes - at)
				    : COPY_BLOCK;
	block->step = STEP_BEGIN;
	block->discarded = false;
	mover->nr_active++;
	go_on(block, 0);
	return true;
}

/* ---- all of it ------------------------------------------------------------
 */

/* A lost disk's ios have all ended; the other end's go on. */
static void poll_ends(struct mover *mover)
{
	int err = mover->from ? blkfront_queue_poll(mover->from) : 0;
	int to_err = mover->to ? blkfront_queue_poll(mover->to) : 0;

	if (err >= 0)
		err = to_err;
	if (err < 0)
		fail(mover->copy, err, 0);
}

static void sleep_on_ends(struct mover *mover)
{
	struct pollfd pfd[] = {
		{ .fd = mover->from ? blkfront_queue_fd(mover->from) : -1,
		  .events = POLLIN },
		{ .fd = mover->to ? blkfront_queue_fd(mover->to) : -1,
		  .events = POLLIN },
		{ .fd = mover->copy->ended_fd, .events = POLLIN },
	};
	bool busy = mover->from && blkfront_queue_arm(mover->from);

	busy = (mover->to && blkfront_queue_arm(mover->to)) || busy;
	if (!busy)
		poll(pfd, ARRAY_SIZE(pfd), PROGRESS_MS);
}

static void kick_ends(struct mover *mover)
{
	if (mover->from)
		blkfront_queue_kick(mover->from);
	if (mover->to)
		blkfront_queue_kick(mover->to);
}

static void show_progress(struct copy *copy)
{
	const struct copy_config *c = copy->config;
	struct copy_progress *p = copy->progress;
	struct copy_progress now = {
		__atomic_load_n(&p->done_bytes, __ATOMIC_RELAXED),
		__atomic_load_n(&p->written_bytes, __ATOMIC_RELAXED),
		__atomic_load_n(&p->discarded_bytes, __ATOMIC_RELAXED),
	};

	if (!error_of(copy) && !c->progress(c->arg, &now))
		fail(copy, -ECANCELED, 0);
}

/* Are there blocks to begin, or under way? */
static bool move_some(struct mover *mover)
{
	bool more = true;

	while (more && !error_of(mover->copy) && !list_empty(&mover->idle)) {
		more = begin_block(mover);
		/* What is read from a file goes on while the next one is. */
		kick_ends(mover);
	}
	poll_ends(mover);
	return mover->nr_active || (more && !error_of(mover->copy));
}

static bool is_moving(struct copy *copy)
{
	/* Pairs with end_moving(). */
	return __atomic_load_n(&copy->nr_moving, __ATOMIC_ACQUIRE);
}

/* The last one ends all: ended_fd stays readable. */
static void end_moving(struct copy *copy)
{
	uint64_t one = 1;

	/* Pairs with is_moving(). */
	if (!__atomic_sub_fetch(&copy->nr_moving, 1, __ATOMIC_ACQ_REL))
		(void)!write(copy->ended_fd, &one, sizeof(one));
}

/*
 * Until all have ended: with fewer rings than queues others' blocks may go
 * through the ring of a queue that is ours.
 */
static void *move(void *arg)
{
	struct mover *mover = arg;
	struct copy *copy = mover->copy;
	bool ended = false;

	while (is_moving(copy)) {
		bool more = move_some(mover);

		if (!more && !ended) {
			ended = true;
			end_moving(copy);
		}
		if (mover == &copy->movers[0])
			show_progress(copy);
		if (mover->nr_active || ended)
			sleep_on_ends(mover);
	}
	return NULL;
}

static void move_all(struct copy *copy)
{
	unsigned nr = 1;

	copy->nr_moving = COPY_MOVERS;
	while (nr < COPY_MOVERS &&
	       !pthread_create(&copy->movers[nr].thread, NULL, move,
			       &copy->movers[nr]))
		nr++;
	/* Those that there are do it all. */
	for (unsigned i = nr; i < COPY_MOVERS; i++)
		end_moving(copy);
	move(&copy->movers[0]);
	while (--nr > 0)
		pthread_join(copy->movers[nr].thread, NULL);
	show_progress(copy);
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

static int make_block(struct block *block, struct mover *mover)
{
	const struct copy_config *c = mover->copy->config;
	struct blkfront *bf = c->from.bf ? c->from.bf : c->to.bf;

	block->copy = mover->copy;
	block->mover = mover;
	block->data = blkfront_buf_alloc(bf, COPY_BLOCK);
	block->other = c->to.bf ? blkfront_buf_alloc(c->to.bf, COPY_BLOCK)
				: malloc(COPY_BLOCK);
	if (!block->data || !block->other)
		return -ENOMEM;
	list_add_tail(&mover->idle, &block->link);
	return 0;
}

static int make_mover(struct copy *copy, unsigned nr)
{
	const struct copy_config *c = copy->config;
	struct mover *mover = &copy->movers[nr];
	int err = 0;

	mover->copy = copy;
	list_init(&mover->idle);
	mover->from = c->from.bf ? blkfront_queue(c->from.bf, nr) : NULL;
	mover->to = c->to.bf ? blkfront_queue(c->to.bf, nr) : NULL;
	for (size_t i = 0; !err && i < ARRAY_SIZE(mover->blocks); i++)
		err = make_block(&mover->blocks[i], mover);
	return err;
}

static void free_block(struct block *block, const struct copy_config *c)
{
	struct blkfront *bf = c->from.bf ? c->from.bf : c->to.bf;

	blkfront_buf_free(bf, block->data, COPY_BLOCK);
	if (c->to.bf)
		blkfront_buf_free(c->to.bf, block->other, COPY_BLOCK);
	else
		free(block->other);
}

static void free_copy(struct copy *copy)
{
	for (unsigned nr = 0; nr < COPY_MOVERS; nr++)
		for (size_t i = 0; i < COPY_DEPTH / COPY_MOVERS; i++)
			free_block(&copy->movers[nr].blocks[i], copy->config);
	if (copy->ended_fd >= 0)
		close(copy->ended_fd);
	pthread_mutex_destroy(&copy->lock);
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
	pthread_mutex_init(&copy->lock, NULL);
	copy->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = copy->ended_fd < 0 ? -errno : 0;
	if (config->to.bf)
		blkfront_info(config->to.bf, &copy->to_info);
	for (unsigned nr = 0; !err && nr < COPY_MOVERS; nr++)
		err = make_mover(copy, nr);
	if (!err) {
		move_all(copy);
		err = copy->err;
		*where = copy->err_at;
	}
	if (!err && !config->compare)
		err = flush(config);
	free_copy(copy);
	return err;
}
