/* SPDX-License-Identifier: MIT */
/*
 * xs_ring.c - the byte queues of a domain's store page: every index that lies,
 * every edge of the queues, the words that make a connection.
 *
 * One thread plays both ends over one page. A hostile peer is the test itself
 * writing the page, which only a test may do.
 */
#include "xenstore-lite/xsring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define SIZE XENSTORE_RING_SIZE
#define BOTH                                                                   \
	(XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR)

static _Alignas(4096) unsigned char memory[4096];

static struct xenstore_domain_interface *const page =
	(struct xenstore_domain_interface *)(void *)memory;
static struct xsring daemon_half, guest_half;

static struct xenstore_domain_interface PV_SHARED *shared(void)
{
	return (struct xenstore_domain_interface PV_SHARED *)page;
}

/* Introduced and connected. */
static void fresh(void)
{
	memset(memory, 0, sizeof(memory));
	xsring_guest_init(&guest_half, shared(), true);
	xsring_daemon_init(&daemon_half, shared(), BOTH);
	xsring_daemon_connect(&daemon_half);
	(void)xsring_guest_state(&guest_half);
}

/* The same, after each queue has carried so many bytes. */
static void fresh_at(uint32_t requests, uint32_t answers)
{
	fresh();
	page->req_cons = page->req_prod = requests;
	page->rsp_cons = page->rsp_prod = answers;
	xsring_daemon_resume(&daemon_half, requests, answers);
	guest_half.waiting = true;
	(void)xsring_guest_state(&guest_half);
}

static unsigned char byte_at(uint32_t i)
{
	return (unsigned char)(i * 131u + (i >> 8));
}

/* len bytes of the pattern from `from` on: as many as there is room for. */
static size_t put(struct xsring *r, uint32_t from, size_t len)
{
	unsigned char buf[2 * SIZE];

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(from + (uint32_t)i);
	if (xsring_writable(r) < 0)
		return 0;
	return xsring_write(r, buf, len);
}

/* Take at most len; true when what came is the pattern from `from` on. */
static bool get(struct xsring *r, uint32_t from, size_t len, size_t *ret)
{
	unsigned char buf[2 * SIZE];

	if (xsring_readable(r) < 0)
		return false;
	*ret = xsring_read(r, buf, len);
	for (size_t i = 0; i < *ret; i++)
		if (buf[i] != byte_at(from + (uint32_t)i))
			return false;
	return true;
}

/* ---- bytes -----------------------------------------------------------------
 */

static void bytes_arrive_as_they_were_sent_both_ways(void)
{
	size_t n;

	fresh();
	UNIT_CHECK(put(&guest_half, 0, 100) == 100);
	UNIT_CHECK(xsring_readable(&daemon_half) == 0); /* not shown yet */
	UNIT_CHECK(xsring_push(&guest_half));
	UNIT_CHECK(get(&daemon_half, 0, SIZE, &n) && n == 100);
	UNIT_CHECK(put(&daemon_half, 7, 33) == 33);
	UNIT_CHECK(xsring_push(&daemon_half));
	UNIT_CHECK(get(&guest_half, 7, SIZE, &n) && n == 33);
	UNIT_CHECK(page->req_cons == 100 && page->rsp_prod == 33);
}

static void one_byte_at_a_time(void)
{
	size_t n;

	fresh();
	for (uint32_t i = 0; i < 3 * SIZE; i++) {
		UNIT_REQUIRE(put(&guest_half, i, 1) == 1);
		UNIT_REQUIRE(xsring_push(&guest_half));
		UNIT_REQUIRE(xsring_readable(&daemon_half) == 1);
		UNIT_REQUIRE(get(&daemon_half, i, 1, &n) && n == 1);
		UNIT_REQUIRE(xsring_push(&daemon_half));
	}
}

