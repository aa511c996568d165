/* SPDX-License-Identifier: MIT */
/*
 * xs_pipeline.c - the client with many requests under way: their order, their
 * bounds, their time-outs; and its one descriptor.
 */
#include <poll.h>
#include <sys/socket.h>

#include "tests/unit/xs_mortal.h"
#include "util/clock.h"
#include "util/num.h"

/* ---- order and bounds ------------------------------------------------------
 */

struct order {
	uint64_t nr; /* callbacks */
	uint64_t faults;
	int err; /* of the last */
};

static void in_order(void *arg, int err, const char *data, size_t len)
{
	struct order *o = arg;
	char want[24];

	snprintf(want, sizeof(want), "%llu", (unsigned long long)(o->nr / 2));
	o->faults += err != 0;
	o->err = err;
	if (o->nr++ % 2)
		o->faults += len != strlen(want) || strcmp(data, want) != 0;
}

static int submit_pair(struct xs *xs, uint64_t i, struct order *o)
{
	char value[24];
	struct xs_request rq = { .op = XS_OP_WRITE,
				 .path = "/n",
				 .data = value,
				 .done = in_order,
				 .arg = o };
	int err;

	rq.len = (size_t)snprintf(value, sizeof(value), "%llu",
				  (unsigned long long)i);
	err = xs_submit(xs, &rq);
	if (err)
		return err;
	rq.op = XS_OP_READ;
	while ((err = xs_submit(xs, &rq)) == -EBUSY)
		if (xs_dispatch(xs))
			return -EIO;
	return err;
}

static void a_hundred_thousand_are_answered_in_order(void)
{
	struct mortal m = { 0 };
	struct order o = { 0 };
	struct xs *xs;
	uint64_t nr_busy = 0;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	for (uint64_t i = 0; i < 50000;) {
		int err = submit_pair(xs, i, &o);

		i += err == 0;
		nr_busy += err == -EBUSY;
		if (err == -EBUSY)
			err = xs_dispatch(xs);
		UNIT_REQUIRE(err == 0);
	}
	while (xs_pending(xs))
		UNIT_REQUIRE(xs_dispatch(xs) == 0);
	for (int i = 0; o.nr < 100000 && i < 100000; i++)
		UNIT_REQUIRE(xs_dispatch(xs) == 0);
	UNIT_CHECK(o.nr == 100000 && o.faults == 0);
	UNIT_CHECK(nr_busy >= 100000 / 4096);
	UNIT_CHECK(!xs_pending(xs));
	xs_close(xs);
	mortal_close(&m);
}

static void a_waiting_call_keeps_its_place(void)
{
	struct mortal m = { 0 };
	struct order o = { 0 };
	struct xs *xs;
	char *value;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	for (uint64_t i = 0; i < 100; i++)
		UNIT_CHECK(submit_pair(xs, i, &o) == 0);
	UNIT_CHECK(m.nr_in == 0 && xs_pending(xs));
	UNIT_REQUIRE(xs_read(xs, 0, "/n", &value, NULL) == 0);
	UNIT_CHECK(!strcmp(value, "99"));
	free(value);
	/* All are answered; none has been told. */
	UNIT_CHECK(o.nr == 0 && xs_pending(xs));
	UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(o.nr == 200 && o.faults == 0 && !xs_pending(xs));
	xs_close(xs);
	mortal_close(&m);
}

static void what_is_flushed_goes_out_in_few_pieces(void)
{
	struct mortal m = { 0 };
	struct order o = { 0 };
	struct xs *xs;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	for (uint64_t i = 0; i < 32; i++)
		UNIT_CHECK(submit_pair(xs, i, &o) == 0);
	xs_flush(xs);
	UNIT_CHECK(m.nr_sends == 1 && m.nr_in > 1000 && !xs_pending(xs));
	UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(o.nr == 64 && o.faults == 0);
	xs_close(xs);
	mortal_close(&m);
}

struct big {
	unsigned nr, nr_good;
};

