/* SPDX-License-Identifier: MIT */
/* store_transactions.c - isolation, conflicts, all or nothing. */
#include "tests/unit/store_peer.h"

static struct xsd *xsd;
static struct peer *root, *other, *guest;

static int setup(void)
{
	xsd = peer_store();
	root = peer_open(xsd, 0);
	other = peer_open(xsd, 0);
	guest = peer_open(xsd, 1);
	return root && other && guest;
}

static void teardown(void)
{
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(root);
	peer_close(other);
	peer_close(guest);
	xsd_close(xsd);
}

static void nobody_sees_a_change_before_the_commit(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/a", "old");
	tx = peer_start(root);
	UNIT_REQUIRE(tx != 0);
	UNIT_CHECK(peer_write(root, tx, "/a", "new") == 0);
	UNIT_CHECK(peer_write(root, tx, "/b/c", "new") == 0);
	UNIT_CHECK(peer_reads(root, tx, "/a", "new"));
	UNIT_CHECK(peer_lists(root, tx, "/", "local a b"));
	UNIT_CHECK(peer_reads(root, 0, "/a", "old"));
	UNIT_CHECK(peer_reads(other, 0, "/a", "old"));
	UNIT_CHECK(peer_text(other, XS_READ, 0, "/b/c") == -ENOENT);
	UNIT_CHECK(peer_end(root, tx, 1) == 0);
	UNIT_CHECK(peer_reads(other, 0, "/a", "new"));
	UNIT_CHECK(peer_reads(other, 0, "/b/c", "new"));
	teardown();
}

static void an_aborted_transaction_leaves_no_trace(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/a/b", "old");
	tx = peer_start(root);
	peer_text(root, XS_RM, tx, "/a");
	peer_write(root, tx, "/c", "");
	UNIT_CHECK(peer_end(root, tx, 0) == 0);
	UNIT_CHECK(peer_reads(root, 0, "/a/b", "old"));
	UNIT_CHECK(peer_text(root, XS_READ, 0, "/c") == -ENOENT);
	UNIT_CHECK(peer_end(root, tx, 0) == -ENOENT);
	UNIT_CHECK(peer_write(root, tx, "/c", "") == -ENOENT);
	/* Whatever else is wrong; but a watch is in no transaction. */
	UNIT_CHECK(peer_write(root, tx, "not//a path", "") == -ENOENT);
	UNIT_CHECK(peer_chmod(root, tx, "@releaseDomain", "r0") == -ENOENT);
	UNIT_CHECK(peer_text(root, XS_RESET_WATCHES, tx, "") == -ENOENT);
	UNIT_CHECK(peer_two(root, XS_WATCH, tx, "/c", "t", 2) == 0);
	teardown();
}

/* What one does in a transaction that touches `touch`, and what somebody else
 * does meanwhile: does the commit conflict? */
struct conflict {
	uint32_t type, other_type;
	const char *touch, *changed;
	int expect;
};

