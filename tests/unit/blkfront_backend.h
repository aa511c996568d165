/* SPDX-License-Identifier: MIT */
/*
 * blkfront_backend.h - a backend that does what a test says: with every feature
 * or with none, honest until told to lie, to fall silent or to die.
 *
 * It is a thread with its own connections, as another process would have. It
 * keeps its disk in memory and copies by reference.
 */
#ifndef TESTS_UNIT_BLKFRONT_BACKEND_H
#define TESTS_UNIT_BLKFRONT_BACKEND_H

#include <pthread.h>

#include "abi/blkif.h"
#include "ring/ring.h"
#include "tests/unit/blkfront_rig.h"

#define BACKEND_RINGS_MAX 4u

/*
 * A backend's disk is looked at by tests only under this lock: the ring, which
 * orders the bytes in truth, is the same memory at two addresses, and
 * ThreadSanitizer cannot know that.
 */
static pthread_mutex_t rig_disk_lock = PTHREAD_MUTEX_INITIALIZER;

static inline bool rig_disk_equal(const uint8_t *disk, const void *bytes,
				  size_t size_bytes)
{
	bool equal;

	pthread_mutex_lock(&rig_disk_lock);
	equal = memcmp(disk, bytes, size_bytes) == 0;
	pthread_mutex_unlock(&rig_disk_lock);
	return equal;
}

/* ---- the backend -----------------------------------------------------------
 */

enum lie {
	HONEST,
	LIE_ID_TOO_LARGE,  /* id = number of slots */
	LIE_ID_MAX,	   /* id = 2^32 - 1 */
	LIE_ID_FREE,	   /* an id that is not in flight */
	LIE_ID_TWICE,	   /* the same answer again */
	LIE_OPERATION,	   /* another operation than was asked */
	LIE_STATUS,	   /* 77 */
	LIE_PROD_JUMP,	   /* one response more than is outstanding */
	LIE_PROD_BACKWARD, /* rsp_prod - 1 */
	LIE_SILENCE,	   /* takes requests, answers none */
};

struct backend;

struct backend_ring {
	struct grant_map map;
	struct evtchn *evtchn;
	struct ring_back ring;
};

struct backend {
	struct rig *rig;
	/* the script, set before backend_start */
	const char *sectors, *sector_size, *physical, *info; /* NULL: absent */
	bool flush;
	unsigned ring_order; /* offered */
	enum lie lie;
	unsigned lie_after;		   /* honest answers first */
	unsigned lie_ring;		   /* the others stay honest */
	unsigned max_queues, max_segments; /* offered; 0: not */
	bool discard;
	const char *extra_node, *extra_value; /* written last; may be NULL */
	bool keeps_pages;		      /* never unmaps its rings */
	bool storm; /* notifies without end and reason */
	/* sees every request before it is carried out */
	void (*inspect)(struct backend *be, const struct backend_ring *br,
			const struct blkif_request *req);
	bool restarted; /* the successor of one that died */
	/* what it did */
	unsigned nr_answered, nr_flushes, nr_indirect, nr_discards;
	unsigned nr_answered_on[BACKEND_RINGS_MAX];
	unsigned used_order, nr_rings;
	bool connected;
	/* its own */
	pthread_t thread;
	bool stop; /* test's thread to backend's: atomic */
	bool die;  /* end without a word */
	struct platform *platform;
	struct xs *xs;
	struct backend_ring rings[BACKEND_RINGS_MAX];
	uint8_t *disk; /* the test's: survives backends */
};

static inline bool backend_stopping(struct backend *be)
{
	/* Pairs with the stores in backend_stop() and backend_die(). */
	return __atomic_load_n(&be->stop, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&be->die, __ATOMIC_ACQUIRE);
}

/* Wait until the frontend's state is one of the bits in mask. */
static inline unsigned backend_wait_front(struct backend *be, unsigned mask)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (clock_now_ns() < end_ns && !backend_stopping(be)) {
		unsigned state = rig_state(be->xs, be->rig->front);

		if (mask & (1u << state))
			return state;
		poll(NULL, 0, 1);
	}
	return 0;
}

static inline int backend_put(struct backend *be, const char *node,
			      const char *value)
{
	if (!value)
		return 0;
	return xs_printf(be->xs, XS_NO_TXN, be->rig->back, node, "%s", value);
}

static inline int backend_map_ring(struct backend *be, const char *dir,
				   struct backend_ring *br)
{
	uint32_t order = be->used_order, port;
	grant_ref_t refs[16];
	int err = 0;

