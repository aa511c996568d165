/* SPDX-License-Identifier: MIT */
/*
 * platform.c - one suite of cases, run on every platform that can be had here:
 * lite (with a broker in a thread) and sim. What passes on both is platform.h.
 */
#include "platform/platform.h"

#include "platform/sim.h"
#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"

#define PAGE ((size_t)PV_PAGE_SIZE)

static struct bench {
	bool is_sim;
	struct world world;
	struct sim *sim;
	domid_t front_id, back_id, other_id;
	struct platform *front, *back, *other;
	int front_fd, back_fd; /* lite: their sockets */
} b;

static void bench_open(bool is_sim)
{
	memset(&b, 0, sizeof(b));
	b.is_sim = is_sim;
	if (is_sim) {
		b.back_id = 1;
		b.front_id = 2;
		b.other_id = 3;
		world_must(!sim_open(1, &b.sim) &&
				   !sim_platform(b.sim, 1, &b.back) &&
				   !sim_platform(b.sim, 2, &b.front) &&
				   !sim_platform(b.sim, 3, &b.other),
			   "sim");
		return;
	}
	world_open(&b.world);
	b.back_id = world_domain(&b.world, "back");
	b.front_id = world_domain(&b.world, "front");
	b.other_id = world_domain(&b.world, "other");
	b.back = world_adopt(&b.world, b.back_id, &b.back_fd);
	b.front = world_adopt(&b.world, b.front_id, &b.front_fd);
	b.other = world_platform(&b.world, b.other_id);
}

static void bench_close(void)
{
	platform_close(b.front);
	platform_close(b.back);
	platform_close(b.other);
	if (b.is_sim) {
		UNIT_CHECK(sim_nr_shares(b.sim) == 0);
		UNIT_CHECK(sim_nr_mapped_pages(b.sim) == 0);
		UNIT_CHECK(sim_nr_channels(b.sim) == 0);
		sim_close(b.sim);
	} else {
		close(b.front_fd);
		close(b.back_fd);
		UNIT_CHECK(world_close(&b.world));
	}
}

static char *at(const struct grant_map *map, size_t off)
{
	return (char *)(uintptr_t)map->base + off;
}

/* What the channel says once everything under way has arrived. */
static int wait_clear(struct evtchn *ev)
{
	if (!b.is_sim)
		return world_clear(ev);
	sim_settle(b.sim);
	return evtchn_clear(ev);
}

static void sees_the_same_memory_from_both_sides(void)
{
	struct grant_map map;
	grant_ref_t refs[3];
	struct share share;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 3, 0, &share));
	for (uint32_t i = 0; i < 3; i++)
		refs[i] = share.first_ref + i;
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, refs, 3, true, &map));
	UNIT_CHECK(map.nr_pages == 3 && map.domid == b.front_id);
	for (size_t i = 0; i < 3 * PAGE; i++)
		if (*at(&map, i))
			UNIT_REQUIRE(!"fresh pages are zero");
	memcpy((char *)share.base + PAGE, "from the front",
	       sizeof("from the front"));
	UNIT_CHECK(!strcmp(at(&map, PAGE), "from the front"));
	*at(&map, 2 * PAGE + 5) = 'B';
	UNIT_CHECK(((char *)share.base)[2 * PAGE + 5] == 'B');
	platform_unmap(b.back, &map);
	UNIT_CHECK(map.nr_pages == 0);
	UNIT_CHECK(platform_unshare(b.front, &share) == 0);
	UNIT_CHECK(share.base == NULL);
}

static void maps_references_in_any_order_as_one_range(void)
{
	struct share s1, s2;
	struct grant_map map;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 8, 0, &s1));
	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 2, 0, &s2));
	for (int i = 0; i < 8; i++)
		((char *)s1.base)[i * PAGE] = (char)('a' + i);
	for (int i = 0; i < 2; i++)
		((char *)s2.base)[i * PAGE] = (char)('y' + i);
	const grant_ref_t refs[] = { s1.first_ref + 7, s1.first_ref + 2,
				     s1.first_ref + 3, s2.first_ref + 1,
				     s2.first_ref,     s1.first_ref + 2 };
	const char expect[] = "hcdzyc";

	UNIT_REQUIRE(!platform_map(b.back, b.front_id, refs, 6, true, &map));
	for (int i = 0; i < 6; i++)
		UNIT_CHECK(*at(&map, i * PAGE) == expect[i]);
	*at(&map, 1 * PAGE) = '!';
	UNIT_CHECK(*at(&map, 5 * PAGE) == '!');
	UNIT_CHECK(((char *)s1.base)[2 * PAGE] == '!');
	platform_unmap(b.back, &map);
	UNIT_CHECK(platform_unshare(b.front, &s1) == 0);
	UNIT_CHECK(platform_unshare(b.front, &s2) == 0);
}

