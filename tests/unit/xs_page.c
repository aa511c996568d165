/* SPDX-License-Identifier: MIT */
/*
 * xs_page.c - the client over a shared page and the daemon's side of it, on the
 * lite platform: a broker and a store, a thread each, and a guest.
 */
#include "xenstore-lite/xs_page.h"

#include <sys/eventfd.h>

#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"
#include "xenstore-lite/serve.h"
#include "xenstore-lite/xs_private.h"

#define NR_REQUESTS 20000u

/* The store's thread stops between two tests, and whenever one says so. */
struct daemon {
	struct loop *loop;
	struct server *server;
	pthread_t thread;
	int stop_fd;
	struct loop_fd *stop_src;
};

static struct world world;
static struct daemon store;
static domid_t guest_id;
static struct platform *guest;
static struct xs_page *page;
static struct xs *xs, *root;

static void store_stop(void *arg, uint32_t events)
{
	eventfd_t value;

	(void)events;
	(void)!eventfd_read(store.stop_fd, &value);
	loop_stop(arg, 0);
}

static void *store_thread(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)loop_run(store.loop);
}

static void store_run(void)
{
	world_must(!pthread_create(&store.thread, NULL, store_thread, NULL),
		   "pthread_create");
}

static void store_pause(void)
{
	world_must(eventfd_write(store.stop_fd, 1) == 0, "eventfd_write");
	pthread_join(store.thread, NULL);
}

/* The domain's socket, as the broker would make it. */
static void add_domain(domid_t domid, uint64_t life, const char *name)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/store-%u", world.dir, domid);
	fd = unix_listen(path, SOCK_STREAM, geteuid());
	world_must(fd >= 0 && !server_add_domain(store.server, domid, life,
						 name, geteuid(), fd),
		   "add_domain");
}

static int connect_root(void *arg)
{
	char path[96];

	(void)arg;
	snprintf(path, sizeof(path), "%s/store-0", world.dir);
	return unix_connect(path, SOCK_STREAM);
}

static void store_open(void)
{
	char path[96];
	int fd;

	world_must(!loop_open(&store.loop) &&
			   !server_open(store.loop, &store.server),
		   "server_open");
	store.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world_must(!loop_fd_add(store.loop, store.stop_fd, POLLIN, store_stop,
				store.loop, &store.stop_src),
		   "loop_fd_add");
	snprintf(path, sizeof(path), "%s/0/broker", world.dir);
	fd = unix_connect(path, SOCK_SEQPACKET);
	world_must(fd >= 0 && !server_set_broker(store.server, fd),
		   "server_set_broker");
	add_domain(0, 1, "Domain-0");
	add_domain(guest_id, 2, "guest");
	store_run();
}

static void setup(void)
{
	world_open(&world);
	world_must(!lite_domain_create(world.dom0, "guest", geteuid(), 0,
				       &guest_id) &&
			   !platform_lite_open(world.dir, guest_id, &guest),
		   "guest");
	store_open();
	world_must(!xs_open(connect_root, NULL, &root), "root");
	world_must(!xs_page_open(guest, &page) && !xs_open_page(page, &xs),
		   "xs_page");
}

static void setup_introduced(void)
{
	setup();
	world_must(!xs_introduce(root, guest_id, xs_page_gref(page),
				 xs_page_port(page)),
		   "xs_introduce");
}

static void teardown(void)
{
	char path[96];

	xs_close(xs);
	xs_page_close(page);
	xs_close(root);
	platform_close(guest);
	UNIT_CHECK(lite_domain_destroy(world.dom0, guest_id) == 0);
	store_pause();
	server_remove_all(store.server);
	server_close(store.server);
	loop_fd_remove(store.stop_src);
	loop_close(store.loop);
	close(store.stop_fd);
	snprintf(path, sizeof(path), "%s/store-0", world.dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/store-%u", world.dir, guest_id);
	unlink(path);
	UNIT_CHECK(world_close(&world));
}

static bool reads(const char *path, const char *value)
{
	char *text;
	bool same;

	if (xs_read(xs, XS_NO_TXN, path, &text, NULL))
		return false;
	same = !strcmp(text, value);
	free(text);
	return same;
}

/* ---- cases ------------------------------------------------------------------
 */

static void a_guest_reads_and_writes(void)
{
	char big[2048], *text;
	size_t len;

	setup_introduced();
	UNIT_CHECK(reads("name", "guest"));
	UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/x", "1", 1));
	UNIT_CHECK(reads("data/x", "1"));
	/* More than the ring holds, both ways. */
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 256);
	UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/big", big, sizeof(big)));
	UNIT_CHECK(!xs_read(xs, XS_NO_TXN, "data/big", &text, &len));
	UNIT_CHECK(len == sizeof(big) && !memcmp(text, big, len));
	free(text);
	UNIT_CHECK(xs_write(xs, XS_NO_TXN, "/x", "1", 1) == -EACCES);
	UNIT_CHECK(xs_introduce(xs, guest_id, 1, 1) == -EACCES);
	teardown();
}

