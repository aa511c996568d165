/* SPDX-License-Identifier: MIT */
/*
 * store_fair.c - nobody can keep others from their work: a busy writer
 * (XSA-206), costly requests. The clock is the test's.
 */
#include "tests/unit/store_peer.h"
#include "util/clock.h"
#include "xenstore-lite/credit.h"

#define TRIES 40

static struct xsd *xsd;
static struct peer *root, *one, *two;
static uint64_t now_ns;
static unsigned nr_woken;
static const struct peer *woken;

static uint64_t clock_of_test(void)
{
	return now_ns;
}

static void has_output(void *arg)
{
	woken = arg;
	nr_woken++;
}

static int setup(void)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = peer_dropped,
					    .now_ns = clock_of_test };

	now_ns = 1000 * NS_PER_S;
	if (xsd_open(0x5eed, &ops, &xsd))
		return 0;
	root = peer_open(xsd, 0);
	one = peer_open(xsd, 1);
	two = peer_open(xsd, 2);
	peer_write(root, 0, "/shared", "");
	peer_chmod(root, 0, "/shared", "n0 b1 b2");
	peer_write(root, 0, "/shared/x", "");
	nr_woken = 0;
	return root && one && two;
}

static void teardown(void)
{
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(root);
	peer_close(one);
	peer_close(two);
	xsd_close(xsd);
}

static int is_served(struct peer *peer)
{
	return xsd_conn_wants_input(peer->conn);
}

/* What a hostile domain does whenever it may. Each is one change. */
typedef void attack_fn(void);

static void write_x(void)
{
	if (is_served(one))
		UNIT_CHECK(peer_write(one, 0, "/shared/x", "1") == 0);
}

static void make_and_remove_y(void)
{
	static int there;

	if (!is_served(one))
		return;
	there = peer_text(one, XS_READ, 0, "/shared/y") == 0;
	if (there)
		UNIT_CHECK(peer_text(one, XS_RM, 0, "/shared/y") == 0);
	else
		UNIT_CHECK(peer_write(one, 0, "/shared/y", "") == 0);
}

static void make_children(void)
{
	static unsigned nr;
	char path[32];

	if (!is_served(one))
		return;
	snprintf(path, sizeof(path), "/shared/c-%u", nr++ % 500);
	UNIT_CHECK(peer_write(one, 0, path, "") == 0);
}

/* The victim's transaction; each of its requests comes step_ns after the last,
 * with as many attacks between them as fit. Returns what its end says. */
static int transaction(struct peer *victim, uint64_t step_ns,
		       uint64_t attack_ns, attack_fn *attack)
{
	static const char *const paths[] = { "/shared/x", "/shared/y",
					     "/shared/x", "/shared/y" };
	uint32_t tx = peer_start(victim);

	for (unsigned i = 0; i < 5; i++) {
		uint64_t end_ns = now_ns + step_ns;

		if (i < 4)
			peer_text(victim, XS_READ, tx, paths[i]);
		else
			peer_text(victim, XS_DIRECTORY, tx, "/shared");
		while (now_ns < end_ns) {
			now_ns += attack_ns;
			attack();
		}
	}
	peer_write(victim, tx, "/shared/mine", "done");
	return peer_end(victim, tx, 1);
}

/* How many tries it takes; TRIES + 1 when it is never done. */
static unsigned commit(struct peer *victim, uint64_t step_ns,
		       uint64_t attack_ns, attack_fn *attack)
{
	unsigned nr = 0;

	while (nr++ <= TRIES)
		if (transaction(victim, step_ns, attack_ns, attack) == 0)
			break;
	return nr;
}

static void a_transaction_is_done_whoever_writes(void)
{
	static attack_fn *const attacks[] = { write_x, make_and_remove_y,
					      make_children };
	/* As fast as the store can; as slow as nobody minds. */
	static const uint64_t every_ns[] = { 10 * NS_PER_US, NS_PER_MS,
					     XSD_CREDIT_WRITE_NS };
	static const uint64_t steps_ns[] = { 50 * NS_PER_US, 2 * NS_PER_MS,
					     10 * NS_PER_MS };

	for (unsigned a = 0; a < 27; a++) {
		UNIT_REQUIRE(setup());
		for (unsigned i = 0; i < 5; i++) {
			UNIT_CHECK(commit(root, steps_ns[a % 3],
					  every_ns[a / 3 % 3],
					  attacks[a / 9]) <= TRIES);
			UNIT_CHECK(commit(two, steps_ns[a % 3],
					  every_ns[a / 3 % 3],
					  attacks[a / 9]) <= TRIES);
			now_ns += NS_PER_S;
		}
		teardown();
	}
}

