/* SPDX-License-Identifier: MIT */
/*
 * blk.c - split disks against their peers. Run by blk.sh, which starts the
 * daemons and attaches the disk:
 *
 *	blk short|full WHAT RUN-DIR DOMAIN VDEV SERVER-PID FILE [PEER-PID]
 *
 * WHAT says which disk it is, and with that which peers:
 *
 *   mem    mem:SIZE against a loop of memcpy in memory as large
 *   tmpfs  a file in memory against a loop of preadv2, and fio
 *   disk   a file on a disk, O_DIRECT, against fio
 *   null   null:SIZE against the cache line between the two CPUs
 *   qemu   a file in memory against qemu-storage-daemon's vhost-user-blk on the
 *          same one: FILE is its socket, PEER-PID its process
 *   nbd    an export of nbdkit's against fio, which speaks to the same one
 *   iscsi  a LUN of tgtd's against a loop around libiscsi on the same one
 *
 * For the last two FILE is the server's URI. The server has the second CPU, and
 * with it our data thread; the peer has no data thread.
 *
 * A peer that has the file to itself, in one process and without a boundary
 * between guest and driver domain, shows what isolation costs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/grant.h"
#include "bench/harness.h"
#include "bench/libblk.h"
#include "bench/libvhost.h"
#include "blkfront/blkfront.h"
#include "util/clock.h"
#include "util/list.h"
#include "util/num.h"

#define RUNS	   3u
#define RANDOM	   4096u
#define SEQUENTIAL (128u << 10)
#define BUF_BYTES  (17u << 20)
#define WHY_MAX	   256

enum unit {
	KIOPS,
	GB_PER_S,
	US,
	CPU_US
};
static const char *const unit_names[] = { "kIOPS", "GB/s", "us", "CPU-us/IO" };

enum goal {
	RATIO_AT_LEAST,
	RATIO_AT_MOST,
	MORE_AT_MOST,
	AT_LEAST
};
static const char *const goal_names[] = { "ratio at least", "ratio at most",
					  "more than the peer at most",
					  "at least" };

/* One of the two sides of a row. */
struct side {
	blk_run_fn *run;
	const struct blk_disk *disk;
	const struct blk_load *load;
	enum unit unit;
};

/* A comparison; its name begins with the disk's. */
struct row {
	const char *peer_name;
	blk_run_fn *peer;
	const char *engine; /* fio's */
	enum unit unit;
	enum goal goal;
	double goal_value;
};

struct context {
	const char *what;
	struct blk_disk disk;
	pid_t peer; /* qemu-storage-daemon */
	bool is_short;
	uint64_t run_ns;
};

static double side_run(void *arg)
{
	const struct side *side = arg;
	struct blk_rate rate;

	if (side->run(side->disk, side->load, &rate))
		return -1;
	switch (side->unit) {
	case KIOPS: return rate.iops / 1e3;
	case GB_PER_S: return rate.iops * side->load->block_bytes / 1e9;
	case US: return 1e6 / rate.iops;
	case CPU_US: return rate.cpu_us;
	}
	return -1;
}

static bool is_met(const struct row *row, const struct bench_result *result)
{
	switch (row->goal) {
	case RATIO_AT_LEAST: return result->ratio.median >= row->goal_value;
	case RATIO_AT_MOST: return result->ratio.median <= row->goal_value;
	case MORE_AT_MOST:
		return result->ours.median - result->peer.median <=
		       row->goal_value;
	case AT_LEAST: return result->ours.median >= row->goal_value;
	}
	return false;
}

static int compare(const struct context *c, const struct row *row,
		   const struct blk_load *load)
{
	struct blk_disk peer_disk = c->disk;
	struct side a = { blk_run_front, &c->disk, load, row->unit };
	struct side b = { row->peer, &peer_disk, load, row->unit };
	char name[64];
	struct bench_case ours = { name, side_run, &a };
	struct bench_case peer = { row->peer_name, side_run, &b };
	struct bench_result result;
	int err;

	snprintf(name, sizeof(name), "%s-%s%s-%uk-qd%u%s", c->what,
		 load->sequential ? "" : "rand", load->write ? "write" : "read",
		 load->block_bytes >> 10, load->depth,
		 load->sleeps ? "-event" : "");
	peer_disk.engine = row->engine;
	if (c->peer)
		peer_disk.server = c->peer;
	err = bench_compare_ret(&ours, &peer, unit_names[row->unit], RUNS,
				&result);
	if (err)
		return err;
	printf("%-24s target: %s %g: %s\n", "", goal_names[row->goal],
	       row->goal_value, is_met(row, &result) ? "met" : "MISSED");
	fflush(stdout);
	return 0;
}

