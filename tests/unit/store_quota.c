/* SPDX-License-Identifier: MIT */
/*
 * store_quota.c - what a domain may make the store hold: memory, and answers
 * that it does not read. XSA-326, XSA-416.
 */
#include "tests/unit/store_peer.h"

static struct xsd *xsd;
static struct peer *root, *one, *two;
static unsigned nr_woken;
static const struct peer *woken;

static void has_output(void *arg)
{
	woken = arg;
	nr_woken++;
}

static int setup(void)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = peer_dropped };

	if (xsd_open(0x5eed, &ops, &xsd))
		return 0;
	root = peer_open(xsd, 0);
	one = peer_open(xsd, 1);
	two = peer_open(xsd, 2);
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

/* words: domid, name, value. */
static int set_quota(const char *words)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", words);
	for (char *c = text; *c; c++)
		if (*c == ' ')
			*c = '\0';
	return peer_ask(root, XS_SET_QUOTA, 0, text, strlen(words) + 1);
}

/* Write 2000 bytes to data/0, data/1, ... until it fails: with *err, after so
 * many. */
static unsigned fill(struct peer *peer, uint32_t tx, int *err)
{
	static char value[2000];
	char path[32];
	unsigned nr;

	for (nr = 0; nr < 2000; nr++) {
		snprintf(path, sizeof(path), "data/%u", nr);
		*err = peer_two(peer, XS_WRITE, tx, path, value, sizeof(value));
		if (*err)
			break;
	}
	return nr;
}

/* ---- memory -------------------------------------------------------------- */

static void nodes_count_against_memory(void)
{
	unsigned nr;
	int err;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(set_quota("1 memory 65536") == 0);
	nr = fill(one, 0, &err);
	UNIT_CHECK(err == -ENOMEM);
	UNIT_CHECK(nr > 10 && nr < 65536 / 2000);
	/* What it has it may read, change to less, and remove. */
	UNIT_CHECK(peer_text(one, XS_READ, 0, "data/0") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/0", "") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/new", "fits again") == 0);
	UNIT_CHECK(peer_text(one, XS_RM, 0, "data/1") == 0);
	UNIT_CHECK(fill(two, 0, &err) == 998 && err == -ENOSPC);
	teardown();
}

static void the_default_is_two_and_a_half_megabytes(void)
{
	static char value[2040];
	char path[2049], *at;
	unsigned nr = 0;

	UNIT_REQUIRE(setup());
	memset(path, 'p', sizeof(path));
	memcpy(path, "data/", 5);
	at = path + 2044;
	for (; nr < 1000; nr++) {
		snprintf(at, 5, "%04u", nr);
		if (peer_two(one, XS_WRITE, 0, path, value, sizeof(value)))
			break;
	}
	UNIT_CHECK(strcmp(one->reply, "ENOMEM") == 0);
	UNIT_CHECK(nr > 500 && nr < 2560 * 1024 / 4096);
	teardown();
}

