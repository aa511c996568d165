/* SPDX-License-Identifier: MIT */
/*
 * conn.c - connections to the broker: who may, and message by message.
 *
 * A refused request gets its error; a malformed message ends the connection it
 * came on and nothing else. No descriptor is ever received: there is no room
 * for one in the receive, so that the kernel drops what is sent.
 * Thread: the daemon's loop.
 */
#include "broker/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "util/fdmsg.h"
#include "util/num.h"

/* Messages taken from one connection before the others get their turn. */
#define BATCH 8

static int call_hello(struct conn *c, const struct lite_request *req,
		      struct lite_reply *rep, int *ret_fd)
{
	(void)req;
	(void)ret_fd;
	rep->domid = c->domain->domid;
	return 0;
}

static int call_domain_create(struct conn *c, const struct lite_request *req,
			      struct lite_reply *rep, int *ret_fd)
{
	struct domain *d;
	int err;

	(void)ret_fd;
	if (req->flags & ~LITE_DOMAIN_EPHEMERAL ||
	    !memchr(req->name, '\0', sizeof(req->name)))
		return -EINVAL;
	err = broker_domain_make(
		c->domain->broker, DOMID_ANY, req->name, req->uid,
		req->flags & LITE_DOMAIN_EPHEMERAL ? c : NULL, &d);
	if (err && err != -EINPROGRESS)
		return err;
	rep->domid = d->domid;
	c->awaited_life = d->serial;
	c->awaits_creation = true;
	return err;
}

static int call_domain_destroy(struct conn *c, const struct lite_request *req,
			       struct lite_reply *rep, int *ret_fd)
{
	struct domain *d;

