/* SPDX-License-Identifier: MIT */
/*
 * net_hostile.c - a guest that connects to its vif 0 as it should, with a
 *channel for each ring, and then does one thing. Used by net-hostile.sh.
 *
 *	net_hostile RUN_DIR DOMID lie 0		an impossible producer index
 *	net_hostile RUN_DIR DOMID tx-events SECONDS	events, and no frame,
 *	net_hostile RUN_DIR DOMID rx-events SECONDS	on either channel
 *	net_hostile RUN_DIR DOMID nodes COUNT	so many writes of its own nodes,
 *						its state among them
 *	net_hostile RUN_DIR DOMID buffers N	no receive buffers but N, ever;
 *						until it is killed
 *
 * Prints "ready" once it is connected, and how many it was in the end. 1: the
 * store did not take them all.
 */
#include <unistd.h>

#include "abi/netif.h"
#include "tests/system/hostile.h"

#define DIR "device/vif/0"

struct vif {
	struct share pages; /* both rings, and a page to receive into */
	struct ring_front tx, rx;
	struct evtchn *tx_ev, *rx_ev;
};

static int make_rings(struct guest *g, struct vif *v)
{
	uint8_t *base;
	int err = platform_share(g->platform, g->backend_id, 3, 0, &v->pages);

	if (!err)
		err = platform_evtchn_alloc(g->platform, g->backend_id,
					    &v->tx_ev);
	if (!err)
		err = platform_evtchn_alloc(g->platform, g->backend_id,
					    &v->rx_ev);
	if (err)
		return err;
	base = v->pages.base;
	ring_front_init(&v->tx, (void PV_SHARED *)base, PV_PAGE_SIZE,
			sizeof(struct netif_tx_request));
	ring_front_init(&v->rx, (void PV_SHARED *)(base + PV_PAGE_SIZE),
			PV_PAGE_SIZE, sizeof(struct netif_rx_response));
	return 0;
}

static int connect_vif(struct guest *g, struct vif *v)
{
	const struct {
		const char *node;
		uint32_t value;
	} all[] = {
		{ "tx-ring-ref", v->pages.first_ref },
		{ "rx-ring-ref", v->pages.first_ref + 1 },
		{ "event-channel-tx", evtchn_port(v->tx_ev) },
		{ "event-channel-rx", evtchn_port(v->rx_ev) },
		{ "request-rx-copy", 1 },
		{ "feature-sg", 1 },
		{ "state", 4 },
	};
	int err = 0;

	for (unsigned i = 0; !err && i < ARRAY_SIZE(all); i++)
		err = write_number(g, all[i].node, all[i].value);
	return err ? err : wait_for_state(g, 4);
}

static void post(struct vif *v, uint32_t nr)
{
	struct netif_rx_request req = { .gref = v->pages.first_ref + 2 };

	while (nr--)
		ring_front_put(&v->rx, &req, sizeof(req));
	if (ring_front_push(&v->rx))
		evtchn_notify(v->rx_ev);
}

/* Whatever it does is counted; 0: it was not all taken. */
static unsigned long long act(struct guest *g, struct vif *v, const char *what,
			      uint32_t number)
{
	static const char *const names[] = { "state", "state", "tx-ring-ref",
					     "request-multicast-control" };

	if (!strcmp(what, "tx-events"))
		return events(v->tx_ev, number);
	if (!strcmp(what, "rx-events"))
		return events(v->rx_ev, number);
	if (!strcmp(what, "nodes"))
		return nodes(g, names, number);
	if (!strcmp(what, "lie")) {
		__atomic_store_n((uint32_t *)v->pages.base, 0x80000000u,
				 __ATOMIC_RELEASE);
		evtchn_notify(v->tx_ev);
		return !wait_for_state(g, 5);
	}
	post(v, number);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	struct guest g = { 0 };
	struct vif v = { 0 };
	unsigned long long nr;
	uint32_t domid, number;
	int err;

	if (argc != 5 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[4], UINT32_MAX, &number)) {
		fprintf(stderr,
			"usage: net_hostile RUN_DIR DOMID lie|tx-events|"
			"rx-events|nodes|buffers NUMBER\n");
		return 2;
	}
	err = guest_open(&g, argv[1], (domid_t)domid, DIR);
	if (!err)
		err = make_rings(&g, &v);
	if (!err)
		err = connect_vif(&g, &v);
	if (err) {
		fprintf(stderr, "net_hostile: connecting: %s\n",
			strerror(-err));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	nr = act(&g, &v, argv[3], number);
	printf("%llu\n", nr);
	guest_close(&g);
	return !nr || (!strcmp(argv[3], "nodes") && nr != number);
}
