/* SPDX-License-Identifier: MIT */
/*
 * demo_http.c - an HTTP server of one file in a network of its own, joined to
 * a bridge by a veth pair. See demo.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pvsplit/demo.h"
#include "pvsplit/link.h"

#define REQUEST_MAX 4096

/* Read until the empty line that ends a request. */
static bool read_request(int fd)
{
	char buf[REQUEST_MAX + 1];
	size_t len = 0;

	while (len < REQUEST_MAX) {
		ssize_t n = read(fd, buf + len, REQUEST_MAX - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		if (strstr(buf, "\r\n\r\n"))
			return !strncmp(buf, "GET ", 4);
	}
	return false;
}

static void answer(int fd, int file)
{
	struct stat st;
	off_t off = 0;

	if (!read_request(fd) || fstat(file, &st) < 0)
		return;
	dprintf(fd,
		"HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n"
		"Content-Type: application/octet-stream\r\n"
		"Connection: close\r\n\r\n",
		(long long)st.st_size);
	while (off < st.st_size)
		if (sendfile(fd, file, &off, (size_t)(st.st_size - off)) <= 0)
			return;
}

static int listen_at(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    listen(fd, 8) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* The server process: sync tells when it may go on, and takes the outcome. */
static _Noreturn void serve(const char *file, const char *address,
			    uint16_t port, int sync)
{
	int err = unshare(CLONE_NEWNET) < 0 ? -errno : 0, disk, sock;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (write(sync, &err, sizeof(err)) != sizeof(err) || err ||
	    read(sync, &go, 1) != 1)
		_exit(1);
	disk = open(file, O_RDONLY | O_CLOEXEC);
	err = disk < 0 ? -errno : link_up("lo");
	if (!err)
		err = link_up("eth0");
	if (!err)
		err = link_add_address("eth0", address);
	sock = err ? err : listen_at(port);
	err = sock < 0 ? sock : 0;
	if (write(sync, &err, sizeof(err)) != sizeof(err) || err)
		_exit(1);
	for (;;) {
		int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		answer(fd, disk);
		close(fd);
	}
}

int demo_http_start(const char *file, const char *bridge, const char *address,
		    uint16_t port, pid_t *ret)
{
	int sync[2], err = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(sync[0]);
		serve(file, address, port, sync[1]);
	}
	close(sync[1]);
	if (pid < 0)
		err = -EAGAIN;
	else if (read(sync[0], &err, sizeof(err)) != sizeof(err))
		err = -EPIPE;
	if (!err)
		err = link_add_veth("pvweb", bridge, "eth0", pid);
	if (!err && write(sync[0], "g", 1) != 1)
		err = -errno;
	if (!err && read(sync[0], &err, sizeof(err)) != sizeof(err))
		err = -EPIPE;
	close(sync[0]);
	if (err && pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (!err)
		*ret = pid;
	return err;
}