static void refuses_bad_counts_and_flags(void)
{
	struct share share = { .nr_pages = 77 };
	struct grant_map map = { .nr_pages = 77 };
	grant_ref_t refs[GRANT_MAP_MAX + 1] = { 0 };
	struct evtchn *ev = (void *)&map;

	UNIT_CHECK(platform_share(b.front, b.back_id, 0, 0, &share) == -EINVAL);
	UNIT_CHECK(platform_share(b.front, b.back_id, SHARE_PAGES_MAX + 1, 0,
				  &share) == -EINVAL);
	UNIT_CHECK(platform_share(b.front, b.back_id, UINT32_MAX, 0, &share) ==
		   -EINVAL);
	UNIT_CHECK(platform_share(b.front, b.back_id, 1, 0x80, &share) ==
		   -EINVAL);
	UNIT_CHECK(platform_share(b.front, DOMID_SELF, 1, 0, &share) ==
		   -EINVAL);
	UNIT_CHECK(platform_map(b.back, b.front_id, refs, 0, true, &map) ==
		   -EINVAL);
	UNIT_CHECK(platform_map(b.back, b.front_id, refs, GRANT_MAP_MAX + 1,
				true, &map) == -EINVAL);
	UNIT_CHECK(platform_map(b.back, 0xffff, refs, 1, true, &map) ==
		   -EINVAL);
	UNIT_CHECK(platform_evtchn_alloc(b.front, 0xffff, &ev) == -EINVAL);
	UNIT_CHECK(platform_evtchn_bind(b.back, 0x7ff0, 1, &ev) == -EINVAL);
	UNIT_CHECK(share.nr_pages == 77 && map.nr_pages == 77);
	UNIT_CHECK(ev == (void *)&map);
}

static void refuses_references_that_are_not_for_us(void)
{
	struct grant_map map = { .nr_pages = 77 };
	struct share share;
	grant_ref_t refs[2];

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 2, 0, &share));
	refs[0] = share.first_ref;
	UNIT_CHECK(platform_map(b.other, b.front_id, refs, 1, true, &map) ==
		   -EACCES);
	UNIT_CHECK(platform_map(b.back, b.other_id, refs, 1, true, &map) ==
		   -ENOENT);
	UNIT_CHECK(platform_map(b.back, 4999, refs, 1, true, &map) == -ENOENT);
	/* The first is fine, the second is not: nothing stays mapped. */
	for (grant_ref_t bad = 2; bad < 4; bad++) {
		refs[1] = share.first_ref + bad;
		UNIT_CHECK(platform_map(b.back, b.front_id, refs, 2, true,
					&map) == -ENOENT);
	}
	refs[1] = share.first_ref - 1;
	UNIT_CHECK(platform_map(b.back, b.front_id, refs, 2, true, &map) ==
		   -ENOENT);
	refs[1] = UINT32_MAX;
	UNIT_CHECK(platform_map(b.back, b.front_id, refs, 2, true, &map) ==
		   -ENOENT);
	UNIT_CHECK(map.nr_pages == 77);
	UNIT_CHECK(platform_unshare(b.front, &share) == 0);
}

static void keeps_read_only_pages_read_only(void)
{
	struct grant_map map;
	struct share share;
	char byte = 'x';

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 2, SHARE_PEER_READONLY,
				     &share));
	memcpy(share.base, "read me", sizeof("read me"));
	UNIT_CHECK(platform_map(b.back, b.front_id, &share.first_ref, 1, true,
				&map) == -EACCES);
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, &share.first_ref, 1,
				   false, &map));
	UNIT_CHECK(!strcmp(at(&map, 0), "read me"));
	memcpy(share.base, "again", sizeof("again"));
	UNIT_CHECK(!strcmp(at(&map, 0), "again"));

	struct grant_copy op = { .domid = b.front_id,
				 .ref = share.first_ref,
				 .size_bytes = 1,
				 .to_peer = true,
				 .local = &byte };
	UNIT_CHECK(platform_copy(b.back, &op, 1) == -EACCES);
	UNIT_CHECK(op.status == -EACCES);
	UNIT_CHECK(((char *)share.base)[0] == 'a');
	platform_unmap(b.back, &map);
	UNIT_CHECK(platform_unshare(b.front, &share) == 0);
}

