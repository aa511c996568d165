/* SPDX-License-Identifier: MIT */
/*
 * blk_powerloss.c - the power fails, and what was promised is there.
 *
 * Two queues of one disk over a storage with a volatile cache. A frontend sends
 * writes, flushes, flushes with data and barriers that overlap in time; workers
 * die, successors go on. Then the power fails: of every sector the medium keeps
 * what was flushed or anything newer that it was ever given, sector by sector.
 * What then must not be lost:
 * - what was answered before an answered flush or barrier was sent, on all
 *   queues; what was sent before an answered barrier on the same queue;
 * - the data of an answered barrier or flush with data.
 * All choices come from a seed, which a failure prints.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkback/queue.h"
#include "ring/ring.h"
#include "tests/sim/arena_platform.h"
#include "tests/unit/sector_model.h"
#include "tests/unit/soak.h"
#include "tests/unit/unit.h"

#define HANDLE	    51712u
#define NR_QUEUES   2u
#define NR_SLOTS    32u
#define NR_SECTORS  48u
#define LARGEST	    16u /* sectors of one write: two pages */
#define REQUESTS    160u
#define IOS_MAX	    (NR_QUEUES * NR_SLOTS)
#define SLOT_PAGES  2u
#define QUEUE_PAGES (1 + NR_SLOTS * SLOT_PAGES)

static unsigned random_state;

static unsigned below(unsigned end)
{
	return (unsigned)rand_r(&random_state) % end;
}

/* ---- a medium with a volatile cache ----------------------------------------
 */

struct value {
	uint64_t tag, seq;
};

struct medium_sector {
	uint64_t safe;
	struct value cached[REQUESTS * 4]; /* oldest first */
	unsigned nr;
};

struct on_its_way {
	struct storage_io *io;
	uint64_t seq; /* a flush covers what is not newer */
};

struct medium {
	struct storage storage;
	struct storage_channel channels[NR_QUEUES];
	unsigned nr_channels;
	struct medium_sector sectors[NR_SECTORS];
	struct on_its_way ios[IOS_MAX];
	unsigned nr_ios;
	uint64_t seq;
	unsigned nr_torn; /* writes with a sector of two tags */
};

static struct medium medium;

static int medium_channel_open(struct storage *st, unsigned depth,
			       struct storage_channel **ret)
{
	(void)depth;
	medium.channels[medium.nr_channels].st = st;
	*ret = &medium.channels[medium.nr_channels++];
	return 0;
}

static void medium_channel_close(struct storage_channel *ch)
{
	(void)ch;
}

static int medium_submit(struct storage_channel *ch, struct storage_io *io)
{
	(void)ch;
	if (medium.nr_ios == IOS_MAX)
		abort();
	medium.ios[medium.nr_ios++] =
		(struct on_its_way){ .io = io, .seq = medium.seq };
	return 0;
}

static bool medium_flush(struct storage_channel *ch)
{
	(void)ch;
	return true;
}

static void cache_sector(uint64_t sector, const uint8_t *bytes)
{
	struct medium_sector *s = &medium.sectors[sector];
	uint64_t words[SECTOR_WORDS];

	memcpy(words, bytes, sizeof(words));
	for (size_t i = 1; i < SECTOR_WORDS; i++)
		medium.nr_torn += words[i] != model_word(words[0], i);
	if (s->nr == sizeof(s->cached) / sizeof(s->cached[0]))
		abort();
	s->cached[s->nr++] = (struct value){ words[0], medium.seq };
}

/* torn: each of its sectors perhaps, else all. */
static void do_write(const struct storage_io *io, bool torn)
{
	uint64_t sector = io->offset_bytes / 512;

	medium.seq++;
	for (unsigned i = 0; i < io->nr_iov; i++)
		for (size_t at = 0; at < io->iov[i].iov_len; at += 512) {
			if (!torn || below(2))
				cache_sector(sector,
					     (uint8_t *)io->iov[i].iov_base +
						     at);
			sector++;
		}
}

