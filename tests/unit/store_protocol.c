/* SPDX-License-Identifier: MIT */
/*
 * store_protocol.c - transaction ids and which error comes first; targets, the
 * depth of a watch, special names.
 */
#include "tests/unit/store_trio.h"

/* ---- transaction ids ----------------------------------------------------- */

static void an_unknown_transaction_is_enoent_whatever_is_asked(void)
{
	static const uint32_t types[] = {
		XS_CONTROL,
		XS_DIRECTORY,
		XS_READ,
		XS_GET_PERMS,
		XS_TRANSACTION_END,
		XS_TRANSACTION_START,
		XS_INTRODUCE,
		XS_GET_DOMAIN_PATH,
		XS_WRITE,
		XS_MKDIR,
		XS_RM,
		XS_SET_PERMS,
		XS_SET_TARGET,
		XS_RESET_WATCHES,
		XS_DIRECTORY_PART,
		XS_GET_FEATURE,
		XS_GET_QUOTA,
		XS_SET_QUOTA,
		XS_SET_FEATURE,
		XS_IS_DOMAIN_INTRODUCED,
	};

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		UNIT_CHECK(peer_ask(root, types[i], 7, "", 0) == -ENOENT);
	/* Nor does the wrong one matter to whoever may not ask at all. */
	UNIT_CHECK(peer_text(one, XS_CONTROL, 7, "check") == -EACCES);
	UNIT_CHECK(peer_text(one, 20, 7, "") == -ENOSYS);
	/* A watch is never part of a transaction. */
	UNIT_CHECK(peer_two(root, XS_WATCH, 7, "/a", "t", 2) == 0);
	UNIT_CHECK(peer_two(root, XS_UNWATCH, 7, "/a", "t", 2) == 0);
	teardown();
}

static void a_transaction_is_its_connections_alone(void)
{
	struct peer *again;
	uint32_t tx;

	UNIT_REQUIRE(setup());
	again = peer_open(xsd, 1);
	tx = peer_start(one);
	UNIT_CHECK(peer_text(again, XS_READ, tx, "data") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_READ, tx, "data") == 0);
	peer_close(again);
	teardown();
}

static void a_transactions_end_names_errors_in_xens_order(void)
{
	uint32_t tx;

	UNIT_REQUIRE(setup());
	tx = peer_start(one);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_START, tx, "") == -EBUSY);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_START, tx + 1, "") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_END, tx + 1, "x") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_END, 0, "x") == -EINVAL);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_END, 0, "T") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_END, tx, "x") == -EINVAL);
	UNIT_CHECK(peer_ask(one, XS_TRANSACTION_END, tx, "T", 1) == -EINVAL);
	UNIT_CHECK(peer_ask(one, XS_TRANSACTION_END, tx, "T\0x", 3) == -EINVAL);
	UNIT_CHECK(peer_end(one, tx, 1) == 0);
	UNIT_CHECK(peer_end(one, tx, 1) == -ENOENT);
	teardown();
}

/* XSA-484. */
static void watches_are_reset_inside_a_transaction_too(void)
{
	uint32_t tx, other;

	UNIT_REQUIRE(setup());
	tx = peer_start(one);
	other = peer_start(one);
	peer_write(one, tx, "data/x", "v");
	peer_watch(one, "data", "t");
	UNIT_CHECK(peer_text(one, XS_RESET_WATCHES, tx, "") == 0);
	UNIT_CHECK(peer_end(one, tx, 1) == -ENOENT);
	UNIT_CHECK(peer_end(one, other, 1) == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "data/x") == -ENOENT);
	one->nr_events = 0;
	peer_write(one, 0, "data/y", "");
	UNIT_CHECK(peer_heard(one, ""));
	teardown();
}

/* ---- targets ------------------------------------------------------------- */

static void a_domain_with_a_target_has_its_rights_too(void)
{
	UNIT_REQUIRE(setup());
	peer_write(two, 0, "data/own", "v");
	peer_write(root, 0, "/granted", "g");
	peer_chmod(root, 0, "/granted", "n0 b2");
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/local/domain/2/data/own") ==
		   -EACCES);
	UNIT_CHECK(ask(one, XS_SET_TARGET, "1 2") == -EACCES);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 2") == 0);
	UNIT_CHECK(peer_reads(one, 0, "/local/domain/2/data/own", "v"));
	UNIT_CHECK(peer_write(one, 0, "/local/domain/2/data/own", "w") == 0);
	UNIT_CHECK(peer_write(one, 0, "/granted", "h") == 0);
	/* It acts as the owner, but gives the node to nobody. */
	UNIT_CHECK(peer_chmod(one, 0, "/local/domain/2/data/own", "r2") == 0);
	UNIT_CHECK(peer_chmod(one, 0, "/local/domain/2/data/own", "r1") ==
		   -EPERM);
	/* What it makes there is its own, and its own quota's. */
	UNIT_CHECK(peer_write(one, 0, "/local/domain/2/data/new", "") == 0);
	UNIT_CHECK(peer_has_perms(root, "/local/domain/2/data/new", "n1"));
	/* Not the other way round. */
	UNIT_CHECK(peer_text(two, XS_READ, 0, "/local/domain/1/data") ==
		   -EACCES);
	teardown();
}

