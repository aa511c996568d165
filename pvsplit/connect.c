/* SPDX-License-Identifier: MIT */
/* connect.c - the way to a run directory, and waiting. See pvsplit.h. */
#include "pvsplit/pvsplit.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"

/* A daemon that was killed leaves its sockets behind. */
static bool socket_exists(const struct pvsplit *ps)
{
	char path[PATH_MAX];

	return str_printf(path, sizeof(path), "%s/0/broker", ps->run_dir) > 0 &&
	       access(path, F_OK) == 0;
}

/* Say why domain 0 of the run directory cannot be opened. */
static int explain(const struct pvsplit *ps, int err)
{
	struct stat st;

	switch (-err) {
	case ENAMETOOLONG:
		return complain(err,
				"%s: the path is too long for a socket "
				"address (%zu bytes); choose a shorter "
				"--run-dir",
				ps->run_dir,
				sizeof(((struct sockaddr_un *)0)->sun_path));
	case EACCES:
	case EPERM:
		return complain(err,
				"%s: permission denied; run as root or give a "
				"--run-dir of your own",
				ps->run_dir);
	case ECONNREFUSED:
	case ENOENT:
		if (socket_exists(ps))
			return complain(err,
					"%s: the brokerd of this "
					"directory is dead; start again with "
					"'pvsplit up'",
					ps->run_dir);
		if (stat(ps->run_dir, &st) == 0)
			return complain(err,
					"%s: no brokerd serves this "
					"directory; start it with 'pvsplit up'",
					ps->run_dir);
		return complain(err,
				"%s: there is no such run directory; start "
				"with 'pvsplit up' or give --run-dir",
				ps->run_dir);
	default:
		return complain(err,
				"%s: cannot connect: %s; see 'pvsplit status'",
				ps->run_dir, strerror(-err));
	}
}

int pvsplit_connect(struct pvsplit *ps)
{
	int err;

	if (ps->xs)
		return 0;
	err = platform_lite_open(ps->run_dir, 0, &ps->platform);
	if (err)
		return explain(ps, err);
	err = xs_open(platform_store_connector, ps->platform, &ps->xs);
	if (!err)
		return 0;
	platform_close(ps->platform);
	ps->platform = NULL;
	return explain(ps, err);
}

void pvsplit_disconnect(struct pvsplit *ps)
{
	xs_close(ps->xs);
	platform_close(ps->platform);
	ps->xs = NULL;
	ps->platform = NULL;
}

int pvsplit_catch_signals(struct pvsplit *ps)
{
	sigset_t mask;

	if (ps->signal_fd >= 0)
		return 0;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	ps->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ps->signal_fd < 0)
		return complain(-errno, "signals: %s; try again",
				strerror(errno));
	return 0;
}

static int wait_fds(struct pollfd *fds, nfds_t nr, uint64_t deadline_ns)
{
	int n;

	do {
		uint64_t now = clock_now_ns(), left;
		struct timespec ts;

		left = deadline_ns > now ? deadline_ns - now : 0;
		ts.tv_sec = (time_t)(left / NS_PER_S);
		ts.tv_nsec = (long)(left % NS_PER_S);
		n = ppoll(fds, nr, deadline_ns == UINT64_MAX ? NULL : &ts,
			  NULL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int pvsplit_wait_fd(const struct pvsplit *ps, int fd, uint64_t deadline_ns)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = ps->signal_fd, .events = POLLIN } };
	int n = wait_fds(fds, 2, deadline_ns);

	if (n < 0)
		return n;
	if (fds[1].revents)
		return -EINTR;
	return fds[0].revents ? 1 : 0;
}

void pvsplit_pause(uint64_t ns)
{
	struct timespec ts = { .tv_nsec = (long)ns };

	nanosleep(&ts, NULL);
}
