/* SPDX-License-Identifier: MIT */
/*
 * netfront_backend.h - a vif's backend that does what a test says: with every
 * feature or with none, honest until told to lie or to die. It sends every
 * frame of one slot back, on the queue that it came from.
 *
 * It is a thread with its own connections, as another process would have.
 */
#ifndef TESTS_UNIT_NETFRONT_BACKEND_H
#define TESTS_UNIT_NETFRONT_BACKEND_H

#include <pthread.h>

#include "abi/netif.h"
#include "netfront/netfront.h"
#include "ring/ring.h"
#include "tests/unit/blkfront_rig.h"

#define NET_QUEUES_MAX 4u

enum net_lie {
	NET_HONEST,
	NET_LIE_TX_ID,	 /* answers a page that is not out */
	NET_LIE_TX_PROD, /* one response more than there are requests */
	NET_LIE_RX_ID,	 /* another buffer's */
	NET_LIE_RX_SIZE, /* past its page */
	NET_LIE_RX_MORE, /* a chain that does not end */
};

struct net_backend;

struct net_queue {
	struct grant_map tx_map, rx_map;
	struct ring_back tx, rx;
	struct evtchn *tx_ev, *rx_ev; /* the same: one for both */
	unsigned nr_echoed;
};

/* What the control ring was asked, and how its page began then. */
struct net_asked {
	struct xen_netif_ctrl_request req;
	uint8_t page[PV_PAGE_SIZE];
};

#define NET_ASKED_MAX 32u

struct net_backend {
	struct rig *rig;
	/* the script, set before net_backend_start */
	uint32_t max_queues; /* 0: the node is not there */
	bool old;	     /* offers nothing but feature-rx-copy */
	bool no_rx_copy;
	const char *carrier; /* NULL: no such node */
	enum net_lie lie;
	unsigned lie_queue, lie_after; /* honest answers first */
	bool ctrl;		       /* offers a control ring */
	uint16_t ctrl_refuses;	       /* requests of this type; 0: none */
	bool ctrl_lies;		       /* answers with another id */
	bool storm;		       /* notifies without end and reason */
	bool restarted;		       /* the successor of one that died */
	void (*inspect)(struct net_backend *be,
			const struct netif_tx_request *req);
	/* what it did */
	uint32_t nr_queues;
	bool connected; /* atomic */
	struct net_asked asked[NET_ASKED_MAX];
	unsigned nr_asked; /* atomic */
	/* its own */
	pthread_t thread;
	bool stop, die; /* test's thread to backend's: atomic */
	struct platform *platform;
	struct xs *xs;
	struct net_queue queues[NET_QUEUES_MAX];
	struct grant_map ctrl_map;
	struct ring_back ctrl_ring;
	struct evtchn *ctrl_ev;
};

static inline bool net_backend_stopping(struct net_backend *be)
{
	/* Pairs with the stores in net_backend_stop() and net_backend_die(). */
	return __atomic_load_n(&be->stop, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&be->die, __ATOMIC_ACQUIRE);
}

static inline unsigned net_backend_wait_front(struct net_backend *be,
					      unsigned mask)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (clock_now_ns() < end_ns && !net_backend_stopping(be)) {
		unsigned state = rig_state(be->xs, be->rig->front);

		if (mask & (1u << state))
			return state;
		poll(NULL, 0, 1);
	}
	return 0;
}

static inline int net_backend_put(struct net_backend *be, const char *node,
				  const char *value)
{
	return xs_printf(be->xs, XS_NO_TXN, be->rig->back, node, "%s", value);
}

/* ---- the handshake ---------------------------------------------------------
 */

