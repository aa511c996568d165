/* SPDX-License-Identifier: MIT */
/*
 * blk_recovery.c - a worker dies at every single instruction.
 *
 * A child process runs a queue over memory that we share with it, and we trace
 * it one instruction at a time. Whenever an instruction changed anything that
 * outlives the child (ring, guest's pages, disk, in-flight record) we take a
 * copy, let a successor go on from there, and look at it as the frontend: every
 * request is answered exactly once, what was written is on the disk, what was
 * read is right. From some of these states the successor itself is traced in
 * the same way, and dies at each of its instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blkback/queue.h"
#include "ring/ring.h"
#include "tests/sim/arena_platform.h"
#include "tests/unit/unit.h"

#define HANDLE	     51712u
#define NR_REQUESTS  48u
#define BATCH	     6u
#define NR_ROUNDS    (NR_REQUESTS / 2) /* a round answers two */
#define NR_PAGES     (NR_REQUESTS / 8)
#define DISK_SECTORS (2 * NR_REQUESTS)
#define NESTED_EVERY 307u /* a prime: no rhythm with the requests */

/*
 * ThreadSanitizer multiplies the instructions beyond patience and, with one
 * thread, has nothing to find: under it the worker dies between rounds only.
 */
#if defined(__SANITIZE_THREAD__)
#define EVERY_INSTRUCTION 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EVERY_INSTRUCTION 0
#endif
#endif
#ifndef EVERY_INSTRUCTION
#define EVERY_INSTRUCTION 1
#endif

enum kind {
	KIND_WRITE,
	KIND_READ,
	KIND_FLUSH,
	KIND_BAD,
	NR_KINDS
};

/* All that a worker's death leaves, but for the record. */
struct arena {
	uint8_t ring[PV_PAGE_SIZE];
	uint8_t pages[NR_PAGES][PV_PAGE_SIZE];
	uint8_t disk[DISK_SECTORS][512];
} __attribute__((aligned(PV_PAGE_SIZE)));

/* The frontend's memory: never touched by the backend. */
struct front {
	struct ring_front ring;
	uint32_t nr_issued;
	bool answered[NR_REQUESTS];
	unsigned nr_wrong;
};

/* ---- a storage over an arena --------------------------------
 */

/*
 * Carries out one at a time and never in the ring's order: the newest first,
 * successors the other way round.
 */
struct slow_disk {
	struct storage storage;
	struct storage_channel channel;
	struct arena *arena;
	struct storage_io *stack[64];
	unsigned nr;
	bool oldest_first;
};

static struct slow_disk *disk_of(struct storage_channel *ch)
{
	return (struct slow_disk *)ch->st;
}

static int slow_channel_open(struct storage *st, unsigned depth,
			     struct storage_channel **ret)
{
	struct slow_disk *d = (struct slow_disk *)st;

	(void)depth;
	d->channel.st = st;
	*ret = &d->channel;
	return 0;
}

static void slow_channel_close(struct storage_channel *ch)
{
	(void)ch;
}

static int slow_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct slow_disk *d = disk_of(ch);

	d->stack[d->nr++] = io;
	return 0;
}

static bool slow_flush(struct storage_channel *ch)
{
	(void)ch;
	return true;
}