static void a_full_queue_takes_no_more_and_is_not_taken_as_empty(void)
{
	size_t n;

	fresh();
	UNIT_CHECK(put(&guest_half, 0, 2 * SIZE) == SIZE);
	UNIT_CHECK(xsring_push(&guest_half));
	UNIT_CHECK(xsring_writable(&guest_half) == 0);
	UNIT_CHECK(put(&guest_half, 0, 1) == 0);
	UNIT_CHECK(!xsring_push(&guest_half));
	UNIT_CHECK(xsring_readable(&daemon_half) == (int)SIZE);
	UNIT_CHECK(get(&daemon_half, 0, 2 * SIZE, &n) && n == SIZE);
	UNIT_CHECK(xsring_push(&daemon_half));
	UNIT_CHECK(xsring_writable(&guest_half) == (int)SIZE);
}

static void indices_wrap_at_two_to_the_32(void)
{
	uint32_t sent = 0, got = 0;
	size_t n;

	fresh_at(UINT32_MAX - 1500, UINT32_MAX - 3);
	while (got < 5000) {
		sent += (uint32_t)put(&guest_half, sent, 700);
		(void)!xsring_push(&guest_half);
		UNIT_REQUIRE(get(&daemon_half, got, 333, &n));
		got += (uint32_t)n;
		(void)!xsring_push(&daemon_half);
	}
	UNIT_CHECK(page->req_cons == UINT32_MAX - 1500 + got);
	UNIT_CHECK(put(&daemon_half, 0, SIZE) == SIZE);
	UNIT_CHECK(xsring_push(&daemon_half));
	UNIT_CHECK(get(&guest_half, 0, SIZE, &n) && n == SIZE);
	UNIT_CHECK(page->rsp_prod == SIZE - 4);
}

static void random_pieces_come_out_whole(void)
{
	uint32_t sent = 0, got = 0;
	size_t n;

	fresh_at(12345, 0xfffff000);
	srand(1);
	while (got < 200000) {
		sent += (uint32_t)put(&daemon_half, sent,
				      (size_t)rand() % (2 * SIZE));
		if (rand() % 3)
			(void)!xsring_push(&daemon_half);
		UNIT_REQUIRE(
			get(&guest_half, got, (size_t)rand() % (2 * SIZE), &n));
		got += (uint32_t)n;
		if (rand() % 3)
			(void)!xsring_push(&guest_half);
	}
}

/* What is read is ours: the peer's later writes do not change it, and the same
 * bytes are not read again. */
static void nothing_is_read_twice(void)
{
	char buf[4] = { 0 };

	fresh();
	UNIT_CHECK(xsring_write(&guest_half, "abcd", 4) == 0);
	UNIT_CHECK(xsring_writable(&guest_half) == (int)SIZE);
	UNIT_CHECK(xsring_write(&guest_half, "abcd", 4) == 4);
	(void)!xsring_push(&guest_half);
	UNIT_CHECK(xsring_readable(&daemon_half) == 4);
	UNIT_CHECK(xsring_read(&daemon_half, buf, 4) == 4);
	memset(page->req, 'x', SIZE);
	UNIT_CHECK(!memcmp(buf, "abcd", 4));
	UNIT_CHECK(xsring_readable(&daemon_half) == 0);
	UNIT_CHECK(xsring_read(&daemon_half, buf, 4) == 0);
}

/* ---- notifications ----------------------------------------------------------
 */

static void the_daemon_tells_of_everything(void)
{
	size_t n;

	fresh();
	UNIT_CHECK(!xsring_push(&daemon_half)); /* nothing moved */
	(void)put(&guest_half, 0, 10);
	(void)!xsring_push(&guest_half);
	(void)get(&daemon_half, 0, 10, &n);
	UNIT_CHECK(xsring_push(&daemon_half)); /* has only read */
	(void)put(&daemon_half, 0, 10);
	UNIT_CHECK(xsring_push(&daemon_half));
	UNIT_CHECK(!xsring_push(&daemon_half));
}

