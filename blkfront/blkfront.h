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
 * Thread: by default one thread owns a blkfront and calls everything. A program
 * with several threads asks for several queues (config.nr_queues), each with a
 * ring of its own and owned by one thread, and gets them by blkfront_queue:
 *
 * - Only its owner polls and arms a queue; done runs there, in the poll, for
 *   every io that was submitted to the queue.
 *   Threads may take turns at being its owner, under a lock of their own.
 * - Any thread may submit to it and kick it (when there are several).
 * - blkfront_submit, _poll and so on are those of queue 0, whose owner serves
 *   the store as well: it has to poll or to sleep on blkfront_fd, always.
 * - Any thread may take and free buffers and call blkfront_info.
 * - blkfront_close is called when no other thread is in here any more.
 *
 * A backend may have fewer queues than were asked for, and its successor fewer
 * again: then several of ours go through one ring. Programs do not notice; but
 * the owner of every queue has to poll it.
 * Logs: connection changes and backend faults, rate-limited.
 */
#ifndef BLKFRONT_BLKFRONT_H
#define BLKFRONT_BLKFRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* This header stands alone: programs outside of the tree have only it. */
#define BLKFRONT_MUST_CHECK __attribute__((warn_unused_result))

struct blkfront;

/* What happens to requests when the backend is gone, until one is back. */
enum blkfront_policy {
	BLKFRONT_REISSUE, /* all wait; what was in flight is issued again */
	BLKFRONT_QUEUE,	  /* what was in flight ends with -EIO, others wait */
	BLKFRONT_FAIL,	  /* all end with -EIO, new ones get -ENOTCONN */
};

#define BLKFRONT_QUEUES_MAX	64u
#define BLKFRONT_RING_PAGES_MAX 16u

/* Zero is a good value of everything but domid and handle. */
struct blkfront_config {
	const char *run_dir; /* NULL: the default */
	uint16_t domid;	     /* whose disk: our own identity */
	uint32_t handle;     /* virtual device number, e.g. 51712 for xvda */
	uint64_t buf_bytes;  /* region for buffers; 0: 4 MiB */
	uint64_t timeout_ns; /* for connecting; 0: 10 s */
	uint32_t nr_queues;  /* 0: 1; at most BLKFRONT_QUEUES_MAX */
	/* of each ring, a power of two; 0: the most; the backend may want less
	 */
	uint32_t ring_pages;
	enum blkfront_policy policy;
	/*
	 * The disk's size changed, as blkfront_info says; may be NULL. Runs
	 * inside blkfront_poll; may call anything but poll and close.
	 */
	void (*resized)(void *arg, uint64_t size_bytes);
	void *resized_arg;
};

/* Of the connection as it is: another backend may come with other values. */
struct blkfront_info {
	uint64_t size_bytes;
	/* Unit of offsets, sizes and buffers: 512, or up to 4096 where the disk
	 * has larger sectors and the backend does not hide them. */
	uint32_t sector_bytes;
	uint32_t physical_bytes; /* preferred unit */
	bool readonly;
	bool flush;   /* BLKFRONT_FLUSH is supported */
	bool discard; /* BLKFRONT_DISCARD is */
	bool secure_discard;
	/* What discards really free: units so large, the first one so far from
	 * the disk's start. Smaller ones are allowed and may free nothing. */
	uint32_t discard_granularity_bytes, discard_alignment_bytes;
	uint32_t max_request_bytes; /* larger ones are split */
	uint32_t nr_queues;	    /* rings in use, <= config's */
	uint32_t ring_pages;	    /* of each */
};

/*
 * Connect to the disk. why (WHY_MAX bytes, may be NULL) gets a sentence on
 * failure. -ENOENT no such device; -ETIMEDOUT the backend did not answer;
 * -EBUSY another process has the disk open; -EINVAL the config.
 */
int blkfront_open(const struct blkfront_config *config, struct blkfront **ret,
		  char *why, size_t why_size) BLKFRONT_MUST_CHECK;
/* Disconnects cleanly. Requests still in flight are completed with -ESHUTDOWN.
 */
void blkfront_close(struct blkfront *bf); /* NULL is fine */

void blkfront_info(struct blkfront *bf, struct blkfront_info *ret);

/* Page-aligned memory in the shared region; NULL when it is used up. */
void *blkfront_buf_alloc(struct blkfront *bf, size_t size_bytes);
void blkfront_buf_free(struct blkfront *bf, void *buf, size_t size_bytes);

enum blkfront_op {
	BLKFRONT_READ,
	BLKFRONT_WRITE,
	BLKFRONT_FLUSH,	  /* writes answered before, of all queues, are safe */
	BLKFRONT_DISCARD, /* nobody needs the bytes: later reads give any */
	BLKFRONT_SECURE_DISCARD, /* and nobody may find them again */
};

struct blkfront_io {
	enum blkfront_op op;
	uint64_t offset_bytes; /* multiple of sector_bytes */
	size_t size_bytes;     /* multiple of sector_bytes; 0 for a flush */
	/* in the region, aligned to sector_bytes; stays the caller's; NULL for
	 * a flush or a discard */
	void *buf;
	void (*done)(struct blkfront_io *io);
	int result; /* 0 or -errno (-EIO, -EOPNOTSUPP, -ESHUTDOWN) */
	/* the library's: */
	uint32_t nr_parts;
	uint16_t home; /* the queue to whose owner it is done */
	bool again;
	struct blkfront_io *next;
};

/*
 * Queue an io; it is shown to the backend by blkfront_kick (or by the next
 * blkfront_poll). -EINVAL range, alignment or buffer; -EROFS; -EOPNOTSUPP;
 * -ESHUTDOWN the disk is gone for good; -ENOTCONN as the policy wants. Never
 * -EAGAIN: what does not fit the ring waits in order inside the library.
 */
int blkfront_submit(struct blkfront *bf,
		    struct blkfront_io *io) BLKFRONT_MUST_CHECK;
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

/* The same for queue nr < config.nr_queues; see above for who may call what. */
struct blkfront_queue;
struct blkfront_queue *blkfront_queue(struct blkfront *bf, uint32_t nr);
int blkfront_queue_submit(struct blkfront_queue *q,
			  struct blkfront_io *io) BLKFRONT_MUST_CHECK;
void blkfront_queue_kick(struct blkfront_queue *q);
int blkfront_queue_poll(struct blkfront_queue *q);
int blkfront_queue_fd(const struct blkfront_queue *q);
bool blkfront_queue_arm(struct blkfront_queue *q);

/*
 * Convenience for simple programs: one io, waited for with adaptive polling.
 */
int blkfront_rw_sync(struct blkfront *bf, enum blkfront_op op,
		     uint64_t offset_bytes, void *buf,
		     size_t size_bytes) BLKFRONT_MUST_CHECK;

#endif /* BLKFRONT_BLKFRONT_H */
