/* SPDX-License-Identifier: MIT */
/*
 * net_guest.h - two guests on one switch, on the lite platform, whose rings the
 * tests write by hand: for tests of netback's port.c and below. A guest has up
 * to GUEST_QUEUES_MAX queues; what names none means the first.
 */
#ifndef TESTS_HOSTILE_NET_GUEST_H
#define TESTS_HOSTILE_NET_GUEST_H

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "abi/netif.h"
#include "netback/port.h"
#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"

#define GUEST_QUEUES_MAX 4u
#define TX_PAGES	 32u
#define RX_PAGES	 64u

struct guest_queue {
	struct share rings;
	struct ring_front tx, rx;
	struct evtchn *tx_ev, *rx_ev; /* the same: one channel for both */
	uint16_t next_buffer;
};

struct guest {
	struct platform *platform;
	domid_t domid;
	uint8_t mac[6];
	struct share send, recv; /* recv: RX_PAGES for each queue */
	struct guest_queue q[GUEST_QUEUES_MAX];
	uint32_t nr_queues;
	/* With a control ring; ctrl_page: what its requests name. */
	struct share ctrl_pages;
	struct ring_front ctrl;
	struct evtchn *ctrl_ev;
	void *ctrl_page;
	grant_ref_t ctrl_page_ref;
	/* the backend's side */
	struct queue_record *records[GUEST_QUEUES_MAX];
	struct vif_port *port;
	struct queue_wishes wishes;
	atomic_int fault;
	atomic_int nr_faults;
};

struct guest_config {
	uint32_t features;
	uint32_t nr_queues; /* 0: one */
	bool one_channel;   /* for both rings of a queue */
	bool ctrl;	    /* a control ring */
};

static struct world world;
static domid_t back_id;
static struct platform *back;
static struct worker *worker;
static struct vswitch *sw;
static struct guest a, b;

static inline void on_fault(void *arg, int err, const char *why)
{
	struct guest *g = arg;

	(void)why;
	atomic_store(&g->fault, err);
	atomic_fetch_add(&g->nr_faults, 1);
}

static inline int start_port(void *arg)
{
	struct guest *g = arg;

	return vif_port_start(g->port, worker, sw);
}

static inline int stop_port(void *arg)
{
	struct guest *g = arg;

	vif_port_stop(g->port);
	return 0;
}

static inline int port_make(struct guest *g, bool resume)
{
	struct vif_port_config config = {
		.platform = back,
		.domid = g->domid,
		.records = g->records,
		.nr_queues = g->nr_queues,
		.resume = resume,
		.wishes = g->wishes,
		.fault = on_fault,
		.fault_arg = g,
	};
	uint32_t queue;
	int err;

	memcpy(config.mac, g->mac, 6);
	err = vif_port_open(&config, &g->port, &queue);
	return err ? err : worker_call(worker, start_port, g);
}

static inline int set_wishes(void *arg)
{
	struct guest *g = arg;

	vif_port_set_wishes(g->port, &g->wishes);
	return 0;
}

static inline void port_wish(struct guest *g, bool mcast,
			     uint32_t headroom_bytes)
{
	g->wishes = (struct queue_wishes){ mcast, headroom_bytes };
	worker_call(worker, set_wishes, g);
}

static inline void port_end(struct guest *g, bool keep)
{
	worker_call(worker, stop_port, g);
	vif_port_close(g->port, keep);
	g->port = NULL;
}

/* Stops the port: the figures are whole. */
static inline struct traffic port_traffic(struct guest *g, uint32_t queue)
{
	struct traffic t = { 0 };

	worker_call(worker, stop_port, g);
	vif_port_traffic(g->port, queue, &t);
	return t;
}

/* Nothing was ever asked. */
static inline void guest_rings_init(struct guest_queue *q)
{
	uint8_t *base = q->rings.base;

	memset(base, 0, (size_t)2 * PV_PAGE_SIZE);
	ring_front_init(&q->tx, (void PV_SHARED *)base, PV_PAGE_SIZE,
			sizeof(struct netif_tx_request));
	ring_front_init(&q->rx, (void PV_SHARED *)(base + PV_PAGE_SIZE),
			PV_PAGE_SIZE, sizeof(struct netif_rx_response));
}

