/* SPDX-License-Identifier: MIT */
/*
 * store_lives.c - deep trees on a small stack; connections and domains that end
 * while something still looks at them. The names of the cases are those of the
 * advisories whose act they repeat.
 */
#include <pthread.h>

#include "tests/hostile/store_stage.h"
#include "tests/unit/unit.h"
#include "xenstore-lite/image.h"

#define DEEP_LEVELS 1000u
#define STACK_BYTES (64u * 1024)

/* ---- XSA-418 ------------------------------------------------------------- */

/* "data" and levels of "/d" below it: 2,004 bytes at most. */
static const char *deep(unsigned levels)
{
	static char path[2 * DEEP_LEVELS + 8];

	strcpy(path, "data");
	for (unsigned i = 0; i < levels; i++)
		strcat(path, "/d");
	return path;
}

static int make_deep(uint32_t tx)
{
	return peer_write(stage.evil, tx, deep(DEEP_LEVELS), "x") ||
	       peer_watch(stage.evil, deep(DEEP_LEVELS), "deepest") ||
	       peer_watch(stage.evil, "data", "top");
}

static void *remove_deep(void *failed)
{
	uint32_t tx;
	int n = 0;

	/* At once, in a transaction, and with the domain that has it. */
	n += make_deep(0) != 0;
	n += xsd_check(stage.xsd) != 0;
	n += peer_text(stage.evil, XS_RM, 0, deep(1)) != 0;
	n += peer_text(stage.evil, XS_RESET_WATCHES, 0, "") != 0;
	tx = peer_start(stage.evil);
	n += make_deep(tx) != 0;
	n += peer_text(stage.evil, XS_RM, tx, deep(1)) != 0;
	/* The watches are there already. */
	n += peer_write(stage.evil, tx, deep(DEEP_LEVELS), "x") != 0;
	n += peer_end(stage.evil, tx, 1) != 0;
	n += xsd_check(stage.xsd) != 0;
	n += peer_text(stage.evil, XS_READ, 0, deep(DEEP_LEVELS)) != 0;
	n += xsd_domain_destroy(stage.xsd, 1) != 0;
	n += xsd_check(stage.xsd) != 0;
	*(int *)failed = n;
	return NULL;
}

/* Defence: nothing recurses over the tree (store.h, txn_remove, remove_tree).
 */
static void xsa_418_a_deep_tree_needs_no_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int failed = -1;

	UNIT_REQUIRE(stage_begin());
	UNIT_REQUIRE(stage_ask(stage.root, XS_SET_QUOTA, 0, "1 memory 0") == 0);
	UNIT_REQUIRE(stage_ask(stage.root, XS_SET_QUOTA, 0, "1 nodes 2000") ==
		     0);
	pthread_attr_init(&attr);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	UNIT_REQUIRE(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
#endif
	UNIT_REQUIRE(pthread_create(&thread, &attr, remove_deep, &failed) == 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	UNIT_CHECK(failed == 0);
	stage_end();
}

/* ---- XSA-233, 325, 425: ends --------------------------------------------- */

/* Defence: RELEASE is domain 0's, and domain 0 has no end. */
static void xsa_233_nobody_releases_himself(void)
{
	UNIT_REQUIRE(stage_begin());
	UNIT_CHECK(peer_text(stage.evil, XS_RELEASE, 0, "1") == -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_RELEASE, 0, "2") == -EACCES);
	UNIT_CHECK(peer_text(stage.evil, XS_RELEASE, 0, "0") == -EACCES);
	UNIT_CHECK(peer_text(stage.root, XS_RELEASE, 0, "0") == -EINVAL);
	UNIT_CHECK(stage.evil->conn && stage.victim->conn && stage.root->conn);
	stage_end();
}

static unsigned nr_dropped;
static struct peer *closes_too;

static void drop(void *arg)
{
	struct peer *peer = arg;

	nr_dropped++;
	xsd_conn_close(peer->conn);
	peer->conn = NULL;
	/* An owner may end its other connections meanwhile. */
	if (closes_too && closes_too->conn) {
		xsd_conn_close(closes_too->conn);
		closes_too->conn = NULL;
	}
}

/*
 * A domain with four connections ends; its first, when it is dropped, takes the
 * next in the list along. Defence: drop_conns begins again at the list's head.
 */
