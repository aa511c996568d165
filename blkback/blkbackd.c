/* SPDX-License-Identifier: MIT */
/*
 * blkbackd.c - the storage backend daemon: monitor and worker, one program.
 *
 * The monitor (target.c) opens disks and starts the worker, which is the same
 * program with --worker. The worker's control thread is here; vbd.c does its
 * work, the data threads carry the requests.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkback/target.h"
#include "blkback/vbd.h"
#include "util/clock.h"
#include "util/num.h"

#define VERSION	    "0.1"
#define SPIN_MAX_NS (50 * NS_PER_US)
#define DRAIN_NS    (1 * NS_PER_S) /* the monitor waits 2 s for our end */

struct options {
	const char *run_dir;
	uint32_t domid;
	uint32_t nr_workers;
	bool worker, verbose, has_domid;
};

/* ---- worker -------------------------------------------------------------- */

static void queue_fired(void *arg)
{
	vbd_run_events(arg);
}

static int open_workers(struct blkback *bb, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		char name[16];
		int err = str_printf(name, sizeof(name), "blkback-%u", i);

		if (err >= 0)
			err = worker_open(name, SPIN_MAX_NS, &bb->workers[i]);
		if (err < 0)
			return err;
		bb->nr_workers++;
	}
	return 0;
}

static int serve(struct blkback *bb, uint32_t nr_workers,
		 struct xenbus_bus **ret)
{
	struct control *c = &bb->control;
	int err = control_open(c, queue_fired, bb);

	if (!err)
		err = open_workers(bb, nr_workers);
	if (!err)
		err = limit_groups_open(&bb->limit_groups, c->xs,
					platform_domid(c->platform),
					"limit-group", LIMITER_DISKS);
	if (!err)
		err = xenbus_bus_open(c->xs, platform_domid(c->platform),
				      &vbd_driver, &vbd_bus_ops, bb, ret);
	if (!err)
		err = xenbus_bus_use_loop(*ret, c->loop);
	if (!err)
		err = control_ready(c);
	if (!err && c->generation)
		log_info("worker %u serves %u disks", c->generation,
			 xenbus_bus_nr_devices(*ret));
	return err;
}

static int run_worker(const struct options *o)
{
	struct blkback bb = { 0 };
	struct xenbus_bus *bus = NULL;
	int err;

	list_init(&bb.vbds);
	err = serve(&bb, o->nr_workers, &bus);
	if (err)
		log_error("starting the worker: %s", strerrordesc_np(-err));
	else
		err = control_run(&bb.control);
	vbd_drain_all(&bb, clock_now_ns() + DRAIN_NS);
	xenbus_bus_close(bus);
	limit_groups_close(&bb.limit_groups);
	for (uint32_t i = 0; i < bb.nr_workers; i++)
		worker_close(bb.workers[i]);
	control_close(&bb.control);
	return err ? 1 : 0;
}

/* ---- monitor ------------------------------------------------------------- */

static int run_monitor(const struct options *o)
{
	char program[PATH_MAX], nr_workers[16];
	const char *argv[] = { "blkbackd",
			       "--worker",
			       "--workers",
			       nr_workers,
			       o->verbose ? "-v" : NULL,
			       NULL };
	struct monitor_config config = {
		.program = program,
		.worker_argv = argv,
		.run_dir = o->run_dir,
		.domid = (domid_t)o->domid,
		.ops = &target_ops,
		.ready_line = "ready",
	};
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	struct platform *platform;
	int err;

	if (len < 0 || str_printf(nr_workers, sizeof(nr_workers), "%u",
				  o->nr_workers) < 0) {
		log_error("cannot find this program's own path: is /proc "
			  "mounted?");
		return 1;
	}
	program[len] = '\0';
	err = platform_lite_open(o->run_dir, (domid_t)o->domid, &platform);
	if (err) {
		log_error("cannot be domain %u in %s: %s: is brokerd "
			  "running there, and does the domain exist?",
			  o->domid, o->run_dir, strerrordesc_np(-err));
		return 1;
	}
	config.arg = platform;
	err = monitor_run(&config);
	platform_close(platform);
	return err ? 1 : 0;
}

/* ---- command line -------------------------------------------------------- */

static const char usage[] =
	"usage: blkbackd --run-dir DIR --domain N [--workers N] [-v]\n"
	"       blkbackd --list-drivers | --help | --version\n"
	"\n"
	"Serve the disks that the toolstack gives to driver domain N.\n"
	"\n"
	"  --run-dir DIR   run directory of brokerd ($PVSPLIT_RUN, or\n"
	"                  /run/pvsplit)\n"
	"  --domain N      the driver domain's number\n"
	"  --workers N     data threads, at most one per CPU (1)\n"
	"  --list-drivers  what a disk can be, and how to write it\n"
	"  -v              say more\n";

static void list_drivers(void)
{
	for (unsigned i = 0; storage_drivers[i]; i++)
		printf("%s\t%s\n", storage_drivers[i]->name,
		       storage_drivers[i]->help);
	for (unsigned i = 0; storage_filter_help(i); i++)
		printf("%s\n", storage_filter_help(i));
	for (unsigned i = 0; storage_left_out[i]; i++)
		printf("left out of this build: %s\n", storage_left_out[i]);
}

static int bad_number(const char *what, const char *text, uint32_t max)
{
	fprintf(stderr, "blkbackd: %s %s: not a number from 1 to %u\n", what,
		text, max);
	return 2;
}

static uint32_t max_workers(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	if (nr < 1)
		return 1;
	return nr < (long)BLKBACK_WORKERS_MAX ? (uint32_t)nr
					      : BLKBACK_WORKERS_MAX;
}

/* Returns 0 to go on, else the exit status plus 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'd' },
		{ "workers", required_argument, NULL, 'n' },
		{ "list-drivers", no_argument, NULL, 'l' },
		{ "worker", no_argument, NULL, 'w' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "vh", longs, NULL)) != -1) {
		switch (opt) {
		case 'r': o->run_dir = optarg; break;
		case 'd':
			if (num_parse_u32(optarg, DOMID_FIRST_RESERVED - 1,
					  &o->domid))
				return bad_number("--domain", optarg,
						  DOMID_FIRST_RESERVED - 1) +
				       1;
			o->has_domid = true;
			break;
		case 'n':
			if (num_parse_u32(optarg, max_workers(),
					  &o->nr_workers) ||
			    !o->nr_workers)
				return bad_number("--workers", optarg,
						  max_workers()) +
				       1;
			break;
		case 'w': o->worker = true; break;
		case 'v': o->verbose = true; break;
		case 'l': list_drivers(); return 1;
		case 'V': printf("blkbackd %s\n", VERSION); return 1;
		case 'h': fputs(usage, stdout); return 1;
		default: fputs(usage, stderr); return 3;
		}
	}
	if (optind != argc || (!o->has_domid && !o->worker)) {
		if (optind != argc)
			fprintf(stderr, "blkbackd: %s: too many arguments\n",
				argv[optind]);
		else
			fprintf(stderr, "blkbackd: --domain is missing\n");
		fputs(usage, stderr);
		return 3;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .run_dir = platform_run_dir(), .nr_workers = 1 };
	int status = parse_options(argc, argv, &o);

	if (status)
		return status - 1;
	log_init("blkbackd", o.verbose ? LOG_DEBUG : LOG_INFO);
	return o.worker ? run_worker(&o) : run_monitor(&o);
}