/* Rings and channels of queue i. */
static inline void guest_queue_open(struct guest *g, uint32_t i,
				    const struct guest_config *config)
{
	struct guest_queue *q = &g->q[i];

	world_must(!platform_share(g->platform, back_id, 2, 0, &q->rings),
		   "share");
	world_must(!platform_evtchn_alloc(g->platform, back_id, &q->tx_ev),
		   "evtchn");
	q->rx_ev = q->tx_ev;
	if (!config->one_channel)
		world_must(
			!platform_evtchn_alloc(g->platform, back_id, &q->rx_ev),
			"evtchn");
	guest_rings_init(q);
}

static inline void guest_queue_close(struct guest *g, uint32_t i)
{
	struct guest_queue *q = &g->q[i];

	if (q->rx_ev != q->tx_ev)
		evtchn_close(q->rx_ev);
	evtchn_close(q->tx_ev);
	(void)platform_unshare(g->platform, &q->rings);
	*q = (struct guest_queue){ 0 };
}

static inline void guest_record_open(struct guest *g, uint32_t i,
				     const struct guest_config *config)
{
	const struct guest_queue *q = &g->q[i];
	struct queue_params params = {
		.domid = g->domid,
		.queue = (uint16_t)i,
		.nr_queues = g->nr_queues,
		.tx_ref = q->rings.first_ref,
		.rx_ref = q->rings.first_ref + 1,
		.tx_port = evtchn_port(q->tx_ev),
		.rx_port = evtchn_port(q->rx_ev),
		.features = config->features,
		.has_ctrl = config->ctrl,
	};
	int fd;

	if (config->ctrl) {
		params.ctrl_ref = g->ctrl_pages.first_ref;
		params.ctrl_port = evtchn_port(g->ctrl_ev);
	}
	fd = record_create(&params, &g->records[i]);
	world_must(fd >= 0, "record");
	close(fd);
}

static inline void guest_ctrl_open(struct guest *g)
{
	world_must(!platform_share(g->platform, back_id, 2, 0, &g->ctrl_pages),
		   "share");
	world_must(!platform_evtchn_alloc(g->platform, back_id, &g->ctrl_ev),
		   "evtchn");
	ring_front_init(&g->ctrl, (void PV_SHARED *)g->ctrl_pages.base,
			PV_PAGE_SIZE, sizeof(struct xen_netif_ctrl_request));
	g->ctrl_page = (uint8_t *)g->ctrl_pages.base + PV_PAGE_SIZE;
	g->ctrl_page_ref = g->ctrl_pages.first_ref + 1;
}

/* The guest, without a backend. */
static inline void guest_begin(struct guest *g, const char *name, uint8_t nr,
			       const struct guest_config *config)
{
	memset(g, 0, sizeof(*g));
	g->domid = world_domain(&world, name);
	g->platform = world_platform(&world, g->domid);
	g->mac[0] = 2;
	g->mac[5] = nr;
	g->nr_queues = config->nr_queues ? config->nr_queues : 1;
	world_must(!platform_share(g->platform, back_id, TX_PAGES,
				   SHARE_PEER_READONLY, &g->send) &&
			   !platform_share(g->platform, back_id,
					   RX_PAGES * g->nr_queues, 0,
					   &g->recv),
		   "share");
	if (config->ctrl)
		guest_ctrl_open(g);
	for (uint32_t i = 0; i < g->nr_queues; i++)
		guest_queue_open(g, i, config);
}

static inline void guest_open(struct guest *g, const char *name, uint8_t nr,
			      const struct guest_config *config)
{
	guest_begin(g, name, nr, config);
	for (uint32_t i = 0; i < g->nr_queues; i++)
		guest_record_open(g, i, config);
	world_must(!port_make(g, false), "port");
}

static inline void guest_close(struct guest *g)
{
	if (g->port)
		port_end(g, false);
	for (uint32_t i = 0; i < g->nr_queues; i++) {
		record_unmap(g->records[i]);
		guest_queue_close(g, i);
	}
	evtchn_close(g->ctrl_ev);
	if (g->ctrl_pages.base)
		(void)platform_unshare(g->platform, &g->ctrl_pages);
	(void)platform_unshare(g->platform, &g->send);
	(void)platform_unshare(g->platform, &g->recv);
	platform_close(g->platform);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, g->domid));
}

