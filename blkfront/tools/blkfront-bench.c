/* SPDX-License-Identifier: MIT */
/*
 * blkfront-bench.c - measures a split disk: rates, latencies, and whether what
 * is read is what was written. `pvsplit block-bench` starts it. See bench.h.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/grant.h"
#include "blkfront/tools/bench.h"
#include "tools/latency.h"
#include "tools/options.h"
#include "tools/stop.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"
#include "util/say.h"
#include "util/vdev.h"

#define PROGRAM		"blkfront-bench"
#define DEFAULT_RUNTIME (5 * NS_PER_S)
#define WHY_BYTES	256

struct mode {
	const char *name;
	bool random, reads, writes;
};

static const struct mode modes[] = {
	{ "read", false, true, false },	    { "write", false, false, true },
	{ "rw", false, true, true },	    { "randread", true, true, false },
	{ "randwrite", true, false, true }, { "randrw", true, true, true },
};

struct options {
	struct blkfront_config disk;
	struct bench_config bench;
	const struct mode *mode;
	uint32_t mix; /* percent of reads in rw and randrw */
	bool has_domain, has_vdev, may_write, json;
};

/* ---- the command line -----------------------------------------------------
 */

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " [OPTION]... --domain N --vdev V\n"
		"  --run-dir DIR      run directory of brokerd\n"
		"  --domain N         whose disk: this guest's domain id\n"
		"  --vdev V           xvda, or its number\n"
		"  --mode MODE        read, write, rw, randread (default), "
		"randwrite, randrw\n"
		"  --mix PERCENT      of reads in rw and randrw (70)\n"
		"  --block-size SIZE  of a request (4K)\n"
		"  --depth N          requests in flight on each queue (32)\n"
		"  --queues N         queues, a thread each (1)\n"
		"  --area SIZE        only the first SIZE of the disk\n"
		"  --runtime SECONDS  how long (5, if --total is not given)\n"
		"  --total SIZE       how much\n"
		"  --seed N           of what is random\n"
		"  --write            destroy what is on the disk: modes that "
		"write need it\n"
		"  --verify           write blocks that say what they are, and "
		"read them back\n"
		"  --json             results as JSON\n");
}

static int parse_mode(struct options *opt, const char *value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(value, modes[i].name)) {
			opt->mode = &modes[i];
			return 0;
		}
	return option_wrong("--mode", value,
			    "read, write, rw, randread, randwrite or randrw");
}

static int parse_disk(struct options *opt, int c, const char *value)
{
	uint32_t domid;
	int err;

	switch (c) {
	case 'r': opt->disk.run_dir = value; return 0;
	case 'd':
		err = option_u32("--domain", value, 0, DOMID_FIRST_RESERVED - 1,
				 &domid);
		if (err)
			return err;
		opt->disk.domid = (domid_t)domid;
		opt->has_domain = true;
		return 0;
	default:
		if (vdev_parse(value, &opt->disk.handle))
			return option_wrong("--vdev", value,
					    "a disk such as xvda");
		opt->has_vdev = true;
		return 0;
	}
}

static int parse_load(struct options *opt, int c, const char *value)
{
	struct bench_config *b = &opt->bench;
	uint64_t bytes;
	int err;

	switch (c) {
	case 'm': return parse_mode(opt, value);
	case 'x': return option_u32("--mix", value, 1, 99, &opt->mix);
	case 'b':
		err = option_bytes("--block-size", value, BENCH_BLOCK_MAX,
				   &bytes);
		if (!err)
			b->block_bytes = (uint32_t)bytes;
		return err;
	case 'n':
		return option_u32("--depth", value, 1, BENCH_DEPTH_MAX,
				  &b->depth);
	case 'q':
		return option_u32("--queues", value, 1, BLKFRONT_QUEUES_MAX,
				  &b->nr_queues);
	case 'a':
		return option_bytes("--area", value, INT64_MAX, &b->area_bytes);
	case 't': return option_seconds("--runtime", value, &b->runtime_ns);
	case 'T':
		return option_bytes("--total", value, INT64_MAX,
				    &b->total_bytes);
	default:
		return num_parse_u64(value, UINT64_MAX, &b->seed)
			       ? option_wrong("--seed", value, "a number")
			       : 0;
	}
}

