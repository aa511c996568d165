/* SPDX-License-Identifier: MIT */
/*
 * xenbus.c - both ends of a device and the backend bus, over a fake store:
 * connecting, closing from either end, detaching, coming again after either
 * process or domain died, missed states, hostile values.
 */
#include "tests/unit/unit.h"

#include <unistd.h>

#include "tests/unit/fake_xs.h"
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
	struct xenbus_device *dev;
};

static struct spy back_spy, front_spy;
static struct xs *back_xs, *front_xs;
static struct xenbus_bus *bus;
static struct xenbus_device front;

static struct spy *spy_of(struct xenbus_device *dev)
{
	return dev->priv;
}

static int spy_announce(struct xenbus_device *dev)
{
	spy_of(dev)->announced++;
	return spy_of(dev)->announce_err;
}

static int spy_connect(struct xenbus_device *dev)
{
	struct spy *s = spy_of(dev);

	s->connected++;
	if (s->fault_in_connect) {
		xenbus_fatal(dev, -EINVAL, "reading %s", "ring-ref");
		return -EINVAL;
	}
	if (!s->connect_err)
		s->attached = true;
	return s->connect_err;
}

static int spy_disconnect(struct xenbus_device *dev)
{
	spy_of(dev)->disconnected++;
	if (spy_of(dev)->disconnect_err)
		return spy_of(dev)->disconnect_err;
	spy_of(dev)->attached = false;
	return 0;
}

static void spy_changed(struct xenbus_device *dev)
{
	spy_of(dev)->changed++;
}

static void spy_remove(struct xenbus_device *dev)
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

static int spy_probe(void *arg, struct xenbus_device *dev, bool *resumed)
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

static void front_gone(struct xenbus_device *dev)
{
	spy_of(dev)->gone++;
}

/* ---- the scene ---------------------------------------------------------- */

static void attach(void)
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

static void start_backend(void)
{
	int err;

	back_xs = fake_open();
	err = xenbus_bus_open(back_xs, 1, &back_driver, &bus_ops, &back_spy,
			      &bus);
	UNIT_CHECK(err == 0);
}

static void stop_backend(void)
{
	xenbus_bus_close(bus);
	xs_close(back_xs);
	bus = NULL;
	back_xs = NULL;
}

static void start_frontend(void)
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

static void stop_frontend(void)
{
	if (!front_xs)
		return;
	xenbus_device_stop(&front);
	xs_close(front_xs);
	front_xs = NULL;
}

/* Let both ends run until nothing happens any more. */
static void settle(void)
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
		if (!busy)
			break;
	}
	UNIT_CHECK(n < 100);
}

static void scene(void)
{
	fake_reset();
	memset(&back_spy, 0, sizeof(back_spy));
	memset(&front_spy, 0, sizeof(front_spy));
	attach();
}

static void connected_scene(void)
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

static void end_scene(void)
{
	stop_frontend();
	stop_backend();
	fake_reset();
}

static bool states_are(const char *back, const char *frontend)
{
	return !strcmp(fake_get(BACK, "state"), back) &&
	       !strcmp(fake_get(FRONT, "state"), frontend);
}

/* ---- connecting --------------------------------------------------------- */

static void connects_in_the_order_of_the_protocol(void)
{
	scene();
	start_backend();
	start_frontend();
	settle();
	UNIT_CHECK(!strcmp(fake_trace, ">2<1<3>4<4"));
	UNIT_CHECK(back_spy.announced == 1 && back_spy.connected == 1);
	UNIT_CHECK(front_spy.announced == 1 && front_spy.connected == 1);
	UNIT_CHECK(!strcmp(back_spy.dev->name, "vbd d3/51712"));
	UNIT_CHECK(back_spy.dev->otherend_id == 3 && front.otherend_id == 1);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	end_scene();
}

static void connects_when_the_frontend_was_first(void)
{
	scene();
	start_frontend();
	settle();
	UNIT_CHECK(states_are("1", "1"));
	start_backend();
	settle();
	UNIT_CHECK(states_are("4", "4"));
	end_scene();
}

