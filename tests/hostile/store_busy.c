/* SPDX-License-Identifier: MIT */
/*
 * store_busy.c - a guest that keeps others from getting anything done. The
 * clock is the test's.
 */
#include "tests/unit/store_peer.h"
#include "util/clock.h"
#include "xenstore-lite/conn.h"

#define TRIES 40u

static struct xsd *xsd;
static struct peer *root, *victim, *evil;
static uint64_t now_ns;

static uint64_t clock_of_test(void)
{
	return now_ns;
}

static int setup(void)
{
	static const struct xsd_ops ops = { .output = peer_has_output,
					    .dropped = peer_dropped,
					    .now_ns = clock_of_test };

	now_ns = NS_PER_S;
	if (xsd_open(0x5eed, &ops, &xsd))
		return 0;
	root = peer_open(xsd, 0);
	evil = peer_open(xsd, 1);
	victim = peer_open(xsd, 2);
	return root && evil && victim &&
	       peer_write(root, 0, "/shared/x", "") == 0 &&
	       peer_chmod(root, 0, "/shared/x", "n0 b1 b2") == 0;
}

static void teardown(void)
{
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(evil);
	peer_close(victim);
	peer_close(root);
	xsd_close(xsd);
}

/* Time goes by, and the attacker writes whenever it may. */
static void pass(uint64_t ns)
{
	for (uint64_t end_ns = now_ns + ns; now_ns < end_ns;
	     now_ns += 20 * NS_PER_US) {
		if (xsd_wake_ns(xsd) && now_ns >= xsd_wake_ns(xsd))
			xsd_wake(xsd);
		if (xsd_conn_wants_input(evil->conn))
			peer_write(evil, 0, "/shared/x", "again");
	}
}

/* Read, think, write: how many tries until it is committed. */
static unsigned tries(struct peer *peer)
{
	unsigned nr = 1;

	for (; nr <= TRIES; nr++) {
		uint32_t tx = peer_start(peer);

		peer_text(peer, XS_READ, tx, "/shared/x");
		pass(2 * NS_PER_MS);
		peer_write(peer, tx, "/shared/x", "mine");
		pass(NS_PER_MS);
		if (peer_end(peer, tx, 1) == 0)
			break;
	}
	return nr;
}

/*
 * XSA-206. Defence: whose change made another's transaction fail is paused
 * (credit_blame, called for a conflict).
 */
static void xsa_206_a_busy_writer_does_not_stop_transactions(void)
{
	UNIT_REQUIRE(setup());
	pass(NS_PER_S);
	for (unsigned i = 0; i < 10; i++) {
		UNIT_CHECK(tries(root) <= TRIES);
		UNIT_CHECK(tries(victim) <= TRIES);
	}
	/* And it is only paused: it gets its turn again. */
	now_ns += 100 * NS_PER_S;
	xsd_wake(xsd);
	UNIT_CHECK(peer_write(evil, 0, "/shared/x", "at rest") == 0);
	teardown();
}

/* The other way round: who may only read, and transacts all the time, does not
 * stop a writer that writes no more than is fine (XSD_CREDIT_WRITE_NS). */
static void xsa_206_nor_do_transactions_stop_a_calm_writer(void)
{
	unsigned nr_refused = 0;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_chmod(root, 0, "/shared/x", "n0 r1 b2") == 0);
	for (unsigned i = 0; i < 2000; i++) {
		uint32_t tx = peer_start(evil);

		peer_text(evil, XS_READ, tx, "/shared/x");
		now_ns += 5 * NS_PER_MS;
		nr_refused += !xsd_conn_wants_input(victim->conn);
		UNIT_CHECK(peer_write(victim, 0, "/shared/x", "") == 0);
		UNIT_CHECK(peer_end(evil, tx, 1) == -EAGAIN);
		if (xsd_wake_ns(xsd) && now_ns >= xsd_wake_ns(xsd))
			xsd_wake(xsd);
	}
	UNIT_CHECK(nr_refused == 0);
	teardown();
}

UNIT_MAIN("store_busy",
	  UNIT_TEST(xsa_206_a_busy_writer_does_not_stop_transactions),
	  UNIT_TEST(xsa_206_nor_do_transactions_stop_a_calm_writer))
