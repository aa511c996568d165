/* SPDX-License-Identifier: MIT */
/*
 * store_ring_lies.c - a guest that lies to the store over its shared page.
 *
 * The store and its side of the ring are the real ones; the liar is the test,
 * which writes the page as it likes. Beside it an honest guest has a ring of
 * its own: after every lie it must be served as before, and the store must
 * count right. What a liar is told, and what it loses, is part of each case.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "platform/sim.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "xenstore-lite/ringconn.h"

#define LIAR   7u
#define HONEST 8u
#define SIZE   XENSTORE_RING_SIZE

struct side {
	struct ringconn rc;
	struct xsd_conn *conn; /* a socket's, without rc: domain 0 */
	bool open, unsent, more;
	struct platform *platform;
	struct share share;
	struct evtchn *channel;
	struct xenstore_domain_interface *page;
	uint32_t req_prod, rsp_cons; /* the guest's own */
};

struct rig {
	struct sim *sim;
	struct platform *dom0;
	struct xsd *xsd;
	uint64_t now_ns;
	struct side liar, honest, root;
	unsigned nr_looks; /* at the liar's channel */
};

static struct rig rig;

/* ---- the store's side -------------------------------------------------------
 */

/* What the liar does when domain 0 is told of something: from inside of the
 * store's work for the liar itself. */
static void (*meanwhile)(void);

static void has_output(void *arg)
{
	((struct side *)arg)->unsent = true;
	if (arg == &rig.root && meanwhile)
		meanwhile();
}

static void dropped(void *arg)
{
	struct side *s = arg;

	if (s->open)
		ringconn_close(&s->rc, false);
	else
		xsd_conn_close(s->conn);
	s->open = s->unsent = s->more = false;
	s->conn = NULL;
}

static void serve(struct side *s)
{
	if (s->open && rig.now_ns >= ringconn_resume_ns(&s->rc)) {
		if (s == &rig.liar)
			rig.nr_looks++;
		if (ringconn_event(&s->rc) < 0) {
			dropped(s);
			return;
		}
	}
	if (s->open && (s->rc.got_event || s->more)) {
		ringconn_input(&s->rc);
		s->unsent = true;
	}
	if (s->open && s->unsent) {
		s->unsent = false;
		s->more = ringconn_output(&s->rc, rig.now_ns);
	}
}

static void rounds(unsigned nr)
{
	while (nr--) {
		rig.now_ns += 10 * NS_PER_US;
		serve(&rig.liar);
		serve(&rig.honest);
	}
}

static void introduce(struct side *s, domid_t domid)
{
	UNIT_REQUIRE(!sim_platform(rig.sim, domid, &s->platform));
	UNIT_REQUIRE(!platform_share(s->platform, 0, 1, 0, &s->share));
	UNIT_REQUIRE(!platform_evtchn_alloc(s->platform, 0, &s->channel));
	s->page = s->share.base;
	UNIT_REQUIRE(!xsd_domain_create(rig.xsd, domid, domid, "guest"));
	UNIT_REQUIRE(!xsd_conn_open(rig.xsd, domid, s, &s->conn));
	UNIT_REQUIRE(!ringconn_open(&s->rc, rig.dom0, domid, s->share.first_ref,
				    evtchn_port(s->channel), s->conn));
	s->open = s->unsent = true;
	ringconn_start(&s->rc);
}

static void leave(struct side *s)
{
	evtchn_close(s->channel);
	platform_unshare(s->platform, &s->share);
	platform_close(s->platform);
}

static void rig_open(void)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = dropped };

	memset(&rig, 0, sizeof(rig));
	UNIT_REQUIRE(!sim_open(1, &rig.sim));
	UNIT_REQUIRE(!sim_platform(rig.sim, 0, &rig.dom0));
	UNIT_REQUIRE(!xsd_open(1, &ops, &rig.xsd));
	introduce(&rig.liar, LIAR);
	introduce(&rig.honest, HONEST);
	UNIT_REQUIRE(!xsd_conn_open(rig.xsd, 0, &rig.root, &rig.root.conn));
	rounds(1);
}

