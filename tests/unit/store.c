/* SPDX-License-Identifier: MIT */
/* store.c - the tree through the protocol: values, children, quotas, life. */
#include <pthread.h>

#include "tests/unit/store_peer.h"

static void writes_and_reads_any_bytes(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	UNIT_CHECK(peer_two(p, XS_WRITE, 0, "/a", "x\0y\n\xff", 5) == 0);
	UNIT_CHECK(peer_text(p, XS_READ, 0, "/a") == 0);
	UNIT_CHECK(p->reply_len == 5 && !memcmp(p->reply, "x\0y\n\xff", 5));
	UNIT_CHECK(peer_write(p, 0, "/a", "") == 0);
	UNIT_CHECK(peer_reads(p, 0, "/a", ""));
	UNIT_CHECK(peer_text(p, XS_READ, 0, "/b") == -ENOENT);
	peer_close(p);
	xsd_close(xsd);
}

static void makes_missing_parents_empty(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	UNIT_CHECK(peer_write(p, 0, "/a/b/c", "v") == 0);
	UNIT_CHECK(peer_reads(p, 0, "/a", "") && peer_reads(p, 0, "/a/b", ""));
	UNIT_CHECK(peer_lists(p, 0, "/a", "b") && peer_lists(p, 0, "/", "a"));
	UNIT_CHECK(peer_lists(p, 0, "/a/b/c", ""));
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(p);
	xsd_close(xsd);
}

static void mkdir_leaves_a_node_that_exists_alone(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	UNIT_CHECK(peer_write(p, 0, "/a", "v") == 0);
	UNIT_CHECK(peer_text(p, XS_MKDIR, 0, "/a") == 0);
	UNIT_CHECK(peer_reads(p, 0, "/a", "v"));
	UNIT_CHECK(peer_text(p, XS_MKDIR, 0, "/b") == 0);
	UNIT_CHECK(peer_reads(p, 0, "/b", ""));
	peer_close(p);
	xsd_close(xsd);
}

static void lists_children_in_the_order_of_creation(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	peer_write(p, 0, "/d/z", "");
	peer_write(p, 0, "/d/a", "");
	peer_write(p, 0, "/d/mm", "");
	UNIT_CHECK(peer_lists(p, 0, "/d", "z a mm"));
	UNIT_CHECK(peer_text(p, XS_RM, 0, "/d/a") == 0);
	UNIT_CHECK(peer_lists(p, 0, "/d", "z mm"));
	peer_close(p);
	xsd_close(xsd);
}

static void removes_a_node_with_all_below_it(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	peer_write(p, 0, "/a/b/c", "");
	peer_write(p, 0, "/a/b/d/e", "");
	peer_write(p, 0, "/ab", "");
	UNIT_CHECK(peer_text(p, XS_RM, 0, "/a") == 0);
	UNIT_CHECK(peer_text(p, XS_READ, 0, "/a/b/d/e") == -ENOENT);
	UNIT_CHECK(peer_lists(p, 0, "/", "ab"));
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(p);
	xsd_close(xsd);
}

static void removing_what_is_missing_needs_a_parent(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	UNIT_CHECK(peer_text(p, XS_RM, 0, "/a") == 0);
	UNIT_CHECK(peer_text(p, XS_RM, 0, "/a/b") == -ENOENT);
	UNIT_CHECK(peer_text(p, XS_RM, 0, "/") == -EINVAL);
	peer_close(p);
	xsd_close(xsd);
}

/* XSA-418: nothing recurses. The stack is 64 KiB. */
static void *deep_tree(void *arg)
{
	struct xsd *xsd = arg;
	struct peer *p = peer_open(xsd, 0);
	char path[XENSTORE_ABS_PATH_MAX];

	for (size_t i = 0; i < 3000; i++)
		path[i] = i & 1 ? 'x' : '/';
	path[3000] = '\0';
	UNIT_CHECK(peer_write(p, 0, path, "deep") == 0);
	UNIT_CHECK(peer_reads(p, 0, path, "deep"));
	UNIT_CHECK(xsd_check(xsd) == 0);
	UNIT_CHECK(peer_text(p, XS_RM, 0, "/x") == 0);
	UNIT_CHECK(peer_text(p, XS_READ, 0, path) == -ENOENT);
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(p);
	return NULL;
}

