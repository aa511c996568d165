/* SPDX-License-Identifier: MIT */
/*
 * blk_frontend.c - blkback's queue on the lite platform, on a real data thread,
 * against frontends that lie. THREATS.md section A: CVE-2010-4247, XSA-39,
 * XSA-86 (producer index), XSA-155 (rewritten slots), CVE-2013-2140, XSA-142
 * (read-only, past the end), XSA-216 (padding), XSA-229 (segments), XSA-71,
 * XSA-361..367 (bad reference at segment k), XSA-300 (many references).
 * Oracle: the request gets an error or the liar alone is stopped; the other
 * guest's disk goes on; in the end nothing of theirs is mapped.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blkback/queue.h"
#include "ring/ring.h"
#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"

#define NR_PAGES   260u
#define BIG_PAGES  256u
#define NR_SECTORS 2048u
#define NO_ANSWER  INT16_MAX

struct guest {
	struct platform *platform;
	domid_t domid;
	struct share ring_page, data, readonly;
	struct share indirect; /* pages of segments */
	struct ring_front ring;
	struct evtchn *ev;
	uint64_t next_id;
	/* the backend's side */
	struct storage *st;
	struct inflight *record;
	struct blkback_queue *queue;
	int event_fd;
};

static struct world world;
static domid_t back_id;
static struct platform *back;
static struct worker *worker;
static struct guest a, b; /* a lies, b does not */

static struct storage *disk_open(uint32_t flags)
{
	const struct storage_ops *ops = storage_by_name("mem");
	struct storage_desc desc;
	int fds[STORAGE_FDS_MAX];
	struct storage *st = NULL;
	char why[256];

	world_must(
		!ops->acquire("mem:1M", flags, &desc, fds, why, sizeof(why)) &&
			!ops->open(&desc, fds, &st),
		"disk");
	return st;
}

static void guest_open(struct guest *g, const char *name, uint32_t disk_flags,
		       enum blk_layout layout, uint32_t features)
{
	struct inflight_params params = { .handle = 51712,
					  .nr_queues = 1,
					  .layout = layout,
					  .features = features };
	struct blkback_queue_config config = { .platform = back };

	memset(g, 0, sizeof(*g));
	g->domid = world_domain(&world, name);
	g->platform = world_platform(&world, g->domid);
	world_must(!platform_share(g->platform, back_id, 1, 0, &g->ring_page) &&
			   !platform_share(g->platform, back_id, NR_PAGES, 0,
					   &g->data) &&
			   !platform_share(g->platform, back_id, 1,
					   SHARE_PEER_READONLY, &g->readonly) &&
			   !platform_share(g->platform, back_id, 2,
					   SHARE_PEER_READONLY, &g->indirect) &&
			   !platform_evtchn_alloc(g->platform, back_id, &g->ev),
		   "guest");
	ring_front_init(&g->ring, (void PV_SHARED *)g->ring_page.base,
			PV_PAGE_SIZE, blk_slot_bytes(layout));
	params.domid = g->domid;
	params.ring_refs[0] = g->ring_page.first_ref;
	params.evtchn_port = evtchn_port(g->ev);
	g->st = disk_open(disk_flags);
	g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world_must(!inflight_create(&params, &g->record), "record");
	config.inflight = g->record;
	config.storage = g->st;
	config.event_fd = g->event_fd;
	world_must(!blkback_queue_open(&config, &g->queue), "queue");
	world_must(!blkback_queue_start(g->queue, worker), "start");
}

/* The descriptor speaks of several things: until it was this one. */
static bool told(struct guest *g, bool (*what)(const struct guest *g))
{
	uint64_t junk;

	while (!what(g)) {
		if (!world_readable(g->event_fd) ||
		    read(g->event_fd, &junk, sizeof(junk)) != sizeof(junk))
			return what(g);
	}
	return true;
}

static bool is_stopped(const struct guest *g)
{
	return blkback_queue_stopped(g->queue);
}

static bool is_faulty(const struct guest *g)
{
	return blkback_queue_fault(g->queue);
}

static void stop(struct guest *g)
{
	if (blkback_queue_stop(g->queue) == -EINPROGRESS)
		world_must(told(g, is_stopped), "the queue stops");
	world_must(blkback_queue_stopped(g->queue), "stopped");
}

