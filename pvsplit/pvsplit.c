/* SPDX-License-Identifier: MIT */
/*
 * pvsplit.c - the command that people use: the toolstack of a run directory.
 *
 * One visible table of commands; the jobs are in domain.c, block.c, network.c,
 * up.c, run.c and demo.c. This file parses the command line and ends the
 * process: 0, 1 for a failure, 2 for a wrong command line, and for `run` the
 * status of the command that ran.
 */
#include "pvsplit/pvsplit.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pvsplit/jobs.h"
#include "util/log.h"
#include "util/num.h"

const struct command commands[] = {
	{ "up", "[--storage N] [--network]",
	  "start the store and the driver domains in the background", up_help,
	  "pvsplit up\npvsplit up --storage 2 --network", up_options, 0, 0,
	  false, up_run },
	{ "down", "", "end everything that up started", NULL, "pvsplit down",
	  NULL, 0, 0, false, down_run },
	{ "status", "", "what of it runs", NULL, "pvsplit status --json", NULL,
	  0, 0, false, status_run },
	{ "domain-create", "NAME [--uid UID] [--devices N]", "create a domain",
	  NULL,
	  "pvsplit domain-create web\n"
	  "pvsplit domain-create storage2 --devices 1000",
	  domain_create_options, 1, 1, false, domain_create_run },
	{ "domain-destroy", "DOMAIN", "detach a domain's devices and end it",
	  NULL, "pvsplit domain-destroy web", NULL, 1, 1, false,
	  domain_destroy_run },
	{ "domain-list", "", "list the domains", NULL,
	  "pvsplit domain-list --json", NULL, 0, 0, false, domain_list_run },
	{ "block-attach",
	  "DOMAIN SPEC... [--from FILE] [--backend DOMAIN] [--no-wait]",
	  "give a domain disks", block_help,
	  "pvsplit block-attach web format=raw,vdev=xvda,access=rw,"
	  "target=/srv/web.img\n"
	  "pvsplit block-attach web /srv/web.img,raw,xvda,rw\n"
	  "pvsplit block-attach web --from /srv/web.disks",
	  block_attach_options, 1, UINT32_MAX, false, block_attach_run },
	{ "block-list", "[DOMAIN]", "list disks", NULL,
	  "pvsplit block-list web", NULL, 0, 1, false, block_list_run },
	{ "block-resize", "DOMAIN VDEV",
	  "tell a domain that its disk's size has changed", block_resize_help,
	  "truncate -s 2G /srv/web.img && pvsplit block-resize web xvda", NULL,
	  2, 2, false, block_resize_run },
	{ "block-detach", "DOMAIN VDEV [--force]", "take a disk away", NULL,
	  "pvsplit block-detach web xvda", detach_options, 2, 2, false,
	  block_detach_run },
	{ "block-bench", "DOMAIN VDEV | --disk SPEC", "measure a disk",
	  block_bench_help,
	  "pvsplit block-bench web xvda --runtime 10\n"
	  "pvsplit block-bench --disk /srv/scratch.img,raw,xvda,rw "
	  "--mode randwrite --write --verify",
	  block_bench_options, 0, 2, false, block_bench_run },
	{ "block-copy", "SOURCE DESTINATION [OPTION]...",
	  "copy between disks, or a disk and a file", block_copy_help,
	  "pvsplit block-copy web:xvda /srv/backup.img --verify\n"
	  "pvsplit block-copy /srv/backup.img web:xvda --overwrite",
	  block_copy_options, 2, 2, false, block_copy_run },
	{ "block-fault", "DOMAIN VDEV SPEC",
	  "let things go wrong with a disk, to test what uses it",
	  block_fault_help,
	  "pvsplit block-fault web xvda write:one-in=100:error=EIO\n"
	  "pvsplit block-fault web xvda off",
	  NULL, 3, 3, false, block_fault_run },
	{ "block-stats", "[DOMAIN [VDEV]]",
	  "what disks did and how long guests waited", block_stats_help,
	  "pvsplit block-stats web", NULL, 0, 2, false, block_stats_run },
	{ "block-limit",
	  "DOMAIN VDEV [--iops N] [--bytes SIZE]... [--burst MS] "
	  "[--group NAME] [--none]",
	  "show and change what a disk may do a second", block_limit_help,
	  "pvsplit block-limit web xvda --iops 500 --write-bytes 20M\n"
	  "pvsplit block-limit web xvda --group gold --bytes 100M\n"
	  "pvsplit block-limit web xvda",
	  block_limit_options, 2, 2, false, block_limit_run },
	{ "network-attach", "DOMAIN [SPEC] [--backend DOMAIN] [--no-wait]",
	  "give a domain a network interface", network_help,
	  "pvsplit network-attach web mac=00:16:3e:01:02:03,bridge=br0",
	  network_attach_options, 1, 2, false, network_attach_run },
	{ "network-list", "[DOMAIN]", "list network interfaces", NULL,
	  "pvsplit network-list", NULL, 0, 1, false, network_list_run },
	{ "network-set", "DOMAIN VIF [SPEC]",
	  "show and change an interface's address, MTU and link",
	  network_set_help,
	  "pvsplit network-set web 0 mtu=9000\n"
	  "pvsplit network-set web 0 link=down\n"
	  "pvsplit network-set web 0",
	  NULL, 2, 3, false, network_set_run },
	{ "network-rules", "DOMAIN VIF [SPEC]",
	  "show and change what an interface may do on its switch",
	  network_rules_help,
	  "pvsplit network-rules web 0 vlan=100,antispoof=yes,ip=10.0.0.5\n"
	  "pvsplit network-rules web 0 stormlimit=\n"
	  "pvsplit network-rules web 0",
	  NULL, 2, 3, false, network_rules_run },
	{ "network-capture",
	  "DOMAIN VIF FILE [--all] [--count N] [--snaplen BYTES]",
	  "write an interface's frames into a pcap file", network_capture_help,
	  "pvsplit network-capture web 0 web.pcap --count 100\n"
	  "pvsplit network-capture web 0 - | tcpdump -r -",
	  network_capture_options, 3, 3, false, network_capture_run },
	{ "network-enable", "DOMAIN VIF",
	  "serve an interface again whose guest broke a rule",
	  network_enable_help, "pvsplit network-enable web 0", NULL, 2, 2,
	  false, network_enable_run },
	{ "network-bench", "DOMAIN VIF [OPTION]... | --vif SPEC [OPTION]...",
	  "measure an interface, or the way between two", network_bench_help,
	  "pvsplit network-bench web 0 --peer db:0 --size imix --rate 1Gb/s\n"
	  "pvsplit network-bench --vif bridge=br0 --mode echo\n"
	  "pvsplit network-bench web 0 --mode reflect",
	  network_bench_options, 0, 2, false, network_bench_run },
	{ "network-detach", "DOMAIN VIF [--force]",
	  "take a network interface away", NULL, "pvsplit network-detach web 0",
	  detach_options, 2, 2, false, network_detach_run },
	{ "network-stats", "[DOMAIN [VIF]]",
	  "what network interfaces did and why frames were dropped",
	  network_stats_help, "pvsplit network-stats web", NULL, 0, 2, false,
	  network_stats_run },
	{ "network-limit",
	  "DOMAIN VIF [--packets N] [--bytes SIZE]... [--burst MS] "
	  "[--group NAME] [--none]",
	  "show and change what an interface may do a second",
	  network_limit_help,
	  "pvsplit network-limit web 0 --tx-bytes 10M --rx-packets 50000\n"
	  "pvsplit network-limit web 0 --group gold --bytes 100M\n"
	  "pvsplit network-limit web 0",
	  network_limit_options, 2, 2, false, network_limit_run },
	{ "top", "[--batch] [--iterations N] [--delay SECONDS]",
	  "what the domains' devices do, second by second", top_help,
	  "pvsplit top\npvsplit top --batch --iterations 3", top_options, 0, 0,
	  false, top_run },
	{ "store-stats", "[--domain DOMAIN] [--PART]... [--all]",
	  "what the store does, for whom, and what waits", store_stats_help,
	  "pvsplit store-stats\npvsplit store-stats --domain web --quotas",
	  store_stats_options, 0, 0, false, store_stats_run },
	{ "store-ring", "DOMAIN",
	  "speak to the store as a domain, over a shared page", store_ring_help,
	  "echo 'read name' | pvsplit store-ring web", NULL, 1, 1, false,
	  store_ring_run },
	{ "run", "[OPTION]... -- COMMAND [ARG]...",
	  "run a command inside a guest", run_help,
	  "pvsplit run --disk /srv/web.img,raw,xvda,rw,mount=/mnt "
	  "--vif bridge=br0,ip=10.0.0.2/24 -- ls /mnt",
	  run_options, 0, UINT32_MAX, true, run_run },
	{ "demo", "[--keep-files]", "show a disk and a network at work",
	  demo_help, "pvsplit demo", demo_options, 0, 0, false,
	  demo_command_run },
	{ 0 },
};