static void do_flush(uint64_t seq)
{
	for (unsigned i = 0; i < NR_SECTORS; i++) {
		struct medium_sector *s = &medium.sectors[i];
		unsigned nr = 0;

		while (nr < s->nr && s->cached[nr].seq <= seq)
			s->safe = s->cached[nr++].tag;
		s->nr -= nr;
		memmove(s->cached, s->cached + nr,
			s->nr * sizeof(s->cached[0]));
	}
}

/* Any one of what is on its way, whosever it is; or none. */
static unsigned medium_poll(struct storage_channel *ch)
{
	struct on_its_way *w;
	struct storage_io *io;
	uint64_t seq;

	(void)ch;
	if (!medium.nr_ios || below(3) == 0)
		return 0;
	w = &medium.ios[below(medium.nr_ios)];
	io = w->io;
	seq = w->seq;
	*w = medium.ios[--medium.nr_ios];
	if (io->op == STORAGE_WRITE)
		do_write(io, false);
	else
		do_flush(seq);
	io->result = 0;
	io->done(io);
	return 1;
}

/* The process that submitted it all is gone: each was carried out or not. */
static void medium_orphan(void)
{
	for (unsigned i = 0; i < medium.nr_ios; i++)
		if (medium.ios[i].io->op == STORAGE_WRITE)
			do_write(medium.ios[i].io, true);
	medium.nr_ios = 0;
}

/* What is found when the power is back. */
static uint64_t medium_after_loss(unsigned sector)
{
	struct medium_sector *s = &medium.sectors[sector];
	unsigned pick = below(s->nr + 1);

	return pick ? s->cached[pick - 1].tag : s->safe;
}

