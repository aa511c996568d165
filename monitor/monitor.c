/* SPDX-License-Identifier: MIT */
/*
 * monitor.c - the supervisor: starts the worker, answers its calls, starts it
 * again when it has died. What is held across that is in table.c.
 *
 * A worker that says anything malformed is killed and replaced; it can hurt
 * nobody else. One thread, one loop.
 */
#include "monitor/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/protocol.h"
#include "monitor/table.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/num.h"
#include "util/spawn.h"

#define TERM_WAIT_NS (2 * NS_PER_S) /* from SIGTERM to SIGKILL */
#define GOOD_LIFE_NS NS_PER_S
#define PAUSE_MIN_NS (10 * NS_PER_MS)
#define PAUSE_MAX_NS NS_PER_S

struct monitor {
	const struct monitor_config *config;
	struct loop *loop;
	struct monitor_table table;
	int broker_fd;
	struct loop_fd *broker_src;

	/* The worker; pid 0: none. */
	pid_t pid;
	int pidfd, sock;
	struct loop_fd *pid_src, *sock_src;
	uint64_t started_ns;
	uint32_t generation; /* the next worker's */
	bool worker_ready;

	struct loop_timer *restart_timer, *kill_timer;
	unsigned nr_quick_deaths;
	bool ready_told, ending;
	int result;
	struct log_limit limit;
};

static int domain_path(const struct monitor *m, const char *name, char *path,
		       size_t size)
{
	int n = str_printf(path, size, "%s/%u/%s", m->config->run_dir,
			   m->config->domid, name);

	return n < 0 ? n : 0;
}

/* ---- calls of the worker ------------------------------------------------ */

static bool key_is_valid(const char key[MONITOR_KEY_MAX])
{
	size_t len = strnlen(key, MONITOR_KEY_MAX);

	if (!len || len == MONITOR_KEY_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (key[i] <= ' ' || key[i] > '~')
			return false;
	return true;
}

/* The fds of a reply; they stay their owner's, but for own_fd (or -1). */
struct answer {
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX];
	int own_fd;
};

static void serve_hello(struct monitor *m, struct answer *a)
{
	a->reply.generation = m->generation - 1;
	a->reply.nr_fds = 1;
	a->fds[0] = m->broker_fd;
}

static void serve_store(struct monitor *m, struct answer *a)
{
	char path[512];
	int fd = domain_path(m, "xenstore", path, sizeof(path));

	if (!fd)
		fd = unix_connect_now(path, SOCK_STREAM);
	if (fd < 0) {
		log_limited(&m->limit, LOG_ERROR,
			    "cannot reach the store at %s/%u/xenstore: %s",
			    m->config->run_dir, m->config->domid,
			    strerrordesc_np(-fd));
		a->reply.error = fd;
		return;
	}
	a->own_fd = fd;
	a->reply.nr_fds = 1;
	a->fds[0] = fd;
}

static void serve_open(struct monitor *m, const struct monitor_request *req,
		       struct answer *a)
{
	const struct monitor_device *dev;
	char why[WHY_MAX] = "";
	int err;

	if (req->domid >= DOMID_FIRST_RESERVED) {
		a->reply.error = -EINVAL;
		return;
	}
	err = monitor_table_open(&m->table, (domid_t)req->domid, req->handle,
				 &dev, why);
	if (err) {
		log_limited(&m->limit, LOG_ERROR, "device d%u/%u: %s",
			    req->domid, req->handle,
			    why[0] ? why : strerrordesc_np(-err));
		a->reply.error = err;
		return;
	}
	a->reply.nr_fds = dev->nr_fds;
	a->reply.info_bytes = dev->info_bytes;
	memcpy(a->reply.info, dev->info, dev->info_bytes);
	memcpy(a->fds, dev->fds, dev->nr_fds * sizeof(a->fds[0]));
}

static void serve_connect(struct monitor *m, const struct monitor_request *req,
			  struct answer *a)
{
	int fd = req->domid < DOMID_FIRST_RESERVED
			 ? monitor_table_connect(&m->table, (domid_t)req->domid,
						 req->handle)
			 : -EINVAL;

	if (fd < 0) {
		a->reply.error = fd;
		return;
	}
	a->own_fd = fd;
	a->reply.nr_fds = 1;
	a->fds[0] = fd;
}

static void serve_ready(struct monitor *m)
{
	m->worker_ready = true;
	monitor_table_retire(&m->table);
	if (m->ready_told || !m->config->ready_line)
		return;
	m->ready_told = true;
	puts(m->config->ready_line);
	fflush(stdout);
}

/* fd: what came with the request, or -1; set to -1 when it was taken over. */
static void serve_key(struct monitor *m, const struct monitor_request *req,
		      int *fd, struct answer *a)
{
	int err;

	switch (req->op) {
	case MONITOR_OP_KEEP:
		err = monitor_table_keep(&m->table, req->key, *fd);
		if (!err)
			*fd = -1;
		break;
	case MONITOR_OP_GET:
		err = monitor_table_get(&m->table, req->key);
		if (err < 0)
			break;
		a->fds[0] = err;
		a->reply.nr_fds = 1;
		err = 0;
		break;
	default: err = monitor_table_drop(&m->table, req->key); break;
	}
	a->reply.error = err;
}

