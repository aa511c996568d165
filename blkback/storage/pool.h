/* SPDX-License-Identifier: MIT */
/*
 * pool.h - a few threads of the worker's for calls that have to wait and have
 * no asynchronous form; shared by all channels of the process, started when
 * they are needed, ended with the last user. A data thread never waits here.
 *
 * Fence: a process is not reaped before the calls of its threads are over.
 * Logs: never.
 */
#ifndef BLKBACK_STORAGE_POOL_H
#define BLKBACK_STORAGE_POOL_H

#include "util/annotate.h"

#define POOL_THREADS_MAX 8u

/* The caller embeds it; it is the pool's until run is called. */
struct pool_job {
	struct pool_job *next;
	void (*run)(struct pool_job *job); /* on a thread of the pool's */
};

/* Control thread: hold the pool, let go of it; no job of ours is left then. */
int pool_get(void) PV_MUST_CHECK;
void pool_put(void);

/* Any thread that holds the pool. Jobs begin in this order. */
void pool_run(struct pool_job *job);

#endif /* BLKBACK_STORAGE_POOL_H */
