/* SPDX-License-Identifier: MIT */
/* store_child.c - the store's process. See store_child.h. */
#include "broker/store_child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/log.h"
#include "util/spawn.h"
#include "xenstore-lite/domctl.h"

_Static_assert(SPAWN_FD == DOMCTL_FD, "the store looks for it there");

struct store_child {
	struct loop *loop;
	struct store_link *link;
	const struct store_child_config *config;
	pid_t pid; /* 0: none */
	int pidfd;
	struct loop_fd *pid_src;
	struct loop_timer *start_timer, *kill_timer;
	uint64_t started_ns;
	unsigned nr_quick_deaths;
	bool served; /* one of them did, once */
	bool serves, ending;
};

uint64_t store_child_pause_ns(unsigned nr_quick_deaths)
{
	uint64_t pause_ns = STORE_PAUSE_MIN_NS;

	if (nr_quick_deaths < 2)
		return 0;
	while (--nr_quick_deaths > 1 && pause_ns < STORE_PAUSE_MAX_NS)
		pause_ns *= 2;
	return pause_ns < STORE_PAUSE_MAX_NS ? pause_ns : STORE_PAUSE_MAX_NS;
}

static void kill_now(void *arg)
{
	struct store_child *child = arg;

	if (child->pid)
		kill(child->pid, SIGKILL);
}

static void reap(struct store_child *child)
{
	if (!child->pid)
		return;
	kill_now(child);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
}

/* ---- start -------------------------------------------------------------- */

static void store_died(void *arg, uint32_t events);

static int watch_process(struct store_child *child)
{
	int err;

	child->pidfd = pidfd_open(child->pid, 0);
	if (child->pidfd < 0)
		return -errno;
	err = loop_fd_add(child->loop, child->pidfd, EPOLLIN, store_died, child,
			  &child->pid_src);
	if (err) {
		close(child->pidfd);
		child->pidfd = -1;
	}
	return err;
}

static int start(struct store_child *child)
{
	struct spawn store = { .program = child->config->program,
			       .argv = child->config->argv,
			       .no_stdio = true };
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	store.sock = pair[1];
	err = spawn(&store, &child->pid);
	close(pair[1]);
	if (err)
		goto fail;
	err = watch_process(child);
	if (err)
		goto fail_kill;
	err = store_link_attach(child->link, pair[0]);
	if (err)
		goto fail_watch;
	child->started_ns = clock_now_ns();
	child->serves = false;
	return 0;

fail_watch:
	loop_fd_remove(child->pid_src);
	close(child->pidfd);
fail_kill:
	reap(child);
fail:
	close(pair[0]);
	return err;
}

static uint64_t schedule(struct store_child *child)
{
	uint64_t pause_ns;

	child->nr_quick_deaths++;
	pause_ns = store_child_pause_ns(child->nr_quick_deaths);
	loop_timer_arm(child->start_timer, clock_now_ns() + pause_ns);
	return pause_ns;
}

static void start_due(void *arg)
{
	struct store_child *child = arg;
	int err = start(child);

	if (err)
		log_error("cannot start the store %s: %s; trying again in "
			  "%llu ms",
			  child->config->program, strerror(-err),
			  (unsigned long long)(schedule(child) / NS_PER_MS));
}

void store_child_synced(struct store_child *child)
{
	child->serves = true;
	if (child->served) {
		log_info("the store serves again (process %d)",
			 (int)child->pid);
		return;
	}
	child->served = true;
	child->config->serving(child->config->arg);
}

/* ---- death -------------------------------------------------------------- */

static void describe(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "was killed by signal %d (SIG%s)",
			 WTERMSIG(status),
			 sigabbrev_np(WTERMSIG(status)) ?: "?");
	else
		snprintf(buf, size, "ended with exit status %d",
			 WEXITSTATUS(status));
}

static void not_started(struct store_child *child, pid_t pid, int status)
{
	char how[64];

	describe(status, how, sizeof(how));
	/* With exit status 1 it has said why, in its own one line. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		log_error("the store %s (process %d) %s before it served; "
			  "cannot go on without one",
			  child->config->program, (int)pid, how);
	child->config->over(child->config->arg, -ECHILD);
}

static void start_again(struct store_child *child, pid_t pid, int status)
{
	char how[64];
	uint64_t pause_ns;

	if (child->serves &&
	    clock_now_ns() - child->started_ns >= STORE_GOOD_LIFE_NS)
		child->nr_quick_deaths = 0;
	pause_ns = schedule(child);
	describe(status, how, sizeof(how));
	log_warn("the store (process %d) %s: starting it again in %llu ms",
		 (int)pid, how, (unsigned long long)(pause_ns / NS_PER_MS));
}

static void store_died(void *arg, uint32_t events)
{
	struct store_child *child = arg;
	pid_t pid = child->pid;
	int status;

	(void)events;
	if (waitpid(pid, &status, WNOHANG) != pid)
		return;
	loop_fd_remove(child->pid_src);
	child->pid_src = NULL;
	close(child->pidfd);
	child->pidfd = -1;
	child->pid = 0;
	loop_timer_disarm(child->kill_timer);
	store_link_detach(child->link);
	if (child->ending)
		child->config->over(child->config->arg, 0);
	else if (!child->served)
		not_started(child, pid, status);
	else
		start_again(child, pid, status);
}

/* It is ending, or will be made to: a store that we cannot tell is none. */
void store_child_lost(struct store_child *child, int err)
{
	if (err != -EPROTO) {
		loop_timer_arm(child->kill_timer,
			       clock_now_ns() + STORE_END_WAIT_NS);
		return;
	}
	log_error("the store (process %d) does not keep to the protocol: "
		  "killed",
		  (int)child->pid);
	kill_now(child);
}

/* ---- life --------------------------------------------------------------- */

void store_child_end(struct store_child *child)
{
	if (child->ending) {
		kill_now(child);
		return;
	}
	child->ending = true;
	loop_timer_disarm(child->start_timer);
	if (!child->pid) {
		child->config->over(child->config->arg, 0);
		return;
	}
	if (store_link_end(child->link))
		kill_now(child);
	else
		loop_timer_arm(child->kill_timer,
			       clock_now_ns() + STORE_END_WAIT_NS);
}

int store_child_open(struct loop *loop, struct store_link *link,
		     const struct store_child_config *config,
		     struct store_child **ret)
{
	struct store_child *child = calloc(1, sizeof(*child));
	int err = -ENOMEM;

	if (!child)
		goto fail;
	child->loop = loop;
	child->link = link;
	child->config = config;
	child->pidfd = -1;
	err = loop_timer_add(loop, start_due, child, &child->start_timer);
	if (err)
		goto fail;
	err = loop_timer_add(loop, kill_now, child, &child->kill_timer);
	if (err)
		goto fail_timer;
	err = start(child);
	if (err)
		goto fail_timers;
	*ret = child;
	return 0;

fail_timers:
	loop_timer_remove(child->kill_timer);
fail_timer:
	loop_timer_remove(child->start_timer);
fail:
	free(child);
	log_error("cannot start the store %s: %s", config->program,
		  strerror(-err));
	return err;
}

void store_child_close(struct store_child *child)
{
	if (!child)
		return;
	loop_timer_remove(child->kill_timer);
	loop_timer_remove(child->start_timer);
	if (child->pid) {
		loop_fd_remove(child->pid_src);
		close(child->pidfd);
		reap(child);
	}
	store_link_detach(child->link);
	free(child);
}
