/* SPDX-License-Identifier: MIT */
/*
 * grant.c - the frontend's pool and the backend's cache, on the sim platform:
 * its mappings fault on every stray access.
 */
#include "grant/grant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/sim.h"
#include "tests/unit/unit.h"

#define PAGE  ((size_t)PV_PAGE_SIZE)
#define BACK  1
#define FRONT 2

static struct sim *sim;
static struct platform *front, *back;

static void begin(void)
{
	if (sim_open(7, &sim) || sim_platform(sim, FRONT, &front) ||
	    sim_platform(sim, BACK, &back))
		abort();
}

static void end(void)
{
	platform_close(front);
	platform_close(back);
	UNIT_CHECK(sim_nr_shares(sim) == 0);
	UNIT_CHECK(sim_nr_mapped_pages(sim) == 0);
	sim_close(sim);
}

static char *local(void PV_SHARED *page)
{
	return (char *)(uintptr_t)page;
}

static void knows_its_pages_by_number_reference_and_address(void)
{
	struct grant_pool *pool;
	char *base;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 100, 0, &pool));
	base = grant_pool_base(pool);
	UNIT_CHECK(grant_pool_nr_pages(pool) == 100);
	UNIT_CHECK(grant_pool_page(pool, 99) == base + 99 * PAGE);
	UNIT_CHECK(grant_pool_ref(pool, 99) == grant_pool_ref(pool, 0) + 99);
	UNIT_CHECK(grant_pool_index(pool, base) == 0);
	UNIT_CHECK(grant_pool_index(pool, base + 4095) == 0);
	UNIT_CHECK(grant_pool_index(pool, base + 4096) == 1);
	UNIT_CHECK(grant_pool_index(pool, base + 100 * PAGE - 1) == 99);
	UNIT_CHECK(grant_pool_index(pool, base + 100 * PAGE) == -1);
	UNIT_CHECK(grant_pool_index(pool, base - 1) == -1);
	UNIT_CHECK(grant_pool_index(pool, NULL) == -1);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	UNIT_CHECK(grant_pool_close(NULL) == 0);
	UNIT_CHECK(grant_pool_open(front, BACK, 0, 0, &pool) == -EINVAL);
	UNIT_CHECK(grant_pool_open(front, BACK, UINT32_MAX, 0, &pool) ==
		   -EINVAL);
	end();
}

static void hands_out_every_page_once(void)
{
	const uint32_t sizes[] = { 1, 63, 64, 65, 128, 200 };
	struct grant_pool *pool;

	begin();
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		UNIT_REQUIRE(!grant_pool_open(front, BACK, sizes[s], 0, &pool));
		for (uint32_t i = 0; i < sizes[s]; i++)
			UNIT_CHECK(grant_pool_take(pool, 1) == i);
		UNIT_CHECK(grant_pool_take(pool, 1) == -1);
		grant_pool_put(pool, sizes[s] / 2, 1);
		UNIT_CHECK(grant_pool_take(pool, 1) == sizes[s] / 2);
		UNIT_CHECK(grant_pool_take(pool, 1) == -1);
		UNIT_CHECK(grant_pool_close(pool) == 0);
	}
	end();
}