static void guest_close(struct guest *g)
{
	stop(g);
	blkback_queue_close(g->queue, false);
	inflight_close(g->record);
	g->st->ops->close(g->st);
	close(g->event_fd);
	evtchn_close(g->ev);
	/* 0: the backend has nothing of it mapped. */
	UNIT_CHECK(platform_unshare(g->platform, &g->ring_page) == 0);
	UNIT_CHECK(platform_unshare(g->platform, &g->data) == 0);
	UNIT_CHECK(platform_unshare(g->platform, &g->readonly) == 0);
	UNIT_CHECK(platform_unshare(g->platform, &g->indirect) == 0);
	platform_close(g->platform);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, g->domid));
}

static void setup_as(uint32_t flags, enum blk_layout layout, uint32_t features)
{
	world_open(&world);
	back_id = world_domain(&world, "blkback");
	back = world_platform(&world, back_id);
	world_must(!worker_open("blk-test", 20000, &worker), "worker");
	guest_open(&a, "guest-a", flags, layout, features);
	guest_open(&b, "guest-b", 0, BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT);
}

static void setup(void)
{
	setup_as(0, BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT);
}

static void teardown(void)
{
	guest_close(&a);
	guest_close(&b);
	worker_close(worker);
	platform_close(back);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, back_id));
	UNIT_CHECK(world_close(&world));
}

/* ---- a guest's acts ---------------------------------------------------------
 */

static uint8_t *page_of(struct guest *g, uint32_t page)
{
	return (uint8_t *)g->data.base + (size_t)page * PV_PAGE_SIZE;
}

static struct blkif_request request(struct guest *g, uint8_t op, uint8_t nr,
				    uint64_t sector)
{
	struct blkif_request req = { .operation = op,
				     .nr_segments = nr,
				     .id = ++g->next_id,
				     .sector_number = sector };

	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
		req.seg[i] = (struct blkif_request_segment){
			.gref = g->data.first_ref + i,
			.last_sect = 7,
		};
	return req;
}

static void put(struct guest *g, const struct blkif_request *req)
{
	struct blkif_x86_32_request narrow = {
		.operation = req->operation,
		.nr_segments = req->nr_segments,
		.id = req->id,
		.sector_number = req->sector_number,
	};

	memcpy(narrow.seg, req->seg, sizeof(narrow.seg));
	if (g->ring.slot_bytes == sizeof(narrow))
		ring_front_put(&g->ring, &narrow, sizeof(narrow));
	else
		ring_front_put(&g->ring, req, sizeof(*req));
}

static struct blkif_request_segment *segments_of(struct guest *g)
{
	return g->indirect.base;
}

/* Segment i is the data's page i % NR_PAGES. */
static struct blkif_request_indirect indirect(struct guest *g, uint8_t inner,
					      uint16_t nr, uint64_t sector)
{
	for (uint32_t i = 0; i < BLKIF_SEGMENTS_PER_INDIRECT_PAGE; i++)
		segments_of(g)[i] = (struct blkif_request_segment){
			.gref = g->data.first_ref + i % NR_PAGES,
			.last_sect = 7,
		};
	return (struct blkif_request_indirect){
		.operation = BLKIF_OP_INDIRECT,
		.indirect_op = inner,
		.nr_segments = nr,
		.id = ++g->next_id,
		.sector_number = sector,
		.indirect_grefs = { g->indirect.first_ref },
	};
}

static void put_indirect(struct guest *g,
			 const struct blkif_request_indirect *req)
{
	struct blkif_x86_32_request_indirect narrow = {
		.operation = req->operation,
		.indirect_op = req->indirect_op,
		.nr_segments = req->nr_segments,
		.id = req->id,
		.sector_number = req->sector_number,
	};

	memcpy(narrow.indirect_grefs, req->indirect_grefs,
	       sizeof(narrow.indirect_grefs));
	if (g->ring.slot_bytes == sizeof(struct blkif_x86_32_request))
		ring_front_put(&g->ring, &narrow, sizeof(narrow));
	else
		ring_front_put(&g->ring, req, sizeof(*req));
}

static void put_discard(struct guest *g, uint8_t flag, uint64_t sector,
			uint64_t nr_sectors)
{
	struct blkif_request_discard req = { .operation = BLKIF_OP_DISCARD,
					     .flag = flag,
					     .id = ++g->next_id,
					     .sector_number = sector,
					     .nr_sectors = nr_sectors };
	struct blkif_x86_32_request_discard narrow = { .operation =
							       BLKIF_OP_DISCARD,
						       .flag = flag,
						       .id = req.id,
						       .sector_number = sector,
						       .nr_sectors =
							       nr_sectors };

	if (g->ring.slot_bytes == sizeof(struct blkif_x86_32_request))
		ring_front_put(&g->ring, &narrow, sizeof(narrow));
	else
		ring_front_put(&g->ring, &req, sizeof(req));
}

