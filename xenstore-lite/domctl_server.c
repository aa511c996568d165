/* SPDX-License-Identifier: MIT */
/* domctl_server.c - the broker's orders, carried out. See domctl_server.h. */
#include "xenstore-lite/domctl_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/fdmsg.h"
#include "util/log.h"
#include "xenstore-lite/domain.h"
#include "xenstore-lite/domctl.h"

_Static_assert(DOMCTL_DOMAIN0_LIFE == XSD_DOMAIN0_LIFE, "one domain 0");

/* Messages of one round of the loop. */
#define BATCH 16

struct domctl_server {
	struct server *server;
	int sock;
	struct loop_fd *src;
	struct loop_prepare *flush;
	void (*over)(void *arg, int err);
	void *arg;
	bool ended; /* DOMCTL_END is among the answers */
	unsigned nr_answers;
	struct domctl_msg answers[BATCH];
};

bool domctl_server_is_ours(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       domain == AF_UNIX && type == SOCK_SEQPACKET;
}

static void finish(struct domctl_server *ds, int err)
{
	loop_fd_remove(ds->src);
	ds->src = NULL;
	ds->over(ds->arg, err);
}

static int create(struct domctl_server *ds, const struct domctl_msg *msg,
		  int *fd)
{
	int err = server_add_domain(ds->server, (domid_t)msg->domid, msg->life,
				    msg->name, msg->uid, *fd);

	if (!err)
		*fd = -1;
	return err;
}

static int set_broker(struct domctl_server *ds, int *fd)
{
	int err = server_set_broker(ds->server, *fd);

	if (!err)
		*fd = -1;
	return err;
}

static bool brings_fd(const struct domctl_msg *msg)
{
	return msg->op == DOMCTL_CREATE || msg->op == DOMCTL_BROKER;
}

static bool is_valid(const struct domctl_msg *msg, int fd)
{
	return msg->version == DOMCTL_VERSION && !msg->reserved &&
	       !msg->status && msg->op >= DOMCTL_CREATE &&
	       msg->op < DOMCTL_NR_OPS && msg->domid < DOMID_FIRST_RESERVED &&
	       memchr(msg->name, '\0', sizeof(msg->name)) &&
	       (fd >= 0) == brings_fd(msg);
}

/* fd: what came along, or -1; set to -1 when it was taken over. */
static int carry_out(struct domctl_server *ds, const struct domctl_msg *msg,
		     int *fd)
{
	switch ((enum domctl_op)msg->op) {
	case DOMCTL_CREATE: return create(ds, msg, fd);
	case DOMCTL_DESTROY:
		return server_remove_domain(ds->server, (domid_t)msg->domid,
					    msg->life);
	case DOMCTL_SYNCED: server_remove_unserved(ds->server); return 0;
	case DOMCTL_END:
		server_remove_all(ds->server);
		ds->ended = true;
		return 0;
	case DOMCTL_BROKER: return set_broker(ds, fd);
	case DOMCTL_NR_OPS: break;
	}
	return -EINVAL;
}

/* 1: one message is done; 0: there is none; -errno: it is over. */
static int serve_one(struct domctl_server *ds)
{
	struct domctl_msg *msg = &ds->answers[ds->nr_answers];
	unsigned nr_fds = 1;
	int fd = -1;
	ssize_t n = fdmsg_recv(ds->sock, msg, sizeof(*msg), &fd, &nr_fds,
			       MSG_DONTWAIT);

	if (n == -EAGAIN)
		return 0;
	if (n == 0 || n == -ECONNRESET) {
		log_info("the broker is gone: ending");
		return -ECONNRESET;
	}
	if (n < 0 || !nr_fds)
		fd = -1;
	if (n != sizeof(*msg) || !is_valid(msg, fd)) {
		log_error("the broker does not keep to the protocol: ending");
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	msg->status = carry_out(ds, msg, &fd);
	if (fd >= 0)
		close(fd);
	ds->nr_answers++;
	if (msg->op == DOMCTL_CREATE && msg->domid == 0 && msg->status) {
		log_error("cannot serve domain 0: %s", strerror(-msg->status));
		return msg->status;
	}
	return 1;
}

static void broker_speaks(void *arg, uint32_t events)
{
	struct domctl_server *ds = arg;
	int err = 1;

	(void)events;
	while (err > 0 && ds->nr_answers < BATCH && !ds->ended)
		err = serve_one(ds);
	if (err < 0)
		finish(ds, err);
}

static bool send_answers(void *arg)
{
	struct domctl_server *ds = arg;
	int err = 0;

	for (unsigned i = 0; ds->src && !err && i < ds->nr_answers; i++)
		err = fdmsg_send(ds->sock, &ds->answers[i],
				 sizeof(ds->answers[i]), NULL, 0, MSG_DONTWAIT);
	ds->nr_answers = 0;
	if (!ds->src)
		return false;
	if (err == -EAGAIN)
		log_error("the broker does not read its answers: ending");
	/* Otherwise it is gone, which is seen when we read. */
	if (err == -EAGAIN || ds->ended)
		finish(ds, ds->ended ? 0 : -EPROTO);
	return false;
}

int domctl_server_open(struct loop *loop, struct server *server, int sock,
		       void (*over)(void *arg, int err), void *arg,
		       struct domctl_server **ret)
{
	struct domctl_server *ds = calloc(1, sizeof(*ds));
	int err;

	if (!ds)
		return -ENOMEM;
	ds->server = server;
	ds->sock = sock;
	ds->over = over;
	ds->arg = arg;
	err = loop_prepare_add(loop, send_answers, ds, &ds->flush);
	if (err)
		goto fail;
	err = loop_fd_add(loop, sock, EPOLLIN, broker_speaks, ds, &ds->src);
	if (err)
		goto fail_prepare;
	*ret = ds;
	return 0;

fail_prepare:
	loop_prepare_remove(ds->flush);
fail:
	free(ds);
	return err;
}

void domctl_server_close(struct domctl_server *ds)
{
	if (!ds)
		return;
	loop_fd_remove(ds->src);
	loop_prepare_remove(ds->flush);
	free(ds);
}
