/* SPDX-License-Identifier: MIT */
/*
 * platform_sim.c - the simulated world's own promises: one seed, one history;
 * faults as configured; death at any step leaves nothing.
 */
#include "platform/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define BACK  1
#define FRONT 2

static struct sim *sim;
static struct platform *front, *back;

static void begin(uint64_t seed)
{
	if (sim_open(seed, &sim) || sim_platform(sim, FRONT, &front) ||
	    sim_platform(sim, BACK, &back))
		abort();
}

static void end(void)
{
	platform_close(front);
	platform_close(back);
	UNIT_CHECK(sim_nr_shares(sim) == 0);
	UNIT_CHECK(sim_nr_mapped_pages(sim) == 0);
	UNIT_CHECK(sim_nr_channels(sim) == 0);
	UNIT_CHECK(sim_nr_travelling(sim) == 0);
	sim_close(sim);
}

static void channel(struct evtchn **fe, struct evtchn **be)
{
	if (platform_evtchn_alloc(front, BACK, fe) ||
	    platform_evtchn_bind(back, FRONT, evtchn_port(*fe), be))
		abort();
}

static void has_no_descriptors_and_no_store(void)
{
	struct evtchn *fe, *be;
	struct platform *twin;

	begin(1);
	channel(&fe, &be);
	UNIT_CHECK(evtchn_fd(fe) == -1 && evtchn_fd(be) == -1);
	UNIT_CHECK(platform_store_connect(back) == -EOPNOTSUPP);
	UNIT_CHECK(sim_platform(sim, FRONT, &twin) == -EEXIST);
	UNIT_CHECK(sim_platform(sim, DOMID_SELF, &twin) == -EINVAL);
	evtchn_close(fe);
	evtchn_close(be);
	end();
}

static void delays_a_notification_by_steps(void)
{
	struct evtchn *fe, *be;
	int steps = 0;

	begin(3);
	sim_set_faults(sim, &(struct sim_faults){ .delay_max_steps = 9 });
	channel(&fe, &be);
	evtchn_notify(fe);
	UNIT_CHECK(sim_nr_travelling(sim) == 1);
	UNIT_CHECK(evtchn_clear(be) == 0);
	while (!evtchn_clear(be) && steps++ < 100)
		sim_step(sim);
	UNIT_CHECK(steps >= 1 && steps <= 10);
	/* A storm travels as a handful. */
	for (int i = 0; i < 100000; i++)
		evtchn_notify(fe);
	UNIT_CHECK(sim_nr_travelling(sim) <= 4);
	UNIT_CHECK(sim_settle(sim) >= 1);
	UNIT_CHECK(evtchn_clear(be) == 1);
	UNIT_CHECK(evtchn_clear(be) == 0);
	/* What still travels when the channel goes, goes with it. */
	evtchn_notify(fe);
	evtchn_close(fe);
	evtchn_close(be);
	end();
}

static void drops_and_doubles_as_configured(void)
{
	struct evtchn *fe, *be;
	uint32_t seen = 0, doubled = 0;

	begin(4);
	channel(&fe, &be);
	sim_set_faults(sim, &(struct sim_faults){ .notify_drop = 256 });
	for (int i = 0; i < 4000; i++) {
		evtchn_notify(fe);
		seen += evtchn_clear(be) == 1;
	}
	UNIT_CHECK(seen > 2800 && seen < 3200);
	sim_set_faults(sim, &(struct sim_faults){ .notify_duplicate = 512,
						  .delay_max_steps = 1 });
	for (int i = 0; i < 1000; i++) {
		evtchn_notify(fe);
		doubled += sim_settle(sim) == 2;
		UNIT_CHECK(evtchn_clear(be) == 1);
	}
	UNIT_CHECK(doubled > 400 && doubled < 600);
	evtchn_close(fe);
	evtchn_close(be);
	end();
}

static void fails_what_it_is_told_to_fail(void)
{
	struct grant_map map;
	struct share share;
	struct evtchn *ev;

	begin(5);
	sim_set_faults(sim, &(struct sim_faults){ .share_fail = 1024,
						  .bind_fail = 1024 });
	UNIT_CHECK(platform_share(front, BACK, 1, 0, &share) == -ENOSPC);
	UNIT_CHECK(platform_evtchn_alloc(front, BACK, &ev) == -EAGAIN);
	sim_set_faults(sim, &(struct sim_faults){ .map_fail = 1024 });
	UNIT_REQUIRE(!platform_share(front, BACK, 1, 0, &share));
	UNIT_CHECK(platform_map(back, FRONT, &share.first_ref, 1, true, &map) ==
		   -ENOMEM);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

/* A history of random calls; its fingerprint. */
static uint64_t history(uint64_t seed, int steps)
{
	struct share shares[8] = { 0 };
	struct grant_map maps[8] = { 0 };
	struct evtchn *fe, *be;
	uint64_t print = 0;

	begin(seed);
	channel(&fe, &be);
	sim_set_faults(sim, &(struct sim_faults){ .map_fail = 100,
						  .share_fail = 100,
						  .notify_drop = 200,
						  .notify_duplicate = 200,
						  .delay_max_steps = 5 });
	for (int i = 0; i < steps; i++) {
		unsigned k = (unsigned)(sim_random(sim) % 8);
		int ret = 0;

		if (i == steps / 2)
			sim_kill(sim, seed & 1 ? BACK : FRONT);
		switch (sim_random(sim) % 6) {
		case 0:
			if (!shares[k].base)
				ret = platform_share(front, BACK, 1 + k, 0,
						     &shares[k]);
			break;
		case 1:
			if (shares[k].base)
				ret = platform_unshare(front, &shares[k]);
			break;
		case 2:
			if (shares[k].base && !maps[k].nr_pages)
				ret = platform_map(back, FRONT,
						   &shares[k].first_ref, 1,
						   true, &maps[k]);
			break;
		case 3:
			if (maps[k].nr_pages)
				platform_unmap(back, &maps[k]);
			break;
		case 4: evtchn_notify(k & 1 ? fe : be); break;
		default: ret = evtchn_clear(k & 1 ? fe : be); sim_step(sim);
		}
		print = (print ^ (uint64_t)(int64_t)ret) * 0x100000001b3ull;
	}
	for (int k = 0; k < 8; k++) {
		if (maps[k].nr_pages)
			platform_unmap(back, &maps[k]);
		if (shares[k].base)
			platform_unshare(front, &shares[k]);
	}
	evtchn_close(fe);
	evtchn_close(be);
	end();
	return print;
}

static void repeats_a_history_from_its_seed(void)
{
	uint32_t nr_equal = 0;

	for (uint64_t seed = 0; seed < 40; seed++) {
		uint64_t print = history(seed, 2000);

		UNIT_CHECK(history(seed, 2000) == print);
		nr_equal += history(seed + 1, 2000) == print;
	}
	UNIT_CHECK(nr_equal == 0);
}

static void leaves_nothing_after_a_death_at_any_step(void)
{
	for (int steps = 0; steps < 400; steps++)
		(void)history((uint64_t)steps * 7919, steps);
}

UNIT_MAIN("platform_sim", UNIT_TEST(has_no_descriptors_and_no_store),
	  UNIT_TEST(delays_a_notification_by_steps),
	  UNIT_TEST(drops_and_doubles_as_configured),
	  UNIT_TEST(fails_what_it_is_told_to_fail),
	  UNIT_TEST(repeats_a_history_from_its_seed),
	  UNIT_TEST(leaves_nothing_after_a_death_at_any_step))
