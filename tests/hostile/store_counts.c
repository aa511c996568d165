/* SPDX-License-Identifier: MIT */
/*
 * store_counts.c - a guest that wants more than its share: commits that half
 * happen, counters that lose count, memory, other people's time. The names of
 * the cases are those of the advisories whose act they repeat.
 */
#include <malloc.h>

#include "tests/hostile/store_stage.h"
#include "tests/unit/unit.h"

static const struct xsd_domain *evil_domain(void)
{
	return xsd_domain_find(&stage.xsd->store.domains, 1);
}

static uint32_t evil_nodes(void)
{
	return evil_domain()->nr_nodes;
}

static int quota(const char *name, unsigned value)
{
	char words[64];

	snprintf(words, sizeof(words), "1 %s %u", name, value);
	return stage_ask(stage.root, XS_SET_QUOTA, 0, words);
}

static char *numbered(const char *prefix, unsigned n)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s%u", prefix, n);
	return path;
}

/* ---- XSA-272, 330, 414, 415, 421, 440, 484: all or nothing --------------- */

/* Defence: within_quota asks for the whole chain before it makes any of it. */
static void xsa_414_a_chain_that_does_not_fit_leaves_no_part(void)
{
	uint32_t nr, tx;

	UNIT_REQUIRE(stage_begin());
	nr = evil_nodes();
	UNIT_CHECK(quota("nodes", nr + 3) == 0);
	for (unsigned i = 0; i < 2; i++) {
		tx = i ? peer_start(stage.evil) : 0;
		UNIT_CHECK(peer_write(stage.evil, tx, "data/a/b/c/d", "x") ==
			   -ENOSPC);
		UNIT_CHECK(peer_text(stage.evil, XS_MKDIR, tx,
				     "data/a/b/c/d/e") == -ENOSPC);
		UNIT_CHECK(peer_text(stage.evil, XS_READ, tx, "data/a") ==
			   -ENOENT);
		UNIT_CHECK(peer_lists(stage.evil, tx, "data", ""));
		UNIT_CHECK(!tx || peer_end(stage.evil, tx, 1) == 0);
		UNIT_CHECK(evil_nodes() == nr);
	}
	UNIT_CHECK(peer_write(stage.evil, 0, "data/a/b/c", "x") == 0);
	UNIT_CHECK(evil_nodes() == nr + 3);
	stage_end();
}

/* Defence: txn->nr_own counts what a commit will change, both ways. */
static void xsa_415_created_and_deleted_in_a_transaction_is_nothing(void)
{
	uint32_t nr;

	UNIT_REQUIRE(stage_begin());
	nr = evil_nodes();
	for (unsigned i = 0; i < 200; i++) {
		uint32_t tx = peer_start(stage.evil);

		UNIT_REQUIRE(tx != 0);
		UNIT_CHECK(peer_write(stage.evil, tx, "data/a/b/c", "x") == 0);
		UNIT_CHECK(peer_text(stage.evil, XS_RM, tx, "data/a") == 0);
		if (i % 3 == 0)
			UNIT_CHECK(peer_write(stage.evil, tx, "data/a", "") ==
				   0);
		if (i % 3 == 0)
			UNIT_CHECK(peer_text(stage.evil, XS_RM, tx, "data/a") ==
				   0);
		UNIT_CHECK(peer_end(stage.evil, tx, i & 1) == 0);
		UNIT_CHECK(evil_nodes() == nr);
		UNIT_CHECK(xsd_check(stage.xsd) == 0);
	}
	UNIT_CHECK(evil_domain()->nr_transactions == 0);
	stage_end();
}

