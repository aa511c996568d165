/* SPDX-License-Identifier: MIT */
/*
 * blk.c - 4 KiB random reads through blkfront and a running blkbackd, against
 * fio with io_uring on the file behind it. Run by blk.sh, which starts the
 * daemons: blk RUN-DIR DOMAIN VDEV FILE.
 *
 * fio reads the file itself, from one process and without a boundary between
 * guest and driver domain: the ratio is what isolation costs.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "blkfront/blkfront.h"
#include "util/list.h"
#include "util/num.h"
#include "util/spin.h"

#define BLOCK_BYTES 4096u
#define RUNS	    5u
#define RUN_NS	    (700 * NS_PER_MS)
#define DEPTH_MAX   128u

struct job {
	unsigned depth;
	struct blkfront *bf;
	const char *file;
};

struct slot {
	struct blkfront_io io;
	struct run *run;
};

struct run {
	struct blkfront *bf;
	uint64_t nr_blocks, nr_done, seed;
	uint64_t end_ns; /* no new reads from then on */
	unsigned nr_active;
	bool failed;
	struct slot slots[DEPTH_MAX];
};

static void submit(struct slot *slot)
{
	struct run *run = slot->run;

	run->seed = run->seed * 6364136223846793005u + 1442695040888963407u;
	slot->io.offset_bytes =
		(run->seed >> 16) % run->nr_blocks * BLOCK_BYTES;
	if (blkfront_submit(run->bf, &slot->io))
		run->failed = true;
	else
		run->nr_active++;
}

static void read_done(struct blkfront_io *io)
{
	struct slot *slot = container_of(io, struct slot, io);
	struct run *run = slot->run;

	run->nr_active--;
	run->nr_done++;
	run->failed |= io->result != 0;
	if (clock_now_ns() < run->end_ns)
		submit(slot);
}

static void serve(struct run *run)
{
	struct spin spin = { 0 };

	while (run->nr_active) {
		struct pollfd pfd = { .fd = blkfront_fd(run->bf),
				      .events = POLLIN };
		int nr = blkfront_poll(run->bf);

		if (nr < 0) {
			run->failed = true;
			return;
		}
		if (nr)
			spin_worked(&spin);
		else if (!spin_again(&spin) && !blkfront_arm(run->bf))
			poll(&pfd, 1, -1);
	}
}

static double ours_run(void *arg)
{
	const struct job *job = arg;
	static struct run run;
	struct blkfront_info info;
	uint64_t start_ns;
	uint8_t *buf;

	if (bench_pin(0))
		return -1;
	blkfront_info(job->bf, &info);
	buf = blkfront_buf_alloc(job->bf, (size_t)job->depth * BLOCK_BYTES);
	if (!buf)
		return -1;
	start_ns = clock_now_ns();
	run = (struct run){ .bf = job->bf,
			    .nr_blocks = info.size_bytes / BLOCK_BYTES,
			    .seed = start_ns,
			    .end_ns = start_ns + RUN_NS };
	for (unsigned i = 0; i < job->depth; i++) {
		run.slots[i].run = &run;
		run.slots[i].io = (struct blkfront_io){
			.op = BLKFRONT_READ,
			.size_bytes = BLOCK_BYTES,
			.buf = buf + (size_t)i * BLOCK_BYTES,
			.done = read_done,
		};
		submit(&run.slots[i]);
	}
	blkfront_kick(job->bf);
	serve(&run);
	start_ns = clock_now_ns() - start_ns;
	blkfront_buf_free(job->bf, buf, (size_t)job->depth * BLOCK_BYTES);
	if (run.failed)
		return -1;
	return (double)run.nr_done * 1e6 / (double)start_ns;
}

/* kIOPS from fio's terse line: the eighth field is the read iops. */
static double fio_run(void *arg)
{
	const struct job *job = arg;
	char command[512], line[8192] = "";
	char *field = line, *rest;
	FILE *out;

	if (str_printf(command, sizeof(command),
		       "fio --name=peer --filename='%s' --rw=randread --bs=4k "
		       "--ioengine=io_uring --direct=1 --iodepth=%u "
		       "--runtime=700ms --time_based --norandommap "
		       "--randrepeat=0 --output-format=terse "
		       "--terse-version=3 2>/dev/null",
		       job->file, job->depth) < 0)
		return -1;
	out = popen(command, "r");
	if (!out)
		return -1;
	if (!fgets(line, sizeof(line), out))
		line[0] = '\0';
	while (fgetc(out) != EOF)
		;
	if (pclose(out) != 0)
		return -1;
	for (int i = 0; i < 7 && field; i++) {
		field = strchr(field, ';');
		field = field ? field + 1 : NULL;
	}
	if (!field)
		return -1;
	return strtod(field, &rest) / 1e3;
}

static int compare(struct job *job, unsigned depth)
{
	char name[32];
	struct bench_case ours = { name, ours_run, job };
	struct bench_case peer = { "fio-io_uring", fio_run, job };

	snprintf(name, sizeof(name), "blk-randread-4k-qd%u", depth);
	job->depth = depth;
	return bench_compare(&ours, &peer, "kIOPS", RUNS);
}

int main(int argc, char **argv)
{
	struct blkfront_config config = { 0 };
	struct job job = { 0 };
	uint32_t domid, vdev;
	char why[256];
	int err;

	if (argc != 5 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[3], UINT32_MAX, &vdev)) {
		fprintf(stderr, "usage: blk RUN-DIR DOMAIN VDEV FILE\n");
		return 2;
	}
	config.run_dir = argv[1];
	config.domid = (domid_t)domid;
	config.handle = vdev;
	job.file = argv[4];
	err = blkfront_open(&config, &job.bf, why, sizeof(why));
	if (err) {
		fprintf(stderr, "blk: %s\n", why);
		return 1;
	}
	bench_machine();
	err = compare(&job, 1);
	if (!err)
		err = compare(&job, 32);
	if (!err)
		err = compare(&job, 128);
	if (err)
		fprintf(stderr, "blk: a run failed\n");
	blkfront_close(job.bf);
	return err ? 1 : 0;
}