static unsigned slow_poll(struct storage_channel *ch)
{
	struct slow_disk *d = disk_of(ch);
	struct storage_io *io;
	uint8_t *at;

	if (!d->nr)
		return 0;
	io = d->stack[d->oldest_first ? 0 : d->nr - 1];
	d->nr--;
	if (d->oldest_first)
		memmove(d->stack, d->stack + 1, d->nr * sizeof(void *));
	at = d->arena->disk[0] + io->offset_bytes;
	for (unsigned i = 0; i < io->nr_iov; i++) {
		if (io->op == STORAGE_WRITE)
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		else
			memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	io->result = 0;
	io->done(io);
	return 1;
}

static int slow_no_fd(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

static const struct storage_ops slow_ops = {
	.name = "slow",
	.channel_open = slow_channel_open,
	.channel_close = slow_channel_close,
	.submit = slow_submit,
	.flush = slow_flush,
	.poll = slow_poll,
	.wait_fd = slow_no_fd,
	.fence_fd = slow_no_fd,
};

/* ---- the backend
 * ------------------------------------------------------------- */

struct backend {
	struct arena_platform platform;
	struct slow_disk disk;
	struct blkback_queue *queue;
};

static int backend_open(struct backend *b, struct arena *arena,
			struct inflight *record, bool resume)
{
	struct blkback_queue_config config = {
		.platform = &b->platform.platform,
		.inflight = record,
		.storage = &b->disk.storage,
		.resume = resume,
		.event_fd = -1,
	};

	memset(b, 0, sizeof(*b));
	b->platform.platform.ops = &arena_ops;
	b->platform.base = arena->ring;
	b->platform.nr_pages = 1 + NR_PAGES;
	b->disk.arena = arena;
	b->disk.oldest_first = resume;
	storage_init(&b->disk.storage, &slow_ops,
		     &(struct storage_desc){ .size_bytes = DISK_SECTORS * 512,
					     .sector_bytes = 512 });
	return blkback_queue_open(&config, &b->queue);
}

static unsigned backend_poll(struct backend *b)
{
	struct work_source *src = blkback_queue_source(b->queue);

	return src->ops->poll(src, WORKER_BUDGET);
}

static void backend_finish(struct backend *b)
{
	while (backend_poll(b))
		continue;
}

/* ---- the frontend
 * ------------------------------------------------------------- */

static uint8_t pattern(uint32_t id, size_t i)
{
	return (uint8_t)(id * 37 + i * 5 + (i >> 3) + 1);
}

static uint8_t *sector_of(struct arena *arena, uint32_t id)
{
	return arena->pages[id / 8] + (id % 8) * 512;
}

static void front_issue(struct front *f, struct arena *arena, uint32_t nr)
{
	for (; nr; nr--) {
		uint32_t id = f->nr_issued++;
		struct blkif_request req = {
			.nr_segments = 1,
			.id = id,
			.sector_number = id,
			.seg[0] = { .gref = ARENA_REF + 1 + id / 8,
				    .first_sect = id % 8,
				    .last_sect = id % 8 },
		};

		switch ((enum kind)(id * 7 % NR_KINDS)) {
		case KIND_WRITE:
			req.operation = BLKIF_OP_WRITE;
			for (size_t i = 0; i < 512; i++)
				sector_of(arena, id)[i] = pattern(id, i);
			break;
		case KIND_READ:
			req.operation = BLKIF_OP_READ;
			req.sector_number = NR_REQUESTS + id;
			break;
		case KIND_FLUSH:
			req.operation = BLKIF_OP_FLUSH_DISKCACHE;
			req.nr_segments = 0;
			break;
		case KIND_BAD:
		case NR_KINDS: req.operation = 99; break;
		}
		ring_front_put(&f->ring, &req, sizeof(req));
	}
	if (ring_front_push(&f->ring))
		return;
}

static bool data_right(struct arena *arena, uint32_t id)
{
	uint8_t *at = sector_of(arena, id);
	enum kind kind = id * 7 % NR_KINDS;

	if (kind == KIND_WRITE)
		at = arena->disk[id];
	if (kind != KIND_WRITE && kind != KIND_READ)
		return true;
	for (size_t i = 0; i < 512; i++)
		if (at[i] != pattern(id, i))
			return false;
	return true;
}

/* Take the responses there are. */
static void front_collect(struct front *f, struct arena *arena)
{
	while (ring_front_pending(&f->ring) > 0) {
		struct blkif_response rsp;
		bool bad;

		ring_front_get(&f->ring, &rsp, sizeof(rsp));
		if (rsp.id >= f->nr_issued || f->answered[rsp.id]) {
			f->nr_wrong++; /* unknown, or answered twice */
			continue;
		}
		bad = rsp.id * 7 % NR_KINDS == KIND_BAD;
		f->answered[rsp.id] = true;
		f->nr_wrong += rsp.status !=
			       (bad ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_OKAY);
		f->nr_wrong += !data_right(arena, (uint32_t)rsp.id);
	}
	f->nr_wrong += f->ring.broken;
}

/* ---- states
 * -------------------------------------------------------------------- */

struct state {
	struct arena *arena; /* shared with the traced child */
	int record_fd;
	uint8_t *record;
	size_t record_bytes;
	struct front front;
};

static unsigned nr_steps, nr_states, nr_nested, nr_wrong;

static int state_map(struct state *s)
{
	struct stat st;

	s->arena = mmap(NULL, sizeof(*s->arena), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->arena == MAP_FAILED || fstat(s->record_fd, &st))
		return -ENOMEM;
	s->record_bytes = (size_t)st.st_size;
	s->record = mmap(NULL, s->record_bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED, s->record_fd, 0);
	return s->record == MAP_FAILED ? -ENOMEM : 0;
}

static void state_fini(struct state *s)
{
	munmap(s->arena, sizeof(*s->arena));
	munmap(s->record, s->record_bytes);
	close(s->record_fd);
}

static int state_make(struct state *s)
{
	struct inflight_params params = {
		.domid = ARENA_DOMID,
		.handle = HANDLE,
		.nr_queues = 1,
		.ring_refs = { ARENA_REF },
		.evtchn_port = 1,
		.features = INFLIGHT_PERSISTENT,
	};
	struct inflight *record;

	memset(s, 0, sizeof(*s));
	if (inflight_create(&params, &record))
		return -ENOMEM;
	s->record_fd = dup(inflight_fd(record));
	inflight_close(record);
	if (state_map(s))
		return -ENOMEM;
	for (uint32_t id = 0; id < NR_REQUESTS; id++)
		for (size_t i = 0; i < 512; i++)
			s->arena->disk[NR_REQUESTS + id][i] = pattern(id, i);
	ring_front_init(&s->front.ring, shared_of(s->arena->ring), PV_PAGE_SIZE,
			sizeof(struct blkif_request));
	return 0;
}

/* A copy that nobody else has: what a successor finds. */
static int state_copy(const struct state *from, struct state *to)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	*to = *from;
	to->record_fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to->record_fd < 0 ||
	    ftruncate(to->record_fd, (off_t)from->record_bytes) ||
	    fcntl(to->record_fd, F_ADD_SEALS, seals) || state_map(to))
		return -ENOMEM;
	memcpy(to->arena, from->arena, sizeof(*to->arena));
	memcpy(to->record, from->record, from->record_bytes);
	to->front.ring.shared =
		(struct ring_header PV_SHARED *)shared_of(to->arena->ring);
	return 0;
}