static void conflicts_are_per_node(void)
{
	static const struct conflict cases[] = {
		{ XS_READ, XS_WRITE, "/a", "/a", -EAGAIN },
		{ XS_READ, XS_WRITE, "/a", "/b", 0 },
		{ XS_READ, XS_WRITE, "/a", "/a/new", 0 },
		{ XS_READ, XS_RM, "/a", "/a", -EAGAIN },
		{ XS_READ, XS_WRITE, "/none", "/none", -EAGAIN },
		{ XS_READ, XS_WRITE, "/none", "/other", 0 },
		{ XS_WRITE, XS_WRITE, "/a", "/a", -EAGAIN },
		{ XS_WRITE, XS_READ, "/a", "/a", 0 },
		{ XS_WRITE, XS_WRITE, "/a/x", "/a/y", 0 },
		{ XS_WRITE, XS_RM, "/a/x", "/a", -EAGAIN },
		{ XS_WRITE, XS_WRITE, "/a/x", "/a/x", -EAGAIN },
		{ XS_DIRECTORY, XS_WRITE, "/a", "/a/new", -EAGAIN },
		{ XS_DIRECTORY, XS_RM, "/a", "/a/k", -EAGAIN },
		{ XS_DIRECTORY, XS_WRITE, "/a", "/a/k", 0 },
		{ XS_RM, XS_WRITE, "/a", "/a/new", -EAGAIN },
		{ XS_RM, XS_WRITE, "/a", "/a/k", -EAGAIN },
		{ XS_RM, XS_WRITE, "/a", "/b", 0 },
		{ XS_GET_PERMS, XS_SET_PERMS, "/a", "/a", -EAGAIN },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conflict *c = &cases[i];
		uint32_t tx;
		int got;

		UNIT_REQUIRE(setup());
		peer_write(root, 0, "/a/k", "");
		peer_write(root, 0, "/b", "");
		tx = peer_start(root);
		peer_text(root, c->type, tx, c->touch);
		/* So that there is something to commit. */
		UNIT_CHECK(peer_write(root, tx, "/mark", "") == 0);
		if (c->other_type == XS_SET_PERMS)
			peer_chmod(other, 0, c->changed, "r0");
		else
			peer_text(other, c->other_type, 0, c->changed);
		got = peer_end(root, tx, 1);
		if (got != c->expect)
			printf("case %u: %d\n", i, got);
		UNIT_CHECK(got == c->expect);
		UNIT_CHECK(peer_text(root, XS_READ, 0, "/mark") ==
			   (c->expect ? -ENOENT : 0));
		teardown();
	}
}

static void what_was_seen_once_stays_as_it_was(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/a/x", "old");
	tx = peer_start(root);
	UNIT_CHECK(peer_reads(root, tx, "/a/x", "old"));
	UNIT_CHECK(peer_lists(root, tx, "/a", "x"));
	peer_write(other, 0, "/a/x", "new");
	peer_write(other, 0, "/a/y", "");
	UNIT_CHECK(peer_reads(root, tx, "/a/x", "old"));
	UNIT_CHECK(peer_lists(root, tx, "/a", "x"));
	UNIT_CHECK(peer_end(root, tx, 1) == -EAGAIN);
	teardown();
}

static void a_node_removed_and_made_again_is_empty_below(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/a/b/c", "old");
	tx = peer_start(root);
	UNIT_CHECK(peer_text(root, XS_RM, tx, "/a") == 0);
	UNIT_CHECK(peer_text(root, XS_READ, tx, "/a/b/c") == -ENOENT);
	UNIT_CHECK(peer_write(root, tx, "/a/b", "new") == 0);
	UNIT_CHECK(peer_lists(root, tx, "/a", "b"));
	UNIT_CHECK(peer_lists(root, tx, "/a/b", ""));
	UNIT_CHECK(peer_end(root, tx, 1) == 0);
	UNIT_CHECK(peer_reads(root, 0, "/a/b", "new"));
	UNIT_CHECK(peer_lists(root, 0, "/a/b", ""));
	teardown();
}

static void two_that_remove_the_same_nodes_do_it_once(void)
{
	uint32_t a, b;
	char path[64];

	UNIT_REQUIRE(setup());
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "data/n/%d", i);
		peer_write(guest, 0, path, "");
	}
	a = peer_start(guest);
	b = peer_start(guest);
	UNIT_CHECK(peer_text(guest, XS_RM, a, "data/n") == 0);
	UNIT_CHECK(peer_text(guest, XS_RM, b, "data/n") == 0);
	UNIT_CHECK(peer_end(guest, a, 1) == 0);
	UNIT_CHECK(xsd_check(xsd) == 0);
	UNIT_CHECK(peer_end(guest, b, 1) == -EAGAIN);
	teardown();
}

