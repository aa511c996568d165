/* SPDX-License-Identifier: MIT */
/*
 * ctrl.c - the control ring of netfront; see ctrl.h. Neighbours: features.c
 * (its nodes); connect.c and owner.c call.
 */
#include "netfront/ctrl.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "netfront/private.h"

#define NR_PAGES (TX_PAGES + RX_PAGES)

_Static_assert(NR_PAGES * sizeof(struct xen_netif_gref) <= PV_PAGE_SIZE,
	       "a queue's pages fit one list");

/* ---- its life ----------------------------------------------------------- */

int net_ctrl_open(struct netfront *nf)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct ctrl_front *c = &nf->ctrl;
	int err;

	if (!nf->transport.ctrl_ring)
		return 0;
	err = platform_share(nf->platform, nf->dev.otherend_id, 2, 0,
			     &c->pages);
	if (!err)
		err = platform_evtchn_alloc(nf->platform, nf->dev.otherend_id,
					    &c->ev);
	if (err)
		return err;
	if (epoll_ctl(nf->epoll_fd, EPOLL_CTL_ADD, evtchn_fd(c->ev), &ev))
		return -errno;
	return 0;
}

void net_ctrl_attach(struct netfront *nf)
{
	struct ctrl_front *c = &nf->ctrl;

	if (!c->ev)
		return;
	ring_front_init(&c->ring, (void PV_SHARED *)c->pages.base, PV_PAGE_SIZE,
			sizeof(struct xen_netif_ctrl_request));
	c->attached = true;
	c->step = CTRL_PAGES_MAX;
	c->queue = 0;
	c->asked = false;
	c->hash_changed = c->has_hash;
}

void net_ctrl_release(struct netfront *nf)
{
	struct ctrl_front *c = &nf->ctrl;

	if (c->ev)
		epoll_ctl(nf->epoll_fd, EPOLL_CTL_DEL, evtchn_fd(c->ev), NULL);
	evtchn_close(c->ev);
	c->ev = NULL;
	c->attached = false;
	/* -EBUSY: as of any ring, see rings.c. */
	if (c->pages.base)
		(void)platform_unshare(nf->platform, &c->pages);
}

/* ---- what is asked ------------------------------------------------------ */

static void list_pages(const struct netfront_queue *q,
		       struct xen_netif_gref *list)
{
	for (uint32_t i = 0; i < TX_PAGES; i++)
		list[i] = (struct xen_netif_gref){
			.ref = q->send_pages.first_ref + i,
			.flags = XEN_NETIF_CTRLF_GREF_readonly,
		};
	for (uint32_t i = 0; i < RX_PAGES; i++)
		list[TX_PAGES + i] = (struct xen_netif_gref){
			.ref = q->recv_pages.first_ref + i,
		};
}

/* Queues that are not in use may be named by it: others take their part. */
static void list_mapping(const struct netfront *nf, uint32_t *list)
{
	const struct netfront_hash *hash = &nf->ctrl.hash;

	for (uint32_t i = 0; i < hash->nr_mapping; i++)
		list[i] = hash->mapping[i] % nf->transport.nr_rings;
}

/* The request of the step; what it names is written into the other page. */
static struct xen_netif_ctrl_request request_of(struct netfront *nf)
{
	struct ctrl_front *c = &nf->ctrl;
	void *page = (char *)c->pages.base + PV_PAGE_SIZE;
	grant_ref_t ref = c->pages.first_ref + 1;

#define REQUEST(what, ...)                                                     \
	(struct xen_netif_ctrl_request)                                        \
	{                                                                      \
		.type = XEN_NETIF_CTRL_TYPE_##what, .data = { __VA_ARGS__ }    \
	}
	switch (c->step) {
	case CTRL_IDLE: break;
	case CTRL_PAGES_MAX: return REQUEST(GET_GREF_MAPPING_SIZE, c->queue);
	case CTRL_PAGES_ADD:
		list_pages(&nf->queues[c->queue], page);
		return REQUEST(ADD_GREF_MAPPING, c->queue, ref, NR_PAGES);
	case CTRL_HASH_ALGORITHM:
		return REQUEST(SET_HASH_ALGORITHM,
			       c->hash.types
				       ? XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ
				       : XEN_NETIF_CTRL_HASH_ALGORITHM_NONE);
	case CTRL_HASH_KEY:
		memcpy(page, c->hash.key, c->hash.key_bytes);
		return REQUEST(SET_HASH_KEY, ref, c->hash.key_bytes);
	case CTRL_HASH_SIZE:
		return REQUEST(SET_HASH_MAPPING_SIZE, c->hash.nr_mapping);
	case CTRL_HASH_MAPPING:
		list_mapping(nf, page);
		return REQUEST(SET_HASH_MAPPING, ref, c->hash.nr_mapping);
	case CTRL_HASH_TYPES: return REQUEST(SET_HASH_FLAGS, c->hash.types);
	case CTRL_HASH_OFF:
		return REQUEST(SET_HASH_ALGORITHM,
			       XEN_NETIF_CTRL_HASH_ALGORITHM_NONE);
	}
#undef REQUEST
	return (struct xen_netif_ctrl_request){ 0 };
}