static int resume(struct state *s, struct backend *b, struct inflight **record)
{
	int err = inflight_attach(dup(s->record_fd), ARENA_DOMID, HANDLE, 0,
				  record);

	return err ? err : backend_open(b, s->arena, *record, true);
}

/*
 * A successor does nr_rounds (0: all) of what there is, then is gone, between
 * two rounds. Returns whether it could begin.
 */
static bool succeed(struct state *s, unsigned nr_rounds)
{
	struct inflight *record;
	struct backend b;

	if (resume(s, &b, &record))
		return false;
	blkback_queue_begin(b.queue);
	for (unsigned i = 0; i < nr_rounds; i++)
		backend_poll(&b);
	if (!nr_rounds)
		backend_finish(&b);
	blkback_queue_close(b.queue, true);
	inflight_close(record);
	return true;
}

/* Three generations go on from a copy of s: is all well in the end? */
static void verify(const struct state *s)
{
	struct state copy;
	struct front *f = &copy.front;

	nr_states++;
	if (state_copy(s, &copy)) {
		nr_wrong++;
		return;
	}
	for (unsigned rounds = 3; rounds-- > 0;) {
		nr_wrong += !succeed(&copy, rounds);
		front_collect(f, copy.arena);
		if (rounds && f->nr_issued < NR_REQUESTS &&
		    ring_front_free(&f->ring) >= BATCH)
			front_issue(f, copy.arena, BATCH);
	}
	nr_wrong += f->nr_wrong;
	for (uint32_t id = 0; id < f->nr_issued; id++)
		nr_wrong += !f->answered[id] || !data_right(copy.arena, id);
	state_fini(&copy);
}

/* ---- tracing
 * --------------------------------------------------------------------- */

/* The traced child: a worker from the start, handing over after each round. */
static void child_first(struct state *s)
{
	struct inflight *record;
	struct backend b;

	if (inflight_attach(dup(s->record_fd), ARENA_DOMID, HANDLE, 0,
			    &record) ||
	    backend_open(&b, s->arena, record, false))
		_exit(1);
	raise(SIGSTOP);
	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		backend_poll(&b);
		raise(SIGSTOP);
	}
	backend_finish(&b);
	_exit(0);
}

