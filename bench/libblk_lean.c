/* SPDX-License-Identifier: MIT */
/*
 * libblk_lean.c - the least that can carry out a load of libblk.h: one thread,
 * the disk's memory or file its own, every transfer done before the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "bench/harness.h"
#include "bench/libblk.h"
#include "util/clock.h"

#define LOOK_EVERY 64u /* transfers between two looks at the clock */

static int transfer(const struct blk_disk *disk, const struct blk_load *load,
		    uint64_t offset_bytes, unsigned char *buf)
{
	struct iovec iov = { .iov_base = buf, .iov_len = load->block_bytes };
	ssize_t n;

	if (disk->memory) {
		unsigned char *at = disk->memory + offset_bytes;

		memcpy(load->write ? at : buf, load->write ? buf : at,
		       load->block_bytes);
		/* The copies are what is measured: none may be left out. */
		__asm__ volatile("" : : "r"(buf), "r"(at) : "memory");
		return 0;
	}
	n = load->write ? pwritev2(disk->fd, &iov, 1, (off_t)offset_bytes, 0)
			: preadv2(disk->fd, &iov, 1, (off_t)offset_bytes, 0);
	return n == (ssize_t)load->block_bytes ? 0 : -EIO;
}

int blk_run_lean(const struct blk_disk *disk, const struct blk_load *load,
		 struct blk_rate *ret)
{
	size_t bytes = (size_t)load->depth * load->block_bytes;
	struct blk_meter meter;
	struct blk_walk walk;
	unsigned char *bufs;
	uint64_t nr = 0;
	int err = 0;

	if (bench_pin(0))
		return -EIO;
	bufs = aligned_alloc(4096, bytes);
	if (!bufs)
		return -ENOMEM;
	memset(bufs, 1, bytes);
	blk_walk_init(&walk, disk, load);
	blk_meter_start(&meter, disk);
	do {
		for (unsigned i = 0; i < LOOK_EVERY && !err; i++, nr++)
			err = transfer(disk, load, blk_walk_next(&walk),
				       bufs + nr % load->depth *
						       load->block_bytes);
	} while (!err && clock_now_ns() < meter.start_ns + load->run_ns);
	*ret = blk_meter_stop(&meter, disk, nr);
	free(bufs);
	return err;
}
