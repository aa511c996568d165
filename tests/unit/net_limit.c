/* SPDX-License-Identifier: MIT */
/*
 * net_limit.c - limits of vifs and what is counted of them, on whole ports: the
 * rings are written by hand, tests/hostile/net_guest.h.
 */
#include "tests/hostile/net_guest.h"
#include "util/clock.h"
#include "util/num.h"

static struct limiter own, group;
static unsigned answers[2];

static void limiter_start(struct limiter *l, const char *text)
{
	struct limiter_rates rates;

	UNIT_REQUIRE(!limiter_parse(LIMITER_NETWORKS, text, &rates));
	limiter_init(l);
	limiter_set(l, &rates, clock_now_ns());
}

struct set_call {
	struct guest *g;
	struct limiter_pair limiters;
};

static int set_on_thread(void *arg)
{
	struct set_call *call = arg;

	vif_port_set_limiters(call->g->port, &call->limiters);
	return 0;
}

static void limit(struct guest *g, struct limiter *its, struct limiter *shared)
{
	struct set_call call = { g, { its, shared } };

	worker_call(worker, set_on_thread, &call);
}

static void change(struct limiter *l, const char *text, struct guest *g)
{
	struct limiter_rates rates;

	UNIT_REQUIRE(!limiter_parse(LIMITER_NETWORKS, text, &rates));
	limiter_set(l, &rates, clock_now_ns());
	limit(g, l, NULL);
}

static void send_frames(struct guest *g, struct guest *to, unsigned nr,
			uint16_t size)
{
	for (unsigned i = 0; i < nr; i++)
		tx_request(g, tx_frame(g, to, i % 8, size));
	tx_show(g);
}

/* Take the answers that have come: how many there were so far. */
static unsigned nr_answered(struct guest *g)
{
	unsigned *nr = g == &a ? &answers[0] : &answers[1];
	struct netif_tx_response rsp;

	while (ring_front_pending(&g->q[0].tx) > 0) {
		ring_front_get(&g->q[0].tx, &rsp, sizeof(rsp));
		UNIT_CHECK(rsp.status == NETIF_RSP_OKAY);
		(*nr)++;
	}
	return *nr;
}

static unsigned nr_received(struct guest *g)
{
	struct netif_rx_response rsp;
	unsigned nr = 0;

	while (ring_front_pending(&g->q[0].rx) > 0) {
		ring_front_get(&g->q[0].rx, &rsp, sizeof(rsp));
		nr++;
	}
	return nr;
}

static void start(void)
{
	memset(answers, 0, sizeof(answers));
	setup();
}

static void what_is_sent_beyond_a_limit_waits(void)
{
	uint64_t begun_ns, took_ns;
	struct traffic t;

	start();
	rx_post(&b, 100);
	limiter_start(&own, "tx-packets=50,burst-ms=0");
	limit(&a, &own, NULL);
	begun_ns = clock_now_ns();
	send_frames(&a, &b, 10, 60);
	UNIT_CHECK(AWAIT(nr_answered(&a) == 10));
	took_ns = clock_now_ns() - begun_ns;
	/* The first one waits for its token, too. */
	UNIT_CHECK(took_ns >= 190 * NS_PER_MS);
	t = port_traffic(&a, 0);
	UNIT_CHECK(t.tx_packets == 10 && traffic_tx_dropped(&t) == 0);
	UNIT_CHECK(t.times.throttled.total_ns >= 150 * NS_PER_MS &&
		   t.times.throttled.total_ns <= took_ns);
	UNIT_CHECK(t.times.stalled.total_ns >= 150 * NS_PER_MS);
	UNIT_CHECK(hist_count(&t.tx_delay_ns) == 10);
	UNIT_CHECK(hist_percentile(&t.tx_delay_ns, 500000) >= 15 * NS_PER_MS);
	UNIT_CHECK(nr_received(&b) == 10);
	limit(&a, NULL, NULL);
	teardown();
}