static const struct cmd_option global_options[] = {
	{ "run-dir", "DIR", "the run directory (else $PVSPLIT_RUN)" },
	{ "json", NULL, "results as JSON" },
	{ "help", NULL, "this text" },
	{ "version", NULL, "the version" },
	{ 0 },
};

static const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static void print_options(const struct cmd_option *options)
{
	for (; options && options->name; options++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", options->name,
			 options->value ? " " : "",
			 options->value ? options->value : "");
		printf("  %-20s %s\n", left, options->help);
	}
}

static void print_help(void)
{
	printf("Usage: pvsplit [OPTION]... COMMAND [ARG]...\n\n"
	       "Split paravirtual disks and networks: guests, driver domains, "
	       "and what joins them.\n\nCommands:\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-16s %s\n", c->name, c->summary);
	printf("\nOptions:\n");
	print_options(global_options);
	printf("\n'pvsplit COMMAND --help' tells about one command.\n");
}

static void print_command_help(const struct command *c)
{
	const char *line = c->example;

	printf("Usage: pvsplit %s%s%s\n\n%s.\n", c->name, *c->usage ? " " : "",
	       c->usage, c->summary);
	if (c->help)
		printf("\n%s", c->help);
	printf("\nOptions:\n");
	print_options(c->options);
	print_options(global_options);
	printf("\nExample:\n");
	while (line) {
		const char *end = strchr(line, '\n');

		printf("  %.*s\n", end ? (int)(end - line) : (int)strlen(line),
		       line);
		line = end ? end + 1 : NULL;
	}
}