static void a_watch_fires_by_the_targets_rights(void)
{
	UNIT_REQUIRE(setup());
	peer_watch(one, "/local/domain/2/data", "t");
	peer_heard(one, "/local/domain/2/data=t");
	peer_write(two, 0, "data/x", "");
	UNIT_CHECK(peer_heard(one, ""));
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 2") == 0);
	peer_write(two, 0, "data/x", "");
	UNIT_CHECK(peer_heard(one, "/local/domain/2/data/x=t"));
	teardown();
}

static void a_targets_target_gives_nothing(void)
{
	struct peer *three;

	UNIT_REQUIRE(setup());
	three = peer_open(xsd, 3);
	peer_write(three, 0, "data/x", "");
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 2") == 0);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "2 3") == 0);
	UNIT_CHECK(peer_text(two, XS_READ, 0, "/local/domain/3/data/x") == 0);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/local/domain/3/data/x") ==
		   -EACCES);
	/* Another target replaces the first, itself being none. */
	UNIT_CHECK(ask(root, XS_SET_TARGET, "2 2") == 0);
	UNIT_CHECK(peer_text(two, XS_READ, 0, "/local/domain/3/data/x") ==
		   -EACCES);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 3") == 0);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/local/domain/3/data/x") == 0);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/local/domain/2/data") ==
		   -EACCES);
	peer_close(three);
	teardown();
}

/* XSA-322's class: a domid that is used again is another domain. */
static void a_target_that_died_is_nobodys_target(void)
{
	struct peer *again;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 2") == 0);
	xsd_domain_destroy(xsd, 2);
	again = peer_open(xsd, 2);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/local/domain/2/data") ==
		   -EACCES);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 2") == 0);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/local/domain/2/data") == 0);
	/* One that has a target may go first. */
	xsd_domain_destroy(xsd, 1);
	xsd_domain_destroy(xsd, 2);
	peer_close(again);
	teardown();
}

static void a_target_must_be_a_domain_that_lives(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 9") == -ENOENT);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "9 1") == -ENOENT);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 x") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "1 -1") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_TARGET, "65536 1") == -EINVAL);
	teardown();
}

/* ---- depth --------------------------------------------------------------- */

static void a_watch_reaches_as_deep_as_it_says(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_WATCH, "/a zero 0") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "/a one 1") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "/a two 2") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "/ top 1") == 0);
	UNIT_CHECK(peer_heard(root, "/a=zero /a=one /a=two /=top"));
	peer_write(root, 0, "/a", "");
	UNIT_CHECK(peer_heard(root, "/a=top /a=zero /a=one /a=two"));
	peer_write(root, 0, "/a/b", "");
	UNIT_CHECK(peer_heard(root, "/a/b=one /a/b=two"));
	peer_write(root, 0, "/a/b/c", "");
	UNIT_CHECK(peer_heard(root, "/a/b/c=two"));
	peer_write(root, 0, "/a/b/c/d", "");
	UNIT_CHECK(peer_heard(root, ""));
	/* What is removed with its parent counts at its own depth. */
	UNIT_CHECK(ask(root, XS_WATCH, "/a/b/c deep 0") == 0);
	peer_heard(root, "/a/b/c=deep");
	peer_text(root, XS_RM, 0, "/a/b");
	UNIT_CHECK(peer_heard(root, "/a/b=one /a/b=two /a/b/c=deep"));
	teardown();
}

static void a_depth_is_a_number(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_WATCH, "/a t -1") == -EINVAL);
	UNIT_CHECK(ask(root, XS_WATCH, "/a t x") == -EINVAL);
	UNIT_CHECK(ask(root, XS_WATCH, "/a t ") == -EINVAL);
	UNIT_CHECK(ask(root, XS_WATCH, "/a t 4294967295") == -EINVAL);
	UNIT_CHECK(ask(root, XS_WATCH, "/a t 2147483647") == 0);
	/* The depth does not tell two watches apart. */
	UNIT_CHECK(ask(root, XS_WATCH, "/a t 1") == -EEXIST);
	UNIT_CHECK(ask(root, XS_UNWATCH, "/a t") == 0);
	teardown();
}

/* ---- special names ------------------------------------------------------- */

