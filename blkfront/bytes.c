/* SPDX-License-Identifier: MIT */
/*
 * bytes.c - see bytes.h. Used by blkfront-fuse.c; calls blkfront.h only.
 */
#include "blkfront/bytes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SECTOR 512u

static uint64_t sector_floor(uint64_t at)
{
	return at & ~(uint64_t)(SECTOR - 1);
}

static uint64_t req_end(const struct bytes_req *req)
{
	return req->offset_bytes + req->size_bytes;
}

static bool is_split_sector(uint64_t at)
{
	return at % SECTOR != 0;
}

static bool is_rmw(const struct bytes_req *req)
{
	return req->write && (is_split_sector(req->offset_bytes) ||
			      is_split_sector(req_end(req)));
}

void bytes_init(struct bytes *bytes, struct blkfront *bf)
{
	bytes->bf = bf;
	list_init(&bytes->waiting);
	bytes->nr_writes = 0;
	bytes->alone = false;
}

size_t bytes_need(size_t size_bytes)
{
	/* the window's edges, and the two sectors that are read for them */
	return size_bytes + 4 * SECTOR;
}

int bytes_prepare(struct bytes *bytes, struct bytes_req *req)
{
	uint64_t start = sector_floor(req->offset_bytes);
	uint64_t end = sector_floor(req_end(req) + SECTOR - 1);

	req->window_bytes = (size_t)(end - start);
	req->buf_bytes = req->window_bytes + (is_rmw(req) ? 2 * SECTOR : 0);
	req->buf = blkfront_buf_alloc(bytes->bf, req->buf_bytes);
	if (!req->buf)
		return -ENOBUFS;
	req->data = req->buf + (req->offset_bytes - start);
	req->bytes = bytes;
	req->result = 0;
	list_init(&req->link);
	return 0;
}

void bytes_release(struct bytes *bytes, struct bytes_req *req)
{
	blkfront_buf_free(bytes->bf, req->buf, req->buf_bytes);
	req->buf = req->data = NULL;
}

static void pump(struct bytes *bytes);

static void finish(struct bytes_req *req, int result)
{
	struct bytes *bytes = req->bytes;

	req->result = result;
	if (req->write) {
		bytes->nr_writes--;
		bytes->alone = false;
	}
	req->done(req);
	pump(bytes);
}

static void window_done(struct blkfront_io *io)
{
	finish(container_of(io, struct bytes_req, io), io->result);
}

static void start_window(struct bytes_req *req)
{
	int err;

	req->io.op = req->write ? BLKFRONT_WRITE : BLKFRONT_READ;
	req->io.offset_bytes = sector_floor(req->offset_bytes);
	req->io.size_bytes = req->window_bytes;
	req->io.buf = req->buf;
	req->io.done = window_done;
	err = blkfront_submit(req->bytes->bf, &req->io);
	if (err)
		finish(req, err);
}

/* Both edges are read: put what is around the caller's bytes around them. */
static void merge_edges(struct bytes_req *req)
{
	const uint8_t *first = req->buf + req->window_bytes;
	const uint8_t *last = first + SECTOR;
	size_t head = req->offset_bytes % SECTOR;
	size_t tail = req_end(req) % SECTOR;

	if (head)
		memcpy(req->buf, first, head);
	if (tail)
		memcpy(req->buf + req->window_bytes - (SECTOR - tail),
		       last + tail, SECTOR - tail);
}

static void edges_done(struct bytes_req *req)
{
	if (--req->nr_edges)
		return;
	if (req->result) {
		finish(req, req->result);
		return;
	}
	merge_edges(req);
	start_window(req);
}

static void first_done(struct blkfront_io *io)
{
	struct bytes_req *req = container_of(io, struct bytes_req, edge[0]);

	if (io->result)
		req->result = io->result;
	edges_done(req);
}

static void last_done(struct blkfront_io *io)
{
	struct bytes_req *req = container_of(io, struct bytes_req, edge[1]);

	if (io->result)
		req->result = io->result;
	edges_done(req);
}

static void read_edge(struct bytes_req *req, unsigned which, uint64_t sector,
		      void (*done)(struct blkfront_io *))
{
	struct blkfront_io *io = &req->edge[which];
	int err;

	io->op = BLKFRONT_READ;
	io->offset_bytes = sector;
	io->size_bytes = SECTOR;
	io->buf = req->buf + req->window_bytes + which * SECTOR;
	io->done = done;
	req->nr_edges++;
	err = blkfront_submit(req->bytes->bf, io);
	if (err) {
		req->result = err;
		req->nr_edges--;
	}
}

static void start_rmw(struct bytes_req *req)
{
	req->nr_edges = 1; /* ours, until all are begun */
	if (is_split_sector(req->offset_bytes))
		read_edge(req, 0, sector_floor(req->offset_bytes), first_done);
	if (is_split_sector(req_end(req)))
		read_edge(req, 1, sector_floor(req_end(req)), last_done);
	edges_done(req);
}

static bool may_begin(const struct bytes *bytes, const struct bytes_req *req)
{
	if (bytes->alone)
		return false;
	return !is_rmw(req) || bytes->nr_writes == 0;
}

static void begin_write(struct bytes *bytes, struct bytes_req *req)
{
	bytes->nr_writes++;
	if (is_rmw(req)) {
		bytes->alone = true;
		start_rmw(req);
	} else {
		start_window(req);
	}
}

static void pump(struct bytes *bytes)
{
	while (!list_empty(&bytes->waiting)) {
		struct bytes_req *req = container_of(bytes->waiting.next,
						     struct bytes_req, link);

		if (!may_begin(bytes, req))
			return;
		list_del(&req->link);
		begin_write(bytes, req);
	}
}

void bytes_start(struct bytes *bytes, struct bytes_req *req)
{
	assert(req->buf);
	if (!req->write) {
		start_window(req);
		return;
	}
	list_add_tail(&bytes->waiting, &req->link);
	pump(bytes);
}