	(void)rep;
	(void)ret_fd;
	if (req->domid == 0 || req->domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	d = broker_find(c->domain->broker, req->domid);
	if (!d)
		return -ENOENT;
	c->awaited_life = d->serial;
	c->awaits_creation = false;
	return broker_domain_free(d);
}

static const struct {
	broker_call_fn *fn;
	bool domain0_only;
} calls[LITE_NR_OPS] = {
	[LITE_HELLO] = { .fn = call_hello },
	[LITE_REGION_ADD] = { .fn = broker_region_add },
	[LITE_REGION_REMOVE] = { .fn = broker_region_remove },
	[LITE_REGION_FIND] = { .fn = broker_region_find },
	[LITE_EVTCHN_ALLOC] = { .fn = broker_port_alloc },
	[LITE_EVTCHN_BIND] = { .fn = broker_port_bind },
	[LITE_EVTCHN_CLOSE] = { .fn = broker_port_close },
	[LITE_DOMAIN_CREATE] = { .fn = call_domain_create,
				 .domain0_only = true },
	[LITE_DOMAIN_DESTROY] = { .fn = call_domain_destroy,
				  .domain0_only = true },
};

static void conn_wait(struct conn *c, const struct lite_reply *rep)
{
	c->answer = *rep;
	list_add_tail(&c->domain->broker->waiting, &c->waiting);
	loop_fd_set_events(c->src, 0);
}

static bool conn_waits(const struct conn *c)
{
	return !list_empty(&c->waiting);
}

struct conn *broker_conn_awaiting(struct broker *b, uint64_t life,
				  bool creation)
{
	list_for_each(link, &b->waiting) {
		struct conn *c = container_of(link, struct conn, waiting);

		if (c->awaited_life == life && c->awaits_creation == creation)
			return c;
	}
	return NULL;
}

int broker_conn_answer(struct conn *c, int status)
{
	int err;

	list_del(&c->waiting);
	loop_fd_set_events(c->src, EPOLLIN);
	c->answer.status = status;
	if (status)
		c->answer.domid = 0;
	err = fdmsg_send(c->fd, &c->answer, sizeof(c->answer), NULL, 0,
			 MSG_DONTWAIT);
	/* The loop closes it: our caller is in the middle of something. */
	if (err)
		shutdown(c->fd, SHUT_RDWR);
	return err;
}

/* -EPROTO: not a request at all. */
static int conn_handle(struct conn *c, const struct lite_request *req)
{
	struct lite_reply rep = { .version = LITE_WIRE_VERSION,
				  .seq = req->seq };
	int fd = -1;

	if (req->version != LITE_WIRE_VERSION || req->reserved ||
	    req->op >= LITE_NR_OPS || !calls[req->op].fn)
		return -EPROTO;
	if (calls[req->op].domain0_only && c->domain->domid != 0)
		rep.status = -EACCES;
	else
		rep.status = calls[req->op].fn(c, req, &rep, &fd);
	if (rep.status == -EINPROGRESS) {
		conn_wait(c, &rep);
		return 0;
	}
	/* A client that does not read its replies does not need us. */
	return fdmsg_send(c->fd, &rep, sizeof(rep), &fd,
			  rep.status == 0 && fd >= 0, MSG_DONTWAIT);
}

/* 1: a message; 0: none waiting; -errno: the connection is over. */
static int conn_receive(struct conn *c, struct lite_request *req)
{
	struct iovec iov = { .iov_base = req, .iov_len = sizeof(*req) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0 && !msg.msg_flags)
		return -ECONNRESET;
	if (n != sizeof(*req) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EPROTO;
	return 1;
}

static void conn_ready(void *arg, uint32_t events)
{
	struct lite_request req;
	struct conn *c = arg;
	int err = 1;

	/* Nobody is there any more to be answered. */
	if (conn_waits(c))
		err = events & (EPOLLHUP | EPOLLERR) ? -ECONNRESET : 0;
	for (int i = 0; i < BATCH && err > 0 && !conn_waits(c); i++) {
		err = conn_receive(c, &req);
		if (err > 0 && conn_handle(c, &req) < 0)
			err = -EPROTO;
	}
	if (err >= 0)
		return;
	if (err == -EPROTO)
		log_limited(&c->domain->log_limit, LOG_WARN,
			    "domain %u: bad message, disconnected",
			    c->domain->domid);
	broker_conn_close(c);
}

/* A domain that it was not told of goes: nobody else knows it either. */
static void stop_waiting(struct conn *c)
{
	struct broker *b = c->domain->broker;

	if (!conn_waits(c))
		return;
	list_del(&c->waiting);
	if (c->awaits_creation)
		(void)broker_domain_free(b->by_id[c->answer.domid]);
}

void broker_conn_close(struct conn *c)
{
	struct domain *d = c->domain;

	loop_fd_remove(c->src);
	stop_waiting(c);
	while (!list_empty(&c->domains))
		(void)broker_domain_free(container_of(
			c->domains.next, struct domain, ephemeral));
	while (!list_empty(&c->ports))
		broker_port_free(
			container_of(c->ports.next, struct port, link));
	while (!list_empty(&c->regions))
		broker_region_free(
			container_of(c->regions.next, struct region, link));
	broker_holder_free_all(c);
	list_del(&c->link);
	d->nr_conns--;
	close(c->fd);
	free(c);
}

/* The socket's file says who may connect; the kernel says who did. */
static bool peer_allowed(const struct domain *d, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	return cred.uid == 0 || cred.uid == d->uid;
}

static int conn_open(struct domain *d, int fd)
{
	struct conn *c;
	int err;

	if (!peer_allowed(d, fd))
		return -EACCES;
	if (d->nr_conns >= broker_limits_of(d)->nr_conns)
		return -EDQUOT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	lite_socket_refuse_fds(fd);
	c->fd = fd;
	c->domain = d;
	list_init(&c->regions);
	list_init(&c->ports);
	list_init(&c->holders);
	list_init(&c->domains);
	list_init(&c->waiting);
	err = loop_fd_add(d->broker->loop, fd, EPOLLIN, conn_ready, c, &c->src);
	if (err) {
		free(c);
		return err;
	}
	list_add_tail(&d->conns, &c->link);
	d->nr_conns++;
	return 0;
}

int broker_connect(struct broker *broker)
{
	struct domain *d = broker_find(broker, 0);
	int fds[2], err;

	if (!d)
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0, fds) < 0)
		return -errno;
	err = conn_open(d, fds[0]);
	if (!err)
		return fds[1];
	close(fds[0]);
	close(fds[1]);
	return err;
}

/* Turn the caller away instead of leaving it in the backlog for ever. */
static void refuse_without_descriptors(struct broker *b, int listen_fd)
{
	int fd;

	if (b->spare_fd < 0)
		return;
	close(b->spare_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	b->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void broker_conn_accept(void *arg, uint32_t events)
{
	struct domain *d = arg;
	int fd, err;

	(void)events;
	fd = accept4(d->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			refuse_without_descriptors(d->broker, d->listen_fd);
		return;
	}
	err = conn_open(d, fd);
	if (!err)
		return;
	close(fd);
	log_limited(&d->log_limit, LOG_WARN,
		    "domain %u: connection refused: %s", d->domid,
		    strerror(-err));
}
