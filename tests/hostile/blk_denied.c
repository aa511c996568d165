/* SPDX-License-Identifier: MIT */
/*
 * blk_denied.c - blkback's queue when the platform says no, and when somebody
 * tries how often and in which order things can be done. A platform counts what
 * is mapped, and refuses the map or the memory that the test names:
 * XSA-71, 361, 362, 365, 367, 371, CVE-2022-50257 (a refusal at every place),
 * XSA-300 (no end of references), XSA-216 (padding of responses), XSA-229
 * (segments that only look adjacent), XSA-90, 374, 350, 526..528 (connect,
 * fault, disconnect and reading of counters, in any order).
 * In the end nothing is mapped, whatever happened.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blkback/queue.h"
#include "platform/private.h"
#include "ring/ring.h"
#include "tests/unit/unit.h"

#define DOMID	    3
#define REF	    100u /* page idx % NR_PAGES has reference REF + idx */
#define NR_PAGES    64u
#define DATA_PAGE   2u /* 0: the ring, 1: segments of indirect requests */
#define NEVER	    UINT64_MAX
#define NR_ROUNDS   10000u
#define KEPT_MAX    1056u /* pages.c: as many as Linux's backend */
#define NR_SEGMENTS 40u	  /* of an indirect request here */

/* ---- memory that is refused -------------------------------------------------
 */

static uint64_t calloc_fails_at = NEVER;

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);

void *__wrap_calloc(size_t nr, size_t size)
{
	if (calloc_fails_at != NEVER && calloc_fails_at-- == 0) {
		calloc_fails_at = NEVER;
		return NULL;
	}
	return __real_calloc(nr, size);
}

/* ---- the platform ----------------------------------------------------------
 */

static int pages_fd;
static uint8_t *pages;
static unsigned nr_mapped, nr_mapped_max;
static uint64_t map_fails_at = NEVER;

static int counting_map(struct platform *p, domid_t domid,
			const grant_ref_t *refs, uint32_t nr, bool writable,
			struct grant_map *ret)
{
	size_t size_bytes = (size_t)nr * PV_PAGE_SIZE;
	uint8_t *base;

