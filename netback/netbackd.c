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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
	bool worker, verbose, has_domid;
};

/* ---- worker ------------------------------------------------------------ */

struct control {
	struct netback nb;
	struct loop *loop;
	struct xs *xs;
	struct xenbus_bus *bus;
};

static void store_lost(struct control *c, int err)
{
	log_error("the store is gone: %s", strerror(-err));
	loop_stop(c->loop, err);
}

static void store_readable(void *arg, uint32_t events)
{
	struct control *c = arg;
	int err = xs_dispatch(c->xs);

	(void)events;
	if (err)
		store_lost(c, err);
}

/* Events that came during another call, before the loop sleeps. */
static bool store_prepare(void *arg)
{
	struct control *c = arg;
	int err = xs_pending(c->xs) ? xs_dispatch(c->xs) : 0;

	if (err)
		store_lost(c, err);
	return xs_pending(c->xs);
}

static void monitor_readable(void *arg, uint32_t events)
{
	struct control *c = arg;

	(void)events;
	loop_stop(c->loop, 0);
}

static void fault_readable(void *arg, uint32_t events)
{
	struct control *c = arg;

	(void)events;
	vif_run_faults(&c->nb);
}

static void worker_signalled(void *arg, int signo)
{
	struct control *c = arg;

	(void)signo;
	loop_stop(c->loop, 0);
}

/* The connections that the monitor made for us. */
static int control_connect(struct control *c, uint32_t *ret_generation)
{
	int broker_fd, store_fd;
	int err = monitor_client_open(MONITOR_WORKER_FD, &broker_fd, &store_fd,
				      ret_generation, &c->nb.monitor);

	if (err)
		return err;
	err = platform_lite_adopt(broker_fd, &c->nb.platform);
	if (err) {
		close(broker_fd);
		close(store_fd);
		return err;
	}
	err = xs_open_fd(store_fd, &c->xs);
	if (err)
		close(store_fd);
	return err;
}

static int control_sources(struct control *c)
{
	static const int signals[] = { SIGTERM };
	struct loop_prepare *prepare;
	struct loop_fd *src;
	int err;

	err = loop_signals_add(c->loop, signals, ARRAY_SIZE(signals),
			       worker_signalled, c);
	if (!err)
		err = loop_fd_add(c->loop, xs_fd(c->xs), EPOLLIN,
				  store_readable, c, &src);
	if (!err)
		err = loop_prepare_add(c->loop, store_prepare, c, &prepare);
	if (!err)
		err = loop_fd_add(c->loop, monitor_client_fd(c->nb.monitor),
				  EPOLLIN, monitor_readable, c, &src);
	if (!err)
		err = loop_fd_add(c->loop, c->nb.fault_fd, EPOLLIN,
				  fault_readable, c, &src);
	return err;
}

static int control_open(struct control *c)
{
	uint32_t generation;
	int err = control_connect(c, &generation);

	if (err)
		return err;
	list_init(&c->nb.vifs);
	list_init(&c->nb.bridges);
	c->nb.fault_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->nb.fault_fd < 0)
		return -errno;
	err = loop_open(&c->loop);
	if (!err)
		err = control_sources(c);
	if (!err)
		err = worker_open("netback-data", SPIN_MAX_NS, &c->nb.worker);
	if (!err)
		err = xenbus_bus_open(c->xs, platform_domid(c->nb.platform),
				      &vif_driver, &vif_bus_ops, &c->nb,
				      &c->bus);
	if (!err)
		err = xenbus_bus_use_loop(c->bus, c->loop);
	if (!err)
		err = monitor_client_ready(c->nb.monitor);
	if (!err && generation)
		log_info("worker %u serves %u vifs", generation,
			 xenbus_bus_nr_devices(c->bus));
	return err;
}

static void control_close(struct control *c)
{
	c->nb.stopping = true;
	if (c->bus)
		xenbus_bus_close(c->bus);
	worker_close(c->nb.worker);
	if (c->loop)
		loop_close(c->loop);
	if (c->nb.fault_fd >= 0)
		close(c->nb.fault_fd);
	xs_close(c->xs);
	platform_close(c->nb.platform);
	monitor_client_close(c->nb.monitor);
}

static int run_worker(void)
{
	static const int signals[] = { SIGTERM };
	struct control c = { .nb.fault_fd = -1 };
	int err;

	loop_signals_block(signals, ARRAY_SIZE(signals));
	err = control_open(&c);
	if (err)
		log_error("starting the worker: %s", strerror(-err));
	else
		err = loop_run(c.loop);
	control_close(&c);
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
	target_set_init(&targets, opt->run_dir, config.domid, opt->nic);
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
	     "  --run-dir DIR    the run directory of xenstored-lite\n"
	     "  --domain N       the driver domain that we are\n"
	     "  --nic DRIVER     driver of a bridge's uplink (default tap)\n"
	     "  --list-drivers   the drivers there are\n"
	     "  -v, --verbose    say more\n"
	     "  --help, --version");
}

static void print_drivers(void)
{
	for (const struct nic_ops *const *d = nic_drivers; *d; d++)
		printf("%-8s %s\n", (*d)->name, (*d)->help);
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
	struct options opt = { .nic = nic_by_name("tap") };
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