const char *args_get(const struct args *args, const char *name)
{
	for (unsigned i = args->nr_given; i-- > 0;)
		if (!strcmp(args->given[i].option->name, name))
			return args->given[i].value ? args->given[i].value : "";
	return NULL;
}

#define LONG_OPTIONS_MAX 24u

static unsigned long_options(const struct cmd_option *from, struct option *to,
			     const struct cmd_option **which, unsigned nr)
{
	for (; from && from->name && nr < LONG_OPTIONS_MAX; from++, nr++) {
		which[nr] = from;
		to[nr] = (struct option){ .name = from->name,
					  .has_arg = from->value != NULL };
	}
	return nr;
}

/*
 * Take options from argv into args until the words begin (stop) or all are
 * read. argv[0] is skipped.
 */
static int parse(const struct cmd_option *options, bool stop, int argc,
		 char **argv, struct args *args)
{
	const struct cmd_option *which[LONG_OPTIONS_MAX];
	struct option longs[LONG_OPTIONS_MAX + 1] = { 0 };
	unsigned nr = long_options(options, longs, which, 0);
	int c, idx;

	long_options(global_options, longs, which, nr);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	while ((c = getopt_long(argc, argv, stop ? "+:" : ":", longs, &idx)) !=
	       -1) {
		const char *word = argv[optind - 1];

		if (c == ':')
			return complain_usage(args, "%s needs a value", word);
		if (c == '?' && optopt)
			return complain_usage(args, "unknown option -%c",
					      optopt);
		if (c == '?')
			return complain_usage(args, "unknown option %s", word);
		if (args->nr_given == ARGS_OPTIONS_MAX)
			return complain_usage(args, "too many options");
		args->given[args->nr_given].option = which[idx];
		args->given[args->nr_given++].value = optarg;
	}
	args->nr = (unsigned)(argc - optind);
	args->words = argv + optind;
	return 0;
}

static int run_command(struct pvsplit *ps, const struct command *c,
		       struct args *args, int argc, char **argv)
{
	const char *dir;
	int err;

	args->command = c->name;
	err = parse(c->options, c->stops_at_word, argc, argv, args);
	if (err)
		return err;
	if (args_get(args, "help")) {
		print_command_help(c);
		return 0;
	}
	if (args->nr < c->min_words)
		return complain_usage(args, "something is missing: %s %s",
				      c->name, c->usage);
	if (args->nr > c->max_words)
		return complain_usage(args, "too much: '%s'",
				      args->words[c->max_words]);
	dir = args_get(args, "run-dir");
	ps->run_dir = dir ? dir : platform_run_dir();
	if (!ps->run_dir || !*ps->run_dir)
		return complain(-ENOENT,
				"%s: no run directory is known; give "
				"--run-dir or set PVSPLIT_RUN",
				c->name);
	ps->json = args_get(args, "json") != NULL;
	return c->run(ps, args);
}

static int dispatch(struct pvsplit *ps, int argc, char **argv)
{
	struct args args = { .command = "" };
	const struct command *c;
	int err;

	err = parse(NULL, true, argc, argv, &args);
	if (err)
		return err;
	if (args_get(&args, "version")) {
		printf("pvsplit " PVSPLIT_VERSION "\n");
		return 0;
	}
	if (args_get(&args, "help") && !args.nr) {
		print_help();
		return 0;
	}
	if (!args.nr)
		return complain_usage(&args, "no command is given");
	c = command_find(args.words[0]);
	if (!c)
		return complain_usage(&args, "unknown command '%s'",
				      args.words[0]);
	return run_command(ps, c, &args, (int)args.nr, args.words);
}

int main(int argc, char **argv)
{
	struct pvsplit ps = { .signal_fd = -1 };
	int err;

	log_init("pvsplit", LOG_INFO);
	err = dispatch(&ps, argc, argv);
	pvsplit_disconnect(&ps);
	if (fflush(stdout) != 0 || ferror(stdout))
		err = complain(-EIO,
			       "output: cannot write it: %s; make room or "
			       "send it elsewhere",
			       strerror(errno));
	if (err == USAGE_ERROR)
		return EXIT_USAGE;
	return err < 0 ? EXIT_FAILED : err;
}
