/* SPDX-License-Identifier: MIT */
/*
 * net_interleaved.c - a vif whose frontend, toolstack and worker do what they
 * like in any order: connects, fails to connect, lies, closes, is removed and
 * made anew, is asked for figures, dies, while a neighbour is served.
 * THREATS.md section A: XSA-90, XSA-374, XSA-350, XSA-526, XSA-527, XSA-528:
 * what fails or ends is used by nobody any longer, and in the end nothing of it
 * is left.
 *
 * A failure prints its seed and step.
 */
#include "tests/hostile/net_vif.h"
#include "tests/unit/soak.h"

static unsigned seed;

static unsigned random_below(unsigned end)
{
	return (unsigned)rand_r(&seed) % end;
}

static void turns(void)
{
	for (unsigned n = random_below(4); n; n--)
		back_turn();
}

/* ---- what a does --------------------------------------------------------- */

static void connects(void)
{
	front_set(&a, "state", "1");
	turns();
	front_renew(&a);
	front_write(&a);
	turns();
	front_set(&a, "state", random_below(2) ? "3" : "4");
}

static void fails_to_connect(void)
{
	static const char *const nodes[] = { "tx-ring-ref",
					     "rx-ring-ref",
					     "event-channel-tx",
					     "request-rx-copy",
					     "multi-queue-num-queues",
					     "ctrl-ring-ref" };
	static const char *const values[] = { "0", "7777", "4294967295", "" };
	const char *node = nodes[random_below(ARRAY_SIZE(nodes))];
	char path[96];

	front_set(&a, "state", "1");
	turns();
	front_renew(&a);
	front_write(&a);
	front_set(&a, node, values[random_below(ARRAY_SIZE(values))]);
	front_set(&a, "state", "4");
	turns();
	snprintf(path, sizeof(path), "%s/%s", front_dir(&a).text, node);
	fake_rm(path);
}

static void moves(void)
{
	char state[2] = { (char)('0' + random_below(9)) };

	front_set(&a, "state", state);
}

static void closes(void)
{
	front_set(&a, "state", "5");
	turns();
	front_set(&a, "state", "6");
}

static void lies(void)
{
	uint32_t *prod = a.q[0].rings.base;

	if (random_below(2))
		prod += PV_PAGE_SIZE / sizeof(*prod);
	__atomic_store_n(prod, 0x80000000u, __ATOMIC_RELEASE);
	evtchn_notify(a.q[0].tx_ev);
}

/* A frame, or a chain that goes on past the ring. */
static void sends(void)
{
	struct netif_tx_request req = tx_frame(&a, &b, 4, 600);

	if (!ring_front_free(&a.q[0].tx))
		return;
	if (!random_below(4))
		req.flags = NETTXF_more_data;
	tx_request(&a, req);
	tx_show(&a);
}

static void asks_for_a_filter(void)
{
	front_set(&a, "request-multicast-control", random_below(2) ? "1" : "0");
}

/* ---- what its toolstack does --------------------------------------------- */

static void enables(void)
{
	back_rm(&a, "disabled");
}

static void asks_for_figures(void)
{
	static unsigned nr;

	set_number(back_dir(&a).text, "statistics/request", ++nr);
}

static void changes_rules(void)
{
	set_number(back_dir(&a).text, "vlan", random_below(3));
	back_set(&a, "limit-rates", random_below(2) ? "packets=1000" : "");
}

static void detaches(void)
{
	back_set(&a, "online", "0");
	back_set(&a, "state", "5");
}

static void is_made_anew(void)
{
	remove_directories(&a);
	turns();
	make_directories(&a);
}

/* ---- what its worker does ------------------------------------------------ */

static void dies(void)
{
	back_end();
	back_start();
}

static void runs(void)
{
	turns();
}

static const struct {
	const char *name;
	void (*act)(void);
	unsigned weight;
} acts[] = {
	{ "connects", connects, 8 },
	{ "fails to connect", fails_to_connect, 3 },
	{ "moves", moves, 4 },
	{ "closes", closes, 2 },
	{ "lies", lies, 3 },
	{ "sends", sends, 6 },
	{ "asks for a filter", asks_for_a_filter, 2 },
	{ "is enabled", enables, 4 },
	{ "is asked for figures", asks_for_figures, 4 },
	{ "has other rules", changes_rules, 2 },
	{ "is detached", detaches, 1 },
	{ "is made anew", is_made_anew, 2 },
	{ "its worker dies", dies, 1 },
	{ "its worker runs", runs, 8 },
};

static const char *act(void)
{
	unsigned sum = 0, at;

	for (unsigned i = 0; i < ARRAY_SIZE(acts); i++)
		sum += acts[i].weight;
	at = random_below(sum);
	for (unsigned i = 0; i < ARRAY_SIZE(acts); i++) {
		if (at < acts[i].weight) {
			acts[i].act();
			return acts[i].name;
		}
		at -= acts[i].weight;
	}
	return "";
}

/* Whatever it did: made anew it is a vif as any other. */
static bool comes_back(void)
{
	is_made_anew();
	front_renew(&a);
	return front_connect(&a) && served(&a, &b);
}

static bool run(unsigned number, unsigned nr_steps)
{
	const char *name = "";
	bool good = true;

	seed = number;
	vifs_connect();
	for (unsigned i = 0; good && i < nr_steps; i++) {
		name = act();
		turns();
		good = served(&b, &a) && back_is(&b, "4");
		if (!good)
			printf("seed %u, step %u (%s): the neighbour\n", number,
			       i, name);
	}
	if (!comes_back()) {
		printf("seed %u: it does not come back\n", number);
		good = false;
	}
	vifs_end();
	return good;
}

static void whatever_ends_is_used_by_nobody_any_longer(void)
{
	unsigned nr = soak_rounds(8, 50);

	for (unsigned i = 1; i <= nr; i++)
		UNIT_REQUIRE(run(i, soak_rounds(100, 1000)));
}

UNIT_MAIN("net_interleaved",
	  UNIT_TEST(whatever_ends_is_used_by_nobody_any_longer))