static void big_done(void *arg, int err, const char *data, size_t len)
{
	struct big *b = arg;

	b->nr++;
	b->nr_good += !err && len == 2000 && data[0] == 'x' &&
		      data[1999] == 'x' && !data[2000];
}

static void count(void *arg, const char *path)
{
	(void)path;
	++*(unsigned *)arg;
}

/* More than the store keeps for one that does not read, events between. */
static void big_answers_and_events_come_in_pieces(void)
{
	static char value[2000];
	struct mortal m = { 0 };
	struct big b = { 0 };
	struct xs_request rq = {
		.op = XS_OP_READ, .path = "/w/big", .done = big_done, .arg = &b
	};
	struct xs_request wr = { .op = XS_OP_WRITE, .path = "/w/n" };
	struct xs_watch *watch;
	unsigned nr_events = 0;
	struct xs *xs;

	memset(value, 'x', sizeof(value));
	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_CHECK(xs_write(xs, 0, "/w/big", value, sizeof(value)) == 0);
	UNIT_REQUIRE(xs_watch(xs, "/w", count, &nr_events, &watch) == 0);
	for (int i = 0; i < 500; i++) {
		UNIT_CHECK(xs_submit(xs, &rq) == 0);
		UNIT_CHECK(xs_submit(xs, &wr) == 0);
	}
	for (int i = 0; b.nr < 500 && i < 10000; i++)
		UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(b.nr == 500 && b.nr_good == 500);
	UNIT_CHECK(nr_events > 1);
	xs_close(xs);
	mortal_close(&m);
}

static void every_kind_can_be_submitted(void)
{
	struct xs_perm perms[] = { { 0, 'n' }, { 1, 'b' } };
	struct mortal m = { 0 };
	struct order o = { 0 };
	struct xs_request rq = { .path = "/k", .done = in_order, .arg = &o };
	struct xs *xs;
	unsigned nr;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	peer_close(peer_open(m.xsd, 1));
	rq.op = XS_OP_MKDIR;
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	rq.op = XS_OP_SET_PERMS;
	rq.perms = perms;
	rq.nr_perms = 2;
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	rq.op = (enum xs_op)99;
	UNIT_CHECK(xs_submit(xs, &rq) == -EINVAL);
	nr = 2;
	UNIT_CHECK(xs_get_perms(xs, 0, "/k", perms, &nr) == 0 && nr == 2);
	rq.op = XS_OP_RM;
	rq.done = NULL;
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	rq.done = in_order;
	rq.op = XS_OP_DIRECTORY;
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	for (int i = 0; o.nr < 3 && i < 100; i++)
		UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(o.nr == 3 && o.err == -ENOENT);
	rq.tx = 77;
	UNIT_CHECK(xs_submit(xs, &rq) == -ENOENT);
	xs_close(xs);
	mortal_close(&m);
}

static void requests_in_a_transaction_can_be_submitted(void)
{
	struct mortal m = { 0 };
	struct order o = { 0 };
	struct xs_request rq = { .op = XS_OP_WRITE,
				 .path = "/t",
				 .data = "1",
				 .len = 1,
				 .done = in_order,
				 .arg = &o };
	struct xs *xs;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_REQUIRE(xs_transaction_start(xs, &rq.tx) == 0);
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	UNIT_CHECK(xs_transaction_end(xs, rq.tx, true) == 0);
	UNIT_CHECK(xs_dispatch(xs) == 0 && o.nr == 1 && o.err == 0);
	UNIT_REQUIRE(xs_transaction_start(xs, &rq.tx) == 0);
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	mortal_die(&m);
	/* Answered by the loss; no new one is begun. */
	UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(xs_dispatch(xs) == 0 && o.nr == 2 && o.err == -EAGAIN);
	UNIT_CHECK(xs_submit(xs, &rq) == -EAGAIN);
	UNIT_CHECK(xs_transaction_end(xs, rq.tx, true) == -EAGAIN);
	xs_close(xs);
	mortal_close(&m);
}