/* XSA-421: neither in a transaction nor by two together. */
static void quotas_hold_across_a_commit(void)
{
	uint32_t a, b;
	char path[64];

	UNIT_REQUIRE(setup());
	for (int i = 0; i < 990; i++) {
		snprintf(path, sizeof(path), "data/%d", i);
		UNIT_CHECK(peer_write(guest, 0, path, "") == 0);
	}
	a = peer_start(guest);
	b = peer_start(guest);
	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "data/a%d", i);
		UNIT_CHECK(peer_write(guest, a, path, "") == 0);
		snprintf(path, sizeof(path), "data/b%d", i);
		UNIT_CHECK(peer_write(guest, b, path, "") == 0);
	}
	UNIT_CHECK(peer_end(guest, a, 1) == 0);
	UNIT_CHECK(peer_end(guest, b, 1) == -ENOSPC);
	UNIT_CHECK(peer_text(guest, XS_READ, 0, "data/b0") == -ENOENT);
	a = peer_start(guest);
	UNIT_CHECK(peer_write(guest, a, "data/c0", "") == 0);
	UNIT_CHECK(peer_write(guest, a, "data/c1", "") == 0);
	UNIT_CHECK(peer_write(guest, a, "data/c2", "") == -ENOSPC);
	UNIT_CHECK(peer_text(guest, XS_RM, a, "data/0") == 0);
	UNIT_CHECK(peer_write(guest, a, "data/c2", "") == 0);
	UNIT_CHECK(peer_end(guest, a, 1) == 0);
	teardown();
}

static void a_guest_has_ten_transactions_over_all_connections(void)
{
	struct peer *again;

	UNIT_REQUIRE(setup());
	again = peer_open(xsd, 1);
	for (int i = 0; i < 10; i++)
		UNIT_CHECK(peer_start(i & 1 ? again : guest) != 0);
	UNIT_CHECK(peer_text(guest, XS_TRANSACTION_START, 0, "") == -ENOSPC);
	peer_close(again);
	UNIT_CHECK(peer_start(guest) != 0);
	UNIT_CHECK(peer_text(guest, XS_RESET_WATCHES, 0, "") == 0);
	for (int i = 0; i < 10; i++)
		UNIT_CHECK(peer_start(guest) != 0);
	teardown();
}

static void a_guests_transaction_touches_so_many_nodes(void)
{
	uint32_t tx;
	char path[64];
	int err = 0;
	unsigned nr;

	UNIT_REQUIRE(setup());
	tx = peer_start(guest);
	for (nr = 0; nr < 2000 && err != -ENOSPC; nr++) {
		snprintf(path, sizeof(path), "data/%u", nr);
		err = peer_text(guest, XS_READ, tx, path);
	}
	UNIT_CHECK(nr - 1 == xsd_limits_domu.txn_nodes);
	UNIT_CHECK(peer_end(guest, tx, 1) == 0);
	teardown();
}

/* A node that was touched costs nothing more, removed and made again or not. */
static void a_node_is_touched_once_however_often(void)
{
	char path[] = "data/0/x/y/z";
	uint32_t tx;

	UNIT_REQUIRE(setup());
	tx = peer_start(guest);
	/* data, data/0, and four below each data/N: 1022 of 1024. */
	UNIT_CHECK(peer_write(guest, tx, path, "") == 0);
	for (unsigned i = 0; i < 1017; i++) {
		char name[32];

		snprintf(name, sizeof(name), "data/n%u", i);
		UNIT_CHECK(peer_text(guest, XS_READ, tx, name) == -ENOENT);
	}
	for (unsigned i = 0; i < 3; i++) {
		UNIT_CHECK(peer_text(guest, XS_RM, tx, "data/0") == 0);
		UNIT_CHECK(peer_write(guest, tx, path, "") == 0);
	}
	/* The 1023rd and 1024th, but no more. */
	UNIT_CHECK(peer_write(guest, tx, "data/1/x/y", "") == -ENOSPC);
	UNIT_CHECK(peer_write(guest, tx, "data/1", "") == 0);
	UNIT_CHECK(peer_end(guest, tx, 1) == 0);
	UNIT_CHECK(peer_text(root, XS_READ, 0, "/local/domain/1/data/0/x") ==
		   0);
	teardown();
}