static void rig_close(void)
{
	UNIT_CHECK(xsd_check(rig.xsd) == 0);
	xsd_close(rig.xsd);
	leave(&rig.liar);
	leave(&rig.honest);
	platform_close(rig.dom0);
	UNIT_CHECK(sim_nr_mapped_pages(rig.sim) == 0);
	UNIT_CHECK(sim_nr_shares(rig.sim) == 0);
	UNIT_CHECK(sim_nr_channels(rig.sim) == 0);
	sim_close(rig.sim);
}

/* ---- a guest's side
 * ----------------------------------------------------------- */

static void put(struct side *s, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		memcpy(&s->page->req[s->req_prod++ % SIZE],
		       (const char *)data + i, 1);
	s->page->req_prod = s->req_prod;
}

/* As much as there is room for at a time. */
static void send_all(struct side *s, const void *data, size_t len)
{
	while (len) {
		size_t room = SIZE - (s->req_prod - s->page->req_cons);
		size_t n = len < room ? len : room;

		put(s, data, n);
		evtchn_notify(s->channel);
		rounds(1);
		if (n == 0)
			return;
		data = (const char *)data + n;
		len -= n;
	}
}

static void send_message(struct side *s, uint32_t type, uint32_t len_field,
			 const void *payload, size_t len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = 77,
				   .len = len_field };

	send_all(s, &hdr, sizeof(hdr));
	send_all(s, payload, len);
}

static bool take(struct side *s, void *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s->rsp_cons == s->page->rsp_prod) {
			evtchn_notify(s->channel);
			rounds(2);
		}
		if (s->rsp_cons == s->page->rsp_prod)
			return false;
		((char *)data)[i] = s->page->rsp[s->rsp_cons++ % SIZE];
		s->page->rsp_cons = s->rsp_cons;
	}
	return true;
}

/* The type of the next message; its payload, with a NUL. -1: none. */
static int receive(struct side *s, char payload[XENSTORE_PAYLOAD_MAX + 1])
{
	struct xsd_sockmsg hdr;

	if (!take(s, &hdr, sizeof(hdr)) || hdr.len > XENSTORE_PAYLOAD_MAX ||
	    !take(s, payload, hdr.len))
		return -1;
	payload[hdr.len] = '\0';
	return (int)hdr.type;
}

/* The answer is this error. */
static bool gets_error(struct side *s, const char *name)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];

	return receive(s, payload) == XS_ERROR && !strcmp(payload, name);
}

static bool is_served(struct side *s)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];

	send_message(s, XS_READ, 5, "name", 5);
	return receive(s, payload) == XS_READ && !strcmp(payload, "guest");
}

static bool reconnects(struct side *s)
{
	s->page->connection = XENSTORE_RECONNECT;
	evtchn_notify(s->channel);
	/* Past every throttle. */
	rig.now_ns += 2 * NS_PER_S;
	rounds(2);
	s->req_prod = s->page->req_prod;
	s->rsp_cons = s->page->rsp_cons;
	return s->page->connection == XENSTORE_CONNECTED &&
	       s->page->error == XENSTORE_ERROR_NONE && s->req_prod == 0 &&
	       s->rsp_cons == 0 && is_served(s);
}

/* The liar is given up for this reason, alone, and until it reconnects. */
static void check_given_up(uint32_t error)
{
	struct side *liar = &rig.liar;

	rounds(3);
	UNIT_CHECK(liar->page->error == error);
	UNIT_CHECK(evtchn_clear(liar->channel) == 1);
	UNIT_CHECK(liar->page->connection == XENSTORE_CONNECTED);
	UNIT_CHECK(!is_served(liar));
	UNIT_CHECK(is_served(&rig.honest));
	UNIT_CHECK(xsd_check(rig.xsd) == 0);
	UNIT_CHECK(reconnects(liar));
	UNIT_CHECK(is_served(&rig.honest));
}