static void finds_a_device_attached_later(void)
{
	fake_reset();
	memset(&back_spy, 0, sizeof(back_spy));
	start_backend();
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0);
	attach();
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	UNIT_CHECK(states_are("2", "1"));
	end_scene();
}

static void connects_to_a_frontend_that_goes_to_connected_at_once(void)
{
	scene();
	start_backend();
	settle();
	fake_set(FRONT, "state", "4");
	settle();
	UNIT_CHECK(back_spy.attached && states_are("4", "4"));
	end_scene();
}

static void tells_the_frontend_of_changes_only_while_connected(void)
{
	scene();
	start_frontend();
	fake_set(BACK, "sectors", "100");
	settle();
	UNIT_CHECK(front_spy.changed == 0);
	start_backend();
	settle();
	front_spy.changed = 0;
	fake_set(BACK, "sectors", "200");
	settle();
	UNIT_CHECK(front_spy.changed == 1);
	end_scene();
}

/* ---- closing ------------------------------------------------------------ */

static void closes_from_the_frontend(void)
{
	connected_scene();
	xenbus_close(&front);
	/* The backend may still have our pages: we wait for it. */
	UNIT_CHECK(front_spy.attached && front.state == XenbusStateClosing);
	settle();
	UNIT_CHECK(!strcmp(fake_trace, "<5>5<6>6"));
	UNIT_CHECK(!front_spy.attached && !back_spy.attached);
	UNIT_CHECK(back_spy.disconnected == 1 && front_spy.disconnected == 1);
	UNIT_CHECK(front_spy.gone == 1);
	/* online is still 1: the device waits for a frontend to come again. */
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	end_scene();
}

static void serves_while_a_detach_waits_for_the_frontend(void)
{
	connected_scene();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	UNIT_CHECK(xs_dispatch(back_xs) == 0);
	UNIT_CHECK(back_spy.attached);
	UNIT_CHECK(back_spy.dev->state == XenbusStateClosing);
	settle();
	UNIT_CHECK(!back_spy.attached && !front_spy.attached);
	UNIT_CHECK(states_are("6", "6"));
	UNIT_CHECK(back_spy.removed == 1 && xenbus_bus_nr_devices(bus) == 0);
	end_scene();
}

static void detaches_at_once_when_no_frontend_ever_came(void)
{
	static const char *const states[] = { "1", "2", "6", "", "3" };

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		scene();
		if (i == 4)
			back_spy.connect_err = -EINVAL;
		start_backend();
		settle();
		fake_set(FRONT, "state", states[i]);
		fake_set(BACK, "online", "0");
		fake_set(BACK, "state", "5");
		settle();
		UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
		UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0);
		UNIT_CHECK(back_spy.disconnected <= 1);
		end_scene();
	}
}

static void ends_a_detach_when_the_frontend_is_lost(void)
{
	connected_scene();
	stop_frontend();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	settle();
	UNIT_CHECK(back_spy.attached);
	xenbus_otherend_lost(back_spy.dev);
	UNIT_CHECK(!back_spy.attached);
	settle();
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0);
	end_scene();
}

static void ends_a_detach_after_its_time_with_a_silent_frontend(void)
{
	struct loop *loop;
	uint64_t before;

	connected_scene();
	UNIT_REQUIRE(loop_open(&loop) == 0);
	UNIT_CHECK(xenbus_bus_use_loop(bus, loop) == 0);
	stop_frontend();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	before = clock_now_ns();
	settle();
	UNIT_CHECK(back_spy.dev->close_deadline_ns >=
		   before + XENBUS_CLOSE_WAIT_NS);
	UNIT_CHECK(loop_once(loop, 0) == 0);
	UNIT_CHECK(back_spy.attached);
	/* As if the time were over. */
	back_spy.dev->close_deadline_ns = clock_now_ns();
	UNIT_CHECK(loop_once(loop, clock_now_ns() + NS_PER_S) == 0);
	UNIT_CHECK(!back_spy.attached);
	UNIT_CHECK(loop_once(loop, 0) == 0);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && back_spy.removed == 1);
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
	end_scene();
	loop_close(loop);
}

