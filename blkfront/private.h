/* SPDX-License-Identifier: MIT */
/*
 * private.h - the parts of a blkfront, for the files of this folder only.
 *
 *   cut.c      an io's next piece -> one ring request: pure memory
 *   queue.c    ios -> pieces -> shadows -> responses -> ios: pure memory
 *   owner.c    a queue with its lock and channel: what its owner calls
 *   features.c what the backend offers and what we answer: the store's nodes
 *   rings.c    memory and channels under the queues: made, connected, taken
 *   connect.c  the connection: handshake, loss, return, end
 *   blkfront.c opening, closing, buffers
 *
 * Thread: each part says whose it is. "control" is the owner of queue 0.
 */
#ifndef BLKFRONT_PRIVATE_H
#define BLKFRONT_PRIVATE_H

#include <pthread.h>

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

#define BLKFRONT_RING_ORDER_MAX 4u
/* Requests in flight on one ring: what a ring of that order holds. */
#define BLKFRONT_SHADOWS 512u
/* Segments that we put into one request: 1 MiB. */
#define BLKFRONT_SEGMENTS_MAX 256u
/* Requests of more than 11 segments in flight on one ring. */
#define BLKFRONT_SEGMENT_PAGES 32u

/* ---- cut.c: no state ----------------------------------------------------- */

/* What the backend of this connection takes. */
struct limits {
	uint32_t max_segments; /* 11..BLKFRONT_SEGMENTS_MAX */
	bool flush, discard, secure_discard;
};

/* Pages that the backend may see: page i has reference first_ref + i. */
struct pages {
	uint8_t *base;
	uint64_t size_bytes;
	grant_ref_t first_ref;
};

union ring_request {
	struct blkif_request direct;
	struct blkif_request_discard discard;
	struct blkif_request_indirect indirect;
};

/* Segments that [buf, buf + size_bytes) in memory needs. */
uint32_t cut_nr_segments(const void *buf, size_t size_bytes);
/*
 * Fill req (zeroed) with io from byte `from` on; id and handle are the
 * caller's. page: for the segments, when there are more than 11 and at most
 * max_segments; NULL: none. It is written, and never read.
 * Returns the bytes that the request covers; all of a flush or a discard.
 */
size_t cut_request(const struct pages *buffers, const struct blkfront_io *io,
		   size_t from, uint32_t max_segments, const struct pages *page,
		   union ring_request *req);
bool cut_is_supported(const struct limits *limits, enum blkfront_op op);

/* ---- queue.c: whoever has the queue's lock ------------------------------- */

/* What one ring request was, as only we know it; its index is the id. */
struct shadow {
	uint8_t operation;
	bool in_flight;	    /* shown to the backend, not answered */
	uint16_t next_free; /* while free */
	uint16_t page;	    /* segments' page, or NO_PAGE */
	uint64_t seq;	    /* order of issue */
	struct blkfront_io *io;
};

#define NO_PAGE UINT16_MAX

struct io_list {
	struct blkfront_io *head, **tail;
	uint32_t nr;
};

struct queue {
	struct ring_front ring; /* valid while attached */
	bool attached;
	uint16_t handle;
	struct limits limits;  /* of the connection, or of the last one */
	struct pages buffers;  /* the programs' */
	struct pages segments; /* BLKFRONT_SEGMENT_PAGES of this ring's */

	struct shadow shadows[BLKFRONT_SHADOWS];
	uint32_t free_head, nr_free, nr_in_flight;
	uint64_t next_seq;
	uint16_t free_pages[BLKFRONT_SEGMENT_PAGES];
	uint32_t nr_free_pages;

	struct io_list waiting; /* not yet (wholly) in the ring, in order */
	uint64_t split_bytes; /* of the first waiting io: already in the ring */
	struct io_list done;  /* completed, callback still to run */
};

void io_list_init(struct io_list *list);
void io_list_append(struct io_list *list, struct blkfront_io *io);
struct blkfront_io *io_list_pop(struct io_list *list); /* NULL: empty */
/* Move all of from to the end of to. */
void io_list_move(struct io_list *to, struct io_list *from);

void queue_init(struct queue *q);
/* Append an io that the caller has validated. */
void queue_submit(struct queue *q, struct blkfront_io *io);

/* A zeroed ring is connected. */
void queue_attach(struct queue *q, void *ring, size_t ring_bytes,
		  const struct limits *limits);
/*
 * The backend is gone. err 0: every io of which something is in flight waits
 * again, whole, before the others and in its old order; its successor may have
 * other limits. Otherwise these ios are completed with err.
 */
void queue_detach(struct queue *q, int err);
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
/* Nothing in the ring or waiting. */
bool queue_idle(const struct queue *q);

/* ---- owner.c ------------------------------------------------------------- */

/*
 * A queue of the program's. Its ios go through its own ring, or, when the
 * backend has fewer rings, through another one's (via), which hands them back
 * done. All but the owner's members are guarded by lock, which is taken only
 * when there are several queues; nobody holds two.
 */