	(void)p;
	if (map_fails_at != NEVER && map_fails_at-- == 0) {
		map_fails_at = NEVER;
		return -ENOMEM;
	}
	base = mmap(NULL, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (base == MAP_FAILED)
		abort();
	for (uint32_t i = 0; i < nr; i++)
		if (mmap(base + (size_t)i * PV_PAGE_SIZE, PV_PAGE_SIZE,
			 PROT_READ | (writable ? PROT_WRITE : 0),
			 MAP_SHARED | MAP_FIXED, pages_fd,
			 (off_t)((refs[i] - REF) % NR_PAGES * PV_PAGE_SIZE)) ==
		    MAP_FAILED)
			abort();
	*ret = (struct grant_map){ .base = shared_of(base),
				   .nr_pages = nr,
				   .domid = domid,
				   .writable = writable };
	nr_mapped += nr;
	if (nr_mapped > nr_mapped_max)
		nr_mapped_max = nr_mapped;
	return 0;
}

static void counting_unmap(struct platform *p, struct grant_map *map)
{
	(void)p;
	nr_mapped -= map->nr_pages;
	munmap((void *)(uintptr_t)map->base,
	       (size_t)map->nr_pages * PV_PAGE_SIZE);
	*map = (struct grant_map){ 0 };
}

static const struct platform_ops counting_ops;
static bool bind_fails;
static int kick_fd = -1; /* the frontend's notifications */

static int counting_bind(struct platform *p, domid_t remote,
			 evtchn_port_t remote_port, struct evtchn **ret)
{
	static struct evtchn ev = { .ops = &counting_ops };

	(void)p;
	(void)remote;
	if (bind_fails)
		return -ENOENT;
	ev.fd = kick_fd;
	ev.port = remote_port;
	*ret = &ev;
	return 0;
}

static void counting_notify(struct evtchn *ev)
{
	(void)ev;
}

static int counting_clear(struct evtchn *ev)
{
	uint64_t junk;
	ssize_t n = read(ev->fd, &junk, sizeof(junk));

	(void)n;
	return 0;
}

static void counting_close(struct evtchn *ev, bool keep)
{
	(void)ev;
	(void)keep;
}

static const struct platform_ops counting_ops = {
	.map = counting_map,
	.unmap = counting_unmap,
	.evtchn_bind = counting_bind,
	.evtchn_notify = counting_notify,
	.evtchn_clear = counting_clear,
	.evtchn_close = counting_close,
};

static struct platform platform = { .ops = &counting_ops };

/* ---- a disk and its frontend ------------------------------------------------
 */

static struct storage *disk;
static struct inflight *record;
static struct blkback_queue *queue;
static struct ring_front ring;
static uint64_t next_id;
static int event_fd = -1;

static void open_world(void)
{
	const struct storage_ops *ops = storage_by_name("mem");
	struct storage_desc desc;
	int fds[STORAGE_FDS_MAX];
	char why[256];

	pages_fd = memfd_create("pages", MFD_CLOEXEC);
	if (pages_fd < 0 || ftruncate(pages_fd, NR_PAGES * PV_PAGE_SIZE))
		abort();
	pages = mmap(NULL, NR_PAGES * PV_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED, pages_fd, 0);
	if (pages == MAP_FAILED ||
	    ops->acquire("mem:4M", 0, &desc, fds, why, sizeof(why)) ||
	    ops->open(&desc, fds, &disk))
		abort();
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	nr_mapped = nr_mapped_max = 0;
}

static void close_world(void)
{
	UNIT_CHECK(nr_mapped == 0);
	disk->ops->close(disk);
	munmap(pages, NR_PAGES * PV_PAGE_SIZE);
	close(pages_fd);
	close(event_fd);
	close(kick_fd);
}

static int connect_as(enum blk_layout layout, uint32_t features)
{
	struct inflight_params params = { .domid = DOMID,
					  .handle = 51712,
					  .nr_queues = 1,
					  .ring_refs = { REF },
					  .evtchn_port = 1,
					  .layout = layout,
					  .features = features };
	struct blkback_queue_config config = { .platform = &platform,
					       .storage = disk,
					       .event_fd = event_fd };
	int err;

	memset(pages, 0, PV_PAGE_SIZE);
	ring_front_init(&ring, shared_of(pages), PV_PAGE_SIZE,
			blk_slot_bytes(layout));
	err = inflight_create(&params, &record);
	if (err)
		return err;
	config.inflight = record;
	err = blkback_queue_open(&config, &queue);
	if (err) {
		inflight_close(record);
		return err;
	}
	return 0;
}

static void must_connect(enum blk_layout layout, uint32_t features)
{
	if (connect_as(layout, features))
		abort();
	blkback_queue_begin(queue);
}

static void disconnect(void)
{
	blkback_queue_close(queue, false);
	inflight_close(record);
	queue = NULL;
}

static void poll_queue(void)
{
	struct work_source *src = blkback_queue_source(queue);

	while (src->ops->poll(src, WORKER_BUDGET))
		continue;
}

/* Its status, or INT16_MAX: there was no answer. */
static int16_t ask(const void *req, size_t size_bytes)
{
	struct blkif_response rsp;

	ring_front_put(&ring, req, size_bytes);
	(void)!ring_front_push(&ring);
	poll_queue();
	if (ring_front_pending(&ring) <= 0)
		return INT16_MAX;
	ring_front_get(&ring, &rsp, sizeof(rsp));
	return rsp.id == next_id ? rsp.status : INT16_MAX;
}

static struct blkif_request direct(uint8_t op, uint8_t nr)
{
	struct blkif_request req = { .operation = op,
				     .nr_segments = nr,
				     .id = ++next_id };

