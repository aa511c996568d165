/* SPDX-License-Identifier: MIT */
/*
 * netfront_connect.c - the netfront library against a backend that a test
 * writes: features and their absence, several queues, a backend that goes and
 * one that comes, carrier and MTU.
 */
#include "netfront/netfront.h"

#include "tests/unit/netfront_backend.h"
#include "tests/unit/unit.h"

static struct rig rig;
static char why[NET_RIG_WHY];

static void sleep_on(struct netfront_queue *q)
{
	struct pollfd pfd = { .fd = netfront_queue_fd(q), .events = POLLIN };

	if (!netfront_queue_arm(q))
		poll(&pfd, 1, 100);
}

/* A frame's size and bytes follow from its number. */
static uint32_t frame_size(unsigned number)
{
	return 14 + number * 37 % 1500;
}

static unsigned send_from(struct netfront_queue *q, unsigned number,
			  unsigned end)
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	unsigned n = netfront_queue_prepare(q, frames,
					    end - number < NETFRONT_BURST_MAX
						    ? end - number
						    : NETFRONT_BURST_MAX,
					    1514);

	for (unsigned i = 0; i < n; i++) {
		frames[i].size_bytes = frame_size(number + i);
		memset(frames[i].iov[0].iov_base, (int)(number + i),
		       frames[i].size_bytes);
	}
	return netfront_queue_send(q, frames, n);
}

/* Returns the frames that came, UINT32_MAX if one was not what was sent. */
static unsigned recv_from(struct netfront_queue *q, unsigned number)
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	unsigned n = netfront_queue_recv(q, frames, NETFRONT_BURST_MAX);

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *bytes = frames[i].iov[0].iov_base;
		uint32_t size = frame_size(number + i);

		if (frames[i].size_bytes != size || frames[i].nr != 1 ||
		    bytes[0] != (uint8_t)(number + i) ||
		    memcmp(bytes, bytes + 1, size - 1) != 0)
			return UINT32_MAX;
	}
	netfront_queue_recv_done(q);
	return n;
}

/* nr frames there and back, in order. Returns how many came back unharmed. */
static unsigned echo(struct netfront_queue *q, unsigned nr)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;
	unsigned sent = 0, got = 0;

	while (got < nr && clock_now_ns() < end_ns) {
		unsigned n = send_from(q, sent, nr), came;

		came = recv_from(q, got);
		if (came == UINT32_MAX)
			return got;
		sent += n;
		got += came;
		netfront_queue_kick(q);
		if (netfront_queue_poll(q) < 0)
			return got;
		if (!n && !came)
			sleep_on(q);
	}
	return got;
}

static bool wait_link(struct netfront *nf, bool up)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (netfront_link_up(nf) != up && clock_now_ns() < end_ns)
		if (netfront_poll(nf) >= 0)
			sleep_on(netfront_queue(nf, 0));
	return netfront_link_up(nf) == up;
}

/* ---- queues ----------------------------------------------------------------
 */

static void frames_go_and_come_back(void)
{
	struct net_backend be = { 0 };
	struct netfront_stats stats;
	struct netfront_info info;
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 1, &nf) == 0);
	netfront_info(nf, &info);
	UNIT_CHECK(info.link_up && info.nr_queues == 1 && info.sg &&
		   info.gso_tcpv4 && info.gso_tcpv6 && info.csum_v6);
	UNIT_CHECK(info.mtu == 1500 && info.mac[5] == 1);
	UNIT_CHECK(echo(netfront_queue(nf, 0), 5000) == 5000);
	stats = netfront_stats(nf);
	UNIT_CHECK(stats.tx_packets == 5000 && stats.rx_packets == 5000);
	UNIT_CHECK(stats.tx_bytes == stats.rx_bytes);
	UNIT_CHECK(!stats.tx_errors && !stats.tx_dropped && !stats.rx_errors);
	UNIT_CHECK(netfront_queue(nf, 1) == NULL);
	net_rig_end(&rig, &be, nf);
}

struct owner {
	struct netfront_queue *q;
	pthread_t thread;
	unsigned nr;
};

static void *own(void *arg)
{
	struct owner *o = arg;

	o->nr = echo(o->q, 5000);
	return NULL;
}

