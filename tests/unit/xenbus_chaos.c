/* SPDX-License-Identifier: MIT */
/*
 * xenbus_chaos.c - seeded disorder: events one by one in any order between the
 * ends, processes and whole domains that die at any step, detach and attach in
 * the middle of it. Afterwards two honest ends must be connected, or a detach
 * must have ended. A failure prints its seed; XENBUS_SEED=N runs that one.
 */
#include "tests/unit/soak.h"
#include "tests/unit/xenbus_scene.h"

#define NR_STEPS 60u

static uint64_t state;

static unsigned draw(unsigned below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % below;
}

static void restart_frontend(void)
{
	stop_frontend();
	front_spy.attached = false;
	start_frontend();
}

/* dead: the whole backend died, nothing of it can be taken over. */
static void restart_backend(bool dead)
{
	bool attached = back_spy.attached;

	stop_backend();
	back_spy.resumed = !dead && attached;
	back_spy.attached = false;
	start_backend();
	back_spy.resumed = false;
}

static void deferred_done(struct spy *s)
{
	s->disconnect_err = 0;
	if (s->dev && s->dev->disconnecting) {
		s->attached = false;
		xenbus_disconnected(s->dev);
	}
}

static void one_step(void)
{
	switch (draw(16)) {
	case 0: restart_frontend(); break;
	case 1: restart_backend(false); break;
	case 2: restart_backend(true); break;
	case 3:
		if (back_spy.dev)
			xenbus_otherend_lost(back_spy.dev);
		break;
	case 4:
		if (draw(4) == 0 && back_spy.dev)
			xenbus_fatal(back_spy.dev, -EPROTO, "chaos");
		break;
	case 5: back_spy.disconnect_err = -EINPROGRESS; break;
	case 6: deferred_done(&back_spy); break;
	case 7: xenbus_otherend_lost(&front); break;
	case 8:
	case 9:
	case 10:
	case 11: fake_dispatch_one(front_xs); break;
	default: fake_dispatch_one(back_xs); break;
	}
}

/* The backend alone is gone, with its directory, and is made again. */
static void remake_backend_directory(void)
{
	fake_rm(BACK);
	fake_set(BACK, "frontend", FRONT);
	fake_set(BACK, "frontend-id", "3");
	fake_set(BACK, "online", "1");
	fake_set(BACK, "state", "1");
}

static void recovers_from(uint64_t seed)
{
	state = seed;
	scene();
	start_backend();
	start_frontend();
	for (unsigned i = 0; i < NR_STEPS; i++) {
		if (draw(40) == 0)
			remake_backend_directory();
		one_step();
	}
	deferred_done(&back_spy);
	settle();
	/* Lost connections are made anew by a frontend that starts anew. */
	restart_frontend();
	settle();
	deferred_done(&back_spy);
	settle();
	UNIT_CHECK(states_are("4", "4"));
	UNIT_CHECK(back_spy.attached && front_spy.attached);
	UNIT_CHECK(back_spy.ring == front_spy.ring);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 1);
	end_scene();
}

static void detaches_from(uint64_t seed)
{
	state = seed;
	scene();
	start_backend();
	start_frontend();
	for (unsigned i = 0; i < NR_STEPS; i++) {
		one_step();
		if (i == NR_STEPS / 2) {
			fake_set(BACK, "online", "0");
			fake_set(BACK, "state", "5");
		}
	}
	deferred_done(&back_spy);
	settle();
	deferred_done(&back_spy);
	settle();
	/* Whoever hangs is closed when the time is over. */
	if (back_spy.dev && xenbus_bus_nr_devices(bus))
		let_time_pass(back_spy.dev);
	UNIT_CHECK(loop_once(bus_loop, clock_now_ns() + NS_PER_MS) == 0);
	settle();
	UNIT_CHECK(!strcmp(fake_get(BACK, "state"), "6"));
	UNIT_CHECK(!back_spy.attached);
	UNIT_CHECK(xenbus_bus_nr_devices(bus) == 0);
	end_scene();
}

static void over_seeds(void (*fn)(uint64_t seed))
{
	const char *text = getenv("XENBUS_SEED");
	uint64_t first = text ? strtoull(text, NULL, 10) : 1;
	uint64_t last = text ? first : soak_rounds(600, 20000);

	for (uint64_t seed = first; seed <= last; seed++) {
		unsigned before = CU_get_number_of_failures();

		fn(seed);
		if (CU_get_number_of_failures() != before) {
			printf("XENBUS_SEED=%llu fails: %s\n",
			       (unsigned long long)seed, fake_trace);
			return;
		}
	}
}

static void two_honest_ends_find_together_after_any_disorder(void)
{
	over_seeds(recovers_from);
}

static void a_detach_ends_in_any_disorder(void)
{
	over_seeds(detaches_from);
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(two_honest_ends_find_together_after_any_disorder),
		UNIT_TEST(a_detach_ends_in_any_disorder),
	};

	be_quiet("xenbus_chaos");
	return unit_run("xenbus_chaos", cases, ARRAY_SIZE(cases));
}