static void show(struct guest *g)
{
	if (ring_front_push(&g->ring))
		evtchn_notify(g->ev);
}

/* The next response, at most two seconds from now. */
static int16_t collect(struct guest *g, uint64_t *id)
{
	uint64_t deadline_ns = clock_now_ns() + 2 * NS_PER_S;
	struct blkif_response rsp;
	struct blkif_x86_32_response narrow;
	int nr;

	while ((nr = ring_front_arm(&g->ring)) == 0) {
		struct pollfd p = { .fd = evtchn_fd(g->ev), .events = POLLIN };

		if (clock_now_ns() > deadline_ns)
			return NO_ANSWER;
		poll(&p, 1, 100);
		evtchn_clear(g->ev);
	}
	if (nr < 0)
		return NO_ANSWER;
	if (g->ring.slot_bytes == sizeof(struct blkif_x86_32_request)) {
		ring_front_get(&g->ring, &narrow, sizeof(narrow));
		*id = narrow.id;
		return narrow.pad ? NO_ANSWER : narrow.status;
	}
	ring_front_get(&g->ring, &rsp, sizeof(rsp));
	*id = rsp.id;
	/* Padding comes from us as zeros, always. */
	if (rsp.pad || rsp.pad1[0] || rsp.pad1[1] || rsp.pad1[2] || rsp.pad1[3])
		return NO_ANSWER;
	return rsp.status;
}

/* One request, and the status of its own response. */
static int16_t ask(struct guest *g, const struct blkif_request *req)
{
	uint64_t id = 0;
	int16_t status;

	put(g, req);
	show(g);
	status = collect(g, &id);
	return id == req->id ? status : NO_ANSWER;
}

static int16_t ask_indirect(struct guest *g,
			    const struct blkif_request_indirect *req)
{
	uint64_t id = 0;
	int16_t status;

	put_indirect(g, req);
	show(g);
	status = collect(g, &id);
	return id == req->id ? status : NO_ANSWER;
}

static int16_t ask_discard(struct guest *g, uint8_t flag, uint64_t sector,
			   uint64_t nr_sectors)
{
	uint64_t id = 0;
	int16_t status;

	put_discard(g, flag, sector, nr_sectors);
	show(g);
	status = collect(g, &id);
	return id == g->next_id ? status : NO_ANSWER;
}

/* Write and read back through the ring. */
static bool disk_works(struct guest *g)
{
	struct blkif_request req = request(g, BLKIF_OP_WRITE, 3, 64);

	for (uint32_t i = 0; i < 3; i++)
		memset(page_of(g, i), (int)(g->next_id + i), PV_PAGE_SIZE);
	if (ask(g, &req) != BLKIF_RSP_OKAY)
		return false;
	req = request(g, BLKIF_OP_READ, 3, 64);
	for (uint32_t i = 0; i < 3; i++)
		req.seg[i].gref = g->data.first_ref + 5 + i;
	if (ask(g, &req) != BLKIF_RSP_OKAY)
		return false;
	for (uint32_t i = 0; i < 3; i++)
		if (memcmp(page_of(g, i), page_of(g, 5 + i), PV_PAGE_SIZE))
			return false;
	return true;
}

static struct ring_header *header_of(struct guest *g)
{
	return g->ring_page.base;
}

static void set_producer(struct guest *g, uint32_t prod)
{
	__atomic_store_n(&header_of(g)->req_prod, prod, __ATOMIC_SEQ_CST);
	evtchn_notify(g->ev);
}

static bool faults(struct guest *g, int err)
{
	return told(g, is_faulty) && blkback_queue_fault(g->queue) == err;
}

/* ---- cases ------------------------------------------------------------------
 */

static void honest_guests_are_served_in_both_layouts_and_both_ways(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct blkif_request req;

		setup_as(0, i % 2, i / 2 ? INFLIGHT_PERSISTENT : 0);
		for (unsigned k = 0; k < 40; k++)
			UNIT_CHECK(disk_works(&a));
		req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
		req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 2, 8);
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

static void an_impossible_producer_stops_its_own_disk_only(void)
{
	/* After 2 * nr requests, all answered. */
	static const int64_t steps[] = { 33,  1u << 31,	  -1,  -2,
					 -31, -(1 << 30), 100, INT32_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		setup();
		UNIT_CHECK(disk_works(&a));
		set_producer(&a, (uint32_t)(a.ring.req_prod + steps[i]));
		UNIT_CHECK(faults(&a, -EPROTO));
		UNIT_CHECK(disk_works(&b));
		stop(&a);
		teardown();
	}
}