static void check_all_served(void)
{
	UNIT_CHECK(rig.liar.page->error == XENSTORE_ERROR_NONE);
	UNIT_CHECK(is_served(&rig.liar));
	UNIT_CHECK(is_served(&rig.honest));
}

/* ---- messages
 * ------------------------------------------------------------------ */

static void a_message_of_length_zero_is_answered(void)
{
	rig_open();
	send_message(&rig.liar, XS_READ, 0, NULL, 0);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	send_message(&rig.liar, XS_WRITE, 0, NULL, 0);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	check_all_served();
	rig_close();
}

static void a_message_of_length_one_is_answered(void)
{
	rig_open();
	send_message(&rig.liar, XS_READ, 1, "x", 1);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	check_all_served();
	rig_close();
}

static void a_payload_of_4096_is_the_longest(void)
{
	char payload[XENSTORE_PAYLOAD_MAX];

	rig_open();
	memset(payload, 'v', sizeof(payload));
	memcpy(payload, "data/x", sizeof("data/x"));
	send_message(&rig.liar, XS_WRITE, sizeof(payload), payload,
		     sizeof(payload));
	UNIT_CHECK(gets_error(&rig.liar, "ENOSPC")); /* a node's quota */
	check_all_served();
	rig_close();
}

static void too_long(uint32_t len)
{
	char payload[SIZE] = { 0 };

	rig_open();
	send_message(&rig.liar, XS_WRITE, len, payload, sizeof(payload));
	check_given_up(XENSTORE_ERROR_PROTO);
	rig_close();
}

static void a_payload_of_4097_is_a_fault(void)
{
	too_long(XENSTORE_PAYLOAD_MAX + 1);
}

static void a_payload_of_two_to_the_31_is_a_fault(void)
{
	too_long(1u << 31);
}

static void a_payload_of_two_to_the_32_less_one_is_a_fault(void)
{
	too_long(UINT32_MAX);
}

static void bytes_that_dribble_are_a_message_in_the_end(void)
{
	const struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };
	char message[sizeof(hdr) + 5], payload[XENSTORE_PAYLOAD_MAX + 1];

	rig_open();
	memcpy(message, &hdr, sizeof(hdr));
	memcpy(message + sizeof(hdr), "name", 5);
	for (size_t i = 0; i < sizeof(message); i++) {
		send_all(&rig.liar, message + i, 1);
		UNIT_CHECK(is_served(&rig.honest));
	}
	UNIT_CHECK(receive(&rig.liar, payload) == XS_READ);
	UNIT_CHECK(!strcmp(payload, "guest"));
	check_all_served();
	rig_close();
}

static void a_header_may_be_split_anywhere(void)
{
	const struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };
	char payload[XENSTORE_PAYLOAD_MAX + 1];

	rig_open();
	for (size_t at = 1; at < sizeof(hdr); at++) {
		/* Also over the end of the queue. */
		send_all(&rig.liar, &hdr, at);
		rounds(2);
		send_all(&rig.liar, (const char *)&hdr + at, sizeof(hdr) - at);
		send_all(&rig.liar, "name", 5);
		UNIT_CHECK(receive(&rig.liar, payload) == XS_READ);
	}
	check_all_served();
	rig_close();
}

static void a_full_queue_is_not_taken_as_empty(void)
{
	const struct xsd_sockmsg hdr = { .type = XS_READ, .len = SIZE };
	char payload[SIZE];

	rig_open();
	memset(payload, 'p', sizeof(payload));
	put(&rig.liar, &hdr, sizeof(hdr));
	put(&rig.liar, payload, SIZE - sizeof(hdr));
	UNIT_CHECK(rig.liar.page->req_prod - rig.liar.page->req_cons == SIZE);
	evtchn_notify(rig.liar.channel);
	rounds(1);
	UNIT_CHECK(rig.liar.page->req_cons == SIZE);
	send_all(&rig.liar, payload, sizeof(hdr));
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	check_all_served();
	rig_close();
}

