/* SPDX-License-Identifier: MIT */
/*
 * copy.h - copying between split disks and files, for blkfront-copy.
 *
 * Many blocks are under way at a time. What is all zeros is not written where
 * zeros are already, so that holes stay holes: a file is made anew and has
 * none else; a disk is read there first. No block is trusted to read as zeros
 * because it was discarded.
 *
 * Thread: one, which owns both disks, opened with COPY_MOVERS queues; the
 * others are started here, and end here. Logs: never.
 */
#ifndef BLKFRONT_TOOLS_COPY_H
#define BLKFRONT_TOOLS_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "blkfront/blkfront.h"
#include "util/annotate.h"

#define COPY_BLOCK  (256u << 10)
#define COPY_DEPTH  16u
#define COPY_MOVERS 4u /* threads, and queues of a disk */
/* What a disk's region has to hold: two buffers a block. */
#define COPY_BUFFERS (2ull * COPY_BLOCK * COPY_DEPTH)

/* Where bytes come from or go to: one of the two. */
struct copy_end {
	struct blkfront *bf; /* NULL: the file */
	int fd;
	bool zeroed; /* all of it reads as zeros at first */
};

struct copy_progress {
	uint64_t done_bytes;	/* of size_bytes */
	uint64_t written_bytes; /* the rest of what is done was zeros */
	uint64_t discarded_bytes;
};

struct copy_config {
	struct copy_end from, to;
	uint64_t size_bytes; /* of a disk: all of it, or less */
	bool discard;	     /* zeros of a disk: discard first, and look */
	bool compare;	     /* write nothing, compare instead */
	/* Now and then; false ends it with -ECANCELED. */
	bool (*progress)(void *arg, const struct copy_progress *p);
	void *arg;
};

/*
 * Copy, and make it durable. *ret is set in any case; where is the offset of a
 * failure. -EILSEQ: they differ (compare), -ENOMEM, or an error of an end's.
 */
int copy_run(const struct copy_config *config, struct copy_progress *ret,
	     uint64_t *where) PV_MUST_CHECK;

#endif /* BLKFRONT_TOOLS_COPY_H */