static inline int net_backend_offer(struct net_backend *be)
{
	static const char *const nodes[] = {
		"feature-sg",
		"feature-gso-tcpv4",
		"feature-gso-tcpv6",
		"feature-ipv6-csum-offload",
		"feature-split-event-channels",
	};
	char text[16];
	int err = net_backend_put(be, "feature-rx-copy",
				  be->no_rx_copy ? "0" : "1");

	for (unsigned i = 0; i < ARRAY_SIZE(nodes) && !err; i++)
		err = net_backend_put(be, nodes[i], be->old ? "0" : "1");
	snprintf(text, sizeof(text), "%u", be->max_queues ? be->max_queues : 1);
	if (!err && (be->max_queues || be->restarted))
		err = net_backend_put(be, "multi-queue-max-queues", text);
	if (!err && be->ctrl)
		err = net_backend_put(be, "feature-ctrl-ring", "1");
	if (!err && be->carrier)
		err = net_backend_put(be, "carrier", be->carrier);
	return err;
}

static inline int net_backend_read(struct net_backend *be, const char *dir,
				   const char *node, uint32_t *ret)
{
	return xs_read_u32(be->xs, XS_NO_TXN, dir, node, UINT32_MAX, ret);
}

static inline int net_backend_bind(struct net_backend *be, const char *dir,
				   struct net_queue *q)
{
	domid_t guest = be->rig->guest;
	uint32_t port;
	int err;

	if (be->old) {
		err = net_backend_read(be, dir, "event-channel", &port);
		if (!err)
			err = platform_evtchn_bind(be->platform, guest, port,
						   &q->tx_ev);
		q->rx_ev = q->tx_ev;
		return err;
	}
	err = net_backend_read(be, dir, "event-channel-tx", &port);
	if (!err)
		err = platform_evtchn_bind(be->platform, guest, port,
					   &q->tx_ev);
	if (!err)
		err = net_backend_read(be, dir, "event-channel-rx", &port);
	if (!err)
		err = platform_evtchn_bind(be->platform, guest, port,
					   &q->rx_ev);
	return err;
}

static inline int net_backend_map_queue(struct net_backend *be, const char *dir,
					struct net_queue *q)
{
	domid_t guest = be->rig->guest;
	grant_ref_t tx, rx;
	int err = net_backend_read(be, dir, "tx-ring-ref", &tx);

	if (!err)
		err = net_backend_read(be, dir, "rx-ring-ref", &rx);
	if (!err)
		err = platform_map(be->platform, guest, &tx, 1, true,
				   &q->tx_map);
	if (!err)
		err = platform_map(be->platform, guest, &rx, 1, true,
				   &q->rx_map);
	if (!err)
		err = net_backend_bind(be, dir, q);
	if (err)
		return err;
	ring_back_init(&q->tx, q->tx_map.base, PV_PAGE_SIZE,
		       sizeof(struct netif_tx_request));
	ring_back_init(&q->rx, q->rx_map.base, PV_PAGE_SIZE,
		       sizeof(struct netif_rx_response));
	return 0;
}

static inline int net_backend_map_ctrl(struct net_backend *be)
{
	domid_t guest = be->rig->guest;
	grant_ref_t ref;
	uint32_t port;
	int err = net_backend_read(be, be->rig->front, "ctrl-ring-ref", &ref);

	if (!err)
		err = net_backend_read(be, be->rig->front, "event-channel-ctrl",
				       &port);
	if (!err)
		err = platform_map(be->platform, guest, &ref, 1, true,
				   &be->ctrl_map);
	if (!err)
		err = platform_evtchn_bind(be->platform, guest, port,
					   &be->ctrl_ev);
	if (!err)
		ring_back_init(&be->ctrl_ring, be->ctrl_map.base, PV_PAGE_SIZE,
			       sizeof(struct xen_netif_ctrl_request));
	return err;
}

static inline int net_backend_map(struct net_backend *be)
{
	const char *front = be->rig->front;
	uint32_t nr;
	int err = xs_read_u32_default(be->xs, XS_NO_TXN, front,
				      "multi-queue-num-queues", NET_QUEUES_MAX,
				      1, &nr);

	if (err)
		return err;
	be->nr_queues = nr;
	if (be->ctrl)
		err = net_backend_map_ctrl(be);
	if (err)
		return err;
	if (nr == 1)
		return net_backend_map_queue(be, front, &be->queues[0]);
	for (unsigned i = 0; i < nr && !err; i++) {
		char dir[160];

		snprintf(dir, sizeof(dir), "%s/queue-%u", front, i);
		err = net_backend_map_queue(be, dir, &be->queues[i]);
	}
	return err;
}