static void transactions_do_not_nest_and_end_only_with_t_or_f(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	tx = peer_start(root);
	UNIT_CHECK(peer_text(root, XS_TRANSACTION_START, tx, "") == -EBUSY);
	UNIT_CHECK(peer_text(root, XS_TRANSACTION_END, tx, "X") == -EINVAL);
	UNIT_CHECK(peer_ask(root, XS_TRANSACTION_END, tx, "", 0) == -EINVAL);
	UNIT_CHECK(peer_text(root, XS_TRANSACTION_END, 0, "T") == -ENOENT);
	UNIT_CHECK(peer_end(other, tx, 1) == -ENOENT);
	UNIT_CHECK(peer_end(root, tx, 1) == 0);
	teardown();
}

static void watches_fire_once_and_after_the_commit(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/a/x", "");
	peer_watch(other, "/a", "t");
	UNIT_CHECK(peer_heard(other, "/a=t"));
	tx = peer_start(root);
	peer_write(root, tx, "/a/z", "1");
	peer_write(root, tx, "/a/x", "1");
	peer_write(root, tx, "/a/z", "2");
	peer_write(root, tx, "/a/gone", "");
	peer_text(root, XS_RM, tx, "/a/gone");
	UNIT_CHECK(peer_heard(other, ""));
	UNIT_CHECK(peer_end(root, tx, 1) == 0);
	UNIT_CHECK(peer_heard(other, "/a/z=t /a/x=t"));
	tx = peer_start(root);
	peer_write(root, tx, "/a/x", "2");
	peer_write(other, 0, "/a/x", "3");
	UNIT_CHECK(peer_heard(other, "/a/x=t"));
	UNIT_CHECK(peer_end(root, tx, 1) == -EAGAIN);
	UNIT_CHECK(peer_heard(other, ""));
	teardown();
}

static void an_owner_that_died_meanwhile_is_a_conflict(void)
{
	struct peer *two;
	uint32_t tx;

	UNIT_REQUIRE(setup());
	two = peer_open(xsd, 2);
	peer_write(root, 0, "/x", "");
	tx = peer_start(root);
	UNIT_CHECK(peer_chmod(root, tx, "/x", "n2") == 0);
	xsd_domain_destroy(xsd, 2);
	UNIT_CHECK(peer_end(root, tx, 1) == -EAGAIN);
	UNIT_CHECK(peer_has_perms(root, "/x", "n0"));
	peer_close(two);
	teardown();
}

UNIT_MAIN("store_transactions",
	  UNIT_TEST(nobody_sees_a_change_before_the_commit),
	  UNIT_TEST(an_aborted_transaction_leaves_no_trace),
	  UNIT_TEST(conflicts_are_per_node),
	  UNIT_TEST(what_was_seen_once_stays_as_it_was),
	  UNIT_TEST(a_node_removed_and_made_again_is_empty_below),
	  UNIT_TEST(two_that_remove_the_same_nodes_do_it_once),
	  UNIT_TEST(quotas_hold_across_a_commit),
	  UNIT_TEST(a_guest_has_ten_transactions_over_all_connections),
	  UNIT_TEST(a_guests_transaction_touches_so_many_nodes),
	  UNIT_TEST(a_node_is_touched_once_however_often),
	  UNIT_TEST(transactions_do_not_nest_and_end_only_with_t_or_f),
	  UNIT_TEST(watches_fire_once_and_after_the_commit),
	  UNIT_TEST(an_owner_that_died_meanwhile_is_a_conflict))