static void nothing_is_answered_before_the_introduction(void)
{
	setup();
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(xs_write(xs, XS_NO_TXN, "data/x", "1", 1) == -ETIMEDOUT);
	xs_set_timeout(xs, 10 * NS_PER_S);
	UNIT_CHECK(!xs_introduce(root, guest_id, xs_page_gref(page),
				 xs_page_port(page)));
	UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/x", "2", 1));
	UNIT_CHECK(reads("data/x", "2"));
	teardown();
}

static void only_what_there_is_can_be_introduced(void)
{
	grant_ref_t gref;
	evtchn_port_t port;

	setup();
	gref = xs_page_gref(page);
	port = xs_page_port(page);
	UNIT_CHECK(xs_introduce(root, guest_id, gref + 1, port) < 0);
	UNIT_CHECK(xs_introduce(root, guest_id, gref, port + 1) < 0);
	UNIT_CHECK(xs_introduce(root, guest_id, gref, 0) == -EINVAL);
	UNIT_CHECK(xs_introduce(root, guest_id, 1ull << 32, port) == -EINVAL);
	UNIT_CHECK(xs_introduce(root, guest_id + 1u, gref, port) == -ENOENT);
	UNIT_CHECK(xs_introduce(root, 0, gref, port) == -EINVAL);
	UNIT_CHECK(!xs_introduce(root, guest_id, gref, port));
	UNIT_CHECK(reads("name", "guest"));
	teardown();
}

static unsigned nr_fired;

static void fired(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	nr_fired++;
}

static bool wait_fired(unsigned nr)
{
	uint64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	while (nr_fired < nr && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = xs_fd(xs), .events = POLLIN };

		(void)!poll(&pfd, 1, 100);
		if (xs_dispatch(xs))
			return false;
	}
	return nr_fired >= nr;
}

/* Introducing the same again changes nothing: the watch is still there. */
static void the_same_introduction_twice_is_one(void)
{
	struct xs_watch *watch;

	setup_introduced();
	nr_fired = 0;
	UNIT_CHECK(!xs_watch(xs, "data", fired, NULL, &watch));
	UNIT_CHECK(wait_fired(1));
	UNIT_CHECK(!xs_introduce(root, guest_id, xs_page_gref(page),
				 xs_page_port(page)));
	UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/x", "1", 1));
	UNIT_CHECK(wait_fired(2) && nr_fired == 2);
	teardown();
}

static void another_page_takes_the_first_ones_place(void)
{
	struct xs_page *second;
	struct xs *other;

	setup_introduced();
	UNIT_CHECK(reads("name", "guest"));
	UNIT_REQUIRE(!xs_page_open(guest, &second));
	UNIT_REQUIRE(!xs_open_page(second, &other));
	UNIT_CHECK(!xs_introduce(root, guest_id, xs_page_gref(second),
				 xs_page_port(second)));
	UNIT_CHECK(!xs_write(other, XS_NO_TXN, "data/x", "1", 1));
	/* The first one's channel is dead for good. */
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(xs_write(xs, XS_NO_TXN, "data/x", "2", 1) < 0);
	xs_close(other);
	xs_page_close(second);
	/* The place is free again, for the first one's page too. */
	teardown();
}

static int move_value(struct xs *client, xs_txn_t tx, void *arg)
{
	char *text;
	int err = xs_read(client, tx, "data/from", &text, NULL);

	(void)arg;
	if (err)
		return err;
	err = xs_write(client, tx, "data/to", text, strlen(text));
	free(text);
	return err ? err : xs_rm(client, tx, "data/from");
}

static void transactions_and_watches_work(void)
{
	struct xs_watch *watch;
	char **names;
	unsigned nr;

	setup_introduced();
	nr_fired = 0;
	UNIT_CHECK(!xs_watch(xs, "data/to", fired, NULL, &watch));
	UNIT_CHECK(wait_fired(1));
	UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/from", "v", 1));
	UNIT_CHECK(!xs_transaction(xs, move_value, NULL));
	UNIT_CHECK(wait_fired(2));
	UNIT_CHECK(reads("data/to", "v"));
	UNIT_CHECK(!xs_directory(xs, XS_NO_TXN, "data", &names, &nr));
	UNIT_CHECK(nr == 1 && !strcmp(names[0], "to"));
	free(names);
	xs_unwatch(xs, watch);
	teardown();
}

