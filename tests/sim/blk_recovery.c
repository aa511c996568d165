/* SPDX-License-Identifier: MIT */
/*
 * blk_recovery.c - a worker dies at every single instruction.
 *
 * A child process runs a disk's two queues over memory that we share with it,
 * and we trace it one instruction at a time. Whenever an instruction changed
 * anything that outlives the child (ring, guest's pages, disk, in-flight
 * record) we take a copy, let a successor go on from there, and look at it as
 * the frontend: every request is answered exactly once, what was written is on
 * the disk, what was read is right. From some of these states the successor
 * itself is traced in the same way, and dies at each of its instructions.
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
#include "tests/unit/soak.h"
#include "tests/unit/unit.h"

#define HANDLE	     51712u
#define NR_REQUESTS  48u
#define BATCH	     6u
#define NR_QUEUES    2u
#define NR_ROUNDS    NR_REQUESTS /* a round answers at least one */
#define NR_PAGES     (NR_REQUESTS / 8)
#define NR_SEG_PAGES (NR_REQUESTS / 4) /* of indirect requests */
#define DISK_SECTORS (2 * NR_REQUESTS)
#define NESTED_EVERY 307u /* a prime: no rhythm with the requests */

/*
 * A sanitizer multiplies the instructions: under it the worker dies between
 * rounds only. AddressSanitizer with SOAK looks at them all; ThreadSanitizer
 * would do so beyond patience and, with one thread, has nothing to find.
 */
#if defined(__SANITIZE_THREAD__)
#define EVERY_INSTRUCTION 0
#elif defined(__SANITIZE_ADDRESS__)
#define EVERY_INSTRUCTION soak_rounds(0, 1)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EVERY_INSTRUCTION 0
#elif __has_feature(address_sanitizer)
#define EVERY_INSTRUCTION soak_rounds(0, 1)
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
	KIND_INDIRECT_WRITE,
	KIND_INDIRECT_READ,
	KIND_BARRIER,
	KIND_DISCARD,
	NR_KINDS
};

static enum kind kind_of(uint32_t id)
{
	return (enum kind)(id * 7 % NR_KINDS);
}

static uint32_t queue_of(uint32_t id)
{
	return id / 3 % NR_QUEUES;
}

/* All that a worker's death leaves, but for the record. */
struct arena {
	/* Whose references these have, in this order. */
	uint8_t ring[NR_QUEUES][PV_PAGE_SIZE];
	uint8_t pages[NR_PAGES][PV_PAGE_SIZE];
	struct blkif_request_segment segments[NR_SEG_PAGES]
					     [BLKIF_SEGMENTS_PER_INDIRECT_PAGE];
	uint8_t disk[DISK_SECTORS][512];
} __attribute__((aligned(PV_PAGE_SIZE)));

/* The frontend's memory: never touched by the backend. */
struct front {
	struct ring_front ring[NR_QUEUES];
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
	struct arena *arena;
	bool oldest_first;
};

struct slow_channel {
	struct storage_channel channel;
	struct storage_io *stack[64];
	unsigned nr;
};

static int slow_channel_open(struct storage *st, unsigned depth,
			     struct storage_channel **ret)
{
	struct slow_channel *c = calloc(1, sizeof(*c));

	(void)depth;
	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	*ret = &c->channel;
	return 0;
}

static void slow_channel_close(struct storage_channel *ch)
{
	free(ch);
}

static int slow_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct slow_channel *c = (struct slow_channel *)ch;

	c->stack[c->nr++] = io;
	return 0;
}

static bool slow_flush(struct storage_channel *ch)
{
	(void)ch;
	return true;
}

static unsigned slow_poll(struct storage_channel *ch)
{
	struct slow_channel *c = (struct slow_channel *)ch;
	struct slow_disk *d = (struct slow_disk *)ch->st;
	struct storage_io *io;
	uint8_t *at;

	if (!c->nr)
		return 0;
	io = c->stack[d->oldest_first ? 0 : c->nr - 1];
	c->nr--;
	if (d->oldest_first)
		memmove(c->stack, c->stack + 1, c->nr * sizeof(void *));
	at = (uint8_t *)d->arena->disk + io->offset_bytes;
	if (io->op == STORAGE_DISCARD)
		memset(at, 0, io->size_bytes);
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
	struct inflight *record[NR_QUEUES];
	struct blkback_queue *queue[NR_QUEUES];
};

