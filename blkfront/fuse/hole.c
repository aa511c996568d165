/* SPDX-License-Identifier: MIT */
/*
 * hole.c - fallocate(2) with FALLOC_FL_PUNCH_HOLE becomes a discard.
 *
 * A hole reads as zeros; what was discarded may read as anything. A loop device
 * does not say whether it wants one or the other. So: the whole sectors are
 * discarded, then they are read, and zeros are written where something else is
 * left; the pieces of sectors at both ends are written with zeros. Where the
 * backend's discard leaves holes, as ours does, nothing but reading is left to
 * do, at the speed of memory.
 *
 * A hole is one request whose steps follow one another. Called by libfuse on a
 * server's thread.
 */
#include <fcntl.h>
#include <linux/falloc.h>

#include "blkfront/fuse/disk.h"

#include <errno.h>
#include <string.h>

#define PIECE_BYTES IO_MAX_BYTES

static void look_at_piece(struct request *rq);

static void finish(struct request *rq)
{
	struct disk *disk = rq->server->disk;
	struct hole *hole = &rq->hole;

	/* Pairs with itself: the last one sees what the others left. */
	if (__atomic_sub_fetch(&hole->nr_open, 1, __ATOMIC_ACQ_REL))
		return;
	blkfront_buf_free(disk->bf, hole->buf, PIECE_BYTES);
	fuse_reply_err(rq->fuse,
		       hole->result ? request_errno(hole->result) : 0);
	request_put(rq);
}

/* Note an error; true when there was one, now or earlier. */
static bool failed(struct hole *hole, int result)
{
	if (result && !hole->result)
		hole->result = result;
	return hole->result != 0;
}

static void submit(struct request *rq, enum blkfront_op op, size_t size_bytes,
		   void (*done)(struct blkfront_io *))
{
	struct hole *hole = &rq->hole;
	bool data = op != BLKFRONT_DISCARD;

	hole->io = (struct blkfront_io){ .op = op,
					 .offset_bytes = hole->at,
					 .size_bytes = size_bytes,
					 .buf = data ? hole->buf : NULL,
					 .done = done };
	if (failed(hole, blkfront_queue_submit(rq->server->queue, &hole->io)))
		finish(rq);
}

static void piece_written(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, hole.io);

	if (failed(&rq->hole, io->result)) {
		finish(rq);
		return;
	}
	rq->hole.at += io->size_bytes;
	look_at_piece(rq);
}

static bool is_zero(const uint8_t *buf, size_t size_bytes)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, size_bytes - 1) == 0;
}

static void piece_read(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, hole.io);
	struct hole *hole = &rq->hole;
	size_t size_bytes = io->size_bytes;

	if (failed(hole, io->result)) {
		finish(rq);
		return;
	}
	if (!is_zero(hole->buf, size_bytes)) {
		memset(hole->buf, 0, size_bytes);
		submit(rq, BLKFRONT_WRITE, size_bytes, piece_written);
		return;
	}
	hole->at += size_bytes;
	look_at_piece(rq);
}

static void look_at_piece(struct request *rq)
{
	struct hole *hole = &rq->hole;
	uint64_t left = hole->end - hole->at;

	if (left == 0)
		finish(rq);
	else
		submit(rq, BLKFRONT_READ,
		       left < PIECE_BYTES ? (size_t)left : PIECE_BYTES,
		       piece_read);
}

static void discarded(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, hole.io);

	if (failed(&rq->hole, io->result))
		finish(rq);
	else
		look_at_piece(rq);
}

static void edge_done(struct request *rq, struct bytes_req *edge)
{
	failed(&rq->hole, edge->result);
	bytes_release(&rq->server->disk->bytes, edge);
	finish(rq);
}

static void first_done(struct bytes_req *edge)
{
	edge_done(container_of(edge, struct request, hole.edge[0]), edge);
}

static void last_done(struct bytes_req *edge)
{
	edge_done(container_of(edge, struct request, hole.edge[1]), edge);
}

static void set_edge(struct request *rq, unsigned which, uint64_t from,
		     uint64_t to, void (*done)(struct bytes_req *))
{
	rq->hole.edge[which] = (struct bytes_req){
		.queue = rq->server->queue,
		.write = true,
		.offset_bytes = from,
		.size_bytes = from < to ? (size_t)(to - from) : 0,
		.done = done,
	};
}

/* The whole sectors in [from, to), and what is before and after them. */
static void plan(struct request *rq, uint64_t from, uint64_t to)
{
	uint64_t sector = rq->server->disk->bytes.sector_bytes;
	struct hole *hole = &rq->hole;

	hole->at = (from + sector - 1) / sector * sector;
	hole->end = to / sector * sector;
	hole->nr_open = 1; /* ours, until the whole sectors are done */
	hole->result = 0;
	if (hole->at > hole->end) /* inside one sector */
		hole->at = hole->end = to;
	set_edge(rq, 0, from, hole->at, first_done);
	set_edge(rq, 1, hole->end, to, last_done);
}

static int take_buffers(struct request *rq)
{
	struct disk *disk = rq->server->disk;
	struct hole *hole = &rq->hole;

	hole->buf = blkfront_buf_alloc(disk->bf, PIECE_BYTES);
	if (!hole->buf)
		return -ENOBUFS;
	for (unsigned i = 0; i < 2; i++) {
		int err = hole->edge[i].size_bytes
				  ? bytes_prepare(&disk->bytes, &hole->edge[i])
				  : 0;

		if (!err)
			continue;
		if (i == 1 && hole->edge[0].size_bytes)
			bytes_release(&disk->bytes, &hole->edge[0]);
		blkfront_buf_free(disk->bf, hole->buf, PIECE_BYTES);
		return err;
	}
	return 0;
}

static void punch(struct request *rq)
{
	struct hole *hole = &rq->hole;

	for (unsigned i = 0; i < 2; i++) {
		struct bytes_req *edge = &hole->edge[i];

		if (!edge->size_bytes)
			continue;
		memset(edge->data, 0, edge->size_bytes);
		__atomic_add_fetch(&hole->nr_open, 1, __ATOMIC_RELAXED);
		bytes_start(&rq->server->disk->bytes, edge);
	}
	if (hole->at == hole->end)
		finish(rq);
	else
		submit(rq, BLKFRONT_DISCARD, hole->end - hole->at, discarded);
}

void op_fallocate(fuse_req_t fuse, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	uint64_t from = (uint64_t)offset, all = disk_size(disk);
	struct request *rq;

	(void)ino;
	(void)fi;
	if (!disk->info.discard ||
	    mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		fuse_reply_err(fuse, EOPNOTSUPP);
		return;
	}
	if (disk->readonly || offset < 0 || length <= 0 || from >= all) {
		fuse_reply_err(fuse, disk->readonly ? EROFS : EINVAL);
		return;
	}
	if ((uint64_t)length < all - from)
		all = from + (uint64_t)length;
	rq = request_take(fuse);
	plan(rq, from, all);
	if (request_prepare(rq, take_buffers)) {
		fuse_reply_err(fuse, ENOMEM);
		request_put(rq);
		return;
	}
	punch(rq);
}
