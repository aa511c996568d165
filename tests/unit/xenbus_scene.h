/* SPDX-License-Identifier: MIT */
/*
 * xenbus_scene.h - one vbd of domain 3 served by domain 1, over the fake store:
 * both ends with drivers that only note what they are asked to do.
 */
#ifndef TESTS_UNIT_XENBUS_SCENE_H
#define TESTS_UNIT_XENBUS_SCENE_H

#include <unistd.h>

#include "tests/unit/fake_xs.h"
#include "tests/unit/unit.h"
#include "xenbus/xenbus.h"

#define BACK  "/local/domain/1/backend/vbd/3/51712"
#define FRONT "/local/domain/3/device/vbd/51712"

/* What a driver of the tests was asked to do, and what it says. */
struct spy {
	unsigned announced, connected, disconnected, changed, removed;
	int announce_err, connect_err, disconnect_err;
	bool attached; /* between connect and disconnect */
	bool resumed;
	bool fault_in_connect;
	unsigned gone;
	char node[64]; /* that changed last */
	unsigned ring; /* the front's own, or the one that the back mapped */
	struct xenbus_device *dev;
};

static struct spy back_spy, front_spy;
static struct xs *back_xs, *front_xs;
static struct xenbus_bus *bus;
static struct loop *bus_loop; /* the backend's */
static struct xenbus_device front;

static inline struct spy *spy_of(struct xenbus_device *dev)
{
	return dev->priv;
}

static inline int spy_announce(struct xenbus_device *dev)
{
	struct spy *s = spy_of(dev);
	static unsigned nr_rings;

	s->announced++;
	if (s->announce_err || dev->driver->role == XENBUS_BACKEND)
		return s->announce_err;
	/* A new ring each time; the backend must never map an old one. */
	s->ring = ++nr_rings;
	return xs_printf(dev->xs, XS_NO_TXN, dev->node, "ring-ref", "%u",
			 s->ring);
}

static inline int spy_connect(struct xenbus_device *dev)
{
	struct spy *s = spy_of(dev);

	s->connected++;
	if (s->fault_in_connect) {
		xenbus_fatal(dev, -EINVAL, "reading %s", "ring-ref");
		return -EINVAL;
	}
	if (s->connect_err)
		return s->connect_err;
	s->attached = true;
	if (dev->driver->role == XENBUS_BACKEND &&
	    xs_read_u32(dev->xs, XS_NO_TXN, dev->otherend, "ring-ref",
			UINT32_MAX, &s->ring))
		s->ring = 0;
	return 0;
}

static inline int spy_disconnect(struct xenbus_device *dev)
{
	spy_of(dev)->disconnected++;
	if (spy_of(dev)->disconnect_err)
		return spy_of(dev)->disconnect_err;
	spy_of(dev)->attached = false;
	return 0;
}

static inline void spy_changed(struct xenbus_device *dev, const char *node)
{
	struct spy *s = spy_of(dev);

	s->changed++;
	snprintf(s->node, sizeof(s->node), "%s", node);
}

static inline void spy_remove(struct xenbus_device *dev)
{
	spy_of(dev)->removed++;
	spy_of(dev)->dev = NULL;
}

static const struct xenbus_driver back_driver = {
	.role = XENBUS_BACKEND,
	.type = "vbd",
	.announce = spy_announce,
	.connect = spy_connect,
	.disconnect = spy_disconnect,
	.changed = spy_changed,
	.remove = spy_remove,
};

static const struct xenbus_driver front_driver = {
	.role = XENBUS_FRONTEND,
	.type = "vbd",
	.announce = spy_announce,
	.connect = spy_connect,
	.disconnect = spy_disconnect,
	.changed = spy_changed,
};

static inline int spy_probe(void *arg, struct xenbus_device *dev, bool *resumed)
{
	struct spy *s = arg;

	UNIT_CHECK(dev->otherend_id == 3 && dev->handle == 51712);
	s->dev = dev;
	dev->priv = s;
	*resumed = s->resumed;
	s->attached = s->resumed;
	return 0;
}

static const struct xenbus_bus_ops bus_ops = { .probe = spy_probe };