static void every_queue_has_an_owner_of_its_own(void)
{
	struct net_backend be = { .max_queues = 4 };
	struct owner owners[3];
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 3, &nf) == 0);
	for (unsigned i = 0; i < 3; i++) {
		owners[i].q = netfront_queue(nf, i);
		UNIT_REQUIRE(!pthread_create(&owners[i].thread, NULL, own,
					     &owners[i]));
	}
	for (unsigned i = 0; i < 3; i++) {
		struct netfront_stats stats;

		pthread_join(owners[i].thread, NULL);
		UNIT_CHECK(owners[i].nr == 5000);
		stats = netfront_queue_stats(owners[i].q);
		UNIT_CHECK(stats.tx_packets == 5000 &&
			   stats.rx_packets == 5000);
	}
	netfront_close(nf);
	net_backend_stop(&be);
	UNIT_CHECK(be.nr_queues == 3);
	for (unsigned i = 0; i < 3; i++)
		UNIT_CHECK(be.queues[i].nr_echoed == 5000);
	rig_close(&rig);
}

static void a_backend_with_fewer_queues_leaves_the_others_down(void)
{
	struct net_backend be = { .max_queues = 2 };
	struct netfront_frame frame;
	struct netfront_info info;
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 3, &nf) == 0);
	netfront_info(nf, &info);
	UNIT_CHECK(info.nr_queues == 2);
	UNIT_CHECK(echo(netfront_queue(nf, 1), 100) == 100);
	UNIT_CHECK(
		!netfront_queue_prepare(netfront_queue(nf, 2), &frame, 1, 60));
	UNIT_CHECK(!netfront_queue_recv(netfront_queue(nf, 2), &frame, 1));
	net_rig_end(&rig, &be, nf);
}

/* ---- old backends ----------------------------------------------------------
 */

static void a_backend_without_features_has_one_channel_and_short_frames(void)
{
	struct net_backend be = { .old = true };
	struct netfront_frame frame;
	struct netfront_info info;
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	netfront_info(nf, &info);
	UNIT_CHECK(info.nr_queues == 1 && !info.sg && !info.gso_tcpv4 &&
		   !info.gso_tcpv6 && !info.csum_v6);
	UNIT_CHECK(echo(netfront_queue(nf, 0), 1000) == 1000);
	UNIT_REQUIRE(netfront_prepare(nf, &frame, 1, 9000) == 1);
	UNIT_CHECK(netfront_send(nf, &frame, 1) == 0);
	UNIT_CHECK(netfront_stats(nf).tx_dropped == 1);
	net_rig_end(&rig, &be, nf);
}

static void a_backend_that_cannot_copy_is_refused(void)
{
	struct net_backend be = { .no_rx_copy = true };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_open(&rig) == 0);
	UNIT_REQUIRE(net_backend_start(&be, &rig) == 0);
	UNIT_CHECK(net_rig_front(&rig, 1, &nf, why) == -EOPNOTSUPP && why[0]);
	net_backend_stop(&be);
	rig_close(&rig);
}

static void what_cannot_be_opened_is_said(void)
{
	struct netfront_config config = { .run_dir = rig.run_dir };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_open(&rig) == 0);
	config.domid = rig.guest;
	config.timeout_ns = 200 * NS_PER_MS;
	UNIT_CHECK(netfront_open(&config, &nf, why, sizeof(why)) == -ETIMEDOUT);
	UNIT_CHECK(strstr(why, "netbackd") != NULL);
	config.handle = 7;
	UNIT_CHECK(netfront_open(&config, &nf, why, sizeof(why)) == -ENOENT);
	UNIT_CHECK(strstr(why, "no vif 7") != NULL);
	config.nr_queues = NETFRONT_QUEUES_MAX + 1;
	UNIT_CHECK(netfront_open(&config, &nf, NULL, 0) == -EINVAL);
	rig_close(&rig);
}

/* ---- deaths and changes ----------------------------------------------------
 */

static void a_vif_is_opened_by_one_at_a_time(void)
{
	struct net_backend be = { 0 };
	struct netfront *nf, *second = NULL;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 1, &nf) == 0);
	UNIT_CHECK(net_rig_front(&rig, 1, &second, why) == -EBUSY);
	UNIT_CHECK(strstr(why, "in use") != NULL && second == NULL);
	UNIT_CHECK(echo(netfront_queue(nf, 0), 100) == 100);
	netfront_close(nf);
	net_backend_stop(&be);
	/* The lock went with it. */
	be = (struct net_backend){ 0 };
	UNIT_REQUIRE(net_backend_start(&be, &rig) == 0);
	UNIT_REQUIRE(net_rig_front(&rig, 1, &nf, why) == 0);
	UNIT_CHECK(echo(netfront_queue(nf, 0), 100) == 100);
	net_rig_end(&rig, &be, nf);
}

