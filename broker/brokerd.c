/* SPDX-License-Identifier: MIT */
/*
 * brokerd.c - the broker of one run directory, and the store as its child.
 *
 * The broker makes domains (broker.h); the link tells the store of them
 * (store_link.h); the child is started again when it dies (store_child.h). The
 * broker's own death is the machine's: everything ends. One thread, one loop.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/rundir.h"
#include "broker/store_child.h"
#include "broker/store_link.h"
#include "platform/platform.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/num.h"

#define VERSION "0.1"
#define STORE	"xenstored-lite"

/* Of the store: its name, -v, --run-dir DIR, and the end. */
#define STORE_ARGS_OURS 5

static const char usage[] =
	"usage: brokerd [-v] [--run-dir DIR] [-- STORE-OPTION...]\n"
	"Serve the broker of DIR until SIGTERM, and keep a store running for "
	"it.\n"
	"  --run-dir DIR  default: $PVSPLIT_RUN, else /run/pvsplit for root,\n"
	"                 else $XDG_RUNTIME_DIR/pvsplit\n"
	"  -v, --verbose  say more on standard error\n"
	"  --help, --version\n"
	"What follows -- goes to xenstored-lite.\n";

struct daemon {
	struct loop *loop;
	struct broker *broker;
	struct store_link *link;
	struct store_child *child;
	int store_conn; /* the store's connection to the broker; -1: none */
};

/* ---- broker to store ---------------------------------------------------- */

static int tell_created(void *arg, const struct broker_domain *domain)
{
	struct daemon *d = arg;

	return store_link_create(d->link, domain);
}

static int tell_destroyed(void *arg, domid_t domid, uint64_t life)
{
	struct daemon *d = arg;

	return store_link_destroy(d->link, domid, life);
}

static const struct broker_ops broker_ops = {
	.created = tell_created,
	.destroyed = tell_destroyed,
};

/* ---- store to broker ---------------------------------------------------- */

static void heard_created(void *arg, domid_t domid, uint64_t life, int status)
{
	struct daemon *d = arg;

	broker_domain_created(d->broker, domid, life, status);
}

static void heard_destroyed(void *arg, uint64_t life)
{
	struct daemon *d = arg;

	broker_domain_destroyed(d->broker, life);
}

static void store_synced(void *arg)
{
	struct daemon *d = arg;

	store_child_synced(d->child);
}

static void store_lost(void *arg, int err)
{
	struct daemon *d = arg;

	store_child_lost(d->child, err);
}

/* The same for all stores, unless one has spoilt it. */
static int store_connection(void *arg)
{
	struct daemon *d = arg;
	struct pollfd pfd = { .fd = d->store_conn };

	if (d->store_conn >= 0 && poll(&pfd, 1, 0) == 0)
		return d->store_conn;
	if (d->store_conn >= 0)
		close(d->store_conn);
	d->store_conn = broker_connect(d->broker);
	return d->store_conn;
}

static const struct store_link_ops link_ops = {
	.created = heard_created,
	.destroyed = heard_destroyed,
	.synced = store_synced,
	.lost = store_lost,
	.connection = store_connection,
};

static void serving(void *arg)
{
	(void)arg;
	puts("ready");
	fflush(stdout);
}

static void store_over(void *arg, int err)
{
	struct daemon *d = arg;

	loop_stop(d->loop, err);
}

static void stop(void *arg, int signo)
{
	struct daemon *d = arg;

	log_info("signal %d: ending", signo);
	store_child_end(d->child);
}

/* ---- the daemon --------------------------------------------------------- */

/* Our programs are beside each other. */
static int find_store(char *buf, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	int err;

	if (n < 0) {
		err = -errno;
		log_error("cannot find our own place: %s; is /proc mounted?",
			  strerror(-err));
		return err;
	}
	self[n] = '\0';
	slash = strrchr(self, '/');
	slash[1] = '\0';
	err = str_printf(buf, size, "%s" STORE, self);
	if (err > 0 && access(buf, X_OK) == 0)
		return 0;
	log_error("no " STORE " in %s; build it with 'make' or install pvsplit "
		  "again",
		  self);
	return -ENOENT;
}