static void finds_contiguous_pages_across_holes(void)
{
	struct grant_pool *pool;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 130, 0, &pool));
	UNIT_CHECK(grant_pool_take(pool, 0) == -1);
	UNIT_CHECK(grant_pool_take(pool, 131) == -1);
	UNIT_CHECK(grant_pool_take(pool, 130) == 0);
	UNIT_CHECK(grant_pool_take(pool, 1) == -1);
	grant_pool_put(pool, 3, 2);
	grant_pool_put(pool, 62, 4);
	UNIT_CHECK(grant_pool_take(pool, 5) == -1);
	UNIT_CHECK(grant_pool_take(pool, 3) == 62);
	UNIT_CHECK(grant_pool_take(pool, 2) == 3);
	UNIT_CHECK(grant_pool_take(pool, 2) == -1);
	UNIT_CHECK(grant_pool_take(pool, 1) == 65);
	grant_pool_put(pool, 0, 130);
	UNIT_CHECK(grant_pool_take(pool, 130) == 0);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void agrees_with_a_plain_model(void)
{
	enum {
		N = 150
	};
	bool used[N] = { false };
	struct grant_pool *pool;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, N, 0, &pool));
	for (int step = 0; step < 20000; step++) {
		uint32_t nr = 1 + (uint32_t)(sim_random(sim) % 4);
		int64_t want = -1, got;

		for (uint32_t i = 0, run = 0; i < N && want < 0; i++) {
			run = used[i] ? 0 : run + 1;
			if (run == nr)
				want = i + 1 - nr;
		}
		if (sim_random(sim) % 2) {
			got = grant_pool_take(pool, nr);
			UNIT_REQUIRE(got == want);
			for (uint32_t i = 0; got >= 0 && i < nr; i++)
				used[got + i] = true;
		} else {
			uint32_t i = (uint32_t)(sim_random(sim) % N);

			if (!used[i])
				continue;
			grant_pool_put(pool, i, 1);
			used[i] = false;
		}
	}
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void maps_a_page_once_and_keeps_it(void)
{
	void PV_SHARED *p1, *p2;
	struct grant_cache *cache;
	struct grant_pool *pool;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 4, 0, &pool));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 3, &cache));
	memcpy(grant_pool_page(pool, 2), "two", sizeof("two"));
	UNIT_REQUIRE(
		!grant_cache_get(cache, grant_pool_ref(pool, 2), true, &p1));
	UNIT_CHECK(!strcmp(local(p1), "two"));
	UNIT_REQUIRE(
		!grant_cache_get(cache, grant_pool_ref(pool, 2), false, &p2));
	UNIT_CHECK(p1 == p2);
	grant_cache_put(cache, grant_pool_ref(pool, 2));
	grant_cache_put(cache, grant_pool_ref(pool, 2));
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 1);
	UNIT_REQUIRE(
		!grant_cache_get(cache, grant_pool_ref(pool, 2), true, &p2));
	UNIT_CHECK(p1 == p2 && sim_nr_mapped_pages(sim) == 1);
	grant_cache_put(cache, grant_pool_ref(pool, 2));
	UNIT_CHECK(grant_cache_get(cache, 4000, true, &p2) == -ENOENT);
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 1);
	grant_cache_close(cache);
	grant_cache_close(NULL);
	UNIT_CHECK(grant_cache_open(back, FRONT, 0, &cache) == -EINVAL);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void evicts_the_least_recently_used(void)
{
	void PV_SHARED *page;
	struct grant_cache *cache;
	struct grant_pool *pool;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 8, 0, &pool));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 3, &cache));
	ref = grant_pool_ref(pool, 0);
	for (grant_ref_t i = 0; i < 3; i++) {
		UNIT_REQUIRE(!grant_cache_get(cache, ref + i, true, &page));
		grant_cache_put(cache, ref + i);
	}
	/* 0 is used again: now 1 is the oldest. */
	UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &page));
	grant_cache_put(cache, ref);
	UNIT_REQUIRE(!grant_cache_get(cache, ref + 3, true, &page));
	grant_cache_put(cache, ref + 3);
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 3);
	/* A failing map shows what is cached: hits do not map. */
	sim_set_faults(sim, &(struct sim_faults){ .map_fail = 1024 });
	UNIT_CHECK(grant_cache_get(cache, ref + 1, true, &page) == -ENOMEM);
	UNIT_CHECK(!grant_cache_get(cache, ref, true, &page));
	UNIT_CHECK(!grant_cache_get(cache, ref + 3, true, &page));
	grant_cache_put(cache, ref);
	grant_cache_put(cache, ref + 3);
	grant_cache_close(cache);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void never_evicts_a_pinned_page(void)
{
	void PV_SHARED *page, *pinned;
	struct grant_cache *cache;
	struct grant_pool *pool;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 8, 0, &pool));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 2, &cache));
	ref = grant_pool_ref(pool, 0);
	memcpy(grant_pool_page(pool, 0), "pinned", sizeof("pinned"));
	UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &pinned));
	for (grant_ref_t i = 1; i < 8; i++) {
		UNIT_REQUIRE(!grant_cache_get(cache, ref + i, true, &page));
		grant_cache_put(cache, ref + i);
	}
	UNIT_CHECK(!strcmp(local(pinned), "pinned"));
	UNIT_REQUIRE(!grant_cache_get(cache, ref + 1, true, &page));
	UNIT_CHECK(grant_cache_get(cache, ref + 2, true, &page) == -EBUSY);
	UNIT_CHECK(!grant_cache_get(cache, ref, true, &page));
	UNIT_CHECK(page == pinned);
	grant_cache_put(cache, ref);
	grant_cache_put(cache, ref);
	grant_cache_put(cache, ref + 1);
	UNIT_REQUIRE(!grant_cache_get(cache, ref + 2, true, &page));
	grant_cache_put(cache, ref + 2);
	grant_cache_close(cache);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void a_look_finds_what_is_mapped_and_keeps_it(void)
{
	void PV_SHARED *page[4], *other;
	struct grant_cache *cache;
	struct grant_pool *pool;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 8, 0, &pool));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 4, &cache));
	ref = grant_pool_ref(pool, 0);
	UNIT_CHECK(!grant_cache_peek(cache, ref, false));
	UNIT_CHECK(!grant_cache_peek(cache, 0, false));
	for (grant_ref_t i = 0; i < 4; i++) {
		UNIT_REQUIRE(
			!grant_cache_get(cache, ref + i, i != 3, &page[i]));
		grant_cache_put(cache, ref + i);
		UNIT_CHECK(grant_cache_peek(cache, ref + i, i != 3) == page[i]);
	}
	UNIT_CHECK(grant_cache_peek(cache, ref, false) == page[0]);
	UNIT_CHECK(!grant_cache_peek(cache, ref + 3, true));
	/* Every page was looked at: the first in the list makes room, once all
	 * have had their second chance. */
	UNIT_REQUIRE(!grant_cache_get(cache, ref + 4, true, &other));
	UNIT_CHECK(grant_cache_peek(cache, ref + 4, true) == other);
	UNIT_CHECK(!grant_cache_peek(cache, ref, false));
	grant_cache_put(cache, ref + 4);
	/* 1 is the oldest, but it was looked at since. */
	UNIT_CHECK(grant_cache_peek(cache, ref + 1, true) == page[1]);
	UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &other));
	UNIT_CHECK(grant_cache_peek(cache, ref + 1, true) == page[1]);
	UNIT_CHECK(!grant_cache_peek(cache, ref + 2, true));
	grant_cache_put(cache, ref);
	grant_cache_forget(cache, ref + 1);
	UNIT_CHECK(!grant_cache_peek(cache, ref + 1, true));
	grant_cache_close(cache);
	/* The only one, just looked at, makes room as well. */
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 1, &cache));
	UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &other));
	grant_cache_put(cache, ref);
	UNIT_CHECK(grant_cache_peek(cache, ref, true) == other);
	UNIT_REQUIRE(!grant_cache_get(cache, ref + 1, true, &other));
	grant_cache_put(cache, ref + 1);
	/* A look counts as a use to the idle clock, too. */
	grant_cache_expire(cache);
	UNIT_CHECK(grant_cache_peek(cache, ref + 1, true) == other);
	UNIT_CHECK(grant_cache_expire(cache) == 1);
	UNIT_CHECK(grant_cache_expire(cache) == 1);
	UNIT_CHECK(grant_cache_expire(cache) == 0);
	UNIT_CHECK(!grant_cache_peek(cache, ref + 1, true));
	grant_cache_close(cache);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void maps_anew_what_is_now_wanted_writable(void)
{
	void PV_SHARED *ro, *rw, *page;
	struct grant_cache *cache;
	struct grant_pool *pool;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 4, 0, &pool));
	ref = grant_pool_ref(pool, 0);
	for (uint32_t cap = 1; cap <= 3; cap++) {
		UNIT_REQUIRE(!grant_cache_open(back, FRONT, cap, &cache));
		/* Nobody has it: simply replaced. */
		UNIT_REQUIRE(!grant_cache_get(cache, ref, false, &ro));
		grant_cache_put(cache, ref);
		UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &rw));
		local(rw)[0] = 'w';
		grant_cache_put(cache, ref);
		UNIT_CHECK(grant_cache_nr_mapped(cache) == 1);
		grant_cache_close(cache);
	}
	/* Somebody reads it meanwhile: both mappings live until the last. */
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 2, &cache));
	UNIT_REQUIRE(!grant_cache_get(cache, ref, false, &ro));
	UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &rw));
	local(rw)[0] = 'x';
	UNIT_CHECK(local(ro)[0] == 'x');
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 2);
	UNIT_CHECK(grant_cache_get(cache, ref + 1, true, &page) == -EBUSY);
	grant_cache_put(cache, ref);
	UNIT_CHECK(local(ro)[0] == 'x');
	grant_cache_put(cache, ref);
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 1);
	grant_cache_close(cache);
	/* No room for two, and pinned. */
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 1, &cache));
	UNIT_REQUIRE(!grant_cache_get(cache, ref, false, &ro));
	UNIT_CHECK(grant_cache_get(cache, ref, true, &rw) == -EBUSY);
	grant_cache_put(cache, ref);
	grant_cache_close(cache);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void stays_bounded_over_a_hundred_thousand_references(void)
{
	enum {
		PAGES = 50000,
		CAP = 352
	};
	void PV_SHARED *page;
	struct grant_cache *cache;
	struct grant_pool *pools[2];
	uint32_t most = 0, bad = 0;

	begin();
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, CAP, &cache));
	for (int i = 0; i < 2; i++) {
		UNIT_REQUIRE(
			!grant_pool_open(front, BACK, PAGES, 0, &pools[i]));
		for (uint32_t n = 0; n < PAGES; n++) {
			grant_ref_t ref = grant_pool_ref(pools[i], n);

			if (grant_cache_get(cache, ref, true, &page)) {
				bad++;
				continue;
			}
			grant_cache_put(cache, ref);
			if (grant_cache_nr_mapped(cache) > most)
				most = grant_cache_nr_mapped(cache);
		}
	}
	UNIT_CHECK(bad == 0 && most == CAP);
	UNIT_CHECK(sim_nr_mapped_pages(sim) == CAP);
	grant_cache_close(cache);
	for (int i = 0; i < 2; i++)
		UNIT_CHECK(grant_pool_close(pools[i]) == 0);
	end();
}

