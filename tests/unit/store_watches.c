/* SPDX-License-Identifier: MIT */
/* store_watches.c - who hears of what, and how much can wait unread. */
#include "tests/unit/store_peer.h"

static struct xsd *xsd;
static struct peer *root, *guest;

static int setup(void)
{
	xsd = peer_store();
	root = peer_open(xsd, 0);
	guest = peer_open(xsd, 1);
	return root && guest;
}

static void teardown(void)
{
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(root);
	peer_close(guest);
	xsd_close(xsd);
}

static void a_watch_fires_at_once(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_watch(root, "/none", "t") == 0);
	UNIT_CHECK(peer_heard(root, "/none=t"));
	UNIT_CHECK(peer_watch(root, "/none", "t") == -EEXIST);
	UNIT_CHECK(peer_watch(root, "/none", "u") == 0);
	UNIT_CHECK(peer_heard(root, "/none=u"));
	teardown();
}

static void a_watch_hears_of_the_node_and_all_below_it(void)
{
	UNIT_REQUIRE(setup());
	peer_watch(root, "/a", "t");
	peer_heard(root, "/a=t");
	peer_write(root, 0, "/a", "1");
	UNIT_CHECK(peer_heard(root, "/a=t"));
	peer_write(root, 0, "/a/b/c", "1");
	UNIT_CHECK(peer_heard(root, "/a/b/c=t"));
	peer_write(root, 0, "/ab", "1");
	peer_text(root, XS_MKDIR, 0, "/a");
	peer_text(root, XS_READ, 0, "/a");
	UNIT_CHECK(peer_heard(root, ""));
	peer_text(root, XS_MKDIR, 0, "/a/d");
	UNIT_CHECK(peer_heard(root, "/a/d=t"));
	peer_chmod(root, 0, "/a/b", "r0");
	UNIT_CHECK(peer_heard(root, "/a/b=t"));
	peer_watch(root, "/", "r");
	UNIT_CHECK(peer_heard(root, "/=r"));
	peer_write(root, 0, "/q", "");
	UNIT_CHECK(peer_heard(root, "/q=r"));
	teardown();
}

static void a_removal_is_heard_above_once_and_below_at_the_node(void)
{
	UNIT_REQUIRE(setup());
	peer_write(root, 0, "/a/b/c/d", "");
	peer_watch(root, "/a", "above");
	peer_watch(root, "/a/b/c", "below");
	peer_watch(root, "/a/b/none", "none");
	peer_heard(root, "/a=above /a/b/c=below /a/b/none=none");
	peer_text(root, XS_RM, 0, "/a/b");
	UNIT_CHECK(peer_heard(root, "/a/b=above /a/b/c=below"));
	teardown();
}

static void paths_come_back_as_they_were_given(void)
{
	UNIT_REQUIRE(setup());
	peer_watch(guest, "data", "rel");
	peer_watch(guest, "/local/domain/1/data", "abs");
	UNIT_CHECK(peer_heard(guest, "data=rel /local/domain/1/data=abs"));
	peer_write(guest, 0, "data/x", "");
	UNIT_CHECK(peer_heard(guest, "data/x=rel /local/domain/1/data/x=abs"));
	UNIT_CHECK(peer_unwatch(guest, "data", "abs") == 0);
	peer_write(guest, 0, "data/x", "");
	UNIT_CHECK(peer_heard(guest, "data/x=rel"));
	UNIT_CHECK(peer_unwatch(guest, "data", "abs") == -ENOENT);
	UNIT_CHECK(peer_unwatch(guest, "nothing", "rel") == -ENOENT);
	teardown();
}