static void a_full_ring_is_allowed(void)
{
	uint64_t id, sum = 0;

	setup();
	for (unsigned round = 0; round < 5; round++) {
		uint64_t before = a.next_id;

		sum = 0;
		for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
			struct blkif_request req =
				request(&a, BLKIF_OP_READ, 1, i * 8);

			put(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
			UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
			sum += id - before;
		}
		UNIT_CHECK(sum == 32 * 33 / 2);
	}
	teardown();
}

static void every_operation_that_is_not_offered_is_answered(void)
{
	setup();
	for (unsigned op = 0; op < 256; op++) {
		struct blkif_request req = request(&a, (uint8_t)op, 1, 0);
		int16_t want = op <= BLKIF_OP_FLUSH_DISKCACHE
				       ? BLKIF_RSP_OKAY
				       : BLKIF_RSP_EOPNOTSUPP;

		if (op == BLKIF_OP_INDIRECT) /* of an indirect request */
			req.nr_segments = BLKIF_OP_INDIRECT;

		UNIT_CHECK(ask(&a, &req) == want);
	}
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

static void bad_segments_are_answered_with_an_error(void)
{
	static const uint8_t sects[][2] = {
		{ 5, 4 }, { 0, 8 }, { 8, 8 }, { 0, 255 }, { 255, 0 },
	};
	struct blkif_request req;

	setup();
	for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++)
		for (size_t i = 0; i < ARRAY_SIZE(sects); i++) {
			req = request(&a, BLKIF_OP_WRITE, 11, 0);
			req.seg[k].first_sect = sects[i][0];
			req.seg[k].last_sect = sects[i][1];
			UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
		}
	for (unsigned nr = 0; nr < 256; nr++) {
		req = request(&a, BLKIF_OP_READ, (uint8_t)nr, 0);
		UNIT_CHECK(ask(&a, &req) == (nr >= 1 && nr <= 11
						     ? BLKIF_RSP_OKAY
						     : BLKIF_RSP_ERROR));
	}
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void past_the_end_is_answered_with_an_error(void)
{
	static const uint64_t sectors[] = { NR_SECTORS - 7,	 NR_SECTORS,
					    UINT64_MAX / 512,	 UINT64_MAX - 7,
					    UINT64_MAX,		 1ull << 63,
					    UINT64_MAX / 512 - 7 };
	struct blkif_request req;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(sectors); i++)
		for (uint8_t op = 0; op < 2; op++) {
			req = request(&a, op, 1, sectors[i]);
			UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
		}
	req = request(&a, BLKIF_OP_WRITE, 1, NR_SECTORS - 8);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	teardown();
}

static void a_readonly_disk_is_not_written(void)
{
	struct blkif_request req;

	setup_as(STORAGE_READONLY, BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT);
	memset(page_of(&a, 0), 0x5a, PV_PAGE_SIZE);
	req = request(&a, BLKIF_OP_WRITE, 1, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 1, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	req = request(&a, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	req = request(&a, BLKIF_OP_READ, 1, 0);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	UNIT_CHECK(page_of(&a, 0)[0] == 0 && page_of(&a, 0)[4095] == 0);
	UNIT_CHECK(disk_works(&b));
	teardown();
}

/* References that name nothing, or a page of which we may only read. */
static void a_bad_reference_at_any_segment_is_undone(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		setup_as(0, BLK_LAYOUT_X86_64,
			 persistent ? INFLIGHT_PERSISTENT : 0);
		for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++) {
			const grant_ref_t bad[] = {
				0,
				7,
				UINT32_MAX,
				a.data.first_ref + 100000,
				b.data.first_ref + 100000,
				a.readonly.first_ref,
			};

			for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
				struct blkif_request req =
					request(&a, BLKIF_OP_READ, 11, 0);

				req.seg[k].gref = bad[i];
				UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
			}
		}
		/* To be read from, a read-only page is good enough. */
		{
			struct blkif_request req =
				request(&a, BLKIF_OP_WRITE, 11, 0);

			req.seg[4].gref = a.readonly.first_ref;
			UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
		}
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		/* And nothing stays mapped: guest_close looks. */
		teardown();
	}
}

