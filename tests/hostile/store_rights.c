/* SPDX-License-Identifier: MIT */
/*
 * store_rights.c - a guest that wants to see or have what is another's. The
 * names of the cases are those of the advisories whose act they repeat.
 */
#include "tests/hostile/store_stage.h"
#include "tests/unit/unit.h"

/* ---- XSA-115, XSA-353: one choke point, the root included ---------------- */

/* Defence: may_know() in watch.c, when a watch fires. */
static void xsa_115_a_watch_on_the_root_shows_only_what_may_be_seen(void)
{
	UNIT_REQUIRE(stage_begin());
	peer_write(stage.root, 0, "/shown", "");
	peer_chmod(stage.root, 0, "/shown", "r0");
	UNIT_CHECK(peer_watch(stage.evil, "/", "w") == 0);
	UNIT_CHECK(peer_watch(stage.evil, STAGE_PRECIOUS, "p") == 0);
	UNIT_CHECK(peer_heard(stage.evil, "/=w " STAGE_PRECIOUS "=p"));
	peer_write(stage.victim, 0, "data/precious", "mine");
	peer_write(stage.victim, 0, "data/new/below", "");
	peer_text(stage.victim, XS_RM, 0, "data/new");
	peer_write(stage.root, 0, "/secret/x", "");
	peer_chmod(stage.root, 0, "/secret/x", "b2");
	UNIT_CHECK(peer_heard(stage.evil, "/secret/x=w"));
	peer_chmod(stage.root, 0, "/secret/x", "n0");
	peer_heard(stage.evil, "/secret/x=w");
	peer_write(stage.root, 0, "/secret/x", "");
	peer_text(stage.root, XS_RM, 0, "/secret");
	UNIT_CHECK(peer_heard(stage.evil, ""));
	peer_write(stage.root, 0, "/shown", "");
	UNIT_CHECK(peer_heard(stage.evil, "/shown=w"));
	peer_text(stage.root, XS_RM, 0, "/shown");
	stage.victim->nr_events = 0;
	peer_read_all(stage.victim);
	stage.victim->nr_events = 0;
	stage_end();
}

/* The same when it happens in a transaction that ends. */
static void xsa_115_a_commit_shows_no_more(void)
{
	uint32_t tx;

	UNIT_REQUIRE(stage_begin());
	peer_watch(stage.evil, "/", "w");
	peer_heard(stage.evil, "/=w");
	tx = peer_start(stage.victim);
	peer_write(stage.victim, tx, "data/a", "");
	peer_write(stage.victim, tx, "data/b/c", "");
	peer_text(stage.victim, XS_RM, tx, "data/b");
	UNIT_CHECK(peer_end(stage.victim, tx, 1) == 0);
	UNIT_CHECK(peer_heard(stage.evil, ""));
	peer_text(stage.victim, XS_RM, 0, "data/a");
	peer_read_all(stage.victim);
	stage.victim->nr_events = 0;
	stage_end();
}

/* Defence: the rights of the special names, domain 0's to give. */
static void xsa_115_special_watches_and_questions_need_the_right(void)
{
	UNIT_REQUIRE(stage_begin());
	peer_watch(stage.evil, "@introduceDomain", "i");
	peer_watch(stage.evil, "@releaseDomain", "r");
	peer_watch(stage.evil, "@releaseDomain/3", "three");
	peer_heard(stage.evil, "@introduceDomain=i @releaseDomain=r "
			       "@releaseDomain/3=three");
	UNIT_CHECK(peer_chmod(stage.evil, 0, "@releaseDomain", "n0 r1") ==
		   -EACCES);
	UNIT_CHECK(peer_chmod(stage.evil, 0, "@releaseDomain/2", "n0 r1") ==
		   -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_GET_PERMS, 0, "@releaseDomain") ==
		   -EACCES);
	peer_close(peer_open(stage.xsd, 3));
	xsd_domain_destroy(stage.xsd, 3);
	UNIT_CHECK(peer_heard(stage.evil, ""));
	UNIT_CHECK(peer_text(stage.evil, XS_IS_DOMAIN_INTRODUCED, 0, "2") ==
		   -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_IS_DOMAIN_INTRODUCED, 0, "9") ==
		   -EACCES);
	stage_end();
}

