/* SPDX-License-Identifier: MIT */
/*
 * netfront_ctrl.c - netfront's control ring against a backend that a test
 * writes: what is asked of it and in which order, of its successor again; one
 * that refuses, one that lies, one that has none. Against netback itself:
 * tests/system/net-wishes.sh.
 */
#include "netfront/netfront.h"

#include "tests/unit/netfront_backend.h"
#include "tests/unit/unit.h"

#define NR_PAGES 512u /* of a queue */

static struct rig rig;

static const struct netfront_hash wish = {
	.types = NETFRONT_HASH_IPV4_TCP | NETFRONT_HASH_IPV6,
	.key_bytes = 3,
	.key = { 7, 8, 9 },
	.nr_mapping = 5,
	.mapping = { 0, 1, 2, 3, 255 },
};

static void serve(struct netfront *nf)
{
	struct pollfd pfd = { .fd = netfront_fd(nf), .events = POLLIN };

	if (netfront_poll(nf) >= 0 && !netfront_arm(nf))
		poll(&pfd, 1, 20);
}

static unsigned nr_asked(const struct net_backend *be)
{
	/* Pairs with the store in net_backend_serve_ctrl(). */
	return __atomic_load_n(&be->nr_asked, __ATOMIC_ACQUIRE);
}

/* Serve until the backend was asked so often, and a little longer. */
static bool asked(struct netfront *nf, const struct net_backend *be,
		  unsigned nr)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (nr_asked(be) < nr && clock_now_ns() < end_ns)
		serve(nf);
	end_ns = clock_now_ns() + 100 * NS_PER_MS;
	while (clock_now_ns() < end_ns)
		serve(nf);
	return nr_asked(be) == nr;
}

static bool is_up(struct netfront *nf, bool up)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (netfront_link_up(nf) != up && clock_now_ns() < end_ns)
		serve(nf);
	return netfront_link_up(nf) == up;
}

static uint32_t hash_types(struct netfront *nf)
{
	struct netfront_info info;

	netfront_info(nf, &info);
	return info.hash_types;
}

/* From number first on, the types, and nothing behind. */
static bool types_are(const struct net_backend *be, unsigned first,
		      const uint16_t *types, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (be->asked[first + i].req.type != types[i])
			return false;
	return nr_asked(be) == first + nr;
}

static const uint16_t all[] = { 8, 9, 8, 9, 7, 3, 5, 6, 2 };

static void pages_stay_mapped_and_a_hash_is_asked_for(void)
{
	struct net_backend be = { .max_queues = 2, .ctrl = true };
	struct xen_netif_gref list[NR_PAGES];
	const struct net_asked *a = be.asked;
	uint32_t mapping[5];
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	UNIT_CHECK(asked(nf, &be, 4) && types_are(&be, 0, all, 4));
	for (uint32_t q = 0; q < 2; q++) {
		UNIT_CHECK(a[2 * q].req.data[0] == q);
		UNIT_CHECK(a[2 * q + 1].req.data[0] == q &&
			   a[2 * q + 1].req.data[2] == NR_PAGES);
		memcpy(list, a[2 * q + 1].page, sizeof(list));
		/* What is sent may be read, what is received written. */
		for (uint32_t i = 0; i < NR_PAGES; i++)
			UNIT_CHECK(list[i].flags == (i < NR_PAGES / 2) &&
				   list[i].ref == list[i < 256 ? 0 : 256].ref +
							  i % 256);
	}
	UNIT_CHECK(hash_types(nf) == 0);
	UNIT_CHECK(netfront_set_hash(nf, &wish) == 0);
	UNIT_CHECK(asked(nf, &be, 9) && types_are(&be, 0, all, 9));
	UNIT_CHECK(hash_types(nf) == wish.types);
	UNIT_CHECK(a[4].req.data[0] == 1 && a[5].req.data[1] == 3 &&
		   !memcmp(a[5].page, wish.key, 3));
	UNIT_CHECK(a[6].req.data[0] == 5 && a[7].req.data[1] == 5 &&
		   a[7].req.data[2] == 0 && a[8].req.data[0] == wish.types);
	/* Modulo the two queues that there are. */
	memcpy(mapping, a[7].page, sizeof(mapping));
	for (uint32_t i = 0; i < 5; i++)
		UNIT_CHECK(mapping[i] == wish.mapping[i] % 2);
	net_rig_end(&rig, &be, nf);
}

static void a_hash_is_given_up_again(void)
{
	static const uint16_t then[] = { 7 };
	struct net_backend be = { .max_queues = 2, .ctrl = true };
	struct netfront_hash none = { .types = 0 };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	UNIT_CHECK(netfront_set_hash(nf, &wish) == 0);
	UNIT_CHECK(asked(nf, &be, 9) && hash_types(nf) == wish.types);
	UNIT_CHECK(netfront_set_hash(nf, &none) == 0);
	UNIT_CHECK(asked(nf, &be, 10) && types_are(&be, 9, then, 1));
	UNIT_CHECK(be.asked[9].req.data[0] == 0 && hash_types(nf) == 0);
	net_rig_end(&rig, &be, nf);
}

static void the_last_wish_counts(void)
{
	struct netfront_hash last = wish;
	struct net_backend be = { .max_queues = 2, .ctrl = true };
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;
	struct netfront *nf;
	unsigned n;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	for (unsigned i = 0; i < 4; i++) {
		last.types = 1u << i;
		UNIT_CHECK(netfront_set_hash(nf, &last) == 0);
		serve(nf);
	}
	while (hash_types(nf) != last.types && clock_now_ns() < end_ns)
		serve(nf);
	UNIT_CHECK(hash_types(nf) == last.types);
	n = nr_asked(&be);
	UNIT_CHECK(n >= 9 && be.asked[n - 1].req.data[0] == last.types);
	net_rig_end(&rig, &be, nf);
}