static void the_same_page_may_be_named_in_every_segment(void)
{
	setup();
	for (unsigned i = 0; i < 100; i++) {
		struct blkif_request req = request(
			&a, i % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 11, 0);

		for (unsigned k = 0; k < 11; k++)
			req.seg[k].gref = a.data.first_ref;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(disk_works(&a));
	teardown();
}

/* More pages than the cache holds: I/O goes on, what is mapped is bounded. */
static void more_references_than_the_cache_holds_are_served(void)
{
	const uint32_t nr = 2000;
	struct share many;

	setup();
	world_must(!platform_share(a.platform, back_id, nr, 0, &many), "share");
	for (uint32_t i = 0; i < nr; i += 10) {
		struct blkif_request req = request(&a, BLKIF_OP_READ, 10, 0);

		for (uint32_t k = 0; k < 10; k++)
			req.seg[k].gref = many.first_ref + i + k;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(disk_works(&a));
	stop(&a);
	UNIT_CHECK(platform_unshare(a.platform, &many) == -EBUSY);
	teardown();
}

/* ---- indirect requests ------------------------------------------------------
 */

static void fill_big(struct guest *g, unsigned seed)
{
	for (size_t i = 0; i < BIG_PAGES * (size_t)PV_PAGE_SIZE; i++)
		page_of(g, 0)[i] = (uint8_t)(seed + i * 7 + (i >> 12));
}

static bool is_big(struct guest *g, unsigned seed)
{
	for (size_t i = 0; i < BIG_PAGES * (size_t)PV_PAGE_SIZE; i++)
		if (page_of(g, 0)[i] != (uint8_t)(seed + i * 7 + (i >> 12)))
			return false;
	return true;
}

/* The figures are the data thread's while the queue runs. */
static int nr_indirect(void *queue)
{
	return (int)blkback_queue_stats(queue)->nr_indirect;
}

static void a_mebibyte_goes_through_in_one_request(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct blkif_request_indirect req;

		setup_as(0, i % 2, i / 2 ? INFLIGHT_PERSISTENT : 0);
		fill_big(&a, i + 3);
		req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
		memset(page_of(&a, 0), 0xee, BIG_PAGES * (size_t)PV_PAGE_SIZE);
		req = indirect(&a, BLKIF_OP_READ, BIG_PAGES, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
		UNIT_CHECK(is_big(&a, i + 3));
		UNIT_CHECK(worker_call(worker, nr_indirect, a.queue) == 2);
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

static void a_ring_full_of_mebibytes_is_allowed(void)
{
	setup();
	fill_big(&a, 9);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t id;

		for (uint32_t i = 0; i < a.ring.nr_slots; i++) {
			struct blkif_request_indirect req = indirect(
				&a, round % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE,
				BIG_PAGES, 0);

			put_indirect(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < a.ring.nr_slots; i++)
			UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
	}
	UNIT_CHECK(is_big(&a, 9));
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void an_indirect_request_that_lies_about_itself_is_answered(void)
{
	static const uint16_t nrs[] = { 0, 257, 512, 513, 4096, 32768, 65535 };
	struct blkif_request_indirect req;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(nrs); i++) {
		req = indirect(&a, BLKIF_OP_READ, nrs[i], 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
	}
	for (unsigned inner = 2; inner < 256; inner++) {
		req = indirect(&a, (uint8_t)inner, 4, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_EOPNOTSUPP);
	}
	/* 256 pages, and the disk has 256: one sector further is too far. */
	for (uint64_t sector = 1; sector; sector <<= 1) {
		req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, sector);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
	}
	req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, UINT64_MAX);
	UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

static void the_page_of_segments_must_be_granted(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		struct blkif_request_indirect req;

		setup_as(0, persistent, persistent ? INFLIGHT_PERSISTENT : 0);
		{
			const grant_ref_t bad[] = {
				0,
				7,
				UINT32_MAX,
				a.indirect.first_ref + 100000,
				b.indirect.first_ref + 100000,
			};

			for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
				req = indirect(&a, BLKIF_OP_READ, 40, 0);
				req.indirect_grefs[0] = bad[i];
				UNIT_CHECK(ask_indirect(&a, &req) ==
					   BLKIF_RSP_ERROR);
			}
		}
		/* What is not needed is not looked at. */
		req = indirect(&a, BLKIF_OP_READ, 256, 0);
		for (unsigned i = 1; i < 8; i++)
			req.indirect_grefs[i] = UINT32_MAX;
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
		UNIT_CHECK(disk_works(&a));
		teardown();
	}
}

static void a_bad_indirect_segment_at_any_place_is_undone(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		struct blkif_request_indirect req;

		setup_as(0, BLK_LAYOUT_X86_64,
			 persistent ? INFLIGHT_PERSISTENT : 0);
		for (unsigned k = 0; k < BIG_PAGES; k++) {
			req = indirect(&a, BLKIF_OP_READ, BIG_PAGES, 0);
			segments_of(&a)[k].gref = UINT32_MAX - k;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
			req = indirect(&a, BLKIF_OP_READ, BIG_PAGES, 0);
			segments_of(&a)[k].gref = a.readonly.first_ref;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
			req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, 0);
			segments_of(&a)[k].last_sect = 8;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
			req = indirect(&a, BLKIF_OP_WRITE, BIG_PAGES, 0);
			segments_of(&a)[k].first_sect = 255;
			UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
		}
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		/* And nothing stays mapped: guest_close looks. */
		teardown();
	}
}