static void waits_for_a_deferred_disconnect(void)
{
	connected_scene();
	back_spy.disconnect_err = -EINPROGRESS;
	xenbus_close(&front);
	settle();
	UNIT_CHECK(back_spy.disconnected == 1 && states_are("4", "5"));
	/* Whatever the frontend says meanwhile changes nothing. */
	fake_set(FRONT, "state", "4");
	fake_set(FRONT, "state", "1");
	settle();
	UNIT_CHECK(back_spy.disconnected == 1);
	back_spy.disconnect_err = 0;
	xenbus_disconnected(back_spy.dev);
	settle();
	UNIT_CHECK(back_spy.disconnected == 1);
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "2"));
	xenbus_disconnected(back_spy.dev);
	end_scene();
}

static void closes_a_broken_device_without_waiting(void)
{
	connected_scene();
	xenbus_fatal(back_spy.dev, -EPROTO, "request %u is nonsense", 7u);
	UNIT_CHECK(!back_spy.attached && back_spy.disconnected == 1);
	settle();
	UNIT_CHECK(states_are("6", "6"));
	UNIT_CHECK(!strcmp(fake_get(BACK, "error"),
			   "request 7 is nonsense: Protocol error"));
	UNIT_CHECK(back_spy.announced == 1);
	/* A frontend that comes again is served again. */
	stop_frontend();
	start_frontend();
	settle();
	UNIT_CHECK(states_are("4", "4"));
	end_scene();
}

static void stops_serving_when_it_breaks_while_closing(void)
{
	connected_scene();
	stop_frontend();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	settle();
	UNIT_CHECK(back_spy.attached);
	xenbus_fatal(back_spy.dev, -EPROTO, "nonsense");
	UNIT_CHECK(!back_spy.attached);
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0);
	end_scene();
}

static void faults_from_inside_a_step(void)
{
	scene();
	back_spy.fault_in_connect = true;
	start_backend();
	start_frontend();
	settle();
	UNIT_CHECK(back_spy.connected == 1 && back_spy.disconnected == 1);
	UNIT_CHECK(states_are("6", "6"));
	UNIT_CHECK(!strcmp(fake_get(BACK, "error"),
			   "reading ring-ref: Invalid argument"));
	end_scene();
}

static void does_not_retry_a_failed_step_by_itself(void)
{
	scene();
	back_spy.announce_err = -EIO;
	start_backend();
	start_frontend();
	settle();
	UNIT_CHECK(back_spy.announced <= 2);
	UNIT_CHECK(states_are("6", "1"));
	/* The cause is gone, and a new frontend process comes. */
	back_spy.announce_err = 0;
	stop_frontend();
	start_frontend();
	settle();
	UNIT_CHECK(states_are("4", "4"));
	end_scene();

	scene();
	front_spy.announce_err = -ENOSPC;
	start_backend();
	start_frontend();
	settle();
	UNIT_CHECK(front_spy.announced == 1);
	UNIT_CHECK(states_are("2", "6"));
	end_scene();
}

/* ---- coming again ------------------------------------------------------- */

static void serves_a_frontend_process_that_comes_again(void)
{
	connected_scene();
	stop_frontend();
	front_spy.attached = false;
	start_frontend();
	settle();
	UNIT_CHECK(!strcmp(fake_trace, "<1>5>6>1>2<3>4<4"));
	UNIT_CHECK(back_spy.disconnected == 1 && back_spy.connected == 2);
	UNIT_CHECK(back_spy.attached && front_spy.attached);
	end_scene();
}

static void serves_a_frontend_again_after_it_was_lost(void)
{
	connected_scene();
	stop_frontend();
	xenbus_otherend_lost(back_spy.dev);
	settle();
	UNIT_CHECK(states_are("6", "4") && !back_spy.attached);
	start_frontend();
	settle();
	UNIT_CHECK(states_are("4", "4") && back_spy.attached);
	end_scene();
}

