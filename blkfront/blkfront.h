/* SPDX-License-Identifier: MIT */
/*
 * blkfront.h - a split disk for programs: asynchronous, zero-copy.
 *
 *	blkfront_open(&config, &bf)
 *	buf = blkfront_buf_alloc(bf, bytes)
 *	blkfront_submit(bf, &io) ... blkfront_kick(bf)
 *	blkfront_poll(bf)  or  wait on blkfront_fd(bf), then blkfront_poll(bf)
 *
 * Buffers come from the region that is shared with the backend; nothing else of
 * the program's memory is ever visible to it. Requests of any size are split
 * into as many ring requests as needed. The program keeps a private shadow of
 * every request in flight: when the whole driver domain dies, the library
 * connects to its successor and issues them again (policy "reissue").
 *
 * Thread: one thread owns a blkfront. done callbacks run inside blkfront_poll.
 * Logs: connection changes and backend faults, rate-limited.
 */
#ifndef BLKFRONT_BLKFRONT_H
#define BLKFRONT_BLKFRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"

struct blkfront;

struct blkfront_config {
	const char *run_dir; /* NULL: the default */
	domid_t domid;	     /* whose disk: our own identity */
	uint32_t handle;     /* virtual device number, e.g. 51712 for xvda */
	uint64_t buf_bytes;  /* region for buffers; 0: 4 MiB */
	uint64_t timeout_ns; /* for connecting; 0: 10 s */
};

struct blkfront_info {
	uint64_t size_bytes;
	uint32_t sector_bytes;	 /* unit of addressing promised to users: 512 */
	uint32_t physical_bytes; /* preferred unit */
	bool readonly;
	bool flush;		    /* BLKFRONT_FLUSH is supported */
	uint32_t max_request_bytes; /* larger ones are split */
};

/*
 * Connect to the disk. why (WHY_MAX bytes, may be NULL) gets a sentence on
 * failure. -ENOENT no such device; -ETIMEDOUT the backend did not answer;
 * -EBUSY another process has the disk open.
 */
int blkfront_open(const struct blkfront_config *config, struct blkfront **ret,
		  char *why, size_t why_size) PV_MUST_CHECK;
/* Disconnects cleanly. Requests still in flight are completed with -ESHUTDOWN.
 */
void blkfront_close(struct blkfront *bf); /* NULL is fine */

void blkfront_info(const struct blkfront *bf, struct blkfront_info *ret);

/* Page-aligned memory in the shared region; NULL when it is used up. */
void *blkfront_buf_alloc(struct blkfront *bf, size_t size_bytes);
void blkfront_buf_free(struct blkfront *bf, void *buf, size_t size_bytes);

enum blkfront_op {
	BLKFRONT_READ,
	BLKFRONT_WRITE,
	BLKFRONT_FLUSH
};

struct blkfront_io {
	enum blkfront_op op;
	uint64_t offset_bytes; /* multiple of 512 */
	size_t size_bytes;     /* multiple of 512; 0 for a flush */
	void *buf; /* in the region, 512-byte aligned; stays the caller's */
	void (*done)(struct blkfront_io *io);
	int result; /* 0 or -errno (-EIO, -EOPNOTSUPP, -ESHUTDOWN) */
	/* the library's: */
	uint32_t nr_parts;
	struct blkfront_io *next;
};

/*
 * Queue an io; it is shown to the backend by blkfront_kick (or by the next
 * blkfront_poll). -EINVAL range, alignment or buffer; -EROFS. Never -EAGAIN:
 * what does not fit the ring waits in order inside the library.
 */
int blkfront_submit(struct blkfront *bf, struct blkfront_io *io) PV_MUST_CHECK;
void blkfront_kick(struct blkfront *bf);
/*
 * Reap completions, run their callbacks, push what waits, handle events of the
 * store and a backend's death. Returns the number of ios completed, or -errno
 * when the disk is lost for good (every io has been completed by then).
 */
int blkfront_poll(struct blkfront *bf);
/*
 * Readable when blkfront_poll has something to do. Before sleeping on it call
 * blkfront_arm; when that says true, poll again instead of sleeping.
 */
int blkfront_fd(const struct blkfront *bf);
bool blkfront_arm(struct blkfront *bf);

/*
 * Convenience for simple programs: one io, waited for with adaptive polling.
 */
int blkfront_rw_sync(struct blkfront *bf, enum blkfront_op op,
		     uint64_t offset_bytes, void *buf,
		     size_t size_bytes) PV_MUST_CHECK;

#endif /* BLKFRONT_BLKFRONT_H */
