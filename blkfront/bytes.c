/* SPDX-License-Identifier: MIT */
/*
 * bytes.c - see bytes.h. Used by those that serve files; calls blkfront.h only.
 */
#include "blkfront/bytes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* The largest that a disk can have. */
#define SECTOR_MAX 4096u

static uint64_t sector_floor(const struct bytes *bytes, uint64_t at)
{
	return at & ~(uint64_t)(bytes->sector_bytes - 1);
}

static uint64_t req_end(const struct bytes_req *req)
{
	return req->offset_bytes + req->size_bytes;
}

static bool is_split_sector(const struct bytes *bytes, uint64_t at)
{
	return at % bytes->sector_bytes != 0;
}

static bool is_rmw(const struct bytes *bytes, const struct bytes_req *req)
{
	return req->write && (is_split_sector(bytes, req->offset_bytes) ||
			      is_split_sector(bytes, req_end(req)));
}

void bytes_init(struct bytes *bytes, struct blkfront *bf)
{
	struct blkfront_info info;

	blkfront_info(bf, &info);
	bytes->bf = bf;
	bytes->sector_bytes = info.sector_bytes;
	pthread_mutex_init(&bytes->lock, NULL);
	list_init(&bytes->waiting);
	bytes->nr_writes = 0;
	bytes->alone = false;
}

void bytes_fini(struct bytes *bytes)
{
	pthread_mutex_destroy(&bytes->lock);
}

size_t bytes_need(size_t size_bytes)
{
	/* the window's edges, and the two sectors that are read for them */
	return size_bytes + 4 * SECTOR_MAX;
}

int bytes_prepare(struct bytes *bytes, struct bytes_req *req)
{
	uint32_t sector = bytes->sector_bytes;
	uint64_t start = sector_floor(bytes, req->offset_bytes);
	uint64_t end = sector_floor(bytes, req_end(req) + sector - 1);

	req->window_bytes = (size_t)(end - start);
	req->buf_bytes =
		req->window_bytes + (is_rmw(bytes, req) ? 2 * sector : 0);
	req->buf = blkfront_buf_alloc(bytes->bf, req->buf_bytes);
	if (!req->buf)
		return -ENOBUFS;
	req->data = req->buf + (req->offset_bytes - start);
	if (!req->queue)
		req->queue = blkfront_queue(bytes->bf, 0);
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

static void pump(struct bytes *bytes, struct blkfront_queue *queue);

static void finish(struct bytes_req *req, int result)
{
	struct blkfront_queue *queue = req->queue;
	struct bytes *bytes = req->bytes;

	req->result = result;
	if (req->write) {
		pthread_mutex_lock(&bytes->lock);
		bytes->nr_writes--;
		bytes->alone = false;
		pthread_mutex_unlock(&bytes->lock);
	}
	req->done(req);
	pump(bytes, queue);
}

static void window_done(struct blkfront_io *io)
{
	finish(container_of(io, struct bytes_req, io), io->result);
}

static void start_window(struct bytes_req *req)
{
	int err;

	req->io.op = req->write ? BLKFRONT_WRITE : BLKFRONT_READ;
	req->io.offset_bytes = sector_floor(req->bytes, req->offset_bytes);
	req->io.size_bytes = req->window_bytes;
	req->io.buf = req->buf;
	req->io.done = window_done;
	err = blkfront_queue_submit(req->queue, &req->io);
	if (err)
		finish(req, err);
}

/* Both edges are read: put what is around the caller's bytes around them. */
static void merge_edges(struct bytes_req *req)
{
	uint32_t sector = req->bytes->sector_bytes;
	const uint8_t *first = req->buf + req->window_bytes;
	const uint8_t *last = first + sector;
	size_t head = req->offset_bytes % sector;
	size_t tail = req_end(req) % sector;

	if (head)
		memcpy(req->buf, first, head);
	if (tail)
		memcpy(req->buf + req->window_bytes - (sector - tail),
		       last + tail, sector - tail);
}

/* One edge is read, or all are begun: each on a thread of its own, maybe. */
static void edge_done(struct bytes_req *req, int result)
{
	if (result)
		__atomic_store_n(&req->result, result, __ATOMIC_RELAXED);
	/* Pairs with itself: the last one sees what the others left. */
	if (__atomic_sub_fetch(&req->nr_edges, 1, __ATOMIC_ACQ_REL))
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
	edge_done(container_of(io, struct bytes_req, edge[0]), io->result);
}

static void last_done(struct blkfront_io *io)
{
	edge_done(container_of(io, struct bytes_req, edge[1]), io->result);
}

/* An edge that cannot be begun is done; one is counted for our caller. */
static void read_edge(struct bytes_req *req, unsigned which, uint64_t at,
		      void (*done)(struct blkfront_io *))
{
	struct bytes *bytes = req->bytes;
	struct blkfront_io *io = &req->edge[which];
	int err;

	if (!is_split_sector(bytes, at))
		return;
	io->op = BLKFRONT_READ;
	io->offset_bytes = sector_floor(bytes, at);
	io->size_bytes = bytes->sector_bytes;
	io->buf = req->buf + req->window_bytes + which * bytes->sector_bytes;
	io->done = done;
	__atomic_add_fetch(&req->nr_edges, 1, __ATOMIC_RELAXED);
	err = blkfront_queue_submit(req->queue, io);
	if (err)
		edge_done(req, err);
}

static void start_rmw(struct bytes_req *req)
{
	req->nr_edges = 1; /* ours, until all are begun */
	read_edge(req, 0, req->offset_bytes, first_done);
	read_edge(req, 1, req_end(req), last_done);
	edge_done(req, 0);
}

/* The next write that may begin, counted as begun; NULL: none. */
static struct bytes_req *next_write(struct bytes *bytes)
{
	struct bytes_req *req = NULL;

	pthread_mutex_lock(&bytes->lock);
	if (!list_empty(&bytes->waiting) && !bytes->alone) {
		req = container_of(bytes->waiting.next, struct bytes_req, link);
		if (is_rmw(bytes, req) && bytes->nr_writes)
			req = NULL;
	}
	if (req) {
		list_del(&req->link);
		bytes->nr_writes++;
		bytes->alone = is_rmw(bytes, req);
	}
	pthread_mutex_unlock(&bytes->lock);
	return req;
}

/* Begin what may begin; queue is the one that our caller kicks by itself. */
static void pump(struct bytes *bytes, struct blkfront_queue *queue)
{
	struct bytes_req *req;

	while ((req = next_write(bytes))) {
		struct blkfront_queue *its = req->queue;

		if (is_rmw(bytes, req))
			start_rmw(req);
		else
			start_window(req);
		if (its != queue)
			blkfront_queue_kick(its);
	}
}

void bytes_start(struct bytes *bytes, struct bytes_req *req)
{
	assert(req->buf);
	if (!req->write) {
		start_window(req);
		return;
	}
	pthread_mutex_lock(&bytes->lock);
	list_add_tail(&bytes->waiting, &req->link);
	pthread_mutex_unlock(&bytes->lock);
	pump(bytes, req->queue);
}