static void the_guest_tells_of_room_only_where_there_was_none(void)
{
	size_t n;

	fresh();
	(void)put(&daemon_half, 0, SIZE - 1);
	(void)!xsring_push(&daemon_half);
	(void)get(&guest_half, 0, 10, &n);
	UNIT_CHECK(!xsring_push(&guest_half));
	(void)put(&daemon_half, 0, 11); /* sees the room: full again */
	(void)!xsring_push(&daemon_half);
	(void)get(&guest_half, 10, 5, &n);
	UNIT_CHECK(xsring_push(&guest_half));
	/* It filled after the guest had read, before that was shown. */
	fresh();
	(void)put(&daemon_half, 0, 500);
	(void)!xsring_push(&daemon_half);
	(void)get(&guest_half, 0, 500, &n);
	(void)put(&daemon_half, 500, SIZE - 500);
	(void)!xsring_push(&daemon_half);
	UNIT_CHECK(xsring_writable(&daemon_half) == 0);
	UNIT_CHECK(xsring_push(&guest_half));
}

/* ---- lies
 * -------------------------------------------------------------------- */

static const uint32_t lies[] = { SIZE + 1,   SIZE * 2,	 1u << 30,
				 0x7fffffff, 1u << 31,	 0x80000001,
				 0xfffffffe, UINT32_MAX, 0xfffffc00 };

/* Every lie about one of the peer's indices, at several places of the circle.
 */
static void lie(uint32_t *index, struct xsring *victim,
		int (*look)(struct xsring *), bool backwards)
{
	static const uint32_t starts[] = { 0, 1, 1023, 1u << 31, 0xfffffff0 };
	char buf[SIZE];

	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			fresh_at(starts[s], starts[s]);
			UNIT_CHECK(look(victim) >= 0);
			*index = backwards ? starts[s] - lies[i]
					   : starts[s] + lies[i];
			UNIT_CHECK(look(victim) == -EPROTO);
			UNIT_CHECK(victim->broken);
			/* For good, though the index is mended. */
			*index = starts[s];
			UNIT_CHECK(look(victim) == -EPROTO);
			UNIT_CHECK(xsring_readable(victim) == -EPROTO);
			UNIT_CHECK(xsring_writable(victim) == -EPROTO);
			UNIT_CHECK(xsring_read(victim, buf, SIZE) == 0);
			UNIT_CHECK(xsring_write(victim, buf, SIZE) == 0);
			UNIT_CHECK(!xsring_push(victim));
		}
	}
}

static void an_impossible_request_producer_is_found_out(void)
{
	lie(&page->req_prod, &daemon_half, xsring_readable, false);
}

static void an_impossible_answer_consumer_is_found_out(void)
{
	lie(&page->rsp_cons, &daemon_half, xsring_writable, false);
	lie(&page->rsp_cons, &daemon_half, xsring_writable, true);
}

static void the_guest_finds_the_daemons_lies_out_too(void)
{
	lie(&page->rsp_prod, &guest_half, xsring_readable, false);
	lie(&page->req_cons, &guest_half, xsring_writable, false);
	lie(&page->req_cons, &guest_half, xsring_writable, true);
}

static void an_index_cannot_go_back(void)
{
	char buf[8];

	fresh_at(5000, 5000);
	page->req_prod = 5100;
	UNIT_CHECK(xsring_readable(&daemon_half) == 100);
	UNIT_CHECK(xsring_read(&daemon_half, buf, 8) == 8);
	page->req_prod = 5099;
	UNIT_CHECK(xsring_readable(&daemon_half) == -EPROTO);

	fresh_at(5000, 5000);
	(void)put(&daemon_half, 0, 100);
	(void)!xsring_push(&daemon_half);
	page->rsp_cons = 5050;
	UNIT_CHECK(xsring_writable(&daemon_half) == (int)SIZE - 50);
	page->rsp_cons = 5049;
	UNIT_CHECK(xsring_writable(&daemon_half) == -EPROTO);
}