struct blkfront_queue {
	struct blkfront *bf;
	uint16_t nr;
	pthread_mutex_t lock;
	struct queue q;
	struct blkfront_queue *via; /* whose ring: ours, or one with its own */
	struct blkfront_info info;  /* the disk's, for checking ios */
	int refuse;		    /* what submit says; 0: it takes ios */
	int lost;		    /* for good: what poll says */
	const char *fault;	    /* the backend lied: how */
	bool cut_off;		    /* its end of the channel is gone */
	struct share ring;
	struct evtchn *evtchn;
	uint32_t nr_open; /* atomic; submitted here and not done */
	/* the owner's */
	int epoll_fd; /* queue 0: the blkfront's */
	int wake_fd;  /* from other threads: there are done ios, or an end */
	bool armed;   /* the owner may have slept: look at the descriptors */
	uint32_t nr_polls;
	uint64_t next_look_ns;
};

/* Any thread: take, release the lock. */
void owner_lock(struct blkfront_queue *bq);
void owner_unlock(struct blkfront_queue *bq);
/* Any thread: make the owner look. */
void owner_wake(struct blkfront_queue *bq);
/* With the lock held: show waiting requests to the backend. */
void owner_push(struct blkfront_queue *bq);
/* With the lock held: take the responses that are there; a lie is noted. */
void owner_reap(struct blkfront_queue *bq);
/* The owner: run callbacks, hand over what is others'. Returns how many ran. */
unsigned owner_run_done(struct blkfront_queue *bq);

/* ---- features.c: control --------------------------------------------------
 */

/* What the backend can do with rings, read before they are made. */
struct transport {
	uint32_t nr_rings;
	uint32_t ring_order;
};

/*
 * Untrusted, so strict where it matters: a number that is none is an error;
 * one that is too large is cut to what we asked for.
 */
int features_read_transport(struct blkfront *bf,
			    struct transport *ret) PV_MUST_CHECK;
int features_read_disk(struct blkfront *bf, struct blkfront_info *info,
		       struct limits *limits) PV_MUST_CHECK;
/* The disk's size alone, in whole sectors of sector_bytes. */
int features_read_size(struct blkfront *bf, uint32_t sector_bytes,
		       uint64_t *ret_bytes) PV_MUST_CHECK;
/* Our nodes for the rings as they are; an xs_txn_fn. */
int features_publish(struct xs *xs, xs_txn_t tx, void *arg) PV_MUST_CHECK;

/* ---- rings.c: control -----------------------------------------------------
 */

/* For bf->transport: buffers (once), rings, channels. */
int rings_open(struct blkfront *bf) PV_MUST_CHECK;
/* They are connected, with bf->info and bf->limits; show what waits. */
int rings_attach(struct blkfront *bf) PV_MUST_CHECK;
/* Give bf->info to every queue. */
void rings_set_info(struct blkfront *bf);
/* Take every response. *ret_fault is set when a backend lied to any owner.
 * Returns how many channels' other ends are gone, as their owners found. */
uint32_t rings_reap(struct blkfront *bf, const char **ret_fault);
bool rings_idle(struct blkfront *bf);
/* Take no new ios. */
void rings_refuse(struct blkfront *bf, int err);
/* The end: every io is completed with result, poll returns lost. */
void rings_fail(struct blkfront *bf, int result, int lost);
/* Without the backend: what was in flight goes as the policy says. */
void rings_release(struct blkfront *bf);

/* ---- connect.c: control ----------------------------------------------------
 */

enum link_state {
	LINK_CONNECTING, /* handshake with a backend that is there or will be */
	LINK_UP,
	LINK_DRAINING, /* being detached: what is in flight is answered first */
	LINK_DOWN,     /* for good; lost says why */
};

struct blkfront {
	struct blkfront_queue *queues;
	uint32_t nr_queues; /* the program's; constant */
	uint32_t handle;
	uint64_t buf_bytes;
	uint32_t ring_order_max;
	enum blkfront_policy policy;
	void (*resized)(void *arg, uint64_t size_bytes);
	void *resized_arg;

	enum link_state link;
	int lost;    /* why the disk is lost for good: -errno; 0: it is not */
	bool was_up; /* connected at least once */
	struct blkfront_info info;
	struct limits limits;
	struct transport transport; /* of the connection */

	struct platform *platform;
	struct xs *xs;
	bool store_gone; /* for good; the data path goes on without */
	struct xenbus_device dev;
	bool dev_started;
	struct xs_watch *size_watch;
	struct grant_pool *pool;
	pthread_mutex_t pool_lock;
	domid_t backend_id; /* whom the pool is shared with */

	int lock_fd; /* this process drives the disk */
	int epoll_fd, timer_fd;
	uint64_t timer_at_ns; /* 0: not set */
	uint64_t up_since_ns, backoff_ns;
	struct spin spin; /* blkfront_rw_sync's */
	struct log_limit limit;
};

/* Begin the handshake (again). */
int connect_start(struct blkfront *bf) PV_MUST_CHECK;
/*
 * Look at queue 0's event channel, the timer, the store, and what the owners
 * of other queues found. Never waits for the backend.
 */
void connect_events(struct blkfront *bf);
/*
 * Serve everything until done() says so or the deadline passes. For opening and
 * closing, when no other thread is in here: sleeps in between, does not spin.
 */
typedef bool connect_done_fn(struct blkfront *bf);
void connect_serve(struct blkfront *bf, connect_done_fn *done,
		   uint64_t deadline_ns);
/*
 * An orderly end: what is in flight is answered, then goodbye; at deadline_ns
 * without the backend's consent. Everything is released.
 */
void connect_close(struct blkfront *bf, uint64_t deadline_ns);

#endif /* BLKFRONT_PRIVATE_H */