struct answers {
	unsigned nr, nr_wrong;
};

static void answered(void *arg, int err, const char *data, size_t len)
{
	struct answers *a = arg;
	char expected[1500];

	memset(expected, 'a' + (int)(a->nr % 3), sizeof(expected));
	if (err || len != a->nr % 3 * 700 || memcmp(data, expected, len))
		a->nr_wrong++;
	a->nr++;
}

/*
 * Full rings in both directions all the time, two threads that sleep and wake
 * each other: one wake-up that is lost, and this stops.
 */
static void many_requests_at_once_are_answered_in_order(void)
{
	static const char *const paths[] = { "data/a", "data/b", "data/c" };
	struct xs_request rq = { .op = XS_OP_READ, .done = answered };
	struct answers answers = { 0 };
	uint64_t end_ns = clock_now_ns() + 60 * NS_PER_S;
	unsigned nr = 0;
	char value[1500];

	setup_introduced();
	for (int i = 0; i < 3; i++) {
		memset(value, 'a' + i, sizeof(value));
		UNIT_CHECK(!xs_write(xs, XS_NO_TXN, paths[i], value,
				     (size_t)i * 700));
	}
	rq.arg = &answers;
	while (answers.nr < NR_REQUESTS && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = xs_fd(xs), .events = POLLIN };

		for (; nr < NR_REQUESTS && nr - answers.nr < 200; nr++) {
			rq.path = paths[nr % 3];
			UNIT_REQUIRE(!xs_submit(xs, &rq));
		}
		UNIT_REQUIRE(!xs_dispatch(xs));
		if (!xs_pending(xs) && answers.nr < NR_REQUESTS)
			UNIT_REQUIRE(poll(&pfd, 1, 5000) == 1);
	}
	UNIT_CHECK(answers.nr == NR_REQUESTS && !answers.nr_wrong);
	teardown();
}

/* A transport whose one event says both "read" and "room": full at first, and
 * it takes the event when it is asked to receive. */
struct one_event {
	struct xs_link link;
	bool room, sent;
};

static ssize_t one_event_send(struct xs_link *link, const struct iovec *iov,
			      unsigned nr)
{
	struct one_event *one = container_of(link, struct one_event, link);
	ssize_t len = 0;

	if (!one->room)
		return -EAGAIN;
	for (unsigned i = 0; i < nr; i++)
		len += (ssize_t)iov[i].iov_len;
	one->sent = true;
	(void)!eventfd_write(link->fd, 1);
	return len;
}

static ssize_t one_event_recv(struct xs_link *link, void *buf, size_t size)
{
	const struct xsd_sockmsg hdr = { .type = XS_WRITE,
					 .req_id = 1,
					 .len = 3 };
	struct one_event *one = container_of(link, struct one_event, link);

	one->room = true;
	if (!one->sent || size < sizeof(hdr) + 3)
		return -EAGAIN;
	memcpy(buf, &hdr, sizeof(hdr));
	memcpy((char *)buf + sizeof(hdr), "OK", 3);
	return (ssize_t)sizeof(hdr) + 3;
}

static void one_event_close(struct xs_link *link)
{
	close(link->fd);
}

static int one_event_connect(void *arg, struct xs_link **ret)
{
	static const struct xs_link_ops ops = { .send = one_event_send,
						.recv = one_event_recv,
						.close = one_event_close };
	struct one_event *one = arg;

	*one = (struct one_event){
		.link = { .ops = &ops,
			  .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			  .room_events = POLLIN }
	};
	*ret = &one->link;
	return 0;
}

static void an_event_that_receiving_took_may_mean_room(void)
{
	uint64_t begin_ns = clock_now_ns();
	struct one_event one;
	struct xs *client;

	UNIT_REQUIRE(!xs_open_link(one_event_connect, &one, &client));
	xs_set_timeout(client, 5 * NS_PER_S);
	UNIT_CHECK(!xs_write(client, XS_NO_TXN, "x", "1", 1));
	/* Not only once the time-out has woken it. */
	UNIT_CHECK(clock_now_ns() - begin_ns < 3 * NS_PER_S);
	xs_close(client);
}

