/* SPDX-License-Identifier: MIT */
/*
 * xs_rings.c - the daemon's rings over a live update: saved, given up without
 * a word, made again in a successor, while the guest notices nothing.
 *
 * A broker in a thread of its own; the store's loop and the guest take turns in
 * the test's.
 */
#include "xenstore-lite/rings.h"

#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"
#include "xenstore-lite/private.h"
#include "xenstore-lite/xs_page.h"

struct daemon {
	struct loop *loop;
	struct list queue;
	struct rings *rings;
};

static struct world world;
static struct xsd *xsd;
static struct daemon now;
static domid_t guest_id;
static struct platform *guest;
static struct xs_page *page;
static struct xs *xs;
static unsigned nr_answers, nr_failed, nr_fired;

static void has_output(void *arg)
{
	outlet_wake(arg);
}

static void dropped(void *arg)
{
	struct outlet *outlet = arg;

	outlet->ops->drop(outlet);
}

/* As the daemon's loop: events, what is ready, output. */
static void store_round(void)
{
	UNIT_CHECK(!loop_once(now.loop, clock_now_ns() + NS_PER_MS));
	while (!list_empty(&now.queue)) {
		struct outlet *outlet =
			container_of(now.queue.next, struct outlet, unsent);

		list_del(&outlet->unsent);
		(void)outlet->ops->flush(outlet);
	}
}

static void store_open(int broker_fd)
{
	world_must(!loop_open(&now.loop), "loop_open");
	list_init(&now.queue);
	world_must(!rings_open(now.loop, xsd, &now.queue, &now.rings) &&
			   !rings_set_broker(now.rings, broker_fd),
		   "rings_open");
}

/* What SIGKILL or exec leave: nothing is said to anybody. */
static void store_close(void)
{
	rings_close(now.rings);
	loop_close(now.loop);
}

static void setup(void)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = dropped };
	char path[96];

	world_open(&world);
	world_must(!lite_domain_create(world.dom0, "guest", geteuid(), 0,
				       &guest_id) &&
			   !platform_lite_open(world.dir, guest_id, &guest),
		   "guest");
	world_must(!xsd_open(1, &ops, &xsd) &&
			   !xsd_domain_create(xsd, guest_id, 2, "guest"),
		   "xsd");
	snprintf(path, sizeof(path), "%s/0/broker", world.dir);
	store_open(unix_connect(path, SOCK_SEQPACKET));
	world_must(!xs_page_open(guest, &page) && !xs_open_page(page, &xs),
		   "xs_page");
	world_must(!rings_introduce(now.rings, guest_id, xs_page_gref(page),
				    xs_page_port(page)),
		   "rings_introduce");
	nr_answers = nr_failed = nr_fired = 0;
}

static void teardown(void)
{
	xs_close(xs);
	xs_page_close(page);
	store_close();
	xsd_close(xsd);
	platform_close(guest);
	UNIT_CHECK(lite_domain_destroy(world.dom0, guest_id) == 0);
	UNIT_CHECK(world_close(&world));
}

static void answered(void *arg, int err, const char *data, size_t len)
{
	(void)arg;
	nr_answers++;
	if (err || len != 5 || memcmp(data, "guest", 5))
		nr_failed++;
}

static void ask(unsigned nr)
{
	const struct xs_request rq = { .op = XS_OP_READ,
				       .path = "name",
				       .done = answered };

	while (nr--)
		UNIT_CHECK(!xs_submit(xs, &rq));
	xs_flush(xs);
}

static bool answers_come(unsigned nr)
{
	for (int i = 0; i < 2000 && nr_answers < nr; i++) {
		store_round();
		UNIT_CHECK(!xs_dispatch(xs));
	}
	return nr_answers == nr;
}

static void fired(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	nr_fired++;
}

/* Asking for a watch waits for an answer: another thread must serve. */
static void *serve_until_fired(void *arg)
{
	for (int i = 0; i < 2000 && !atomic_load((atomic_bool *)arg); i++)
		store_round();
	return NULL;
}

static void watch(void)
{
	struct xs_watch *w;
	atomic_bool done = false;
	pthread_t thread;

	UNIT_REQUIRE(!pthread_create(&thread, NULL, serve_until_fired, &done));
	UNIT_CHECK(!xs_watch(xs, "data", fired, NULL, &w));
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	for (int i = 0; i < 2000 && !nr_fired; i++) {
		store_round();
		UNIT_CHECK(!xs_dispatch(xs));
	}
	UNIT_CHECK(nr_fired == 1);
}