static void ask(struct netfront *nf)
{
	struct ctrl_front *c = &nf->ctrl;
	uint16_t id = (uint16_t)(c->req.id + 1);

	if (c->step == CTRL_HASH_ALGORITHM) {
		c->hash_changed = false;
		/* From now on such extras may come, and for a while after the
		 * last one was asked for. */
		if (c->hash.types)
			net_rings_expect(nf, XEN_NETIF_EXTRA_TYPE_HASH);
	}
	c->req = request_of(nf);
	c->req.id = id;
	c->asked = true;
	ring_front_put(&c->ring, &c->req, sizeof(c->req));
	if (ring_front_push(&c->ring))
		evtchn_notify(c->ev);
}

/* ---- answers ------------------------------------------------------------ */

/* After what was asked of a queue's pages comes the next queue. */
static enum ctrl_step pages_answered(struct netfront *nf, bool ok,
				     uint32_t data)
{
	struct ctrl_front *c = &nf->ctrl;

	if (c->step == CTRL_PAGES_MAX && ok && data >= NR_PAGES)
		return CTRL_PAGES_ADD;
	return ++c->queue < nf->transport.nr_rings ? CTRL_PAGES_MAX : CTRL_IDLE;
}

static enum ctrl_step hash_answered(struct netfront *nf, bool ok)
{
	const struct ctrl_front *c = &nf->ctrl;

	if (c->step == CTRL_HASH_OFF || (ok && !c->hash.types)) {
		net_connect_set_hash_types(nf, 0);
		return CTRL_IDLE;
	}
	if (!ok) {
		log_limited(&nf->limit, LOG_WARN,
			    "%s: the backend refuses the hash", nf->dev.name);
		return CTRL_HASH_OFF;
	}
	if (c->step == CTRL_HASH_TYPES) {
		net_connect_set_hash_types(nf, c->hash.types);
		return CTRL_IDLE;
	}
	if (c->step == CTRL_HASH_SIZE && !c->hash.nr_mapping)
		return CTRL_HASH_TYPES;
	return c->step + 1;
}

static void answered(struct netfront *nf, uint32_t status, uint32_t data)
{
	bool ok = status == XEN_NETIF_CTRL_STATUS_SUCCESS;
	struct ctrl_front *c = &nf->ctrl;

	c->asked = false;
	if (c->step < CTRL_HASH_ALGORITHM)
		c->step = pages_answered(nf, ok, data);
	else if (c->hash_changed)
		c->step = CTRL_IDLE; /* of what is not wanted any more */
	else
		c->step = hash_answered(nf, ok);
}

const char *net_ctrl_serve(struct netfront *nf)
{
	struct ctrl_front *c = &nf->ctrl;
	struct xen_netif_ctrl_response rsp;
	int n;

	if (!c->attached)
		return NULL;
	while ((n = ring_front_pending(&c->ring)) > 0) {
		ring_front_get(&c->ring, &rsp, sizeof(rsp));
		if (rsp.id != c->req.id || rsp.type != c->req.type)
			n = -EPROTO;
		if (n < 0)
			break;
		answered(nf, rsp.status, rsp.data);
	}
	if (n < 0) {
		c->attached = false;
		return "a control response that answers nothing";
	}
	if (!c->asked && c->step == CTRL_IDLE && c->hash_changed)
		c->step = CTRL_HASH_ALGORITHM;
	if (!c->asked && c->step != CTRL_IDLE)
		ask(nf);
	return NULL;
}

bool net_ctrl_clear_channel(struct netfront *nf)
{
	return nf->ctrl.ev && evtchn_clear(nf->ctrl.ev) < 0;
}

bool net_ctrl_arm(struct netfront *nf)
{
	struct ctrl_front *c = &nf->ctrl;

	if (!c->attached)
		return false;
	if (!c->asked)
		return c->step != CTRL_IDLE || c->hash_changed;
	return ring_front_arm(&c->ring) != 0;
}

int netfront_set_hash(struct netfront *nf, const struct netfront_hash *hash)
{
	if (hash->types & ~NETFRONT_HASH_ALL ||
	    hash->key_bytes > NETFRONT_HASH_KEY_MAX ||
	    hash->nr_mapping > NETFRONT_HASH_MAPPING_MAX)
		return -EINVAL;
	nf->ctrl.hash = *hash;
	nf->ctrl.has_hash = nf->ctrl.hash_changed = true;
	nf->queues[0].armed = true;
	return 0;
}