/* It got there by others' doing: domain 0 exempts itself, not the owner. */
static void who_has_too_much_may_only_have_less(void)
{
	char token[] = "t";

	UNIT_REQUIRE(setup());
	UNIT_CHECK(peer_write(one, 0, "data/x", "value") == 0);
	UNIT_CHECK(set_quota("1 memory 1") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/x", "longer value") == -ENOMEM);
	UNIT_CHECK(peer_write(one, 0, "data/y", "") == -ENOMEM);
	UNIT_CHECK(peer_watch(one, "data", token) == -ENOMEM);
	UNIT_CHECK(peer_text(one, XS_TRANSACTION_START, 0, "") == -ENOMEM);
	UNIT_CHECK(peer_write(root, 0, "/local/domain/1/data/x",
			      "much longer value") == 0);
	UNIT_CHECK(peer_chmod(root, 0, "/local/domain/1/data/x", "n1 r2") == 0);
	UNIT_CHECK(peer_reads(one, 0, "data/x", "much longer value"));
	UNIT_CHECK(peer_write(one, 0, "data/x", "short") == 0);
	UNIT_CHECK(peer_text(one, XS_RM, 0, "data/x") == 0);
	UNIT_CHECK(set_quota("1 memory 0") == 0);
	UNIT_CHECK(peer_write(one, 0, "data/y", "") == 0);
	teardown();
}

static void a_transactions_copies_count_until_it_ends(void)
{
	unsigned nr, again;
	uint32_t tx;
	int err;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(set_quota("1 memory 65536") == 0);
	tx = peer_start(one);
	nr = fill(one, tx, &err);
	UNIT_CHECK(err == -ENOMEM && nr > 10 && nr < 65536 / 2000);
	UNIT_CHECK(xsd_check(xsd) == 0);
	UNIT_CHECK(fill(one, 0, &err) == 0 && err == -ENOMEM);
	/* What its copies took is there for what it commits. */
	UNIT_CHECK(peer_end(one, tx, 1) == 0);
	UNIT_CHECK(xsd_check(xsd) == 0);
	UNIT_CHECK(peer_text(one, XS_RM, 0, "data") == 0);
	UNIT_CHECK(peer_text(one, XS_MKDIR, 0, "data") == -EACCES);
	peer_write(root, 0, "/local/domain/1/data", "");
	peer_chmod(root, 0, "/local/domain/1/data", "n1");
	tx = peer_start(one);
	again = fill(one, tx, &err);
	UNIT_CHECK(again == nr);
	UNIT_CHECK(peer_end(one, tx, 0) == 0);
	UNIT_CHECK(peer_write(one, 0, "data/x", "all is free again") == 0);
	teardown();
}

/* What is only looked at is kept as it was seen, and counts. */
static void reading_in_transactions_is_bounded_too(void)
{
	static char value[2000];
	unsigned nr = 0;
	char path[32];
	uint32_t tx;

	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < 900; i++) {
		snprintf(path, sizeof(path), "/s/%u", i);
		peer_two(root, XS_WRITE, 0, path, value, sizeof(value));
		peer_chmod(root, 0, path, "r0");
	}
	for (unsigned t = 0; t < 10; t++) {
		tx = peer_start(one);
		if (!tx)
			break;
		for (unsigned i = 0; i < 900; i++, nr++) {
			snprintf(path, sizeof(path), "/s/%u", i);
			if (peer_text(one, XS_READ, tx, path))
				break;
		}
	}
	UNIT_CHECK(strcmp(one->reply, "ENOMEM") == 0);
	UNIT_CHECK(nr > 100 && nr < 2560 * 1024 / 2000);
	UNIT_CHECK(xsd_check(xsd) == 0);
	UNIT_CHECK(peer_text(one, XS_RESET_WATCHES, 0, "") == 0);
	UNIT_CHECK(peer_start(one) != 0);
	teardown();
}

static void watches_count_against_memory(void)
{
	char token[2049] = "";
	unsigned nr;

	UNIT_REQUIRE(setup());
	UNIT_CHECK(set_quota("1 memory 65536") == 0);
	memset(token, 't', sizeof(token) - 1);
	for (nr = 0; nr < 128; nr++) {
		token[nr] = 'u';
		if (peer_watch(one, "data", token))
			break;
		UNIT_CHECK(xsd_check(xsd) == 0);
	}
	UNIT_CHECK(strcmp(one->reply, "ENOMEM") == 0);
	UNIT_CHECK(nr > 5 && nr < 65536 / 2048);
	token[nr - 1] = 'u';
	token[nr] = 't';
	UNIT_CHECK(peer_unwatch(one, "data", token) == 0);
	UNIT_CHECK(peer_watch(one, "data", token) == 0);
	teardown();
}

/* From the soft quota on an unread event says "look at everything". */
static void events_are_merged_when_memory_gets_short(void)
{
	char path[64];

	UNIT_REQUIRE(setup());
	peer_watch(one, "/local/domain/1/data", "t");
	peer_heard(one, "/local/domain/1/data=t");
	peer_write(root, 0, "/local/domain/1/data/a", "");
	peer_write(root, 0, "/local/domain/1/data/b", "");
	UNIT_CHECK(peer_heard(one, "/local/domain/1/data/a=t "
				   "/local/domain/1/data/b=t"));
	UNIT_CHECK(set_quota("1 soft-memory 1") == 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/local/domain/1/data/%u", i);
		peer_write(root, 0, path, "");
	}
	UNIT_CHECK(peer_heard(one, "/local/domain/1/data=t"));
	teardown();
}

