/* SPDX-License-Identifier: MIT */
/*
 * blk_guest.h - blkback's queue on the lite platform, on a real data thread,
 * with two guests at it: a, which lies, and b, which does not. What each of
 * them may put into its ring, and what the others' disks must do nevertheless.
 * Oracle: the request gets an error or the liar alone is stopped; the other
 * guest's disk goes on; in the end nothing of theirs is mapped.
 */
#ifndef TESTS_HOSTILE_BLK_GUEST_H
#define TESTS_HOSTILE_BLK_GUEST_H

#include <errno.h>
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
	struct share ring_pages, data, readonly;
	struct share indirect; /* pages of segments */
	struct ring_front ring;
	struct evtchn *ev;
	uint64_t next_id;
	const struct guest *first; /* whose further queue this is, or NULL */
	/* the backend's side */
	struct worker *worker;
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

static inline struct storage *disk_open(uint32_t flags)
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

/* What a queue needs of its own: ring, channel, record; like says the rest. */
static inline void guest_open_queue(struct guest *g,
				    const struct inflight_params *like)
{
	struct inflight_params params = *like;
	struct blkback_queue_config config = { .platform = back };
	uint32_t nr_pages = 1u << like->ring_order;

	world_must(!platform_share(g->platform, back_id, nr_pages, 0,
				   &g->ring_pages) &&
			   !platform_evtchn_alloc(g->platform, back_id, &g->ev),
		   "ring");
	ring_front_init(&g->ring, (void PV_SHARED *)g->ring_pages.base,
			nr_pages * PV_PAGE_SIZE, blk_slot_bytes(like->layout));
	params.domid = g->domid;
	params.handle = 51712;
	for (uint32_t i = 0; i < nr_pages; i++)
		params.ring_refs[i] = g->ring_pages.first_ref + i;
	params.evtchn_port = evtchn_port(g->ev);
	g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world_must(!inflight_create(&params, &g->record), "record");
	config.inflight = g->record;
	config.storage = g->st;
	config.event_fd = g->event_fd;
	world_must(!blkback_queue_open(&config, &g->queue), "queue");
	world_must(!blkback_queue_start(g->queue, g->worker), "start");
}

static inline void guest_open(struct guest *g, const char *name,
			      uint32_t disk_flags,
			      const struct inflight_params *like)
{
	memset(g, 0, sizeof(*g));
	g->domid = world_domain(&world, name);
	g->platform = world_platform(&world, g->domid);
	world_must(
		!platform_share(g->platform, back_id, NR_PAGES, 0, &g->data) &&
			!platform_share(g->platform, back_id, 1,
					SHARE_PEER_READONLY, &g->readonly) &&
			!platform_share(g->platform, back_id, 2,
					SHARE_PEER_READONLY, &g->indirect),
		"guest");
	g->st = disk_open(disk_flags);
	g->worker = worker;
	guest_open_queue(g, like);
}

/* second becomes another queue of first's disk, on another data thread. */
static inline void guest_open_second(struct guest *second,
				     const struct guest *first,
				     const struct inflight_params *like,
				     struct worker *on)
{
	*second = *first;
	second->first = first;
	second->worker = on;
	guest_open_queue(second, like);
}

/* The descriptor speaks of several things: until it was this one. */
static inline bool told(struct guest *g, bool (*what)(const struct guest *g))
{
	uint64_t junk;

	while (!what(g)) {
		if (!world_readable(g->event_fd) ||
		    read(g->event_fd, &junk, sizeof(junk)) != sizeof(junk))
			return what(g);
	}
	return true;
}

static inline bool is_stopped(const struct guest *g)
{
	return blkback_queue_stopped(g->queue);
}

static inline bool is_faulty(const struct guest *g)
{
	return blkback_queue_fault(g->queue);
}

static inline void stop(struct guest *g)
{
	if (blkback_queue_stop(g->queue) == -EINPROGRESS)
		world_must(told(g, is_stopped), "the queue stops");
	world_must(blkback_queue_stopped(g->queue), "stopped");
}

static inline void guest_close_queue(struct guest *g)
{
	stop(g);
	blkback_queue_close(g->queue, false);
	inflight_close(g->record);
	close(g->event_fd);
	evtchn_close(g->ev);
	/* 0: the backend has nothing of it mapped. */
	UNIT_CHECK(platform_unshare(g->platform, &g->ring_pages) == 0);
}

/* Of a disk with two queues, the second is closed first. */
static inline void guest_close(struct guest *g)
{
	guest_close_queue(g);
	if (g->first)
		return;
	g->st->ops->close(g->st);
	UNIT_CHECK(platform_unshare(g->platform, &g->data) == 0);
	UNIT_CHECK(platform_unshare(g->platform, &g->readonly) == 0);
	UNIT_CHECK(platform_unshare(g->platform, &g->indirect) == 0);
	platform_close(g->platform);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, g->domid));
}