/* -EPROTO: no such call, or not in this form. */
static int serve(struct monitor *m, const struct monitor_request *req, int *fd,
		 struct answer *a)
{
	if ((*fd >= 0) != (req->op == MONITOR_OP_KEEP))
		return -EPROTO;
	switch (req->op) {
	case MONITOR_OP_HELLO: serve_hello(m, a); return 0;
	case MONITOR_OP_STORE: serve_store(m, a); return 0;
	case MONITOR_OP_OPEN: serve_open(m, req, a); return 0;
	case MONITOR_OP_CONNECT: serve_connect(m, req, a); return 0;
	case MONITOR_OP_RELEASE:
		if (req->domid >= DOMID_FIRST_RESERVED)
			a->reply.error = -EINVAL;
		else
			a->reply.error = monitor_table_release(
				&m->table, (domid_t)req->domid, req->handle);
		return 0;
	case MONITOR_OP_KEEP:
	case MONITOR_OP_GET:
	case MONITOR_OP_DROP:
		if (!key_is_valid(req->key))
			return -EPROTO;
		serve_key(m, req, fd, a);
		return 0;
	case MONITOR_OP_READY: serve_ready(m); return 0;
	default: return -EPROTO;
	}
}

/* ---- the worker's life -------------------------------------------------- */

static void close_sock(struct monitor *m)
{
	loop_fd_remove(m->sock_src);
	m->sock_src = NULL;
	if (m->sock >= 0)
		close(m->sock);
	m->sock = -1;
}

static void kill_worker(struct monitor *m, int signo)
{
	if (m->pid)
		kill(m->pid, signo);
}