static void xsa_233_a_connection_ends_while_its_domain_is_walked(void)
{
	static const struct xsd_ops ops = { .output = peer_has_output,
					    .dropped = drop };
	static struct peer peers[4], watcher;
	struct xsd *xsd;

	nr_dropped = 0;
	memset(peers, 0, sizeof(peers));
	memset(&watcher, 0, sizeof(watcher));
	UNIT_REQUIRE(xsd_open(1, &ops, &xsd) == 0);
	UNIT_REQUIRE(xsd_domain_create(xsd, 1, 2, "evil") == 0);
	UNIT_REQUIRE(xsd_conn_open(xsd, 0, &watcher, &watcher.conn) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
		UNIT_REQUIRE(xsd_conn_open(xsd, 1, &peers[i], &peers[i].conn) ==
			     0);
		peer_watch(&peers[i], "data", "t");
		peer_write(&peers[i], peer_start(&peers[i]), "data/x", "");
	}
	peer_watch(&watcher, "@releaseDomain", "r");
	peer_heard(&watcher, "@releaseDomain=r");
	closes_too = &peers[1];
	UNIT_CHECK(xsd_domain_destroy(xsd, 1) == 0);
	closes_too = NULL;
	UNIT_CHECK(nr_dropped == 3);
	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++)
		UNIT_CHECK(peers[i].conn == NULL);
	UNIT_CHECK(xsd_domain_destroy(xsd, 1) == -ENOENT);
	UNIT_CHECK(peer_heard(&watcher, "@releaseDomain=r"));
	UNIT_CHECK(xsd_check(xsd) == 0);
	xsd_conn_close(watcher.conn);
	xsd_close(xsd);
}

/*
 * The one who asks for the release is told of it, on a connection that watches
 * what the dying domain takes along. Defence: the dead are dropped before
 * anybody is told.
 */
static void xsa_325_a_release_is_heard_of_once(void)
{
	UNIT_REQUIRE(stage_begin());
	peer_watch(stage.root, "@releaseDomain", "r");
	peer_watch(stage.root, "/local/domain/1", "home");
	peer_heard(stage.root, "@releaseDomain=r /local/domain/1=home");
	peer_watch(stage.evil, "/local/domain/1", "own");
	UNIT_CHECK(peer_text(stage.root, XS_RELEASE, 0, "1") == 0);
	UNIT_CHECK(stage.evil->conn == NULL);
	UNIT_CHECK(!xsd_domain_exists(stage.xsd, 1));
	UNIT_CHECK(peer_heard(stage.root,
			      "/local/domain/1=home @releaseDomain=r"));
	UNIT_CHECK(peer_text(stage.root, XS_RELEASE, 0, "1") == -ENOENT);
	UNIT_CHECK(peer_heard(stage.root, ""));
	peer_text(stage.root, XS_RESET_WATCHES, 0, "");
	stage_end();
}

/*
 * It broke the protocol, and only then ended: its domain is no zombie, and its
 * end is heard of exactly once. Defence: a broken connection is only that.
 */
static void xsa_425_a_broken_client_ends_with_its_domain(void)
{
	struct xsd_sockmsg bad = { .type = XS_READ, .len = 5000 };

	UNIT_REQUIRE(stage_begin());
	peer_watch(stage.root, "@releaseDomain", "r");
	peer_heard(stage.root, "@releaseDomain=r");
	UNIT_CHECK(peer_watch(stage.evil, "data", "t") == 0);
	UNIT_CHECK(peer_write(stage.evil, peer_start(stage.evil), "data/x",
			      "") == 0);
	UNIT_CHECK(xsd_conn_feed(stage.evil->conn, &bad, sizeof(bad)) ==
		   -EPROTO);
	UNIT_CHECK(!xsd_conn_wants_input(stage.evil->conn));
	/* Nothing of it is over yet, and it can come again. */
	UNIT_CHECK(peer_heard(stage.root, ""));
	UNIT_CHECK(xsd_domain_exists(stage.xsd, 1));
	peer_close(stage.evil);
	stage.evil = peer_open(stage.xsd, 1);
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "data") == 0);
	UNIT_CHECK(xsd_conn_feed(stage.evil->conn, &bad, sizeof(bad)) ==
		   -EPROTO);
	UNIT_CHECK(xsd_domain_destroy(stage.xsd, 1) == 0);
	UNIT_CHECK(stage.evil->conn == NULL);
	UNIT_CHECK(peer_heard(stage.root, "@releaseDomain=r"));
	peer_text(stage.root, XS_RESET_WATCHES, 0, "");
	stage_end();
}

/* What a client fed in part is not carried out when it ends. */
static void xsa_233_half_a_request_ends_with_its_connection(void)
{
	struct xsd_sockmsg hdr = { .type = XS_WRITE, .len = 8 };

	UNIT_REQUIRE(stage_begin());
	UNIT_CHECK(xsd_conn_feed(stage.evil->conn, &hdr, sizeof(hdr)) == 0);
	UNIT_CHECK(xsd_conn_feed(stage.evil->conn, "data/x", 6) == 0);
	UNIT_CHECK(xsd_domain_destroy(stage.xsd, 1) == 0);
	UNIT_CHECK(stage.evil->conn == NULL);
	peer_close(stage.evil);
	stage.evil = peer_open(stage.xsd, 1);
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "data/x") == -ENOENT);
	stage_end();
}

/* ---- live update --------------------------------------------------------- */

static struct peer **const stage_peers[] = { &stage.root, &stage.victim,
					     &stage.evil };
static struct xsd_conn *fresh[ARRAY_SIZE(stage_peers)];

static void save_peer(void *conn_arg, struct encoder *e)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(stage_peers); i++)
		if (*stage_peers[i] == conn_arg)
			enc_u32(e, i);
}

