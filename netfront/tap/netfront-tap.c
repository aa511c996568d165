/* SPDX-License-Identifier: MIT */
/*
 * netfront-tap.c - one vif of a guest as a network interface.
 *
 * Connects the vif (netfront.c), makes the TAP (tap.c) in the guest's network
 * namespace, and moves frames (pump.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "abi/grant.h"
#include "netfront/tap/pump.h"
#include "util/log.h"
#include "util/num.h"

#define VERSION "0.1"

struct options {
	struct netfront_config config;
	const char *ifname, *netns;
	bool verbose, has_domid;
};

static void print_help(void)
{
	puts("usage: netfront-tap [--run-dir DIR] --domain N [options]\n"
	     "Be the network interface of domain N's vif.\n"
	     "\n"
	     "  --run-dir DIR    the run directory of brokerd\n"
	     "  --domain N       the guest that we are\n"
	     "  --vif I          which of its vifs (default 0)\n"
	     "  --ifname NAME    the interface to make (default eth0)\n"
	     "  --netns PATH     make it in this network namespace\n"
	     "  --queues N       queues, each with a thread (default 1)\n"
	     "  -v, --verbose    say more\n"
	     "  --help, --version");
}

static int usage(const char *what, const char *value)
{
	fprintf(stderr, "netfront-tap: %s%s; see netfront-tap --help\n", what,
		value ? value : "");
	return 2;
}

static int parse_domid(const char *text, struct options *opt)
{
	uint32_t domid;

	if (num_parse_u32(text, DOMID_FIRST_RESERVED - 1, &domid))
		return -EINVAL;
	opt->config.domid = (domid_t)domid;
	opt->has_domid = true;
	return 0;
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'd' },
		{ "vif", required_argument, NULL, 'i' },
		{ "ifname", required_argument, NULL, 'f' },
		{ "netns", required_argument, NULL, 'n' },
		{ "queues", required_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		switch (c) {
		case 'r': opt->config.run_dir = optarg; break;
		case 'd':
			if (parse_domid(optarg, opt))
				return usage("no such domain number: ", optarg);
			break;
		case 'i':
			if (num_parse_u32(optarg, UINT32_MAX,
					  &opt->config.handle))
				return usage("no such vif number: ", optarg);
			break;
		case 'f': opt->ifname = optarg; break;
		case 'n': opt->netns = optarg; break;
		case 'q':
			if (num_parse_u32(optarg, NETFRONT_QUEUES_MAX,
					  &opt->config.nr_queues) ||
			    !opt->config.nr_queues)
				return usage("not from 1 to 16 queues: ",
					     optarg);
			break;
		case 'v': opt->verbose = true; break;
		case 'h': print_help(); return 0;
		case 'V': puts("netfront-tap (pvsplit) " VERSION); return 0;
		default: return usage("bad option: ", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage("unexpected argument: ", argv[optind]);
	if (!opt->has_domid)
		return usage("--domain is missing", NULL);
	return -1;
}

/* A descriptor that is readable once we are asked to end. */
static int stop_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int run(const struct options *opt, struct netfront *nf, int stop_fd)
{
	struct netfront_info info;
	struct tap tap;
	char why[256];
	int err;

	if (opt->netns) {
		err = enter_netns(opt->netns);
		if (err) {
			log_error("network namespace %s: %s", opt->netns,
				  strerror(-err));
			return 1;
		}
	}
	netfront_info(nf, &info);
	err = tap_open(opt->ifname, opt->config.nr_queues, &info, &tap, why,
		       sizeof(why));
	if (err) {
		log_error("%s", why);
		return 1;
	}
	err = tap_follow(&tap, &info);
	if (err)
		log_warn("setting up %s: %s", opt->ifname, strerror(-err));
	puts("ready");
	fflush(stdout);
	err = pump_run(nf, &tap, stop_fd);
	if (err)
		log_error("the connection is lost: %s", strerror(-err));
	tap_close(&tap);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options opt = { .ifname = "eth0", .config.nr_queues = 1 };
	int status = parse_options(argc, argv, &opt), stop_fd;
	struct netfront *nf;
	char why[256];

	if (status >= 0)
		return status;
	log_init("netfront-tap", opt.verbose ? LOG_DEBUG : LOG_INFO);
	stop_fd = stop_open();
	if (stop_fd < 0) {
		log_error("signalfd: %s", strerror(errno));
		return 1;
	}
	if (netfront_open(&opt.config, &nf, why, sizeof(why))) {
		log_error("vif d%u/%u: %s", opt.config.domid, opt.config.handle,
			  why);
		return 1;
	}
	status = run(&opt, nf, stop_fd);
	netfront_close(nf);
	return status;
}
