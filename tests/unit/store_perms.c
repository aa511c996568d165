/* SPDX-License-Identifier: MIT */
/* store_perms.c - who may do what, the root included. */
#include "tests/unit/store_trio.h"

/* XSA-115, XSA-353. */
static void guests_may_do_nothing_with_the_root(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_text(one, XS_DIRECTORY, 0, "/") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_GET_PERMS, 0, "/") == -EACCES);
	UNIT_CHECK(peer_write(one, 0, "/", "x") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_RM, 0, "/") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_MKDIR, 0, "/x") == -EACCES);
	UNIT_CHECK(peer_chmod(one, 0, "/", "b1") == -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "/", "n1") == -EINVAL);
	teardown();
}

static void letters_mean_what_they_say(void)
{
	static const struct {
		const char *perms;
		int read, write;
	} cases[] = {
		{ "n0", -EACCES, -EACCES },
		{ "r0", 0, -EACCES },
		{ "w0", -EACCES, 0 },
		{ "b0", 0, 0 },
		{ "b0 n1", -EACCES, -EACCES },
		{ "n0 r1", 0, -EACCES },
		{ "n0 w1", -EACCES, 0 },
		{ "n0 b1", 0, 0 },
		{ "n0 b2", -EACCES, -EACCES },
		{ "n0 r1 w1", 0, -EACCES },
		{ "n1", 0, 0 },
	};

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		UNIT_CHECK(peer_write(root, 0, "/x", "v") == 0);
		UNIT_CHECK(peer_chmod(root, 0, "/x", cases[i].perms) == 0);
		UNIT_CHECK(peer_has_perms(root, "/x", cases[i].perms));
		UNIT_CHECK(peer_text(one, XS_READ, 0, "/x") == cases[i].read);
		UNIT_CHECK(peer_text(one, XS_DIRECTORY, 0, "/x") ==
			   cases[i].read);
		UNIT_CHECK(peer_text(one, XS_GET_PERMS, 0, "/x") ==
			   cases[i].read);
		UNIT_CHECK(peer_write(one, 0, "/x", "w") == cases[i].write);
		UNIT_CHECK(peer_write(one, 0, "/x/y", "w") == cases[i].write);
		UNIT_CHECK(peer_text(one, XS_RM, 0, "/x") == cases[i].write);
		peer_text(root, XS_RM, 0, "/x");
	}
	teardown();
}

static void what_is_missing_is_told_only_to_those_who_may_know(void)
{
	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/hidden", "");
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/hidden/x") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/none/x") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "data/x/y") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_READ, 0, "device/x") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_RM, 0, "device/x") == -EACCES);
	UNIT_CHECK(peer_write(one, 0, "device/x", "") == -EACCES);
	teardown();
}

static void children_inherit_and_guests_own_what_they_create(void)
{
	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/s", "");
	peer_chmod(root, 0, "/s", "n1 b2");
	UNIT_CHECK(peer_write(root, 0, "/s/zero/z", "") == 0);
	UNIT_CHECK(peer_has_perms(root, "/s/zero/z", "n1 b2"));
	UNIT_CHECK(peer_write(two, 0, "/s/two/t", "") == 0);
	UNIT_CHECK(peer_has_perms(root, "/s/two", "n2 b2"));
	UNIT_CHECK(peer_has_perms(root, "/s/two/t", "n2 b2"));
	UNIT_CHECK(peer_text(one, XS_READ, 0, "/s/two") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_RM, 0, "/s") == 0);
	teardown();
}

/* XSA-352: nobody can charge a node to another's quota. */
static void only_domain_0_changes_an_owner(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_write(one, 0, "data/x", "") == 0);
	UNIT_CHECK(peer_chmod(one, 0, "data/x", "n2") == -EPERM);
	UNIT_CHECK(peer_chmod(one, 0, "data/x", "n0") == -EPERM);
	UNIT_CHECK(peer_chmod(one, 0, "data/x", "r1 w2") == 0);
	UNIT_CHECK(peer_chmod(two, 0, "/local/domain/1/data/x", "b1") ==
		   -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "/local/domain/1/data/x", "n2") == 0);
	UNIT_CHECK(peer_write(two, 0, "/local/domain/1/data/x", "v") == 0);
	UNIT_CHECK(peer_chmod(root, 0, "/local/domain/1/data/x", "n9") ==
		   -ENOENT);
	teardown();
}

static void malformed_rights_are_refused(void)
{
	static const char *const bad[] = {
		"",   "n", "x1", "n-1", "n+1",	  "n1x",
		"N1", "1", "n ", "nn1", "n99999", "r18446744073709551617",
	};

	UNIT_REQUIRE(setup());
	peer_write(one, 0, "data/x", "");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(peer_chmod(one, 0, "data/x", bad[i]) == -EINVAL);
	UNIT_CHECK(peer_text(one, XS_SET_PERMS, 0, "data/x") == -EINVAL);
	UNIT_CHECK(peer_has_perms(one, "data/x", "n1"));
	teardown();
}