static void reconnects_after_the_whole_backend_died(void)
{
	connected_scene();
	stop_backend();
	back_spy.attached = false;
	start_backend();
	settle();
	/* The old ring is let go before anybody touches a new one. */
	UNIT_CHECK(!strncmp(fake_trace, ">6<6>1>2<1<3", 12));
	UNIT_CHECK(states_are("4", "4"));
	UNIT_CHECK(front_spy.disconnected == 1 && front_spy.connected == 2);
	UNIT_CHECK(back_spy.connected == 2 && back_spy.disconnected == 0);
	end_scene();
}

static void reconnects_when_the_driver_domain_is_made_anew(void)
{
	connected_scene();
	stop_backend();
	back_spy.attached = false;
	fake_rm(BACK);
	settle();
	UNIT_CHECK(!front_spy.attached && front.state == XenbusStateClosed);
	fake_set(BACK, "frontend", FRONT);
	fake_set(BACK, "frontend-id", "3");
	fake_set(BACK, "online", "1");
	fake_set(BACK, "state", "1");
	start_backend();
	settle();
	UNIT_CHECK(states_are("4", "4") && front_spy.connected == 2);
	end_scene();
}

/* The same, but the frontend sees nothing until all of it is over. */
static void never_connects_to_the_ring_of_an_earlier_directory(void)
{
	connected_scene();
	stop_backend();
	back_spy.attached = false;
	fake_rm(BACK);
	fake_set(BACK, "frontend", FRONT);
	fake_set(BACK, "frontend-id", "3");
	fake_set(BACK, "online", "1");
	fake_set(BACK, "state", "1");
	start_backend();
	UNIT_CHECK(xs_dispatch(back_xs) == 0);
	UNIT_CHECK(back_spy.connected == 1 && states_are("6", "4"));
	settle();
	UNIT_CHECK(back_spy.connected == 2 && states_are("4", "4"));
	end_scene();
}

static void keeps_the_state_when_the_worker_took_over(void)
{
	connected_scene();
	stop_backend();
	back_spy.resumed = true;
	start_backend();
	settle();
	UNIT_CHECK(fake_trace[0] == '\0');
	UNIT_CHECK(back_spy.connected == 1 && front_spy.disconnected == 0);
	xenbus_close(&front);
	settle();
	UNIT_CHECK(back_spy.disconnected == 1 && states_are("6", "6"));
	end_scene();
}

static void gives_up_a_take_over_that_is_not_of_this_directory(void)
{
	scene();
	back_spy.resumed = true;
	start_backend();
	settle();
	UNIT_CHECK(back_spy.disconnected == 1 && !back_spy.attached);
	UNIT_CHECK(states_are("2", "1"));
	end_scene();
}

static void goes_on_when_the_worker_died_between_announce_and_connect(void)
{
	scene();
	start_backend();
	settle();
	stop_backend();
	start_frontend();
	settle();
	UNIT_CHECK(states_are("2", "3"));
	start_backend();
	settle();
	UNIT_CHECK(states_are("4", "4"));
	UNIT_CHECK(front_spy.disconnected == 0);
	end_scene();
}

static void finishes_a_detach_whose_worker_died(void)
{
	connected_scene();
	stop_backend();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	back_spy.resumed = true;
	start_backend();
	UNIT_CHECK(back_spy.attached);
	settle();
	UNIT_CHECK(!front_spy.attached && !back_spy.attached);
	UNIT_CHECK(states_are("6", "6"));
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && back_spy.removed == 2);
	/* A detached device that is closed is nobody's any more. */
	stop_backend();
	start_backend();
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && back_spy.removed == 2);
	end_scene();
}

/* ---- directories and domains that go away ------------------------------- */

static void never_makes_a_removed_directory_again(void)
{
	struct loop *loop;

	connected_scene();
	UNIT_REQUIRE(loop_open(&loop) == 0);
	UNIT_CHECK(xenbus_bus_use_loop(bus, loop) == 0);
	fake_rm(BACK);
	fake_rm(FRONT);
	settle();
	UNIT_CHECK(loop_once(loop, 0) == 0);
	UNIT_CHECK(!back_spy.attached && !front_spy.attached);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && back_spy.removed == 1);
	UNIT_CHECK(front_spy.gone == 1);
	UNIT_CHECK(!fake_find(BACK "/state") && !fake_find(FRONT "/state"));
	end_scene();
	loop_close(loop);
}

