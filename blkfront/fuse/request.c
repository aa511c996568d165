/* SPDX-License-Identifier: MIT */
/*
 * request.c - reads, writes and flushes of the kernel's become ios of blkfront,
 * their completions become replies. Called by libfuse on a server's thread;
 * completions come on the same one, or, when a write could not be begun, on
 * another server's.
 */
#include "blkfront/fuse/disk.h"

#include <errno.h>
#include <string.h>

/* ---- requests --------------------------------------------------------------
 */

struct request *request_take(fuse_req_t fuse)
{
	struct server *server = server_here();
	struct request *rq;

	pthread_mutex_lock(&server->lock);
	rq = container_of(server->free.next, struct request, link);
	list_del(&rq->link);
	server->nr_active++;
	pthread_mutex_unlock(&server->lock);
	rq->fuse = fuse;
	rq->server = server;
	return rq;
}

void request_put(struct request *rq)
{
	struct server *server = rq->server;

	pthread_mutex_lock(&server->lock);
	list_add_head(&server->free, &rq->link);
	server->nr_active--;
	pthread_mutex_unlock(&server->lock);
}

bool request_have_room(struct server *server)
{
	struct disk *disk = server->disk;
	bool room;

	pthread_mutex_lock(&server->lock);
	room = !list_empty(&server->free);
	pthread_mutex_unlock(&server->lock);
	if (!room)
		return false;
	pthread_mutex_lock(&disk->buffers_lock);
	if (!server->spare)
		server->spare = blkfront_buf_alloc(disk->bf, SPARE_BYTES);
	pthread_mutex_unlock(&disk->buffers_lock);
	return server->spare != NULL;
}

int request_prepare(struct request *rq, int (*prepare)(struct request *rq))
{
	struct server *server = rq->server;
	struct disk *disk = server->disk;
	int err;

	pthread_mutex_lock(&disk->buffers_lock);
	err = prepare(rq);
	if (err == -ENOBUFS && server->spare) {
		blkfront_buf_free(disk->bf, server->spare, SPARE_BYTES);
		server->spare = NULL;
		err = prepare(rq);
	}
	pthread_mutex_unlock(&disk->buffers_lock);
	return err;
}

int request_errno(int result)
{
	switch (result) {
	case -ENOSPC:
	case -EROFS:
	case -EOPNOTSUPP:
	case -EINVAL: return -result;
	}
	return EIO;
}

/* ---- reading and writing ------------------------------------------------ */

static void rw_done(struct bytes_req *bytes)
{
	struct request *rq = container_of(bytes, struct request, bytes);

	if (bytes->result)
		fuse_reply_err(rq->fuse, request_errno(bytes->result));
	else if (bytes->write)
		fuse_reply_write(rq->fuse, bytes->size_bytes);
	else
		fuse_reply_buf(rq->fuse, (const char *)bytes->data,
			       bytes->size_bytes);
	bytes_release(&rq->server->disk->bytes, bytes);
	request_put(rq);
}

static int rw_prepare(struct request *rq)
{
	return bytes_prepare(&rq->server->disk->bytes, &rq->bytes);
}

static struct request *rw_begin(fuse_req_t fuse, bool write, size_t size_bytes,
				uint64_t offset_bytes)
{
	struct request *rq = request_take(fuse);
	int err;

	rq->bytes = (struct bytes_req){
		.queue = rq->server->queue,
		.write = write,
		.offset_bytes = offset_bytes,
		.size_bytes = size_bytes,
		.done = rw_done,
	};
	err = request_prepare(rq, rw_prepare);
	if (err) {
		fuse_reply_err(fuse, ENOMEM);
		request_put(rq);
		return NULL;
	}
	return rq;
}

/* How much of [off, off + size) lies on the disk. */
static size_t clip(const struct disk *disk, off_t off, size_t size_bytes)
{
	uint64_t at = (uint64_t)off, all = disk_size(disk);

	if (off < 0 || at >= all)
		return 0;
	if (size_bytes > all - at)
		size_bytes = (size_t)(all - at);
	return size_bytes < IO_MAX_BYTES ? size_bytes : IO_MAX_BYTES;
}

void op_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	size_t size_bytes = clip(disk, off, size);
	struct request *rq;

	(void)ino;
	(void)fi;
	if (size_bytes == 0) {
		fuse_reply_buf(fuse, NULL, 0);
		return;
	}
	rq = rw_begin(fuse, false, size_bytes, (uint64_t)off);
	if (rq)
		bytes_start(&disk->bytes, &rq->bytes);
}

void op_write(fuse_req_t fuse, fuse_ino_t ino, const char *data, size_t size,
	      off_t off, struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	size_t size_bytes = clip(disk, off, size);
	struct request *rq;

	(void)ino;
	(void)fi;
	if (disk->readonly || size_bytes == 0) {
		if (disk->readonly)
			fuse_reply_err(fuse, EROFS);
		else if (size)
			fuse_reply_err(fuse, ENOSPC);
		else
			fuse_reply_write(fuse, 0);
		return;
	}
	rq = rw_begin(fuse, true, size_bytes, (uint64_t)off);
	if (!rq)
		return;
	memcpy(rq->bytes.data, data, size_bytes);
	bytes_start(&disk->bytes, &rq->bytes);
}

static void flush_done(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, flush);

	fuse_reply_err(rq->fuse, io->result ? request_errno(io->result) : 0);
	request_put(rq);
}

void op_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi)
{
	struct disk *disk = fuse_req_userdata(fuse);
	struct request *rq;
	int err;

	(void)ino;
	(void)datasync;
	(void)fi;
	/* A backend that offers no flush has no cache to flush. */
	if (!disk->info.flush || disk->readonly) {
		fuse_reply_err(fuse, 0);
		return;
	}
	rq = request_take(fuse);
	rq->flush = (struct blkfront_io){ .op = BLKFRONT_FLUSH,
					  .done = flush_done };
	err = blkfront_queue_submit(rq->server->queue, &rq->flush);
	if (err) {
		fuse_reply_err(fuse, request_errno(err));
		request_put(rq);
	}
}
