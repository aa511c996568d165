/* SPDX-License-Identifier: MIT */
/*
 * ctrl.c - the control ring's life; see ctrl.h. Neighbours: ctrl_serve.c (what
 * requests mean), record.c; port.c calls. Data thread but for open and close.
 */
#include "netback/ctrl.h"

#include <errno.h>
#include <stdlib.h>

struct ctrl_ring {
	struct work_source src;
	struct ctrl_subject subject;
	struct half half;
	struct grant_map map;
	struct evtchn *ev;
	bool broken;
};

static void ctrl_peer_fault(struct ctrl_ring *c, int err, const char *why)
{
	struct queue_common *common = c->subject.common;

	if (c->broken)
		return;
	c->broken = true;
	worker_remove(&c->src);
	common->fault(common->fault_arg, err, why);
}

static unsigned ctrl_poll(struct work_source *src, unsigned budget)
{
	struct ctrl_ring *c = container_of(src, struct ctrl_ring, src);
	unsigned done = 0;
	bool notify = false;
	int n = 0;

	while (done < budget && (n = ring_back_pending(&c->half.ring)) > 0) {
		uint32_t idx = c->half.ring.req_cons;
		struct xen_netif_ctrl_request req;
		struct xen_netif_ctrl_response rsp;

		ring_back_get(&c->half.ring, &req, sizeof(req));
		ctrl_serve(&c->subject, idx, &req, &rsp);
		half_stage(&c->half, &rsp, sizeof(rsp));
		notify |= half_commit(&c->half);
		ctrl_served(&c->subject);
		/* A page is read, and up to 512 others are mapped. */
		done += WORKER_BUDGET / 4;
	}
	if (notify)
		evtchn_notify(c->ev);
	if (n < 0)
		ctrl_peer_fault(c, n, "impossible control producer index");
	return done;
}

static bool ctrl_arm(struct work_source *src)
{
	struct ctrl_ring *c = container_of(src, struct ctrl_ring, src);

	return ring_back_arm(&c->half.ring) != 0;
}

static void ctrl_event(struct work_source *src)
{
	struct ctrl_ring *c = container_of(src, struct ctrl_ring, src);
	int n = evtchn_clear(c->ev);

	if (n < 0)
		ctrl_peer_fault(c, n, "the frontend's event channel is closed");
}

static const struct work_source_ops ctrl_source_ops = {
	.poll = ctrl_poll,
	.arm = ctrl_arm,
	.event = ctrl_event,
};

int ctrl_ring_open(const struct ctrl_subject *subject,
		   const struct queue_params *params, struct record_ring *rec,
		   bool resume, struct ctrl_ring **ret)
{
	struct platform *p = subject->common->platform;
	domid_t domid = subject->common->domid;
	struct ctrl_ring *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->subject = *subject;
	c->src.ops = &ctrl_source_ops;
	err = platform_map(p, domid, &params->ctrl_ref, 1, true, &c->map);
	if (!err)
		err = platform_evtchn_bind(p, domid, params->ctrl_port, &c->ev);
	if (!err)
		err = half_init(&c->half, rec, c->map.base,
				sizeof(struct xen_netif_ctrl_request), resume);
	if (err) {
		ctrl_ring_close(c, resume);
		return err;
	}
	c->src.fd = evtchn_fd(c->ev);
	c->src.extra_fd = -1;
	*ret = c;
	return 0;
}

void ctrl_ring_close(struct ctrl_ring *c, bool keep)
{
	if (!c)
		return;
	if (c->ev && keep)
		evtchn_abandon(c->ev);
	else
		evtchn_close(c->ev);
	if (c->map.nr_pages)
		platform_unmap(c->subject.common->platform, &c->map);
	free(c);
}

int ctrl_ring_start(struct ctrl_ring *c, struct worker *worker)
{
	int err = worker_add(worker, &c->src);

	/* A predecessor may have died between an answer and its event. */
	if (!err)
		evtchn_notify(c->ev);
	return err;
}

void ctrl_ring_stop(struct ctrl_ring *c)
{
	worker_remove(&c->src);
}