static void the_link_follows_the_backend(void)
{
	struct net_backend be = { .max_queues = 4 };
	struct net_backend next = { .max_queues = 1, .restarted = true };
	struct netfront_frame held, prepared;
	struct netfront_info info;
	struct netfront_queue *q;
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	q = netfront_queue(nf, 0);
	UNIT_REQUIRE(send_from(q, 5, 6) == 1);
	netfront_kick(nf);
	while (netfront_recv(nf, &held, 1) == 0)
		sleep_on(q);
	UNIT_REQUIRE(netfront_prepare(nf, &prepared, 1, 60) == 1);
	net_backend_die(&be);
	UNIT_REQUIRE(wait_link(nf, false));
	UNIT_CHECK(((uint8_t *)held.iov[0].iov_base)[13] == 5);
	memset(prepared.iov[0].iov_base, 0, 60);
	UNIT_REQUIRE(net_backend_start(&next, &rig) == 0);
	UNIT_REQUIRE(wait_link(nf, true));
	netfront_info(nf, &info);
	UNIT_CHECK(info.nr_queues == 1);
	UNIT_CHECK(((uint8_t *)held.iov[0].iov_base)[13] == 5);
	netfront_recv_done(nf);
	UNIT_CHECK(netfront_send(nf, &prepared, 0) == 0);
	UNIT_CHECK(echo(q, 2000) == 2000);
	net_rig_end(&rig, &next, nf);
}

static bool wait_mtu(struct netfront *nf, uint32_t mtu)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;
	struct netfront_info info = { 0 };

	while (info.mtu != mtu && clock_now_ns() < end_ns) {
		if (netfront_poll(nf) >= 0)
			sleep_on(netfront_queue(nf, 0));
		netfront_info(nf, &info);
	}
	return info.mtu == mtu;
}

static void carrier_and_mtu_follow_the_store(void)
{
	struct net_backend be = { .carrier = "0" };
	struct netfront *nf;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 1, &nf) == 0);
	UNIT_CHECK(!netfront_link_up(nf));
	UNIT_REQUIRE(rig_put(&rig, rig.back, "carrier", "1") == 0);
	UNIT_CHECK(wait_link(nf, true));
	UNIT_REQUIRE(rig_put(&rig, rig.front, "mtu", "9000") == 0);
	UNIT_CHECK(wait_mtu(nf, 9000));
	UNIT_REQUIRE(rig_put(&rig, rig.back, "carrier", "0") == 0);
	UNIT_CHECK(wait_link(nf, false));
	UNIT_REQUIRE(rig_put(&rig, rig.back, "carrier", "1") == 0);
	UNIT_CHECK(wait_link(nf, true));
	UNIT_CHECK(echo(netfront_queue(nf, 0), 100) == 100);
	net_rig_end(&rig, &be, nf);
}

static void a_detached_vif_is_lost_for_good(void)
{
	struct net_backend be = { .max_queues = 2 };
	uint64_t end_ns;
	struct netfront *nf;
	int err = 0;

	UNIT_REQUIRE(net_rig_begin(&rig, &be, 2, &nf) == 0);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "online", "0") == 0);
	UNIT_REQUIRE(rig_put(&rig, rig.back, "state", "5") == 0);
	end_ns = clock_now_ns() + RIG_WAIT_NS;
	while (err >= 0 && clock_now_ns() < end_ns) {
		err = netfront_poll(nf);
		if (err >= 0)
			sleep_on(netfront_queue(nf, 0));
	}
	UNIT_CHECK(err == -ESHUTDOWN);
	UNIT_CHECK(netfront_queue_poll(netfront_queue(nf, 1)) == -ESHUTDOWN);
	UNIT_CHECK(!netfront_link_up(nf));
	net_rig_end(&rig, &be, nf);
}

UNIT_MAIN(
	"netfront_connect", UNIT_TEST(frames_go_and_come_back),
	UNIT_TEST(every_queue_has_an_owner_of_its_own),
	UNIT_TEST(a_backend_with_fewer_queues_leaves_the_others_down),
	UNIT_TEST(a_backend_without_features_has_one_channel_and_short_frames),
	UNIT_TEST(a_backend_that_cannot_copy_is_refused),
	UNIT_TEST(what_cannot_be_opened_is_said),
	UNIT_TEST(a_vif_is_opened_by_one_at_a_time),
	UNIT_TEST(the_link_follows_the_backend),
	UNIT_TEST(carrier_and_mtu_follow_the_store),
	UNIT_TEST(a_detached_vif_is_lost_for_good))