	for (unsigned i = 0; i < 1u << order && !err; i++) {
		char node[24];

		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = xs_read_u32(be->xs, XS_NO_TXN, dir,
				  order ? node : "ring-ref", UINT32_MAX,
				  &refs[i]);
	}
	if (!err)
		err = xs_read_u32(be->xs, XS_NO_TXN, dir, "event-channel",
				  UINT32_MAX, &port);
	if (!err)
		err = platform_map(be->platform, be->rig->guest, refs,
				   1u << order, true, &br->map);
	if (err)
		return err;
	err = platform_evtchn_bind(be->platform, be->rig->guest, port,
				   &br->evtchn);
	if (err)
		return err;
	ring_back_init(&br->ring, br->map.base, PV_PAGE_SIZE << order,
		       sizeof(struct blkif_request));
	return 0;
}

static inline int backend_map(struct backend *be)
{
	const char *front = be->rig->front;
	uint32_t order, nr;
	int err;

	err = xs_read_u32_default(be->xs, XS_NO_TXN, front, "ring-page-order",
				  4, 0, &order);
	if (!err)
		err = xs_read_u32_default(be->xs, XS_NO_TXN, front,
					  "multi-queue-num-queues",
					  BACKEND_RINGS_MAX, 1, &nr);
	if (err)
		return err;
	be->used_order = order;
	be->nr_rings = nr;
	if (nr == 1)
		return backend_map_ring(be, front, &be->rings[0]);
	for (unsigned i = 0; i < nr && !err; i++) {
		char dir[160];

		snprintf(dir, sizeof(dir), "%s/queue-%u", front, i);
		err = backend_map_ring(be, dir, &be->rings[i]);
	}
	return err;
}

static inline int backend_put_number(struct backend *be, const char *node,
				     unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return value ? backend_put(be, node, text) : 0;
}

/* A successor offers what it has, and nothing of its predecessor's. */
static inline int backend_offer(struct backend *be)
{
	static const char *const nodes[] = {
		"feature-flush-cache", "feature-discard", "max-ring-page-order",
		"multi-queue-max-queues", "feature-max-indirect-segments"
	};
	const unsigned values[] = { be->flush, be->discard, be->ring_order,
				    be->max_queues, be->max_segments };
	int err = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(nodes) && !err; i++) {
		char path[192];

		snprintf(path, sizeof(path), "%s/%s", be->rig->back, nodes[i]);
		err = xs_rm(be->xs, XS_NO_TXN, path);
		if (!err || err == -ENOENT)
			err = backend_put_number(be, nodes[i], values[i]);
	}
	return err;
}

static inline int backend_connect(struct backend *be)
{
	int err = backend_offer(be);

	if (!err && be->extra_node)
		err = backend_put(be, be->extra_node, be->extra_value);
	if (!err && be->restarted) {
		err = backend_put(be, "state", "6");
		backend_wait_front(be, 1u << XenbusStateInitialising |
					       1u << XenbusStateClosed);
	}
	if (!err)
		err = backend_put(be, "state", "2");
	if (err)
		return err;
	if (!backend_wait_front(be, 1u << XenbusStateInitialised))
		return -ETIMEDOUT;
	err = backend_map(be);
	if (!err)
		err = backend_put(be, "sectors", be->sectors);
	if (!err)
		err = backend_put(be, "sector-size", be->sector_size);
	if (!err)
		err = backend_put(be, "physical-sector-size", be->physical);
	if (!err)
		err = backend_put(be, "info", be->info);
	if (!err)
		err = backend_put(be, "state", "4");
	return err;
}

static inline int backend_move(struct backend *be, bool to_guest,
			       const struct blkif_request_segment *seg,
			       unsigned nr, uint64_t at)
{
	for (unsigned i = 0; i < nr; i++, seg++) {
		struct grant_copy op = {
			.domid = be->rig->guest,
			.ref = seg->gref,
			.offset = (uint16_t)(seg->first_sect * 512),
			.size_bytes = (uint16_t)((seg->last_sect -
						  seg->first_sect + 1) *
						 512),
			.to_peer = to_guest,
			.local = be->disk + at,
		};
		int failed;

		if (at + op.size_bytes > RIG_DISK_BYTES)
			return BLKIF_RSP_ERROR;
		pthread_mutex_lock(&rig_disk_lock);
		failed = platform_copy(be->platform, &op, 1);
		pthread_mutex_unlock(&rig_disk_lock);
		if (failed)
			return BLKIF_RSP_ERROR;
		at += op.size_bytes;
	}
	return BLKIF_RSP_OKAY;
}

