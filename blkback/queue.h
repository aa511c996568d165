/* SPDX-License-Identifier: MIT */
/*
 * queue.h - one ring of a disk: pulls requests, has them carried out, answers.
 *
 * A queue is a source of a data thread: ring, pending array, grant cache and
 * storage channel are that thread's alone while it runs. The control thread
 * makes it (blkback_queue_open), starts and stops it, and frees it. What a
 * guest can send ends here in one of two ways: the request is answered with an
 * error, or, when the ring itself is impossible or the frontend is gone, the
 * queue stops, says so once (config.event_fd), and lets other disks go on.
 *
 * Logs: never. Allocates: in blkback_queue_open only.
 */
#ifndef BLKBACK_QUEUE_H
#define BLKBACK_QUEUE_H

#include "blkback/account.h"
#include "blkback/inflight.h"
#include "blkback/limit.h"
#include "blkback/storage.h"
#include "platform/platform.h"
#include "worker/worker.h"

struct blkback_queue;

struct blkback_queue_config {
	struct platform *platform;
	struct inflight *inflight; /* outlives the queue; has the parameters */
	struct storage *storage;   /* outlives the queue */
	bool resume; /* go on where the record ends; else from the beginning */
	/*
	 * An eventfd, the caller's: written when the queue has faulted, when it
	 * has stopped, and when pages begin to be kept. -1: nobody waits.
	 */
	int event_fd;
};

/*
 * Control thread. Map the ring, bind the channel, open the storage channel.
 * Errors: platform_map's and platform_evtchn_bind's, -ENOMEM, -EPROTO the
 * record does not fit the ring, the storage driver's.
 */
int blkback_queue_open(const struct blkback_queue_config *config,
		       struct blkback_queue **ret) PV_MUST_CHECK;
/*
 * Control thread; the queue was never started or has stopped, its worker is
 * still open. keep: leave the event channel bound for a successor. NULL is
 * fine.
 */
void blkback_queue_close(struct blkback_queue *q, bool keep);

/* To be kept for a successor before the queue is started, or -1. */
int blkback_queue_fence_fd(const struct blkback_queue *q);

/* Control thread: run on w, first of all what a predecessor left unanswered. */
int blkback_queue_start(struct blkback_queue *q,
			struct worker *w) PV_MUST_CHECK;
/*
 * Control thread: consume nothing more. 0: nothing is in flight, the queue has
 * left its worker. -EINPROGRESS: it will have when event_fd says so and
 * blkback_queue_stopped() is true.
 */
int blkback_queue_stop(struct blkback_queue *q) PV_MUST_CHECK;
/*
 * Control thread, after blkback_queue_stop() because the device ends (not when
 * the process does, whose successor waits on): what waits for a server that is
 * away ends with an error.
 */
void blkback_queue_give_up(struct blkback_queue *q);
bool blkback_queue_stopped(const struct blkback_queue *q);

/*
 * 0, or why the queue stopped by itself: -EPROTO the frontend's producer index
 * is impossible, -EPIPE the frontend is gone. Any thread.
 */
int blkback_queue_fault(const struct blkback_queue *q);

/*
 * Pages of the frontend's stay mapped between requests, and nobody but the
 * owner of these calls unmaps them. cached: there may be some; event_fd is
 * written when that becomes true. expire: control thread, the queue runs; one
 * step of the idle clock, see grant_cache_expire().
 */
bool blkback_queue_cached(const struct blkback_queue *q);
void blkback_queue_expire(struct blkback_queue *q);

/*
 * Control thread; before the queue is started, or while it runs: then it looks
 * again at once, so this is also for a limiter whose rates have changed. The
 * limiters outlive the queue or are replaced first.
 */
void blkback_queue_set_limiters(struct blkback_queue *q,
				const struct limiter_pair *limiters);

struct blkback_queue_stats {
	uint64_t nr_reads, nr_writes, nr_flushes, nr_discards;
	uint64_t nr_indirect; /* requests that were such, of any kind */
	uint64_t nr_errors;   /* answered with anything but OKAY */
	uint64_t nr_recovered;
};
/* The data thread's; any thread's while the queue does not run. */
const struct blkback_queue_stats *
blkback_queue_stats(const struct blkback_queue *q);

/* What it did so far, added to to. Any thread but one that closes it. */
void blkback_queue_account(const struct blkback_queue *q, struct account *to);

/*
 * A caller that has no worker/ thread drives the source itself: begin once,
 * then its poll, arm and event.
 */
struct work_source *blkback_queue_source(struct blkback_queue *q);
void blkback_queue_begin(struct blkback_queue *q);

#endif /* BLKBACK_QUEUE_H */