	for (uint32_t i = 0; i < nr; i++)
		req.seg[i] = (struct blkif_request_segment){
			.gref = REF + DATA_PAGE + i, .last_sect = 7
		};
	return req;
}

static int16_t ask_direct(uint8_t op)
{
	struct blkif_request req = direct(op, 11);

	return ask(&req, sizeof(req));
}

static int16_t ask_indirect(uint8_t op)
{
	struct blkif_request_segment *seg =
		(struct blkif_request_segment *)(void *)(pages + PV_PAGE_SIZE);
	struct blkif_request_indirect req = { .operation = BLKIF_OP_INDIRECT,
					      .indirect_op = op,
					      .nr_segments = NR_SEGMENTS,
					      .id = ++next_id,
					      .indirect_grefs = { REF + 1 } };

	for (uint32_t i = 0; i < NR_SEGMENTS; i++)
		seg[i] = (struct blkif_request_segment){
			.gref = REF + DATA_PAGE + i, .last_sect = 7
		};
	return ask(&req, sizeof(req));
}

/* ---- refusals (XSA-71, 361, 362, 365, 367, 371) ----------------------------
 */

typedef int16_t ask_fn(uint8_t op);

/* Returns how many maps a fresh queue's request needs. */
static unsigned refuse_each_map(ask_fn *fn, uint32_t features, uint8_t op)
{
	for (unsigned k = 0;; k++) {
		bool refused;
		int16_t status;

		must_connect(BLK_LAYOUT_X86_64, features);
		map_fails_at = k;
		status = fn(op);
		refused = map_fails_at == NEVER;
		map_fails_at = NEVER;
		UNIT_CHECK(status ==
			   (refused ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY));
		/* The next is served, with what is in the cache by now. */
		UNIT_CHECK(fn(op) == BLKIF_RSP_OKAY);
		disconnect();
		UNIT_CHECK(nr_mapped == 0);
		if (!refused)
			return k;
	}
}

static void xsa_365_a_map_refused_at_any_segment_is_undone(void)
{
	open_world();
	for (uint8_t op = BLKIF_OP_READ; op <= BLKIF_OP_WRITE; op++) {
		UNIT_CHECK(refuse_each_map(ask_direct, INFLIGHT_PERSISTENT,
					   op) == 11);
		UNIT_CHECK(refuse_each_map(ask_indirect, INFLIGHT_PERSISTENT,
					   op) >= NR_SEGMENTS);
		UNIT_CHECK(refuse_each_map(ask_direct, 0, op) >= 1);
		UNIT_CHECK(refuse_each_map(ask_indirect, 0, op) >= 2);
	}
	close_world();
}

static void xsa_71_memory_refused_at_any_step_of_connecting_is_undone(void)
{
	unsigned nr_refused = 0;

	open_world();
	for (uint32_t features = 0; features <= INFLIGHT_PERSISTENT; features++)
		for (uint64_t k = 0;; k++) {
			bool refused;
			int err;

			calloc_fails_at = k;
			err = connect_as(BLK_LAYOUT_X86_64, features);
			refused = calloc_fails_at == NEVER;
			calloc_fails_at = NEVER;
			UNIT_CHECK(err == (refused ? -ENOMEM : 0));
			if (!err)
				disconnect();
			UNIT_CHECK(nr_mapped == 0);
			nr_refused += refused;
			if (!refused)
				break;
		}
	UNIT_CHECK(nr_refused >= 6);
	close_world();
}

/* ---- no end of references (XSA-300) ----------------------------------------
 */

static void xsa_300_a_hundred_thousand_references_are_not_all_kept(void)
{
	unsigned nr_wrong = 0;

	open_world();
	must_connect(BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT);
	for (uint32_t ref = 0; ref < 100000; ref += 10) {
		struct blkif_request req = direct(BLKIF_OP_WRITE, 10);

		for (uint32_t i = 0; i < 10; i++)
			req.seg[i].gref = REF + ref + i;
		nr_wrong += ask(&req, sizeof(req)) != BLKIF_RSP_OKAY;
	}
	UNIT_CHECK(nr_wrong == 0);
	/* The ring, and of one request those that the cache had no room for. */
	UNIT_CHECK(nr_mapped_max <= KEPT_MAX + 1 + 11);
	UNIT_CHECK(nr_mapped_max > 100);
	disconnect();
	close_world();
}

/* ---- responses (XSA-216) ----------------------------------------------------
 */

__attribute__((noinline)) static void poison_stack(void)
{
	volatile uint8_t junk[8192];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = 0xa5;
}

/* What is below us on the stack is what a response is made of next. */
static void xsa_216_nor_when_the_stack_was_just_used(void)
{
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++) {
		struct blk_raw raw;
		size_t size_bytes;

		memset(&raw, 0xa5, sizeof(raw));
		poison_stack();
		size_bytes = blkif_response(layout, 7, 1, -2, &raw);
		UNIT_CHECK(raw.bytes[9] == 0);
		for (size_t i = 12; i < size_bytes; i++)
			UNIT_CHECK(raw.bytes[i] == 0);
	}
}