static int check_options(struct options *opt)
{
	struct bench_config *b = &opt->bench;

	if (!opt->has_domain || !opt->has_vdev) {
		log_error("needs --domain and --vdev");
		return -EINVAL;
	}
	if (opt->mode->writes && !opt->may_write) {
		log_error("mode %s destroys what is on the disk; say so with "
			  "--write",
			  opt->mode->name);
		return -EINVAL;
	}
	if (b->verify && !opt->mode->writes) {
		log_error("--verify checks what was written; use a mode that "
			  "writes");
		return -EINVAL;
	}
	if (b->block_bytes % PATTERN_UNIT) {
		log_error("--block-size %u: give a multiple of %u",
			  b->block_bytes, PATTERN_UNIT);
		return -EINVAL;
	}
	if (!b->runtime_ns && !b->total_bytes)
		b->runtime_ns = DEFAULT_RUNTIME;
	b->random = opt->mode->random;
	b->read_percent = !opt->mode->writes  ? 100
			  : !opt->mode->reads ? 0
					      : opt->mix;
	return 0;
}

/* Returns 0, 1 when --help was all, or -EINVAL (said what is wrong). */
static int parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'd' },
		{ "vdev", required_argument, NULL, 'v' },
		{ "mode", required_argument, NULL, 'm' },
		{ "mix", required_argument, NULL, 'x' },
		{ "block-size", required_argument, NULL, 'b' },
		{ "depth", required_argument, NULL, 'n' },
		{ "queues", required_argument, NULL, 'q' },
		{ "area", required_argument, NULL, 'a' },
		{ "runtime", required_argument, NULL, 't' },
		{ "total", required_argument, NULL, 'T' },
		{ "seed", required_argument, NULL, 's' },
		{ "write", no_argument, NULL, 'W' },
		{ "verify", no_argument, NULL, 'V' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c, err = 0;

	while (!err && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'h': usage(stdout); return 1;
		case 'W': opt->may_write = true; break;
		case 'V': opt->bench.verify = true; break;
		case 'j': opt->json = true; break;
		case 'r':
		case 'd':
		case 'v': err = parse_disk(opt, c, optarg); break;
		case '?': err = -EINVAL; break;
		default: err = parse_load(opt, c, optarg); break;
		}
	}
	if (!err && optind != argc) {
		log_error("too much: '%s'", argv[optind]);
		err = -EINVAL;
	}
	return err ? err : check_options(opt);
}

/* ---- what is printed ------------------------------------------------------
 */

static const char *const sides[] = { "read", "write" };

static double per_second(uint64_t nr, uint64_t ns)
{
	return ns ? (double)nr * NS_PER_S / (double)ns : 0;
}

static void print_side(const struct bench_result *r, unsigned side)
{
	const struct bench_stats *s = &r->side[side];
	char rate[SAY_BYTES];

	if (!s->nr)
		return;
	say_bytes((uint64_t)per_second(s->bytes, r->elapsed_ns), rate);
	printf("  %-5s  %llu requests, %.0f a second, %s/s\n         ",
	       sides[side], (unsigned long long)s->nr,
	       per_second(s->nr, r->elapsed_ns), rate);
	latency_print(&s->latency_ns);
	putchar('\n');
}

static void print_text(const struct options *opt, const struct bench_result *r)
{
	char block[SAY_BYTES], elapsed[SAY_BYTES];

	say_bytes(opt->bench.block_bytes, block);
	say_duration(r->elapsed_ns, elapsed);
	printf("%s, blocks of %s, depth %u, %u queue%s, %s\n", opt->mode->name,
	       block, opt->bench.depth, opt->bench.nr_queues,
	       opt->bench.nr_queues == 1 ? "" : "s", elapsed);
	for (unsigned i = 0; i < BENCH_SIDES; i++)
		print_side(r, i);
	if (r->nr_errors)
		printf("  %llu requests failed, the first with: %s\n",
		       (unsigned long long)r->nr_errors,
		       strerrordesc_np(-r->error));
	if (opt->bench.verify)
		printf("  verify %llu blocks read back, %llu wrong\n",
		       (unsigned long long)r->nr_checked,
		       (unsigned long long)r->nr_wrong);
}

static json_t *side_json(const struct bench_result *r, unsigned side)
{
	const struct bench_stats *s = &r->side[side];

	return json_pack("{s:I, s:I, s:f, s:f, s:o}", "requests",
			 (json_int_t)s->nr, "bytes", (json_int_t)s->bytes,
			 "requests-per-second",
			 per_second(s->nr, r->elapsed_ns), "bytes-per-second",
			 per_second(s->bytes, r->elapsed_ns), "latency-ns",
			 latency_json(&s->latency_ns));
}

