/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - reads and writes at any byte of a disk, over blkfront.
 *
 * A disk moves whole sectors. A request that begins or ends inside one gets a
 * window of whole sectors around it; a write then first reads the sectors at
 *its edges. Such a write runs alone among writes, of all queues, so that no
 *other one can change those sectors between its read and its write.
 *
 *	bytes_prepare(bytes, &req)   the window's buffer is there
 *	memcpy(req.data, ...)        a write
 *	bytes_start(bytes, &req)     req.done: a read's bytes are at req.data
 *	bytes_release(bytes, &req)
 *
 * Thread: any, as far as its queue allows (blkfront.h); a request is one
 * thread's at a time. done runs on the owner's of its queue; for a request that
 * could not be begun it may run on any that is in here. Logs: never.
 */
#ifndef BLKFRONT_BYTES_H
#define BLKFRONT_BYTES_H

#include <pthread.h>

#include "blkfront/blkfront.h"
#include "util/annotate.h"
#include "util/list.h"

struct bytes {
	struct blkfront *bf;
	uint32_t sector_bytes;
	pthread_mutex_t lock; /* for what follows */
	struct list waiting;  /* writes that may not begin yet, in order */
	uint32_t nr_writes;   /* begun and not done */
	bool alone;	      /* the one begun write is a read-modify-write */
};

struct bytes_req {
	/* the caller's: */
	struct blkfront_queue *queue; /* NULL: queue 0 */
	bool write;
	uint64_t offset_bytes; /* within the disk, like the end */
	size_t size_bytes;     /* > 0 */
	void (*done)(struct bytes_req *req);
	int result; /* 0 or -errno, as of a blkfront_io */
	/* where the bytes are, from bytes_prepare to bytes_release */
	uint8_t *data;
	/* the library's: */
	struct list link;
	struct bytes *bytes;
	struct blkfront_io io, edge[2];
	uint8_t *buf;
	size_t window_bytes, buf_bytes;
	unsigned nr_edges; /* atomic: reads under way, and who begins them */
};

void bytes_init(struct bytes *bytes, struct blkfront *bf);
void bytes_fini(struct bytes *bytes);
/* The most memory that bytes_prepare takes for a request of size_bytes. */
size_t bytes_need(size_t size_bytes);
/* Take a buffer. -ENOBUFS: none is free now. */
int bytes_prepare(struct bytes *bytes, struct bytes_req *req) PV_MUST_CHECK;
/* Begin; done may run before this returns. Kicking its queue is the caller's.
 */
void bytes_start(struct bytes *bytes, struct bytes_req *req);
void bytes_release(struct bytes *bytes, struct bytes_req *req);

#endif /* BLKFRONT_BYTES_H */
