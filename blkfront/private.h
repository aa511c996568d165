/* SPDX-License-Identifier: MIT */
/*
 * private.h - the parts of a blkfront, for the files of this folder only.
 *
 *   queue.c    ios -> ring requests -> shadows -> responses -> ios: pure memory
 *   connect.c  the connection: handshake, loss, return, end
 *   blkfront.c the public calls, and what waits for what
 *
 * Thread: the thread that owns the blkfront.
 */
#ifndef BLKFRONT_PRIVATE_H
#define BLKFRONT_PRIVATE_H

#include "abi/blkif.h"
#include "abi/grant.h"
#include "blkfront/blkfront.h"
#include "grant/grant.h"
#include "ring/ring.h"
#include "util/list.h"
#include "util/log.h"
#include "util/num.h"
#include "util/spin.h"
#include "xenbus/xenbus.h"

/* ---- queue.c ------------------------------------------------------------ */

#define BLKFRONT_RING_ORDER_MAX 2u
/* Requests in flight: what a ring of that order holds. */
#define BLKFRONT_SHADOWS 128u

enum shadow_state {
	SHADOW_FREE,
	SHADOW_IN_FLIGHT, /* shown to the backend, not answered */
	SHADOW_HELD,	  /* was in flight when the backend went: issue again */
};

/* What one ring request was, as only we know it; its index is the id. */
struct shadow {
	enum shadow_state state;
	uint32_t next_free;
	uint64_t seq; /* order of issue */
	struct blkfront_io *io;
	struct blkif_request req;
};

struct io_list {
	struct blkfront_io *head, **tail;
	uint32_t nr;
};

struct queue {
	struct ring_front ring; /* valid while attached */
	bool attached;
	uint16_t handle;
	/* the shared region: page i has reference first_ref + i */
	uint8_t *region;
	uint64_t region_bytes;
	grant_ref_t first_ref;
	bool flush; /* the backend knows FLUSH_DISKCACHE */

	struct shadow shadows[BLKFRONT_SHADOWS];
	uint32_t free_head, nr_free, nr_in_flight;
	uint64_t next_seq;
	/* held shadows' ids in order of issue; held_next.. are still held */
	uint32_t held[BLKFRONT_SHADOWS], nr_held, held_next;

	struct io_list waiting; /* not yet (wholly) in the ring, in order */
	uint64_t split_bytes; /* of the first waiting io: already in the ring */
	struct io_list done;  /* completed, callback still to run */
};

void queue_init(struct queue *q);
/* Append an io that the caller has validated. */
void queue_submit(struct queue *q, struct blkfront_io *io);
/* Is [buf, buf + size_bytes) in the region and 512-byte aligned? */
bool queue_owns(const struct queue *q, const void *buf, size_t size_bytes);

/*
 * A zeroed ring is connected: what was held goes first, in its old order.
 */
void queue_attach(struct queue *q, void *ring, size_t ring_bytes);
/* The backend is gone; what is in flight is held for its successor. */
void queue_detach(struct queue *q);
/*
 * Put as many requests into the ring as fit, show them.
 * True: the backend wants a notification.
 */
bool queue_push(struct queue *q) PV_MUST_CHECK;
/*
 * Consume responses. Returns how many; -EPROTO: the backend lied (why says
 * how), nothing more will be read from this ring.
 */
int queue_reap(struct queue *q, const char **why) PV_MUST_CHECK;
/* Ask for an event. True: there is something to do, do not sleep. */
bool queue_arm(struct queue *q) PV_MUST_CHECK;
/* Complete every io that is not complete with err. */
void queue_fail(struct queue *q, int err);
/* Run the callbacks of completed ios; they may submit. Returns how many. */
unsigned queue_run_done(struct queue *q);
/* Nothing in the ring, held or waiting. */
bool queue_idle(const struct queue *q);

/* ---- connect.c ---------------------------------------------------------- */

enum link_state {
	LINK_CONNECTING, /* handshake with a backend that is there or will be */
	LINK_UP,
	LINK_DRAINING, /* being detached: what is in flight is answered first */
	LINK_DOWN,     /* for good; lost says why */
};

struct blkfront {
	struct queue queue;
	struct blkfront_info info;
	uint32_t handle;
	uint64_t buf_bytes;
	enum link_state link;
	int lost;    /* why the disk is lost for good: -errno; 0: it is not */
	bool was_up; /* connected at least once */

	struct platform *platform;
	struct xs *xs;
	bool store_gone; /* for good; the data path goes on without */
	struct xenbus_device dev;
	bool dev_started;
	struct grant_pool *pool;
	domid_t backend_id; /* whom the pool is shared with */
	struct share ring;
	uint32_t ring_order;
	struct evtchn *evtchn;

	int lock_fd; /* this process drives the disk */
	int epoll_fd, timer_fd;
	uint64_t timer_at_ns; /* 0: not set */
	uint64_t up_since_ns, backoff_ns;
	bool armed; /* the owner may have slept: look at the descriptors */
	uint64_t next_look_ns;
	struct spin spin; /* blkfront_rw_sync's */
	struct log_limit limit;
};

/* Begin the handshake (again). */
int connect_start(struct blkfront *bf) PV_MUST_CHECK;
/* Look at event channel, timer and store. Never waits for the backend. */
void connect_events(struct blkfront *bf);
/* Show waiting requests to the backend. */
void connect_push(struct blkfront *bf);
/* Take the responses that are there; a lie takes the disk down. */
void connect_reap(struct blkfront *bf);
/*
 * Serve everything until done() says so or the deadline passes. For opening and
 * closing: sleeps in between, and does not spin.
 */
typedef bool connect_done_fn(const struct blkfront *bf);
void connect_serve(struct blkfront *bf, connect_done_fn *done,
		   uint64_t deadline_ns);
/*
 * An orderly end: what is in flight is answered, then goodbye; at deadline_ns
 * without the backend's consent. Everything is released.
 */
void connect_close(struct blkfront *bf, uint64_t deadline_ns);

#endif /* BLKFRONT_PRIVATE_H */