static void our_own_indices_are_never_read_back(void)
{
	size_t n;

	fresh();
	(void)put(&guest_half, 0, 100);
	(void)!xsring_push(&guest_half);
	(void)put(&daemon_half, 0, 50);
	(void)!xsring_push(&daemon_half);
	page->req_cons = 0xdeadbeef;
	page->rsp_prod = 0xdeadbeef;
	UNIT_CHECK(get(&daemon_half, 0, SIZE, &n) && n == 100);
	UNIT_CHECK(put(&daemon_half, 50, 50) == 50);
	(void)!xsring_push(&daemon_half);
	UNIT_CHECK(page->req_cons == 100 && page->rsp_prod == 100);
}

static void a_new_connection_mends_a_broken_one(void)
{
	size_t n;

	fresh();
	page->req_prod = 0x40000000;
	UNIT_CHECK(xsring_readable(&daemon_half) == -EPROTO);
	xsring_daemon_fail(&daemon_half, XENSTORE_ERROR_RINGIDX);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_FAILED);
	UNIT_CHECK(!xsring_guest_reconnect(&guest_half));
	UNIT_CHECK(xsring_daemon_asked(&daemon_half));
	xsring_daemon_connect(&daemon_half);
	UNIT_CHECK(page->error == XENSTORE_ERROR_NONE);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_CONNECTED);
	UNIT_CHECK(put(&guest_half, 0, 10) == 10);
	(void)!xsring_push(&guest_half);
	UNIT_CHECK(get(&daemon_half, 0, SIZE, &n) && n == 10);
}

/* ---- connecting
 * --------------------------------------------------------------- */

static void a_fresh_page_waits_until_it_is_introduced(void)
{
	memset(memory, 0, sizeof(memory));
	xsring_guest_init(&guest_half, shared(), true);
	UNIT_CHECK(page->connection == XENSTORE_RECONNECT);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_WAITING);
	xsring_daemon_init(&daemon_half, shared(), BOTH);
	UNIT_CHECK(page->server_features == BOTH);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_WAITING);
	xsring_daemon_connect(&daemon_half);
	UNIT_CHECK(page->connection == XENSTORE_CONNECTED);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_CONNECTED);
}

static void a_page_that_was_introduced_is_used_as_it_is(void)
{
	memset(memory, 0xa5, sizeof(memory)); /* nothing may be assumed */
	page->connection = XENSTORE_CONNECTED;
	page->server_features = 0;
	page->req_cons = page->req_prod = 0xfffffffa;
	page->rsp_cons = page->rsp_prod = 77;
	xsring_guest_init(&guest_half, shared(), false);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_CONNECTED);
	UNIT_CHECK(put(&guest_half, 0, 10) == 10);
	(void)!xsring_push(&guest_half);
	UNIT_CHECK(page->req_prod == 4);
	UNIT_CHECK(xsring_readable(&guest_half) == 0);
}

static void a_daemon_without_the_feature_is_not_asked(void)
{
	fresh();
	page->server_features = XENSTORE_SERVER_FEATURE_ERROR;
	UNIT_CHECK(xsring_guest_reconnect(&guest_half) == -EOPNOTSUPP);
	UNIT_CHECK(page->connection == XENSTORE_CONNECTED);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_CONNECTED);
}

static void an_error_word_that_is_not_offered_says_nothing(void)
{
	fresh();
	page->error = 0xa5a5a5a5;
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_FAILED);
	page->server_features = XENSTORE_SERVER_FEATURE_RECONNECTION;
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_CONNECTED);
}