static void an_unknown_type_is_enosys(void)
{
	static const uint32_t types[] = { 20, XS_TYPE_COUNT, XS_INVALID,
					  1u << 31, UINT32_MAX };

	rig_open();
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		send_message(&rig.liar, types[i], 2, "x", 2);
		UNIT_CHECK(gets_error(&rig.liar, "ENOSYS"));
	}
	check_all_served();
	rig_close();
}

static void a_missing_nul_is_einval(void)
{
	rig_open();
	send_message(&rig.liar, XS_READ, 4, "name", 4);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	send_message(&rig.liar, XS_WRITE, 4, "name", 4);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	send_message(&rig.liar, XS_WATCH, 6, "name\0t", 6);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	check_all_served();
	rig_close();
}

/* ---- the page
 * ------------------------------------------------------------------- */

static void indices_that_cannot_be_are_a_fault(void)
{
	static const uint32_t lies[] = { SIZE + 1,  2 * SIZE,	1u << 30,
					 1u << 31,  0x80000001, UINT32_MAX,
					 0xfffffc00 };

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		rig_open();
		rig.liar.page->req_prod += lies[i];
		evtchn_notify(rig.liar.channel);
		check_given_up(XENSTORE_ERROR_RINGIDX);
		rig_close();

		rig_open();
		UNIT_CHECK(is_served(&rig.liar));
		/* Beside what the store has seen of it. */
		rig.liar.page->rsp_cons = rig.liar.rc.ring.out_cons + lies[i];
		put(&rig.liar,
		    &(struct xsd_sockmsg){ .type = XS_READ, .len = 0 },
		    sizeof(struct xsd_sockmsg));
		evtchn_notify(rig.liar.channel);
		check_given_up(XENSTORE_ERROR_RINGIDX);
		rig_close();
	}
}

static void the_stores_own_indices_are_not_believed(void)
{
	rig_open();
	UNIT_CHECK(is_served(&rig.liar));
	rig.liar.page->req_cons = 0xdeadbeef;
	rig.liar.page->server_features = UINT32_MAX;
	rig.liar.page->error = 42;
	put(&rig.liar, &(struct xsd_sockmsg){ .type = XS_READ, .len = 0 },
	    sizeof(struct xsd_sockmsg));
	evtchn_notify(rig.liar.channel);
	rounds(2);
	UNIT_CHECK(rig.liar.page->req_cons == rig.liar.req_prod);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	rig.liar.page->error = 0;
	check_all_served();
	rig_close();
}

static void what_it_writes_over_its_answers_harms_itself(void)
{
	rig_open();
	send_message(&rig.liar, XS_READ, 5, "name", 5);
	memset(rig.liar.page->rsp, 0xff, SIZE);
	rig.liar.rsp_cons = rig.liar.page->rsp_prod;
	rig.liar.page->rsp_cons = rig.liar.rsp_cons;
	check_all_served();
	rig_close();
}

static void a_connection_word_of_nonsense_says_nothing(void)
{
	rig_open();
	for (uint32_t word = 2; word; word <<= 1) {
		rig.liar.page->connection = word;
		UNIT_CHECK(is_served(&rig.liar));
		UNIT_CHECK(rig.liar.page->connection == word);
	}
	rig_close();
}

/* Events that domain 0 has got since the last call. */
static unsigned nr_events(void)
{
	const void *data;
	size_t len = xsd_conn_output(rig.root.conn, &data), at = 0;
	unsigned nr = 0;

	while (at < len) {
		struct xsd_sockmsg hdr;

		memcpy(&hdr, (const char *)data + at, sizeof(hdr));
		nr += hdr.type == XS_WATCH_EVENT;
		at += sizeof(hdr) + hdr.len;
	}
	UNIT_CHECK(xsd_conn_sent(rig.root.conn, len) == 0);
	return nr;
}