/* The store sleeps through the client's time-out, which connects again. */
static void a_store_that_was_away_is_met_again(void)
{
	struct xs_watch *watch;
	xs_txn_t tx;

	setup_introduced();
	nr_fired = 0;
	UNIT_CHECK(!xs_watch(xs, "data", fired, NULL, &watch));
	UNIT_CHECK(wait_fired(1));
	UNIT_CHECK(!xs_transaction_start(xs, &tx));
	store_pause();
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(xs_write(xs, XS_NO_TXN, "data/x", "1", 1) == -ETIMEDOUT);
	xs_set_timeout(xs, 10 * NS_PER_S);
	store_run();
	UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/x", "2", 1));
	UNIT_CHECK(reads("data/x", "2"));
	/* The watch came back and fired; the transaction did not. */
	UNIT_CHECK(wait_fired(2));
	UNIT_CHECK(xs_transaction_end(xs, tx, true) == -EAGAIN);
	teardown();
}

static void a_released_domain_is_heard_no_more(void)
{
	setup_introduced();
	UNIT_CHECK(reads("name", "guest"));
	UNIT_CHECK(!xs_release(root, guest_id));
	UNIT_CHECK(xs_is_domain_introduced(root, guest_id) == 0);
	UNIT_CHECK(xs_introduce(root, guest_id, xs_page_gref(page),
				xs_page_port(page)) == -ENOENT);
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(xs_write(xs, XS_NO_TXN, "data/x", "2", 1) < 0);
	teardown();
}

/* Its ring has input and output under way; domain 0's own answer comes. */
static void a_release_in_the_middle_of_its_work_harms_nobody(void)
{
	struct xs_request rq = { .op = XS_OP_READ, .path = "name" };

	setup_introduced();
	for (unsigned i = 0; i < 4000; i++) {
		UNIT_CHECK(!xs_submit(xs, &rq));
		if (i % 50 == 0)
			UNIT_CHECK(!xs_dispatch(xs));
	}
	UNIT_CHECK(!xs_release(root, guest_id));
	UNIT_CHECK(xs_release(root, guest_id) == -ENOENT);
	UNIT_CHECK(xs_is_domain_introduced(root, guest_id) == 0);
	teardown();
}

/* A guest's process dies; its domain lives, and its next process is met. */
static void a_dead_guest_makes_room_for_the_next(void)
{
	setup_introduced();
	for (int i = 0; i < 5; i++) {
		UNIT_CHECK(!xs_write(xs, XS_NO_TXN, "data/x", "1", 1));
		xs_close(xs);
		xs_page_close(page);
		UNIT_REQUIRE(!xs_page_open(guest, &page));
		UNIT_REQUIRE(!xs_open_page(page, &xs));
		UNIT_REQUIRE(!xs_introduce(root, guest_id, xs_page_gref(page),
					   xs_page_port(page)));
		UNIT_CHECK(reads("data/x", "1"));
	}
	teardown();
}

/* Nobody hears a guest that only rings the bell, and nobody is slowed down. */
static void a_storm_is_slept_through(void)
{
	struct evtchn *bell;
	struct share share;
	uint64_t end_ns;
	unsigned nr = 0;

	setup();
	UNIT_REQUIRE(!platform_share(guest, 0, 1, 0, &share));
	UNIT_REQUIRE(!platform_evtchn_alloc(guest, 0, &bell));
	UNIT_CHECK(!xs_introduce(root, guest_id, share.first_ref,
				 evtchn_port(bell)));
	end_ns = clock_now_ns() + 300 * NS_PER_MS;
	while (clock_now_ns() < end_ns) {
		evtchn_notify(bell);
		if (++nr % 64 == 0)
			UNIT_CHECK(xs_is_domain_introduced(root, guest_id) ==
				   1);
	}
	UNIT_CHECK(nr > 1000);
	evtchn_close(bell);
	platform_unshare(guest, &share);
	teardown();
}

UNIT_MAIN("xs_page", UNIT_TEST(a_guest_reads_and_writes),
	  UNIT_TEST(nothing_is_answered_before_the_introduction),
	  UNIT_TEST(only_what_there_is_can_be_introduced),
	  UNIT_TEST(the_same_introduction_twice_is_one),
	  UNIT_TEST(another_page_takes_the_first_ones_place),
	  UNIT_TEST(transactions_and_watches_work),
	  UNIT_TEST(many_requests_at_once_are_answered_in_order),
	  UNIT_TEST(an_event_that_receiving_took_may_mean_room),
	  UNIT_TEST(a_store_that_was_away_is_met_again),
	  UNIT_TEST(a_released_domain_is_heard_no_more),
	  UNIT_TEST(a_release_in_the_middle_of_its_work_harms_nobody),
	  UNIT_TEST(a_dead_guest_makes_room_for_the_next),
	  UNIT_TEST(a_storm_is_slept_through))
