/* SPDX-License-Identifier: MIT */
/*
 * xenstored-lite.c - the store and the broker of one run directory.
 *
 * The broker makes domains (broker.h); for each, the store opens its socket
 * (serve.h). One thread, one loop.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "platform/platform.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/num.h"
#include "xenstore-lite/broker.h"
#include "xenstore-lite/rundir.h"
#include "xenstore-lite/serve.h"

#define VERSION "0.1"

/* Most that the loop polls before it sleeps: longer than a client that had to
 * be woken takes to ask again. */
#define SPIN_NS (100 * NS_PER_US)

static const char usage[] =
	"usage: xenstored-lite [-v] [--run-dir DIR]\n"
	"Serve the xenstore and the broker of DIR until SIGTERM.\n"
	"  --run-dir DIR  default: $PVSPLIT_RUN, else /run/pvsplit for root,\n"
	"                 else $XDG_RUNTIME_DIR/pvsplit\n"
	"  -v, --verbose  say more on standard error\n"
	"  --help, --version\n";

static int domain_created(void *arg, domid_t domid, const char *name,
			  const char *dir, uid_t uid)
{
	return server_add_domain(arg, domid, name, dir, uid);
}

static void domain_destroyed(void *arg, domid_t domid)
{
	server_remove_domain(arg, domid);
}

static void stop(void *arg, int signo)
{
	log_info("signal %d: ending", signo);
	loop_stop(arg, 0);
}

/* Each client is a descriptor; take as many as we may have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* 0 at a clean end; else -errno, already logged. */
static int serve(struct loop *loop, const char *run_dir)
{
	static const struct broker_ops ops = {
		.created = domain_created,
		.destroyed = domain_destroyed,
	};
	struct server *server;
	struct broker *broker;
	domid_t domid;
	int err = server_open(loop, &server);

	if (err) {
		log_error("cannot make the store: %s", strerror(-err));
		return err;
	}
	err = broker_open(loop, run_dir, &ops, server, &broker);
	if (err) {
		log_error("cannot open the broker: %s", strerror(-err));
		goto out;
	}
	err = broker_domain_create(broker, 0, "Domain-0", geteuid(), &domid);
	if (err) {
		log_error("cannot make domain 0 below %s: %s", run_dir,
			  strerror(-err));
		goto out_broker;
	}
	puts("ready");
	fflush(stdout);
	err = loop_run(loop);
	if (err)
		log_error("event loop: %s", strerror(-err));

out_broker:
	broker_close(broker);
out:
	server_close(server);
	return err;
}

static int run(const char *run_dir)
{
	static const int signals[] = { SIGINT, SIGTERM };
	struct loop *loop;
	int err, lock;

	signal(SIGPIPE, SIG_IGN);
	loop_signals_block(signals, ARRAY_SIZE(signals));
	raise_descriptor_limit();
	lock = rundir_open(run_dir);
	if (lock < 0)
		return lock;
	err = loop_open(&loop);
	if (err) {
		log_error("event loop: %s", strerror(-err));
		goto out;
	}
	loop_set_spin(loop, SPIN_NS);
	err = loop_signals_add(loop, signals, ARRAY_SIZE(signals), stop, loop);
	if (err)
		log_error("signals: %s", strerror(-err));
	else
		err = serve(loop, run_dir);
	loop_close(loop);
out:
	close(lock);
	return err;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *run_dir = NULL;
	int c;

	log_init("xenstored-lite", LOG_INFO);
	while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (c) {
		case 'r': run_dir = optarg; break;
		case 'v': log_set_level(LOG_DEBUG); break;
		case 'h': fputs(usage, stdout); return 0;
		case 'V': puts("xenstored-lite " VERSION); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xenstored-lite: unexpected argument: %s\n%s",
			argv[optind], usage);
		return 2;
	}
	if (!run_dir)
		run_dir = platform_run_dir();
	if (!run_dir || !run_dir[0]) {
		log_error(
			"no run directory: give --run-dir, or set PVSPLIT_RUN");
		return 1;
	}
	return run(run_dir) ? 1 : 0;
}