static void what_is_not_offered_is_not_used(void)
{
	fresh();
	xsring_daemon_init(&daemon_half, shared(), 0);
	page->connection = XENSTORE_RECONNECT;
	page->error = 99;
	UNIT_CHECK(!xsring_daemon_asked(&daemon_half));
	xsring_daemon_fail(&daemon_half, XENSTORE_ERROR_PROTO);
	UNIT_CHECK(page->error == 99);
	xsring_daemon_connect(&daemon_half);
	UNIT_CHECK(page->error == 99);
}

static void reconnecting_empties_both_queues(void)
{
	fresh_at(999, 888);
	(void)put(&guest_half, 0, 100);
	(void)!xsring_push(&guest_half);
	(void)put(&daemon_half, 0, 200);
	(void)!xsring_push(&daemon_half);
	UNIT_CHECK(!xsring_guest_reconnect(&guest_half));
	/* What the daemon still does means nothing to the guest. */
	(void)put(&daemon_half, 200, 10);
	(void)!xsring_push(&daemon_half);
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_WAITING);
	xsring_daemon_connect(&daemon_half);
	UNIT_CHECK(!xsring_daemon_asked(&daemon_half));
	UNIT_CHECK(xsring_guest_state(&guest_half) == XSRING_CONNECTED);
	UNIT_CHECK(xsring_readable(&guest_half) == 0);
	UNIT_CHECK(xsring_writable(&guest_half) == (int)SIZE);
	UNIT_CHECK(xsring_readable(&daemon_half) == 0);
	UNIT_CHECK(xsring_writable(&daemon_half) == (int)SIZE);
}

static void a_successor_goes_on_where_its_predecessor_was(void)
{
	struct xsring successor;
	size_t n;

	fresh_at(4000, 3000);
	(void)put(&guest_half, 0, 100);
	(void)!xsring_push(&guest_half);
	(void)get(&daemon_half, 0, 60, &n);
	(void)put(&daemon_half, 0, 20);
	/* Nothing of it was shown. */
	xsring_daemon_init(&successor, shared(), BOTH);
	xsring_daemon_resume(&successor, daemon_half.in_cons,
			     daemon_half.out_prod);
	UNIT_CHECK(get(&successor, 60, SIZE, &n) && n == 40);
	UNIT_CHECK(put(&successor, 20, 5) == 5);
	UNIT_CHECK(xsring_push(&successor));
	UNIT_CHECK(get(&guest_half, 0, SIZE, &n) && n == 25);
	UNIT_CHECK(page->req_cons == 4100);
}

UNIT_MAIN("xs_ring", UNIT_TEST(bytes_arrive_as_they_were_sent_both_ways),
	  UNIT_TEST(one_byte_at_a_time),
	  UNIT_TEST(a_full_queue_takes_no_more_and_is_not_taken_as_empty),
	  UNIT_TEST(indices_wrap_at_two_to_the_32),
	  UNIT_TEST(random_pieces_come_out_whole),
	  UNIT_TEST(nothing_is_read_twice),
	  UNIT_TEST(the_daemon_tells_of_everything),
	  UNIT_TEST(the_guest_tells_of_room_only_where_there_was_none),
	  UNIT_TEST(an_impossible_request_producer_is_found_out),
	  UNIT_TEST(an_impossible_answer_consumer_is_found_out),
	  UNIT_TEST(the_guest_finds_the_daemons_lies_out_too),
	  UNIT_TEST(an_index_cannot_go_back),
	  UNIT_TEST(our_own_indices_are_never_read_back),
	  UNIT_TEST(a_new_connection_mends_a_broken_one),
	  UNIT_TEST(a_fresh_page_waits_until_it_is_introduced),
	  UNIT_TEST(a_page_that_was_introduced_is_used_as_it_is),
	  UNIT_TEST(a_daemon_without_the_feature_is_not_asked),
	  UNIT_TEST(an_error_word_that_is_not_offered_says_nothing),
	  UNIT_TEST(what_is_not_offered_is_not_used),
	  UNIT_TEST(reconnecting_empties_both_queues),
	  UNIT_TEST(a_successor_goes_on_where_its_predecessor_was))