/* That the attack is one: without the pauses the same takes for ever. */
static void without_a_pause_it_never_would_be(void)
{
	unsigned nr_failed = 0;

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < 100; i++) {
		uint32_t tx = peer_start(root);

		peer_text(root, XS_READ, tx, "/shared/x");
		peer_write(root, 0, "/shared/x", "by domain 0 itself");
		now_ns += NS_PER_MS;
		nr_failed += peer_end(root, tx, 1) == -EAGAIN;
	}
	UNIT_CHECK(nr_failed == 100);
	/* Which is never held back. */
	UNIT_CHECK(is_served(root) && xsd_wake_ns(xsd) == 0);
	teardown();
}

static void who_disturbs_nobody_is_never_paused(void)
{
	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t tx;

		UNIT_REQUIRE(is_served(one));
		peer_write(one, 0, "/shared/x", "");
		tx = peer_start(one);
		peer_write(one, tx, "/shared/x", "");
		UNIT_CHECK(peer_end(one, tx, 1) == 0);
		tx = peer_start(two);
		peer_text(two, XS_READ, tx, "/shared/none");
		peer_write(two, tx, "/shared/z", "");
		UNIT_CHECK(peer_end(two, tx, 1) == 0);
	}
	UNIT_CHECK(is_served(one) && is_served(two));
	teardown();
}

/* Its own conflicts are its own affair. */
static void who_disturbs_himself_is_not_paused(void)
{
	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t tx = peer_start(one);

		peer_text(one, XS_READ, tx, "/shared/x");
		peer_write(one, 0, "/shared/x", "");
		UNIT_CHECK(peer_end(one, tx, 1) == -EAGAIN);
		UNIT_REQUIRE(is_served(one));
	}
	teardown();
}

/* A transaction of two's that fails by one's change of path. */
static void break_it(const char *path, struct peer *victim)
{
	uint32_t tx = peer_start(victim);

	peer_text(victim, XS_READ, tx, path);
	peer_write(one, 0, path, "");
	UNIT_CHECK(peer_end(victim, tx, 1) == -EAGAIN);
}

static void the_blame_goes_to_who_made_the_change(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	/* Two writes more than one, but elsewhere. */
	for (unsigned i = 0; i < 300; i++) {
		peer_write(two, 0, "/shared/z", "");
		peer_write(two, 0, "/shared/x", "");
		peer_write(one, 0, "/shared/q", "");
	}
	tx = peer_start(root);
	peer_text(root, XS_READ, tx, "/shared/x");
	peer_write(two, 0, "/shared/z", "");
	peer_write(one, 0, "/shared/x", "");
	UNIT_CHECK(peer_end(root, tx, 1) == -EAGAIN);
	UNIT_CHECK(!is_served(one) && is_served(two));
	UNIT_CHECK(is_served(root));
	teardown();
}

/* Whom the number belonged to before is no matter. */
static void an_earlier_lifes_changes_are_not_ones_own(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	tx = peer_start(root);
	peer_text(root, XS_READ, tx, "/shared/x");
	peer_write(one, 0, "/shared/x", "");
	xsd_domain_destroy(xsd, 1);
	peer_close(one);
	one = peer_open(xsd, 1);
	for (unsigned i = 0; i < 1000; i++)
		peer_write(one, 0, "data/x", "");
	UNIT_CHECK(peer_end(root, tx, 1) == -EAGAIN);
	UNIT_CHECK(is_served(one));
	teardown();
}

/*
 * Who may only read makes transactions fail all the time, on purpose. At a rate
 * that is fine the writer does not notice; above it, it keeps that rate.
 */