/* XSA-115. */
static void a_guest_hears_only_of_what_it_may_see(void)
{
	UNIT_REQUIRE(setup());
	peer_watch(guest, "/", "t");
	UNIT_CHECK(peer_heard(guest, "/=t"));
	peer_write(root, 0, "/secret", "");
	peer_write(root, 0, "/secret/x", "");
	peer_text(root, XS_RM, 0, "/secret/x");
	UNIT_CHECK(peer_heard(guest, ""));
	peer_write(root, 0, "/open", "");
	UNIT_CHECK(peer_heard(guest, ""));
	peer_chmod(root, 0, "/open", "r0");
	UNIT_CHECK(peer_heard(guest, "/open=t"));
	peer_write(root, 0, "/open", "x");
	UNIT_CHECK(peer_heard(guest, "/open=t"));
	/* It hears that the right is gone, and no more. */
	peer_chmod(root, 0, "/open", "n0");
	UNIT_CHECK(peer_heard(guest, "/open=t"));
	peer_write(root, 0, "/open", "y");
	UNIT_CHECK(peer_heard(guest, ""));
	/* Children of what it can list. */
	peer_write(root, 0, "/dir", "");
	peer_chmod(root, 0, "/dir", "r0");
	peer_heard(guest, "/dir=t");
	peer_write(root, 0, "/dir/x", "");
	peer_chmod(root, 0, "/dir/x", "n0");
	UNIT_CHECK(peer_heard(guest, "/dir/x=t"));
	teardown();
}

static void special_watches_need_the_right(void)
{
	struct peer *p;

	UNIT_REQUIRE(setup());
	peer_watch(root, "@introduceDomain", "i");
	peer_watch(root, "@releaseDomain", "r");
	peer_watch(guest, "@releaseDomain", "g");
	UNIT_CHECK(peer_heard(root, "@introduceDomain=i @releaseDomain=r"));
	UNIT_CHECK(peer_heard(guest, "@releaseDomain=g"));
	/* Whatever begins with '@' can be watched; no more ever comes. */
	UNIT_CHECK(peer_watch(guest, "@nonsense", "n") == 0);
	UNIT_CHECK(peer_watch(guest, "@a/", "n") == -EINVAL);
	UNIT_CHECK(peer_watch(guest, "@a b", "n") == -EINVAL);
	UNIT_CHECK(peer_heard(guest, "@nonsense=n"));
	p = peer_open(xsd, 2);
	UNIT_CHECK(peer_heard(root, "@introduceDomain=i"));
	xsd_domain_destroy(xsd, 2);
	UNIT_CHECK(peer_heard(root, "@releaseDomain=r"));
	UNIT_CHECK(peer_heard(guest, ""));
	/* Who loses or gets the right hears of it, as of a node's. */
	peer_chmod(root, 0, "@releaseDomain", "n0 r1");
	UNIT_CHECK(peer_heard(guest, "@releaseDomain=g"));
	UNIT_CHECK(peer_heard(root, "@releaseDomain=r"));
	peer_close(p);
	p = peer_open(xsd, 2);
	xsd_domain_destroy(xsd, 2);
	UNIT_CHECK(peer_heard(guest, "@releaseDomain=g"));
	peer_close(p);
	teardown();
}

static void a_dying_domains_nodes_are_heard_of(void)
{
	struct peer *two;

	UNIT_REQUIRE(setup());
	two = peer_open(xsd, 2);
	peer_write(root, 0, "/local/domain/1/device/vbd/5", "");
	peer_chmod(root, 0, "/local/domain/1/device/vbd/5", "n1 r2");
	peer_write(guest, 0, "/local/domain/1/device/vbd/5/state", "4");
	peer_watch(two, "/local/domain/1/device/vbd/5/state", "t");
	peer_heard(two, "/local/domain/1/device/vbd/5/state=t");
	xsd_domain_destroy(xsd, 1);
	UNIT_CHECK(peer_heard(two, "/local/domain/1/device/vbd/5/state=t"));
	peer_close(two);
	teardown();
}

static void a_guest_has_its_quota_of_watches_over_all_connections(void)
{
	struct peer *again;
	char token[16];

	UNIT_REQUIRE(setup());
	again = peer_open(xsd, 1);
	for (unsigned i = 0; i < 128; i++) {
		snprintf(token, sizeof(token), "%u", i);
		UNIT_CHECK(peer_watch(i & 1 ? again : guest, "data", token) ==
			   0);
	}
	UNIT_CHECK(peer_watch(guest, "data", "x") == -E2BIG);
	UNIT_CHECK(peer_watch(again, "data", "x") == -E2BIG);
	peer_close(again);
	UNIT_CHECK(peer_watch(guest, "data", "x") == 0);
	UNIT_CHECK(peer_text(guest, XS_RESET_WATCHES, 0, "") == 0);
	peer_read_all(guest);
	guest->nr_events = 0;
	peer_write(guest, 0, "data/x", "");
	UNIT_CHECK(peer_heard(guest, ""));
	teardown();
}

