/* SPDX-License-Identifier: MIT */
/*
 * net_vif.h - netback's whole control side (bus, handshake, vifs, bridges, data
 * thread) on the lite platform, over a store and a monitor inside the test,
 *with two guests on one bridge whose nodes and rings the tests write by hand.
 *
 *	vifs_begin	the world, both guests, their directories at state 1
 *	back_start	a worker process; back_end: it ends, or dies, and leaves
 *			to a successor what it leaves
 *	front_connect	a guest writes its nodes and goes to Connected
 *	vifs_end	all of it is given back
 */
#ifndef TESTS_HOSTILE_NET_VIF_H
#define TESTS_HOSTILE_NET_VIF_H

#include "netback/bridge.h"
#include "netback/vif.h"
#include "tests/hostile/net_guest.h"
#include "tests/unit/fake_xs.h"

/* ---- a monitor ----------------------------------------------------------- */

#define FAKE_KEPT_MAX 32

struct monitor_client {
	struct {
		char key[MONITOR_KEY_MAX];
		int fd;
	} kept[FAKE_KEPT_MAX];
	unsigned nr_kept;
	/* By handle of the guests' vifs: what was opened for it, if it is. */
	struct {
		domid_t domid;
		bool open;
		struct vif_target target;
	} devices[2];
	unsigned nr_released;
};

static struct monitor_client monitor;

static inline int kept_find(const char *key)
{
	for (unsigned i = 0; i < monitor.nr_kept; i++)
		if (!strcmp(monitor.kept[i].key, key))
			return (int)i;
	return -ENOENT;
}

int monitor_client_keep(struct monitor_client *mc, const char *key, int fd)
{
	int i = kept_find(key);

	if (i < 0) {
		if (mc->nr_kept == FAKE_KEPT_MAX)
			return -ENOSPC;
		i = (int)mc->nr_kept++;
		strcpy(mc->kept[i].key, key);
	} else {
		close(mc->kept[i].fd);
	}
	mc->kept[i].fd = dup(fd);
	return 0;
}

int monitor_client_get(struct monitor_client *mc, const char *key)
{
	int i = kept_find(key);

	return i < 0 ? i : dup(mc->kept[i].fd);
}

int monitor_client_drop(struct monitor_client *mc, const char *key)
{
	int i = kept_find(key);

	if (i < 0)
		return i;
	close(mc->kept[i].fd);
	mc->kept[i] = mc->kept[--mc->nr_kept];
	return 0;
}

/* What the toolstack wants of each guest's vif. */
static struct vif_target wanted[2];

int monitor_client_open_device(struct monitor_client *mc, domid_t domid,
			       uint32_t handle, struct monitor_device *ret)
{
	unsigned i = domid == a.domid ? 0 : 1;

	(void)handle;
	if (!mc->devices[i].open) {
		mc->devices[i].open = true;
		mc->devices[i].target = wanted[i];
	}
	*ret = (struct monitor_device){ .info_bytes = sizeof(wanted[i]) };
	memcpy(ret->info, &mc->devices[i].target, sizeof(wanted[i]));
	return 0;
}

int monitor_client_release_device(struct monitor_client *mc, domid_t domid,
				  uint32_t handle)
{
	unsigned i = domid == a.domid ? 0 : 1;

	(void)handle;
	mc->nr_released += mc->devices[i].open;
	mc->devices[i].open = false;
	return 0;
}

/* target.c's own part, which is a real monitor's, is linked and never runs. */
int xs_open(xs_connect_fn *fn, void *arg, struct xs **ret)
{
	(void)fn;
	(void)arg;
	(void)ret;
	return -EOPNOTSUPP;
}

void xs_set_timeout(struct xs *xs, uint64_t timeout_ns)
{
	(void)xs;
	(void)timeout_ns;
}

/* ---- the backend's process ----------------------------------------------- */

static struct netback nb;
static struct xenbus_bus *bus;
static struct xs *back_xs;
static struct loop_fd *fault_source;

static inline void fault_fired(void *arg, uint32_t events)
{
	(void)events;
	vif_run_faults(arg);
}

static inline void back_start(void)
{
	nb = (struct netback){ 0 };
	list_init(&nb.vifs);
	list_init(&nb.bridges);
	back_xs = fake_open();
	world_must(!worker_open("net-test", 20000, &worker), "worker");
	nb.worker = worker;
	nb.control = (struct control){
		.monitor = &monitor,
		.platform = back,
		.xs = back_xs,
		.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	world_must(!loop_open(&nb.control.loop), "loop");
	world_must(!loop_fd_add(nb.control.loop, nb.control.event_fd, POLLIN,
				fault_fired, &nb, &fault_source),
		   "event_fd");
	world_must(!limit_groups_open(&nb.limit_groups, back_xs, back_id,
				      "vif-limit-group", LIMITER_NETWORKS),
		   "limits");
	world_must(!xenbus_bus_open(back_xs, back_id, &vif_driver, &vif_bus_ops,
				    &nb, &bus),
		   "bus");
	world_must(!xenbus_bus_use_loop(bus, nb.control.loop), "bus's timer");
}

/*
 * The end of the process. What it says last is not to be in the store:
 * no state changes.
 */
static inline void back_end(void)
{
	nb.stopping = true;
	xenbus_bus_close(bus);
	limit_groups_close(&nb.limit_groups);
	worker_close(nb.worker);
	loop_fd_remove(fault_source);
	loop_close(nb.control.loop);
	close(nb.control.event_fd);
	xs_close(back_xs);
	bus = NULL;
	UNIT_CHECK(list_empty(&nb.vifs) && list_empty(&nb.bridges));
}

static inline void back_turn(void)
{
	(void)!xs_dispatch(back_xs);
	(void)!loop_once(nb.control.loop, clock_now_ns() + NS_PER_MS);
}

/* The control thread runs until cond, at most two seconds. */
#define BACK_UNTIL(cond)                                                       \
	({                                                                     \
		uint64_t end_ns = clock_now_ns() + 2 * NS_PER_S;               \
		bool met;                                                      \
		do                                                             \
			back_turn();                                           \
		while (!(met = (cond)) && clock_now_ns() < end_ns);            \
		met;                                                           \
	})

/* ---- directories --------------------------------------------------------- */

struct path {
	char text[64];
};

static inline struct path back_dir(const struct guest *g)
{
	struct path p;

	snprintf(p.text, sizeof(p.text), "/local/domain/%u/backend/vif/%u/0",
		 back_id, g->domid);
	return p;
}

static inline struct path front_dir(const struct guest *g)
{
	struct path p;

	snprintf(p.text, sizeof(p.text), "/local/domain/%u/device/vif/0",
		 g->domid);
	return p;
}

static inline void set_number(const char *dir, const char *node, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	fake_set(dir, node, text);
}

static inline void back_set(const struct guest *g, const char *node,
			    const char *value)
{
	fake_set(back_dir(g).text, node, value);
}

static inline bool back_rm(const struct guest *g, const char *node)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", back_dir(g).text, node);
	return fake_rm(path);
}

