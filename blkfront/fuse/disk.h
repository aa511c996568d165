/* SPDX-License-Identifier: MIT */
/*
 * disk.h - one split disk as the file MOUNTPOINT/disk, for the files of this
 * folder.
 *
 *   blkfront-fuse.c options, mounting, the beginning and the end
 *   serve.c         the servers' loops and threads
 *   request.c       reads, writes and flushes of the kernel's
 *   hole.c          discards of the kernel's
 *   files.c         the two files: their attributes and names
 *   loops.c         loop devices on the file, when its size changes
 *   mount_ns.c      the mount namespace
 *
 * A server is a thread with a queue of blkfront's: it takes requests from
 * /dev/fuse and answers them. Nothing waits for anything: as many requests are
 * in flight as there are buffers; when there are none, /dev/fuse is not read
 * until some are. Data is copied once in each direction, between the kernel and
 * the region that is shared with the backend.
 */
#ifndef BLKFRONT_FUSE_DISK_H
#define BLKFRONT_FUSE_DISK_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#include "abi/grant.h"
#include "blkfront/blkfront.h"
#include "blkfront/bytes.h"
#include "util/list.h"
#include "util/num.h"
#include "util/spin.h"

#define DISK_NAME    "disk"
#define DISK_INO     2u
#define IO_MAX_BYTES (1u << 20) /* of one read or write of the kernel's */
/* Room for any request: a largest one, or a discard. */
#define SPARE_BYTES  (bytes_need(IO_MAX_BYTES) + 2 * bytes_need(PV_PAGE_SIZE))
#define NR_REQUESTS  256u /* of one server */
#define SERVERS_MAX  8u
#define ATTR_SECONDS 3600.0

struct disk;
struct server;

/* A discard under way: see hole.c. */
struct hole {
	struct bytes_req edge[2]; /* zeros where it begins and ends */
	struct blkfront_io io;	  /* the discard, then reads and writes */
	uint64_t at, end;	  /* what is still to be looked at */
	uint8_t *buf;
	int result;
	unsigned nr_open; /* atomic: parts that are not done */
};

/* A request of the kernel's that is in flight. */
struct request {
	struct bytes_req bytes;
	struct blkfront_io flush;
	struct hole hole;
	fuse_req_t fuse;
	struct list link; /* in server.free */
	struct server *server;
};

struct server {
	struct disk *disk;
	unsigned nr;
	pthread_t thread;
	struct blkfront_queue *queue;
	struct fuse_buf buf; /* what was read from /dev/fuse */
	struct spin spin;
	void *spare;	      /* a buffer that the next request can have */
	pthread_mutex_t lock; /* for what follows */
	struct list free;
	unsigned nr_active;
	struct request requests[NR_REQUESTS];
};

struct disk {
	struct blkfront *bf;
	struct bytes bytes;
	struct blkfront_info info; /* as it was at first */
	uint64_t size_bytes;	   /* atomic: as it is */
	bool readonly;
	pthread_mutex_t buffers_lock; /* taking buffers; all spare ones */
	struct fuse_session *session;
	int signal_fd;
	int stop_fd; /* readable: the servers are to end */
	int home;    /* the mount namespace of the file; -1: we never left */
	char path[PATH_MAX]; /* of the file */
	int result;	     /* atomic: of the first server that ended */
	unsigned nr_servers;
	struct server *servers;
};

static inline uint64_t disk_size(const struct disk *disk)
{
	/* Pairs with the store in disk_resized(). */
	return __atomic_load_n(&disk->size_bytes, __ATOMIC_ACQUIRE);
}

/* ---- serve.c ---------------------------------------------------------------
 */

/* The server on whose thread this is. */
struct server *server_here(void);
/* Blkfront's callback: tell the kernel and loop devices. */
void disk_resized(void *disk, uint64_t size_bytes);
/* Serve until unmounted (0), told to end (0), or the disk is lost (-errno). */
int disk_serve(struct disk *disk) PV_MUST_CHECK;
/* Let what is in flight finish, for a while. */
void disk_drain(struct disk *disk);

/* ---- request.c -------------------------------------------------------------
 */

/* May another request be read? Holds a buffer that is enough for any. */
bool request_have_room(struct server *server);
/* After request_have_room. */
struct request *request_take(fuse_req_t fuse);
void request_put(struct request *rq);
/*
 * Take buffers for rq: prepare takes them all or none (-ENOBUFS). It runs once
 * more with the spare one's room, which nobody else gets, and is enough.
 */
int request_prepare(struct request *rq,
		    int (*prepare)(struct request *rq)) PV_MUST_CHECK;
/* What programs may see of our errors: a lost disk is an I/O error. */
int request_errno(int result);

void op_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi);
void op_write(fuse_req_t fuse, fuse_ino_t ino, const char *data, size_t size,
	      off_t off, struct fuse_file_info *fi);
void op_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi);

/* ---- hole.c ----------------------------------------------------------------
 */

void op_fallocate(fuse_req_t fuse, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi);

/* ---- files.c ---------------------------------------------------------------
 */

extern const struct fuse_lowlevel_ops disk_ops;

/* ---- loops.c ---------------------------------------------------------------
 */

/*
 * Tell loop devices on the file that it has another size. They ask us for it,
 * so somebody else does this, in the mount namespace home (-1: in ours).
 */
void loops_follow(const char *path, int home);

#endif /* BLKFRONT_FUSE_DISK_H */
