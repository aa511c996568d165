/* SPDX-License-Identifier: MIT */
/*
 * xenbus.c - both ends of a device over a fake store: connecting, closing from
 * either end, faults, hostile values.
 */
#include "tests/unit/xenbus_scene.h"

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
	UNIT_CHECK(are_connected());
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

static unsigned nr_watches(const struct xs *xs)
{
	unsigned nr = 0;

	list_for_each(l, &xs->watches)
		nr++;
	return nr;
}

/* A thousand disks fit into a driver domain's quota, and storms stay small. */
static void a_backend_sets_one_watch_a_device_and_hears_of_states_only(void)
{
	unsigned idle;

	fake_reset();
	memset(&back_spy, 0, sizeof(back_spy));
	start_backend();
	settle();
	idle = nr_watches(back_xs);
	attach();
	settle();
	UNIT_CHECK(nr_watches(back_xs) == idle + 1);
	fake_set(FRONT, "anything", "1");
	UNIT_CHECK(!xs_pending(back_xs));
	fake_set(FRONT, "state", "1");
	UNIT_CHECK(xs_pending(back_xs));
	settle();
	end_scene();
}

static void tells_the_backend_what_changed_in_its_directory(void)
{
	connected_scene();
	back_spy.changed = 0;
	fake_set(BACK, "limit-rates", "1");
	settle();
	UNIT_CHECK(back_spy.changed == 1);
	UNIT_CHECK(!strcmp(back_spy.node, "limit-rates"));
	fake_set(BACK, "statistics/request", "1");
	settle();
	UNIT_CHECK(back_spy.changed == 2);
	UNIT_CHECK(!strcmp(back_spy.node, "statistics/request"));
	fake_set(BACK, "state", "4");
	fake_set("/local/domain/1/backend/vbd/3/51713", "limit-rates", "1");
	settle();
	UNIT_CHECK(back_spy.changed == 2);
	fake_fire_everything(back_xs);
	settle();
	UNIT_CHECK(back_spy.changed == 3 && !*back_spy.node);
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
	uint64_t before;

	connected_scene();
	stop_frontend();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	before = clock_now_ns();
	settle();
	UNIT_CHECK(back_spy.dev->close_deadline_ns >=
		   before + XENBUS_CLOSE_WAIT_NS);
	UNIT_CHECK(back_spy.attached);
	let_time_pass(back_spy.dev);
	UNIT_CHECK(loop_once(bus_loop, clock_now_ns() + NS_PER_S) == 0);
	UNIT_CHECK(!back_spy.attached);
	settle();
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && back_spy.removed == 1);
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
	end_scene();
}

/* It was closing already, and its process died before it was Closed. */
static void closes_when_the_frontend_is_lost_in_the_middle_of_closing(void)
{
	connected_scene();
	stop_frontend();
	fake_set(FRONT, "state", "5");
	settle();
	UNIT_CHECK(states_are("5", "5") && !back_spy.attached);
	xenbus_otherend_lost(back_spy.dev);
	UNIT_CHECK(states_are("6", "5"));
	end_scene();
}

static void switches_only_as_the_table_allows(void)
{
	connected_scene();
	UNIT_CHECK(xenbus_switch(&front, XenbusStateInitWait) == -EINVAL);
	UNIT_CHECK(xenbus_switch(&front, XenbusStateUnknown) == -EINVAL);
	UNIT_CHECK(front.state == XenbusStateConnected);
	UNIT_CHECK(fake_trace[0] == '\0');
	end_scene();
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
	UNIT_CHECK(are_connected());
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
	UNIT_CHECK(are_connected());
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
	UNIT_CHECK(are_connected());
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
		UNIT_TEST(
			a_backend_sets_one_watch_a_device_and_hears_of_states_only),
		UNIT_TEST(tells_the_backend_what_changed_in_its_directory),
		UNIT_TEST(closes_from_the_frontend),
		UNIT_TEST(serves_while_a_detach_waits_for_the_frontend),
		UNIT_TEST(detaches_at_once_when_no_frontend_ever_came),
		UNIT_TEST(ends_a_detach_when_the_frontend_is_lost),
		UNIT_TEST(ends_a_detach_after_its_time_with_a_silent_frontend),
		UNIT_TEST(
			closes_when_the_frontend_is_lost_in_the_middle_of_closing),
		UNIT_TEST(switches_only_as_the_table_allows),
		UNIT_TEST(waits_for_a_deferred_disconnect),
		UNIT_TEST(closes_a_broken_device_without_waiting),
		UNIT_TEST(stops_serving_when_it_breaks_while_closing),
		UNIT_TEST(faults_from_inside_a_step),
		UNIT_TEST(does_not_retry_a_failed_step_by_itself),
		UNIT_TEST(takes_nonsense_for_unknown),
		UNIT_TEST(closes_on_a_reconfiguring_frontend),
		UNIT_TEST(takes_only_the_frontend_of_its_own_path),
		UNIT_TEST(ignores_directories_with_odd_names),
		UNIT_TEST(takes_only_a_backend_below_the_backend_domain),
		UNIT_TEST(survives_a_frontend_that_flips_its_state_for_ever),
		UNIT_TEST(touches_nothing_when_the_store_is_lost),
	};

	be_quiet("xenbus");
	return unit_run("xenbus", cases, ARRAY_SIZE(cases));
}