static void remove_backend_dir(void)
{
	fake_rm(BACK);
	/* What a driver's announce left. */
	fake_set(BACK, "feature-persistent", "1");
}

static void clears_what_it_wrote_into_a_directory_removed_meanwhile(void)
{
	scene();
	start_backend();
	settle();
	back_xs->before_commit = remove_backend_dir;
	fake_set(FRONT, "state", "3");
	settle();
	UNIT_CHECK(!fake_find(BACK "/feature-persistent"));
	UNIT_CHECK(!fake_find(BACK "/state"));
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && !back_spy.attached);
	end_scene();
}

static void ask_for_close(void)
{
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
}

static void does_not_overwrite_the_wish_to_close(void)
{
	scene();
	start_backend();
	settle();
	back_xs->before_commit = ask_for_close;
	fake_set(FRONT, "state", "3");
	fake_trace[0] = '\0';
	settle();
	UNIT_CHECK(!strchr(fake_trace, '4'));
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
	UNIT_CHECK(!back_spy.attached && xenbus_bus_nr_devices(bus) == 0);
	end_scene();
}

static void takes_a_device_that_was_removed_and_made_again_at_once(void)
{
	connected_scene();
	stop_frontend();
	fake_rm(BACK);
	fake_rm(FRONT);
	attach();
	settle();
	UNIT_CHECK(back_spy.removed == 1 && back_spy.disconnected == 1);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	UNIT_CHECK(states_are("2", "1"));
	end_scene();
}

static void clears_up_after_a_frontend_domain_that_is_gone(void)
{
	connected_scene();
	fake_set("/local/domain/1/backend/vbd/4/51712", "online", "0");
	stop_frontend();
	fake_domain_exists[3] = false;
	fake_rm(FRONT);
	fake_fire("@releaseDomain", false);
	settle();
	UNIT_CHECK(!back_spy.attached && back_spy.removed == 1);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0);
	UNIT_CHECK(!fake_find(BACK "/state") && !fake_find(BACK "/online"));
	UNIT_CHECK(fake_find("/local/domain/1/backend/vbd/4/51712/online"));
	end_scene();
}

/* Detached and closed, but the toolstack did not remove it in time. */
static void clears_up_a_detached_device_of_a_dead_domain(void)
{
	connected_scene();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	settle();
	UNIT_CHECK(states_are("6", "6") && xenbus_bus_nr_devices(bus) == 0);
	fake_fire("@releaseDomain", false);
	settle();
	UNIT_CHECK(states_are("6", "6"));
	stop_frontend();
	fake_domain_exists[3] = false;
	fake_rm(FRONT);
	fake_fire("@releaseDomain", false);
	settle();
	UNIT_CHECK(!fake_find(BACK "/state"));
	end_scene();
}

static void keeps_the_directory_of_a_domain_that_only_hides_its_state(void)
{
	connected_scene();
	stop_frontend();
	fake_rm(FRONT);
	settle();
	UNIT_CHECK(!back_spy.attached && states_are("6", ""));
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	end_scene();
}

/* ---- hostile and broken values ------------------------------------------ */

static void takes_nonsense_for_unknown(void)
{
	static const char *const values[] = {
		"",
		"-1",
		" 4",
		"4x",
		"9",
		"4294967300",
		"+4",
		"0x4",
		"4\n",
		"connected",
		"99999999999999999999999",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		connected_scene();
		stop_frontend();
		fake_set(FRONT, "state", values[i]);
		settle();
		UNIT_CHECK(!back_spy.attached);
		UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
		end_scene();
	}
	connected_scene();
	stop_frontend();
	fake_put(FRONT "/state", "4\0", 2);
	settle();
	UNIT_CHECK(!back_spy.attached);
	end_scene();
}