/* ---- discards and barriers --------------------------------------------------
 */

static void a_discard_is_offered_or_refused(void)
{
	static const uint64_t sectors[] = {
		0, 1, NR_SECTORS - 1, NR_SECTORS, UINT64_MAX - 1, UINT64_MAX
	};
	static const uint64_t nrs[] = {
		0, 1, NR_SECTORS, NR_SECTORS + 1, UINT64_MAX - 1, UINT64_MAX
	};

	setup();
	UNIT_CHECK(ask_discard(&a, 0, 0, 8) == BLKIF_RSP_EOPNOTSUPP);
	teardown();
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		setup_as(0, layout, INFLIGHT_PERSISTENT | INFLIGHT_DISCARD);
		for (size_t s = 0; s < ARRAY_SIZE(sectors); s++)
			for (size_t n = 0; n < ARRAY_SIZE(nrs); n++) {
				bool in = nrs[n] && nrs[n] <= NR_SECTORS &&
					  sectors[s] <= NR_SECTORS - nrs[n];

				UNIT_CHECK(ask_discard(&a, 0, sectors[s],
						       nrs[n]) ==
					   (in ? BLKIF_RSP_OKAY
					       : BLKIF_RSP_ERROR));
			}
		for (unsigned flag = 2; flag < 256; flag++)
			UNIT_CHECK(ask_discard(&a, (uint8_t)flag, 0, 8) ==
				   BLKIF_RSP_ERROR);
		UNIT_CHECK(ask_discard(&a, BLKIF_DISCARD_SECURE, 0, 8) ==
			   BLKIF_RSP_OKAY);
		UNIT_CHECK(disk_works(&a));
		UNIT_CHECK(disk_works(&b));
		teardown();
	}
}

static void a_discarded_range_reads_as_zeros(void)
{
	struct blkif_request req;

	setup_as(0, BLK_LAYOUT_X86_64, INFLIGHT_DISCARD);
	memset(page_of(&a, 0), 0x5a, 3 * (size_t)PV_PAGE_SIZE);
	req = request(&a, BLKIF_OP_WRITE, 3, 8);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	UNIT_CHECK(ask_discard(&a, 0, 17, 3) == BLKIF_RSP_OKAY);
	req = request(&a, BLKIF_OP_READ, 3, 8);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_OKAY);
	for (unsigned i = 0; i < 3 * PV_PAGE_SIZE; i++)
		UNIT_CHECK(page_of(&a, 0)[i] ==
			   (i >= 9 * 512 && i < 12 * 512 ? 0 : 0x5a));
	teardown();
}

static void a_readonly_disk_is_neither_discarded_nor_written_at_length(void)
{
	struct blkif_request_indirect req;
	struct blkif_request barrier;

	setup_as(STORAGE_READONLY, BLK_LAYOUT_X86_64,
		 INFLIGHT_PERSISTENT | INFLIGHT_DISCARD);
	for (unsigned flag = 0; flag < 2; flag++)
		UNIT_CHECK(ask_discard(&a, (uint8_t)flag, 0, 8) ==
			   BLKIF_RSP_EOPNOTSUPP);
	for (unsigned nr = 1; nr <= BIG_PAGES; nr <<= 1) {
		req = indirect(&a, BLKIF_OP_WRITE, (uint16_t)nr, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_ERROR);
		req = indirect(&a, BLKIF_OP_READ, (uint16_t)nr, 0);
		UNIT_CHECK(ask_indirect(&a, &req) == BLKIF_RSP_OKAY);
	}
	barrier = request(&a, BLKIF_OP_WRITE_BARRIER, 1, 0);
	UNIT_CHECK(ask(&a, &barrier) == BLKIF_RSP_ERROR);
	barrier = request(&a, BLKIF_OP_WRITE_BARRIER, 0, 0);
	UNIT_CHECK(ask(&a, &barrier) == BLKIF_RSP_OKAY);
	UNIT_CHECK(disk_works(&b));
	teardown();
}