#define ALL                                                                    \
	(QUEUE_SG | QUEUE_GSO_TCPV4 | QUEUE_GSO_TCPV6 | QUEUE_CSUM_IPV4 |      \
	 QUEUE_CSUM_IPV6)

/* b as config says, a with one queue and all features. */
static inline void setup_as(const struct guest_config *config)
{
	const struct guest_config plain = { .features = ALL };

	world_open(&world);
	back_id = world_domain(&world, "netback");
	back = world_platform(&world, back_id);
	world_must(!worker_open("net-test", 20000, &worker), "worker");
	world_must(!switch_open(&sw), "switch");
	guest_open(&a, "guest-a", 1, &plain);
	guest_open(&b, "guest-b", 2, config);
}

static inline void setup_with(uint32_t features_of_b)
{
	const struct guest_config config = { .features = features_of_b };

	setup_as(&config);
}

static inline void setup(void)
{
	setup_with(ALL);
}

static inline void teardown(void)
{
	guest_close(&a);
	guest_close(&b);
	worker_close(worker);
	switch_close(sw);
	platform_close(back);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, back_id));
	UNIT_CHECK(world_close(&world));
}

/* Until cond, at most two seconds. */
#define AWAIT(cond)                                                            \
	({                                                                     \
		bool met = false;                                              \
		for (int tries = 0; tries < 2000 && !(met = (cond)); tries++)  \
			usleep(1000);                                          \
		met;                                                           \
	})

/* ---- a guest's acts ------------------------------------------------------ */

static inline void tx_request(struct guest *g, struct netif_tx_request req)
{
	ring_front_put(&g->q[0].tx, &req, sizeof(req));
}

static inline void tx_show(struct guest *g)
{
	if (ring_front_push(&g->q[0].tx))
		evtchn_notify(g->q[0].tx_ev);
}

/* An Ethernet frame in page of the send region, for to. */
static inline struct netif_tx_request
tx_frame(struct guest *g, const struct guest *to, unsigned page, uint16_t size)
{
	uint8_t *p = (uint8_t *)g->send.base + (size_t)page * PV_PAGE_SIZE;

	memcpy(p, to->mac, 6);
	memcpy(p + 6, g->mac, 6);
	p[12] = 0x88;
	p[13] = 0xb5;
	for (unsigned i = 14; i < size && i < PV_PAGE_SIZE; i++)
		p[i] = (uint8_t)(i * 3 + page);
	return (struct netif_tx_request){
		.gref = g->send.first_ref + page,
		.id = (uint16_t)page,
		.size = size,
	};
}

/* The status of the next response, INT16_MAX when none comes (*id is 0). */
static inline int tx_status(struct guest *g, uint16_t *id)
{
	struct netif_tx_response rsp;

	*id = 0;
	if (!AWAIT(ring_front_pending(&g->q[0].tx) > 0))
		return INT16_MAX;
	ring_front_get(&g->q[0].tx, &rsp, sizeof(rsp));
	*id = rsp.id;
	return rsp.status;
}

static inline void rx_post_queue(struct guest *g, uint32_t queue, unsigned nr)
{
	struct guest_queue *q = &g->q[queue];

	while (nr--) {
		struct netif_rx_request req = {
			.id = q->next_buffer,
			.gref = g->recv.first_ref + queue * RX_PAGES +
				q->next_buffer % RX_PAGES,
		};

		q->next_buffer++;
		ring_front_put(&q->rx, &req, sizeof(req));
	}
	(void)!ring_front_push(&q->rx);
}

static inline void rx_post(struct guest *g, unsigned nr)
{
	rx_post_queue(g, 0, nr);
}

static inline bool rx_response(struct guest *g, struct netif_rx_response *rsp)
{
	struct ring_front *rx = &g->q[0].rx;

	if (!AWAIT(ring_front_pending(rx) > 0))
		return false;
	ring_front_get(rx, rsp, sizeof(*rsp));
	return true;
}

/* Is g served? One frame to the other guest is taken and answered. */
static inline bool served(struct guest *g, struct guest *other)
{
	uint16_t id;

	tx_request(g, tx_frame(g, other, 9, 60));
	tx_show(g);
	return tx_status(g, &id) == NETIF_RSP_OKAY && id == 9;
}

static inline bool broken(struct guest *g, int err)
{
	return AWAIT(atomic_load(&g->fault) == err);
}

#endif /* TESTS_HOSTILE_NET_GUEST_H */
