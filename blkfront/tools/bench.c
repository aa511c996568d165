/* SPDX-License-Identifier: MIT */
/*
 * bench.c - see bench.h. Called by blkfront-bench.c on its main thread, which
 * becomes queue 0's owner; the other jobs get threads.
 *
 * With verify a block is never in flight twice: which of two writes came last
 * would be anybody's guess.
 */
#include "blkfront/tools/bench.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tools/stop.h"
#include "util/clock.h"
#include "util/list.h"
#include "util/spin.h"

/* Who has ended still polls, for others, and looks this often for their end. */
#define OTHERS_MS 20
#define BUSY	  (1u << 31) /* in gens[]: the block is in flight */

enum phase {
	PHASE_LOAD,
	PHASE_CHECK
};

struct bench {
	struct blkfront *bf;
	const struct bench_config *config;
	uint64_t deadline_ns;
	enum phase phase;
	uint32_t nr_running; /* atomic: jobs with something to do */
};

struct slot {
	struct blkfront_io io;
	struct job *job;
	struct list link; /* in job.idle */
	void *buf;
	uint64_t block; /* of the job's */
	uint64_t start_ns;
};

struct job {
	struct bench *bench;
	struct blkfront_queue *queue;
	pthread_t thread;
	bool has_thread;
	struct slot *slots;
	struct list idle;
	unsigned nr_active;
	uint64_t first_bytes; /* where its part begins */
	uint64_t nr_blocks, next_block;
	uint64_t left_blocks; /* to be issued; UINT64_MAX: no bound */
	uint64_t random;
	uint32_t *gens; /* verify: writes of each block, and BUSY */
	struct spin spin;
	int lost;
	struct bench_result result;
};

/* ---- completions ----------------------------------------------------------
 */

static void check_block(struct job *job, const struct slot *slot, uint32_t gen)
{
	const struct bench_config *c = job->bench->config;
	struct bench_result *r = &job->result;
	char why[PATTERN_WHY_MAX];

	r->nr_checked++;
	if (!pattern_check(slot->buf, c->block_bytes, slot->io.offset_bytes,
			   c->seed, gen, why))
		return;
	if (r->nr_wrong++ == 0)
		memcpy(r->first_wrong, why, sizeof(why));
}

static void record(struct job *job, const struct slot *slot, bool write)
{
	struct bench_stats *s =
		&job->result.side[write ? BENCH_WRITE : BENCH_READ];

	if (job->bench->phase != PHASE_LOAD)
		return;
	hist_record(&s->latency_ns, clock_now_ns() - slot->start_ns);
	s->nr++;
	s->bytes += slot->io.size_bytes;
}

static void slot_done(struct blkfront_io *io)
{
	struct slot *slot = container_of(io, struct slot, io);
	struct job *job = slot->job;
	bool write = io->op == BLKFRONT_WRITE;
	uint32_t gen = 0;

	list_add_head(&job->idle, &slot->link);
	job->nr_active--;
	if (job->gens) {
		job->gens[slot->block] &= ~BUSY;
		gen = job->gens[slot->block];
	}
	if (!io->result) {
		record(job, slot, write);
		if (gen && !write)
			check_block(job, slot, gen);
		return;
	}
	if (job->result.nr_errors++ == 0)
		job->result.error = io->result;
	if (gen && write)
		job->gens[slot->block] = 0; /* anything may be there */
}

/* ---- issuing --------------------------------------------------------------
 */

static uint64_t next_random(struct job *job)
{
	uint64_t x = job->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	job->random = x;
	return x * 0x2545f4914f6cdd1du >> 11;
}

static bool is_over(const struct job *job)
{
	const struct bench *b = job->bench;

	return job->left_blocks == 0 || stop_asked ||
	       (b->phase == PHASE_LOAD && b->deadline_ns &&
		clock_now_ns() >= b->deadline_ns);
}

/* The next block; with gens one that is not in flight: there are enough. */
static uint64_t choose_block(struct job *job, bool random)
{
	uint64_t block =
		random ? next_random(job) % job->nr_blocks : job->next_block;

	while (job->gens && (job->gens[block] & BUSY))
		block = (block + 1) % job->nr_blocks;
	job->next_block = (block + 1) % job->nr_blocks;
	return block;
}