static void a_deep_tree_needs_no_stack(void)
{
	struct xsd *xsd = peer_store();
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	UNIT_REQUIRE(pthread_attr_setstacksize(&attr, 65536) == 0);
#endif
	UNIT_REQUIRE(pthread_create(&thread, &attr, deep_tree, xsd) == 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	xsd_close(xsd);
}

/* XSA-72, XSA-324: an answer never exceeds a message. */
static void a_directory_too_big_for_a_message_comes_in_parts(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);
	unsigned nr = 0, offset = 0, parts = 0;
	char path[64], args[64], generation[32] = "";

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/big/child-%04u", i);
		UNIT_REQUIRE(peer_write(p, 0, path, "") == 0);
	}
	UNIT_CHECK(peer_text(p, XS_DIRECTORY, 0, "/big") == -E2BIG);
	for (;;) {
		const char *at = p->reply, *end;

		snprintf(args, sizeof(args), "%u", offset);
		UNIT_REQUIRE(peer_two(p, XS_DIRECTORY_PART, 0, "/big", args,
				      strlen(args) + 1) == 0);
		end = p->reply + p->reply_len;
		UNIT_CHECK(parts++ == 0 || !strcmp(generation, at));
		snprintf(generation, sizeof(generation), "%.31s", at);
		for (at += strlen(at) + 1; at < end && *at;
		     at += strlen(at) + 1) {
			snprintf(path, sizeof(path), "child-%04u", nr++);
			UNIT_CHECK(strcmp(at, path) == 0);
			offset += (unsigned)strlen(at) + 1;
		}
		if (at < end)
			break;
	}
	UNIT_CHECK(nr == 1000 && parts == 3);
	peer_close(p);
	xsd_close(xsd);
}

/* Names of exactly 4095, 4096 and 4097 bytes together. */
static void a_directory_fits_up_to_the_last_byte(void)
{
	static const unsigned sizes[] = { 4095, 4096, 4097 };

	for (unsigned s = 0; s < 3; s++) {
		struct xsd *xsd = peer_store();
		struct peer *p = peer_open(xsd, 0);
		unsigned left = sizes[s];
		char path[1200];

		for (unsigned i = 0; left; i++) {
			unsigned len = left > 1002 ? 1000 : left - 1;

			memcpy(path, "/d/", 3);
			memset(path + 3, 'a' + (int)i, len);
			path[3 + len] = '\0';
			UNIT_REQUIRE(peer_write(p, 0, path, "") == 0);
			left -= len + 1;
		}
		UNIT_CHECK(peer_text(p, XS_DIRECTORY, 0, "/d") ==
			   (sizes[s] > 4096 ? -E2BIG : 0));
		if (sizes[s] <= 4096)
			UNIT_CHECK(p->reply_len == sizes[s]);
		peer_close(p);
		xsd_close(xsd);
	}
}

static void a_guest_has_exactly_its_quota_of_nodes(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 7), *again = peer_open(xsd, 7);
	unsigned nr = 0;
	char path[64];

	/* backend and data are its own already. */
	while (nr < 2000) {
		snprintf(path, sizeof(path), "data/%u", nr);
		if (peer_write(nr & 1 ? p : again, 0, path, ""))
			break;
		nr++;
	}
	UNIT_CHECK(nr == xsd_limits_domu.nodes - 2);
	UNIT_CHECK(peer_write(p, 0, path, "") == -ENOSPC);
	UNIT_CHECK(peer_write(p, 0, "data/0", "changed") == 0);
	UNIT_CHECK(peer_text(p, XS_RM, 0, "data/0") == 0);
	UNIT_CHECK(peer_write(p, 0, "data/a/b", "") == -ENOSPC);
	UNIT_CHECK(peer_text(p, XS_READ, 0, "data/a") == -ENOENT);
	UNIT_CHECK(peer_write(p, 0, "data/a", "") == 0);
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(p);
	peer_close(again);
	xsd_close(xsd);
}

static void a_guest_has_exactly_its_quota_of_bytes(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 7);
	char value[2049];

	memset(value, 'v', sizeof(value));
	UNIT_CHECK(peer_two(p, XS_WRITE, 0, "data/x", value, 2048) == 0);
	UNIT_CHECK(peer_two(p, XS_WRITE, 0, "data/x", value, 2049) == -ENOSPC);
	UNIT_CHECK(peer_text(p, XS_READ, 0, "data/x") == 0 &&
		   p->reply_len == 2048);
	peer_close(p);
	xsd_close(xsd);
}