/* What came before it is answered before it, what comes after it, after. */
static void a_barrier_is_answered_in_its_place(void)
{
	setup();
	for (unsigned round = 0; round < 50; round++) {
		uint32_t nr = a.ring.nr_slots;
		uint64_t first = a.next_id + 1, seen = 0, id;

		for (uint32_t i = 0; i < nr; i++) {
			struct blkif_request req =
				request(&a,
					i % 5 == 4 ? BLKIF_OP_WRITE_BARRIER
						   : BLKIF_OP_WRITE,
					i % 10 == 9 ? 0 : 1, 8 * i);

			if (req.operation == BLKIF_OP_WRITE)
				req.nr_segments = 1;
			put(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < nr; i++) {
			UNIT_CHECK(collect(&a, &id) == BLKIF_RSP_OKAY);
			id -= first;
			UNIT_REQUIRE(id < nr && !(seen >> id & 1));
			if (id % 5 == 4)
				UNIT_CHECK(seen == (1ull << id) - 1);
			seen |= 1ull << id;
		}
	}
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void a_barrier_that_fails_lets_the_ring_go_on(void)
{
	struct blkif_request req;

	setup();
	req = request(&a, BLKIF_OP_WRITE_BARRIER, 1, NR_SECTORS);
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	req = request(&a, BLKIF_OP_WRITE_BARRIER, 3, 0);
	req.seg[2].gref = UINT32_MAX;
	UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	UNIT_CHECK(disk_works(&a));
	teardown();
}

/* ---- the idle clock ---------------------------------------------------------
 */

static void pages_that_nobody_uses_are_unmapped(void)
{
	setup();
	UNIT_CHECK(!blkback_queue_cached(a.queue));
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(world_readable(a.event_fd));
	UNIT_CHECK(blkback_queue_cached(a.queue));
	blkback_queue_expire(a.queue);
	UNIT_CHECK(blkback_queue_cached(a.queue)); /* used a moment ago */
	blkback_queue_expire(a.queue);
	UNIT_CHECK(!blkback_queue_cached(a.queue));
	/* Nothing of the data is mapped while the queue goes on. */
	UNIT_CHECK(platform_unshare(a.platform, &a.data) == 0);
	world_must(!platform_share(a.platform, back_id, NR_PAGES, 0, &a.data),
		   "share again");
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(blkback_queue_cached(a.queue));
	teardown();
}

/* XSA-365, 371: what was got before the refusal at segment k is let go. */
static void what_was_refused_pins_nothing(void)
{
	setup();
	for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++) {
		struct blkif_request req = request(&a, BLKIF_OP_READ, 11, 0);

		req.seg[k].gref = UINT32_MAX;
		UNIT_CHECK(ask(&a, &req) == BLKIF_RSP_ERROR);
	}
	for (unsigned i = 0; i < 2; i++)
		blkback_queue_expire(a.queue);
	UNIT_CHECK(!blkback_queue_cached(a.queue));
	UNIT_CHECK(platform_unshare(a.platform, &a.data) == 0);
	world_must(!platform_share(a.platform, back_id, NR_PAGES, 0, &a.data),
		   "share again");
	teardown();
}

/* ---- a slot that changes while it is read
 * -------------------------------------- */

struct flipper {
	volatile uint8_t *slots;
	_Atomic bool stop;
};

/* A race by design: the sanitizer need not look. */
__attribute__((no_sanitize("thread"))) static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop))
		for (unsigned i = 0; i < 32 * 112; i += 112) {
			f->slots[i + 1] ^= 0xf0;  /* nr_segments */
			f->slots[i + 16] ^= 0x08; /* sector */
			f->slots[i + 24] ^= 0xff; /* gref */
			f->slots[i + 29] ^= 0xff; /* last_sect */
		}
	return NULL;
}

static void a_rewritten_slot_is_its_copy_or_an_error(void)
{
	struct flipper f = { .slots = NULL };
	pthread_t thread;
	uint64_t id;

	setup();
	f.slots = (uint8_t *)a.ring_page.base + 64;
	world_must(!pthread_create(&thread, NULL, flip, &f), "thread");
	for (unsigned round = 0; round < 400; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			struct blkif_request req =
				request(&a, BLKIF_OP_WRITE, 2, 0);

			put(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < 8; i++)
			(void)collect(&a, &id); /* it is rewritten too */
	}
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	UNIT_CHECK(blkback_queue_fault(a.queue) == 0);
	UNIT_CHECK(a.ring.rsp_cons == a.ring.req_prod);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

/* Segments of pages that are there, or are not. */
__attribute__((no_sanitize("thread"))) static void *flip_segments(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop))
		for (unsigned i = 0; i < 64 * 8; i += 8) {
			f->slots[i] ^= 0x04;	 /* gref */
			f->slots[i + 3] ^= 0x80; /* gref, far away */
			f->slots[i + 4] ^= 0x81; /* first_sect */
			f->slots[i + 5] ^= 0xf0; /* last_sect */
		}
	return NULL;
}

