/* SPDX-License-Identifier: MIT */
/*
 * peer.h - real servers for tests: starts, pauses and kills them; files for
 * them. Servers die with the test.
 */
#ifndef TESTS_UNIT_PEER_H
#define TESTS_UNIT_PEER_H

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/fdmsg.h"

#define PEER_PATH_MAX 96
#define PEER_WAIT_NS  (20 * NS_PER_S)

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

static inline void peer_clean(void)
{
	if (peer_dir[0])
		UNIT_CHECK(peer_run("rm -rf %s", peer_dir));
}

#endif /* TESTS_UNIT_PEER_H */