static void ask_root(uint32_t type, const void *payload, uint32_t len)
{
	char buf[128];
	struct xsd_sockmsg hdr = { .type = type, .len = len };

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	UNIT_CHECK(xsd_conn_feed(rig.root.conn, buf, sizeof(hdr) + len) == 0);
}

/* ---- what it holds
 * ---------------------------------------------------------------- */

static void reconnecting_forgets_watches_and_transactions(void)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];

	rig_open();
	/* Ten transactions are the quota, each time. */
	for (unsigned n = 0; n < 25; n++) {
		send_message(&rig.liar, XS_TRANSACTION_START, 1, "", 1);
		UNIT_CHECK(receive(&rig.liar, payload) == XS_TRANSACTION_START);
		send_message(&rig.liar, XS_WATCH, 7, "data\0t", 7);
		UNIT_CHECK(receive(&rig.liar, payload) == XS_WATCH);
		/* Its event and half a message are left behind. */
		send_all(&rig.liar, payload, 9);
		UNIT_CHECK(reconnects(&rig.liar));
	}
	send_message(&rig.liar, XS_WRITE, 7, "data/x", 7);
	UNIT_CHECK(receive(&rig.liar, payload) == XS_WRITE);
	rounds(2);
	/* No event: there is no watch. */
	UNIT_CHECK(rig.liar.page->rsp_prod == rig.liar.rsp_cons);
	check_all_served();
	rig_close();
}

static void a_fault_forgets_them_too(void)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];

	rig_open();
	for (unsigned n = 0; n < 25; n++) {
		send_message(&rig.liar, XS_TRANSACTION_START, 1, "", 1);
		UNIT_CHECK(receive(&rig.liar, payload) == XS_TRANSACTION_START);
		send_message(&rig.liar, XS_READ, UINT32_MAX, NULL, 0);
		check_given_up(XENSTORE_ERROR_PROTO);
	}
	rig_close();
}

/* It asks and asks and takes no answer: no more is taken from it, others do
 * not wait, and when it reads at last everything is there. */
static void one_that_never_reads_delays_nobody(void)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	const struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };
	unsigned nr = 0, got = 0;

	rig_open();
	memset(payload, 'v', sizeof(payload));
	memcpy(payload, "data/x", sizeof("data/x"));
	send_message(&rig.liar, XS_WRITE, 2000, payload, 2000);
	UNIT_CHECK(receive(&rig.liar, payload) == XS_WRITE);
	while (SIZE - (rig.liar.req_prod - rig.liar.page->req_cons) >=
		       sizeof(hdr) + 7 &&
	       nr < 100000) {
		put(&rig.liar,
		    &(struct xsd_sockmsg){ .type = XS_READ, .len = 7 },
		    sizeof(hdr));
		put(&rig.liar, "data/x", 7);
		evtchn_notify(rig.liar.channel);
		rounds(1);
		nr++;
	}
	UNIT_CHECK(nr > 8 && nr < 200);
	for (unsigned i = 0; i < 100; i++)
		UNIT_CHECK(is_served(&rig.honest));
	while (receive(&rig.liar, payload) == XS_READ)
		got++;
	UNIT_CHECK(got == nr);
	check_all_served();
	rig_close();
}

static void reads_500_silently(void)
{
	rig.liar.page->rsp_cons += 500;
	meanwhile = NULL;
}

/*
 * The queue is not full when the guest reads, so it need not tell; the store
 * has looked before, and filled it to what it saw: it must look again.
 */