static void rewritten_segments_are_their_copy_or_an_error(void)
{
	struct flipper f = { .slots = NULL };
	unsigned nr_good = 0, nr_answers = 0;
	struct blkif_request_indirect req;
	pthread_t thread;
	uint64_t id;

	setup();
	req = indirect(&a, BLKIF_OP_READ, 64, 0);
	f.slots = a.indirect.base;
	world_must(!pthread_create(&thread, NULL, flip_segments, &f), "thread");
	for (unsigned round = 0; round < 500; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			req.id = ++a.next_id;
			req.nr_segments = (uint16_t)(1u << i % 7);
			put_indirect(&a, &req);
		}
		show(&a);
		for (uint32_t i = 0; i < 8; i++) {
			int16_t status = collect(&a, &id);

			nr_good += status == BLKIF_RSP_OKAY;
			nr_answers += status == BLKIF_RSP_OKAY ||
				      status == BLKIF_RSP_ERROR;
		}
	}
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	UNIT_CHECK(nr_answers == 500 * 8);
	UNIT_CHECK(nr_good > 0);
	UNIT_CHECK(blkback_queue_fault(a.queue) == 0);
	UNIT_CHECK(disk_works(&a));
	UNIT_CHECK(disk_works(&b));
	teardown();
}

static void a_frontend_that_goes_away_is_told_as_that(void)
{
	setup();
	UNIT_CHECK(disk_works(&a));
	evtchn_close(a.ev);
	UNIT_CHECK(faults(&a, -EPIPE));
	UNIT_CHECK(disk_works(&b));
	UNIT_CHECK(!platform_evtchn_alloc(a.platform, back_id, &a.ev));
	teardown();
}

static void notifications_without_requests_harm_nobody(void)
{
	setup();
	for (unsigned i = 0; i < 20000; i++)
		evtchn_notify(a.ev);
	UNIT_CHECK(disk_works(&b));
	UNIT_CHECK(disk_works(&a));
	teardown();
}

static void a_stopped_queue_consumes_nothing_more(void)
{
	struct blkif_request req;

	setup();
	UNIT_CHECK(disk_works(&a));
	stop(&a);
	req = request(&a, BLKIF_OP_READ, 1, 0);
	put(&a, &req);
	show(&a);
	UNIT_CHECK(disk_works(&b));
	UNIT_CHECK(ring_front_pending(&a.ring) == 0);
	teardown();
}

UNIT_MAIN("blk_frontend",
	  UNIT_TEST(honest_guests_are_served_in_both_layouts_and_both_ways),
	  UNIT_TEST(an_impossible_producer_stops_its_own_disk_only),
	  UNIT_TEST(a_full_ring_is_allowed),
	  UNIT_TEST(every_operation_that_is_not_offered_is_answered),
	  UNIT_TEST(bad_segments_are_answered_with_an_error),
	  UNIT_TEST(past_the_end_is_answered_with_an_error),
	  UNIT_TEST(a_readonly_disk_is_not_written),
	  UNIT_TEST(a_bad_reference_at_any_segment_is_undone),
	  UNIT_TEST(the_same_page_may_be_named_in_every_segment),
	  UNIT_TEST(more_references_than_the_cache_holds_are_served),
	  UNIT_TEST(a_mebibyte_goes_through_in_one_request),
	  UNIT_TEST(a_ring_full_of_mebibytes_is_allowed),
	  UNIT_TEST(an_indirect_request_that_lies_about_itself_is_answered),
	  UNIT_TEST(the_page_of_segments_must_be_granted),
	  UNIT_TEST(a_bad_indirect_segment_at_any_place_is_undone),
	  UNIT_TEST(a_discard_is_offered_or_refused),
	  UNIT_TEST(a_discarded_range_reads_as_zeros),
	  UNIT_TEST(a_readonly_disk_is_neither_discarded_nor_written_at_length),
	  UNIT_TEST(a_barrier_is_answered_in_its_place),
	  UNIT_TEST(a_barrier_that_fails_lets_the_ring_go_on),
	  UNIT_TEST(pages_that_nobody_uses_are_unmapped),
	  UNIT_TEST(what_was_refused_pins_nothing),
	  UNIT_TEST(a_rewritten_slot_is_its_copy_or_an_error),
	  UNIT_TEST(rewritten_segments_are_their_copy_or_an_error),
	  UNIT_TEST(a_frontend_that_goes_away_is_told_as_that),
	  UNIT_TEST(notifications_without_requests_harm_nobody),
	  UNIT_TEST(a_stopped_queue_consumes_nothing_more))