/* Defence: what a commit touches must be as it was (is_current). */
static void xsa_421_two_that_delete_the_same_count_once(void)
{
	struct peer *again;
	uint32_t nr, txs[2];

	UNIT_REQUIRE(stage_begin());
	again = peer_open(stage.xsd, 1);
	UNIT_REQUIRE(again != NULL);
	nr = evil_nodes();
	for (unsigned i = 0; i < 50; i++)
		peer_write(stage.evil, 0, numbered("data/n", i), "");
	UNIT_CHECK(evil_nodes() == nr + 50);
	txs[0] = peer_start(stage.evil);
	txs[1] = peer_start(again);
	for (unsigned i = 0; i < 50; i++) {
		const char *path = numbered("data/n", i);

		UNIT_CHECK(peer_text(stage.evil, XS_RM, txs[0], path) == 0);
		UNIT_CHECK(peer_text(again, XS_RM, txs[1], path) == 0);
	}
	UNIT_CHECK(peer_end(stage.evil, txs[0], 1) == 0);
	UNIT_CHECK(peer_end(again, txs[1], 1) == -EAGAIN);
	UNIT_CHECK(evil_nodes() == nr);
	/* Exactly the quota can be made again. */
	UNIT_CHECK(quota("nodes", nr + 5) == 0);
	for (unsigned i = 0; i < 6; i++)
		UNIT_CHECK(peer_write(stage.evil, 0, numbered("data/m", i),
				      "") == (i < 5 ? 0 : -ENOSPC));
	peer_close(again);
	stage_end();
}

/* Defence: the commit counts again (check() in commit.c). */
static void xsa_440_transactions_that_fit_alone_do_not_fit_together(void)
{
	uint32_t nr, txs[2];

	UNIT_REQUIRE(stage_begin());
	nr = evil_nodes();
	UNIT_CHECK(quota("nodes", nr + 10) == 0);
	for (unsigned t = 0; t < 2; t++) {
		txs[t] = peer_start(stage.evil);
		for (unsigned i = 0; i < 6; i++)
			UNIT_CHECK(
				peer_write(stage.evil, txs[t],
					   numbered(t ? "data/b" : "data/a", i),
					   "") == 0);
	}
	UNIT_CHECK(peer_end(stage.evil, txs[0], 1) == 0);
	UNIT_CHECK(peer_end(stage.evil, txs[1], 1) == -ENOSPC);
	UNIT_CHECK(evil_nodes() == nr + 6);
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "data/b0") == -ENOENT);
	stage_end();
}

/* Defence: watch_del_all, conn_end_txn are the only ways and both count. */
static void xsa_330_resetting_watches_resets_the_count_and_no_more(void)
{
	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < 1000; i++) {
		UNIT_CHECK(peer_watch(stage.evil, "data", "t") == 0);
		UNIT_CHECK(peer_watch(stage.evil, "data", "t") == -EEXIST);
		UNIT_CHECK(peer_text(stage.evil, XS_RESET_WATCHES, 0, "") == 0);
		UNIT_CHECK(evil_domain()->nr_watches == 0);
	}
	for (unsigned i = 0; i < 130; i++)
		UNIT_CHECK(peer_watch(stage.evil, "data", numbered("t", i)) ==
			   (i < 128 ? 0 : -E2BIG));
	UNIT_CHECK(peer_text(stage.evil, XS_RESET_WATCHES, 0, "") == 0);
	UNIT_CHECK(evil_domain()->event_bytes == 0);
	stage_end();
}

/* Defence: a request's transaction is looked up for each request anew. */
static void xsa_484_watches_are_reset_inside_a_transaction(void)
{
	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < 200; i++) {
		uint32_t tx = peer_start(stage.evil);

		UNIT_REQUIRE(tx != 0);
		peer_write(stage.evil, tx, "data/x/y", "");
		peer_text(stage.evil, XS_RM, tx, "data");
		peer_watch(stage.evil, "data", "t");
		UNIT_CHECK(peer_text(stage.evil, XS_RESET_WATCHES, tx, "") ==
			   0);
		UNIT_CHECK(peer_end(stage.evil, tx, 1) == -ENOENT);
		UNIT_CHECK(evil_domain()->nr_transactions == 0);
		UNIT_CHECK(evil_domain()->nr_watches == 0);
		UNIT_CHECK(xsd_check(stage.xsd) == 0);
	}
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "data") == 0);
	stage_end();
}