static int medium_no_fd(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

static const struct storage_ops medium_ops = {
	.name = "medium",
	.channel_open = medium_channel_open,
	.channel_close = medium_channel_close,
	.submit = medium_submit,
	.flush = medium_flush,
	.poll = medium_poll,
	.wait_fd = medium_no_fd,
	.fence_fd = medium_no_fd,
};

/* ---- the backend ------------------------------------------------------------
 */

static struct arena_platform platform;
static uint8_t arena[NR_QUEUES * QUEUE_PAGES][PV_PAGE_SIZE]
	__attribute__((aligned(PV_PAGE_SIZE)));

struct side {
	struct inflight *record;
	int record_fd; /* the monitor's */
	struct blkback_queue *queue;
	/* the frontend's: */
	struct ring_front ring;
	uint32_t free_slots[NR_SLOTS];
	unsigned nr_free;
};

static struct side sides[NR_QUEUES];

static void open_queue(struct side *s, bool resume)
{
	struct blkback_queue_config config = {
		.platform = &platform.platform,
		.inflight = s->record,
		.storage = &medium.storage,
		.resume = resume,
		.event_fd = -1,
	};

	if (blkback_queue_open(&config, &s->queue))
		abort();
	blkback_queue_begin(s->queue);
}

static void open_side(unsigned i)
{
	struct side *s = &sides[i];
	struct inflight_params params = {
		.domid = ARENA_DOMID,
		.handle = HANDLE,
		.queue = i,
		.nr_queues = NR_QUEUES,
		.ring_refs = { ARENA_REF + i * QUEUE_PAGES },
		.evtchn_port = 1 + i,
		.features = INFLIGHT_PERSISTENT,
	};

	memset(s, 0, sizeof(*s));
	ring_front_init(&s->ring, shared_of(arena[i * QUEUE_PAGES]),
			PV_PAGE_SIZE, sizeof(struct blkif_request));
	for (uint32_t slot = 0; slot < NR_SLOTS; slot++)
		s->free_slots[s->nr_free++] = slot;
	if (inflight_create(&params, &s->record))
		abort();
	s->record_fd = dup(inflight_fd(s->record));
	open_queue(s, false);
}

static void close_side(struct side *s)
{
	blkback_queue_close(s->queue, true);
	inflight_close(s->record);
}

/* All of the worker's queues, between two of its rounds. */
static void worker_dies(void)
{
	medium_orphan();
	for (unsigned i = 0; i < NR_QUEUES; i++)
		close_side(&sides[i]);
	medium.nr_channels = 0;
	for (unsigned i = 0; i < NR_QUEUES; i++) {
		struct side *s = &sides[i];

		if (inflight_attach(dup(s->record_fd), ARENA_DOMID, HANDLE, i,
				    &s->record))
			abort();
		open_queue(s, true);
	}
}

/* ---- the frontend -----------------------------------------------------------
 */

enum kind {
	KIND_WRITE,
	KIND_FLUSH,
	KIND_WRITE_FLUSHED,
	KIND_BARRIER,
};

struct request {
	enum kind kind;
	unsigned queue;
	uint32_t slot;
	struct model_op op;
	uint64_t ended;
};

static struct request requests[REQUESTS];
static unsigned nr_requests, nr_wrong;
static struct model model;

static uint8_t *data_of(const struct request *r)
{
	return arena[r->queue * QUEUE_PAGES + 1 + r->slot * SLOT_PAGES];
}

/* Its two pages, the second only as far as it is needed. */
static void add_segments(const struct request *r, struct blkif_request *req)
{
	unsigned nr = (unsigned)r->op.nr;
	grant_ref_t ref =
		ARENA_REF + r->queue * QUEUE_PAGES + 1 + r->slot * SLOT_PAGES;

	for (unsigned i = 0; i < nr; i++)
		model_fill(data_of(r) + i * 512ul, r->op.tag);
	for (; nr; nr -= nr < 8 ? nr : 8)
		req->seg[req->nr_segments++] = (struct blkif_request_segment){
			.gref = ref++,
			.last_sect = (uint8_t)((nr < 8 ? nr : 8) - 1),
		};
}

static void issue(void)
{
	static const uint8_t operations[] = {
		[KIND_WRITE] = BLKIF_OP_WRITE,
		[KIND_FLUSH] = BLKIF_OP_FLUSH_DISKCACHE,
		[KIND_WRITE_FLUSHED] = BLKIF_OP_FLUSH_DISKCACHE,
		[KIND_BARRIER] = BLKIF_OP_WRITE_BARRIER,
	};
	unsigned queue = below(NR_QUEUES), n = below(12);
	struct side *s = &sides[queue];
	struct request *r = &requests[nr_requests];
	struct blkif_request req = { .id = nr_requests };
	unsigned first = below(NR_SECTORS), nr = 1 + below(LARGEST);

	if (!s->nr_free || nr_requests == REQUESTS)
		return;
	if (nr > NR_SECTORS - first)
		nr = NR_SECTORS - first;
	*r = (struct request){ .queue = queue, .ended = NEVER };
	r->kind = n < 3 ? KIND_FLUSH + n : KIND_WRITE;
	r->slot = s->free_slots[--s->nr_free];
	r->op = model_write_begin(&model, first,
				  r->kind == KIND_FLUSH ? 0 : nr);
	req.operation = operations[r->kind];
	req.sector_number = first;
	add_segments(r, &req);
	ring_front_put(&s->ring, &req, sizeof(req));
	nr_requests++;
	if (ring_front_push(&s->ring))
		return;
}

static void collect(struct side *s)
{
	while (ring_front_pending(&s->ring) > 0) {
		struct blkif_response rsp;
		struct request *r;

		ring_front_get(&s->ring, &rsp, sizeof(rsp));
		if (rsp.id >= nr_requests || requests[rsp.id].ended != NEVER ||
		    rsp.status != BLKIF_RSP_OKAY) {
			nr_wrong++;
			continue;
		}
		r = &requests[rsp.id];
		r->ended = model.now;
		model_change_end(&model, &r->op);
		s->free_slots[s->nr_free++] = r->slot;
	}
}

static void poll_side(struct side *s)
{
	struct work_source *src = blkback_queue_source(s->queue);

	src->ops->poll(src, 1 + below(8));
}

/* ---- the loss ---------------------------------------------------------------
 */

static bool saves(const struct request *f, const struct request *w)
{
	if (f->kind == KIND_WRITE || f->ended == NEVER)
		return false;
	return f == w || w->ended < f->op.begun ||
	       (f->kind == KIND_BARRIER && f->queue == w->queue &&
		w->op.begun < f->op.begun);
}

static bool is_promised(const struct request *w)
{
	for (unsigned i = 0; i < nr_requests; i++)
		if (saves(&requests[i], w))
			return true;
	return false;
}

/* Returns whether sector holds what it may, given what was promised. */
static bool survives(unsigned sector, uint64_t tag)
{
	uint64_t newest = 0;

	for (unsigned i = 0; i < nr_requests; i++) {
		const struct request *w = &requests[i];

		if (sector >= w->op.first && sector < w->op.first + w->op.nr &&
		    w->op.begun > newest && is_promised(w))
			newest = w->op.begun;
	}
	return model_allows_since(&model.sectors[sector], tag, newest);
}

static bool power_fails(void)
{
	bool right = true;

	medium_orphan(); /* what was on its way, perhaps, in parts */
	for (unsigned i = 0; i < NR_SECTORS; i++)
		right &= survives(i, medium_after_loss(i));
	return right;
}

static bool run_seed(unsigned seed, unsigned nr_deaths)
{
	unsigned nr_steps, death_at = 0;
	bool right;

	random_state = seed;
	memset(&medium, 0, sizeof(medium));
	memset(arena, 0, sizeof(arena));
	storage_init(&medium.storage, &medium_ops,
		     &(struct storage_desc){ .size_bytes = NR_SECTORS * 512,
					     .sector_bytes = 512 });
	platform = (struct arena_platform){
		.platform.ops = &arena_ops,
		.base = arena[0],
		.nr_pages = NR_QUEUES * QUEUE_PAGES,
	};
	model_init(&model, NR_SECTORS);
	nr_requests = nr_wrong = 0;
	for (unsigned i = 0; i < NR_QUEUES; i++)
		open_side(i);
	nr_steps = 50 + below(600);
	if (nr_deaths)
		death_at = 1 + nr_steps / (nr_deaths + 1);
	for (unsigned step = 1; step <= nr_steps; step++) {
		if (below(3) == 0)
			issue();
		poll_side(&sides[below(NR_QUEUES)]);
		if (below(4) == 0)
			collect(&sides[below(NR_QUEUES)]);
		if (death_at && step % death_at == 0)
			worker_dies();
	}
	right = power_fails() && !nr_wrong && !medium.nr_torn;
	for (unsigned i = 0; i < NR_QUEUES; i++) {
		close_side(&sides[i]);
		close(sides[i].record_fd);
	}
	model_fini(&model);
	return right;
}

static unsigned count_wrong(unsigned nr_deaths)
{
	unsigned nr = 0, rounds = soak_rounds(600, 20000);

	for (unsigned seed = 1; seed <= rounds; seed++)
		if (!run_seed(seed, nr_deaths) && !nr++)
			printf("seed %u, %u deaths\n", seed, nr_deaths);
	return nr;
}

static void what_was_flushed_survives_a_power_loss(void)
{
	UNIT_CHECK(count_wrong(0) == 0);
}

static void also_after_a_worker_s_death(void)
{
	UNIT_CHECK(count_wrong(1) == 0);
}

static void also_after_many(void)
{
	UNIT_CHECK(count_wrong(7) == 0);
}

UNIT_MAIN("blk_powerloss", UNIT_TEST(what_was_flushed_survives_a_power_loss),
	  UNIT_TEST(also_after_a_worker_s_death), UNIT_TEST(also_after_many))
