/* SPDX-License-Identifier: MIT */
/*
 * owner.c - the public calls on a queue: submit, kick, poll, arm.
 *
 * Decides when to look at what: the ring on every poll (memory only), event
 * channel and store only after a sleep or now and then, since that costs system
 * calls. The owner of queue 0 runs connect.c's events; the others leave notes
 * (a lie, a lost channel) for it. The work is in queue.c.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "blkfront/private.h"
#include "util/clock.h"

/*
 * A busy poller still learns of the store's events this often; it reads the
 * clock only every so many polls, since that takes as long as the rest of one.
 */
#define LOOK_NS	    (2 * NS_PER_MS)
#define CLOCK_POLLS 16u

void owner_lock(struct blkfront_queue *bq)
{
	if (bq->bf->nr_queues > 1)
		pthread_mutex_lock(&bq->lock);
}

void owner_unlock(struct blkfront_queue *bq)
{
	if (bq->bf->nr_queues > 1)
		pthread_mutex_unlock(&bq->lock);
}

void owner_wake(struct blkfront_queue *bq)
{
	uint64_t one = 1;

	/* Full means woken already. */
	(void)!write(bq->wake_fd, &one, sizeof(one));
}

/*
 * Lock the queue through whose ring bq's ios go now. Who it is may change only
 * under both queues' locks, one after the other; so ask again.
 */
static struct blkfront_queue *lock_route(struct blkfront_queue *bq)
{
	for (;;) {
		struct blkfront_queue *via;

		owner_lock(bq);
		via = bq->via;
		if (via == bq)
			return bq;
		owner_unlock(bq);
		owner_lock(via);
		if (via->via == via)
			return via;
		owner_unlock(via);
	}
}

/* ---- submitting -----------------------------------------------------------
 */

/* Is [buf, buf + size_bytes) in the region, and aligned? */
static bool owns(const struct pages *buffers, const void *buf,
		 size_t size_bytes, uint32_t align_bytes)
{
	uintptr_t start = (uintptr_t)buf, base = (uintptr_t)buffers->base;

	return start >= base && start % align_bytes == 0 &&
	       num_range_within(start - base, size_bytes, buffers->size_bytes);
}

static int check_io(const struct blkfront_queue *bq,
		    const struct blkfront_io *io)
{
	const struct blkfront_info *info = &bq->info;

	if (!cut_is_supported(&bq->q.limits, io->op))
		return -EOPNOTSUPP;
	if (io->op == BLKFRONT_FLUSH)
		return io->size_bytes ? -EINVAL : 0;
	if (io->op != BLKFRONT_READ && info->readonly)
		return -EROFS;
	if (io->size_bytes == 0 || io->size_bytes % info->sector_bytes ||
	    io->offset_bytes % info->sector_bytes ||
	    !num_range_within(io->offset_bytes, io->size_bytes,
			      info->size_bytes))
		return -EINVAL;
	if (io->op == BLKFRONT_DISCARD || io->op == BLKFRONT_SECURE_DISCARD)
		return io->buf ? -EINVAL : 0;
	return owns(&bq->q.buffers, io->buf, io->size_bytes, info->sector_bytes)
		       ? 0
		       : -EINVAL;
}

static void count_open(struct blkfront_queue *bq, int32_t change)
{
	/* Pairs with the load in is_lost(): none is open, none comes. */
	if (bq->bf->nr_queues > 1)
		__atomic_add_fetch(&bq->nr_open, change, __ATOMIC_ACQ_REL);
}

int blkfront_queue_submit(struct blkfront_queue *bq, struct blkfront_io *io)
{
	struct blkfront_queue *via = lock_route(bq);
	int err = via->refuse;

	if (!err)
		err = check_io(via, io);
	if (!err) {
		io->home = bq->nr;
		count_open(bq, 1);
		queue_submit(&via->q, io);
	}
	owner_unlock(via);
	return err;
}

void owner_push(struct blkfront_queue *bq)
{
	if (queue_push(&bq->q) && bq->evtchn)
		evtchn_notify(bq->evtchn);
}

void blkfront_queue_kick(struct blkfront_queue *bq)
{
	struct blkfront_queue *via = lock_route(bq);

	owner_push(via);
	owner_unlock(via);
}

/* ---- polling --------------------------------------------------------------
 */

void owner_reap(struct blkfront_queue *bq)
{
	const char *why = NULL;

	if (!bq->fault && queue_reap(&bq->q, &why) < 0)
		bq->fault = why;
}

static void hand_over(struct blkfront *bf, struct blkfront_io *io)
{
	struct blkfront_queue *home = &bf->queues[io->home];

	owner_lock(home);
	io_list_append(&home->q.done, io);
	owner_unlock(home);
	owner_wake(home);
}

