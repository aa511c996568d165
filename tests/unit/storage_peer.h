/* SPDX-License-Identifier: MIT */
/*
 * storage_peer.h - for the tests of drivers that need a server: starts real
 * ones, kills and pauses them, and opens a storage as the worker does, with
 * monitor and control thread played by the test. Servers die with the test.
 */
#ifndef TESTS_UNIT_STORAGE_PEER_H
#define TESTS_UNIT_STORAGE_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blkback/storage.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/fdmsg.h"

#define PEER_PATH_MAX 96
#define PEER_DEPTH    64u
#define PEER_WAIT_NS  (20 * NS_PER_S)

/* ---- servers ------------------------------------------------------------- */

struct peer {
	pid_t pid;
};

static char peer_dir[48];

static inline void peer_path(char path[PEER_PATH_MAX], const char *name)
{
	if (!peer_dir[0]) {
		strcpy(peer_dir, "/tmp/pvsplit-peer.XXXXXX");
		if (!mkdtemp(peer_dir))
			abort();
	}
	snprintf(path, PEER_PATH_MAX, "%s/%s", peer_dir, name);
}

static inline void peer_file(char path[PEER_PATH_MAX], const char *name,
			     const void *bytes, size_t size_bytes)
{
	int fd;

	peer_path(path, name);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, size_bytes) != (ssize_t)size_bytes)
		abort();
	close(fd);
}

static inline void peer_image(char path[PEER_PATH_MAX], const char *name,
			      off_t size_bytes)
{
	peer_file(path, name, "", 0);
	if (truncate(path, size_bytes))
		abort();
}

/* The shell becomes the server: begin command with exec. */
__attribute__((format(printf, 1, 2))) static inline struct peer
peer_start(const char *fmt, ...)
{
	char command[512];
	struct peer p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	p.pid = fork();
	if (p.pid < 0)
		abort();
	if (p.pid)
		return p;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!getenv("V"))
		(void)!freopen("/dev/null", "w", stderr);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static inline bool peer_run(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static inline bool peer_run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command) == 0;
}

static inline void peer_signal(struct peer *p, int signo)
{
	if (p->pid)
		kill(p->pid, signo);
}

static inline void peer_end(struct peer *p, int signo)
{
	peer_signal(p, signo);
	if (p->pid)
		waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

static inline void peer_kill(struct peer *p)
{
	peer_end(p, SIGKILL);
}

static inline void peer_stop(struct peer *p)
{
	peer_end(p, SIGTERM);
}

/* False: it has ended. */
static inline bool peer_lives(struct peer *p)
{
	if (p->pid && waitpid(p->pid, NULL, WNOHANG) == p->pid)
		p->pid = 0;
	return p->pid != 0;
}

static inline bool peer_listens(struct peer *p, const char *path)
{
	uint64_t deadline_ns = clock_now_ns() + PEER_WAIT_NS;

	while (peer_lives(p) && clock_now_ns() < deadline_ns) {
		int fd = unix_connect(path, SOCK_STREAM);

		if (fd >= 0) {
			close(fd);
			return true;
		}
		usleep(5000);
	}
	return false;
}

/* A port of 127.0.0.1 that is free now. */
static inline unsigned peer_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		abort();
	close(fd);
	return ntohs(a.sin_port);
}

static inline bool peer_listens_on(struct peer *p, unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t deadline_ns = clock_now_ns() + PEER_WAIT_NS;
	bool connected = false;

	while (!connected && peer_lives(p) && clock_now_ns() < deadline_ns) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		connected = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
		close(fd);
		if (!connected)
			usleep(5000);
	}
	return connected;
}

/* ---- a storage, as the worker has it ------------------------------------- */

struct rig {
	const struct storage_ops *ops;
	struct storage *st;
	struct storage_channel *ch;
	struct storage_desc acquired;
	char why[256];
	char said[512];
};

static int rig_connect(void *arg)
{
	struct rig *r = arg;

	return r->ops->connect(&r->acquired);
}

static void rig_say(void *arg, const char *what)
{
	struct rig *r = arg;
	size_t len = strlen(r->said);

	snprintf(r->said + len, sizeof(r->said) - len, "%s\n", what);
}

static inline int rig_begin(struct rig *r, const struct storage_desc *desc,
			    int sock)
{
	int err = r->ops->open(desc, &sock, &r->st);

	if (err) {
		if (sock >= 0)
			close(sock);
		return err;
	}
	r->st->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->ops->channel_open(r->st, PEER_DEPTH, &r->ch);
}