static bool choose_write(struct job *job)
{
	uint32_t percent = job->bench->config->read_percent;

	if (job->bench->phase == PHASE_CHECK || percent == 100)
		return false;
	return percent == 0 || next_random(job) % 100 >= percent;
}

/* Checking reads only what was written. */
static void skip_unwritten(struct job *job)
{
	while (job->left_blocks && !job->gens[job->next_block]) {
		job->next_block = (job->next_block + 1) % job->nr_blocks;
		job->left_blocks--;
	}
}

static void issue(struct job *job)
{
	const struct bench_config *c = job->bench->config;
	struct slot *slot = container_of(job->idle.next, struct slot, link);
	bool write = choose_write(job);
	bool random = c->random && job->bench->phase == PHASE_LOAD;
	int err;

	list_del(&slot->link);
	slot->block = choose_block(job, random);
	if (job->left_blocks != UINT64_MAX)
		job->left_blocks--;
	slot->io = (struct blkfront_io){
		.op = write ? BLKFRONT_WRITE : BLKFRONT_READ,
		.offset_bytes = job->first_bytes + slot->block * c->block_bytes,
		.size_bytes = c->block_bytes,
		.buf = slot->buf,
		.done = slot_done,
	};
	if (job->gens) {
		if (write)
			pattern_fill(slot->buf, c->block_bytes,
				     slot->io.offset_bytes, c->seed,
				     ++job->gens[slot->block]);
		job->gens[slot->block] |= BUSY;
	}
	job->nr_active++;
	slot->start_ns = clock_now_ns();
	err = blkfront_queue_submit(job->queue, &slot->io);
	if (err) {
		slot->io.result = err;
		slot_done(&slot->io);
	}
}

/* ---- a job's thread -------------------------------------------------------
 */

/* Keep the queue full. False: the job has nothing in flight and ends. */
static bool refill(struct job *job)
{
	uint64_t nr_errors = job->result.nr_errors;

	while (!list_empty(&job->idle)) {
		if (job->bench->phase == PHASE_CHECK)
			skip_unwritten(job);
		if (is_over(job))
			break;
		issue(job);
		/* A disk that refuses everything must not be asked for ever. */
		if (job->result.nr_errors != nr_errors)
			job->left_blocks = 0;
	}
	blkfront_queue_kick(job->queue);
	return job->nr_active != 0;
}

static void sleep_on(struct job *job, bool ended)
{
	struct pollfd pfd = { .fd = blkfront_queue_fd(job->queue),
			      .events = POLLIN };

	if (!blkfront_queue_arm(job->queue))
		poll(&pfd, 1, ended ? OTHERS_MS : -1);
}

static void run_job(struct job *job)
{
	bool ended = false;

	for (;;) {
		int nr = blkfront_queue_poll(job->queue);

		if (nr < 0) {
			job->lost = nr;
			job->left_blocks = 0;
		}
		if (!ended && !refill(job)) {
			/* Pairs with the load below, in every thread. */
			__atomic_sub_fetch(&job->bench->nr_running, 1,
					   __ATOMIC_ACQ_REL);
			ended = true;
		}
		if (ended &&
		    (nr < 0 || !__atomic_load_n(&job->bench->nr_running,
						__ATOMIC_ACQUIRE)))
			return;
		if (nr > 0)
			spin_worked(&job->spin);
		else if (ended || !spin_again(&job->spin))
			sleep_on(job, ended);
	}
}

static void *job_main(void *arg)
{
	run_job(arg);
	return NULL;
}

/* All jobs, until the last one has ended. */
static int run_phase(struct bench *b, struct job *jobs)
{
	uint32_t nr = b->config->nr_queues;
	int err = 0;

	b->nr_running = nr;
	for (uint32_t i = 1; i < nr && !err; i++) {
		err = -pthread_create(&jobs[i].thread, NULL, job_main,
				      &jobs[i]);
		jobs[i].has_thread = !err;
		if (err) /* the others are to end: none of these will run */
			__atomic_sub_fetch(&b->nr_running, nr - i,
					   __ATOMIC_ACQ_REL);
	}
	if (err)
		jobs[0].left_blocks = 0;
	run_job(&jobs[0]);
	for (uint32_t i = 1; i < nr; i++) {
		if (jobs[i].has_thread)
			pthread_join(jobs[i].thread, NULL);
		jobs[i].has_thread = false;
	}
	for (uint32_t i = 0; i < nr && !err; i++)
		err = jobs[i].lost;
	return err;
}