static void xsa_216_nothing_of_the_stack_is_in_a_response(void)
{
	static const unsigned sizes[BLK_NR_LAYOUTS] = {
		sizeof(struct blkif_response),
		sizeof(struct blkif_x86_32_response)
	};

	open_world();
	for (unsigned layout = 0; layout < BLK_NR_LAYOUTS; layout++)
		for (unsigned op = 0; op < 256; op++) {
			uint8_t slot[BLK_RAW_BYTES] = { 0 }, *at;
			uint64_t id = 0x0101010101010101u;

			must_connect(layout, INFLIGHT_PERSISTENT);
			slot[0] = (uint8_t)op;
			memcpy(slot + (layout == BLK_LAYOUT_X86_64 ? 8 : 4),
			       &id, sizeof(id));
			ring_front_put(&ring, slot, blk_slot_bytes(layout));
			(void)!ring_front_push(&ring);
			poison_stack();
			poll_queue();
			at = pages + 64; /* the ring's first slot */
			UNIT_CHECK(memcmp(at, &id, sizeof(id)) == 0);
			for (unsigned i = 0; i < sizes[layout]; i++)
				UNIT_CHECK(at[i] != 0xa5 || op == 0xa5);
			/* operation, one byte of nothing, status, the rest */
			/* Of an indirect request the one within: 0. */
			UNIT_CHECK(at[8] == (op == BLKIF_OP_INDIRECT ? 0 : op));
			UNIT_CHECK(at[9] == 0);
			for (unsigned i = 12; i < sizes[layout]; i++)
				UNIT_CHECK(at[i] == 0);
			disconnect();
		}
	close_world();
}

/* ---- segments (XSA-229)
 * ------------------------------------------------------
 */

static unsigned seed;

static unsigned below(unsigned end)
{
	return (unsigned)rand_r(&seed) % end;
}

/* Any segments; want gets what they name, in their order. */
static size_t random_segments(struct blkif_request *req, uint8_t *want)
{
	size_t size_bytes = 0;

	for (uint32_t i = 0; i < req->nr_segments; i++) {
		struct blkif_request_segment *s = &req->seg[i];
		unsigned page = DATA_PAGE + below(NR_PAGES - DATA_PAGE);
		unsigned first = below(8), nr = 1 + below(8 - first);

		*s = (struct blkif_request_segment){
			.gref = REF + page,
			.first_sect = (uint8_t)first,
			.last_sect = (uint8_t)(first + nr - 1),
		};
		memcpy(want + size_bytes,
		       pages + page * PV_PAGE_SIZE + first * 512, nr * 512ul);
		size_bytes += nr * 512ul;
	}
	return size_bytes;
}

static void read_done(struct storage_io *io)
{
	(void)io;
}

static void read_disk(struct storage_channel *ch, uint8_t *got,
		      size_t size_bytes)
{
	struct iovec iov = { got, size_bytes };
	struct storage_io io = { .op = STORAGE_READ,
				 .size_bytes = size_bytes,
				 .iov = &iov,
				 .nr_iov = 1,
				 .done = read_done };

	if (disk->ops->submit(ch, &io) || !disk->ops->poll(ch) || io.result)
		abort();
}

/* Pages are mapped wherever there is room, neighbours or not. */
static void xsa_229_segments_are_what_they_name_however_they_lie(void)
{
	static uint8_t want[11 * PV_PAGE_SIZE], got[11 * PV_PAGE_SIZE];
	struct storage_channel *ch;
	unsigned nr_wrong = 0;

	seed = 229;
	open_world();
	if (disk->ops->channel_open(disk, 1, &ch))
		abort();
	for (unsigned i = DATA_PAGE * PV_PAGE_SIZE; i < NR_PAGES * PV_PAGE_SIZE;
	     i++)
		pages[i] = (uint8_t)(i / 512 * 31 + i / 4096 + i);
	for (unsigned round = 0; round < 3000; round++) {
		struct blkif_request req =
			direct(BLKIF_OP_WRITE, (uint8_t)(1 + below(11)));
		size_t size_bytes = random_segments(&req, want);

		if (round % 100 == 0)
			must_connect(BLK_LAYOUT_X86_64, round / 100 % 2);
		nr_wrong += ask(&req, sizeof(req)) != BLKIF_RSP_OKAY;
		read_disk(ch, got, size_bytes);
		nr_wrong += memcmp(want, got, size_bytes) != 0;
		if (round % 100 == 99)
			disconnect();
	}
	UNIT_CHECK(nr_wrong == 0);
	disk->ops->channel_close(ch);
	close_world();
}