static void survives_maps_that_fail_at_random(void)
{
	void PV_SHARED *page;
	uint32_t pins[16] = { 0 };
	struct grant_cache *cache;
	struct grant_pool *pool;
	uint32_t failed = 0;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 16, 0, &pool));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 6, &cache));
	ref = grant_pool_ref(pool, 0);
	sim_set_faults(sim, &(struct sim_faults){ .map_fail = 300 });
	for (int step = 0; step < 50000; step++) {
		uint32_t i = (uint32_t)(sim_random(sim) % 16);

		if (pins[i] && sim_random(sim) % 4) {
			grant_cache_put(cache, ref + i);
			pins[i]--;
		} else if (!grant_cache_get(cache, ref + i, sim_random(sim) & 1,
					    &page)) {
			pins[i]++;
		} else {
			failed++;
		}
		UNIT_REQUIRE(grant_cache_nr_mapped(cache) <= 6);
		UNIT_REQUIRE(grant_cache_nr_mapped(cache) ==
			     sim_nr_mapped_pages(sim));
	}
	UNIT_CHECK(failed > 1000);
	for (uint32_t i = 0; i < 16; i++)
		while (pins[i]) {
			grant_cache_put(cache, ref + i);
			pins[i]--;
		}
	grant_cache_close(cache);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void unmaps_what_was_not_used_for_two_steps(void)
{
	void PV_SHARED *page;
	struct grant_cache *cache;
	struct grant_pool *pool;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!grant_pool_open(front, BACK, 4, 0, &pool));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 4, &cache));
	ref = grant_pool_ref(pool, 0);
	UNIT_CHECK(grant_cache_expire(cache) == 0);
	for (grant_ref_t i = 0; i < 4; i++)
		UNIT_REQUIRE(!grant_cache_get(cache, ref + i, i, &page));
	/* 3 stays pinned; 0 is used in every step. */
	for (grant_ref_t i = 0; i < 3; i++)
		grant_cache_put(cache, ref + i);
	UNIT_CHECK(grant_cache_expire(cache) == 4);
	UNIT_REQUIRE(!grant_cache_get(cache, ref, false, &page));
	grant_cache_put(cache, ref);
	UNIT_CHECK(grant_cache_expire(cache) == 2);
	UNIT_REQUIRE(!grant_cache_get(cache, ref, true, &page));
	grant_cache_put(cache, ref);
	UNIT_CHECK(grant_cache_expire(cache) == 2);
	grant_cache_put(cache, ref + 3);
	UNIT_CHECK(grant_cache_expire(cache) == 1); /* 3, put a moment ago */
	UNIT_CHECK(grant_cache_expire(cache) == 0);
	UNIT_CHECK(sim_nr_mapped_pages(sim) == 0);
	UNIT_CHECK(!grant_cache_get(cache, ref + 1, true, &page));
	grant_cache_put(cache, ref + 1);
	grant_cache_close(cache);
	UNIT_CHECK(grant_pool_close(pool) == 0);
	end();
}