static inline void setup_like(uint32_t disk_flags,
			      const struct inflight_params *like)
{
	static const struct inflight_params plain = {
		.nr_queues = 1,
		.layout = BLK_LAYOUT_X86_64,
		.features = INFLIGHT_PERSISTENT,
	};

	world_open(&world);
	back_id = world_domain(&world, "blkback");
	back = world_platform(&world, back_id);
	world_must(!worker_open("blk-test", 20000, &worker), "worker");
	guest_open(&a, "guest-a", disk_flags, like);
	guest_open(&b, "guest-b", 0, &plain);
}

static inline void setup_as(uint32_t disk_flags, enum blk_layout layout,
			    uint32_t features)
{
	struct inflight_params like = { .nr_queues = 1,
					.layout = layout,
					.features = features };

	setup_like(disk_flags, &like);
}

static inline void setup(void)
{
	setup_as(0, BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT);
}

static inline void teardown(void)
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

static inline uint8_t *page_of(struct guest *g, uint32_t page)
{
	return (uint8_t *)g->data.base + (size_t)page * PV_PAGE_SIZE;
}

static inline struct blkif_request request(struct guest *g, uint8_t op,
					   uint8_t nr, uint64_t sector)
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

static inline void put(struct guest *g, const struct blkif_request *req)
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

static inline struct blkif_request_segment *segments_of(struct guest *g)
{
	return g->indirect.base;
}

/* Segment i is the data's page i % NR_PAGES. */
static inline struct blkif_request_indirect
indirect(struct guest *g, uint8_t inner, uint16_t nr, uint64_t sector)
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

static inline void put_indirect(struct guest *g,
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

static inline void put_discard(struct guest *g, uint8_t flag, uint64_t sector,
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

static inline void show(struct guest *g)
{
	if (ring_front_push(&g->ring))
		evtchn_notify(g->ev);
}

/* The next response, at most twenty seconds from now. */
static inline int16_t collect(struct guest *g, uint64_t *id)
{
	uint64_t deadline_ns = clock_now_ns() + 20 * NS_PER_S;
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
static inline int16_t ask(struct guest *g, const struct blkif_request *req)
{
	uint64_t id = 0;
	int16_t status;

	put(g, req);
	show(g);
	status = collect(g, &id);
	return id == req->id ? status : NO_ANSWER;
}

static inline int16_t ask_indirect(struct guest *g,
				   const struct blkif_request_indirect *req)
{
	uint64_t id = 0;
	int16_t status;

	put_indirect(g, req);
	show(g);
	status = collect(g, &id);
	return id == req->id ? status : NO_ANSWER;
}

static inline int16_t ask_discard(struct guest *g, uint8_t flag,
				  uint64_t sector, uint64_t nr_sectors)
{
	uint64_t id = 0;
	int16_t status;

	put_discard(g, flag, sector, nr_sectors);
	show(g);
	status = collect(g, &id);
	return id == g->next_id ? status : NO_ANSWER;
}

/* Write and read back through the ring. It has pages of its own for that, and a
 * second queue others, and other sectors. */
static inline bool disk_works(struct guest *g)
{
	uint64_t sector = g->first ? NR_SECTORS / 2 + 64 : 64;
	uint32_t page = g->first ? 32 : 16;
	struct blkif_request req = request(g, BLKIF_OP_WRITE, 3, sector);

	for (uint32_t i = 0; i < 3; i++) {
		memset(page_of(g, page + i), (int)(g->next_id + i),
		       PV_PAGE_SIZE);
		req.seg[i].gref = g->data.first_ref + page + i;
	}
	if (ask(g, &req) != BLKIF_RSP_OKAY)
		return false;
	req = request(g, BLKIF_OP_READ, 3, sector);
	for (uint32_t i = 0; i < 3; i++)
		req.seg[i].gref = g->data.first_ref + page + 5 + i;
	if (ask(g, &req) != BLKIF_RSP_OKAY)
		return false;
	for (uint32_t i = 0; i < 3; i++)
		if (memcmp(page_of(g, page + i), page_of(g, page + 5 + i),
			   PV_PAGE_SIZE))
			return false;
	return true;
}

static inline struct ring_header *header_of(struct guest *g)
{
	return g->ring_pages.base;
}

static inline void set_producer(struct guest *g, uint32_t prod)
{
	__atomic_store_n(&header_of(g)->req_prod, prod, __ATOMIC_SEQ_CST);
	evtchn_notify(g->ev);
}

static inline bool faults(struct guest *g, int err)
{
	return told(g, is_faulty) && blkback_queue_fault(g->queue) == err;
}

#endif /* TESTS_HOSTILE_BLK_GUEST_H */