/* ---- answers that wait --------------------------------------------------- */

/* nr times READ "name", of which req_id tells which. */
static void ask_many(struct peer *peer, unsigned first, unsigned nr)
{
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };
	char buf[64][sizeof(hdr) + 5];

	for (unsigned i = 0; i < nr; i++) {
		hdr.req_id = first + i;
		memcpy(buf[i], &hdr, sizeof(hdr));
		memcpy(buf[i] + sizeof(hdr), "name", 5);
	}
	UNIT_CHECK(xsd_conn_feed(peer->conn, buf, nr * sizeof(buf[0])) == 0);
}

#define ANSWER_BYTES (sizeof(struct xsd_sockmsg) + 3)

static size_t waiting(struct peer *peer)
{
	const void *data;
	size_t len = xsd_conn_output(peer->conn, &data);

	UNIT_CHECK(len % ANSWER_BYTES == 0);
	return len / ANSWER_BYTES;
}

static void twenty_answers_may_wait(void)
{
	UNIT_REQUIRE(setup());
	ask_many(one, 0, 19);
	UNIT_CHECK(waiting(one) == 19);
	UNIT_CHECK(xsd_conn_wants_input(one->conn));
	ask_many(one, 19, 41);
	UNIT_CHECK(waiting(one) == 20);
	UNIT_CHECK(!xsd_conn_wants_input(one->conn));
	UNIT_CHECK(xsd_check(xsd) == 0);
	/* Held back, not lost, not killed: each that is read makes room. */
	UNIT_CHECK(xsd_conn_sent(one->conn, 5 * ANSWER_BYTES) == 0);
	UNIT_CHECK(waiting(one) == 20);
	peer_read_all(one);
	UNIT_CHECK(one->nr_replies == 55);
	UNIT_CHECK(xsd_conn_wants_input(one->conn));
	teardown();
}

static void answers_count_as_read_when_their_last_byte_is(void)
{
	const void *data;
	unsigned nr = 0;

	UNIT_REQUIRE(setup());
	ask_many(one, 0, 60);
	for (size_t at = 0; at < 60 * ANSWER_BYTES; at++) {
		struct xsd_sockmsg hdr;

		UNIT_REQUIRE(xsd_conn_output(one->conn, &data) > 0);
		if (at % ANSWER_BYTES == 0) {
			memcpy(&hdr, data, sizeof(hdr));
			UNIT_CHECK(hdr.req_id == nr++);
		}
		UNIT_REQUIRE(xsd_conn_sent(one->conn, 1) == 0);
		UNIT_REQUIRE(xsd_check(xsd) == 0);
	}
	UNIT_CHECK(xsd_conn_output(one->conn, &data) == 0);
	teardown();
}

static void events_are_no_answers(void)
{
	char path[64];

	UNIT_REQUIRE(setup());
	peer_watch(one, "data", "t");
	peer_read_all(one);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/local/domain/1/data/%u", i);
		peer_write(root, 0, path, "");
	}
	UNIT_CHECK(xsd_conn_wants_input(one->conn));
	UNIT_CHECK(peer_reads(one, 0, "name", "d-1"));
	UNIT_CHECK(one->nr_events == 41);
	teardown();
}

/* The quota is the domain's: who waits for a neighbour is told to go on. */
static void one_connections_answers_hold_back_its_domain_alone(void)
{
	struct peer *again;

	UNIT_REQUIRE(setup());
	again = peer_open(xsd, 1);
	ask_many(one, 0, 30);
	UNIT_CHECK(waiting(one) == 20);
	UNIT_CHECK(!xsd_conn_wants_input(again->conn));
	ask_many(again, 0, 1);
	UNIT_CHECK(waiting(again) == 0);
	UNIT_CHECK(peer_reads(two, 0, "name", "d-2"));
	UNIT_CHECK(peer_reads(root, 0, "/local/domain/1/name", "d-1"));
	nr_woken = 0;
	UNIT_CHECK(xsd_conn_sent(one->conn, 20 * ANSWER_BYTES) == 0);
	UNIT_CHECK(waiting(one) == 10);
	UNIT_CHECK(nr_woken >= 1 && woken == again);
	UNIT_CHECK(xsd_conn_sent(again->conn, 0) == 0);
	UNIT_CHECK(waiting(again) == 1);
	UNIT_CHECK(xsd_conn_wants_input(again->conn));
	peer_close(again);
	teardown();
}

