/* SPDX-License-Identifier: MIT */
/*
 * libblk.h - one load, carried out on a disk by whoever is to be compared:
 *
 *   libblk_front.c  ours: blkfront, a ring, a blkbackd on the other CPU
 *   libblk_lean.c   the least that can do it: a loop of memcpy or of preadv2
 *   libblk_fio.c    fio with one of its engines, on the file itself
 *   libblk_iscsi.c  a loop around libiscsi, on the LUN itself
 *   libblk_vhost.c  qemu-storage-daemon's vhost-user-blk, by libvhost.h
 *
 * Every one keeps load.depth transfers in flight, at offsets from the same
 * generator, until load.run_ns is over.
 *
 * Thread: the caller's, which they pin to the first CPU. Logs: never.
 */
#ifndef BENCH_LIBBLK_H
#define BENCH_LIBBLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/annotate.h"

#define BLK_DEPTH_MAX 128u

struct blk_load {
	bool write, sequential;
	bool sleeps; /* wait in the kernel when there is nothing; else poll */
	unsigned depth;
	uint32_t block_bytes;
	uint64_t run_ns;
};

/* What a load runs on; a runner uses what is its own. */
struct blk_disk {
	struct blkfront *bf;
	struct vhost_blk *vhost;
	const char *file; /* fio, iscsi: a path, or a server's URI */
	const char *engine;
	bool direct;
	int fd;		       /* lean */
	unsigned char *memory; /* lean; NULL: fd */
	uint64_t size_bytes;
	pid_t server; /* whose CPU time counts beside our own; 0: nobody's */
};

struct blk_rate {
	double iops;
	double cpu_us; /* of an I/O, both sides; 0: not known */
};

typedef int blk_run_fn(const struct blk_disk *disk, const struct blk_load *load,
		       struct blk_rate *ret);
blk_run_fn blk_run_front, blk_run_lean, blk_run_fio, blk_run_vhost;
blk_run_fn blk_run_iscsi;

/* ---- for runners --------------------------------------------------------- */

/* Where the next transfer goes. */
struct blk_walk {
	uint64_t seed, nr_blocks, next;
	uint32_t block_bytes;
	bool sequential;
};

void blk_walk_init(struct blk_walk *walk, const struct blk_disk *disk,
		   const struct blk_load *load);

static inline uint64_t blk_walk_next(struct blk_walk *walk)
{
	if (walk->sequential) {
		walk->next =
			walk->next + 1 == walk->nr_blocks ? 0 : walk->next + 1;
	} else {
		walk->seed = walk->seed * 6364136223846793005u +
			     1442695040888963407u;
		walk->next = (walk->seed >> 32) * walk->nr_blocks >> 32;
	}
	return walk->next * walk->block_bytes;
}

/* The time a run took, and the CPU time of both sides. */
struct blk_meter {
	uint64_t start_ns, cpu_ns;
};

void blk_meter_start(struct blk_meter *meter, const struct blk_disk *disk);
struct blk_rate blk_meter_stop(const struct blk_meter *meter,
			       const struct blk_disk *disk, uint64_t nr_ios);

#endif /* BENCH_LIBBLK_H */