static inline int net_backend_connect(struct net_backend *be)
{
	int err = net_backend_offer(be);

	if (!err && be->restarted) {
		err = net_backend_put(be, "state", "6");
		net_backend_wait_front(be, 1u << XenbusStateInitialising |
						   1u << XenbusStateClosed);
	}
	if (!err)
		err = net_backend_put(be, "state", "2");
	if (err)
		return err;
	if (!net_backend_wait_front(be, 1u << XenbusStateInitialised))
		return -ETIMEDOUT;
	err = net_backend_map(be);
	return err ? err : net_backend_put(be, "state", "4");
}

/* ---- frames ----------------------------------------------------------------
 */

static inline int net_backend_copy(struct net_backend *be, grant_ref_t ref,
				   unsigned offset, void *bytes, unsigned size,
				   bool to_guest)
{
	struct grant_copy op = {
		.domid = be->rig->guest,
		.ref = ref,
		.offset = (uint16_t)offset,
		.size_bytes = (uint16_t)size,
		.to_peer = to_guest,
		.local = bytes,
	};

	return platform_copy(be->platform, &op, 1);
}

static inline struct ring_header *net_header(const struct grant_map *map)
{
	return (struct ring_header *)(uintptr_t)map->base;
}

/* Send bytes back; true: there was a buffer. */
static inline bool net_backend_echo(struct net_backend *be, struct net_queue *q,
				    enum net_lie lie, void *bytes,
				    unsigned size)
{
	struct netif_rx_response rsp = { .status = (int16_t)size };
	struct netif_rx_request req;

	if (ring_back_pending(&q->rx) <= 0)
		return false;
	ring_back_get(&q->rx, &req, sizeof(req));
	rsp.id = req.id;
	if (net_backend_copy(be, req.gref, 0, bytes, size, true))
		rsp.status = NETIF_RSP_ERROR;
	switch (lie) {
	case NET_HONEST:
	case NET_LIE_TX_ID:
	case NET_LIE_TX_PROD: break;
	case NET_LIE_RX_ID: rsp.id ^= 1; break;
	case NET_LIE_RX_SIZE: rsp.offset = (uint16_t)(4097 - size); break;
	case NET_LIE_RX_MORE: rsp.flags = NETRXF_more_data; break;
	}
	ring_back_put(&q->rx, &rsp, sizeof(rsp));
	q->nr_echoed++;
	if (ring_back_push(&q->rx))
		evtchn_notify(q->rx_ev);
	return true;
}

static inline void net_backend_answer(struct net_queue *q, enum net_lie lie,
				      uint16_t id)
{
	struct netif_tx_response rsp = { .id = id };

	if (lie == NET_LIE_TX_ID)
		rsp.id = (uint16_t)(id + 128) % 256;
	ring_back_put(&q->tx, &rsp, sizeof(rsp));
	if (ring_back_push(&q->tx))
		evtchn_notify(q->tx_ev);
	if (lie != NET_LIE_TX_PROD)
		return;
	/* Pairs with the loads in ring_front_pending(), ring_front_arm(). */
	__atomic_store_n(&net_header(&q->tx_map)->rsp_prod,
			 q->tx.rsp_prod + 300, __ATOMIC_SEQ_CST);
	evtchn_notify(q->tx_ev);
}

/* One request, if there is one. */
static inline bool net_backend_serve_queue(struct net_backend *be, unsigned nr)
{
	struct net_queue *q = &be->queues[nr];
	enum net_lie lie = NET_HONEST;
	struct netif_tx_request req;
	uint8_t bytes[PV_PAGE_SIZE];

	if (ring_back_pending(&q->rx) <= 0)
		(void)!ring_back_arm(&q->rx);
	if (ring_back_arm(&q->tx) <= 0 || ring_back_pending(&q->rx) <= 0)
		return false;
	if (nr == be->lie_queue && q->nr_echoed >= be->lie_after)
		lie = be->lie;
	ring_back_get(&q->tx, &req, sizeof(req));
	if (be->inspect)
		be->inspect(be, &req);
	if (req.size <= PV_PAGE_SIZE && !req.flags &&
	    !net_backend_copy(be, req.gref, req.offset, bytes, req.size, false))
		(void)net_backend_echo(be, q, lie, bytes, req.size);
	net_backend_answer(q, lie, req.id);
	return true;
}