/* Defence: access.c looks nodes up in one place. */
static void xsa_353_the_root_is_a_node_like_any_other(void)
{
	uint32_t tx;

	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < 2; i++) {
		tx = i ? peer_start(stage.evil) : 0;
		UNIT_CHECK(peer_text(stage.evil, XS_DIRECTORY, tx, "/") ==
			   -EACCES);
		UNIT_CHECK(stage_ask(stage.evil, XS_DIRECTORY_PART, tx,
				     "/ 0") == -EACCES);
		UNIT_CHECK(peer_text(stage.evil, XS_READ, tx, "/") == -EACCES);
		UNIT_CHECK(peer_write(stage.evil, tx, "/", "x") == -EACCES);
		UNIT_CHECK(peer_write(stage.evil, tx, "/x", "x") == -EACCES);
		UNIT_CHECK(peer_text(stage.evil, XS_MKDIR, tx, "/x") ==
			   -EACCES);
		UNIT_CHECK(peer_text(stage.evil, XS_RM, tx, "/") == -EACCES);
		UNIT_CHECK(peer_text(stage.evil, XS_RM, tx, "/local") ==
			   -EACCES);
		UNIT_CHECK(peer_text(stage.evil, XS_GET_PERMS, tx, "/") ==
			   -EACCES);
		UNIT_CHECK(peer_chmod(stage.evil, tx, "/", "b1") == -EACCES);
		UNIT_CHECK(peer_chmod(stage.evil, tx, "/", "b0") == -EACCES);
	}
	/* Not even domain 0 removes it. */
	UNIT_CHECK(peer_text(stage.root, XS_RM, 0, "/") == -EINVAL);
	stage_end();
}

/* ---- XSA-322, 417, 419, 483: a domid that is used again ------------------ */

/* All that a domain may have been given, and all that it may leave. */
static int give_everything(void)
{
	uint32_t tx;

	return peer_write(stage.root, 0, "/granted", "secret") ||
	       peer_chmod(stage.root, 0, "/granted", "n0 b1") ||
	       peer_write(stage.victim, 0, "data/shared", "secret") ||
	       peer_chmod(stage.victim, 0, "data/shared", "n2 b1") ||
	       peer_chmod(stage.root, 0, "@releaseDomain", "n0 r1") ||
	       peer_chmod(stage.root, 0, "@introduceDomain", "n0 b1") ||
	       peer_chmod(stage.root, 0, "@releaseDomain/2", "n0 r1") ||
	       peer_write(stage.root, 0, "/given/away", "") ||
	       peer_chmod(stage.root, 0, "/given", "n1") ||
	       stage_ask(stage.root, XS_SET_TARGET, 0, "1 2") ||
	       peer_write(stage.evil, 0, STAGE_PRECIOUS "/below", "") ||
	       peer_watch(stage.evil, "/", "w") ||
	       peer_write(stage.evil, 0, "data/x/y/z", "") ||
	       (tx = peer_start(stage.evil)) == 0 ||
	       peer_write(stage.evil, tx, "data/more", "");
}

/* Defence: a right is a life's, not a number's (perms.h). */
static void has_nothing(void)
{
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "/granted") == -EACCES);
	UNIT_CHECK(peer_write(stage.evil, 0, "/granted", "") == -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0,
			     "/local/domain/2/data/shared") == -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, STAGE_PRECIOUS) ==
		   -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_GET_PERMS, 0, "@releaseDomain") ==
		   -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_GET_PERMS, 0, "@releaseDomain/2") ==
		   -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_IS_DOMAIN_INTRODUCED, 0, "2") ==
		   -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "data/x") == -ENOENT);
	UNIT_CHECK(peer_text(stage.root, XS_READ, 0, "/given") == -ENOENT);
	UNIT_CHECK(peer_text(stage.root, XS_READ, 0, STAGE_PRECIOUS "/below") ==
		   -ENOENT);
	UNIT_CHECK(peer_heard(stage.evil, ""));
}

static int reborn(void)
{
	peer_close(stage.evil);
	stage.evil = peer_open(stage.xsd, 1);
	return stage.evil != NULL;
}

/* What the toolstack gave: back to what it was, so that the counts can be. */
static void take_back(void)
{
	peer_text(stage.root, XS_RM, 0, "/granted");
	peer_text(stage.victim, XS_RM, 0, "data/shared");
	peer_chmod(stage.root, 0, "@releaseDomain", "n0");
	peer_chmod(stage.root, 0, "@introduceDomain", "n0");
	peer_read_all(stage.root);
	peer_read_all(stage.victim);
	stage.root->nr_events = stage.victim->nr_events = 0;
}

static void xsa_322_a_reused_domid_inherits_nothing(void)
{
	UNIT_REQUIRE(stage_begin());
	UNIT_REQUIRE(give_everything() == 0);
	UNIT_CHECK(peer_reads(stage.evil, 0, "/granted", "secret"));
	UNIT_CHECK(xsd_domain_destroy(stage.xsd, 1) == 0);
	UNIT_REQUIRE(reborn());
	has_nothing();
	/* The rights that were its are not even shown. */
	UNIT_CHECK(peer_has_perms(stage.root, "/granted", "n0"));
	take_back();
	stage_end();
}