static void closing_answers_what_is_under_way(void)
{
	struct mortal m = { 0 };
	struct order o = { 0 };
	struct xs *xs;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_CHECK(submit_pair(xs, 0, &o) == 0);
	xs_flush(xs);
	UNIT_CHECK(submit_pair(xs, 0, &o) == 0);
	xs_close(xs);
	UNIT_CHECK(o.nr == 4 && o.err == -ECANCELED);
	mortal_close(&m);
}

/* ---- a callback asks -------------------------------------------------------
 */

struct asking {
	struct xs *xs;
	unsigned nr, depth;
	int err;
};

static void ask_more(void *arg, int err, const char *data, size_t len)
{
	struct asking *a = arg;
	struct xs_request rq = {
		.op = XS_OP_READ, .path = "/a", .done = ask_more, .arg = a
	};
	char *value;

	(void)data;
	(void)len;
	a->err = err ?: a->depth ? -EDEADLK : 0;
	a->depth++;
	if (!xs_read(a->xs, 0, "/a", &value, NULL))
		free(value);
	if (++a->nr < 100)
		a->err = a->err ?: xs_submit(a->xs, &rq);
	a->depth--;
}

static void a_callback_may_ask_and_is_not_run_inside_itself(void)
{
	struct mortal m = { 0 };
	struct asking a = { 0 };
	struct xs *xs;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_CHECK(xs_write(xs, 0, "/a", "1", 1) == 0);
	a.xs = xs;
	ask_more(&a, 0, NULL, 0);
	for (int i = 0; a.nr < 100 && !a.err && i < 1000; i++)
		UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(a.nr == 100 && a.err == 0);
	xs_close(xs);
	mortal_close(&m);
}

/* ---- over sockets, and in time ---------------------------------------------
 */

#define SILENT_MAX 16

/* A store whose connections are taken and never answered. */
struct silent {
	int theirs[SILENT_MAX];
	unsigned nr;
};