/* The page that a request names, if it does. */
static inline grant_ref_t
net_backend_named(const struct xen_netif_ctrl_request *req)
{
	switch (req->type) {
	case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING: return req->data[0];
	case XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING: return req->data[1];
	default: return 0;
	}
}

/* One control request, if there is one. */
static inline void net_backend_serve_ctrl(struct net_backend *be)
{
	unsigned n = be->nr_asked;
	struct net_asked *asked = &be->asked[n];
	struct xen_netif_ctrl_response rsp = { .data = 512 };
	grant_ref_t ref;

	if (!be->ctrl || ring_back_arm(&be->ctrl_ring) <= 0 ||
	    n == NET_ASKED_MAX)
		return;
	ring_back_get(&be->ctrl_ring, &asked->req, sizeof(asked->req));
	ref = net_backend_named(&asked->req);
	if (ref)
		(void)!net_backend_copy(be, ref, 0, asked->page, PV_PAGE_SIZE,
					false);
	rsp.id = (uint16_t)(asked->req.id + be->ctrl_lies);
	rsp.type = asked->req.type;
	if (rsp.type == be->ctrl_refuses)
		rsp.status = XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	/* Pairs with the load in the test. */
	__atomic_store_n(&be->nr_asked, n + 1, __ATOMIC_RELEASE);
	ring_back_put(&be->ctrl_ring, &rsp, sizeof(rsp));
	if (ring_back_push(&be->ctrl_ring))
		evtchn_notify(be->ctrl_ev);
}

static inline bool net_backend_clear(struct net_queue *q)
{
	bool gone = evtchn_clear(q->tx_ev) < 0;

	if (q->rx_ev != q->tx_ev)
		gone = evtchn_clear(q->rx_ev) < 0 || gone;
	return gone;
}

static inline void net_backend_sleep(struct net_backend *be)
{
	struct pollfd pfd[2 * NET_QUEUES_MAX];

	for (unsigned i = 0; i < be->nr_queues; i++) {
		struct net_queue *q = &be->queues[i];

		pfd[2 * i] = (struct pollfd){ .fd = evtchn_fd(q->tx_ev),
					      .events = POLLIN };
		pfd[2 * i + 1] = (struct pollfd){ .fd = evtchn_fd(q->rx_ev),
						  .events = POLLIN };
		if (be->storm) {
			evtchn_notify(q->tx_ev);
			evtchn_notify(q->rx_ev);
		}
	}
	if (be->storm && be->ctrl)
		evtchn_notify(be->ctrl_ev);
	if (!be->storm)
		poll(pfd, 2 * be->nr_queues, 20);
}

static inline void net_backend_serve(struct net_backend *be)
{
	while (!net_backend_stopping(be)) {
		bool busy = false;
		unsigned front;

		for (unsigned i = 0; i < be->nr_queues; i++)
			busy = net_backend_serve_queue(be, i) || busy;
		net_backend_serve_ctrl(be);
		if (busy)
			continue;
		front = rig_state(be->xs, be->rig->front);
		if (front == XenbusStateClosing || front == XenbusStateClosed)
			return;
		net_backend_sleep(be);
		for (unsigned i = 0; i < be->nr_queues; i++)
			if (net_backend_clear(&be->queues[i]))
				return;
	}
}

/* ---- its life --------------------------------------------------------------
 */