static void a_special_watch_with_a_depth_names_the_domain(void)
{
	struct peer *p;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_WATCH, "@introduceDomain i 1") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "@releaseDomain r 1") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "@releaseDomain plain") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "@releaseDomain never 0") == 0);
	UNIT_CHECK(ask(root, XS_WATCH, "@releaseDomain/5 five") == 0);
	peer_heard(root, "@introduceDomain=i @releaseDomain=r "
			 "@releaseDomain=plain @releaseDomain=never "
			 "@releaseDomain/5=five");
	p = peer_open(xsd, 4);
	UNIT_CHECK(peer_heard(root, "@introduceDomain/4=i"));
	xsd_domain_destroy(xsd, 4);
	UNIT_CHECK(peer_heard(root, "@releaseDomain/4=r @releaseDomain=plain"));
	peer_close(p);
	p = peer_open(xsd, 5);
	peer_heard(root, "@introduceDomain/5=i");
	xsd_domain_destroy(xsd, 5);
	UNIT_CHECK(peer_heard(root, "@releaseDomain/5=r @releaseDomain=plain "
				    "@releaseDomain/5=five"));
	peer_close(p);
	teardown();
}

static void the_end_of_one_domain_can_be_anothers_to_know(void)
{
	struct peer *p;

	UNIT_REQUIRE(setup());
	p = peer_open(xsd, 5);
	peer_watch(one, "@releaseDomain/5", "five");
	peer_watch(one, "@releaseDomain/6", "six");
	peer_watch(one, "@releaseDomain", "all");
	ask(one, XS_WATCH, "@releaseDomain each 1");
	peer_heard(one, "@releaseDomain/5=five @releaseDomain/6=six "
			"@releaseDomain=all @releaseDomain=each");
	UNIT_CHECK(peer_chmod(one, 0, "@releaseDomain/5", "n0 r1") == -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "@releaseDomain/6", "n0 r1") == -ENOENT);
	UNIT_CHECK(peer_text(root, XS_GET_PERMS, 0, "@releaseDomain/5") ==
		   -ENOENT);
	UNIT_CHECK(peer_text(one, XS_GET_PERMS, 0, "@releaseDomain/5") ==
		   -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "@releaseDomain/5", "n0 r1") == 0);
	UNIT_CHECK(peer_has_perms(one, "@releaseDomain/5", "n0 r1"));
	UNIT_CHECK(peer_heard(one, "@releaseDomain/5=five"));
	UNIT_CHECK(says(one, XS_IS_DOMAIN_INTRODUCED, "5", "T"));
	UNIT_CHECK(ask(one, XS_IS_DOMAIN_INTRODUCED, "2") == -EACCES);
	xsd_domain_destroy(xsd, 5);
	UNIT_CHECK(peer_heard(one, "@releaseDomain/5=each "
				   "@releaseDomain/5=five"));
	xsd_domain_destroy(xsd, 2);
	UNIT_CHECK(peer_heard(one, ""));
	/* The next life of the number is another domain. */
	peer_close(p);
	p = peer_open(xsd, 5);
	UNIT_CHECK(ask(one, XS_IS_DOMAIN_INTRODUCED, "5") == -EACCES);
	xsd_domain_destroy(xsd, 5);
	UNIT_CHECK(peer_heard(one, ""));
	peer_close(p);
	teardown();
}

static void one_may_ask_about_oneself(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(says(one, XS_IS_DOMAIN_INTRODUCED, "1", "T"));
	UNIT_CHECK(says(one, XS_IS_DOMAIN_INTRODUCED, "32752", "T"));
	UNIT_CHECK(says(root, XS_IS_DOMAIN_INTRODUCED, "32752", "T"));
	UNIT_CHECK(says(root, XS_IS_DOMAIN_INTRODUCED, "65535", "F"));
	UNIT_CHECK(ask(one, XS_IS_DOMAIN_INTRODUCED, "9") == -EACCES);
	teardown();
}

UNIT_MAIN("store_protocol",
	  UNIT_TEST(an_unknown_transaction_is_enoent_whatever_is_asked),
	  UNIT_TEST(a_transaction_is_its_connections_alone),
	  UNIT_TEST(a_transactions_end_names_errors_in_xens_order),
	  UNIT_TEST(watches_are_reset_inside_a_transaction_too),
	  UNIT_TEST(a_domain_with_a_target_has_its_rights_too),
	  UNIT_TEST(a_watch_fires_by_the_targets_rights),
	  UNIT_TEST(a_targets_target_gives_nothing),
	  UNIT_TEST(a_target_that_died_is_nobodys_target),
	  UNIT_TEST(a_target_must_be_a_domain_that_lives),
	  UNIT_TEST(a_watch_reaches_as_deep_as_it_says),
	  UNIT_TEST(a_depth_is_a_number),
	  UNIT_TEST(a_special_watch_with_a_depth_names_the_domain),
	  UNIT_TEST(the_end_of_one_domain_can_be_anothers_to_know),
	  UNIT_TEST(one_may_ask_about_oneself))