/* ---- XSA-326, XSA-416: memory -------------------------------------------- */

/* Bytes that the process has from malloc; 0 where a sanitizer has its own. */
static size_t heap_bytes(void)
{
	return mallinfo2().uordblks;
}

/* What the attacker may make the heap grow by: its quota, and what an
 * allocation costs more than it asks for. */
static void bounded(size_t before)
{
	size_t now = heap_bytes();

	UNIT_CHECK(evil_domain()->memory_bytes <= 2560 * 1024 + 65536);
	UNIT_CHECK(now < before || now - before < 2 * 2560 * 1024);
	if (now > before && now - before >= 2 * 2560 * 1024)
		printf("the heap grew by %zu bytes\n", now - before);
}

static void send_only(struct peer *p, uint32_t type, const void *payload,
		      size_t len)
{
	char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	struct xsd_sockmsg hdr = { .type = type, .len = (uint32_t)len };

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	if (xsd_conn_wants_input(p->conn))
		UNIT_CHECK(xsd_conn_feed(p->conn, buf, sizeof(hdr) + len) == 0);
}

/*
 * Asks and never reads, on as many connections as it may have. Defence: wants
 * input only while answers are read, over all its connections.
 */
static void xsa_326_asking_without_reading_costs_its_quota_at_most(void)
{
	static struct xsd_conn *conns[512];
	static char value[2000];
	unsigned nr = 0;
	size_t before;

	UNIT_REQUIRE(stage_begin());
	peer_two(stage.evil, XS_WRITE, 0, "data/big", value, sizeof(value));
	before = heap_bytes();
	for (; nr < ARRAY_SIZE(conns); nr++)
		if (xsd_conn_open(stage.xsd, 1, NULL, &conns[nr]))
			break;
	UNIT_CHECK(nr == 511); /* one is open already */
	for (unsigned round = 0; round < 40; round++)
		for (unsigned i = 0; i < nr; i++) {
			struct peer p = { .conn = conns[i] };

			send_only(&p, XS_READ, "data/big", 9);
		}
	bounded(before);
	UNIT_CHECK(evil_domain()->nr_outstanding <= 21);
	stage_spared();
	for (unsigned i = 0; i < nr; i++)
		xsd_conn_close(conns[i]);
	stage_end();
}

/*
 * Removes trees under as many watches as it may have, and never reads.
 * Defence: equal events are one, more than the quota become one per watch.
 */
static void xsa_326_deleting_under_watches_costs_its_quota_at_most(void)
{
	static char path[1900];
	size_t before;

	UNIT_REQUIRE(stage_begin());
	memset(path, 'p', sizeof(path) - 1);
	memcpy(path, "data/t/", 7);
	for (unsigned i = 0; i < 128; i++) {
		struct peer *p = stage.evil;

		UNIT_CHECK(peer_watch(p, "data", numbered("t", i)) == 0);
	}
	before = heap_bytes();
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 200; i++) {
			char text[16];

			snprintf(text, sizeof(text), "%03u.%u", i, round);
			memcpy(path + 7, text, 3);
			path[10] = (char)('0' + round);
			send_only(stage.evil, XS_WRITE, path, sizeof(path));
			stage.evil->nr_events = 0;
		}
		send_only(stage.evil, XS_RM, "data/t", 7);
		bounded(before);
	}
	UNIT_CHECK(evil_domain()->event_bytes <= 256 * 1024 + 4096);
	stage_spared();
	stage_end();
}

