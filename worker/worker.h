/* SPDX-License-Identifier: MIT */
/*
 * worker.h - a data thread that runs many queues.
 *
 * A queue is a source: something to poll, that can be armed for sleep and that
 * has a descriptor to be woken by. After work the thread spins for a time that
 * tunes itself (longer while sleeps prove short, shorter while they prove long,
 * none while others want the CPU); then a source is armed and goes to sleep,
 * and only its descriptor brings it back. A thousand idle sources cost no
 * thread, no wake-up and no cycle.
 *
 * The control thread talks to a worker by worker_call: a function that runs on
 * the worker's thread between two rounds. That is the only crossing.
 *
 * Fairness: work is measured by its cost, in units (WORKER_UNIT_BYTES or less
 * of a request's data). Each round gives every active source WORKER_BUDGET
 * units. A piece of work that costs more than what is left is done all the
 * same, and the source owes the rest to later rounds: so a guest with requests
 * of 1 MiB gets no more than its neighbour with requests of 4 KiB.
 *
 * Limits: a source that has work but may not do it yet sets not_before_ns. It
 * is then asleep like one without work, but for a deadline in the thread's
 * wait. Without such a source the thread waits for descriptors only.
 *
 * Storms: a source that a peer's descriptor wakes time and again without any
 * work is woken by it less and less often; see storm.h. fd is a peer's;
 * extra_fd is our own and always heard, unless extra_is_peers.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "util/annotate.h"
#include "util/list.h"
#include "worker/storm.h"

#define WORKER_BUDGET	  64u
#define WORKER_UNIT_BYTES 4096u

/* What a piece of work with so many bytes of data costs: at least a unit. */
static inline unsigned worker_cost(uint64_t size_bytes)
{
	return size_bytes > WORKER_UNIT_BYTES
		       ? (unsigned)(size_bytes / WORKER_UNIT_BYTES)
		       : 1;
}

struct worker;
struct work_source;

struct work_source_ops {
	/*
	 * Finish what is under way, then begin new work while less than budget
	 * units were begun; return their cost, or 1 when something was only
	 * finished. budget may be 0. May remove src, must not free it.
	 */
	unsigned (*poll)(struct work_source *src, unsigned budget);
	/*
	 * About to sleep: ask the peer for an event and look once more.
	 * true = there is work after all, stay awake.
	 */
	bool (*arm)(struct work_source *src);
	/* The descriptor is readable (peer's event). Consume it: while it is
	 * readable the thread does not sleep. A hang-up is told once, then that
	 * descriptor is no longer looked at. Optional. */
	void (*event)(struct work_source *src);
};

/*
 * The owner embeds this. fd: descriptor that ends the sleep, or -1; extra_fd:
 * a second one (a storage channel's, or the peer's second), or -1. Both stay
 * the owner's.
 */
struct work_source {
	const struct work_source_ops *ops;
	int fd, extra_fd;
	bool extra_is_peers;
	/*
	 * Set by poll and arm: there is work that may not begin before then,
	 * and arm says false because of it; 0: there is none.
	 */
	uint64_t not_before_ns;
	/* the worker's: */
	struct list link;
	struct worker *worker;
	bool active;
	unsigned owed; /* units beyond the budgets so far */
	uint64_t last_work_ns;
	struct storm storm;
	bool woken;		 /* by the peer, and no work was found since */
	uint64_t muted_until_ns; /* the peer is not heard; 0: it is */
	uint64_t due_ns;	 /* on the delayed list */
};

/*
 * Start a thread named name (at most 15 bytes are shown), which takes no
 * signals but those that it raises itself. spin_max_ns: ceiling of the spin, 0
 * = never.
 */
int worker_open(const char *name, uint64_t spin_max_ns,
		struct worker **ret) PV_MUST_CHECK;
/* Stop and join; every source must have been removed. NULL is fine. */
void worker_close(struct worker *w);

/*
 * Run fn(arg) on the worker's thread and wait for its result. Called from
 * another thread, or from the worker's own (then it runs at once). Two workers
 * must not call each other.
 */
typedef int worker_fn(void *arg);
int worker_call(struct worker *w, worker_fn *fn, void *arg);

/* On the worker's thread only (inside worker_call or a source's callback). */
int worker_add(struct worker *w, struct work_source *src) PV_MUST_CHECK;
void worker_remove(struct work_source *src); /* idempotent */
/* Make a source active now (work came from elsewhere on this thread). */
void worker_wake(struct work_source *src);
/* When this round began; the time now where src has no worker. */
uint64_t worker_round_ns(const struct work_source *src);

#endif /* WORKER_WORKER_H */