/* ---- any order (XSA-90, 374, 350, 526..528) --------------------------------
 */

static void kick(void)
{
	uint64_t one = 1;
	ssize_t n = write(kick_fd, &one, sizeof(one));

	(void)n;
}

static void stop_and_read(void)
{
	struct pollfd p = { .fd = event_fd, .events = POLLIN };
	uint64_t junk, sum = 0;
	ssize_t n;

	while (blkback_queue_stop(queue) == -EINPROGRESS)
		if (poll(&p, 1, 10000) == 1)
			sum += (uint64_t)read(event_fd, &junk, sizeof(junk));
	n = read(event_fd, &junk, sizeof(junk));
	(void)n;
	UNIT_CHECK(blkback_queue_stopped(queue));
	sum += blkback_queue_stats(queue)->nr_reads;
	UNIT_CHECK(sum < UINT64_MAX / 2);
}

/* One of the ways in which a connection does not come about. */
static void fail_to_connect(void)
{
	uint64_t k = below(8);

	switch (below(3)) {
	case 0: bind_fails = true; break;
	case 1: map_fails_at = 0; break;
	default: calloc_fails_at = k; break;
	}
	if (!connect_as(BLK_LAYOUT_X86_64, INFLIGHT_PERSISTENT))
		disconnect(); /* fewer allocations than that */
	bind_fails = false;
	map_fails_at = calloc_fails_at = NEVER;
	UNIT_CHECK(nr_mapped == 0);
}

/* A few requests, good and bad, nobody waits for their answers. */
static void send(void)
{
	for (unsigned n = below(8); n; n--) {
		struct blkif_request req =
			direct((uint8_t)below(7), (uint8_t)below(12));

		if (below(4) == 0)
			req.sector_number = UINT64_MAX - below(3);
		if (ring.req_prod - ring.rsp_cons < ring.nr_slots)
			ring_front_put(&ring, &req, sizeof(req));
	}
	(void)!ring_front_push(&ring);
	kick();
}

/* The index that a frontend may not show. */
static void lie(void)
{
	uint32_t prod = ring.req_prod + ring.nr_slots + 1 + below(1000);

	/* req_prod is the first word of the page; pairs with the backend's
	 * acquire. */
	__atomic_store_n((uint32_t *)(void *)pages, prod, __ATOMIC_RELEASE);
	kick();
}

static void one_life(struct worker *w)
{
	bool lied = false;

	if (connect_as(BLK_LAYOUT_X86_64, below(2)))
		abort();
	if (below(8) == 0) {
		disconnect(); /* before it ever ran */
		return;
	}
	if (below(2))
		send();
	if (blkback_queue_start(queue, w))
		abort();
	for (unsigned n = below(5); n; n--)
		switch (below(4)) {
		case 0:
		case 1:
			if (!lied)
				send();
			break;
		case 2:
			lie();
			lied = true;
			break;
		default: (void)blkback_queue_fault(queue); break;
		}
	stop_and_read();
	UNIT_CHECK(lied || !blkback_queue_fault(queue));
	disconnect();
	UNIT_CHECK(nr_mapped == 0);
}

static void xsa_90_any_order_of_coming_failing_and_going(void)
{
	struct worker *w;

	open_world();
	if (worker_open("blk-denied", 0, &w))
		abort();
	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		seed = round + 1;
		if (below(4) == 0)
			fail_to_connect();
		else
			one_life(w);
	}
	worker_close(w);
	close_world();
}

UNIT_MAIN("blk_denied",
	  UNIT_TEST(xsa_365_a_map_refused_at_any_segment_is_undone),
	  UNIT_TEST(xsa_71_memory_refused_at_any_step_of_connecting_is_undone),
	  UNIT_TEST(xsa_300_a_hundred_thousand_references_are_not_all_kept),
	  UNIT_TEST(xsa_216_nothing_of_the_stack_is_in_a_response),
	  UNIT_TEST(xsa_216_nor_when_the_stack_was_just_used),
	  UNIT_TEST(xsa_229_segments_are_what_they_name_however_they_lie),
	  UNIT_TEST(xsa_90_any_order_of_coming_failing_and_going))