/* Quotas are a domain's, not a connection's, and connections are counted. */
static void a_guest_has_exactly_its_quota_of_connections(void)
{
	static struct peer *peers[600];
	struct xsd *xsd = peer_store();
	unsigned nr = 0;

	while (nr < 600 && (peers[nr] = peer_open(xsd, 7)) != NULL)
		nr++;
	UNIT_CHECK(nr == xsd_limits_domu.connections);
	while (nr)
		peer_close(peers[--nr]);
	peers[0] = peer_open(xsd, 7);
	UNIT_CHECK(peers[0] != NULL);
	peer_close(peers[0]);
	xsd_close(xsd);
}

static void a_new_domain_finds_its_nodes(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 7), *root = peer_open(xsd, 0);

	UNIT_CHECK(peer_reads(p, 0, "name", "d-7"));
	UNIT_CHECK(peer_reads(p, 0, "/local/domain/7/domid", "7"));
	UNIT_CHECK(peer_lists(p, 0, "/local/domain/7",
			      "name domid device backend data"));
	UNIT_CHECK(peer_has_perms(root, "/local/domain/7", "n0 r7"));
	UNIT_CHECK(peer_has_perms(root, "/local/domain/7/device", "n0 r7"));
	UNIT_CHECK(peer_has_perms(root, "/local/domain/7/backend", "n7"));
	UNIT_CHECK(peer_has_perms(root, "/local/domain/7/data", "n7"));
	UNIT_CHECK(peer_write(p, 0, "name", "liar") == -EACCES);
	UNIT_CHECK(peer_text(p, XS_GET_DOMAIN_PATH, 0, "9") == 0 &&
		   peer_replied(p, "/local/domain/9"));
	UNIT_CHECK(xsd_domain_create(xsd, 7, peer_life(), "again") == -EEXIST);
	UNIT_CHECK(xsd_domain_create(xsd, 0x7ff0, peer_life(), "high") ==
		   -EINVAL);
	UNIT_CHECK(xsd_domain_destroy(xsd, 0) == -EINVAL);
	peer_close(p);
	peer_close(root);
	xsd_close(xsd);
}

/* XSA-322, 417, 419, 483. */
static void a_dead_domain_leaves_nothing(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 7), *root = peer_open(xsd, 0);

	peer_write(root, 0, "/shared", "");
	peer_chmod(root, 0, "/shared", "n0 b7");
	peer_write(root, 0, "/secret", "s");
	peer_chmod(root, 0, "/secret", "n0 r7 r0");
	peer_write(root, 0, "/libxl/7/device", "");
	UNIT_CHECK(peer_write(p, 0, "/shared/mine/deep", "") == 0);
	UNIT_CHECK(peer_has_perms(root, "/shared/mine", "n7 b7"));
	UNIT_CHECK(xsd_domain_destroy(xsd, 7) == 0);
	UNIT_CHECK(p->conn == NULL);
	UNIT_CHECK(peer_lists(root, 0, "/shared", ""));
	UNIT_CHECK(peer_lists(root, 0, "/local/domain", ""));
	UNIT_CHECK(peer_lists(root, 0, "/libxl", ""));
	UNIT_CHECK(peer_has_perms(root, "/secret", "n0 r0"));
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(p);
	p = peer_open(xsd, 7);
	UNIT_CHECK(peer_text(p, XS_READ, 0, "/secret") == -EACCES);
	UNIT_CHECK(peer_write(p, 0, "/shared/x", "") == -EACCES);
	UNIT_CHECK(peer_has_perms(root, "/secret", "n0 r0"));
	UNIT_CHECK(xsd_domain_destroy(xsd, 7) == 0);
	UNIT_CHECK(xsd_domain_destroy(xsd, 7) == -ENOENT);
	peer_close(p);
	peer_close(root);
	xsd_close(xsd);
}