/* ---- making and adding up -------------------------------------------------
 */

static int make_slots(struct job *job)
{
	const struct bench_config *c = job->bench->config;

	job->slots = calloc(c->depth, sizeof(*job->slots));
	if (!job->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->depth; i++) {
		struct slot *slot = &job->slots[i];

		slot->job = job;
		slot->buf = blkfront_buf_alloc(job->bench->bf, c->block_bytes);
		if (!slot->buf)
			return -ENOMEM;
		pattern_fill(slot->buf, c->block_bytes, 0, c->seed, 0);
		list_add_tail(&job->idle, &slot->link);
	}
	return 0;
}

static int make_job(struct bench *b, struct job *job, uint32_t nr)
{
	const struct bench_config *c = b->config;
	uint64_t per_queue = c->area_bytes / c->block_bytes / c->nr_queues;

	job->bench = b;
	job->queue = blkfront_queue(b->bf, nr);
	list_init(&job->idle);
	job->nr_blocks = per_queue;
	job->first_bytes = per_queue * nr * c->block_bytes;
	job->random = (c->seed + nr) * 0x9e3779b97f4a7c15u | 1;
	job->left_blocks =
		c->total_bytes ? c->total_bytes / c->block_bytes / c->nr_queues
			       : UINT64_MAX;
	/* With verify a free block has to be found. */
	if (per_queue < (c->verify ? c->depth + 1 : 1))
		return -EINVAL;
	if (c->verify) {
		job->gens = calloc(per_queue, sizeof(*job->gens));
		if (!job->gens)
			return -ENOMEM;
	}
	return make_slots(job);
}

static void free_jobs(struct bench *b, struct job *jobs)
{
	const struct bench_config *c = b->config;

	for (uint32_t i = 0; i < c->nr_queues; i++) {
		for (uint32_t k = 0; jobs[i].slots && k < c->depth; k++)
			blkfront_buf_free(b->bf, jobs[i].slots[k].buf,
					  c->block_bytes);
		free(jobs[i].slots);
		free(jobs[i].gens);
	}
	free(jobs);
}

static void add_up(struct bench_result *to, const struct bench_result *from)
{
	to->nr_errors += from->nr_errors;
	if (!to->error)
		to->error = from->error;
	for (unsigned i = 0; i < BENCH_SIDES; i++) {
		to->side[i].nr += from->side[i].nr;
		to->side[i].bytes += from->side[i].bytes;
		hist_merge(&to->side[i].latency_ns, &from->side[i].latency_ns);
	}
	to->nr_checked += from->nr_checked;
	if (from->nr_wrong && !to->nr_wrong)
		memcpy(to->first_wrong, from->first_wrong,
		       sizeof(to->first_wrong));
	to->nr_wrong += from->nr_wrong;
}

/* Read back every block that was written. */
static int check_all(struct bench *b, struct job *jobs)
{
	b->phase = PHASE_CHECK;
	for (uint32_t i = 0; i < b->config->nr_queues; i++) {
		jobs[i].next_block = 0;
		jobs[i].left_blocks = jobs[i].nr_blocks;
	}
	return run_phase(b, jobs);
}

int bench_run(struct blkfront *bf, const struct bench_config *config,
	      struct bench_result *ret)
{
	struct bench b = { .bf = bf, .config = config };
	struct job *jobs = calloc(config->nr_queues, sizeof(*jobs));
	uint64_t start_ns;
	int err = jobs ? 0 : -ENOMEM;

	if (err)
		return err;
	for (uint32_t i = 0; i < config->nr_queues && !err; i++)
		err = make_job(&b, &jobs[i], i);
	if (err)
		goto out;
	memset(ret, 0, sizeof(*ret));
	start_ns = clock_now_ns();
	if (config->runtime_ns)
		b.deadline_ns = start_ns + config->runtime_ns;
	err = run_phase(&b, jobs);
	ret->elapsed_ns = clock_now_ns() - start_ns;
	if (!err && config->verify)
		err = check_all(&b, jobs);
	for (uint32_t i = 0; i < config->nr_queues; i++)
		add_up(ret, &jobs[i].result);
out:
	free_jobs(&b, jobs);
	return err;
}
