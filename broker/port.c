/* SPDX-License-Identifier: MIT */
/*
 * port.c - event channels: a table of ports per domain, a socket pair
 * per channel.
 *
 * The broker keeps both ends of a pair while the allocating port lives: a
 * worker that died finds its end again by binding once more. When a side ends
 * (port closed, connection closed, domain gone) the broker shuts the pair down
 * instead of trusting that every copy gets closed: the other side sees the end
 * of file at once. Thread: the daemon's loop.
 */
#include "broker/private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A pending byte is enough: keep what a socket can queue to the minimum. */
#define CHANNEL_BUFFER_BYTES 4096

/* Port number of a message -> its slot, or NULL. */
static struct port *port_get(struct domain *d, uint32_t number)
{
	if (!d || !d->ports || number >= BROKER_PORTS_MAX ||
	    !d->ports[number].conn)
		return NULL;
	return &d->ports[number];
}

static uint32_t number_of(const struct port *p)
{
	return (uint32_t)(p - p->conn->domain->ports);
}

/* A free slot, the longest unused first. 0: none. */
static uint32_t port_pick(struct domain *d)
{
	for (uint32_t i = 1; i < BROKER_PORTS_MAX; i++) {
		uint32_t n = d->next_port;

		d->next_port = n + 1 < BROKER_PORTS_MAX ? n + 1 : 1;
		if (!d->ports[n].conn)
			return n;
	}
	return 0;
}

static int port_open(struct conn *c, struct port **ret)
{
	struct domain *d = c->domain;
	struct port *p;
	uint32_t n;

	if (d->nr_ports >= broker_limits_of(d)->nr_ports)
		return -ENOSPC;
	if (!d->ports) {
		d->ports = calloc(BROKER_PORTS_MAX, sizeof(*d->ports));
		if (!d->ports)
			return -ENOMEM;
		d->next_port = 1;
	}
	n = port_pick(d);
	if (!n)
		return -ENOSPC;
	p = &d->ports[n];
	*p = (struct port){ .conn = c,
			    .id = d->broker->next_serial++,
			    .own_fd = -1,
			    .peer_fd = -1 };
	list_add_tail(&c->ports, &p->link);
	d->nr_ports++;
	*ret = p;
	return 0;
}

static void end_close(int *fd)
{
	if (*fd < 0)
		return;
	shutdown(*fd, SHUT_RDWR);
	close(*fd);
	*fd = -1;
}

/* The allocated port that p is bound to, while both are what they were. */
static struct port *other_of(const struct port *p)
{
	struct domain *d = broker_find(p->conn->domain->broker, p->remote);
	struct port *other = port_get(d, p->peer_port);

	return other && other->id == p->peer_id ? other : NULL;
}

void broker_port_free(struct port *p)
{
	struct domain *d = p->conn->domain;

	if (p->allocated) {
		end_close(&p->own_fd);
		end_close(&p->peer_fd);
		d->nr_allocated--;
	} else {
		struct port *other = other_of(p);

		if (other)
			end_close(&other->peer_fd);
	}
	list_del(&p->link);
	p->conn = NULL;
	d->nr_ports--;
}

static int channel_make(int fds[2])
{
	const int size = CHANNEL_BUFFER_BYTES;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       fds) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		lite_socket_refuse_fds(fds[i]);
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size,
				 sizeof(size));
	}
	return 0;
}

int broker_port_alloc(struct conn *c, const struct lite_request *req,
		      struct lite_reply *rep, int *ret_fd)
{
	struct domain *d = c->domain;
	struct domain *remote = broker_find(d->broker, req->domid);
	struct port *p;
	int fds[2], err;

	if (!remote)
		return -ENOENT;
	if (d->nr_allocated >= broker_limits_of(d)->nr_allocated)
		return -ENOSPC;
	err = channel_make(fds);
	if (err)
		return err;
	err = port_open(c, &p);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	p->allocated = true;
	p->remote = remote->domid;
	p->remote_serial = remote->serial;
	p->own_fd = fds[0];
	p->peer_fd = fds[1];
	d->nr_allocated++;
	rep->id = p->id;
	rep->number = number_of(p);
	*ret_fd = p->own_fd;
	return 0;
}

/* The port of c's domain that is bound to other already, or a new one. */
static int bound_port(struct conn *c, struct port *other, uint32_t number,
		      domid_t remote, struct port **ret)
{
	struct port *p = port_get(c->domain, other->peer_port);
	int err;

	if (p && p->id == other->peer_id) {
		/* The successor's connection owns it from now on. */
		list_del(&p->link);
		list_add_tail(&c->ports, &p->link);
		p->conn = c;
		*ret = p;
		return 0;
	}
	err = port_open(c, &p);
	if (err)
		return err;
	p->remote = remote;
	p->peer_port = number;
	p->peer_id = other->id;
	other->peer_port = number_of(p);
	other->peer_id = p->id;
	*ret = p;
	return 0;
}

int broker_port_bind(struct conn *c, const struct lite_request *req,
		     struct lite_reply *rep, int *ret_fd)
{
	struct domain *remote = broker_find(c->domain->broker, req->domid);
	struct port *other = port_get(remote, req->number), *p;
	int err;

	if (!other || !other->allocated)
		return -ENOENT;
	if (other->remote_serial != c->domain->serial)
		return -EACCES;
	if (other->peer_fd < 0)
		return -ENOENT;
	err = bound_port(c, other, req->number, remote->domid, &p);
	if (err)
		return err;
	rep->id = p->id;
	rep->number = number_of(p);
	*ret_fd = other->peer_fd;
	return 0;
}

int broker_port_close(struct conn *c, const struct lite_request *req,
		      struct lite_reply *rep, int *ret_fd)
{
	struct port *p = port_get(c->domain, req->number);

	(void)rep;
	(void)ret_fd;
	if (!p || p->id != req->id || p->conn != c)
		return -ENOENT;
	broker_port_free(p);
	return 0;
}