static int print_json(const struct options *opt, const struct bench_result *r)
{
	const struct bench_config *b = &opt->bench;
	json_t *object = json_pack(
		"{s:s, s:i, s:i, s:i, s:I, s:f, s:I}", "mode", opt->mode->name,
		"block-size", (int)b->block_bytes, "depth", (int)b->depth,
		"queues", (int)b->nr_queues, "seed", (json_int_t)b->seed,
		"seconds", (double)r->elapsed_ns / NS_PER_S, "errors",
		(json_int_t)r->nr_errors);
	int err = object ? 0 : -ENOMEM;

	for (unsigned i = 0; !err && i < BENCH_SIDES; i++)
		if (r->side[i].nr &&
		    json_object_set_new(object, sides[i], side_json(r, i)))
			err = -ENOMEM;
	if (!err && b->verify &&
	    json_object_set_new(object, "verify",
				json_pack("{s:I, s:I}", "blocks",
					  (json_int_t)r->nr_checked, "wrong",
					  (json_int_t)r->nr_wrong)))
		err = -ENOMEM;
	if (!err && json_dumpf(object, stdout, JSON_INDENT(2)) < 0)
		err = -EIO;
	json_decref(object);
	putchar('\n');
	return err;
}

/* ---- running it -----------------------------------------------------------
 */

static int check_disk(struct options *opt, struct blkfront *bf)
{
	struct bench_config *b = &opt->bench;
	struct blkfront_info info;

	blkfront_info(bf, &info);
	if (b->block_bytes % info.sector_bytes) {
		log_error("--block-size %u: the disk has sectors of %u bytes; "
			  "give a multiple of that",
			  b->block_bytes, info.sector_bytes);
		return -EINVAL;
	}
	if (opt->mode->writes && info.readonly) {
		log_error("the disk is read-only");
		return -EROFS;
	}
	if (b->area_bytes > info.size_bytes) {
		log_error("--area: the disk has only %llu bytes",
			  (unsigned long long)info.size_bytes);
		return -EINVAL;
	}
	if (!b->area_bytes)
		b->area_bytes = info.size_bytes;
	return 0;
}

static int report(const struct options *opt, const struct bench_result *r)
{
	int err = 0;

	if (opt->json)
		err = print_json(opt, r);
	else
		print_text(opt, r);
	if (r->nr_wrong) {
		fflush(stdout);
		log_error("what was read back is wrong: %s", r->first_wrong);
		return -EILSEQ;
	}
	return r->nr_errors ? r->error : err;
}

static int run(struct options *opt, struct bench_result *result)
{
	struct bench_config *b = &opt->bench;
	char why[WHY_BYTES] = "";
	struct blkfront *bf;
	uint64_t pages;
	int err;

	/* every request has a buffer of whole pages */
	pages = (b->block_bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE;
	opt->disk.buf_bytes = pages * PV_PAGE_SIZE * b->depth * b->nr_queues;
	opt->disk.nr_queues = b->nr_queues;
	err = blkfront_open(&opt->disk, &bf, why, sizeof(why));
	if (err) {
		log_error("%s", why);
		return err;
	}
	err = check_disk(opt, bf);
	stop_catch();
	if (!err) {
		err = bench_run(bf, b, result);
		if (err == -EINVAL)
			log_error("the area is too small for %u queues of "
				  "depth %u",
				  b->nr_queues, b->depth);
		else if (err)
			log_error("it did not go to its end: %s",
				  strerrordesc_np(-err));
		else
			err = report(opt, result);
	}
	blkfront_close(bf);
	return err;
}

int main(int argc, char **argv)
{
	struct options opt = {
		.mode = &modes[3],
		.mix = 70,
		.bench = { .block_bytes = 4096, .depth = 32, .nr_queues = 1 },
	};
	struct bench_result *result;
	int err;

	log_init(PROGRAM, LOG_WARN);
	opt.bench.seed = clock_now_ns();
	err = parse_options(argc, argv, &opt);
	if (err)
		return err > 0 ? 0 : 2;
	result = calloc(1, sizeof(*result));
	if (!result) {
		log_error("out of memory");
		return 1;
	}
	err = run(&opt, result);
	free(result);
	return err || fflush(stdout) ? 1 : 0;
}