static inline int rig_open(struct rig *r, const char *target, uint32_t flags)
{
	int fds[STORAGE_FDS_MAX], sock = -1, err;

	memset(r, 0, sizeof(*r));
	r->ops = storage_find(target);
	if (!r->ops)
		return -EINVAL;
	err = r->ops->acquire(target, flags, &r->acquired, fds, r->why,
			      sizeof(r->why));
	if (err)
		return err;
	if (r->ops->connect) {
		sock = r->ops->connect(&r->acquired);
		if (sock < 0)
			return sock;
	}
	return rig_begin(r, &r->acquired, sock);
}

/* What a successor does: nothing but the description is left. */
static inline int rig_open_seen(struct rig *r, const struct storage_desc *seen)
{
	memset(r, 0, sizeof(*r));
	r->ops = storage_by_name(seen->driver);
	r->acquired = *seen;
	return rig_begin(r, seen, -1);
}

static inline void rig_close(struct rig *r)
{
	int fd = r->st->event_fd;

	r->ops->channel_close(r->ch);
	r->ops->close(r->st);
	close(fd);
}

static inline bool said(const struct rig *r, const char *words)
{
	return strstr(r->said, words) != NULL;
}

/* One round of the data thread and of control; waits at most ms. */
static inline void round_of(struct rig *r, int ms)
{
	const struct storage_keeper keeper = { rig_connect, rig_say, r };
	struct pollfd p[2] = {
		{ .fd = r->ops->wait_fd(r->ch), .events = POLLIN },
		{ .fd = r->st->event_fd, .events = POLLIN },
	};
	bool flushed = r->ops->flush(r->ch);
	uint64_t junk;

	r->ops->poll(r->ch);
	poll(p, 2, flushed ? ms : 0);
	if (read(r->st->event_fd, &junk, sizeof(junk)) > 0 && r->ops->tend)
		r->ops->tend(r->st, &keeper);
}

/* For ms milliseconds. */
static inline void turn(struct rig *r, unsigned ms)
{
	uint64_t deadline_ns = clock_now_ns() + ms * NS_PER_MS;

	while (clock_now_ns() < deadline_ns)
		round_of(r, 5);
}

struct tracked {
	struct storage_io io;
	struct iovec iov[3];
	unsigned nr_done;
};

static void count_done(struct storage_io *io)
{
	((struct tracked *)io)->nr_done++;
}

static inline void prepare(struct tracked *t, enum storage_op op,
			   uint64_t offset, void *buf, size_t size_bytes)
{
	memset(t, 0, sizeof(*t));
	t->io.op = op;
	t->io.offset_bytes = offset;
	t->io.size_bytes = size_bytes;
	t->io.iov = t->iov;
	t->io.nr_iov = op == STORAGE_READ || op == STORAGE_WRITE ? 1 : 0;
	t->iov[0].iov_base = buf;
	t->iov[0].iov_len = size_bytes;
	t->io.done = count_done;
}

static inline unsigned nr_done(const struct tracked *t, unsigned nr)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr; i++)
		n += t[i].nr_done;
	return n;
}

/* Until all of nr are done once. False: they were not in time. */
static inline bool wait_all(struct rig *r, const struct tracked *t, unsigned nr)
{
	uint64_t deadline_ns = clock_now_ns() + PEER_WAIT_NS;

	while (nr_done(t, nr) < nr && clock_now_ns() < deadline_ns)
		round_of(r, 20);
	return nr_done(t, nr) == nr;
}

static inline int one(struct rig *r, enum storage_op op, uint64_t offset,
		      void *buf, size_t size_bytes)
{
	struct tracked t;
	int err;

	prepare(&t, op, offset, buf, size_bytes);
	err = r->ops->submit(r->ch, &t.io);
	if (err)
		return err;
	if (t.nr_done)
		return -EINVAL; /* done from inside submit() */
	return wait_all(r, &t, 1) ? t.io.result : -ETIMEDOUT;
}

/* The process's until its end. */
static inline uint8_t *buffer(size_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static inline void fill(uint8_t *p, size_t size_bytes, unsigned seed)
{
	for (size_t i = 0; i < size_bytes; i++)
		p[i] = (uint8_t)(seed * 31 + i * 7 + i / 512);
}

static inline bool is_zero(const uint8_t *p, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		if (p[i])
			return false;
	return true;
}

static inline void peer_clean(void)
{
	if (peer_dir[0])
		UNIT_CHECK(peer_run("rm -rf %s", peer_dir));
}

#endif /* TESTS_UNIT_STORAGE_PEER_H */
