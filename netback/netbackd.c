/* SPDX-License-Identifier: MIT */
/*
 * netbackd.c - the network backend daemon: monitor and worker, one program.
 *
 * The monitor (target.c) has the privileges and starts the worker, which is the
 * same program with --worker. The worker's control thread is here; vif.c does
 * its work, one data thread moves the frames.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netback/links.h"
#include "netback/target.h"
#include "netback/vif.h"
#include "util/clock.h"
#include "util/loop.h"
#include "util/num.h"

#define VERSION	    "0.1"
#define SPIN_MAX_NS (50 * NS_PER_US)

struct options {
	const char *run_dir;
	uint32_t domid;
	const struct nic_ops *nic;
	uint32_t nic_queues;
	bool worker, verbose, has_domid;
};

/* ---- worker ------------------------------------------------------------ */

static void fault_fired(void *arg)
{
	vif_run_faults(arg);
}

static int serve(struct netback *nb, struct links **ret_links,
		 struct xenbus_bus **ret)
{
	struct control *c = &nb->control;
	int err = control_open(c, fault_fired, nb);

	if (!err)
		err = worker_open("netback-data", SPIN_MAX_NS, &nb->worker);
	if (!err)
		err = links_open(c->loop, &nb->bridges, vif_link_changed, nb,
				 ret_links);
	if (!err)
		err = limit_groups_open(&nb->limit_groups, c->xs,
					platform_domid(c->platform),
					"vif-limit-group", LIMITER_NETWORKS);
	if (!err)
		err = xenbus_bus_open(c->xs, platform_domid(c->platform),
				      &vif_driver, &vif_bus_ops, nb, ret);
	if (!err)
		err = xenbus_bus_use_loop(*ret, c->loop);
	if (!err)
		err = control_ready(c);
	if (!err && c->generation)
		log_info("worker %u serves %u vifs", c->generation,
			 xenbus_bus_nr_devices(*ret));
	return err;
}

static int run_worker(void)
{
	struct netback nb = { 0 };
	struct xenbus_bus *bus = NULL;
	struct links *links = NULL;
	int err;

	list_init(&nb.vifs);
	list_init(&nb.bridges);
	err = serve(&nb, &links, &bus);
	if (err)
		log_error("starting the worker: %s", strerrordesc_np(-err));
	else
		err = control_run(&nb.control);
	nb.stopping = true;
	xenbus_bus_close(bus);
	limit_groups_close(&nb.limit_groups);
	links_close(links);
	worker_close(nb.worker);
	control_close(&nb.control);
	return err ? 1 : 0;
}

/* ---- monitor ----------------------------------------------------------- */

static int run_monitor(const struct options *opt)
{
	const char *argv[] = { "netbackd", "--worker",
			       opt->verbose ? "-v" : NULL, NULL };
	struct target_set targets;
	struct monitor_config config = {
		.worker_argv = argv,
		.run_dir = opt->run_dir,
		.domid = (domid_t)opt->domid,
		.ops = &target_monitor_ops,
		.arg = &targets,
		.ready_line = "ready",
	};
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	int err;

	if (n < 0) {
		log_error("/proc/self/exe: %s", strerror(errno));
		return 1;
	}
	program[n] = '\0';
	config.program = program;
	target_set_init(&targets, opt->run_dir, config.domid, opt->nic,
			opt->nic_queues);
	err = monitor_run(&config);
	target_set_fini(&targets);
	return err ? 1 : 0;
}

/* ---- command line ------------------------------------------------------ */

static void print_help(void)
{
	puts("usage: netbackd [--run-dir DIR] --domain N [options]\n"
	     "Serve the vifs of driver domain N.\n"
	     "\n"
	     "  --run-dir DIR    the run directory of brokerd\n"
	     "  --domain N       the driver domain that we are\n"
	     "  --nic DRIVER     driver of a bridge's uplink (default tap)\n"
	     "  --nic-queues N   queues of an uplink, 1 to 4 (default 1)\n"
	     "  --list-drivers   the drivers there are\n"
	     "  -v, --verbose    say more\n"
	     "  --help, --version");
}

static void print_drivers(void)
{
	for (const struct nic_ops *const *d = nic_drivers; *d; d++)
		printf("%-10s %s\n", (*d)->name, (*d)->help);
}

static int usage(const char *what, const char *value)
{
	fprintf(stderr, "netbackd: %s%s; see netbackd --help\n", what,
		value ? value : "");
	return 2;
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'd' },
		{ "nic", required_argument, NULL, 'n' },
		{ "nic-queues", required_argument, NULL, 'q' },
		{ "list-drivers", no_argument, NULL, 'l' },
		{ "worker", no_argument, NULL, 'w' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		switch (c) {
		case 'r': opt->run_dir = optarg; break;
		case 'd':
			if (num_parse_u32(optarg, DOMID_FIRST_RESERVED - 1,
					  &opt->domid))
				return usage("no such domain number: ", optarg);
			opt->has_domid = true;
			break;
		case 'n':
			opt->nic = nic_by_name(optarg);
			if (!opt->nic)
				return usage("no such driver: ", optarg);
			break;
		case 'q':
			if (num_parse_u32(optarg, NIC_QUEUES_MAX,
					  &opt->nic_queues) ||
			    !opt->nic_queues)
				return usage("no such number of queues: ",
					     optarg);
			break;
		case 'l': print_drivers(); return 0;
		case 'w': opt->worker = true; break;
		case 'v': opt->verbose = true; break;
		case 'h': print_help(); return 0;
		case 'V': puts("netbackd (pvsplit) " VERSION); return 0;
		default: return usage("bad option: ", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage("unexpected argument: ", argv[optind]);
	if (!opt->worker && !opt->has_domid)
		return usage("--domain is missing", NULL);
	return -1;
}

int main(int argc, char **argv)
{
	struct options opt = { .nic = nic_by_name("tap"), .nic_queues = 1 };
	int status = parse_options(argc, argv, &opt);

	if (status >= 0)
		return status;
	log_init("netbackd", opt.verbose ? LOG_DEBUG : LOG_INFO);
	if (opt.worker)
		return run_worker();
	if (!opt.run_dir)
		opt.run_dir = platform_run_dir();
	return run_monitor(&opt);
}