/* The ring's outlet, as the connection knows it. */
static struct outlet *only_outlet(void)
{
	struct xsd_domain *domain =
		xsd_domain_find(&xsd->store.domains, guest_id);

	return list_empty(&domain->conns)
		       ? NULL
		       : container_of(domain->conns.next, struct xsd_conn,
				      of_domain)
				 ->arg;
}

/* The successor's connection is a new one here; image.h carries the old. */
static int succeed(struct encoder *e, struct xsd_conn **conn)
{
	struct decoder d;
	int fd = dup(rings_broker_fd(now.rings)), err;

	rings_save(only_outlet(), e);
	store_close();
	store_open(fd);
	UNIT_CHECK(!xsd_conn_open(xsd, guest_id, NULL, conn));
	decoder_init(&d, e->data, e->len);
	err = rings_restore(now.rings, *conn, &d, &(*conn)->arg);
	if (!err)
		UNIT_CHECK(!decoder_end(&d));
	return err;
}

static void a_successor_is_not_noticed(void)
{
	struct encoder e = { 0 };
	struct xsd_conn *conn;

	setup();
	watch();
	ask(10);
	UNIT_CHECK(answers_come(10));
	/* In the page, and not looked at yet. */
	ask(5);
	UNIT_CHECK(rings_is_ring(only_outlet()));
	UNIT_CHECK(!succeed(&e, &conn));
	UNIT_CHECK(answers_come(15));
	ask(100);
	UNIT_CHECK(answers_come(115));
	UNIT_CHECK(!nr_failed);
	/* A connection made anew would have asked for the watch again. */
	UNIT_CHECK(nr_fired == 1);
	encoder_fini(&e);
	teardown();
}

static void a_guest_that_is_gone_meanwhile_is_dropped(void)
{
	struct encoder e = { 0 };
	struct xsd_conn *conn;

	setup();
	ask(1);
	UNIT_CHECK(answers_come(1));
	xs_close(xs);
	xs_page_close(page);
	UNIT_CHECK(!succeed(&e, &conn));
	UNIT_CHECK(only_outlet() != NULL);
	store_round();
	UNIT_CHECK(only_outlet() == NULL);
	encoder_fini(&e);
	/* Its next process is met as any. */
	UNIT_REQUIRE(!xs_page_open(guest, &page) && !xs_open_page(page, &xs));
	UNIT_CHECK(!rings_introduce(now.rings, guest_id, xs_page_gref(page),
				    xs_page_port(page)));
	ask(1);
	UNIT_CHECK(answers_come(2));
	teardown();
}

static void what_cannot_be_is_refused(void)
{
	struct encoder e = { 0 };
	struct xsd_conn *conn;
	struct decoder d;
	void *arg;

	setup();
	ask(1);
	UNIT_CHECK(answers_come(1));
	rings_save(only_outlet(), &e);
	UNIT_REQUIRE(!e.failed);
	UNIT_CHECK(!xsd_conn_open(xsd, guest_id, NULL, &conn));
	/* There is one of it already. */
	decoder_init(&d, e.data, e.len);
	UNIT_CHECK(rings_restore(now.rings, conn, &d, &arg) == -EBADMSG);
	for (size_t len = 0; len < e.len; len++) {
		decoder_init(&d, e.data, len);
		UNIT_CHECK(rings_restore(now.rings, conn, &d, &arg) ==
			   -EBADMSG);
	}
	e.data[e.len - 1] = 1; /* an error word that there is not */
	decoder_init(&d, e.data, e.len);
	UNIT_CHECK(rings_restore(now.rings, conn, &d, &arg) == -EBADMSG);
	xsd_conn_close(conn);
	encoder_fini(&e);
	ask(1);
	UNIT_CHECK(answers_come(2));
	teardown();
}

UNIT_MAIN("xs_rings", UNIT_TEST(a_successor_is_not_noticed),
	  UNIT_TEST(a_guest_that_is_gone_meanwhile_is_dropped),
	  UNIT_TEST(what_cannot_be_is_refused))
