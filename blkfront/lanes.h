/* SPDX-License-Identifier: MIT */
/*
 * lanes.h - a blkfront for programs whose threads each wait for their own
 * request, as those of a server with a pool of threads do.
 *
 *	waiter_init(&w, lane)
 *	submit to lane->queue, kick it; done calls waiter_end(&w, result)
 *	result = waiter_wait(&w)
 *
 * A lane is a queue of the blkfront's. Of the threads that wait at a lane one
 * leads: it owns the queue (blkfront.h), polls it for a time that tunes itself
 * (util/spin.h), then sleeps on its descriptor. The others sleep until their
 * requests are done or until the leader, whose own is, lets one of them lead.
 * So a lone request costs no wake-up while polling pays, and one otherwise.
 *
 * Lanes where nobody waits are the keeper's, a thread of ours: it sees what
 * befalls the connection. A thread that has a request takes the lane from it
 * while it sleeps; it takes a lane back that nobody led for LANES_REST_NS. It
 * sleeps without a limit once all are its own.
 *
 * Neighbours: bytes.h. Calls blkfront.h only. Thread: any, but for
 * lanes_init, _start and _fini. Logs: never.
 */
#ifndef BLKFRONT_LANES_H
#define BLKFRONT_LANES_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "blkfront/blkfront.h"
#include "util/annotate.h"
#include "util/list.h"
#include "util/spin.h"

#define LANES_REST_NS (10 * NS_PER_MS)

struct lanes;
struct waiter;

struct lane {
	struct blkfront_queue *queue;
	/* ours: */
	struct lanes *lanes;
	struct spin spin;     /* the leader's, like the queue */
	int wake_fd;	      /* somebody else ended the leader's request */
	pthread_mutex_t lock; /* for what follows */
	struct waiter *leader;
	struct list waiting; /* waiters that sleep */
	bool kept, asleep;   /* by the keeper; which sleeps on it */
	uint64_t nr_led;     /* how often it got a leader */
	uint64_t seen_led;   /* the keeper's: at its last look */
};

/* On the stack of the thread that waits. */
struct waiter {
	struct lane *lane;
	/* ours: */
	struct list link;
	sem_t woken;
	int result;
	bool done; /* atomic: the leader looks without the lock */
};

struct lanes {
	/* The disk is lost for good; on the keeper's thread, its last deed. */
	void (*lost)(void *arg, int err);
	void *arg;
	/* ours: */
	struct blkfront *bf;
	struct lane lane[BLKFRONT_QUEUES_MAX];
	uint32_t nr, next;
	pthread_t keeper;
	bool started, stop;
	int wake_fd; /* the keeper's */
};

/*
 * nr: as many queues as the blkfront was opened with, at least two: only then
 * may several threads be in it. lost and arg are set by the caller afterwards.
 */
int lanes_init(struct lanes *lanes, struct blkfront *bf,
	       uint32_t nr) PV_MUST_CHECK;
/* Start the keeper; before the first waiter. */
int lanes_start(struct lanes *lanes) PV_MUST_CHECK;
/* Nobody waits any more. Before blkfront_close; fine after a failed init. */
void lanes_fini(struct lanes *lanes);

/* The next lane in turn, of those that have a ring of their own now. */
struct lane *lanes_next(struct lanes *lanes);

void waiter_init(struct waiter *w, struct lane *lane);
/* The request is over: any thread, once. w may be gone when this returns. */
void waiter_end(struct waiter *w, int result);
/* Returns the result; w is over. */
int waiter_wait(struct waiter *w);

#endif /* BLKFRONT_LANES_H */
