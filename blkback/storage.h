/* SPDX-License-Identifier: MIT */
/*
 * storage.h - the seam between blkback and what holds the bytes.
 *
 * A driver has two halves. acquire() runs in the privileged monitor: it turns a
 * target written by the toolstack into descriptors and a small description.
 * Everything else runs in the worker, which has no privilege and only those
 * descriptors. Drivers are listed in one visible array, storage_drivers[].
 *
 * Thread: a storage is shared and immutable but for its size; a channel belongs
 * to one data thread. submit() queues, flush() issues the batch, poll() reaps
 * and calls io->done on the same thread. done is called exactly once per
 * submitted io, never from inside submit().
 * Ordering: none between ios in flight. A STORAGE_FLUSH covers every write
 * whose done was called before the flush was submitted.
 * Short transfers are the driver's to finish; it may advance iov in place.
 * Logs: never.
 */
#ifndef BLKBACK_STORAGE_H
#define BLKBACK_STORAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/annotate.h"
#include "util/num.h"

enum storage_op {
	STORAGE_READ,
	STORAGE_WRITE,
	STORAGE_FLUSH,
	/*
	 * What is in the range is no longer needed. Afterwards it reads as
	 * anything that is not another disk's: zeros, mostly.
	 */
	STORAGE_DISCARD
};

#define STORAGE_IOV_MAX 256u
#define STORAGE_FDS_MAX 4u

struct storage_io;
typedef void storage_done_fn(struct storage_io *io);

/*
 * One operation. offset and size are multiples of desc.sector_bytes within the
 * storage (the caller has checked; the driver refuses what is outside with
 * -EINVAL all the same); iov adds up to size_bytes. The memory is a guest's and
 * may change while it is being written. The caller owns all of it until done.
 * A flush has neither range nor iov, a discard a range and no iov; it is
 * submitted only to a storage that can (STORAGE_CAN_DISCARD).
 */
struct storage_io {
	enum storage_op op;
	bool secure; /* STORAGE_DISCARD: no copy may be left anywhere */
	uint64_t offset_bytes;
	uint64_t size_bytes;
	struct iovec *iov;
	unsigned nr_iov;
	storage_done_fn *done;
	int result; /* 0 or -errno; set before done */
	/* the driver's: */
	struct storage_io *next;
	uint64_t done_bytes;
	unsigned state;
};

#define STORAGE_READONLY  0x1u
#define STORAGE_NO_DIRECT 0x2u /* asked: do not use O_DIRECT */
/* Found: */
#define STORAGE_CAN_DISCARD	   0x4u
#define STORAGE_CAN_DISCARD_SECURE 0x8u /* only with STORAGE_CAN_DISCARD */
/* A second channel is refused (-EBUSY): a flush covers its own only. */
#define STORAGE_ONE_CHANNEL 0x10u
/* It was acquired unseen: open() asks the server and fills in the rest. */
#define STORAGE_UNSEEN 0x20u

#define STORAGE_PRIVATE_MAX 512u

/* What acquire() found; crosses from monitor to worker as bytes. */
struct storage_desc {
	char driver[16];
	uint64_t size_bytes;	 /* a multiple of 512 */
	uint32_t sector_bytes;	 /* the medium's logical sector: 512 or 4096 */
	uint32_t physical_bytes; /* >= 512, a power of two */
	uint32_t flags;		 /* STORAGE_READONLY, ... */
	uint32_t align_bytes; /* memory and offset alignment wanted: 1 none */
	/* With STORAGE_CAN_DISCARD: multiples of sector_bytes; 0 <= alignment <
	 * granularity, where the first whole granule begins. */
	uint32_t discard_granularity_bytes;
	uint32_t discard_alignment_bytes;
	int32_t nr_fds;
	char target[256]; /* its filters, and for messages */
	char how[64];	  /* "direct I/O": how it is reached, for the log */
	/* The driver's own, from its acquire() to its open() and connect(). May
	 * hold a secret: not for messages. */
	_Alignas(8) unsigned char private_data[STORAGE_PRIVATE_MAX];
};

/*
 * What a storage may ask of the worker's control thread, in tend(). connect:
 * what the driver's connect() gives in the monitor; say: a line for the log.
 */
struct storage_keeper {
	int (*connect)(void *arg);
	void (*say)(void *arg, const char *what);
	void *arg;
};

struct storage;
struct storage_channel;