static void room_that_came_meanwhile_is_seen(void)
{
	static const char watch[] = "/local/domain/7/data/y\0t";
	const struct xsd_sockmsg read_x = { .type = XS_READ, .len = 7 };
	const struct xsd_sockmsg write_y = { .type = XS_WRITE, .len = 8 };
	char payload[XENSTORE_PAYLOAD_MAX + 1];

	rig_open();
	ask_root(XS_WATCH, watch, sizeof(watch));
	UNIT_CHECK(nr_events() == 1);
	memset(payload, 'v', 2000);
	memcpy(payload, "data/x", sizeof("data/x"));
	send_message(&rig.liar, XS_WRITE, 2000, payload, 2000);
	UNIT_CHECK(receive(&rig.liar, payload) == XS_WRITE);
	/* Answers above the store's bound, and a write that waits behind. */
	for (int i = 0; i < 9; i++) {
		put(&rig.liar, &read_x, sizeof(read_x));
		put(&rig.liar, "data/x", 7);
	}
	put(&rig.liar, &write_y, sizeof(write_y));
	put(&rig.liar, "data/y\0v", 8);
	evtchn_notify(rig.liar.channel);
	rounds(1);
	UNIT_CHECK(!xsd_conn_wants_input(rig.liar.rc.conn));
	meanwhile = reads_500_silently;
	for (int i = 0; i < 4 && meanwhile; i++) {
		rig.liar.page->rsp_cons += 524;
		evtchn_notify(rig.liar.channel);
		rounds(1);
	}
	UNIT_CHECK(!meanwhile);
	UNIT_CHECK(rig.liar.more);
	rig_close();
}

/* ---- events
 * ------------------------------------------------------------------------- */

static void an_event_storm_costs_bounded_work(void)
{
	rig_open();
	rig.nr_looks = 0;
	for (unsigned i = 0; i < 3 * 100000; i++) { /* three seconds */
		evtchn_notify(rig.liar.channel);
		rounds(1);
	}
	UNIT_CHECK(rig.nr_looks > 5 && rig.nr_looks < 30);
	/* Others' events are taken at once all the time. */
	UNIT_CHECK(is_served(&rig.honest));
	/* One that has something to say is heard within a second, and then at
	 * once again. */
	put(&rig.liar, &(struct xsd_sockmsg){ .type = XS_READ, .len = 0 },
	    sizeof(struct xsd_sockmsg));
	for (unsigned i = 0; i < 110000; i++)
		rounds(1);
	UNIT_CHECK(gets_error(&rig.liar, "EINVAL"));
	check_all_served();
	rig_close();
}

/* Events that come with work are no storm, however many. */
static void honest_events_are_never_delayed(void)
{
	rig_open();
	for (unsigned i = 0; i < 2000; i++)
		UNIT_CHECK(is_served(&rig.liar));
	UNIT_CHECK(ringconn_resume_ns(&rig.liar.rc) == 0);
	rig_close();
}

static void one_that_cannot_stop_reconnecting_is_served_no_worse(void)
{
	rig_open();
	for (unsigned i = 0; i < 10000; i++) {
		rig.liar.page->connection = XENSTORE_RECONNECT;
		evtchn_notify(rig.liar.channel);
		rounds(1);
		if (i % 100 == 0)
			UNIT_CHECK(is_served(&rig.honest));
	}
	UNIT_CHECK(reconnects(&rig.liar));
	check_all_served();
	rig_close();
}

/* ---- its end
 * ------------------------------------------------------------------------ */

static void watch_releases(void)
{
	ask_root(XS_WATCH, "@releaseDomain\0t", 17);
	UNIT_CHECK(nr_events() == 1);
}

static void a_bad_message_then_its_end_is_one_release(void)
{
	rig_open();
	watch_releases();
	send_message(&rig.liar, XS_READ, UINT32_MAX, NULL, 0);
	rounds(3);
	UNIT_CHECK(rig.liar.page->error == XENSTORE_ERROR_PROTO);
	UNIT_CHECK(nr_events() == 0);
	UNIT_CHECK(xsd_domain_destroy(rig.xsd, LIAR) == 0);
	UNIT_CHECK(!rig.liar.open);
	UNIT_CHECK(nr_events() == 1);
	rounds(3);
	UNIT_CHECK(evtchn_clear(rig.liar.channel) >= 0);
	UNIT_CHECK(evtchn_clear(rig.liar.channel) == -EPIPE);
	UNIT_CHECK(xsd_domain_destroy(rig.xsd, LIAR) == -ENOENT);
	UNIT_CHECK(nr_events() == 0);
	UNIT_CHECK(is_served(&rig.honest));
	rig_close();
}