/* 0 at a clean end; else -errno, already logged. */
static int serve(struct daemon *d, const struct store_child_config *config)
{
	int err = store_child_open(d->loop, d->link, config, &d->child);

	if (err)
		return err;
	err = loop_run(d->loop);
	if (err && err != -ECHILD)
		log_error("event loop: %s", strerror(-err));
	store_child_close(d->child);
	return err;
}

static int with_broker(struct daemon *d, const char *run_dir,
		       const struct store_child_config *config)
{
	domid_t domid;
	int err = store_link_open(d->loop, &link_ops, d, &d->link);

	if (err) {
		log_error("cannot keep track of a store: %s", strerror(-err));
		return err;
	}
	err = broker_open(d->loop, run_dir, &broker_ops, d, &d->broker);
	if (err) {
		log_error("cannot open the broker: %s", strerror(-err));
		goto out;
	}
	err = broker_domain_create(d->broker, 0, "Domain-0", geteuid(), &domid);
	if (err)
		log_error("cannot make domain 0 below %s: %s", run_dir,
			  strerror(-err));
	else
		err = serve(d, config);
	broker_close(d->broker);
	if (d->store_conn >= 0)
		close(d->store_conn);
out:
	store_link_close(d->link);
	return err;
}

static int run(const char *run_dir, const char *const *store_argv)
{
	static const int signals[] = { SIGINT, SIGTERM };
	char program[PATH_MAX];
	struct daemon d = { .store_conn = -1 };
	const struct store_child_config config = { .program = program,
						   .argv = store_argv,
						   .serving = serving,
						   .over = store_over,
						   .arg = &d };
	int err, lock;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	loop_signals_block(signals, ARRAY_SIZE(signals));
	err = find_store(program, sizeof(program));
	if (err)
		return err;
	lock = rundir_open(run_dir);
	if (lock < 0)
		return lock;
	err = loop_open(&d.loop);
	if (err) {
		log_error("event loop: %s", strerror(-err));
		goto out;
	}
	err = loop_signals_add(d.loop, signals, ARRAY_SIZE(signals), stop, &d);
	if (err)
		log_error("signals: %s", strerror(-err));
	else
		err = with_broker(&d, run_dir, &config);
	loop_close(d.loop);
out:
	close(lock);
	return err;
}

/* The store's own words follow ours. */
static const char **store_args(const char *run_dir, bool verbose, char **more,
			       int nr_more)
{
	const char **argv =
		calloc(STORE_ARGS_OURS + (size_t)nr_more, sizeof(*argv));
	int n = 0;

	if (!argv)
		return NULL;
	argv[n++] = STORE;
	argv[n++] = "--run-dir";
	argv[n++] = run_dir;
	if (verbose)
		argv[n++] = "-v";
	for (int i = 0; i < nr_more; i++)
		argv[n++] = more[i];
	return argv;
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
	const char *run_dir = NULL, **store_argv;
	bool verbose = false;
	int c, err;

	log_init("brokerd", LOG_INFO);
	while ((c = getopt_long(argc, argv, "+v", options, NULL)) != -1) {
		switch (c) {
		case 'r': run_dir = optarg; break;
		case 'v': verbose = true; break;
		case 'h': fputs(usage, stdout); return 0;
		case 'V': puts("brokerd " VERSION); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
		fprintf(stderr, "brokerd: unexpected argument: %s\n%s",
			argv[optind], usage);
		return 2;
	}
	if (verbose)
		log_set_level(LOG_DEBUG);
	if (!run_dir)
		run_dir = platform_run_dir();
	if (!run_dir || !run_dir[0]) {
		log_error(
			"no run directory: give --run-dir, or set PVSPLIT_RUN");
		return 1;
	}
	store_argv = store_args(run_dir, verbose, argv + optind, argc - optind);
	if (!store_argv) {
		log_error("no memory");
		return 1;
	}
	err = run(run_dir, store_argv);
	free(store_argv);
	return err ? 1 : 0;
}