/* Reads and writes of it, all rows. */
static int compare_all(const struct context *c, const struct row *rows,
		       size_t nr_rows, unsigned depth, bool sequential)
{
	for (int write = 0; write < 2; write++) {
		struct blk_load load = {
			.write = write,
			.sequential = sequential,
			.depth = depth,
			.block_bytes = sequential ? SEQUENTIAL : RANDOM,
			.run_ns = c->run_ns,
		};

		for (size_t i = 0; i < nr_rows; i++) {
			int err = compare(c, &rows[i], &load);

			if (err)
				return err;
		}
	}
	return 0;
}

/* A cache line there and back, as if it were an I/O. */
static int run_line(const struct blk_disk *disk, const struct blk_load *load,
		    struct blk_rate *ret)
{
	double line_ns = bench_line_ns();

	(void)disk;
	(void)load;
	if (line_ns <= 0)
		return -EIO;
	*ret = (struct blk_rate){ .iops = 1e9 / line_ns };
	return 0;
}

static int measure_mem(const struct context *c)
{
	static const struct row one = { "memcpy-loop", blk_run_lean,   NULL,
					KIOPS,	       RATIO_AT_LEAST, 0.6 };
	static const struct row many = { "memcpy-loop", blk_run_lean,	NULL,
					 KIOPS,		RATIO_AT_LEAST, 0.9 };
	int err = compare_all(c, &one, 1, 1, false);

	if (!err)
		err = compare_all(c, &many, 1, 32, false);
	if (!err)
		err = compare_all(c, &many, 1, 128, false);
	return err;
}

static int measure_tmpfs(const struct context *c)
{
	static const struct row one = { "preadv2-loop", blk_run_lean, NULL, US,
					MORE_AT_MOST,	1.0 };
	static const struct row many[] = {
		{ "preadv2-loop", blk_run_lean, NULL, KIOPS, RATIO_AT_LEAST,
		  0.8 },
		{ "fio-libaio", blk_run_fio, "libaio", KIOPS, RATIO_AT_LEAST,
		  2.0 },
		{ "fio-io_uring", blk_run_fio, "io_uring", KIOPS,
		  RATIO_AT_LEAST, 2.0 },
	};
	static const struct row large = {
		"preadv2-loop", blk_run_lean,	NULL,
		GB_PER_S,	RATIO_AT_LEAST, 0.95
	};
	int err = compare_all(c, &one, 1, 1, false);

	if (!err)
		err = compare_all(c, many, ARRAY_SIZE(many), 32, false);
	if (!err)
		err = compare_all(c, many, ARRAY_SIZE(many), 128, false);
	if (!err)
		err = compare_all(c, &large, 1, 32, true);
	return err;
}

static int measure_disk(const struct context *c)
{
	static const struct row one[] = {
		{ "fio-libaio", blk_run_fio, "libaio", US, MORE_AT_MOST, 5 },
		{ "fio-io_uring", blk_run_fio, "io_uring", US, MORE_AT_MOST,
		  5 },
	};
	static const struct row many[] = {
		{ "fio-libaio", blk_run_fio, "libaio", KIOPS, RATIO_AT_LEAST,
		  0.97 },
		{ "fio-io_uring", blk_run_fio, "io_uring", KIOPS,
		  RATIO_AT_LEAST, 0.97 },
	};
	int err = compare_all(c, one, ARRAY_SIZE(one), 1, false);

	if (!err)
		err = compare_all(c, many, ARRAY_SIZE(many), 32, false);
	return err;
}

/* Writes are the framework alone; reads are zeroed pages besides. */
static int measure_null(const struct context *c)
{
	static const struct row one = { "cache-line", run_line,	     NULL,
					US,	      RATIO_AT_MOST, 5 };
	static const struct row many = { "cache-line", run_line, NULL,
					 KIOPS,	       AT_LEAST, 6000 };
	int err = compare_all(c, &one, 1, 1, false);

	return err ? err : compare_all(c, &many, 1, 128, false);
}

static int measure_served(const struct context *c, const struct row *row)
{
	struct row large = *row;
	int err = compare_all(c, row, 1, 1, false);

	large.unit = GB_PER_S;
	if (!err)
		err = compare_all(c, row, 1, 32, false);
	return err ? err : compare_all(c, &large, 1, 32, true);
}

static int measure_nbd(const struct context *c)
{
	static const struct row row = { "fio-nbd", blk_run_fio,	   "nbd",
					KIOPS,	   RATIO_AT_LEAST, 0.7 };

	return measure_served(c, &row);
}

static int measure_iscsi(const struct context *c)
{
	static const struct row row = { "libiscsi-loop", blk_run_iscsi,	 NULL,
					KIOPS,		 RATIO_AT_LEAST, 0.7 };

	return measure_served(c, &row);
}