/* Defence: nodes go with their owner; domain 0 gets none of them. */
static void xsa_419_ten_thousand_lives_leave_nothing(void)
{
	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < 10000; i++) {
		UNIT_REQUIRE(give_everything() == 0);
		UNIT_REQUIRE(xsd_domain_destroy(stage.xsd, 1) == 0);
		UNIT_REQUIRE(reborn());
		if (i % 1000 == 0)
			has_nothing();
		stage.victim->nr_events = 0;
	}
	take_back();
	stage_end();
}

/* Defence: commit.c's check that a new owner lives. */
static void xsa_417_no_commit_gives_a_node_to_the_dead(void)
{
	uint32_t tx;

	UNIT_REQUIRE(stage_begin());
	tx = peer_start(stage.root);
	UNIT_CHECK(peer_write(stage.root, tx, "/orphan", "") == 0);
	UNIT_CHECK(peer_chmod(stage.root, tx, "/orphan", "n1") == 0);
	UNIT_CHECK(xsd_domain_destroy(stage.xsd, 1) == 0);
	UNIT_REQUIRE(reborn());
	UNIT_CHECK(peer_end(stage.root, tx, 1) == -EAGAIN);
	UNIT_CHECK(peer_text(stage.root, XS_READ, 0, "/orphan") == -ENOENT);
	UNIT_CHECK(peer_chmod(stage.root, 0, STAGE_PRECIOUS, "n7") == -ENOENT);
	stage_end();
}

/* ---- XSA-352 ------------------------------------------------------------- */

/* Defence: access_set_perms: only domain 0 makes another the owner. */
static void xsa_352_a_node_is_not_given_away(void)
{
	uint32_t nr = stage_begin() ? stage_count().of_victim : 0;
	uint32_t tx;

	UNIT_REQUIRE(stage.evil != NULL);
	UNIT_CHECK(peer_write(stage.evil, 0, "data/gift", "") == 0);
	UNIT_CHECK(peer_chmod(stage.evil, 0, "data/gift", "n2") == -EPERM);
	UNIT_CHECK(peer_chmod(stage.evil, 0, "data/gift", "n0") == -EPERM);
	UNIT_CHECK(peer_chmod(stage.evil, 0, "data/gift", "n2 b1") == -EPERM);
	UNIT_CHECK(peer_chmod(stage.evil, 0, STAGE_PRECIOUS, "n1") == -EACCES);
	/* Not where it may write either. */
	peer_chmod(stage.victim, 0, "data/precious", "n2 b1");
	UNIT_CHECK(peer_chmod(stage.evil, 0, STAGE_PRECIOUS, "n1") == -EACCES);
	UNIT_CHECK(peer_chmod(stage.evil, 0, STAGE_PRECIOUS, "b2") == -EACCES);
	peer_chmod(stage.victim, 0, "data/precious", "n2");
	/* Nor in a transaction, nor as a stand-in. */
	tx = peer_start(stage.evil);
	UNIT_CHECK(peer_chmod(stage.evil, tx, "data/gift", "n2") == -EPERM);
	UNIT_CHECK(peer_end(stage.evil, tx, 1) == 0);
	stage_ask(stage.root, XS_SET_TARGET, 0, "1 2");
	UNIT_CHECK(peer_chmod(stage.evil, 0, STAGE_PRECIOUS, "n1") == -EPERM);
	UNIT_CHECK(peer_chmod(stage.evil, 0, "data/gift", "n2") == -EPERM);
	/* What it makes at the victim's is its own. */
	UNIT_CHECK(peer_write(stage.evil, 0, STAGE_PRECIOUS "/x", "") == 0);
	UNIT_CHECK(stage_count().of_victim == nr);
	peer_read_all(stage.victim);
	stage.victim->nr_events = 0;
	stage_end();
}

UNIT_MAIN("store_rights",
	  UNIT_TEST(xsa_115_a_watch_on_the_root_shows_only_what_may_be_seen),
	  UNIT_TEST(xsa_115_a_commit_shows_no_more),
	  UNIT_TEST(xsa_115_special_watches_and_questions_need_the_right),
	  UNIT_TEST(xsa_353_the_root_is_a_node_like_any_other),
	  UNIT_TEST(xsa_322_a_reused_domid_inherits_nothing),
	  UNIT_TEST(xsa_419_ten_thousand_lives_leave_nothing),
	  UNIT_TEST(xsa_417_no_commit_gives_a_node_to_the_dead),
	  UNIT_TEST(xsa_352_a_node_is_not_given_away))