static void closes_on_a_reconfiguring_frontend(void)
{
	connected_scene();
	stop_frontend();
	fake_set(FRONT, "state", "7");
	settle();
	UNIT_CHECK(!back_spy.attached);
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
	end_scene();
}

static bool backend_takes(const char *frontend, const char *frontend_id)
{
	bool taken;

	scene();
	fake_set(BACK, "frontend", frontend);
	fake_set(BACK, "frontend-id", frontend_id);
	start_backend();
	settle();
	taken = xenbus_bus_nr_devices(bus) == 1;
	end_scene();
	return taken;
}

static void takes_only_the_frontend_of_its_own_path(void)
{
	UNIT_CHECK(backend_takes(FRONT, "3"));
	UNIT_CHECK(!backend_takes("/local/domain/4/device/vbd/51712", "3"));
	UNIT_CHECK(!backend_takes("/local/domain/4/device/vbd/51712", "4"));
	UNIT_CHECK(!backend_takes("/local/domain/3/device/vif/51712", "3"));
	UNIT_CHECK(!backend_takes("/local/domain/3/device/vbd/51728", "3"));
	UNIT_CHECK(!backend_takes(FRONT "/", "3"));
	UNIT_CHECK(!backend_takes(FRONT "/..", "3"));
	UNIT_CHECK(!backend_takes("", "3"));
	UNIT_CHECK(!backend_takes(FRONT, "3x"));
	UNIT_CHECK(!backend_takes(FRONT, "65539"));
	UNIT_CHECK(!backend_takes(FRONT, ""));
}

static void ignores_directories_with_odd_names(void)
{
	static const char *const dirs[] = {
		"/local/domain/1/backend/vbd/03/51712",
		"/local/domain/1/backend/vbd/3/051712",
		"/local/domain/1/backend/vbd/3/x",
		"/local/domain/1/backend/vbd/-3/51712",
		"/local/domain/1/backend/vbd/40000/51712",
	};

	scene();
	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++) {
		fake_set(dirs[i], "frontend", FRONT);
		fake_set(dirs[i], "frontend-id", "3");
		fake_set(dirs[i], "online", "1");
		fake_set(dirs[i], "state", "1");
	}
	start_backend();
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	end_scene();
}

static int frontend_start(const char *backend, const char *backend_id)
{
	int err;

	fake_set(FRONT, "backend", backend);
	fake_set(FRONT, "backend-id", backend_id);
	front_xs = fake_open();
	memset(&front, 0, sizeof(front));
	front.driver = &front_driver;
	front.xs = front_xs;
	front.handle = 51712;
	front.priv = &front_spy;
	snprintf(front.node, sizeof(front.node), "%s", FRONT);
	err = xenbus_device_start(&front, false);
	stop_frontend();
	return err;
}

static void takes_only_a_backend_below_the_backend_domain(void)
{
	scene();
	UNIT_CHECK(frontend_start(BACK, "1") == 0);
	UNIT_CHECK(frontend_start("/local/domain/1/backend/qdisk/3/51712",
				  "1") == 0);
	UNIT_CHECK(frontend_start(BACK, "2") == -EPERM);
	UNIT_CHECK(frontend_start("/", "1") == -EPERM);
	UNIT_CHECK(frontend_start("/local/domain/1/backend/vbd/4/51712", "1") ==
		   -EPERM);
	UNIT_CHECK(frontend_start("/local/domain/1/backend/vbd/3/51728", "1") ==
		   -EPERM);
	UNIT_CHECK(frontend_start("/local/domain/1/backend//3/51712", "1") ==
		   -EPERM);
	UNIT_CHECK(frontend_start("/local/domain/1/backend/../3/51712", "1") ==
		   -EPERM);
	UNIT_CHECK(frontend_start("/local/domain/1/device/vbd/3/51712", "1") ==
		   -EPERM);
	UNIT_CHECK(frontend_start(BACK, "1 ") == -EINVAL);
	end_scene();
}