static void says_busy_while_the_peer_holds_a_page(void)
{
	struct grant_map map, again;
	struct share share;
	grant_ref_t ref;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 4, 0, &share));
	ref = share.first_ref + 3;
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, &ref, 1, true, &map));
	*at(&map, 0) = 'm';
	UNIT_CHECK(platform_unshare(b.front, &share) == -EBUSY);
	UNIT_CHECK(share.base == NULL);
	/* The memory is still there for who has it, and for nobody else. */
	UNIT_CHECK(*at(&map, 0) == 'm');
	*at(&map, 1) = 'n';
	UNIT_CHECK(platform_map(b.back, b.front_id, &ref, 1, true, &again) < 0);
	platform_unmap(b.back, &map);
	/* And it does not come back as somebody's fresh page. */
	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 4, 0, &share));
	for (size_t i = 0; i < 4 * PAGE; i++)
		if (((char *)share.base)[i])
			UNIT_REQUIRE(!"a reused page");
	UNIT_CHECK(platform_unshare(b.front, &share) == 0);
}

static void counts_a_page_that_is_mapped_twice(void)
{
	struct grant_map m1, m2;
	struct share share;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 1, 0, &share));
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, &share.first_ref, 1,
				   true, &m1));
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, &share.first_ref, 1,
				   false, &m2));
	platform_unmap(b.back, &m1);
	UNIT_CHECK(platform_unshare(b.front, &share) == -EBUSY);
	platform_unmap(b.back, &m2);
}

static void forgets_a_share_that_was_ended(void)
{
	struct grant_map map;
	struct share share;
	grant_ref_t old;

	for (int i = 0; i < 200; i++) {
		UNIT_REQUIRE(!platform_share(b.front, b.back_id, 3, 0, &share));
		((char *)share.base)[0] = (char)i;
		UNIT_REQUIRE(!platform_map(b.back, b.front_id, &share.first_ref,
					   1, true, &map));
		UNIT_CHECK(*at(&map, 0) == (char)i);
		platform_unmap(b.back, &map);
		old = share.first_ref;
		UNIT_CHECK(platform_unshare(b.front, &share) == 0);
		if (i % 50 == 0)
			UNIT_CHECK(platform_map(b.back, b.front_id, &old, 1,
						true, &map) < 0);
	}
}

static void copies_both_ways_and_reports_each(void)
{
	char in[16] = "local bytes", out[16] = { 0 };
	struct share share;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 2, 0, &share));
	memcpy((char *)share.base + PAGE + 4090, "page's", 6);
	struct grant_copy ops[] = {
		{ .domid = b.front_id,
		  .ref = share.first_ref,
		  .offset = 100,
		  .size_bytes = 12,
		  .to_peer = true,
		  .local = in },
		{ .domid = b.front_id,
		  .ref = share.first_ref + 2,
		  .offset = 0,
		  .size_bytes = 12,
		  .to_peer = true,
		  .local = in },
		{ .domid = b.front_id,
		  .ref = share.first_ref,
		  .offset = 4090,
		  .size_bytes = 7,
		  .to_peer = true,
		  .local = in },
		{ .domid = b.front_id,
		  .ref = share.first_ref,
		  .offset = 65535,
		  .size_bytes = 65535,
		  .to_peer = true,
		  .local = in },
		{ .domid = b.front_id,
		  .ref = share.first_ref + 1,
		  .offset = 4090,
		  .size_bytes = 6,
		  .local = out },
		{ .domid = b.front_id,
		  .ref = share.first_ref,
		  .size_bytes = 0,
		  .local = out },
		{ .domid = 0xffff,
		  .ref = share.first_ref,
		  .size_bytes = 1,
		  .local = out },
	};

	UNIT_CHECK(platform_copy(b.back, ops, 7) == -ENOENT);
	UNIT_CHECK(ops[0].status == 0);
	UNIT_CHECK(!strcmp((char *)share.base + 100, "local bytes"));
	UNIT_CHECK(ops[1].status == -ENOENT);
	UNIT_CHECK(ops[2].status == -EINVAL);
	UNIT_CHECK(ops[3].status == -EINVAL);
	UNIT_CHECK(ops[4].status == 0 && !memcmp(out, "page's", 6));
	UNIT_CHECK(ops[5].status == 0);
	UNIT_CHECK(ops[6].status == -EINVAL);
	UNIT_CHECK(platform_unshare(b.front, &share) == 0);
}