static inline void front_set(const struct guest *g, const char *node,
			     const char *value)
{
	fake_set(front_dir(g).text, node, value);
}

static inline const char *back_get(const struct guest *g, const char *node)
{
	return fake_get(back_dir(g).text, node);
}

static inline bool back_is(const struct guest *g, const char *state)
{
	return !strcmp(back_get(g, "state"), state);
}

/* As the toolstack makes them. */
static inline void make_directories(const struct guest *g)
{
	struct path front = front_dir(g), dir = back_dir(g);

	fake_set(front.text, "backend", dir.text);
	set_number(front.text, "backend-id", back_id);
	fake_set(front.text, "state", "1");
	fake_set(dir.text, "frontend", front.text);
	set_number(dir.text, "frontend-id", g->domid);
	fake_set(dir.text, "online", "1");
	fake_set(dir.text, "state", "1");
}

static inline void remove_directories(const struct guest *g)
{
	fake_rm(back_dir(g).text);
	fake_rm(front_dir(g).text);
}

/* What a frontend with one queue, or several, and all features says. */
static inline void front_write(const struct guest *g)
{
	static const char *const ones[] = {
		"request-rx-copy",   "feature-rx-notify",
		"feature-sg",	     "feature-gso-tcpv4",
		"feature-gso-tcpv6", "feature-ipv6-csum-offload"
	};
	struct path front = front_dir(g);

	for (unsigned i = 0; i < ARRAY_SIZE(ones); i++)
		fake_set(front.text, ones[i], "1");
	if (g->nr_queues > 1)
		set_number(front.text, "multi-queue-num-queues", g->nr_queues);
	for (uint32_t i = 0; i < g->nr_queues; i++) {
		const struct guest_queue *q = &g->q[i];
		struct path dir = front;

		if (g->nr_queues > 1)
			snprintf(dir.text, sizeof(dir.text),
				 "/local/domain/%u/device/vif/0/queue-%u",
				 g->domid, i);
		set_number(dir.text, "tx-ring-ref", q->rings.first_ref);
		set_number(dir.text, "rx-ring-ref", q->rings.first_ref + 1);
		set_number(dir.text, "event-channel-tx", evtchn_port(q->tx_ev));
		set_number(dir.text, "event-channel-rx", evtchn_port(q->rx_ev));
	}
}

/* Other rings and channels, as a frontend makes them that comes again. */
static inline void front_renew(struct guest *g)
{
	const struct guest_config plain = { .features = ALL };

	for (uint32_t i = 0; i < g->nr_queues; i++) {
		guest_queue_close(g, i);
		guest_queue_open(g, i, &plain);
	}
}

static inline bool front_connect(const struct guest *g)
{
	front_write(g);
	if (!BACK_UNTIL(back_is(g, "2")))
		return false;
	front_set(g, "state", "4");
	return BACK_UNTIL(back_is(g, "4"));
}

/* ---- a whole scene ------------------------------------------------------- */

static inline void guest_wants(unsigned i, const struct guest *g)
{
	wanted[i] = (struct vif_target){ .bridge = "br0" };
	memcpy(wanted[i].mac, g->mac, sizeof(wanted[i].mac));
}

static inline void vifs_begin(void)
{
	const struct guest_config plain = { .features = ALL };

	fake_reset();
	memset(&monitor, 0, sizeof(monitor));
	world_open(&world);
	back_id = world_domain(&world, "netback");
	back = world_platform(&world, back_id);
	guest_begin(&a, "guest-a", 1, &plain);
	guest_begin(&b, "guest-b", 2, &plain);
	guest_wants(0, &a);
	guest_wants(1, &b);
	make_directories(&a);
	make_directories(&b);
}

static inline void vifs_connect(void)
{
	vifs_begin();
	back_start();
	UNIT_CHECK(front_connect(&a) && front_connect(&b));
}

/* Nothing is left of anything. */
static inline void vifs_end(void)
{
	remove_directories(&a);
	remove_directories(&b);
	UNIT_CHECK(BACK_UNTIL(!xenbus_bus_nr_devices(bus)));
	back_end();
	UNIT_CHECK(!monitor.nr_kept && !monitor.devices[0].open &&
		   !monitor.devices[1].open);
	guest_close(&a);
	guest_close(&b);
	platform_close(back);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, back_id));
	UNIT_CHECK(world_close(&world));
}

#endif /* TESTS_HOSTILE_NET_VIF_H */