static void forgets_a_page_that_nobody_has(void)
{
	struct grant_cache *cache;
	struct share share;
	void PV_SHARED *page;

	begin();
	UNIT_REQUIRE(!platform_share(front, BACK, 2, 0, &share));
	UNIT_REQUIRE(!grant_cache_open(back, FRONT, 8, &cache));
	UNIT_REQUIRE(!grant_cache_get(cache, share.first_ref, true, &page));
	UNIT_REQUIRE(!grant_cache_get(cache, share.first_ref + 1, true, &page));
	grant_cache_put(cache, share.first_ref);
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 2);
	grant_cache_forget(cache, share.first_ref);
	grant_cache_forget(cache, share.first_ref + 1); /* somebody has it */
	grant_cache_forget(cache, 4711);		/* never mapped */
	UNIT_CHECK(grant_cache_nr_mapped(cache) == 1);
	UNIT_CHECK(!grant_cache_get(cache, share.first_ref, true, &page));
	grant_cache_put(cache, share.first_ref);
	grant_cache_put(cache, share.first_ref + 1);
	grant_cache_close(cache);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

UNIT_MAIN("grant", UNIT_TEST(knows_its_pages_by_number_reference_and_address),
	  UNIT_TEST(hands_out_every_page_once),
	  UNIT_TEST(finds_contiguous_pages_across_holes),
	  UNIT_TEST(agrees_with_a_plain_model),
	  UNIT_TEST(maps_a_page_once_and_keeps_it),
	  UNIT_TEST(evicts_the_least_recently_used),
	  UNIT_TEST(never_evicts_a_pinned_page),
	  UNIT_TEST(a_look_finds_what_is_mapped_and_keeps_it),
	  UNIT_TEST(maps_anew_what_is_now_wanted_writable),
	  UNIT_TEST(stays_bounded_over_a_hundred_thousand_references),
	  UNIT_TEST(survives_maps_that_fail_at_random),
	  UNIT_TEST(unmaps_what_was_not_used_for_two_steps),
	  UNIT_TEST(forgets_a_page_that_nobody_has))