static void delivers_a_notification_as_a_level(void)
{
	struct evtchn *fe, *be;

	UNIT_REQUIRE(!platform_evtchn_alloc(b.front, b.back_id, &fe));
	UNIT_REQUIRE(!platform_evtchn_bind(b.back, b.front_id, evtchn_port(fe),
					   &be));
	UNIT_CHECK(evtchn_port(fe) != 0 && evtchn_port(be) != 0);
	UNIT_CHECK(evtchn_clear(fe) == 0 && evtchn_clear(be) == 0);
	evtchn_notify(fe);
	UNIT_CHECK(wait_clear(be) == 1);
	UNIT_CHECK(evtchn_clear(be) == 0);
	for (int i = 0; i < 5; i++)
		evtchn_notify(be);
	UNIT_CHECK(wait_clear(fe) == 1);
	UNIT_CHECK(evtchn_clear(fe) == 0);
	UNIT_CHECK(evtchn_clear(be) == 0);
	evtchn_close(be);
	evtchn_close(fe);
	evtchn_close(NULL);
	evtchn_abandon(NULL);
}

static void binds_again_to_the_same_end(void)
{
	struct evtchn *fe, *be, *be2;
	evtchn_port_t port;

	UNIT_REQUIRE(!platform_evtchn_alloc(b.front, b.back_id, &fe));
	UNIT_REQUIRE(!platform_evtchn_bind(b.back, b.front_id, evtchn_port(fe),
					   &be));
	port = evtchn_port(be);
	evtchn_notify(fe);
	if (!b.is_sim)
		UNIT_CHECK(world_readable(evtchn_fd(be)));
	evtchn_abandon(be);
	UNIT_CHECK(evtchn_clear(fe) == 0);
	UNIT_REQUIRE(!platform_evtchn_bind(b.back, b.front_id, evtchn_port(fe),
					   &be2));
	UNIT_CHECK(evtchn_port(be2) == port);
	/* What was pending is still. */
	UNIT_CHECK(wait_clear(be2) == 1);
	evtchn_notify(be2);
	UNIT_CHECK(wait_clear(fe) == 1);
	evtchn_close(be2);
	evtchn_close(fe);
}

static void refuses_ports_that_are_not_for_us(void)
{
	struct evtchn *fe, *be = NULL;
	evtchn_port_t port;

	UNIT_REQUIRE(!platform_evtchn_alloc(b.front, b.back_id, &fe));
	port = evtchn_port(fe);
	UNIT_CHECK(platform_evtchn_bind(b.other, b.front_id, port, &be) ==
		   -EACCES);
	UNIT_CHECK(platform_evtchn_bind(b.front, b.front_id, port, &be) ==
		   -EACCES);
	UNIT_CHECK(platform_evtchn_bind(b.back, b.other_id, port, &be) ==
		   -ENOENT);
	UNIT_CHECK(platform_evtchn_bind(b.back, b.front_id, 0, &be) == -ENOENT);
	UNIT_CHECK(platform_evtchn_bind(b.back, b.front_id, port + 1, &be) ==
		   -ENOENT);
	UNIT_CHECK(platform_evtchn_bind(b.back, b.front_id, UINT32_MAX, &be) ==
		   -ENOENT);
	UNIT_CHECK(platform_evtchn_alloc(b.front, 4999, &be) == -ENOENT);
	evtchn_close(fe);
	UNIT_CHECK(platform_evtchn_bind(b.back, b.front_id, port, &be) ==
		   -ENOENT);
	UNIT_CHECK(be == NULL);
}

static void tells_the_other_end_of_a_close(void)
{
	struct evtchn *fe, *be;
	evtchn_port_t port;

	for (int who = 0; who < 2; who++) {
		UNIT_REQUIRE(!platform_evtchn_alloc(b.front, b.back_id, &fe));
		port = evtchn_port(fe);
		UNIT_REQUIRE(
			!platform_evtchn_bind(b.back, b.front_id, port, &be));
		evtchn_notify(who ? be : fe);
		evtchn_close(who ? be : fe);
		/* What came before the end is not lost. */
		UNIT_CHECK(wait_clear(who ? fe : be) == 1);
		UNIT_CHECK(wait_clear(who ? fe : be) == -EPIPE);
		UNIT_CHECK(wait_clear(who ? fe : be) == -EPIPE);
		evtchn_notify(who ? fe : be);
		if (who) {
			UNIT_CHECK(platform_evtchn_bind(b.back, b.front_id,
							port, &be) == -ENOENT);
			evtchn_close(fe);
		} else {
			evtchn_close(be);
		}
	}
}