static void bytes_are_limited_as_well(void)
{
	uint64_t begun_ns;

	start();
	rx_post(&b, 100);
	limiter_start(&own, "tx-bytes=20000,burst-ms=0");
	limit(&a, &own, NULL);
	begun_ns = clock_now_ns();
	send_frames(&a, &b, 4, 1000);
	UNIT_CHECK(AWAIT(nr_answered(&a) == 4));
	UNIT_CHECK(clock_now_ns() - begun_ns >= 195 * NS_PER_MS);
	limit(&a, NULL, NULL);
	teardown();
}

static void a_limit_is_changed_while_frames_wait(void)
{
	start();
	rx_post(&b, 100);
	limiter_start(&own, "packets=1,burst-ms=0");
	limit(&a, &own, NULL);
	send_frames(&a, &b, 20, 60);
	usleep(100000);
	UNIT_CHECK(nr_answered(&a) == 0);
	/* At the old limit: 20 seconds. */
	change(&own, "packets=1000", &a);
	UNIT_CHECK(AWAIT(nr_answered(&a) == 20));
	change(&own, "packets=1,burst-ms=0", &a);
	send_frames(&a, &b, 20, 60);
	change(&own, "", &a);
	UNIT_CHECK(AWAIT(nr_answered(&a) == 40));
	limit(&a, NULL, NULL);
	teardown();
}

static void what_comes_beyond_a_limit_is_dropped(void)
{
	uint64_t begun_ns, most;
	struct traffic t;

	start();
	rx_post(&b, 255);
	limiter_start(&own, "rx-packets=100,burst-ms=0");
	limit(&b, &own, NULL);
	begun_ns = clock_now_ns();
	for (unsigned i = 0; i < 30; i++) {
		uint16_t id;

		send_frames(&a, &b, 5, 60);
		for (unsigned k = 0; k < 5; k++)
			UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
		usleep(5000);
	}
	most = (clock_now_ns() - begun_ns) / (10 * NS_PER_MS) + 1;
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_packets >= 10 && t.rx_packets <= most);
	UNIT_CHECK(t.rx_packets == nr_received(&b));
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_LIMIT] == 150 - t.rx_packets);
	UNIT_CHECK(traffic_rx_dropped(&t) == 150 - t.rx_packets);
	limit(&b, NULL, NULL);
	teardown();
}

/* One with small frames, one with large ones. */
static void a_group_shares_its_bytes_evenly(void)
{
	uint64_t bytes_a, bytes_b;

	start();
	rx_post(&a, 200);
	rx_post(&b, 200);
	limiter_start(&own, "");
	limiter_start(&group, "tx-bytes=100000,burst-ms=0");
	limit(&a, &own, &group);
	limit(&b, NULL, &group);
	send_frames(&a, &b, 200, 100);
	send_frames(&b, &a, 200, 1000);
	UNIT_CHECK(AWAIT(nr_answered(&a) >= 100));
	bytes_a = nr_answered(&a) * 100;
	bytes_b = nr_answered(&b) * 1000;
	UNIT_CHECK(bytes_a <= 2 * bytes_b && bytes_b <= 2 * bytes_a);
	limit(&a, NULL, NULL);
	limit(&b, NULL, NULL);
	teardown();
}

/* What waits for a limit is in the ring still. */
static void a_successor_sends_what_was_held_back(void)
{
	start();
	rx_post(&b, 100);
	limiter_start(&own, "packets=1,burst-ms=0");
	limit(&a, &own, NULL);
	send_frames(&a, &b, 7, 60);
	usleep(20000);
	port_end(&a, true);
	UNIT_CHECK(nr_answered(&a) == 0);
	UNIT_REQUIRE(!port_make(&a, true));
	UNIT_CHECK(AWAIT(nr_answered(&a) == 7));
	UNIT_CHECK(nr_received(&b) == 7);
	teardown();
}

/* ---- turns without limits ------------------------------------------------ */

#define BIG_SLOTS 8u
#define BIG_BYTES (BIG_SLOTS * 4000u)

/* A port that notes who sent what, in the order in which it came. */
static struct {
	struct switch_port port;
	unsigned nr;
	struct {
		uint8_t from;
		uint32_t size_bytes;
	} seen[4096];
} sink;