/* Defence: each transaction's copies count against memory until it ends. */
static void xsa_326_transactions_cost_its_quota_at_most(void)
{
	static char value[2000];
	size_t before;
	unsigned refused = 0;

	UNIT_REQUIRE(stage_begin());
	before = heap_bytes();
	for (unsigned t = 0; t < 10; t++) {
		uint32_t tx = peer_start(stage.evil);

		refused += tx == 0;
		for (unsigned i = 0; tx && i < 900; i++)
			refused += peer_two(stage.evil, XS_WRITE, tx,
					    numbered("data/n", i), value,
					    sizeof(value)) != 0;
	}
	UNIT_CHECK(refused > 0);
	UNIT_CHECK(peer_start(stage.evil) == 0);
	bounded(before);
	stage_spared();
	stage_end();
}

/*
 * The victim watches where the attacker writes, and is slow to read. Defence:
 * the victim's events are bounded by merging, never by refusing it anything.
 */
static void xsa_416_anothers_events_do_not_exhaust_a_victim(void)
{
	char path[512];

	UNIT_REQUIRE(stage_begin());
	peer_write(stage.evil, 0, "data/open", "");
	peer_chmod(stage.evil, 0, "data/open", "r1");
	UNIT_CHECK(peer_watch(stage.victim, "/local/domain/1/data/open", "w") ==
		   0);
	peer_heard(stage.victim, "/local/domain/1/data/open=w");
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "data/open/%0400u", i % 900);
		UNIT_CHECK(peer_write(stage.evil, 0, path, "") == 0);
		if (i % 900 == 899)
			peer_text(stage.evil, XS_RM, 0, path);
	}
	UNIT_CHECK(xsd_domain_find(&stage.xsd->store.domains, 2)->event_bytes <=
		   256 * 1024 + 4096);
	/* It is refused nothing, and learns that there is something. */
	UNIT_CHECK(peer_write(stage.victim, 0, "data/x", "") == 0);
	UNIT_CHECK(peer_watch(stage.victim, "data/x", "x") == 0);
	peer_read_all(stage.victim);
	UNIT_CHECK(stage.victim->nr_events > 0);
	peer_unwatch(stage.victim, "/local/domain/1/data/open", "w");
	peer_unwatch(stage.victim, "data/x", "x");
	peer_text(stage.victim, XS_RM, 0, "data/x");
	peer_read_all(stage.victim);
	stage.victim->nr_events = 0;
	stage_end();
}

/* ---- each quota, to the last one ----------------------------------------- */

struct limit {
	const char *name;
	unsigned value;
	int refused;
	/* The n-th use of it. */
	int (*use)(unsigned n);
};

static int use_node(unsigned n)
{
	return peer_write(stage.evil, 0, numbered("data/n", n), "");
}

static int use_watch(unsigned n)
{
	return peer_watch(stage.evil, "data", numbered("t", n));
}

static int use_txn(unsigned n)
{
	(void)n;
	return peer_text(stage.evil, XS_TRANSACTION_START, 0, "");
}

static int use_byte(unsigned n)
{
	static const char value[64];

	return peer_two(stage.evil, XS_WRITE, 0, "data", value, n + 1);
}

static int use_path_byte(unsigned n)
{
	char path[65];

	memset(path, 'p', sizeof(path));
	memcpy(path, "data/", n + 1 < 5 ? n + 1 : 5);
	path[n + 1] = '\0';
	return n + 1 < 6 ? 0 : peer_text(stage.evil, XS_MKDIR, 0, path);
}

static int use_perm(unsigned n)
{
	char words[128] = "n1";
	size_t len = strlen(words);

	for (unsigned i = 0; i < n; i++, len += 3)
		memcpy(words + len, " r2", 4);
	return peer_chmod(stage.evil, 0, "data", words);
}

static int use_txn_node(unsigned n)
{
	static uint32_t tx;

	if (n == 0)
		tx = peer_start(stage.evil);
	/* data itself is touched once. */
	return peer_text(stage.evil, XS_READ, tx, numbered("data/n", n)) ==
			       -ENOSPC
		       ? -ENOSPC
		       : 0;
}