/* Feed a request without reading what comes back. */
static void send_only(struct peer *p, uint32_t type, const void *payload,
		      size_t len)
{
	struct xsd_sockmsg hdr = { .type = type, .len = (uint32_t)len };
	char buf[sizeof(hdr) + 256];

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	UNIT_CHECK(xsd_conn_feed(p->conn, buf, sizeof(hdr) + len) == 0);
}

static void equal_events_wait_as_one(void)
{
	UNIT_REQUIRE(setup());
	send_only(guest, XS_WATCH, "data\0t", 7);
	for (int i = 0; i < 10000; i++)
		peer_write(root, 0, "/local/domain/1/data/x", "");
	peer_write(root, 0, "/local/domain/1/data/y", "");
	UNIT_CHECK(peer_heard(guest, "data=t data/x=t data/y=t"));
	teardown();
}

/* XSA-326: what waits is bounded by the reader's own quota, nobody is kept
 * waiting, and the reader learns that it must look at everything. */
static void a_reader_that_does_not_read_gets_one_event_for_all(void)
{
	char path[300];
	size_t base;

	UNIT_REQUIRE(setup());
	peer_watch(guest, "/local/domain/1/data", "t");
	peer_heard(guest, "/local/domain/1/data=t");
	base = (size_t)snprintf(path, sizeof(path), "/local/domain/1/data/");
	memset(path + base, 'x', 200);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(path + base + 200, sizeof(path) - base - 200, "%u", i);
		UNIT_CHECK(peer_write(root, 0, path, "") == 0);
	}
	peer_read_all(guest);
	UNIT_CHECK(guest->nr_events >= 1 && guest->nr_events < 1500);
	UNIT_CHECK(strcmp(guest->events[0].path, "/local/domain/1/data") == 0);
	guest->nr_events = 0;
	peer_write(root, 0, "/local/domain/1/data/x", "");
	UNIT_CHECK(peer_heard(guest, "/local/domain/1/data/x=t"));
	teardown();
}

/* XSA-324: path and token do not fit a message together. */
static void an_event_that_fits_no_message_names_the_watched_path(void)
{
	char path[2100] = "data/", token[2500];

	UNIT_REQUIRE(setup());
	memset(token, 't', sizeof(token) - 1);
	token[sizeof(token) - 1] = '\0';
	memset(path + 5, 'p', 2000);
	UNIT_CHECK(peer_watch(guest, "data", token) == 0);
	peer_read_all(guest);
	guest->nr_events = 0;
	UNIT_CHECK(peer_write(guest, 0, path, "") == 0);
	peer_read_all(guest);
	UNIT_CHECK(guest->nr_events == 1);
	UNIT_CHECK(strcmp(guest->events[0].path, "data") == 0);
	UNIT_CHECK(strcmp(guest->events[0].token, token) == 0);
	teardown();
}

static void unwatching_takes_pending_events_along(void)
{
	UNIT_REQUIRE(setup());
	send_only(guest, XS_WATCH, "data\0t", 7);
	send_only(guest, XS_WATCH, "data\0u", 7);
	peer_write(root, 0, "/local/domain/1/data/x", "");
	send_only(guest, XS_UNWATCH, "data\0t", 7);
	UNIT_CHECK(peer_heard(guest, "data=u data/x=u"));
	teardown();
}

UNIT_MAIN("store_watches", UNIT_TEST(a_watch_fires_at_once),
	  UNIT_TEST(a_watch_hears_of_the_node_and_all_below_it),
	  UNIT_TEST(a_removal_is_heard_above_once_and_below_at_the_node),
	  UNIT_TEST(paths_come_back_as_they_were_given),
	  UNIT_TEST(a_guest_hears_only_of_what_it_may_see),
	  UNIT_TEST(special_watches_need_the_right),
	  UNIT_TEST(a_dying_domains_nodes_are_heard_of),
	  UNIT_TEST(a_guest_has_its_quota_of_watches_over_all_connections),
	  UNIT_TEST(equal_events_wait_as_one),
	  UNIT_TEST(a_reader_that_does_not_read_gets_one_event_for_all),
	  UNIT_TEST(an_event_that_fits_no_message_names_the_watched_path),
	  UNIT_TEST(unwatching_takes_pending_events_along))