/* record_fds: duplicated. */
static int backend_open(struct backend *b, struct arena *arena,
			const int *record_fds, bool resume)
{
	struct blkback_queue_config config = {
		.platform = &b->platform.platform,
		.storage = &b->disk.storage,
		.resume = resume,
		.event_fd = -1,
	};
	int err = 0;

	memset(b, 0, sizeof(*b));
	b->platform.platform.ops = &arena_ops;
	b->platform.base = arena->ring[0];
	b->platform.nr_pages = NR_QUEUES + NR_PAGES + NR_SEG_PAGES;
	b->disk.arena = arena;
	b->disk.oldest_first = resume;
	storage_init(&b->disk.storage, &slow_ops,
		     &(struct storage_desc){ .size_bytes = DISK_SECTORS * 512,
					     .sector_bytes = 512,
					     .flags = STORAGE_CAN_DISCARD });
	for (uint32_t i = 0; !err && i < NR_QUEUES; i++) {
		err = inflight_attach(dup(record_fds[i]), ARENA_DOMID, HANDLE,
				      i, &b->record[i]);
		config.inflight = b->record[i];
		if (!err)
			err = blkback_queue_open(&config, &b->queue[i]);
	}
	return err;
}

static void backend_begin(struct backend *b)
{
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		blkback_queue_begin(b->queue[i]);
}

static void backend_close(struct backend *b)
{
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		blkback_queue_close(b->queue[i], true);
		inflight_close(b->record[i]);
	}
}

static unsigned backend_poll(struct backend *b)
{
	unsigned nr = 0;

	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		struct work_source *src = blkback_queue_source(b->queue[i]);

		nr += src->ops->poll(src, WORKER_BUDGET);
	}
	return nr;
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

static uint32_t nr_free(struct front *f)
{
	uint32_t nr = UINT32_MAX;

	for (uint32_t i = 0; i < NR_QUEUES; i++)
		if (ring_front_free(&f->ring[i]) < nr)
			nr = ring_front_free(&f->ring[i]);
	return nr;
}

static struct blkif_request_segment segment_of(uint32_t id)
{
	return (struct blkif_request_segment){
		.gref = ARENA_REF + NR_QUEUES + id / 8,
		.first_sect = id % 8,
		.last_sect = id % 8,
	};
}

static void fill_sector(struct arena *arena, uint32_t id)
{
	for (size_t i = 0; i < 512; i++)
		sector_of(arena, id)[i] = pattern(id, i);
}

static void put_indirect(struct ring_front *ring, struct arena *arena,
			 uint32_t id, uint8_t inner, uint64_t sector)
{
	/* Of eight ids two are indirect: each has its own page. */
	uint32_t page = id / 8 * 2 + id % 2;
	struct blkif_request_indirect req = {
		.operation = BLKIF_OP_INDIRECT,
		.indirect_op = inner,
		.nr_segments = 1,
		.id = id,
		.sector_number = sector,
		.indirect_grefs = { ARENA_REF + NR_QUEUES + NR_PAGES + page },
	};

	arena->segments[page][0] = segment_of(id);
	ring_front_put(ring, &req, sizeof(req));
}

static void put_discard(struct ring_front *ring, uint32_t id)
{
	struct blkif_request_discard req = {
		.operation = BLKIF_OP_DISCARD,
		.id = id,
		.sector_number = NR_REQUESTS + id,
		.nr_sectors = 1,
	};

	ring_front_put(ring, &req, sizeof(req));
}

static void put_direct(struct ring_front *ring, uint32_t id, uint8_t op,
		       uint8_t nr, uint64_t sector)
{
	struct blkif_request req = {
		.operation = op,
		.nr_segments = nr,
		.id = id,
		.sector_number = sector,
		.seg[0] = segment_of(id),
	};

	ring_front_put(ring, &req, sizeof(req));
}