static void a_successor_is_asked_again(void)
{
	struct net_backend be = { .max_queues = 2, .ctrl = true };
	struct net_backend next = { .max_queues = 2,
				    .ctrl = true,
				    .restarted = true };
	struct net_backend last = { .max_queues = 2, .restarted = true };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	UNIT_CHECK(netfront_set_hash(nf, &wish) == 0);
	UNIT_CHECK(asked(nf, &be, 9));
	net_backend_die(&be);
	UNIT_CHECK(is_up(nf, false) && hash_types(nf) == 0);
	UNIT_REQUIRE(net_backend_start(&next, &rig) == 0);
	UNIT_CHECK(is_up(nf, true));
	UNIT_CHECK(asked(nf, &next, 9) && types_are(&next, 0, all, 9));
	UNIT_CHECK(hash_types(nf) == wish.types);
	net_backend_die(&next);
	UNIT_CHECK(is_up(nf, false));
	/* One without a control ring. */
	UNIT_REQUIRE(rig_put(&rig, rig.back, "feature-ctrl-ring", "0") == 0);
	UNIT_REQUIRE(net_backend_start(&last, &rig) == 0);
	UNIT_CHECK(is_up(nf, true) && hash_types(nf) == 0);
	net_rig_end(&rig, &last, nf);
}

static void what_is_refused_is_done_without(void)
{
	/* By the request that is refused: all that is asked, and the end. */
	static const struct {
		uint16_t type;
		unsigned nr;
		uint16_t asked[9];
	} t[] = {
		{ 8, 7, { 8, 8, 7, 3, 5, 6, 2 } },
		{ 9, 9, { 8, 9, 8, 9, 7, 3, 5, 6, 2 } },
		{ 7, 6, { 8, 9, 8, 9, 7, 7 } },
		{ 3, 7, { 8, 9, 8, 9, 7, 3, 7 } },
		{ 6, 9, { 8, 9, 8, 9, 7, 3, 5, 6, 7 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct net_backend be = { .max_queues = 2,
					  .ctrl = true,
					  .ctrl_refuses = t[i].type };
		struct netfront *nf;

		UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
		UNIT_CHECK(netfront_set_hash(nf, &wish) == 0);
		UNIT_CHECK(asked(nf, &be, t[i].nr));
		UNIT_CHECK(types_are(&be, 0, t[i].asked, t[i].nr));
		UNIT_CHECK(netfront_link_up(nf));
		UNIT_CHECK(hash_types(nf) == (t[i].type < 8 ? 0 : wish.types));
		net_rig_end(&rig, &be, nf);
	}
}

static void an_answer_to_what_was_not_asked_ends_the_connection(void)
{
	struct net_backend be = { .max_queues = 2,
				  .ctrl = true,
				  .ctrl_lies = true };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	UNIT_CHECK(is_up(nf, false));
	UNIT_CHECK(nr_asked(&be) == 1);
	net_rig_end(&rig, &be, nf);
}

/* With nothing to be answered, too. */
static void an_impossible_control_producer_ends_the_connection(void)
{
	static const uint32_t lies[] = { 5, 3, 0x80000004u };

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct net_backend be = { .max_queues = 2, .ctrl = true };
		struct netfront *nf;

		UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
		UNIT_CHECK(asked(nf, &be, 4) && netfront_link_up(nf));
		/* Pairs with the load in ring_front_pending(). */
		__atomic_store_n(&net_header(&be.ctrl_map)->rsp_prod, lies[i],
				 __ATOMIC_SEQ_CST);
		UNIT_CHECK(is_up(nf, false));
		net_rig_end(&rig, &be, nf);
	}
}

static void wishes_that_cannot_be_are_not_asked_for(void)
{
	struct net_backend be = { .max_queues = 2 };
	struct netfront_config config = { .headroom_bytes =
						  NETFRONT_HEADROOM_MAX + 1 };
	struct netfront_hash h = wish;
	struct netfront *nf, *none;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	h.types = 0x10;
	UNIT_CHECK(netfront_set_hash(nf, &h) == -EINVAL);
	h = wish;
	h.key_bytes = NETFRONT_HASH_KEY_MAX + 1;
	UNIT_CHECK(netfront_set_hash(nf, &h) == -EINVAL);
	h = wish;
	h.nr_mapping = NETFRONT_HASH_MAPPING_MAX + 1;
	UNIT_CHECK(netfront_set_hash(nf, &h) == -EINVAL);
	UNIT_CHECK(netfront_open(&config, &none, NULL, 0) == -EINVAL);
	net_rig_end(&rig, &be, nf);
}

UNIT_MAIN("netfront_ctrl", UNIT_TEST(pages_stay_mapped_and_a_hash_is_asked_for),
	  UNIT_TEST(a_hash_is_given_up_again), UNIT_TEST(the_last_wish_counts),
	  UNIT_TEST(a_successor_is_asked_again),
	  UNIT_TEST(what_is_refused_is_done_without),
	  UNIT_TEST(an_answer_to_what_was_not_asked_ends_the_connection),
	  UNIT_TEST(an_impossible_control_producer_ends_the_connection),
	  UNIT_TEST(wishes_that_cannot_be_are_not_asked_for))