static int silent_connect(void *arg)
{
	struct silent *s = arg;
	int pair[2];

	if (s->nr == SILENT_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -ECONNREFUSED;
	s->theirs[s->nr++] = pair[1];
	return pair[0];
}

static void silent_close(struct silent *s)
{
	while (s->nr)
		close(s->theirs[--s->nr]);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1;
}

static void a_store_that_hangs_times_out(void)
{
	struct silent s = { 0 };
	uint64_t begin_ns = clock_now_ns();
	struct xs *xs;
	char *value;

	UNIT_REQUIRE(xs_open(silent_connect, &s, &xs) == 0);
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(xs_read(xs, 0, "/", &value, NULL) == -ETIMEDOUT);
	UNIT_CHECK(clock_now_ns() - begin_ns >= 50 * NS_PER_MS);
	UNIT_CHECK(s.nr == 1);
	/* The next asks another connection. */
	UNIT_CHECK(xs_read(xs, 0, "/", &value, NULL) == -ETIMEDOUT);
	UNIT_CHECK(s.nr == 2);
	xs_close(xs);
	silent_close(&s);
}

static void without_a_connector_a_time_out_is_the_end(void)
{
	struct xs *xs;
	int pair[2];

	UNIT_REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	UNIT_REQUIRE(xs_open_fd(pair[0], &xs) == 0);
	xs_set_timeout(xs, 20 * NS_PER_MS);
	UNIT_CHECK(!readable(xs_fd(xs), 0));
	UNIT_CHECK(xs_mkdir(xs, 0, "/a") == -ETIMEDOUT);
	UNIT_CHECK(xs_mkdir(xs, 0, "/a") == -ECONNRESET);
	/* Whoever waits for it is woken to hear it. */
	UNIT_CHECK(readable(xs_fd(xs), 1000));
	UNIT_CHECK(xs_dispatch(xs) == -ECONNRESET);
	xs_close(xs);
	close(pair[1]);
}

static void the_descriptor_wakes_for_a_time_out(void)
{
	struct silent s = { 0 };
	struct order o = { 0 };
	struct xs *xs;
	uint64_t begin_ns = clock_now_ns();

	UNIT_REQUIRE(xs_open(silent_connect, &s, &xs) == 0);
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(submit_pair(xs, 0, &o) == 0);
	xs_flush(xs);
	while (o.nr < 2 && clock_now_ns() - begin_ns < 10 * NS_PER_S) {
		UNIT_REQUIRE(readable(xs_fd(xs), 5000));
		UNIT_CHECK(xs_dispatch(xs) == 0);
	}
	UNIT_CHECK(o.nr == 2 && o.err == -ETIMEDOUT);
	UNIT_CHECK(clock_now_ns() - begin_ns >= 50 * NS_PER_MS);
	xs_close(xs);
	silent_close(&s);
}

static void the_descriptor_wakes_to_connect_again(void)
{
	struct silent s = { 0 };
	struct xs *xs;
	int fd;

	UNIT_REQUIRE(xs_open(silent_connect, &s, &xs) == 0);
	fd = xs_fd(xs);
	for (unsigned i = 1; i < 4; i++) {
		close(s.theirs[i - 1]);
		for (int k = 0; s.nr == i && k < 10; k++) {
			UNIT_REQUIRE(readable(fd, 5000));
			UNIT_CHECK(xs_dispatch(xs) == 0);
		}
		UNIT_CHECK(s.nr == i + 1 && xs_fd(xs) == fd);
		UNIT_CHECK(!readable(fd, 0));
	}
	close(s.theirs[3]);
	xs_close(xs);
}

/* Fill the socket, then read it all: epoll must tell when there is room. */
static void the_descriptor_wakes_when_there_is_room(void)
{
	static char value[2000], junk[65536];
	struct silent s = { 0 };
	struct xs_request rq = { .op = XS_OP_WRITE,
				 .path = "/a",
				 .data = value,
				 .len = sizeof(value) };
	struct xs *xs;
	size_t total = 0;

	UNIT_REQUIRE(xs_open(silent_connect, &s, &xs) == 0);
	for (int i = 0; i < 1000; i++)
		UNIT_CHECK(xs_submit(xs, &rq) == 0);
	xs_flush(xs);
	UNIT_CHECK(!xs_pending(xs) && !readable(xs_fd(xs), 0));
	while (total < 1000 * (sizeof(value) + 3 + 16)) {
		ssize_t n = recv(s.theirs[0], junk, sizeof(junk), MSG_DONTWAIT);

		if (n > 0) {
			total += (size_t)n;
			continue;
		}
		UNIT_REQUIRE(readable(xs_fd(xs), 5000));
		UNIT_CHECK(xs_dispatch(xs) == 0);
	}
	UNIT_CHECK(xs_dispatch(xs) == 0);
	UNIT_CHECK(!readable(xs_fd(xs), 0));
	xs_close(xs);
	silent_close(&s);
}

UNIT_MAIN("xs_pipeline", UNIT_TEST(a_hundred_thousand_are_answered_in_order),
	  UNIT_TEST(a_waiting_call_keeps_its_place),
	  UNIT_TEST(what_is_flushed_goes_out_in_few_pieces),
	  UNIT_TEST(big_answers_and_events_come_in_pieces),
	  UNIT_TEST(every_kind_can_be_submitted),
	  UNIT_TEST(requests_in_a_transaction_can_be_submitted),
	  UNIT_TEST(closing_answers_what_is_under_way),
	  UNIT_TEST(a_callback_may_ask_and_is_not_run_inside_itself),
	  UNIT_TEST(a_store_that_hangs_times_out),
	  UNIT_TEST(without_a_connector_a_time_out_is_the_end),
	  UNIT_TEST(the_descriptor_wakes_for_a_time_out),
	  UNIT_TEST(the_descriptor_wakes_to_connect_again),
	  UNIT_TEST(the_descriptor_wakes_when_there_is_room))
