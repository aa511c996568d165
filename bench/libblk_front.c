/* SPDX-License-Identifier: MIT */
/* libblk_front.c - our side of libblk.h: a program that uses blkfront. */
#include <errno.h>
#include <poll.h>

#include "bench/harness.h"
#include "bench/libblk.h"
#include "blkfront/blkfront.h"
#include "util/list.h"
#include "util/spin.h"

#define LOOK_EVERY 16u /* I/Os between two looks at the clock */

struct slot {
	struct blkfront_io io;
	struct run *run;
};

struct run {
	struct blkfront *bf;
	struct blk_walk walk;
	uint64_t nr_done;
	uint64_t look_at; /* of nr_done */
	unsigned nr_active;
	bool over; /* nothing new */
	int err;
	struct slot slots[BLK_DEPTH_MAX];
};

static void submit(struct slot *slot)
{
	struct run *run = slot->run;
	int err;

	slot->io.offset_bytes = blk_walk_next(&run->walk);
	err = blkfront_submit(run->bf, &slot->io);
	if (err)
		run->err = err;
	else
		run->nr_active++;
}

static void io_done(struct blkfront_io *io)
{
	struct slot *slot = container_of(io, struct slot, io);
	struct run *run = slot->run;

	run->nr_active--;
	run->nr_done++;
	if (io->result)
		run->err = io->result;
	else if (!run->over)
		submit(slot);
}

/* Every few: at depth 1 the clock would be a part of what is measured. */
static bool is_time_up(struct run *run, uint64_t end_ns)
{
	if (run->nr_done < run->look_at)
		return false;
	run->look_at = run->nr_done + LOOK_EVERY;
	return clock_now_ns() >= end_ns;
}

static void serve(struct run *run, bool sleeps, uint64_t end_ns)
{
	struct spin spin = { 0 };

	while (run->nr_active) {
		struct pollfd pfd = { .fd = blkfront_fd(run->bf),
				      .events = POLLIN };
		int nr = blkfront_poll(run->bf);

		if (nr < 0) {
			run->err = nr;
			return;
		}
		if (nr) {
			spin_worked(&spin);
			run->over |= is_time_up(run, end_ns);
		} else if (!sleeps) {
			clock_cpu_relax();
		} else if (!spin_again(&spin) && !blkfront_arm(run->bf)) {
			poll(&pfd, 1, -1);
		}
	}
}

int blk_run_front(const struct blk_disk *disk, const struct blk_load *load,
		  struct blk_rate *ret)
{
	static struct run run;
	size_t bytes = (size_t)load->depth * load->block_bytes;
	struct blk_meter meter;
	uint8_t *buf;

	if (bench_pin(0))
		return -EIO;
	buf = blkfront_buf_alloc(disk->bf, bytes);
	if (!buf)
		return -ENOBUFS;
	run = (struct run){ .bf = disk->bf };
	blk_walk_init(&run.walk, disk, load);
	blk_meter_start(&meter, disk);
	for (unsigned i = 0; i < load->depth; i++) {
		run.slots[i].run = &run;
		run.slots[i].io = (struct blkfront_io){
			.op = load->write ? BLKFRONT_WRITE : BLKFRONT_READ,
			.size_bytes = load->block_bytes,
			.buf = buf + (size_t)i * load->block_bytes,
			.done = io_done,
		};
		submit(&run.slots[i]);
	}
	blkfront_kick(disk->bf);
	serve(&run, load->sleeps, meter.start_ns + load->run_ns);
	*ret = blk_meter_stop(&meter, disk, run.nr_done);
	blkfront_buf_free(disk->bf, buf, bytes);
	return run.err;
}