static void a_guest_has_five_entries_a_node(void)
{
	UNIT_REQUIRE(setup());
	peer_write(one, 0, "data/x", "");
	UNIT_CHECK(peer_chmod(one, 0, "data/x", "n1 r2 r2 r2 r2") == 0);
	UNIT_CHECK(peer_chmod(one, 0, "data/x", "n1 r2 r2 r2 r2 r2") ==
		   -ENOSPC);
	UNIT_CHECK(peer_chmod(root, 0, "/local/domain/1/data/x",
			      "n1 r2 r2 r2 r2 r2") == 0);
	teardown();
}

static void a_right_for_a_domain_yet_to_come_is_void(void)
{
	struct peer *p;

	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/x", "v");
	UNIT_CHECK(peer_chmod(root, 0, "/x", "n0 r3") == 0);
	p = peer_open(xsd, 3);
	UNIT_CHECK(peer_text(p, XS_READ, 0, "/x") == -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "/x", "n0 r3") == 0);
	UNIT_CHECK(peer_reads(p, 0, "/x", "v"));
	peer_close(p);
	teardown();
}

/* XSA-115: who comes and goes is not for everybody. */
static void special_names_are_domain_0s_to_open(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_text(one, XS_IS_DOMAIN_INTRODUCED, 0, "2") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_IS_DOMAIN_INTRODUCED, 0, "1") == 0 &&
		   peer_replied(one, "T"));
	UNIT_CHECK(peer_chmod(one, 0, "@releaseDomain", "b0") == -EACCES);
	UNIT_CHECK(peer_text(one, XS_GET_PERMS, 0, "@releaseDomain") ==
		   -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "@releaseDomain", "n0 r1") == 0);
	UNIT_CHECK(peer_has_perms(root, "@releaseDomain", "n0 r1"));
	UNIT_CHECK(peer_text(one, XS_IS_DOMAIN_INTRODUCED, 0, "2") == 0 &&
		   peer_replied(one, "T"));
	UNIT_CHECK(peer_text(one, XS_IS_DOMAIN_INTRODUCED, 0, "9") == 0 &&
		   peer_replied(one, "F"));
	UNIT_CHECK(peer_text(two, XS_IS_DOMAIN_INTRODUCED, 0, "1") == -EACCES);
	UNIT_CHECK(peer_chmod(root, 0, "@releaseDomain", "n1") == -EINVAL);
	UNIT_CHECK(peer_chmod(root, 0, "@nonsense", "n0") == -ENOENT);
	UNIT_CHECK(peer_text(root, XS_GET_PERMS, 0, "@nonsense") == -ENOENT);
	UNIT_CHECK(peer_text(one, XS_GET_PERMS, 0, "@nonsense") == -EACCES);
	teardown();
}

static void only_domain_0_introduces_releases_and_controls(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_text(one, XS_RELEASE, 0, "2") == -EACCES);
	UNIT_CHECK(peer_ask(one, XS_INTRODUCE, 0, "2\0001\0001", 6) == -EACCES);
	UNIT_CHECK(peer_text(one, XS_CONTROL, 0, "check") == -EACCES);
	UNIT_CHECK(peer_text(root, XS_CONTROL, 0, "check") == 0 &&
		   peer_replied(root, "OK"));
	UNIT_CHECK(peer_text(root, XS_CONTROL, 0, "nonsense") == -EINVAL);
	UNIT_CHECK(peer_ask(root, XS_INTRODUCE, 0, "2\0001\0001", 6) ==
		   -ENOSYS);
	UNIT_CHECK(peer_ask(root, XS_INTRODUCE, 0, "9\0001\0001", 6) ==
		   -ENOENT);
	UNIT_CHECK(peer_text(one, XS_RESUME, 0, "2") == -EACCES);
	UNIT_CHECK(peer_text(root, XS_RESUME, 0, "2") == 0);
	UNIT_CHECK(peer_text(root, XS_RESUME, 0, "9") == -ENOENT);
	UNIT_CHECK(peer_text(root, XS_RESUME, 0, "0") == -EINVAL);
	UNIT_CHECK(peer_text(root, XS_RELEASE, 0, "0") == -EINVAL);
	UNIT_CHECK(peer_text(root, XS_RELEASE, 0, "9") == -ENOENT);
	UNIT_CHECK(peer_text(root, XS_RELEASE, 0, "2") == 0);
	UNIT_CHECK(two->conn == NULL);
	UNIT_CHECK(peer_text(root, XS_IS_DOMAIN_INTRODUCED, 0, "2") == 0 &&
		   peer_replied(root, "F"));
	teardown();
}

UNIT_MAIN("store_perms", UNIT_TEST(guests_may_do_nothing_with_the_root),
	  UNIT_TEST(letters_mean_what_they_say),
	  UNIT_TEST(what_is_missing_is_told_only_to_those_who_may_know),
	  UNIT_TEST(children_inherit_and_guests_own_what_they_create),
	  UNIT_TEST(only_domain_0_changes_an_owner),
	  UNIT_TEST(malformed_rights_are_refused),
	  UNIT_TEST(a_guest_has_five_entries_a_node),
	  UNIT_TEST(a_right_for_a_domain_yet_to_come_is_void),
	  UNIT_TEST(special_names_are_domain_0s_to_open),
	  UNIT_TEST(only_domain_0_introduces_releases_and_controls))
