/* SPDX-License-Identifier: MIT */
/*
 * sim_evtchn.c - event channels of the simulated world, with notifications that
 * travel: lost, doubled, late and out of order as configured. Thread: the
 * sim's.
 */
#include <errno.h>
#include <stdlib.h>

#include "platform/sim_private.h"

/* Notifications on their way to one end: one more tells it nothing new. */
#define TRAVELLING_MAX 4u

enum {
	OWNER,
	BINDER
}; /* the allocating end, the binding end */

struct sim_end {
	domid_t domid;
	evtchn_port_t port; /* 0: not bound yet */
	bool closed;
	bool pending;
	uint32_t nr_handles;
	uint32_t nr_travelling;
};

struct sim_channel {
	struct list link; /* in sim.channels */
	struct sim *sim;
	struct sim_end ends[2];
};

struct sim_evtchn {
	struct evtchn ev;
	struct sim_channel *channel;
	int side;
};

struct sim_signal {
	struct list link; /* in sim.travelling */
	struct sim_channel *channel;
	int side;
	uint64_t due_steps;
};

static struct sim_evtchn *evtchn_of(struct evtchn *ev)
{
	return container_of(ev, struct sim_evtchn, ev);
}

static void signal_free(struct sim *sim, struct sim_signal *s)
{
	s->channel->ends[s->side].nr_travelling--;
	sim->nr_travelling--;
	list_del(&s->link);
	free(s);
}

/* Gone once both ends are closed and no handle is left. */
static void channel_put(struct sim_channel *c)
{
	struct sim *sim = c->sim;

	for (int i = OWNER; i <= BINDER; i++)
		if (c->ends[i].nr_handles ||
		    (c->ends[i].port && !c->ends[i].closed))
			return;
	list_for_each_safe(link, tmp, &sim->travelling) {
		struct sim_signal *s =
			container_of(link, struct sim_signal, link);

		if (s->channel == c)
			signal_free(sim, s);
	}
	list_del(&c->link);
	sim->nr_channels--;
	free(c);
}

static int handle_open(struct platform *p, struct sim_channel *c, int side,
		       struct evtchn **ret)
{
	struct sim_evtchn *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->ev.ops = p->ops;
	h->ev.port = c->ends[side].port;
	h->ev.fd = -1;
	h->channel = c;
	h->side = side;
	c->ends[side].nr_handles++;
	*ret = &h->ev;
	return 0;
}

int sim_evtchn_alloc(struct platform *p, domid_t remote, struct evtchn **ret)
{
	struct sim_domain *d = sim_domain_of(p);
	struct sim_channel *c;
	int err;

	if (d->dead)
		return -ECONNRESET;
	if (!sim_find(d->sim, remote))
		return -ENOENT;
	if (sim_strikes(d->sim, d->sim->faults.bind_fail))
		return -EAGAIN;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->sim = d->sim;
	c->ends[OWNER].domid = p->domid;
	c->ends[OWNER].port = d->next_port;
	c->ends[BINDER].domid = remote;
	err = handle_open(p, c, OWNER, ret);
	if (err) {
		free(c);
		return err;
	}
	d->next_port++;
	list_add_tail(&d->sim->channels, &c->link);
	d->sim->nr_channels++;
	return 0;
}

static struct sim_channel *find_channel(struct sim *sim, domid_t domid,
					evtchn_port_t port)
{
	list_for_each(link, &sim->channels) {
		struct sim_channel *c =
			container_of(link, struct sim_channel, link);

		if (c->ends[OWNER].domid == domid &&
		    c->ends[OWNER].port == port && !c->ends[OWNER].closed)
			return c;
	}
	return NULL;
}

int sim_evtchn_bind(struct platform *p, domid_t remote,
		    evtchn_port_t remote_port, struct evtchn **ret)
{
	struct sim_domain *d = sim_domain_of(p);
	struct sim_channel *c;

	if (d->dead)
		return -ECONNRESET;
	c = find_channel(d->sim, remote, remote_port);
	if (!c)
		return -ENOENT;
	if (c->ends[BINDER].domid != p->domid)
		return -EACCES;
	if (c->ends[BINDER].closed)
		return -ENOENT;
	if (sim_strikes(d->sim, d->sim->faults.bind_fail))
		return -EAGAIN;
	if (!c->ends[BINDER].port)
		c->ends[BINDER].port = d->next_port++;
	return handle_open(p, c, BINDER, ret);
}

static void travel(struct sim_channel *c, int side)
{
	struct sim *sim = c->sim;
	uint32_t max = sim->faults.delay_max_steps;
	struct sim_signal *s;

	if (!max) {
		c->ends[side].pending = true;
		return;
	}
	if (c->ends[side].nr_travelling >= TRAVELLING_MAX)
		return;
	s = calloc(1, sizeof(*s));
	if (!s) {
		c->ends[side].pending = true;
		return;
	}
	s->channel = c;
	s->side = side;
	s->due_steps = sim->now_steps + 1 + sim_random(sim) % (max + 1ull);
	c->ends[side].nr_travelling++;
	sim->nr_travelling++;
	list_add_tail(&sim->travelling, &s->link);
}

void sim_evtchn_notify(struct evtchn *ev)
{
	struct sim_evtchn *h = evtchn_of(ev);
	struct sim *sim = h->channel->sim;

	if (h->channel->ends[h->side].closed ||
	    h->channel->ends[!h->side].closed ||
	    sim_strikes(sim, sim->faults.notify_drop))
		return;
	travel(h->channel, !h->side);
	if (sim_strikes(sim, sim->faults.notify_duplicate))
		travel(h->channel, !h->side);
}

int sim_evtchn_clear(struct evtchn *ev)
{
	struct sim_evtchn *h = evtchn_of(ev);
	struct sim_end *end = &h->channel->ends[h->side];

	if (end->pending) {
		end->pending = false;
		return 1;
	}
	return end->closed || h->channel->ends[!h->side].closed ? -EPIPE : 0;
}

void sim_evtchn_close(struct evtchn *ev, bool keep)
{
	struct sim_evtchn *h = evtchn_of(ev);
	struct sim_end *end = &h->channel->ends[h->side];

	end->nr_handles--;
	if (!keep)
		end->closed = true;
	channel_put(h->channel);
	free(h);
}

void sim_evtchns_end(struct sim_domain *d)
{
	list_for_each_safe(link, tmp, &d->sim->channels) {
		struct sim_channel *c =
			container_of(link, struct sim_channel, link);

		for (int i = OWNER; i <= BINDER; i++)
			if (c->ends[i].domid == d->platform.domid)
				c->ends[i].closed = true;
		channel_put(c);
	}
}

uint32_t sim_step(struct sim *sim)
{
	uint32_t nr = 0;

	sim->now_steps++;
	list_for_each_safe(link, tmp, &sim->travelling) {
		struct sim_signal *s =
			container_of(link, struct sim_signal, link);

		if (s->due_steps > sim->now_steps)
			continue;
		s->channel->ends[s->side].pending = true;
		signal_free(sim, s);
		nr++;
	}
	return nr;
}

uint32_t sim_settle(struct sim *sim)
{
	uint32_t nr = 0;

	while (sim->nr_travelling)
		nr += sim_step(sim);
	return nr;
}

uint32_t sim_nr_travelling(const struct sim *sim)
{
	return sim->nr_travelling;
}