static void a_reader_cannot_have_a_writer_paused(void)
{
	static const struct {
		uint64_t every_ns;
		unsigned min_writes; /* in ten seconds */
	} rates[] = { { XSD_CREDIT_WRITE_NS, 1999 }, { NS_PER_MS, 1500 } };

	for (unsigned r = 0; r < 2; r++) {
		unsigned nr = 0;
		uint64_t end_ns;

		UNIT_REQUIRE(setup());
		peer_write(one, 0, "data/x", "");
		peer_chmod(one, 0, "data/x", "n1 r2");
		end_ns = now_ns + 10 * NS_PER_S;
		while (now_ns < end_ns) {
			uint32_t tx = peer_start(two);

			peer_text(two, XS_READ, tx, "/local/domain/1/data/x");
			peer_write(two, tx, "data/y", "");
			now_ns += rates[r].every_ns;
			if (is_served(one)) {
				peer_write(one, 0, "data/x", "");
				nr++;
			}
			UNIT_CHECK(peer_end(two, tx, 1) != -EPROTO);
		}
		UNIT_CHECK(nr >= rates[r].min_writes);
		teardown();
	}
}

static void pauses_grow_are_bounded_and_forgotten(void)
{
	uint64_t last_ns = 0, length_ns;

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; is_served(one) && k < 500; k++)
			peer_write(one, 0, "/shared/q", "");
		break_it("/shared/x", two);
		UNIT_CHECK(!is_served(one));
		length_ns = xsd_wake_ns(xsd) - now_ns;
		UNIT_CHECK(length_ns >= XSD_PAUSE_MIN_NS);
		UNIT_CHECK(length_ns >= last_ns);
		UNIT_CHECK(length_ns <= XSD_PAUSE_MAX_NS);
		last_ns = length_ns;
		now_ns += length_ns - 1;
		UNIT_CHECK(!is_served(one));
		now_ns += 1;
		UNIT_CHECK(is_served(one));
		UNIT_CHECK(xsd_wake_ns(xsd) == 0);
	}
	UNIT_CHECK(last_ns == XSD_PAUSE_MAX_NS);
	now_ns += XSD_PAUSE_FORGET_NS + 1;
	for (unsigned k = 0; k < 500; k++)
		peer_write(one, 0, "/shared/q", "");
	break_it("/shared/x", two);
	UNIT_CHECK(xsd_wake_ns(xsd) - now_ns <= XSD_CREDIT_OWED_NS);
	teardown();
}

static void what_a_paused_domain_asks_is_answered_afterwards(void)
{
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };
	struct peer *again;
	char buf[sizeof(hdr) + 5];
	const void *data;

	UNIT_REQUIRE(setup());
	again = peer_open(xsd, 1);
	for (unsigned k = 0; k < 500; k++)
		peer_write(one, 0, "/shared/q", "");
	break_it("/shared/x", two);
	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), "name", 5);
	UNIT_CHECK(xsd_conn_feed(one->conn, buf, sizeof(buf)) == 0);
	UNIT_CHECK(xsd_conn_output(one->conn, &data) == 0);
	UNIT_CHECK(!is_served(again) && is_served(two) && is_served(root));
	/* Events go on. */
	UNIT_CHECK(xsd_conn_sent(one->conn, 0) == 0);
	now_ns = xsd_wake_ns(xsd);
	nr_woken = 0;
	xsd_wake(xsd);
	UNIT_CHECK(nr_woken == 2);
	UNIT_CHECK(xsd_conn_sent(one->conn, 0) == 0);
	UNIT_CHECK(xsd_conn_output(one->conn, &data) == sizeof(hdr) + 3);
	peer_read_all(one);
	UNIT_CHECK(is_served(again));
	peer_close(again);
	teardown();
}

static void a_paused_domain_may_die(void)
{
	UNIT_REQUIRE(setup());
	for (unsigned k = 0; k < 500; k++)
		peer_write(one, 0, "/shared/q", "");
	break_it("/shared/x", two);
	UNIT_CHECK(xsd_wake_ns(xsd) != 0);
	xsd_domain_destroy(xsd, 1);
	UNIT_CHECK(xsd_wake_ns(xsd) == 0);
	xsd_wake(xsd);
	peer_close(one);
	one = peer_open(xsd, 1);
	UNIT_CHECK(is_served(one));
	teardown();
}