static int sink_deliver(struct switch_port *port, const struct frame *frame)
{
	(void)port;
	if (sink.nr == ARRAY_SIZE(sink.seen))
		return -ENOBUFS;
	sink.seen[sink.nr].from = frame->head[11];
	sink.seen[sink.nr++].size_bytes = frame->size_bytes;
	return 0;
}

static void sink_flush(struct switch_port *port)
{
	(void)port;
}

static const struct switch_port_ops sink_ops = {
	.deliver = sink_deliver,
	.flush = sink_flush,
};

/* On the data thread, which serves nobody meanwhile: fill both rings. */
static int fill_both(void *arg)
{
	const struct guest to = { .mac = { 2, 0, 0, 0, 0, 9 } };

	memset(&sink, 0, sizeof(sink));
	sink.port.ops = &sink_ops;
	memcpy(sink.port.mac, to.mac, 6);
	switch_add(sw, &sink.port);
	for (unsigned i = 0; i < RECORD_SLOTS; i++) {
		unsigned at = i % BIG_SLOTS;
		struct netif_tx_request r = tx_frame(&a, &to, at, 4000);

		r.size = at ? 4000 : BIG_BYTES;
		if (at < BIG_SLOTS - 1)
			r.flags = NETTXF_more_data;
		tx_request(&a, r);
		tx_request(&b, tx_frame(&b, &to, 0, 60));
	}
	tx_show(&a);
	tx_show(&b);
	(void)arg;
	return 0;
}

static int sink_remove(void *arg)
{
	(void)arg;
	switch_remove(&sink.port);
	return 0;
}

/* A turn's budget, and what the last frame of it may cost beyond. */
#define AHEAD_MAX (WORKER_BUDGET + BIG_BYTES / WORKER_UNIT_BYTES)

static void vifs_get_their_turns_by_the_size_of_their_frames(void)
{
	unsigned units_a = 0, units_b = 0;

	start();
	worker_call(worker, fill_both, NULL);
	UNIT_CHECK(AWAIT(nr_answered(&a) == RECORD_SLOTS &&
			 nr_answered(&b) == RECORD_SLOTS));
	worker_call(worker, sink_remove, NULL);
	UNIT_CHECK(sink.nr == RECORD_SLOTS + RECORD_SLOTS / BIG_SLOTS);
	/* While both have something to send. */
	for (unsigned i = 0; i < sink.nr && units_b < RECORD_SLOTS &&
			     units_a < RECORD_SLOTS / BIG_SLOTS * 7;
	     i++) {
		unsigned cost = worker_cost(sink.seen[i].size_bytes);

		if (sink.seen[i].from == 1)
			units_a += cost;
		else
			units_b += cost;
		UNIT_CHECK(units_a <= units_b + AHEAD_MAX &&
			   units_b <= units_a + AHEAD_MAX);
	}
	UNIT_CHECK(units_a >= 64 && units_b >= 64);
	teardown();
}

/* ---- frames to many ------------------------------------------------------ */

#define NR_LISTENERS 9u

static struct switch_port listeners[NR_LISTENERS];

/* As fill_both: a sends to everybody, b to one. */
static int fill_with_broadcasts(void *arg)
{
	const struct guest all = { .mac = { 255, 255, 255, 255, 255, 255 } };
	const struct guest one = { .mac = { 2, 0, 0, 0, 0, 9 } };

	memset(&sink, 0, sizeof(sink));
	memset(listeners, 0, sizeof(listeners));
	for (unsigned i = 0; i < NR_LISTENERS; i++) {
		listeners[i].ops = &sink_ops;
		switch_add(sw, &listeners[i]);
	}
	sink.port.ops = &sink_ops;
	memcpy(sink.port.mac, one.mac, 6);
	switch_add(sw, &sink.port);
	for (unsigned i = 0; i < RECORD_SLOTS; i++) {
		tx_request(&a, tx_frame(&a, &all, 0, 60));
		tx_request(&b, tx_frame(&b, &one, 0, 60));
	}
	tx_show(&a);
	tx_show(&b);
	(void)arg;
	return 0;
}

static int remove_listeners(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < NR_LISTENERS; i++)
		switch_remove(&listeners[i]);
	switch_remove(&sink.port);
	return 0;
}

