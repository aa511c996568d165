/* SPDX-License-Identifier: MIT */
/*
 * disks.c - many disks of one driver domain, all held open by this program:
 * what they cost while nobody uses them, and whether those that are busy get
 * equal shares. Run by disks.sh: disks RUN-DIR DOMAIN NR WORKER-PID;
 * every 500 disks are another guest's, from DOMAIN on.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/grant.h"
#include "bench/harness.h"
#include "bench/libusage.h"
#include "blkfront/blkfront.h"
#include "util/clock.h"
#include "util/list.h"
#include "util/log.h"
#include "util/num.h"

#define VDEV_FIRST_INDEX 16u /* xvdq */
#define PER_GUEST	 500u
#define VDEV_FIRST	 (1u << 28)
#define VDEV_STEP	 256u
#define DISKS_MAX	 1000u
#define BUSY_MAX	 100u
#define DEPTH		 4u
#define BLOCK_BYTES	 4096u
#define SETTLE_US	 2000000u
#define IDLE_MS		 10000
#define BUSY_NS		 (2 * NS_PER_S)
#define WHY_MAX		 256

struct disk {
	struct blkfront *bf;
	uint64_t nr_done;
	unsigned nr_active;
	int err;
	struct slot {
		struct blkfront_io io;
		struct disk *disk;
	} slots[DEPTH];
};

static struct disk disks[DISKS_MAX];
static struct pollfd pfds[DISKS_MAX];
static uint32_t nr_disks;
static bool over;

static int open_all(const char *run_dir, domid_t domid, pid_t worker)
{
	double before_kib = usage_memory(worker).private;
	uint64_t start_ns = clock_now_ns();

	for (uint32_t i = 0; i < nr_disks; i++) {
		struct blkfront_config config = {
			.run_dir = run_dir,
			.domid = (domid_t)(domid + i / PER_GUEST),
			.handle =
				VDEV_FIRST +
				(VDEV_FIRST_INDEX + i % PER_GUEST) * VDEV_STEP,
			.buf_bytes = DEPTH * BLOCK_BYTES,
			.ring_pages = 1,
		};
		char why[WHY_MAX];
		int err =
			blkfront_open(&config, &disks[i].bf, why, sizeof(why));

		if (err) {
			fprintf(stderr, "disks: %u: %s\n", i, why);
			return err;
		}
	}
	printf("disks  %.0f connected a second; %.1f KiB private memory each "
	       "(target 1024)\n",
	       nr_disks * 1e9 / (double)(clock_now_ns() - start_ns),
	       (usage_memory(worker).private - before_kib) / nr_disks);
	return 0;
}

/* Whatever there is to do is done; then all are asleep. */
static void arm_all(void)
{
	uint64_t end_ns = clock_now_ns() + SETTLE_US * NS_PER_US;
	bool busy = true;

	while (busy || clock_now_ns() < end_ns) {
		busy = false;
		for (uint32_t i = 0; i < nr_disks; i++) {
			busy |= blkfront_poll(disks[i].bf) > 0;
			busy |= blkfront_arm(disks[i].bf);
			pfds[i] =
				(struct pollfd){ .fd = blkfront_fd(disks[i].bf),
						 .events = POLLIN };
		}
		usleep(10000);
	}
}

static int idle(pid_t worker)
{
	struct usage before[2], after[2];
	int nr, err;

	arm_all();
	err = usage_read(worker, &before[0]);
	if (!err)
		err = usage_read(getpid(), &before[1]);
	nr = poll(pfds, nr_disks, IDLE_MS);
	if (!err)
		err = usage_read(getpid(), &after[1]);
	if (!err)
		err = usage_read(worker, &after[0]);
	if (err)
		return err;
	printf("disks  %u idle for %d s: backend %llu ns of CPU, %llu "
	       "wake-ups; frontend %d events (targets 0)\n",
	       nr_disks, IDLE_MS / 1000, after[0].cpu_ns - before[0].cpu_ns,
	       after[0].nr_runs - before[0].nr_runs, nr);
	return 0;
}

static void submit(struct slot *slot)
{
	struct disk *disk = slot->disk;
	int err = blkfront_submit(disk->bf, &slot->io);

	if (err)
		disk->err = err;
	else
		disk->nr_active++;
}

static void io_done(struct blkfront_io *io)
{
	struct slot *slot = container_of(io, struct slot, io);

	slot->disk->nr_active--;
	slot->disk->nr_done++;
	if (io->result)
		slot->disk->err = io->result;
	else if (!over)
		submit(slot);
}

static int start(struct disk *disk)
{
	uint8_t *buf = blkfront_buf_alloc(disk->bf, DEPTH * BLOCK_BYTES);

	if (!buf)
		return -ENOBUFS;
	for (unsigned i = 0; i < DEPTH; i++) {
		disk->slots[i].disk = disk;
		disk->slots[i].io = (struct blkfront_io){
			.op = BLKFRONT_WRITE,
			.size_bytes = BLOCK_BYTES,
			.buf = buf + i * BLOCK_BYTES,
			.done = io_done,
		};
		submit(&disk->slots[i]);
	}
	blkfront_kick(disk->bf);
	return disk->err;
}

static int busy(uint32_t nr)
{
	uint64_t end_ns = clock_now_ns() + BUSY_NS, least = UINT64_MAX,
		 most = 0;
	uint64_t sum = 0;
	unsigned nr_active = 1;
	int err = 0;

	for (uint32_t i = 0; i < nr && !err; i++)
		err = start(&disks[i]);
	while (!err && nr_active) {
		over = clock_now_ns() >= end_ns;
		nr_active = 0;
		for (uint32_t i = 0; i < nr && !err; i++) {
			if (blkfront_poll(disks[i].bf) < 0 || disks[i].err)
				err = -EIO;
			nr_active += disks[i].nr_active;
		}
	}
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t done = disks[i].nr_done;

		least = done < least ? done : least;
		most = done > most ? done : most;
		sum += done;
	}
	if (err || !least)
		return -EIO;
	printf("disks  %u of them busy: %.0f kIOPS together, max/min %.3f "
	       "(target 1.2)\n",
	       nr, (double)sum * 1e6 / (double)BUSY_NS,
	       (double)most / (double)least);
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t domid, worker;
	int err;

	if (argc != 5 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[3], DISKS_MAX, &nr_disks) || !nr_disks ||
	    num_parse_u32(argv[4], INT32_MAX, &worker)) {
		fprintf(stderr, "usage: disks RUN-DIR DOMAIN NR WORKER-PID\n");
		return 2;
	}
	log_init("disks", LOG_WARN);
	err = bench_pin(0);
	if (!err)
		err = open_all(argv[1], (domid_t)domid, (pid_t)worker);
	if (!err)
		err = idle((pid_t)worker);
	if (!err)
		err = busy(nr_disks < BUSY_MAX ? nr_disks : BUSY_MAX);
	if (err)
		fprintf(stderr, "disks: %s\n", strerror(-err));
	for (uint32_t i = 0; i < nr_disks; i++)
		blkfront_close(disks[i].bf);
	return err ? 1 : 0;
}