static inline int backend_do_indirect(struct backend *be,
				      const struct blkif_request_indirect *req)
{
	struct blkif_request_segment seg[BLKIF_SEGMENTS_PER_INDIRECT_PAGE];
	struct grant_copy op = {
		.domid = be->rig->guest,
		.ref = req->indirect_grefs[0],
		.size_bytes = PV_PAGE_SIZE,
		.local = seg,
	};

	be->nr_indirect++;
	if (req->nr_segments > be->max_segments ||
	    platform_copy(be->platform, &op, 1))
		return BLKIF_RSP_ERROR;
	return backend_move(be, req->indirect_op == BLKIF_OP_READ, seg,
			    req->nr_segments,
			    req->sector_number * BLKIF_SECTOR_SIZE);
}

/* Discarded bytes are 0xdd. */
static inline int backend_do_discard(struct backend *be,
				     const struct blkif_request_discard *req)
{
	uint64_t all = RIG_DISK_BYTES / BLKIF_SECTOR_SIZE;

	be->nr_discards++;
	if (req->sector_number > all ||
	    req->nr_sectors > all - req->sector_number)
		return BLKIF_RSP_ERROR;
	pthread_mutex_lock(&rig_disk_lock);
	memset(be->disk + req->sector_number * BLKIF_SECTOR_SIZE, 0xdd,
	       req->nr_sectors * BLKIF_SECTOR_SIZE);
	pthread_mutex_unlock(&rig_disk_lock);
	return BLKIF_RSP_OKAY;
}

/* Carries it out; what to answer is in rsp. */
static inline void backend_do(struct backend *be,
			      const struct blkif_request *req,
			      struct blkif_response *rsp)
{
	struct blkif_request_indirect indirect;
	struct blkif_request_discard discard;
	int status;

	*rsp = (struct blkif_response){ .id = req->id,
					.operation = req->operation };
	switch (req->operation) {
	case BLKIF_OP_INDIRECT:
		memcpy(&indirect, req, sizeof(indirect));
		rsp->operation = indirect.indirect_op; /* as Linux does */
		status = backend_do_indirect(be, &indirect);
		break;
	case BLKIF_OP_DISCARD:
		memcpy(&discard, req, sizeof(discard));
		status = backend_do_discard(be, &discard);
		break;
	default:
		be->nr_flushes += req->operation == BLKIF_OP_FLUSH_DISKCACHE;
		status = backend_move(be, req->operation == BLKIF_OP_READ,
				      req->seg, req->nr_segments,
				      req->sector_number * BLKIF_SECTOR_SIZE);
	}
	rsp->status = (int16_t)status;
}

static inline void backend_answer(struct backend_ring *br,
				  struct blkif_response *rsp)
{
	ring_back_put(&br->ring, rsp, sizeof(*rsp));
	if (ring_back_push(&br->ring))
		evtchn_notify(br->evtchn);
}

static inline struct ring_header *backend_header(struct backend_ring *br)
{
	return (struct ring_header *)(uintptr_t)br->map.base;
}

/* Write rsp_prod as no honest backend would. */
static inline void backend_forge_prod(struct backend_ring *br, uint32_t prod)
{
	/* Pairs with the loads in ring_front_pending(), ring_front_arm(). */
	__atomic_store_n(&backend_header(br)->rsp_prod, prod, __ATOMIC_SEQ_CST);
	evtchn_notify(br->evtchn);
}

/* Wait until the frontend has consumed every answer and is about to sleep. */
static inline void backend_wait_consumed(struct backend *be,
					 struct backend_ring *br)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	/* Pairs with the store in ring_front_arm(). */
	while (__atomic_load_n(&backend_header(br)->rsp_event,
			       __ATOMIC_SEQ_CST) != br->ring.rsp_prod + 1 &&
	       clock_now_ns() < end_ns && !backend_stopping(be))
		poll(NULL, 0, 1);
}

static inline void backend_lie(struct backend *be, struct backend_ring *br,
			       struct blkif_response rsp)
{
	uint32_t outstanding = br->ring.req_cons - br->ring.rsp_prod;

	switch (be->lie) {
	case HONEST:
	case LIE_SILENCE: return;
	case LIE_ID_TOO_LARGE: rsp.id = br->ring.nr_slots; break;
	case LIE_ID_MAX: rsp.id = UINT32_MAX; break;
	case LIE_ID_FREE:
		rsp.id = (rsp.id + br->ring.nr_slots / 2) % br->ring.nr_slots;
		break;
	case LIE_ID_TWICE:
		/* the second one takes the place of another's answer */
		backend_answer(br, &rsp);
		if (ring_back_pending(&br->ring) > 0) {
			struct blkif_request other;

			ring_back_get(&br->ring, &other, sizeof(other));
			backend_answer(br, &rsp);
		} else {
			backend_forge_prod(br, br->ring.rsp_prod + 1);
		}
		return;
	case LIE_OPERATION: rsp.operation ^= 1; break;
	case LIE_STATUS: rsp.status = 77; break;
	case LIE_PROD_JUMP:
		backend_forge_prod(
			br, br->ring.rsp_prod + outstanding +
				    (uint32_t)ring_back_pending(&br->ring) + 1);
		return;
	case LIE_PROD_BACKWARD:
		backend_wait_consumed(be, br);
		backend_forge_prod(br, br->ring.rsp_prod - 1);
		return;
	}
	backend_answer(br, &rsp);
}