unsigned owner_run_done(struct blkfront_queue *bq)
{
	struct blkfront_io *io;
	struct io_list done;
	unsigned nr = 0;

	/* Only what is there now: callbacks that submit cannot hold us here. */
	io_list_init(&done);
	owner_lock(bq);
	io_list_move(&done, &bq->q.done);
	owner_unlock(bq);
	while ((io = io_list_pop(&done))) {
		if (io->home != bq->nr) {
			hand_over(bq->bf, io);
			continue;
		}
		count_open(bq, -1);
		io->done(io);
		nr++;
	}
	return nr;
}

/* What an owner other than queue 0's learns from its descriptors. */
static void look(struct blkfront_queue *bq)
{
	uint64_t count;

	(void)!read(bq->wake_fd, &count, sizeof(count));
	owner_lock(bq);
	if (bq->evtchn && !bq->cut_off && evtchn_clear(bq->evtchn) == -EPIPE) {
		epoll_ctl(bq->epoll_fd, EPOLL_CTL_DEL, evtchn_fd(bq->evtchn),
			  NULL);
		bq->cut_off = true;
	}
	owner_unlock(bq);
}

/* Reap; tell queue 0's owner of what it has to act on. */
static void reap(struct blkfront_queue *bq)
{
	bool tell;

	owner_lock(bq);
	owner_reap(bq);
	tell = bq->fault || bq->cut_off || (bq->refuse && queue_idle(&bq->q));
	tell = tell && !bq->lost;
	owner_unlock(bq);
	if (!tell)
		return;
	if (bq->nr == 0)
		bq->armed = true;
	else
		owner_wake(&bq->bf->queues[0]);
}

/* Is the disk lost, and every io of the queue completed? */
static int is_lost(struct blkfront_queue *bq)
{
	int err;

	owner_lock(bq);
	err = bq->lost;
	owner_unlock(bq);
	if (!err)
		return 0;
	while (owner_run_done(bq))
		;
	/* Another owner may have one to hand over yet: it will wake us. Pairs
	 * with count_open(). */
	return __atomic_load_n(&bq->nr_open, __ATOMIC_ACQUIRE) ? 0 : err;
}

static bool is_look_due(struct blkfront_queue *bq)
{
	if (bq->armed)
		return true;
	if (++bq->nr_polls % CLOCK_POLLS)
		return false;
	return clock_now_ns() >= bq->next_look_ns;
}

int blkfront_queue_poll(struct blkfront_queue *bq)
{
	unsigned nr;
	int err;

	reap(bq);
	if (is_look_due(bq)) {
		bq->armed = false;
		bq->next_look_ns = clock_now_ns() + LOOK_NS;
		if (bq->nr == 0)
			connect_events(bq->bf);
		else
			look(bq);
		reap(bq);
	}
	nr = owner_run_done(bq);
	err = is_lost(bq);
	if (err)
		return err;
	blkfront_queue_kick(bq);
	return (int)nr;
}

bool blkfront_queue_arm(struct blkfront_queue *bq)
{
	struct blkfront *bf = bq->bf;
	bool busy;

	bq->armed = true;
	owner_lock(bq);
	busy = bq->lost || queue_arm(&bq->q);
	owner_unlock(bq);
	if (busy || bq->nr != 0)
		return busy;
	return !bf->store_gone && xs_pending(bf->xs);
}

int blkfront_queue_fd(const struct blkfront_queue *bq)
{
	return bq->epoll_fd;
}

struct blkfront_queue *blkfront_queue(struct blkfront *bf, uint32_t nr)
{
	return nr < bf->nr_queues ? &bf->queues[nr] : NULL;
}

/* ---- queue 0's, for programs of one thread --------------------------------
 */

int blkfront_submit(struct blkfront *bf, struct blkfront_io *io)
{
	return blkfront_queue_submit(&bf->queues[0], io);
}

void blkfront_kick(struct blkfront *bf)
{
	blkfront_queue_kick(&bf->queues[0]);
}

int blkfront_poll(struct blkfront *bf)
{
	return blkfront_queue_poll(&bf->queues[0]);
}

int blkfront_fd(const struct blkfront *bf)
{
	return blkfront_queue_fd(&bf->queues[0]);
}

bool blkfront_arm(struct blkfront *bf)
{
	return blkfront_queue_arm(&bf->queues[0]);
}

struct sync_io {
	struct blkfront_io io;
	bool done;
};

static void sync_done(struct blkfront_io *io)
{
	container_of(io, struct sync_io, io)->done = true;
}

int blkfront_rw_sync(struct blkfront *bf, enum blkfront_op op,
		     uint64_t offset_bytes, void *buf, size_t size_bytes)
{
	struct sync_io sync = { .io = { .op = op,
					.offset_bytes = offset_bytes,
					.size_bytes = size_bytes,
					.buf = buf,
					.done = sync_done } };
	int err = blkfront_submit(bf, &sync.io);

	if (err)
		return err;
	blkfront_kick(bf);
	for (;;) {
		struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };

		blkfront_poll(bf);
		if (sync.done) {
			spin_worked(&bf->spin);
			return sync.io.result;
		}
		if (!spin_again(&bf->spin) && !blkfront_arm(bf))
			poll(&pfd, 1, -1);
	}
}