static void ten_thousand_lives_of_one_domid_leave_nothing(void)
{
	struct xsd *xsd = peer_store();
	struct peer *root = peer_open(xsd, 0);

	peer_write(root, 0, "/shared", "");
	for (int i = 0; i < 10000; i++) {
		struct peer *p = peer_open(xsd, 7);

		if (peer_text(p, XS_READ, 0, "/shared") != -EACCES)
			UNIT_REQUIRE(!"inherits nothing");
		peer_chmod(root, 0, "/shared", "n0 b7");
		if (peer_write(p, 0, "/shared/x/y", "") ||
		    peer_watch(p, "/shared", "t") || !peer_start(p))
			UNIT_REQUIRE(!"starts with a whole quota");
		if (xsd_domain_destroy(xsd, 7) || xsd_check(xsd))
			UNIT_REQUIRE(!"leaves no trace");
		peer_close(p);
	}
	UNIT_CHECK(peer_lists(root, 0, "/shared", ""));
	peer_close(root);
	xsd_close(xsd);
}

/* Every answer is one of the known ones and the recount agrees, whatever
 * three domains do in whatever order. */
static void random_requests_keep_the_books_right(void)
{
	static const char *const paths[] = {
		"/",	    "/s",	 "/s/a",     "/s/a/b",
		"/s/a/b/c", "/s/a/c",	 "/s/b",     "data/x",
		"data/x/y", "backend/z", "/s/b/d/e", "/local/domain/2/data/x",
	};
	static const char *const perms[] = { "n0 b1 b2", "b1", "n2 r1", "b0" };
	struct xsd *xsd = peer_store();
	struct peer *p[4] = { peer_open(xsd, 0), peer_open(xsd, 1),
			      peer_open(xsd, 2), peer_open(xsd, 1) };
	uint32_t tx[4] = { 0 };
	unsigned seed = 1;

	peer_write(p[0], 0, "/s", "");
	peer_chmod(p[0], 0, "/s", "b0");
	for (int i = 0; i < 20000; i++) {
		unsigned who = (unsigned)rand_r(&seed) % 4;
		const char *path = paths[(unsigned)rand_r(&seed) % 12];
		uint32_t t = rand_r(&seed) & 1 ? tx[who] : 0;

		switch ((unsigned)rand_r(&seed) % 9) {
		case 0:
		case 1: peer_write(p[who], t, path, "v"); break;
		case 2: peer_text(p[who], XS_MKDIR, t, path); break;
		case 3: peer_text(p[who], XS_RM, t, path); break;
		case 4: peer_text(p[who], XS_DIRECTORY, t, path); break;
		case 5: peer_text(p[who], XS_READ, t, path); break;
		case 6:
			peer_chmod(p[who], t, path,
				   perms[(unsigned)rand_r(&seed) % 4]);
			break;
		case 7:
			if (!tx[who])
				tx[who] = peer_start(p[who]);
			break;
		default:
			if (tx[who])
				peer_end(p[who], tx[who],
					 rand_r(&seed) % 4 != 0);
			tx[who] = 0;
			break;
		}
		if (xsd_check(xsd)) {
			printf("step %d\n", i);
			UNIT_REQUIRE(!"the books are right");
		}
		if (i % 1000 == 999) {
			xsd_domain_destroy(xsd, 1);
			for (int k = 1; k < 4; k += 2) {
				peer_close(p[k]);
				p[k] = peer_open(xsd, 1);
				tx[k] = 0;
			}
		}
	}
	for (int i = 0; i < 4; i++)
		peer_close(p[i]);
	xsd_close(xsd);
}

UNIT_MAIN("store", UNIT_TEST(writes_and_reads_any_bytes),
	  UNIT_TEST(makes_missing_parents_empty),
	  UNIT_TEST(mkdir_leaves_a_node_that_exists_alone),
	  UNIT_TEST(lists_children_in_the_order_of_creation),
	  UNIT_TEST(removes_a_node_with_all_below_it),
	  UNIT_TEST(removing_what_is_missing_needs_a_parent),
	  UNIT_TEST(a_deep_tree_needs_no_stack),
	  UNIT_TEST(a_directory_too_big_for_a_message_comes_in_parts),
	  UNIT_TEST(a_directory_fits_up_to_the_last_byte),
	  UNIT_TEST(a_guest_has_exactly_its_quota_of_nodes),
	  UNIT_TEST(a_guest_has_exactly_its_quota_of_bytes),
	  UNIT_TEST(a_guest_has_exactly_its_quota_of_connections),
	  UNIT_TEST(a_new_domain_finds_its_nodes),
	  UNIT_TEST(a_dead_domain_leaves_nothing),
	  UNIT_TEST(ten_thousand_lives_of_one_domid_leave_nothing),
	  UNIT_TEST(random_requests_keep_the_books_right))
