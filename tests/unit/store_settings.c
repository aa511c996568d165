/* SPDX-License-Identifier: MIT */
/*
 * store_settings.c - what domain 0 allows a domain: features, quotas by name.
 */
#include "tests/unit/store_trio.h"

/* ---- features ------------------------------------------------------------ */

static void features_are_a_domains_own(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_ask(one, XS_GET_FEATURE, 0, "", 0) == 0);
	UNIT_CHECK(strcmp(one->reply, "7") == 0);
	UNIT_CHECK(ask(one, XS_GET_FEATURE, "1") == -EACCES);
	UNIT_CHECK(says(root, XS_GET_FEATURE, "1", "7"));
	UNIT_CHECK(ask(root, XS_GET_FEATURE, "9") == -ENOENT);
	UNIT_CHECK(ask(root, XS_GET_FEATURE, "1 2") == -EINVAL);
	UNIT_CHECK(ask(root, XS_GET_FEATURE, "x") == -EINVAL);
	teardown();
}

static void features_are_set_before_there_is_a_connection(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(one, XS_SET_FEATURE, "1 3") == -EACCES);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "1 3") == -EBUSY);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "0 3") == -EBUSY);
	peer_close(one);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "1 8") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "1") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "1 -1") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "9 3") == -ENOENT);
	UNIT_CHECK(ask(root, XS_SET_FEATURE, "1 3") == 0);
	UNIT_CHECK(says(root, XS_GET_FEATURE, "1", "3"));
	UNIT_CHECK(says(root, XS_GET_FEATURE, "2", "7"));
	one = peer_open(xsd, 1);
	UNIT_CHECK(ask(one, XS_WATCH, "data t 1") == -EINVAL);
	UNIT_CHECK(ask(one, XS_WATCH, "data t") == 0);
	teardown();
}

/* ---- quotas -------------------------------------------------------------- */

static void quotas_have_xens_names_and_defaults(void)
{
	static const char *const words[][2] = {
		{ "nodes", "1000" },	      { "watches", "128" },
		{ "transactions", "10" },     { "outstanding", "20" },
		{ "node-size", "2048" },      { "transaction-nodes", "1024" },
		{ "path-max", "2048" },	      { "node-permissions", "5" },
		{ "permissions", "5" },	      { "memory", "2621440" },
		{ "connections", "512" },     { "soft-memory", "2097152" },
		{ "event-memory", "262144" },
	};
	char text[64], *names, *save = NULL;
	unsigned nr = 0;

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		UNIT_CHECK(says(root, XS_GET_QUOTA, words[i][0], words[i][1]));
		snprintf(text, sizeof(text), "1 %s", words[i][0]);
		UNIT_CHECK(says(root, XS_GET_QUOTA, text, words[i][1]));
	}
	UNIT_CHECK(peer_ask(root, XS_GET_QUOTA, 0, "", 0) == 0);
	names = strdup(root->reply);
	for (char *n = strtok_r(names, " ", &save); n;
	     n = strtok_r(NULL, " ", &save)) {
		UNIT_CHECK(ask(root, XS_GET_QUOTA, n) == 0);
		nr++;
	}
	free(names);
	UNIT_CHECK(nr == 12);
	teardown();
}

static void quotas_are_domain_0s_to_ask_and_set(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(one, XS_GET_QUOTA, "nodes") == -EACCES);
	UNIT_CHECK(ask(one, XS_SET_QUOTA, "1 nodes 9999") == -EACCES);
	UNIT_CHECK(ask(root, XS_GET_QUOTA, "nonsense") == -EINVAL);
	UNIT_CHECK(ask(root, XS_GET_QUOTA, "soft-nodes") == -EINVAL);
	UNIT_CHECK(ask(root, XS_GET_QUOTA, "9 nodes") == -ENOENT);
	UNIT_CHECK(ask(root, XS_GET_QUOTA, "x nodes") == -EINVAL);
	UNIT_CHECK(ask(root, XS_GET_QUOTA, "1 nodes 2") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "nodes") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 nodes -1") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 nodes 4294967295") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "9 nodes 5") == -ENOENT);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 nonsense 5") == -EINVAL);
	UNIT_CHECK(says(root, XS_GET_QUOTA, "1 nodes", "1000"));
	teardown();
}

static void a_domains_quota_is_in_force_at_once(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_write(one, 0, "data/a", "") == 0);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 nodes 3") == 0);
	UNIT_CHECK(says(root, XS_GET_QUOTA, "1 nodes", "3"));
	UNIT_CHECK(peer_write(one, 0, "data/b", "") == -ENOSPC);
	UNIT_CHECK(peer_write(one, 0, "data/a", "more") == 0);
	UNIT_CHECK(peer_write(two, 0, "data/b", "") == 0);
	/* None at all. */
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 nodes 0") == 0);
	UNIT_CHECK(says(root, XS_GET_QUOTA, "1 nodes", "0"));
	UNIT_CHECK(peer_write(one, 0, "data/b", "") == 0);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 node-size 4") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/b", "four") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/b", "fives") == -ENOSPC);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 path-max 10") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/45678", "") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/456789", "") == -EINVAL);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 permissions 1") == 0);
	UNIT_CHECK(peer_chmod(one, 0, "data/a", "n1 r2") == -ENOSPC);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 watches 1") == 0);
	UNIT_CHECK(peer_watch(one, "data", "a") == 0);
	UNIT_CHECK(peer_watch(one, "data", "b") == -E2BIG);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "1 transactions 1") == 0);
	UNIT_CHECK(peer_start(one) != 0);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_START, 0, "") == -ENOSPC);
	teardown();
}

static void the_general_quota_is_of_domains_to_come(void)
{
	struct peer *p;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "nodes 3") == 0);
	UNIT_CHECK(says(root, XS_GET_QUOTA, "nodes", "3"));
	UNIT_CHECK(says(root, XS_GET_QUOTA, "1 nodes", "1000"));
	p = peer_open(xsd, 5);
	UNIT_CHECK(says(root, XS_GET_QUOTA, "5 nodes", "3"));
	UNIT_CHECK(peer_write(p, 0, "data/a", "") == 0);
	UNIT_CHECK(peer_write(p, 0, "data/b", "") == -ENOSPC);
	peer_close(p);
	teardown();
}

static void domain_0_is_bound_by_no_quota(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "0 nodes 1") == 0);
	UNIT_CHECK(ask(root, XS_SET_QUOTA, "0 watches 1") == 0);
	UNIT_CHECK(says(root, XS_GET_QUOTA, "0 nodes", "1"));
	UNIT_CHECK(peer_write(root, 0, "/a", "") == 0);
	UNIT_CHECK(peer_watch(root, "/a", "a") == 0);
	UNIT_CHECK(peer_watch(root, "/a", "b") == 0);
	teardown();
}

UNIT_MAIN("store_settings", UNIT_TEST(features_are_a_domains_own),
	  UNIT_TEST(features_are_set_before_there_is_a_connection),
	  UNIT_TEST(quotas_have_xens_names_and_defaults),
	  UNIT_TEST(quotas_are_domain_0s_to_ask_and_set),
	  UNIT_TEST(a_domains_quota_is_in_force_at_once),
	  UNIT_TEST(the_general_quota_is_of_domains_to_come),
	  UNIT_TEST(domain_0_is_bound_by_no_quota))