/* Defence: each is compared where it is used, with >=, not >. */
static void xsa_326_each_quota_grants_what_it_says_and_no_more(void)
{
	static const struct limit limits[] = {
		{ "nodes", 40, -ENOSPC, use_node },
		{ "watches", 20, -E2BIG, use_watch },
		{ "transactions", 5, -ENOSPC, use_txn },
		{ "node-size", 30, -ENOSPC, use_byte },
		{ "path-max", 30, -EINVAL, use_path_byte },
		{ "node-permissions", 7, -ENOSPC, use_perm },
		{ "transaction-nodes", 9, -ENOSPC, use_txn_node },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct limit *l = &limits[i];
		unsigned granted = 0, had;
		int err = 0;

		UNIT_REQUIRE(stage_begin());
		had = strcmp(l->name, "nodes") == 0 ? evil_nodes() : 0;
		UNIT_CHECK(quota(l->name, l->value) == 0);
		while (granted < 60 && !(err = l->use(granted)))
			granted++;
		if (granted + had != l->value || err != l->refused)
			printf("%s: %u granted, then %d\n", l->name, granted,
			       err);
		UNIT_CHECK(granted + had == l->value && err == l->refused);
		/* Another has its own. */
		UNIT_CHECK(peer_watch(stage.victim, "data", "more") == 0);
		UNIT_CHECK(peer_unwatch(stage.victim, "data", "more") == 0);
		stage_end();
	}
}

/* Defence: quotas are the domain's (domain.h), not a connection's. */
static void unix_socket_trap_two_hundred_connections_share_one_quota(void)
{
	static struct peer peers[200];
	unsigned watches = 0, txns = 0, nodes = 0;
	uint32_t had;

	UNIT_REQUIRE(stage_begin());
	had = evil_nodes();
	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
		struct peer *p = &peers[i];

		memset(p, 0, sizeof(*p));
		UNIT_REQUIRE(xsd_conn_open(stage.xsd, 1, p, &p->conn) == 0);
	}
	for (unsigned n = 0; n < 10; n++)
		for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
			struct peer *p = &peers[i];

			watches += !peer_watch(p, "data", numbered("t", n));
			txns += !peer_text(p, XS_TRANSACTION_START, 0, "");
			nodes += !peer_write(
				p, 0, numbered("data/n", n * 1000 + i), "");
		}
	UNIT_CHECK(watches == 128);
	UNIT_CHECK(txns == 10);
	UNIT_CHECK(nodes + had == 1000);
	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++)
		xsd_conn_close(peers[i].conn);
	UNIT_CHECK(evil_domain()->nr_watches == 0);
	UNIT_CHECK(evil_domain()->nr_transactions == 0);
	stage_end();
}

UNIT_MAIN("store_counts",
	  UNIT_TEST(xsa_414_a_chain_that_does_not_fit_leaves_no_part),
	  UNIT_TEST(xsa_415_created_and_deleted_in_a_transaction_is_nothing),
	  UNIT_TEST(xsa_421_two_that_delete_the_same_count_once),
	  UNIT_TEST(xsa_440_transactions_that_fit_alone_do_not_fit_together),
	  UNIT_TEST(xsa_330_resetting_watches_resets_the_count_and_no_more),
	  UNIT_TEST(xsa_484_watches_are_reset_inside_a_transaction),
	  UNIT_TEST(xsa_326_asking_without_reading_costs_its_quota_at_most),
	  UNIT_TEST(xsa_326_deleting_under_watches_costs_its_quota_at_most),
	  UNIT_TEST(xsa_326_transactions_cost_its_quota_at_most),
	  UNIT_TEST(xsa_416_anothers_events_do_not_exhaust_a_victim),
	  UNIT_TEST(xsa_326_each_quota_grants_what_it_says_and_no_more),
	  UNIT_TEST(unix_socket_trap_two_hundred_connections_share_one_quota))
