/* SPDX-License-Identifier: MIT */
/*
 * bench.h - load on a split disk, for the files of blkfront-bench.
 *
 *   blkfront-bench.c the command line, opening the disk, what is printed
 *   bench.c          jobs: one a queue, each with a part of the disk
 *   pattern.c        the blocks of --verify
 *
 * A job is the owner of a queue: it keeps so many requests in flight until its
 * time or its bytes are used up. Parts of the disk do not overlap, so that jobs
 * share nothing but the count of those that still run.
 */
#ifndef BLKFRONT_TOOLS_BENCH_H
#define BLKFRONT_TOOLS_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "blkfront/blkfront.h"
#include "blkfront/tools/pattern.h"
#include "util/annotate.h"
#include "util/hist.h"

#define BENCH_DEPTH_MAX 1024u
#define BENCH_BLOCK_MAX (16u << 20)

struct bench_config {
	bool random;
	uint32_t read_percent; /* of requests; 0: only writes */
	bool verify;
	uint32_t block_bytes;
	uint32_t depth; /* of each queue */
	uint32_t nr_queues;
	uint64_t area_bytes;  /* from the disk's start: what is used */
	uint64_t runtime_ns;  /* 0: no bound */
	uint64_t total_bytes; /* of all queues; 0: no bound */
	uint64_t seed;
};

enum bench_side {
	BENCH_READ,
	BENCH_WRITE,
	BENCH_SIDES
};

struct bench_result {
	uint64_t elapsed_ns;
	uint64_t nr_errors;
	int error; /* the first one; 0: none */
	struct bench_stats {
		uint64_t nr, bytes; /* that went well */
		struct hist latency_ns;
	} side[BENCH_SIDES];
	/* with verify: */
	uint64_t nr_checked, nr_wrong; /* blocks */
	char first_wrong[PATTERN_WHY_MAX];
};

/*
 * Run it, then read back what was written if verify. stop_asked ends it
 * early. -ENOMEM; -EINVAL the area is too small for so many queues; or the
 * disk's error when it is lost. Requests that fail are in the result.
 */
int bench_run(struct blkfront *bf, const struct bench_config *config,
	      struct bench_result *ret) PV_MUST_CHECK;

#endif /* BLKFRONT_TOOLS_BENCH_H */