static void put_one(struct ring_front *ring, struct arena *arena, uint32_t id)
{
	switch (kind_of(id)) {
	case KIND_WRITE:
		fill_sector(arena, id);
		put_direct(ring, id, BLKIF_OP_WRITE, 1, id);
		break;
	case KIND_READ:
		put_direct(ring, id, BLKIF_OP_READ, 1, NR_REQUESTS + id);
		break;
	case KIND_FLUSH:
		put_direct(ring, id, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
		break;
	case KIND_INDIRECT_WRITE:
		fill_sector(arena, id);
		put_indirect(ring, arena, id, BLKIF_OP_WRITE, id);
		break;
	case KIND_INDIRECT_READ:
		put_indirect(ring, arena, id, BLKIF_OP_READ, NR_REQUESTS + id);
		break;
	case KIND_BARRIER:
		fill_sector(arena, id);
		put_direct(ring, id, BLKIF_OP_WRITE_BARRIER, 1, id);
		break;
	case KIND_DISCARD: put_discard(ring, id); break;
	case KIND_BAD:
	case NR_KINDS: put_direct(ring, id, 99, 1, 0); break;
	}
}

static void front_issue(struct front *f, struct arena *arena, uint32_t nr)
{
	for (; nr && f->nr_issued < NR_REQUESTS; nr--) {
		uint32_t id = f->nr_issued++;

		put_one(&f->ring[queue_of(id)], arena, id);
	}
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		if (ring_front_push(&f->ring[i]))
			continue; /* nobody sleeps here */
}

static bool is_pattern(const uint8_t *at, uint32_t id)
{
	for (size_t i = 0; i < 512; i++)
		if (at[i] != pattern(id, i))
			return false;
	return true;
}

static bool data_right(struct arena *arena, uint32_t id)
{
	static const uint8_t zeros[512];

	switch (kind_of(id)) {
	case KIND_WRITE:
	case KIND_INDIRECT_WRITE:
	case KIND_BARRIER: return is_pattern(arena->disk[id], id);
	case KIND_READ:
	case KIND_INDIRECT_READ: return is_pattern(sector_of(arena, id), id);
	case KIND_DISCARD:
		return !memcmp(arena->disk[NR_REQUESTS + id], zeros, 512);
	case KIND_FLUSH:
	case KIND_BAD:
	case NR_KINDS: break;
	}
	return true;
}

static void collect_ring(struct front *f, struct arena *arena, uint32_t queue)
{
	struct ring_front *ring = &f->ring[queue];

	while (ring_front_pending(ring) > 0) {
		struct blkif_response rsp;
		bool bad;

		ring_front_get(ring, &rsp, sizeof(rsp));
		if (rsp.id >= f->nr_issued || f->answered[rsp.id] ||
		    queue_of((uint32_t)rsp.id) != queue) {
			f->nr_wrong++; /* unknown, or answered twice */
			continue;
		}
		bad = kind_of((uint32_t)rsp.id) == KIND_BAD;
		f->answered[rsp.id] = true;
		f->nr_wrong += rsp.status !=
			       (bad ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_OKAY);
		f->nr_wrong += !data_right(arena, (uint32_t)rsp.id);
	}
	f->nr_wrong += ring->broken;
}

/* Take the responses there are. */
static void front_collect(struct front *f, struct arena *arena)
{
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		collect_ring(f, arena, i);
}

/* ---- states
 * -------------------------------------------------------------------- */

struct record_copy {
	int fd;
	uint8_t *at;
	size_t size_bytes;
};

struct state {
	struct arena *arena; /* shared with the traced child */
	struct record_copy record[NR_QUEUES];
	struct front front;
};

static unsigned nr_steps, nr_states, nr_nested, nr_wrong;

static int state_map(struct state *s)
{
	s->arena = mmap(NULL, sizeof(*s->arena), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->arena == MAP_FAILED)
		return -ENOMEM;
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		struct record_copy *r = &s->record[i];
		struct stat st;

		if (fstat(r->fd, &st))
			return -ENOMEM;
		r->size_bytes = (size_t)st.st_size;
		r->at = mmap(NULL, r->size_bytes, PROT_READ | PROT_WRITE,
			     MAP_SHARED, r->fd, 0);
		if (r->at == MAP_FAILED)
			return -ENOMEM;
	}
	return 0;
}