struct storage_ops {
	const char *name;
	const char *help; /* "FILE or /dev/NAME: ..." for --list-drivers */
	/* Does this driver serve target? Pure. */
	bool (*claims)(const char *target);
	/*
	 * Monitor: open. On success fds[] (desc->nr_fds of them) are the
	 * caller's. On failure why gets one clear sentence: what, why, what to
	 * do.
	 */
	int (*acquire)(const char *target, uint32_t flags,
		       struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
		       char *why, size_t why_size);
	/*
	 * Monitor: a connection to what acquire() found, not necessarily
	 * established yet: it waits for nothing. Returns a descriptor, the
	 * caller's, or -errno. NULL: it has none. With it, open() gets one
	 * connection as fds[0] if the storage is STORAGE_UNSEEN, or nothing:
	 * then desc is what an earlier open() saw, and nothing is waited for.
	 */
	int (*connect)(const struct storage_desc *desc);
	/* Worker: takes the descriptors over, on success only. */
	int (*open)(const struct storage_desc *desc, const int *fds,
		    struct storage **ret);
	void (*close)(struct storage *st);
	/*
	 * Worker, control thread: how large is it now, in bytes, rounded down
	 * to sectors? NULL: it never changes. Waits for nothing.
	 */
	int (*size)(struct storage *st, uint64_t *ret_bytes);
	/*
	 * Worker, control thread: the storage wrote to its event_fd. Connects
	 * what asks for it and says what happened. NULL: it never asks.
	 */
	void (*tend)(struct storage *st, const struct storage_keeper *keeper);
	/* depth: the most ios in flight. */
	int (*channel_open)(struct storage *st, unsigned depth,
			    struct storage_channel **ret);
	void (*channel_close)(
		struct storage_channel *ch); /* nothing in flight */
	int (*submit)(struct storage_channel *ch, struct storage_io *io);
	/*
	 * False: the kernel did not take all of the batch; call it again. To be
	 * called after submit() only: what poll() has to submit once more it
	 * flushes itself.
	 */
	bool (*flush)(struct storage_channel *ch);
	unsigned (*poll)(struct storage_channel *ch);
	/* Readable when poll() has something to reap, or -1 (poll is enough).
	 */
	int (*wait_fd)(struct storage_channel *ch);
	/*
	 * A descriptor, the channel's, whose duplicate outlives this process in
	 * the monitor's keeping: it hangs up (POLLHUP) when nothing that this
	 * process submitted can touch the storage or the guest's memory any
	 * more, and not before; a successor waits for that. -1: the process's
	 * end is wait enough.
	 */
	int (*fence_fd)(struct storage_channel *ch);
	/*
	 * The disk is being detached: ios that wait for a server that is away,
	 * or hang, end with -EIO in the next poll(), and so do those still to
	 * come. NULL: it never waits like that.
	 */
	void (*give_up)(struct storage_channel *ch);
};

struct storage {
	const struct storage_ops *ops;
	struct storage_desc desc;
	/* Set by control, read by data threads: storage_size_bytes(). */
	_Atomic uint64_t size_bytes;
	/* An eventfd, the owner's, set before the first channel is opened: asks
	 * for tend(). -1: nobody tends it. */
	int event_fd;
};

struct storage_channel {
	struct storage *st;
};

extern const struct storage_ops *const storage_drivers[]; /* NULL-terminated */
/* "NAME\tneeds LIBRARY": drivers that this build is without; NULL-terminated.
 */
extern const char *const storage_left_out[];

/*
 * Monitor: storage_ops.acquire of the driver that claims target, whose text may
 * begin with filters (storage/filter.h). Worker: storage_ops.open of the same.
 */
int storage_acquire(const char *target, uint32_t flags,
		    struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
		    char *why, size_t why_size) PV_MUST_CHECK;
int storage_open(const struct storage_desc *desc, const int *fds,
		 struct storage **ret) PV_MUST_CHECK;
/* How the filter number i is written, or NULL after the last one. */
const char *storage_filter_help(unsigned i);

/*
 * Control thread: what goes wrong from now on, of the first fault filter before
 * st: its arguments, or "off". What it held back goes on. why gets one sentence
 * on failure. -EOPNOTSUPP: there is no such filter.
 */
int storage_set_faults(struct storage *st, const char *spec, char *why,
		       size_t why_size) PV_MUST_CHECK;

/* Find by target (monitor) or by name (worker); NULL when there is none. */
const struct storage_ops *storage_find(const char *target);
const struct storage_ops *storage_by_name(const char *name);

/* For a driver's open(). */
static inline void storage_init(struct storage *st,
				const struct storage_ops *ops,
				const struct storage_desc *desc)
{
	st->ops = ops;
	st->desc = *desc;
	st->event_fd = -1;
	atomic_init(&st->size_bytes, desc->size_bytes);
}

/*
 * The size now; desc.size_bytes is what it was at the beginning. A size says
 * nothing about other memory, so the order does not matter.
 */
static inline uint64_t storage_size_bytes(const struct storage *st)
{
	return atomic_load_explicit(&st->size_bytes, memory_order_relaxed);
}

/* Does io stay within the disk? A flush has no range. */
static inline bool storage_fits(const struct storage *st,
				const struct storage_io *io)
{
	return io->op == STORAGE_FLUSH ||
	       num_range_within(io->offset_bytes, io->size_bytes,
				storage_size_bytes(st));
}

/*
 * Control thread: look whether it has grown or shrunk. Returns 1 it has, and
 * storage_size_bytes() says so from now on; 0; or the driver's error, with the
 * size as it was. -ENOSPC: nothing is left of it.
 */
int storage_look_again(struct storage *st) PV_MUST_CHECK;

#endif /* BLKBACK_STORAGE_H */