static inline void net_backend_release(struct net_backend *be)
{
	evtchn_close(be->ctrl_ev);
	if (be->ctrl_map.nr_pages)
		platform_unmap(be->platform, &be->ctrl_map);
	for (unsigned i = 0; i < NET_QUEUES_MAX; i++) {
		struct net_queue *q = &be->queues[i];

		if (q->rx_ev != q->tx_ev)
			evtchn_close(q->rx_ev);
		evtchn_close(q->tx_ev);
		if (q->tx_map.nr_pages)
			platform_unmap(be->platform, &q->tx_map);
		if (q->rx_map.nr_pages)
			platform_unmap(be->platform, &q->rx_map);
	}
}

static inline void *net_backend_run(void *arg)
{
	struct net_backend *be = arg;
	int fd;

	if (platform_lite_open(be->rig->run_dir, be->rig->driver,
			       &be->platform))
		return NULL;
	fd = platform_store_connect(be->platform);
	if (fd >= 0 && !xs_open_fd(fd, &be->xs) && !net_backend_connect(be)) {
		/* Pairs with the load in net_backend_is_connected(). */
		__atomic_store_n(&be->connected, true, __ATOMIC_RELEASE);
		net_backend_serve(be);
	}
	net_backend_release(be);
	/* Pairs with the store in net_backend_die(). */
	if (be->xs && !__atomic_load_n(&be->die, __ATOMIC_ACQUIRE)) {
		int ignored = net_backend_put(be, "state", "6");

		(void)ignored; /* the directory may be gone */
	}
	xs_close(be->xs);
	platform_close(be->platform);
	return NULL;
}

static inline int net_backend_start(struct net_backend *be, struct rig *rig)
{
	be->rig = rig;
	return -pthread_create(&be->thread, NULL, net_backend_run, be);
}

/* Say goodbye / vanish: what a killed process leaves. Both wait for the end. */
static inline void net_backend_stop(struct net_backend *be)
{
	/* Pairs with the load in net_backend_stopping(). */
	__atomic_store_n(&be->stop, true, __ATOMIC_RELEASE);
	pthread_join(be->thread, NULL);
}

static inline void net_backend_die(struct net_backend *be)
{
	/* Pairs with the loads in net_backend_stopping(), net_backend_run(). */
	__atomic_store_n(&be->die, true, __ATOMIC_RELEASE);
	pthread_join(be->thread, NULL);
}

/* ---- the rig, with a vif ---------------------------------------------------
 */

static inline int net_rig_open(struct rig *rig)
{
	int err = rig_open(rig);

	if (err)
		return err;
	snprintf(rig->front, sizeof(rig->front),
		 "/local/domain/%u/device/vif/0", rig->guest);
	snprintf(rig->back, sizeof(rig->back),
		 "/local/domain/%u/backend/vif/%u/0", rig->driver, rig->guest);
	err = rig_attach(rig);
	return err ? err : rig_put(rig, rig->front, "mac", "00:16:3e:00:00:01");
}

#define NET_RIG_WHY 256u

static inline int net_rig_front(struct rig *rig, uint32_t nr_queues,
				struct netfront **ret, char why[NET_RIG_WHY])
{
	struct netfront_config config = { .run_dir = rig->run_dir,
					  .domid = rig->guest,
					  .nr_queues = nr_queues,
					  .timeout_ns = RIG_WAIT_NS };

	return netfront_open(&config, ret, why, NET_RIG_WHY);
}

/* A rig, a backend that serves, and a frontend that is connected to it. */
static inline int net_rig_begin(struct rig *rig, struct net_backend *be,
				uint32_t nr_queues, struct netfront **ret)
{
	char why[NET_RIG_WHY] = "";
	int err = net_rig_open(rig);

	if (!err)
		err = net_backend_start(be, rig);
	if (!err)
		err = net_rig_front(rig, nr_queues, ret, why);
	if (err)
		printf("net_rig_begin: %s %s\n", strerror(-err), why);
	return err;
}

static inline void net_rig_end(struct rig *rig, struct net_backend *be,
			       struct netfront *nf)
{
	netfront_close(nf);
	net_backend_stop(be);
	rig_close(rig);
}

#endif /* TESTS_UNIT_NETFRONT_BACKEND_H */