/* The traced child: a successor. */
static void child_successor(struct state *s)
{
	struct inflight *record;
	struct backend b;
	if (resume(s, &b, &record))
		_exit(1);
	blkback_queue_begin(b.queue);
	backend_finish(&b);
	_exit(0);
}

/* The next stop of pid: its signal, or -1 when it ended (*ret: how). */
static int next_stop(pid_t pid, enum __ptrace_request request, int *ret)
{
	if (ptrace(request, pid, NULL, NULL) || waitpid(pid, ret, 0) != pid)
		return -1;
	return WIFSTOPPED(*ret) ? WSTOPSIG(*ret) : -1;
}

static bool changed(const struct state *s, const struct state *last)
{
	return memcmp(s->arena, last->arena, sizeof(*s->arena)) != 0 ||
	       memcmp(s->record, last->record, s->record_bytes) != 0;
}

static void explore(struct state *s, bool nested);

/* The child has just carried out one instruction. */
static void look(struct state *s, struct state *last, bool nested)
{
	struct state copy;

	nr_steps++;
	if (!changed(s, last))
		return;
	memcpy(last->arena, s->arena, sizeof(*s->arena));
	memcpy(last->record, s->record, s->record_bytes);
	verify(s);
	if (nested || nr_states % NESTED_EVERY)
		return;
	if (state_copy(s, &copy)) {
		nr_wrong++;
		return;
	}
	nr_nested++;
	explore(&copy, true);
	state_fini(&copy);
}

static void handed_over(struct state *s)
{
	front_collect(&s->front, s->arena);
	nr_wrong += s->front.nr_wrong;
	if (s->front.nr_issued < NR_REQUESTS &&
	    ring_front_free(&s->front.ring) >= BATCH)
		front_issue(&s->front, s->arena, BATCH);
}

/* Run a worker on s to its end, looking at every instruction of it. */
static void explore(struct state *s, bool nested)
{
	const enum __ptrace_request step =
		EVERY_INSTRUCTION ? PTRACE_SINGLESTEP : PTRACE_CONT;
	struct state last;
	pid_t pid;
	int status = 0, sig;

	if (state_copy(s, &last)) {
		nr_wrong++;
		return;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		if (nested)
			child_successor(s);
		child_first(s);
	}
	waitpid(pid, &status, 0);
	/* The first worker's set-up touches nothing that lasts. */
	sig = nested ? SIGSTOP : next_stop(pid, PTRACE_CONT, &status);
	for (; sig > 0; sig = next_stop(pid, step, &status)) {
		if (sig == SIGTRAP || !EVERY_INSTRUCTION)
			look(s, &last, nested);
		if (sig == SIGSTOP && !nested)
			handed_over(s);
		else if (sig != SIGSTOP && sig != SIGTRAP)
			break;
	}
	nr_wrong += !WIFEXITED(status) || WEXITSTATUS(status);
	if (!WIFEXITED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	state_fini(&last);
}

static bool may_trace(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* A step is two switches between tracer and child: far cheaper on one CPU. */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	if (cpu < 0)
		return;
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void every_request_is_answered_once_wherever_the_worker_dies(void)
{
	struct state s;

	if (!may_trace()) {
		printf("skipped: tracing is not permitted here\n");
		return;
	}
	stay_on_one_cpu();
	UNIT_REQUIRE(state_make(&s) == 0);
	explore(&s, false);
	front_collect(&s.front, s.arena);
	UNIT_CHECK(s.front.nr_issued == NR_REQUESTS);
	UNIT_CHECK(s.front.nr_wrong == 0);
	for (uint32_t id = 0; id < NR_REQUESTS; id++)
		UNIT_CHECK(s.front.answered[id]);
	UNIT_CHECK(nr_wrong == 0);
	/* Less than this, and nothing was looked at. */
	UNIT_CHECK(nr_states > (EVERY_INSTRUCTION ? 1000 : 15));
	UNIT_CHECK(nr_nested > 2 || !EVERY_INSTRUCTION);
	printf("%u instructions, %u states, %u successors traced\n", nr_steps,
	       nr_states, nr_nested);
	state_fini(&s);
}

UNIT_MAIN("blk_recovery",
	  UNIT_TEST(every_request_is_answered_once_wherever_the_worker_dies))