static void state_fini(struct state *s)
{
	munmap(s->arena, sizeof(*s->arena));
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		munmap(s->record[i].at, s->record[i].size_bytes);
		close(s->record[i].fd);
	}
}

static int make_records(struct state *s)
{
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		struct inflight_params params = {
			.domid = ARENA_DOMID,
			.handle = HANDLE,
			.queue = i,
			.nr_queues = NR_QUEUES,
			.ring_refs = { ARENA_REF + i },
			.evtchn_port = 1 + i,
			.features = INFLIGHT_PERSISTENT | INFLIGHT_DISCARD,
		};
		struct inflight *record;

		if (inflight_create(&params, &record))
			return -ENOMEM;
		s->record[i].fd = dup(inflight_fd(record));
		inflight_close(record);
	}
	return 0;
}

static int state_make(struct state *s)
{
	_Static_assert(sizeof(s->arena->segments[0]) == PV_PAGE_SIZE,
		       "the arena is made of pages");
	memset(s, 0, sizeof(*s));
	if (make_records(s) || state_map(s))
		return -ENOMEM;
	for (uint32_t id = 0; id < NR_REQUESTS; id++)
		for (size_t i = 0; i < 512; i++)
			s->arena->disk[NR_REQUESTS + id][i] = pattern(id, i);
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		ring_front_init(&s->front.ring[i], shared_of(s->arena->ring[i]),
				PV_PAGE_SIZE, sizeof(struct blkif_request));
	return 0;
}

static int record_copy(const struct record_copy *from, struct record_copy *to)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	to->fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to->fd < 0 || ftruncate(to->fd, (off_t)from->size_bytes) ||
	    fcntl(to->fd, F_ADD_SEALS, seals))
		return -ENOMEM;
	return 0;
}

/* A copy that nobody else has: what a successor finds. */
static int state_copy(const struct state *from, struct state *to)
{
	*to = *from;
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		if (record_copy(&from->record[i], &to->record[i]))
			return -ENOMEM;
	if (state_map(to))
		return -ENOMEM;
	memcpy(to->arena, from->arena, sizeof(*to->arena));
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		memcpy(to->record[i].at, from->record[i].at,
		       from->record[i].size_bytes);
		to->front.ring[i].shared =
			(struct ring_header PV_SHARED *)shared_of(
				to->arena->ring[i]);
	}
	return 0;
}

static int state_open(const struct state *s, struct backend *b, bool resume)
{
	int fds[NR_QUEUES];

	for (uint32_t i = 0; i < NR_QUEUES; i++)
		fds[i] = s->record[i].fd;
	return backend_open(b, s->arena, fds, resume);
}

/*
 * A successor does nr_rounds (0: all) of what there is, then is gone, between
 * two rounds. Returns whether it could begin.
 */
static bool succeed(struct state *s, unsigned nr_rounds)
{
	struct backend b;

	if (state_open(s, &b, true))
		return false;
	backend_begin(&b);
	for (unsigned i = 0; i < nr_rounds; i++)
		backend_poll(&b);
	if (!nr_rounds)
		backend_finish(&b);
	backend_close(&b);
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
		if (rounds && f->nr_issued < NR_REQUESTS && nr_free(f) >= BATCH)
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
	struct backend b;

	if (state_open(s, &b, false))
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
	struct backend b;

	if (state_open(s, &b, true))
		_exit(1);
	backend_begin(&b);
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
	bool same = !memcmp(s->arena, last->arena, sizeof(*s->arena));

	for (uint32_t i = 0; same && i < NR_QUEUES; i++)
		same = !memcmp(s->record[i].at, last->record[i].at,
			       s->record[i].size_bytes);
	return !same;
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
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		memcpy(last->record[i].at, s->record[i].at,
		       s->record[i].size_bytes);
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
	if (s->front.nr_issued < NR_REQUESTS && nr_free(&s->front) >= BATCH)
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