static void survives_a_frontend_that_flips_its_state_for_ever(void)
{
	unsigned seed = 1;

	connected_scene();
	stop_frontend();
	for (unsigned i = 0; i < 5000; i++) {
		char text[4];

		seed = seed * 1103515245u + 12345u;
		snprintf(text, sizeof(text), "%u", (seed >> 16) % 10);
		fake_set(FRONT, "state", text);
		if (seed >> 28 & 1)
			settle();
	}
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	/* And an honest one is served at once after that. */
	fake_set(FRONT, "state", "6");
	settle();
	start_frontend();
	settle();
	UNIT_CHECK(states_are("4", "4"));
	end_scene();
}

static void touches_nothing_when_the_store_is_lost(void)
{
	connected_scene();
	back_xs->lost = true;
	fake_set(FRONT, "state", "6");
	UNIT_CHECK(xs_dispatch(back_xs) == -ECONNRESET);
	UNIT_CHECK(back_spy.attached && back_spy.disconnected == 0);
	back_xs->lost = false;
	end_scene();
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(connects_in_the_order_of_the_protocol),
		UNIT_TEST(connects_when_the_frontend_was_first),
		UNIT_TEST(finds_a_device_attached_later),
		UNIT_TEST(
			connects_to_a_frontend_that_goes_to_connected_at_once),
		UNIT_TEST(tells_the_frontend_of_changes_only_while_connected),
		UNIT_TEST(closes_from_the_frontend),
		UNIT_TEST(serves_while_a_detach_waits_for_the_frontend),
		UNIT_TEST(detaches_at_once_when_no_frontend_ever_came),
		UNIT_TEST(ends_a_detach_when_the_frontend_is_lost),
		UNIT_TEST(ends_a_detach_after_its_time_with_a_silent_frontend),
		UNIT_TEST(waits_for_a_deferred_disconnect),
		UNIT_TEST(closes_a_broken_device_without_waiting),
		UNIT_TEST(stops_serving_when_it_breaks_while_closing),
		UNIT_TEST(faults_from_inside_a_step),
		UNIT_TEST(does_not_retry_a_failed_step_by_itself),
		UNIT_TEST(serves_a_frontend_process_that_comes_again),
		UNIT_TEST(serves_a_frontend_again_after_it_was_lost),
		UNIT_TEST(reconnects_after_the_whole_backend_died),
		UNIT_TEST(reconnects_when_the_driver_domain_is_made_anew),
		UNIT_TEST(never_connects_to_the_ring_of_an_earlier_directory),
		UNIT_TEST(keeps_the_state_when_the_worker_took_over),
		UNIT_TEST(gives_up_a_take_over_that_is_not_of_this_directory),
		UNIT_TEST(
			goes_on_when_the_worker_died_between_announce_and_connect),
		UNIT_TEST(finishes_a_detach_whose_worker_died),
		UNIT_TEST(never_makes_a_removed_directory_again),
		UNIT_TEST(
			clears_what_it_wrote_into_a_directory_removed_meanwhile),
		UNIT_TEST(does_not_overwrite_the_wish_to_close),
		UNIT_TEST(
			takes_a_device_that_was_removed_and_made_again_at_once),
		UNIT_TEST(clears_up_after_a_frontend_domain_that_is_gone),
		UNIT_TEST(clears_up_a_detached_device_of_a_dead_domain),
		UNIT_TEST(
			keeps_the_directory_of_a_domain_that_only_hides_its_state),
		UNIT_TEST(takes_nonsense_for_unknown),
		UNIT_TEST(closes_on_a_reconfiguring_frontend),
		UNIT_TEST(takes_only_the_frontend_of_its_own_path),
		UNIT_TEST(ignores_directories_with_odd_names),
		UNIT_TEST(takes_only_a_backend_below_the_backend_domain),
		UNIT_TEST(survives_a_frontend_that_flips_its_state_for_ever),
		UNIT_TEST(touches_nothing_when_the_store_is_lost),
	};

	/* The devices of these tests log what they are meant to log. */
	log_init("xenbus", LOG_ERROR);
	if (!getenv("V"))
		(void)!freopen("/dev/null", "w", stderr);
	return unit_run("xenbus", cases, ARRAY_SIZE(cases));
}
