/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - reads and writes at any byte of a disk, over blkfront.
 *
 * A disk moves whole sectors of 512 bytes. A request that begins or ends inside
 * one gets a window of whole sectors around it; a write then first reads the
 * sectors at its edges. Such a write runs alone among writes, so that no other
 * one can change those sectors between its read and its write.
 *
 *	bytes_prepare(bytes, &req)   the window's buffer is there
 *	memcpy(req.data, ...)        a write
 *	bytes_start(bytes, &req)     ... req.done: a read's bytes are at
 *req.data bytes_release(bytes, &req)
 *
 * Thread: the blkfront's owner. Logs: never.
 */
#ifndef BLKFRONT_BYTES_H
#define BLKFRONT_BYTES_H

#include "blkfront/blkfront.h"
#include "util/list.h"

struct bytes {
	struct blkfront *bf;
	struct list waiting; /* writes that may not begin yet, in order */
	uint32_t nr_writes;  /* begun and not done */
	bool alone;	     /* the one begun write is a read-modify-write */
};

struct bytes_req {
	/* the caller's: */
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
	unsigned nr_edges; /* reads under way */
};

void bytes_init(struct bytes *bytes, struct blkfront *bf);
/* The most memory that bytes_prepare takes for a request of size_bytes. */
size_t bytes_need(size_t size_bytes);
/* Take a buffer. -ENOBUFS: none is free now. */
int bytes_prepare(struct bytes *bytes, struct bytes_req *req) PV_MUST_CHECK;
/* Begin; done may run before this returns. blkfront_kick is the caller's. */
void bytes_start(struct bytes *bytes, struct bytes_req *req);
void bytes_release(struct bytes *bytes, struct bytes_req *req);

#endif /* BLKFRONT_BYTES_H */