/* One unit after the other: speed, then what it costs. */
static int measure_qemu(const struct context *c)
{
	static const struct {
		unsigned depth;
		bool sleeps;
		double at_least;
	} cases[] = { { 1, false, 1.5 },
		      { 32, false, 2 },
		      { 1, true, 5 },
		      { 32, true, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blk_load load = { .sleeps = cases[i].sleeps,
					 .depth = cases[i].depth,
					 .block_bytes = RANDOM,
					 .run_ns = c->run_ns };
		const struct row rows[] = {
			{ "qemu-storage-daemon", blk_run_vhost, NULL, KIOPS,
			  RATIO_AT_LEAST, cases[i].at_least },
			{ "qemu-storage-daemon", blk_run_vhost, NULL, CPU_US,
			  RATIO_AT_MOST, 1 },
		};

		for (size_t j = 0; j < ARRAY_SIZE(rows); j++) {
			int err = compare(c, &rows[j], &load);

			if (err)
				return err;
		}
	}
	return 0;
}

static const struct {
	const char *what;
	int (*measure)(const struct context *c);
} measures[] = {
	{ "mem", measure_mem },	    { "tmpfs", measure_tmpfs },
	{ "disk", measure_disk },   { "null", measure_null },
	{ "qemu", measure_qemu },   { "nbd", measure_nbd },
	{ "iscsi", measure_iscsi },
};

/*
 * What the peer works on: the file, a server's connection, or memory like the
 * disk's.
 */
static int open_peer(struct context *c)
{
	struct blk_disk *disk = &c->disk;

	if (strcmp(c->what, "null") == 0 || strcmp(c->what, "nbd") == 0 ||
	    strcmp(c->what, "iscsi") == 0)
		return 0;
	if (strcmp(c->what, "qemu") == 0)
		return vhost_blk_open(disk->file, RANDOM, &disk->vhost);
	if (strcmp(c->what, "mem") != 0) {
		disk->fd = open(disk->file, O_RDWR | O_CLOEXEC);
		return disk->fd < 0 ? -errno : 0;
	}
	disk->memory = mmap(NULL, disk->size_bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return disk->memory == MAP_FAILED ? -errno : 0;
}

/* Every block written once: pages, not holes. */
static int fill(const struct context *c)
{
	size_t bytes = 1u << 20;
	void *buf = blkfront_buf_alloc(c->disk.bf, bytes);
	int err = buf ? 0 : -ENOBUFS;

	if (buf)
		memset(buf, 0x5a, bytes);
	for (uint64_t at = 0; !err && at < c->disk.size_bytes; at += bytes)
		err = blkfront_rw_sync(c->disk.bf, BLKFRONT_WRITE, at, buf,
				       bytes);
	blkfront_buf_free(c->disk.bf, buf, bytes);
	return err;
}

static int run(struct context *c)
{
	struct blkfront_info info;
	int err;

	blkfront_info(c->disk.bf, &info);
	c->disk.size_bytes = info.size_bytes;
	c->disk.direct = strcmp(c->what, "disk") == 0;
	err = fill(c);
	if (!err)
		err = open_peer(c);
	if (err)
		return err;
	printf("%s: %llu MiB, %u ring(s) of %u page(s)\n", c->what,
	       (unsigned long long)(info.size_bytes >> 20), info.nr_queues,
	       info.ring_pages);
	for (size_t i = 0; i < ARRAY_SIZE(measures); i++)
		if (strcmp(measures[i].what, c->what) == 0)
			return measures[i].measure(c);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	struct blkfront_config config = { .buf_bytes = BUF_BYTES };
	struct context c = { 0 };
	uint32_t domid, vdev, pid, peer = 0;
	char why[WHY_MAX];
	int err;

	if (argc < 8 || argc > 9 ||
	    num_parse_u32(argv[4], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[5], UINT32_MAX, &vdev) ||
	    num_parse_u32(argv[6], INT32_MAX, &pid) ||
	    (argc == 9 && num_parse_u32(argv[8], INT32_MAX, &peer))) {
		fprintf(stderr, "usage: blk short|full WHAT RUN-DIR DOMAIN "
				"VDEV SERVER-PID FILE [PEER-PID]\n");
		return 2;
	}
	c.is_short = strcmp(argv[1], "short") == 0;
	c.run_ns = (c.is_short ? 100 : 500) * NS_PER_MS;
	c.what = argv[2];
	c.disk.server = (pid_t)pid;
	c.disk.file = argv[7];
	c.peer = (pid_t)peer;
	config.run_dir = argv[3];
	config.domid = (domid_t)domid;
	config.handle = vdev;
	err = blkfront_open(&config, &c.disk.bf, why, sizeof(why));
	if (err) {
		fprintf(stderr, "blk: %s\n", why);
		return 1;
	}
	err = run(&c);
	if (err)
		fprintf(stderr, "blk: %s: %s\n", c.what, strerror(-err));
	vhost_blk_close(c.disk.vhost);
	blkfront_close(c.disk.bf);
	return err ? 1 : 0;
}