/* The process of p ends where it stands; peer is a channel's other end. */
static void die(struct platform *p, int socket_fd, struct evtchn *peer)
{
	if (b.is_sim)
		sim_kill(b.sim, platform_domid(p));
	else
		shutdown(socket_fd, SHUT_RDWR);
	UNIT_CHECK(wait_clear(peer) == -EPIPE);
}

static struct platform *reborn(struct platform *p, int *fd)
{
	domid_t domid = platform_domid(p);

	platform_close(p);
	if (!b.is_sim) {
		close(*fd);
		return world_adopt(&b.world, domid, fd);
	}
	world_must(!sim_platform(b.sim, domid, &p), "sim");
	return p;
}

static void tells_the_survivor_of_a_death(void)
{
	struct share share, none;
	struct evtchn *fe, *be;
	struct grant_map map;
	grant_ref_t ref;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 2, 0, &share));
	ref = share.first_ref;
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, &ref, 1, true, &map));
	UNIT_REQUIRE(!platform_evtchn_alloc(b.front, b.back_id, &fe));
	UNIT_REQUIRE(!platform_evtchn_bind(b.back, b.front_id, evtchn_port(fe),
					   &be));
	memcpy(share.base, "last words", sizeof("last words"));
	die(b.front, b.front_fd, be);
	UNIT_CHECK(platform_share(b.front, b.back_id, 1, 0, &none) ==
		   -ECONNRESET);
	UNIT_CHECK(platform_unshare(b.front, &share) == -EBUSY);
	UNIT_CHECK(evtchn_clear(fe) == -EPIPE);
	evtchn_close(fe);
	b.front = reborn(b.front, &b.front_fd);
	UNIT_CHECK(!strcmp(at(&map, 0), "last words"));
	*at(&map, 0) = 'L';
	platform_unmap(b.back, &map);
	evtchn_notify(be);
	evtchn_close(be);
	UNIT_CHECK(platform_map(b.back, b.front_id, &ref, 1, true, &map) ==
		   -ENOENT);
}

static void frees_what_a_dead_peer_had_in_use(void)
{
	struct evtchn *fe, *be;
	struct grant_map map;
	struct share share;

	UNIT_REQUIRE(!platform_share(b.front, b.back_id, 2, 0, &share));
	UNIT_REQUIRE(!platform_map(b.back, b.front_id, &share.first_ref, 1,
				   true, &map));
	UNIT_REQUIRE(!platform_evtchn_alloc(b.front, b.back_id, &fe));
	UNIT_REQUIRE(!platform_evtchn_bind(b.back, b.front_id, evtchn_port(fe),
					   &be));
	die(b.back, b.back_fd, fe);
	UNIT_CHECK(platform_unshare(b.front, &share) == 0);
	platform_unmap(b.back, &map);
	evtchn_close(be);
	evtchn_close(fe);
	b.back = reborn(b.back, &b.back_fd);
}

#define CASES(run)                                                             \
	run(sees_the_same_memory_from_both_sides),                             \
		run(maps_references_in_any_order_as_one_range),                \
		run(refuses_bad_counts_and_flags),                             \
		run(refuses_references_that_are_not_for_us),                   \
		run(keeps_read_only_pages_read_only),                          \
		run(says_busy_while_the_peer_holds_a_page),                    \
		run(counts_a_page_that_is_mapped_twice),                       \
		run(forgets_a_share_that_was_ended),                           \
		run(copies_both_ways_and_reports_each),                        \
		run(delivers_a_notification_as_a_level),                       \
		run(binds_again_to_the_same_end),                              \
		run(refuses_ports_that_are_not_for_us),                        \
		run(tells_the_other_end_of_a_close),                           \
		run(tells_the_survivor_of_a_death),                            \
		run(frees_what_a_dead_peer_had_in_use)

#define CASE_FN(fn) fn

static void (*const all_cases[])(void) = { CASES(CASE_FN) };

static void run_on(bool is_sim, unsigned i)
{
	bench_open(is_sim);
	all_cases[i]();
	bench_close();
}

/* CUnit's cases take no argument: the two platforms take turns. */
static unsigned next_case;

static void next_on_lite(void)
{
	run_on(false, next_case);
}

static void next_on_sim(void)
{
	run_on(true, next_case++);
}

#define BOTH(fn)                                                               \
	{ "lite: " #fn, next_on_lite },                                        \
	{                                                                      \
		"sim: " #fn, next_on_sim                                       \
	}

UNIT_MAIN("platform", CASES(BOTH))