static void a_connections_end_takes_its_answers_along(void)
{
	struct peer *again;

	UNIT_REQUIRE(setup());
	again = peer_open(xsd, 1);
	ask_many(one, 0, 30);
	UNIT_CHECK(!xsd_conn_wants_input(again->conn));
	nr_woken = 0;
	xsd_conn_close(one->conn);
	one->conn = NULL;
	UNIT_CHECK(nr_woken == 1 && woken == again);
	UNIT_CHECK(xsd_check(xsd) == 0);
	UNIT_CHECK(peer_reads(again, 0, "name", "d-1"));
	peer_close(again);
	teardown();
}

static void another_quota_lets_those_go_on_who_wait(void)
{
	UNIT_REQUIRE(setup());
	ask_many(one, 0, 60);
	UNIT_CHECK(waiting(one) == 20);
	nr_woken = 0;
	UNIT_CHECK(set_quota("1 outstanding 40") == 0);
	UNIT_CHECK(nr_woken == 1 && woken == one);
	UNIT_CHECK(xsd_conn_sent(one->conn, 0) == 0);
	UNIT_CHECK(waiting(one) == 40);
	UNIT_CHECK(set_quota("1 outstanding 0") == 0);
	UNIT_CHECK(xsd_conn_sent(one->conn, 0) == 0);
	UNIT_CHECK(waiting(one) == 60);
	teardown();
}

static void domain_0_may_leave_as_many_as_fit(void)
{
	UNIT_REQUIRE(setup());
	for (unsigned i = 0; i < 4; i++) {
		struct xsd_sockmsg hdr = { .type = XS_READ, .len = 2 };
		char buf[16][sizeof(hdr) + 2];

		for (unsigned k = 0; k < 16; k++) {
			memcpy(buf[k], &hdr, sizeof(hdr));
			memcpy(buf[k] + sizeof(hdr), "/", 2);
		}
		UNIT_CHECK(xsd_conn_feed(root->conn, buf, sizeof(buf)) == 0);
		UNIT_CHECK(xsd_conn_wants_input(root->conn));
	}
	peer_read_all(root);
	UNIT_CHECK(root->nr_replies == 64);
	teardown();
}

/* Over its memory a client gets one answer, and the next when that is read. */
static void who_has_too_much_and_does_not_read_is_not_served(void)
{
	UNIT_REQUIRE(setup());
	UNIT_CHECK(set_quota("1 outstanding 0") == 0);
	UNIT_CHECK(set_quota("1 memory 1") == 0);
	UNIT_CHECK(xsd_conn_wants_input(one->conn));
	ask_many(one, 0, 10);
	UNIT_CHECK(waiting(one) == 1);
	UNIT_CHECK(!xsd_conn_wants_input(one->conn));
	peer_read_all(one);
	UNIT_CHECK(one->nr_replies == 10);
	UNIT_CHECK(xsd_conn_wants_input(one->conn));
	teardown();
}

UNIT_MAIN("store_quota", UNIT_TEST(nodes_count_against_memory),
	  UNIT_TEST(the_default_is_two_and_a_half_megabytes),
	  UNIT_TEST(who_has_too_much_may_only_have_less),
	  UNIT_TEST(a_transactions_copies_count_until_it_ends),
	  UNIT_TEST(reading_in_transactions_is_bounded_too),
	  UNIT_TEST(watches_count_against_memory),
	  UNIT_TEST(events_are_merged_when_memory_gets_short),
	  UNIT_TEST(twenty_answers_may_wait),
	  UNIT_TEST(answers_count_as_read_when_their_last_byte_is),
	  UNIT_TEST(events_are_no_answers),
	  UNIT_TEST(one_connections_answers_hold_back_its_domain_alone),
	  UNIT_TEST(a_connections_end_takes_its_answers_along),
	  UNIT_TEST(another_quota_lets_those_go_on_who_wait),
	  UNIT_TEST(domain_0_may_leave_as_many_as_fit),
	  UNIT_TEST(who_has_too_much_and_does_not_read_is_not_served))