/* One request, if there is one. */
static inline bool backend_serve_ring(struct backend *be, unsigned nr)
{
	struct backend_ring *br = &be->rings[nr];
	struct blkif_request req;
	struct blkif_response rsp;

	if (ring_back_arm(&br->ring) <= 0)
		return false;
	ring_back_get(&br->ring, &req, sizeof(req));
	if (be->inspect)
		be->inspect(be, br, &req);
	backend_do(be, &req, &rsp);
	if (be->nr_answered < be->lie_after || nr != be->lie_ring ||
	    be->lie == HONEST) {
		backend_answer(br, &rsp);
		be->nr_answered++;
		be->nr_answered_on[nr]++;
	} else {
		backend_lie(be, br, rsp);
	}
	return true;
}

static inline void backend_serve(struct backend *be)
{
	while (!backend_stopping(be)) {
		struct pollfd pfd[BACKEND_RINGS_MAX];
		bool busy = false;
		unsigned front;

		for (unsigned i = 0; i < be->nr_rings; i++)
			busy = backend_serve_ring(be, i) || busy;
		if (busy)
			continue;
		front = rig_state(be->xs, be->rig->front);
		if (front == XenbusStateClosing || front == XenbusStateClosed)
			return;
		for (unsigned i = 0; i < be->nr_rings; i++)
			pfd[i] = (struct pollfd){ .fd = evtchn_fd(
							  be->rings[i].evtchn),
						  .events = POLLIN };
		if (!be->storm)
			poll(pfd, be->nr_rings, 20);
		for (unsigned i = 0; i < be->nr_rings; i++) {
			if (be->storm)
				evtchn_notify(be->rings[i].evtchn);
			if (evtchn_clear(be->rings[i].evtchn) < 0)
				return;
		}
	}
}

static inline void *backend_run(void *arg)
{
	struct backend *be = arg;
	int fd;

	if (platform_lite_open(be->rig->run_dir, be->rig->driver,
			       &be->platform))
		return NULL;
	fd = platform_store_connect(be->platform);
	if (fd >= 0 && !xs_open_fd(fd, &be->xs)) {
		be->connected = backend_connect(be) == 0;
		if (be->connected)
			backend_serve(be);
	}
	for (unsigned i = 0; i < BACKEND_RINGS_MAX; i++) {
		if (be->rings[i].evtchn)
			evtchn_close(be->rings[i].evtchn);
		if (be->rings[i].map.nr_pages && !be->keeps_pages)
			platform_unmap(be->platform, &be->rings[i].map);
	}
	/* Pairs with the store in backend_die(). */
	if (be->xs && !__atomic_load_n(&be->die, __ATOMIC_ACQUIRE)) {
		int ignored = backend_put(be, "state", "6");

		(void)ignored; /* the directory may be gone */
	}
	xs_close(be->xs);
	if (!be->keeps_pages)
		platform_close(be->platform);
	return NULL;
}

static inline int backend_start(struct backend *be, struct rig *rig)
{
	be->rig = rig;
	be->stop = be->die = false;
	return -pthread_create(&be->thread, NULL, backend_run, be);
}

/* Say goodbye / vanish: what a killed process leaves. Both wait for the end. */
static inline void backend_stop(struct backend *be)
{
	/* Pairs with the load in backend_stopping(). */
	__atomic_store_n(&be->stop, true, __ATOMIC_RELEASE);
	pthread_join(be->thread, NULL);
}

static inline void backend_die(struct backend *be)
{
	/* Pairs with the loads in backend_stopping() and backend_run(). */
	__atomic_store_n(&be->die, true, __ATOMIC_RELEASE);
	pthread_join(be->thread, NULL);
}

/* After the end of one that keeps pages. */
static inline void backend_let_go(struct backend *be)
{
	for (unsigned i = 0; i < BACKEND_RINGS_MAX; i++)
		if (be->rings[i].map.nr_pages)
			platform_unmap(be->platform, &be->rings[i].map);
	platform_close(be->platform);
}

#endif /* TESTS_UNIT_BLKFRONT_BACKEND_H */
