/* SPDX-License-Identifier: MIT */
/*
 * xenbus_again.c - ends that die and come again, directories and domains that
 * go away, over a fake store.
 */
#include "tests/unit/xenbus_scene.h"

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
	UNIT_CHECK(are_connected());
	/* The loss is forgotten: a detach waits for this frontend. */
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	UNIT_CHECK(xs_dispatch(back_xs) == 0);
	UNIT_CHECK(back_spy.attached);
	settle();
	UNIT_CHECK(states_are("6", "6"));
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
	UNIT_CHECK(are_connected());
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
	UNIT_CHECK(are_connected() && front_spy.connected == 2);
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
	UNIT_CHECK(back_spy.connected == 2 && are_connected());
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
	UNIT_CHECK(are_connected());
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
	connected_scene();
	fake_rm(BACK);
	fake_rm(FRONT);
	settle();
	UNIT_CHECK(!back_spy.attached && !front_spy.attached);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0 && back_spy.removed == 1);
	UNIT_CHECK(front_spy.gone == 1);
	UNIT_CHECK(!fake_find(BACK "/state") && !fake_find(FRONT "/state"));
	end_scene();
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

static void takes_a_device_made_again_while_the_old_one_drains(void)
{
	connected_scene();
	stop_frontend();
	back_spy.disconnect_err = -EINPROGRESS;
	fake_rm(BACK);
	fake_rm(FRONT);
	attach();
	settle();
	UNIT_CHECK(back_spy.dev->disconnecting && states_are("1", "1"));
	back_spy.disconnect_err = 0;
	xenbus_disconnected(back_spy.dev);
	UNIT_CHECK(back_spy.removed == 0);
	UNIT_CHECK(loop_once(bus_loop, 0) == 0);
	UNIT_CHECK(back_spy.removed == 1 && xenbus_bus_nr_devices(bus) == 1);
	UNIT_CHECK(states_are("2", "1"));
	end_scene();
}

static void remake_when_closed(void)
{
	if (strcmp(fake_get(BACK, "state"), "6") != 0) {
		back_xs->before_commit = remake_when_closed;
		return;
	}
	fake_domain_exists[3] = true;
	fake_set(BACK, "state", "1");
}

/* A new guest of the same number, and the toolstack was quick. */
static void leaves_a_directory_that_was_made_again_meanwhile(void)
{
	connected_scene();
	stop_frontend();
	fake_domain_exists[3] = false;
	fake_rm(FRONT);
	back_xs->before_commit = remake_when_closed;
	fake_fire("@releaseDomain", false);
	settle();
	UNIT_CHECK(back_spy.removed == 1 && xenbus_bus_nr_devices(bus) == 1);
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "2"));
	UNIT_CHECK(!strcmp(fake_get(BACK, "frontend"), FRONT));
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

/* ---- the store comes again ---------------------------------------------- */

static void fire_everything(void)
{
	fake_fire_everything(back_xs);
	fake_fire_everything(front_xs);
	settle();
}

static void does_nothing_when_everything_fires_again(void)
{
	connected_scene();
	fire_everything();
	fire_everything();
	UNIT_CHECK(are_connected() && !fake_trace[0]);
	UNIT_CHECK(back_spy.announced == 1 && back_spy.connected == 1);
	UNIT_CHECK(front_spy.announced == 1 && front_spy.connected == 1);
	UNIT_CHECK(!back_spy.disconnected && !front_spy.disconnected);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	/* But what is in the directory may be another now. */
	UNIT_CHECK(front_spy.changed >= 2);
	end_scene();
}

static void sees_what_moved_while_the_store_was_away(void)
{
	connected_scene();
	fake_set(BACK, "online", "0");
	fake_set(BACK, "state", "5");
	fake_forget_events(back_xs);
	fake_forget_events(front_xs);
	settle();
	UNIT_CHECK(back_spy.attached && front_spy.attached);
	fire_everything();
	UNIT_CHECK(states_are("6", "6"));
	UNIT_CHECK(!back_spy.attached && !front_spy.attached);
	end_scene();
}

/* Each state that either end writes, once in vain. */
static void goes_on_when_the_store_did_not_take_a_state(void)
{
	for (unsigned at = 2; at <= 9; at++) {
		scene();
		fake_txn_timeout_at = at % 2 ? at / 2 : 0;
		start_backend();
		fake_txn_timeout_at = at % 2 ? 0 : at / 2;
		start_frontend();
		settle();
		fire_everything();
		fire_everything();
		UNIT_CHECK(are_connected());
		UNIT_CHECK(back_spy.announced == 1 && back_spy.connected == 1);
		UNIT_CHECK(front_spy.announced == 1 &&
			   front_spy.connected == 1);
		UNIT_CHECK(!back_spy.disconnected && !front_spy.disconnected);
		end_scene();
	}
}

int main(void)
{
	static const struct unit_case cases[] = {
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
		UNIT_TEST(takes_a_device_made_again_while_the_old_one_drains),
		UNIT_TEST(leaves_a_directory_that_was_made_again_meanwhile),
		UNIT_TEST(clears_up_after_a_frontend_domain_that_is_gone),
		UNIT_TEST(clears_up_a_detached_device_of_a_dead_domain),
		UNIT_TEST(
			keeps_the_directory_of_a_domain_that_only_hides_its_state),
		UNIT_TEST(does_nothing_when_everything_fires_again),
		UNIT_TEST(sees_what_moved_while_the_store_was_away),
		UNIT_TEST(goes_on_when_the_store_did_not_take_a_state),
	};

	be_quiet("xenbus_again");
	return unit_run("xenbus_again", cases, ARRAY_SIZE(cases));
}
