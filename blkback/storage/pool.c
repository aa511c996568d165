/* SPDX-License-Identifier: MIT */
/* pool.c - threads for calls that wait: see pool.h. aio.c calls. */
#include "blkback/storage/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* All of it is lock's, but for users, which is the control thread's. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t threads[POOL_THREADS_MAX];
	unsigned nr_threads, nr_idle, nr_jobs;
	unsigned users;
	bool ending;
	struct pool_job *first, **last;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.last = &pool.first,
};

static struct pool_job *take(void)
{
	struct pool_job *job = pool.first;

	pool.first = job->next;
	if (!pool.first)
		pool.last = &pool.first;
	pool.nr_jobs--;
	return job;
}

static void *serve(void *arg)
{
	pthread_mutex_lock(&pool.lock);
	while (!pool.ending) {
		struct pool_job *job;

		if (!pool.first) {
			pool.nr_idle++;
			pthread_cond_wait(&pool.changed, &pool.lock);
			pool.nr_idle--;
			continue;
		}
		job = take();
		pthread_mutex_unlock(&pool.lock);
		job->run(job);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
	return arg;
}

/* Signals are the control thread's. */
static int start_thread(void)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&pool.threads[pool.nr_threads], NULL, serve,
			      NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pool.nr_threads++;
	return err;
}

int pool_get(void)
{
	int err = 0;

	pthread_mutex_lock(&pool.lock);
	/* The first at once: without any, a job would never be done. */
	if (!pool.nr_threads)
		err = start_thread();
	if (!err)
		pool.users++;
	pthread_mutex_unlock(&pool.lock);
	return err;
}

void pool_put(void)
{
	pthread_mutex_lock(&pool.lock);
	if (--pool.users) {
		pthread_mutex_unlock(&pool.lock);
		return;
	}
	pool.ending = true;
	pthread_cond_broadcast(&pool.changed);
	pthread_mutex_unlock(&pool.lock);
	for (unsigned i = 0; i < pool.nr_threads; i++)
		pthread_join(pool.threads[i], NULL);
	pool.nr_threads = 0;
	pool.ending = false;
}

void pool_run(struct pool_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool.lock);
	*pool.last = job;
	pool.last = &job->next;
	if (++pool.nr_jobs > pool.nr_idle && pool.nr_threads < POOL_THREADS_MAX)
		start_thread(); /* else those that there are do it */
	pthread_cond_signal(&pool.changed);
	pthread_mutex_unlock(&pool.lock);
}
