/* SPDX-License-Identifier: MIT */
/* xs_socket.c - the client's transport over a stream socket. */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t result(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static ssize_t socket_send(struct xs_link *link, const struct iovec *iov,
			   unsigned nr)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov,
			      .msg_iovlen = nr };
	ssize_t n;

	do
		n = sendmsg(link->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return result(n);
}

static ssize_t socket_recv(struct xs_link *link, void *buf, size_t size)
{
	ssize_t n;

	do
		n = recv(link->fd, buf, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return result(n);
}

static void socket_close(struct xs_link *link)
{
	close(link->fd);
	free(link);
}

int xs_socket_link(int fd, struct xs_link **ret)
{
	static const struct xs_link_ops ops = { .send = socket_send,
						.recv = socket_recv,
						.close = socket_close };
	struct xs_link *link = malloc(sizeof(*link));

	if (!link)
		return -ENOMEM;
	*link = (struct xs_link){ .ops = &ops,
				  .fd = fd,
				  .room_events = EPOLLOUT };
	*ret = link;
	return 0;
}