static inline void front_gone(struct xenbus_device *dev)
{
	spy_of(dev)->gone++;
}

/* As if the time within which it has to be closed were over. */
static inline void let_time_pass(struct xenbus_device *dev)
{
	dev->close_deadline_ns = clock_now_ns();
	dev->hurry(dev);
}

/* ---- the scene ---------------------------------------------------------- */

static inline void attach(void)
{
	fake_set(BACK, "frontend", FRONT);
	fake_set(BACK, "frontend-id", "3");
	fake_set(BACK, "online", "1");
	fake_set(FRONT, "backend", BACK);
	fake_set(FRONT, "backend-id", "1");
	fake_set(FRONT, "state", "1");
	fake_set(BACK, "state", "1");
	fake_trace[0] = '\0';
}

static inline void start_backend(void)
{
	int err;

	back_xs = fake_open();
	err = xenbus_bus_open(back_xs, 1, &back_driver, &bus_ops, &back_spy,
			      &bus);
	UNIT_CHECK(err == 0);
	UNIT_REQUIRE(loop_open(&bus_loop) == 0);
	UNIT_CHECK(xenbus_bus_use_loop(bus, bus_loop) == 0);
}

static inline void stop_backend(void)
{
	xenbus_bus_close(bus);
	loop_close(bus_loop);
	xs_close(back_xs);
	bus = NULL;
	bus_loop = NULL;
	back_xs = NULL;
}

static inline void start_frontend(void)
{
	int err;

	front_xs = fake_open();
	memset(&front, 0, sizeof(front));
	front.driver = &front_driver;
	front.xs = front_xs;
	front.handle = 51712;
	front.priv = &front_spy;
	front.gone = front_gone;
	snprintf(front.node, sizeof(front.node), "%s", FRONT);
	err = xenbus_device_start(&front, false);
	UNIT_CHECK(err == 0);
}

static inline void stop_frontend(void)
{
	if (!front_xs)
		return;
	xenbus_device_stop(&front);
	xs_close(front_xs);
	front_xs = NULL;
}

/* Let both ends run until nothing happens any more, and before each sleeps. */
static inline void settle(void)
{
	unsigned n;

	for (n = 0; n < 100; n++) {
		bool busy = false;

		if (back_xs && xs_pending(back_xs)) {
			busy = true;
			UNIT_CHECK(xs_dispatch(back_xs) == 0);
		}
		if (front_xs && xs_pending(front_xs)) {
			busy = true;
			UNIT_CHECK(xs_dispatch(front_xs) == 0);
		}
		if (bus_loop)
			UNIT_CHECK(loop_once(bus_loop, 0) == 0);
		if (!busy && (!back_xs || !xs_pending(back_xs)))
			break;
	}
	UNIT_CHECK(n < 100);
}

static inline void scene(void)
{
	fake_reset();
	memset(&back_spy, 0, sizeof(back_spy));
	memset(&front_spy, 0, sizeof(front_spy));
	attach();
}

static inline void connected_scene(void)
{
	scene();
	start_backend();
	start_frontend();
	settle();
	UNIT_CHECK(back_spy.attached && front_spy.attached);
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "4"));
	UNIT_CHECK(!strcmp(fake_get(FRONT, "state"), "4"));
	fake_trace[0] = '\0';
}

static inline void end_scene(void)
{
	stop_frontend();
	stop_backend();
	fake_reset();
}

static inline bool states_are(const char *back, const char *frontend)
{
	return !strcmp(fake_get(BACK, "state"), back) &&
	       !strcmp(fake_get(FRONT, "state"), frontend);
}

/* Both Connected, over the same ring. */
static inline bool are_connected(void)
{
	return states_are("4", "4") && back_spy.attached &&
	       back_spy.ring == front_spy.ring;
}

/* The devices of these tests log what they are meant to log. */
static inline void be_quiet(const char *name)
{
	log_init(name, LOG_ERROR);
	if (!getenv("V"))
		(void)!freopen("/dev/null", "w", stderr);
}

#endif /* TESTS_UNIT_XENBUS_SCENE_H */