static void a_release_with_its_output_pending_is_one_release(void)
{
	rig_open();
	watch_releases();
	put(&rig.liar, &(struct xsd_sockmsg){ .type = XS_READ, .len = 0 },
	    sizeof(struct xsd_sockmsg));
	evtchn_notify(rig.liar.channel);
	UNIT_CHECK(ringconn_event(&rig.liar.rc) == 0);
	ringconn_input(&rig.liar.rc);
	rig.liar.unsent = true;
	ask_root(XS_RELEASE, "7", 2);
	UNIT_CHECK(!rig.liar.open && !rig.liar.unsent);
	UNIT_CHECK(nr_events() == 1);
	rounds(3);
	UNIT_CHECK(nr_events() == 0);
	UNIT_CHECK(is_served(&rig.honest));
	rig_close();
}

static void a_channel_that_dies_is_no_release(void)
{
	rig_open();
	watch_releases();
	evtchn_close(rig.liar.channel);
	rounds(3);
	UNIT_CHECK(!rig.liar.open);
	UNIT_CHECK(nr_events() == 0);
	UNIT_CHECK(xsd_domain_exists(rig.xsd, LIAR));
	UNIT_CHECK(is_served(&rig.honest));
	UNIT_CHECK(xsd_domain_destroy(rig.xsd, LIAR) == 0);
	UNIT_CHECK(nr_events() == 1);
	UNIT_REQUIRE(!platform_evtchn_alloc(rig.liar.platform, 0,
					    &rig.liar.channel));
	rig_close();
}

UNIT_MAIN("store_ring_lies", UNIT_TEST(a_message_of_length_zero_is_answered),
	  UNIT_TEST(a_message_of_length_one_is_answered),
	  UNIT_TEST(a_payload_of_4096_is_the_longest),
	  UNIT_TEST(a_payload_of_4097_is_a_fault),
	  UNIT_TEST(a_payload_of_two_to_the_31_is_a_fault),
	  UNIT_TEST(a_payload_of_two_to_the_32_less_one_is_a_fault),
	  UNIT_TEST(bytes_that_dribble_are_a_message_in_the_end),
	  UNIT_TEST(a_header_may_be_split_anywhere),
	  UNIT_TEST(a_full_queue_is_not_taken_as_empty),
	  UNIT_TEST(an_unknown_type_is_enosys),
	  UNIT_TEST(a_missing_nul_is_einval),
	  UNIT_TEST(indices_that_cannot_be_are_a_fault),
	  UNIT_TEST(the_stores_own_indices_are_not_believed),
	  UNIT_TEST(what_it_writes_over_its_answers_harms_itself),
	  UNIT_TEST(a_connection_word_of_nonsense_says_nothing),
	  UNIT_TEST(reconnecting_forgets_watches_and_transactions),
	  UNIT_TEST(a_fault_forgets_them_too),
	  UNIT_TEST(one_that_never_reads_delays_nobody),
	  UNIT_TEST(room_that_came_meanwhile_is_seen),
	  UNIT_TEST(an_event_storm_costs_bounded_work),
	  UNIT_TEST(honest_events_are_never_delayed),
	  UNIT_TEST(one_that_cannot_stop_reconnecting_is_served_no_worse),
	  UNIT_TEST(a_bad_message_then_its_end_is_one_release),
	  UNIT_TEST(a_release_with_its_output_pending_is_one_release),
	  UNIT_TEST(a_channel_that_dies_is_no_release))
