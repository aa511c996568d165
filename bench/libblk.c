/* SPDX-License-Identifier: MIT */
/* libblk.c - what the runners of libblk.h share. */
#include "bench/libblk.h"

#include "bench/harness.h"
#include "util/clock.h"

void blk_walk_init(struct blk_walk *walk, const struct blk_disk *disk,
		   const struct blk_load *load)
{
	*walk = (struct blk_walk){
		.seed = clock_now_ns(),
		.nr_blocks = disk->size_bytes / load->block_bytes,
		.block_bytes = load->block_bytes,
		.sequential = load->sequential,
	};
}

static uint64_t both_cpu_ns(const struct blk_disk *disk)
{
	if (!disk->server)
		return 0;
	return bench_cpu_ns(0) + bench_cpu_ns(disk->server);
}

void blk_meter_start(struct blk_meter *meter, const struct blk_disk *disk)
{
	meter->cpu_ns = both_cpu_ns(disk);
	meter->start_ns = clock_now_ns();
}

struct blk_rate blk_meter_stop(const struct blk_meter *meter,
			       const struct blk_disk *disk, uint64_t nr_ios)
{
	uint64_t elapsed_ns = clock_now_ns() - meter->start_ns;
	uint64_t spent_ns = both_cpu_ns(disk) - meter->cpu_ns;

	return (struct blk_rate){
		.iops = (double)nr_ios * 1e9 / (double)elapsed_ns,
		.cpu_us = nr_ios ? (double)spent_ns / 1e3 / (double)nr_ios : 0,
	};
}