static void worker_calls(void *arg, uint32_t events)
{
	struct monitor *m = arg;
	struct monitor_request req;
	struct answer a = { .own_fd = -1 };
	unsigned nr = MONITOR_REQUEST_FDS;
	int fd = -1, err;
	ssize_t n;

	(void)events;
	n = fdmsg_recv(m->sock, &req, sizeof(req), &fd, &nr, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return;
	if (n == 0 || n == -ECONNRESET) {
		/* It is ending, or will be made to. */
		close_sock(m);
		loop_timer_arm(m->kill_timer, clock_now_ns() + TERM_WAIT_NS);
		return;
	}
	if (!nr)
		fd = -1;
	err = n == (ssize_t)sizeof(req) ? serve(m, &req, &fd, &a) : -EPROTO;
	if (!err)
		err = fdmsg_send(m->sock, &a.reply, sizeof(a.reply), a.fds,
				 a.reply.nr_fds, MSG_DONTWAIT);
	if (a.own_fd >= 0)
		close(a.own_fd);
	if (n > 0 && fd >= 0)
		close(fd);
	if (!err || err == -EPIPE || err == -ECONNRESET)
		return;
	log_limited(&m->limit, LOG_ERROR,
		    "the worker does not keep to the protocol: killed");
	close_sock(m);
	kill_worker(m, SIGKILL);
}

static void schedule_restart(struct monitor *m)
{
	uint64_t pause_ns = 0;

	if (m->nr_quick_deaths > 1) {
		unsigned doublings = m->nr_quick_deaths - 2;

		pause_ns = doublings < 7 ? PAUSE_MIN_NS << doublings
					 : PAUSE_MAX_NS;
		if (pause_ns > PAUSE_MAX_NS)
			pause_ns = PAUSE_MAX_NS;
	}
	loop_timer_arm(m->restart_timer, clock_now_ns() + pause_ns);
}

static void log_death(struct monitor *m, int status)
{
	enum log_level level = m->ending ? LOG_DEBUG : LOG_WARN;

	if (WIFSIGNALED(status))
		log_limited(&m->limit, level,
			    "worker %d was killed by signal %d (SIG%s)",
			    (int)m->pid, WTERMSIG(status),
			    sigabbrev_np(WTERMSIG(status)) ?: "?");
	else
		log_limited(&m->limit, level,
			    "worker %d ended with exit status %d", (int)m->pid,
			    WEXITSTATUS(status));
}

static void worker_died(void *arg, uint32_t events)
{
	struct monitor *m = arg;
	int status;

	(void)events;
	if (waitpid(m->pid, &status, WNOHANG) != m->pid)
		return;
	log_death(m, status);
	loop_fd_remove(m->pid_src);
	m->pid_src = NULL;
	close(m->pidfd);
	m->pidfd = -1;
	m->pid = 0;
	close_sock(m);
	loop_timer_disarm(m->kill_timer);
	if (m->ending) {
		loop_stop(m->loop, m->result);
		return;
	}
	if (m->worker_ready && clock_now_ns() - m->started_ns >= GOOD_LIFE_NS)
		m->nr_quick_deaths = 0;
	m->nr_quick_deaths++;
	schedule_restart(m);
}

static int start_worker(struct monitor *m)
{
	struct spawn worker = { .program = m->config->program,
				.argv = m->config->worker_argv,
				.dies_with_us = true };
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	m->sock = pair[0];
	worker.sock = pair[1];
	err = spawn(&worker, &m->pid);
	if (err) {
		log_limited(&m->limit, LOG_ERROR, "cannot start %s: %s",
			    m->config->program, strerrordesc_np(-err));
		goto fail;
	}
	m->pidfd = pidfd_open(m->pid, 0);
	err = m->pidfd < 0 ? -errno : 0;
	if (!err)
		err = loop_fd_add(m->loop, m->pidfd, EPOLLIN, worker_died, m,
				  &m->pid_src);
	if (!err)
		err = loop_fd_add(m->loop, m->sock, EPOLLIN, worker_calls, m,
				  &m->sock_src);
	if (err)
		goto fail_kill;
	close(pair[1]);
	m->started_ns = clock_now_ns();
	m->worker_ready = false;
	m->table.generation = m->generation++;
	return 0;

fail_kill:
	kill(m->pid, SIGKILL);
	while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
		;
	m->pid = 0;
	loop_fd_remove(m->pid_src);
	m->pid_src = NULL;
	if (m->pidfd >= 0)
		close(m->pidfd);
	m->pidfd = -1;
fail:
	close(pair[1]);
	close_sock(m);
	return err;
}

static void restart_due(void *arg)
{
	struct monitor *m = arg;

	if (start_worker(m)) {
		m->nr_quick_deaths++;
		schedule_restart(m);
		return;
	}
	log_info("worker %d started (generation %u)", (int)m->pid,
		 m->generation - 1);
}

/* ---- ending ------------------------------------------------------------- */

static void end(struct monitor *m, int result)
{
	if (m->ending) {
		kill_worker(m, SIGKILL);
		return;
	}
	m->ending = true;
	m->result = result;
	loop_timer_disarm(m->restart_timer);
	if (!m->pid) {
		loop_stop(m->loop, result);
		return;
	}
	kill_worker(m, SIGTERM);
	loop_timer_arm(m->kill_timer, clock_now_ns() + TERM_WAIT_NS);
}

static void kill_due(void *arg)
{
	kill_worker(arg, SIGKILL);
}

static void signalled(void *arg, int signo)
{
	(void)signo;
	end(arg, 0);
}

/* Nobody writes to us here unasked: the worker reads; we only see the end. */
static void broker_ended(void *arg, uint32_t events)
{
	struct monitor *m = arg;

	if (!(events & (EPOLLHUP | EPOLLERR)))
		return;
	loop_fd_remove(m->broker_src);
	m->broker_src = NULL;
	if (m->ending)
		return;
	log_error("brokerd closed %s/%u/broker: is it gone? Ending; start it "
		  "and then this backend again",
		  m->config->run_dir, m->config->domid);
	end(m, -ECONNRESET);
}

/* Devices and kept descriptors may be many; a limit is for accidents. */
static void raise_fd_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 &&
	    lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static int open_sources(struct monitor *m)
{
	static const int signals[] = { SIGTERM, SIGINT };
	int err;

	loop_signals_block(signals, ARRAY_SIZE(signals));
	err = loop_signals_add(m->loop, signals, ARRAY_SIZE(signals), signalled,
			       m);
	if (!err)
		err = loop_timer_add(m->loop, restart_due, m,
				     &m->restart_timer);
	if (!err)
		err = loop_timer_add(m->loop, kill_due, m, &m->kill_timer);
	if (!err)
		err = loop_fd_add(m->loop, m->broker_fd, 0, broker_ended, m,
				  &m->broker_src);
	return err;
}

int monitor_run(const struct monitor_config *config)
{
	struct monitor m = { .config = config, .pidfd = -1, .sock = -1 };
	char path[512];
	int err;

	signal(SIGCHLD, SIG_DFL);
	raise_fd_limit();
	monitor_table_init(&m.table, config->ops, config->arg);
	err = domain_path(&m, "broker", path, sizeof(path));
	m.broker_fd = err ? err : unix_connect(path, SOCK_SEQPACKET);
	if (m.broker_fd < 0) {
		log_error("cannot reach domain %u at %s/%u/broker: %s: is "
			  "brokerd running and does the domain exist?",
			  config->domid, config->run_dir, config->domid,
			  strerrordesc_np(-m.broker_fd));
		return m.broker_fd;
	}
	err = loop_open(&m.loop);
	if (err)
		goto out_broker;
	err = open_sources(&m);
	if (err)
		goto out_loop;
	err = start_worker(&m);
	if (!err)
		err = loop_run(m.loop);
	if (m.pid) {
		kill_worker(&m, SIGKILL);
		while (waitpid(m.pid, NULL, 0) < 0 && errno == EINTR)
			;
		close(m.pidfd);
	}
	close_sock(&m);
out_loop:
	monitor_table_fini(&m.table);
	loop_close(m.loop);
out_broker:
	close(m.broker_fd);
	return err;
}