static int restore_peer(void *arg, struct xsd_conn *conn, struct decoder *d,
			void **ret)
{
	uint32_t i = dec_u32(d);

	(void)arg;
	if (i >= ARRAY_SIZE(stage_peers))
		return -EINVAL;
	fresh[i] = conn;
	*ret = *stage_peers[i];
	return 0;
}

/* Another process goes on with what this one knew. */
static int update(void)
{
	static const struct image_owner owner = { save_peer, restore_peer,
						  NULL };
	struct xsd *xsd = peer_store();
	struct encoder e = { 0 };
	struct decoder d;
	int err;

	xsd_save(stage.xsd, &owner, &e);
	decoder_init(&d, e.data, e.len);
	err = e.failed || xsd_restore(xsd, &owner, &d) || decoder_end(&d);
	encoder_fini(&e);
	for (unsigned i = 0; i < ARRAY_SIZE(stage_peers); i++) {
		xsd_conn_close((*stage_peers[i])->conn);
		(*stage_peers[i])->conn = fresh[i];
	}
	xsd_close(stage.xsd);
	stage.xsd = xsd;
	return err;
}

/* Feed a request of n bytes payload, and all but left of its bytes. */
static void feed_part(const char *payload, uint32_t n, size_t left)
{
	struct xsd_sockmsg hdr = { .type = XS_WRITE, .len = n };
	char buf[64];

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, n);
	UNIT_CHECK(xsd_conn_feed(stage.evil->conn, buf,
				 sizeof(hdr) + n - left) == 0);
}

/*
 * Half a request, unread answers and events, an open transaction, a domain that
 * has just died: all as it was. Defence: the image has it all, and lives.
 */
static void live_update_in_the_middle_of_everything_changes_nothing(void)
{
	uint32_t tx, nodes;

	UNIT_REQUIRE(stage_begin());
	nodes = stage_count().of_victim;
	peer_watch(stage.evil, "data", "t");
	tx = peer_start(stage.evil);
	UNIT_CHECK(peer_write(stage.evil, tx, "data/in-tx", "kept") == 0);
	UNIT_CHECK(peer_write(stage.root, 0, "/granted", "g") == 0);
	peer_close(peer_open(stage.xsd, 3));
	UNIT_CHECK(peer_chmod(stage.root, 0, "/granted", "n0 b3") == 0);
	UNIT_CHECK(xsd_domain_destroy(stage.xsd, 3) == 0);
	peer_read_all(stage.evil);
	stage.evil->nr_events = 0;
	/* One is answered, its event waits, and the next is half there. */
	feed_part("data/one\0x", 10, 0);
	feed_part("data/two\0y", 10, 4);
	UNIT_REQUIRE(update() == 0);
	UNIT_CHECK(xsd_check(stage.xsd) == 0);
	UNIT_CHECK(xsd_conn_feed(stage.evil->conn, "wo\0y", 4) == 0);
	stage.evil->nr_replies = 0;
	UNIT_CHECK(peer_heard(stage.evil, "data/one=t data/two=t"));
	UNIT_CHECK(stage.evil->nr_replies == 2);
	UNIT_CHECK(peer_reads(stage.evil, 0, "data/two", "y"));
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "data/in-tx") == -ENOENT);
	UNIT_CHECK(peer_end(stage.evil, tx, 1) == 0);
	UNIT_CHECK(peer_reads(stage.evil, 0, "data/in-tx", "kept"));
	/* What the dead one could, its successor cannot. */
	UNIT_CHECK(peer_has_perms(stage.root, "/granted", "n0"));
	UNIT_CHECK(stage_count().of_victim == nodes);
	UNIT_CHECK(peer_text(stage.root, XS_RM, 0, "/granted") == 0);
	stage_end();
}

/* Its successor begins with the same counts: the quota is what it was. */
static void live_update_gives_no_new_quota(void)
{
	char path[32];
	int err = 0;

	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < 2000 && !err; i++) {
		if (i % 100 == 0)
			UNIT_REQUIRE(update() == 0);
		snprintf(path, sizeof(path), "data/%u", i);
		err = peer_write(stage.evil, 0, path, "");
	}
	UNIT_CHECK(err == -ENOSPC);
	UNIT_CHECK(xsd_domain_find(&stage.xsd->store.domains, 1)->nr_nodes ==
		   1000);
	for (unsigned i = 0; i < 12; i++) {
		UNIT_CHECK((peer_start(stage.evil) != 0) == (i < 10));
		UNIT_REQUIRE(update() == 0);
	}
	stage_end();
}

UNIT_MAIN("store_lives", UNIT_TEST(xsa_418_a_deep_tree_needs_no_stack),
	  UNIT_TEST(xsa_233_nobody_releases_himself),
	  UNIT_TEST(xsa_233_a_connection_ends_while_its_domain_is_walked),
	  UNIT_TEST(xsa_233_half_a_request_ends_with_its_connection),
	  UNIT_TEST(xsa_325_a_release_is_heard_of_once),
	  UNIT_TEST(xsa_425_a_broken_client_ends_with_its_domain),
	  UNIT_TEST(live_update_in_the_middle_of_everything_changes_nothing),
	  UNIT_TEST(live_update_gives_no_new_quota))