/* ---- turns --------------------------------------------------------------- */

static void send_many(struct peer *peer, uint32_t type, const char *path,
		      unsigned nr)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .len = (uint32_t)strlen(path) + 1 };
	char buf[4096];
	size_t len = 0;

	for (unsigned i = 0; i < nr; i++) {
		memcpy(buf + len, &hdr, sizeof(hdr));
		memcpy(buf + len + sizeof(hdr), path, hdr.len);
		len += sizeof(hdr) + hdr.len;
	}
	UNIT_CHECK(xsd_conn_feed(peer->conn, buf, len) == 0);
}

/* Each error is a few bytes, and costs as much as the directory is long. */
static void costly_requests_have_a_turn_each(void)
{
	const size_t bytes = sizeof(struct xsd_sockmsg) + sizeof("E2BIG");
	const void *data;
	char path[32];

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < XSD_TURN_WORK; i++) {
		snprintf(path, sizeof(path), "/big/%u", i);
		peer_write(root, 0, path, "");
	}
	peer_chmod(root, 0, "/big", "r0");
	nr_woken = 0;
	send_many(one, XS_DIRECTORY, "/big", 10);
	for (unsigned i = 1; i <= 10; i++) {
		UNIT_CHECK(xsd_conn_output(one->conn, &data) == i * bytes);
		UNIT_CHECK(is_served(one) == (i == 10));
		UNIT_CHECK(nr_woken == (i < 10));
		/* Others have theirs meanwhile. */
		UNIT_CHECK(peer_reads(two, 0, "name", "d-2"));
		nr_woken = 0;
		UNIT_CHECK(xsd_conn_sent(one->conn, 0) == 0);
	}
	/* To send is not to begin a new turn. */
	peer_read_all(one);
	send_many(one, XS_DIRECTORY, "/big", 3);
	UNIT_CHECK(xsd_conn_sent(one->conn, bytes) == 0);
	UNIT_CHECK(xsd_conn_output(one->conn, &data) == 0);
	peer_read_all(one);
	UNIT_CHECK(one->nr_replies == 12);
	teardown();
}

static void events_that_others_get_are_work_too(void)
{
	static struct peer *peers[100];
	char token[16];

	UNIT_REQUIRE(setup());
	peer_chmod(root, 0, "/shared", "b0");
	for (unsigned i = 0; i < 100; i++) {
		peers[i] = peer_open(xsd, 10 + i);
		for (unsigned t = 0; t < 100; t++) {
			snprintf(token, sizeof(token), "%u", t);
			peer_watch(peers[i], "/shared", token);
		}
		peers[i]->nr_events = 0;
	}
	send_many(one, XS_RM, "/shared/x", 1);
	peer_read_all(one);
	peer_write(root, 0, "/shared/x", "");
	peer_write(root, 0, "/shared/y", "");
	send_many(one, XS_RM, "/shared/x", 2);
	UNIT_CHECK(!is_served(one));
	peer_read_all(one);
	UNIT_CHECK(is_served(one));
	for (unsigned i = 0; i < 100; i++)
		peer_close(peers[i]);
	teardown();
}

UNIT_MAIN("store_fair", UNIT_TEST(a_transaction_is_done_whoever_writes),
	  UNIT_TEST(without_a_pause_it_never_would_be),
	  UNIT_TEST(who_disturbs_nobody_is_never_paused),
	  UNIT_TEST(who_disturbs_himself_is_not_paused),
	  UNIT_TEST(the_blame_goes_to_who_made_the_change),
	  UNIT_TEST(an_earlier_lifes_changes_are_not_ones_own),
	  UNIT_TEST(a_reader_cannot_have_a_writer_paused),
	  UNIT_TEST(pauses_grow_are_bounded_and_forgotten),
	  UNIT_TEST(what_a_paused_domain_asks_is_answered_afterwards),
	  UNIT_TEST(a_paused_domain_may_die),
	  UNIT_TEST(costly_requests_have_a_turn_each),
	  UNIT_TEST(events_that_others_get_are_work_too))
