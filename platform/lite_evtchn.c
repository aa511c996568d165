/* SPDX-License-Identifier: MIT */
/*
 * lite_evtchn.c - event channels as socket pairs that the broker makes.
 *
 * Pending is a byte in the socket. Every call is MSG_DONTWAIT, so neither a
 * peer that fills the channel nor one that plays with its own end's flags can
 * make us wait. Descriptors are never received. Each end is its own open file,
 * so the peer has no hand on ours. Thread: the channel's owner.
 */
#include "platform/lite.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct lite_evtchn {
	struct evtchn ev;
	struct lite *lite;
	uint64_t id; /* which holder of this port number we are */
};

static int channel_open(struct platform *p, struct lite_request *req,
			struct evtchn **ret)
{
	struct lite_evtchn *ch = calloc(1, sizeof(*ch));
	struct lite_reply rep;
	int err;

	if (!ch)
		return -ENOMEM;
	err = lite_call(lite_of(p), req, &rep, &ch->ev.fd);
	if (err) {
		free(ch);
		return err;
	}
	ch->ev.ops = p->ops;
	ch->ev.port = rep.number;
	ch->lite = lite_of(p);
	ch->id = rep.id;
	*ret = &ch->ev;
	return 0;
}

int lite_evtchn_alloc(struct platform *p, domid_t remote, struct evtchn **ret)
{
	struct lite_request req = { .op = LITE_EVTCHN_ALLOC, .domid = remote };

	return channel_open(p, &req, ret);
}

int lite_evtchn_bind(struct platform *p, domid_t remote,
		     evtchn_port_t remote_port, struct evtchn **ret)
{
	struct lite_request req = { .op = LITE_EVTCHN_BIND,
				    .domid = remote,
				    .number = remote_port };

	return channel_open(p, &req, ret);
}

void lite_evtchn_notify(struct evtchn *ev)
{
	static const char pending = 1;

	/* Full: pending already. Broken: evtchn_clear will say so. */
	while (send(ev->fd, &pending, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	       errno == EINTR)
		continue;
}

int lite_evtchn_clear(struct evtchn *ev)
{
	char bytes[1024];
	ssize_t n;

	do
		n = recv(ev->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return 1;
	if (n < 0 && errno == EAGAIN)
		return 0;
	return -EPIPE;
}

void lite_evtchn_close(struct evtchn *ev, bool keep)
{
	struct lite_evtchn *ch = container_of(ev, struct lite_evtchn, ev);

	if (!keep) {
		struct lite_request req = { .op = LITE_EVTCHN_CLOSE,
					    .id = ch->id,
					    .number = ev->port };
		struct lite_reply rep;

		/* When the broker is gone, so is the port. */
		if (lite_call(ch->lite, &req, &rep, NULL) < 0)
			shutdown(ev->fd, SHUT_RDWR);
	}
	close(ev->fd);
	free(ch);
}
