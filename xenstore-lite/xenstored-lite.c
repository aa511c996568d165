/* SPDX-License-Identifier: MIT */
/*
 * xenstored-lite.c - the store of one run directory, brokerd's child.
 *
 * It is told of the domains, and given the socket of each, by the broker
 * (domctl_server.h); it serves them (serve.h). One thread, one loop.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "platform/platform.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/num.h"
#include "xenstore-lite/domctl.h"
#include "xenstore-lite/domctl_server.h"
#include "xenstore-lite/live.h"
#include "xenstore-lite/serve.h"

#define VERSION "0.1"

/* Most that the loop polls before it sleeps: longer than a client that had to
 * be woken takes to ask again. */
#define SPIN_NS (100 * NS_PER_US)

static const char usage[] =
	"usage: xenstored-lite [-v] [--run-dir DIR] [--journal DIR] "
	"[--no-journal]\n"
	"                      [--sync] [--salvage]\n"
	"Serve the xenstore of DIR. brokerd starts it.\n"
	"  --run-dir DIR  default: $PVSPLIT_RUN, else /run/pvsplit for root,\n"
	"                 else $XDG_RUNTIME_DIR/pvsplit\n"
	"  --journal DIR  what survives the store's death; default: RUN/store\n"
	"  --no-journal   nothing does\n"
	"  --sync         survive the machine's death too: fdatasync before\n"
	"                 each round's answers\n"
	"  --salvage      of a damaged journal, keep what can be read\n"
	"  -v, --verbose  say more on standard error\n"
	"  --help, --version\n";

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

static void over(void *arg, int err)
{
	loop_stop(arg, err);
}

/* What the command line says. */
struct config {
	struct journal_options journal; /* dir NULL: none */
	int restore_fd;			/* -1: not a live update */
	char *const *argv;
};

struct updater {
	struct server *server;
	char *const *argv;
};

/* At the end of a round, when all of it has been answered. */
static bool look_for_update(void *arg)
{
	const struct updater *u = arg;

	return live_update(u->server, u->argv);
}

static int begin(struct server *server, const struct config *config)
{
	if (config->restore_fd >= 0)
		return live_restore(server, config->restore_fd);
	return config->journal.dir ? server_remember(server, &config->journal)
				   : 0;
}

/* 0 at a clean end; else -errno, already logged. */
static int serve(struct loop *loop, const struct config *config)
{
	struct updater updater = { .argv = config->argv };
	struct loop_prepare *update = NULL;
	struct domctl_server *ds;
	struct server *server;
	int err = server_open(loop, &server);

	if (err) {
		log_error("cannot make the store: %s", strerror(-err));
		return err;
	}
	err = begin(server, config);
	if (err)
		goto out;
	err = domctl_server_open(loop, server, DOMCTL_FD, over, loop, &ds);
	if (err) {
		log_error("cannot listen to the broker: %s", strerror(-err));
		goto out;
	}
	updater.server = server;
	err = loop_prepare_add(loop, look_for_update, &updater, &update);
	if (!err)
		err = loop_run(loop);
	loop_prepare_remove(update);
	/* What a broker that is gone leaves is in order; the rest was said. */
	if (err == -ECONNRESET)
		err = 0;
	domctl_server_close(ds);
out:
	server_close(server);
	return err;
}

static int run(const struct config *config)
{
	static const int signals[] = { SIGINT, SIGTERM };
	struct loop *loop;
	int err;

	signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	loop_signals_block(signals, ARRAY_SIZE(signals));
	raise_descriptor_limit();
	err = loop_open(&loop);
	if (err) {
		log_error("event loop: %s", strerror(-err));
		return err;
	}
	loop_set_spin(loop, SPIN_NS);
	err = loop_signals_add(loop, signals, ARRAY_SIZE(signals), stop, loop);
	if (err)
		log_error("signals: %s", strerror(-err));
	else
		err = serve(loop, config);
	loop_close(loop);
	return err;
}

static const char *default_journal(const char *run_dir, char *buf, size_t size)
{
	return str_printf(buf, size, "%s/store", run_dir) < 0 ? NULL : buf;
}

static bool parse_fd(const char *text, int *ret)
{
	uint32_t fd;

	if (num_parse_u32(text, INT_MAX, &fd)) {
		fprintf(stderr, "xenstored-lite: no descriptor: %s\n", text);
		return false;
	}
	*ret = (int)fd;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "journal", required_argument, NULL, 'j' },
		{ "no-journal", no_argument, NULL, 'n' },
		{ "sync", no_argument, NULL, 's' },
		{ "salvage", no_argument, NULL, 'S' },
		{ &LIVE_RESTORE[2], required_argument, NULL, 'R' },
		{ &LIVE_CHECK_IMAGE[2], required_argument, NULL, 'C' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct config config = { .restore_fd = -1, .argv = argv };
	struct journal_options *journal = &config.journal;
	const char *run_dir = NULL;
	char dir[PATH_MAX];
	bool forget = false;
	int c, fd;

	log_init("xenstored-lite", LOG_INFO);
	while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (c) {
		case 'r': run_dir = optarg; break;
		case 'j': journal->dir = optarg; break;
		case 'n': forget = true; break;
		case 's': journal->sync = true; break;
		case 'S': journal->salvage = true; break;
		case 'R':
			if (!parse_fd(optarg, &config.restore_fd))
				return 2;
			break;
		case 'C':
			return parse_fd(optarg, &fd) ? live_check_image(fd) : 2;
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
	if (!domctl_server_is_ours(DOMCTL_FD)) {
		log_error(
			"no broker has started this: the domains come from "
			"there; start brokerd, which starts its store itself");
		return 2;
	}
	if (forget)
		journal->dir = NULL;
	else if (!journal->dir)
		journal->dir = default_journal(run_dir, dir, sizeof(dir));
	return run(&config) ? 1 : 0;
}
