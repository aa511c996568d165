/* SPDX-License-Identifier: MIT */
/*
 * queue_private.h - between queue.c (the data thread's part of a queue) and
 * queue_open.c (the control thread's).
 */
#ifndef BLKBACK_QUEUE_PRIVATE_H
#define BLKBACK_QUEUE_PRIVATE_H

#include <stdatomic.h>

#include "blkback/account.h"
#include "blkback/limit.h"
#include "blkback/pages.h"
#include "blkback/queue.h"
#include "ring/ring.h"

/* Which part of a request is under way. */
enum queue_stage {
	STAGE_DRAIN, /* a barrier: waits until it is alone */
	STAGE_ONLY,
	STAGE_FLUSH_BEFORE,
	STAGE_WRITE,
	STAGE_FLUSH_AFTER,
};

/* One request in flight; its index is its slot in the record. */
struct pending {
	struct storage_io sio;
	struct blkback_queue *queue;
	struct blk_io io;
	enum queue_stage stage;
	uint64_t begun_ns; /* 0: it was refused */
	struct request_pages pages;
	struct blk_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	struct iovec iov[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

/*
 * What an indirect request needs beside its struct pending. One per slot, but
 * in memory that exists only once it is touched: slots are taken lowest first,
 * so as many are as indirect requests were in flight at once.
 */
struct pending_big {
	struct blk_segment seg[BLK_SEGMENTS_MAX];
	struct iovec iov[BLK_SEGMENTS_MAX];
};

struct blkback_queue {
	struct work_source source;
	struct worker *worker; /* control's; NULL: never started */
	struct ring_back ring;
	struct grant_map ring_map;
	struct evtchn *evtchn;
	struct page_mapper mapper;
	struct platform *platform;
	struct inflight *inflight;
	struct storage *storage;
	const struct storage_ops *ops;
	struct storage_channel *channel;
	struct blk_limits limits;
	size_t slot_bytes;
	uint32_t nr_slots;
	struct pending *pending; /* nr_slots */
	struct pending_big *big; /* nr_slots */
	/*
	 * BLKIF_OP_WRITE_BARRIER is under way, or NULL. Nothing is consumed
	 * meanwhile, so no later request is.
	 */
	struct pending *barrier;
	uint32_t *free_slots; /* the nr_free first are unused */
	uint32_t nr_free;
	/* Left by a predecessor, to be re-issued at the start. */
	uint32_t *recovered;
	struct blk_raw *recovered_raw;
	uint32_t nr_recovered;
	struct queue_limit limit;
	uint64_t round_ns; /* when this turn began */
	bool draining;	   /* consume nothing more */
	bool unflushed;	   /* submitted and not yet taken by the kernel */
	bool resumed;
	int event_fd;
	struct blkback_queue_stats stats;
	struct account account;
	/* Written by the data thread, read by control after event_fd. */
	_Atomic int fault;
	_Atomic bool stopped;
	_Atomic bool cached; /* pages stay mapped: the idle clock has to run */
};

extern const struct work_source_ops queue_source_ops;

/* For pending[].sio.done. */
void queue_storage_done(struct storage_io *sio);
/* Data thread: consume nothing more, leave the worker when all is done. */
void queue_drain(struct blkback_queue *q);

#endif /* BLKBACK_QUEUE_PRIVATE_H */
