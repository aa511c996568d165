/* SPDX-License-Identifier: MIT */
/* fdmsg.c - descriptors over Unix sockets. See fdmsg.h. */
#include "util/fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Room for one descriptor more than allowed, so that excess is seen. Padding
 * makes it a little more: the kernel fills that too.
 */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * (FDMSG_FDS_MAX + 1))];
};
#define CONTROL_FDS (sizeof(union control) / sizeof(int))

int fdmsg_send(int sock, const void *buf, size_t size_bytes, const int *fds,
	       unsigned nr_fds, int flags)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf,
			     .iov_len = size_bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };
	ssize_t n;

	if (nr_fds > FDMSG_FDS_MAX)
		return -EINVAL;
	if (nr_fds) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nr_fds);
	}
	do
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * Take the descriptors out of msg; close all when there are more than room, or
 * when there is no message around them.
 */
static int take_fds(struct msghdr *msg, bool empty, int *fds, unsigned room,
		    unsigned *nr)
{
	int got[CONTROL_FDS];
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(got + n, CMSG_DATA(c), count * sizeof(int));
		n += (unsigned)count;
	}
	if (n > room || (n && empty) ||
	    (msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (unsigned i = 0; i < n; i++)
			close(got[i]);
		return msg->msg_flags & MSG_TRUNC ? -EMSGSIZE : -EPROTO;
	}
	if (n)
		memcpy(fds, got, n * sizeof(int));
	*nr = n;
	return 0;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t size_bytes, int *fds,
		   unsigned *nr_fds, int flags)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size_bytes };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n;
	int err;

	do
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	err = take_fds(&msg, n == 0, fds, nr_fds ? *nr_fds : 0,
		       nr_fds ? nr_fds : &(unsigned){ 0 });
	return err ? err : n;
}

static int address(const char *path, struct sockaddr_un *sun)
{
	size_t len = strlen(path);

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (len >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	memcpy(sun->sun_path, path, len);
	return 0;
}

int unix_listen(const char *path, int type, uid_t uid)
{
	struct sockaddr_un sun;
	int err = address(path, &sun), fd;
	mode_t mask;

	if (err)
		return err;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
	umask(mask);
	if (err)
		goto fail;
	if (uid != (uid_t)-1 && uid != geteuid() &&
	    chown(path, uid, (gid_t)-1) < 0) {
		err = -errno;
		goto fail_unlink;
	}
	if (listen(fd, SOMAXCONN) < 0) {
		err = -errno;
		goto fail_unlink;
	}
	return fd;

fail_unlink:
	unlink(path);
fail:
	close(fd);
	return err;
}

static int connect_socket(const char *path, int type)
{
	struct sockaddr_un sun;
	int err = address(path, &sun), fd;

	if (err)
		return err;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Interrupted while the other end's backlog was full: not connected. */
	while ((err = connect(fd, (struct sockaddr *)&sun, sizeof(sun))) < 0 &&
	       errno == EINTR)
		;
	if (err < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int unix_connect(const char *path, int type)
{
	return connect_socket(path, type);
}

int unix_connect_now(const char *path, int type)
{
	int fd = connect_socket(path, type | SOCK_NONBLOCK);

	if (fd >= 0 && fcntl(fd, F_SETFL, 0) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}