static void a_frame_to_many_costs_its_sender_as_many(void)
{
	unsigned from_a = 0, from_b = 0;

	start();
	worker_call(worker, fill_with_broadcasts, NULL);
	UNIT_CHECK(AWAIT(nr_answered(&a) == RECORD_SLOTS &&
			 nr_answered(&b) == RECORD_SLOTS));
	worker_call(worker, remove_listeners, NULL);
	UNIT_CHECK(sink.nr == RECORD_SLOTS * (NR_LISTENERS + 2));
	/* While both have something to send. */
	for (unsigned i = 0; from_b < RECORD_SLOTS && i < sink.nr; i++) {
		if (sink.seen[i].from == 1)
			from_a++;
		else
			from_b++;
		UNIT_CHECK(from_a <= from_b + AHEAD_MAX + NR_LISTENERS);
	}
	UNIT_CHECK(from_b == RECORD_SLOTS && from_a >= RECORD_SLOTS / 2);
	teardown();
}

static bool says(const char *text, const char *line)
{
	const char *found = strstr(text, line);

	return found && (found == text || found[-1] == '\n') &&
	       found[strlen(line)] == '\n';
}

static void everything_is_counted_by_reason(void)
{
	static char text[4096];
	struct figures f = { .buf = text, .size = sizeof(text) };
	struct netif_tx_request bad;
	struct traffic t;
	uint16_t id;

	setup_with(0);
	rx_post(&b, 2);
	send_frames(&a, &b, 3, 60);
	for (unsigned i = 0; i < 3; i++)
		UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	/* Longer than its page; to an address that no frame may have. */
	bad = tx_frame(&a, &b, 1, 4000);
	bad.offset = 200;
	tx_request(&a, bad);
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_ERROR);
	tx_request(&a, tx_frame(&a, &b, 2, 60));
	((uint8_t *)a.send.base)[2 * PV_PAGE_SIZE + 6] = 1; /* from a group */
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	/* Two buffers, of a guest without scatter and gather. */
	bad = tx_frame(&a, &b, 3, 5000);
	bad.flags = NETTXF_more_data;
	tx_request(&a, bad);
	tx_request(&a, tx_frame(&a, &b, 4, 4000));
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);

	t = port_traffic(&a, 0);
	UNIT_CHECK(t.tx_packets == 5 && t.tx_bytes == 4 * 60 + 5000);
	UNIT_CHECK(t.tx_errors == 1);
	UNIT_CHECK(t.tx_drops[SWITCH_DROP_ADDRESS] == 1);
	UNIT_CHECK(hist_count(&t.tx_delay_ns) == 6);
	UNIT_CHECK(t.tx_batch.sum == 6);
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_packets == 2 && t.rx_bytes == 120);
	UNIT_CHECK(t.rx_waited == 1);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_UNABLE] == 1);
	UNIT_CHECK(t.rx_batch.sum == 2);
	traffic_put(&t, &f);
	UNIT_CHECK(figures_end(&f) > 0);
	UNIT_CHECK(says(text, "rx_packets 2") && says(text, "rx_dropped 1") &&
		   says(text, "rx_waited 1") && says(text, "rx_drop_full 0") &&
		   says(text, "tx_errors 0") && says(text, "tx_drop_vlan 0"));
	/* The largest there can be fit into a node of a driver domain's. */
	memset(&t, 0xff, sizeof(t));
	f = (struct figures){ .buf = text, .size = 1980 };
	traffic_put(&t, &f);
	UNIT_CHECK(figures_end(&f) > 0);
	teardown();
}

UNIT_MAIN("net_limit", UNIT_TEST(what_is_sent_beyond_a_limit_waits),
	  UNIT_TEST(bytes_are_limited_as_well),
	  UNIT_TEST(a_limit_is_changed_while_frames_wait),
	  UNIT_TEST(what_comes_beyond_a_limit_is_dropped),
	  UNIT_TEST(a_group_shares_its_bytes_evenly),
	  UNIT_TEST(a_successor_sends_what_was_held_back),
	  UNIT_TEST(vifs_get_their_turns_by_the_size_of_their_frames),
	  UNIT_TEST(a_frame_to_many_costs_its_sender_as_many),
	  UNIT_TEST(everything_is_counted_by_reason))
