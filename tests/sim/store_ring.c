/* SPDX-License-Identifier: MIT */
/*
 * store_ring.c - guests that speak to the store over shared pages, in the
 * simulated world, under seeds.
 *
 * The store is the real one (conn.h) behind the real ring connections
 * (ringconn.h); a guest is the real guest's half (xsring.h) and a script that
 * checks every answer: writes and reads, pipelined and larger than the ring,
 * transactions, a watch. Notifications come late and out of order, are doubled,
 * in some worlds lost; guests reconnect, die at any step and come again; the
 * store is killed and restarted, or updated while it runs; a hostile guest
 * scribbles over its page. Every honest guest must get all its answers, in
 * order, and all its events.
 *
 * A failure prints the seed; "store_ring SEED" replays it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "platform/sim.h"
#include "tests/unit/soak.h"
#include "util/clock.h"
#include "xenstore-lite/image.h"
#include "xenstore-lite/ringconn.h"

#define NR_GUESTS   4u
#define NR_KEYS	    3u
#define NR_OPS	    60u /* of each guest's script, per life */
#define WINDOW	    16u /* requests in flight */
#define STEPS_MAX   400000u
#define STEP_NS	    (20 * NS_PER_US)
#define VALUE_MAX   2048u /* the quota of a guest's node */
#define MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

static uint64_t seed_now;

#define must(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			printf("seed %llu: %s:%d: %s\n",                       \
			       (unsigned long long)seed_now, __FILE__,         \
			       __LINE__, #cond);                               \
			exit(1);                                               \
		}                                                              \
	} while (0)

enum op {
	OP_WATCH,
	OP_WRITE,
	OP_READ,
	OP_TXN_START,
	OP_TXN_WRITE,
	OP_TXN_END
};

struct expected {
	enum op op;
	uint32_t req_id;
	unsigned key;
	uint64_t version; /* of the value that is written, or must be read */
};

struct guest {
	domid_t domid;
	uint64_t life;
	struct platform *platform;
	struct share page;
	struct evtchn *channel;
	struct xsring ring;
	bool alive, hostile, connected;
	bool kick; /* has something to do without an event */
	uint32_t last_req_id, tx_id;
	unsigned nr_done; /* of the script */
	struct expected in_flight[WINDOW];
	unsigned nr_in_flight;
	uint64_t version[NR_KEYS]; /* 0: not written in this connection */
	bool owes_event[NR_KEYS];
	char tx[WINDOW * MESSAGE_MAX], rx[MESSAGE_MAX];
	size_t tx_len, tx_at, rx_len;
};

/* The store's side of one guest. */
struct client {
	struct ringconn rc;
	bool open, unsent, more;
};

struct world {
	struct sim *sim;
	struct platform *dom0;
	struct xsd *xsd;
	uint64_t now_ns, last_version, last_life;
	bool lossy;
	struct guest guests[NR_GUESTS];
	struct client clients[NR_GUESTS];
};

static struct world w;

static uint64_t pick(uint64_t n)
{
	return sim_random(w.sim) % n;
}

static bool chance(unsigned one_in)
{
	return pick(one_in) == 0;
}

/* ---- the store
 * ---------------------------------------------------------------
 */

static void has_output(void *arg)
{
	struct client *c = arg;

	c->unsent = true;
}

static void client_close(void *arg)
{
	struct client *c = arg;

	if (c->open)
		ringconn_close(&c->rc, false);
	memset(c, 0, sizeof(*c));
}

static const struct xsd_ops store_ops = { .output = has_output,
					  .dropped = client_close };

static void store_open(void)
{
	must(!xsd_open(seed_now, &store_ops, &w.xsd));
	for (unsigned i = 0; i < NR_GUESTS; i++)
		if (w.guests[i].alive)
			must(!xsd_domain_create(w.xsd, w.guests[i].domid,
						w.guests[i].life, "g"));
}

/* XS_INTRODUCE: as often as the platform says "not now". */
static void introduce(unsigned i, bool orphan)
{
	struct client *c = &w.clients[i];
	struct guest *g = &w.guests[i];
	struct xsd_conn *conn;
	int err;

	must(!xsd_conn_open(w.xsd, g->domid, c, &conn));
	do
		err = ringconn_open(&c->rc, w.dom0, g->domid, g->page.first_ref,
				    evtchn_port(g->channel), conn);
	while (err == -EAGAIN || err == -ENOMEM);
	must(!err);
	if (orphan)
		ringconn_orphan(&c->rc);
	else
		ringconn_start(&c->rc);
	c->open = c->unsent = c->more = true;
}

/* SIGKILL: nobody says good-bye; the ports stay bound for the successor. */
static void store_restart(void)
{
	for (unsigned i = 0; i < NR_GUESTS; i++) {
		struct client *c = &w.clients[i];

		if (!c->open)
			continue;
		ringconn_close(&c->rc, true);
		memset(c, 0, sizeof(*c));
	}
	xsd_close(w.xsd);
	store_open();
	for (unsigned i = 0; i < NR_GUESTS; i++)
		if (w.guests[i].alive)
			introduce(i, true);
}

static void save_client(void *conn_arg, struct encoder *e)
{
	const struct client *c = conn_arg;

	enc_u32(e, (uint32_t)(c - w.clients));
	enc_u32(e, c->rc.ring.in_cons);
	enc_u32(e, c->rc.ring.out_prod);
	enc_u32(e, c->rc.error);
}

/* The predecessor's end of it is still there, as after exec. */
static int restore_client(void *arg, struct xsd_conn *conn, struct decoder *d,
			  void **ret)
{
	unsigned i = dec_u32(d);
	uint32_t in_cons = dec_u32(d), out_prod = dec_u32(d);
	uint32_t error = dec_u32(d);
	struct client *c = &w.clients[i];
	struct guest *g = &w.guests[i];
	int err;

	(void)arg;
	must(!d->bad && i < NR_GUESTS);
	do
		err = ringconn_open(&c->rc, w.dom0, g->domid, g->page.first_ref,
				    evtchn_port(g->channel), conn);
	while (err == -EAGAIN || err == -ENOMEM);
	must(!err);
	ringconn_resume(&c->rc, in_cons, out_prod, error);
	c->open = c->unsent = c->more = true;
	*ret = c;
	return 0;
}

/* A live update: the store goes on as another, and no guest notices. */
static void store_update(void)
{
	static const struct image_owner owner = { .save = save_client,
						  .restore = restore_client };
	struct encoder e = { 0 };
	struct decoder d;

	xsd_save(w.xsd, &owner, &e);
	must(!e.failed);
	for (unsigned i = 0; i < NR_GUESTS; i++) {
		if (w.clients[i].open)
			ringconn_close(&w.clients[i].rc, true);
		memset(&w.clients[i], 0, sizeof(w.clients[i]));
	}
	xsd_close(w.xsd);
	must(!xsd_open(seed_now, &store_ops, &w.xsd));
	decoder_init(&d, e.data, e.len);
	must(!xsd_restore(w.xsd, &owner, &d));
	encoder_fini(&e);
}

/* One client's part of a round of the daemon's loop. */
static void serve(struct client *c)
{
	if (!c->open)
		return;
	if (w.now_ns >= ringconn_resume_ns(&c->rc) &&
	    ringconn_event(&c->rc) < 0) {
		client_close(c);
		return;
	}
	if (c->rc.got_event || c->more || (w.lossy && chance(64))) {
		ringconn_input(&c->rc);
		c->unsent = true;
	}
	if (!c->unsent)
		return;
	c->unsent = false;
	c->more = ringconn_output(&c->rc, w.now_ns);
}

/* ---- a guest's script
 * --------------------------------------------------------
 */

static size_t value_of(uint64_t version, char *buf)
{
	size_t len = (size_t)(version * 7919 % (VALUE_MAX + 1));

	if (version % 3)
		len %= 50;
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(version * 31 + i * 7);
	return len;
}

static void send_request(struct guest *g, enum op op, uint32_t type,
			 uint32_t tx_id, unsigned key, uint64_t version,
			 const char *payload, size_t len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = ++g->last_req_id,
				   .tx_id = tx_id,
				   .len = (uint32_t)len };

	if (g->tx_at == g->tx_len)
		g->tx_at = g->tx_len = 0;
	memmove(g->tx, g->tx + g->tx_at, g->tx_len - g->tx_at);
	g->tx_len -= g->tx_at;
	g->tx_at = 0;
	must(g->tx_len + sizeof(hdr) + len <= sizeof(g->tx));
	memcpy(g->tx + g->tx_len, &hdr, sizeof(hdr));
	memcpy(g->tx + g->tx_len + sizeof(hdr), payload, len);
	g->tx_len += sizeof(hdr) + len;
	g->in_flight[g->nr_in_flight++] =
		(struct expected){ op, hdr.req_id, key, version };
}

static void send_write(struct guest *g, enum op op, uint32_t tx_id)
{
	char payload[32 + VALUE_MAX];
	unsigned key = (unsigned)pick(NR_KEYS);
	uint64_t version = ++w.last_version;
	int path = snprintf(payload, 32, "data/k%u", key) + 1;
	size_t len = value_of(version, payload + path);

	send_request(g, op, XS_WRITE, tx_id, key, version, payload,
		     (size_t)path + len);
	g->version[key] = version;
	g->owes_event[key] = true;
}

static void send_read(struct guest *g)
{
	char path[16];
	unsigned key = (unsigned)pick(NR_KEYS);
	int len = snprintf(path, sizeof(path), "data/k%u", key) + 1;

	send_request(g, OP_READ, XS_READ, 0, key, g->version[key], path,
		     (size_t)len);
}

/* A transaction's steps need each other's answers: nothing beside them. */
static void send_next(struct guest *g)
{
	if (g->nr_done + g->nr_in_flight >= NR_OPS || g->tx_id)
		return;
	if (g->nr_in_flight == 0 && chance(6))
		send_request(g, OP_TXN_START, XS_TRANSACTION_START, 0, 0, 0, "",
			     1);
	while (g->nr_in_flight < WINDOW &&
	       g->nr_done + g->nr_in_flight < NR_OPS &&
	       (g->nr_in_flight == 0 ||
		g->in_flight[g->nr_in_flight - 1].op != OP_TXN_START)) {
		if (chance(2))
			send_write(g, OP_WRITE, 0);
		else
			send_read(g);
	}
}

static void connection_begins(struct guest *g)
{
	static const char watch[] = "data\0token";

	g->connected = true;
	g->tx_len = g->tx_at = g->rx_len = 0;
	g->nr_in_flight = 0;
	g->tx_id = 0;
	memset(g->version, 0, sizeof(g->version));
	memset(g->owes_event, 0, sizeof(g->owes_event));
	send_request(g, OP_WATCH, XS_WATCH, 0, 0, 0, watch, sizeof(watch));
}

static void take_event(struct guest *g, const char *path, size_t len)
{
	size_t path_bytes = strlen(path) + 1;
	unsigned key = NR_KEYS;

	must(path_bytes + sizeof("token") == len);
	must(!strcmp(path + path_bytes, "token"));
	if (!strncmp(path, "data/k", 6) && path[7] == '\0')
		key = (unsigned)(path[6] - '0');
	if (key < NR_KEYS)
		g->owes_event[key] = false;
	else if (!strcmp(path, "data"))
		memset(g->owes_event, 0, sizeof(g->owes_event));
	else
		must(!"an event for something else");
}

static void take_read(const struct expected *e, const struct xsd_sockmsg *hdr,
		      const char *payload)
{
	char value[VALUE_MAX];

	/* What was written in an earlier connection may be there or not. */
	if (e->version == 0)
		return;
	must(hdr->type == XS_READ && hdr->len == value_of(e->version, value));
	must(!memcmp(payload, value, hdr->len));
}

static void take_answer(struct guest *g, const struct xsd_sockmsg *hdr,
			const char *payload)
{
	struct expected e = g->in_flight[0];

	must(g->nr_in_flight > 0 && hdr->req_id == e.req_id);
	memmove(g->in_flight, g->in_flight + 1,
		--g->nr_in_flight * sizeof(g->in_flight[0]));
	g->nr_done++;
	switch (e.op) {
	case OP_WATCH: must(hdr->type == XS_WATCH); break;
	case OP_WRITE: must(hdr->type == XS_WRITE); break;
	case OP_READ: take_read(&e, hdr, payload); break;
	case OP_TXN_START:
		must(hdr->type == XS_TRANSACTION_START);
		g->tx_id = (uint32_t)strtoul(payload, NULL, 10);
		send_write(g, OP_TXN_WRITE, g->tx_id);
		break;
	case OP_TXN_WRITE:
		must(hdr->type == XS_WRITE);
		send_request(g, OP_TXN_END, XS_TRANSACTION_END, g->tx_id, 0, 0,
			     "T", 2);
		break;
	case OP_TXN_END:
		must(hdr->type == XS_TRANSACTION_END);
		g->tx_id = 0;
		break;
	}
}

static bool take_message(struct guest *g)
{
	struct xsd_sockmsg hdr;
	size_t len;

	if (g->rx_len < sizeof(hdr))
		return false;
	memcpy(&hdr, g->rx, sizeof(hdr));
	must(hdr.len <= XENSTORE_PAYLOAD_MAX);
	len = sizeof(hdr) + hdr.len;
	if (g->rx_len < len)
		return false;
	if (hdr.type == XS_WATCH_EVENT)
		take_event(g, g->rx + sizeof(hdr), hdr.len);
	else
		take_answer(g, &hdr, g->rx + sizeof(hdr));
	memmove(g->rx, g->rx + len, g->rx_len - len);
	g->rx_len -= len;
	return true;
}

static void receive(struct guest *g)
{
	for (;;) {
		size_t max = sizeof(g->rx) - g->rx_len, n;

		must(xsring_readable(&g->ring) >= 0);
		if (chance(3) && max > 1)
			max = 1 + pick(max - 1);
		n = xsring_read(&g->ring, g->rx + g->rx_len, max);
		g->rx_len += n;
		while (take_message(g))
			continue;
		if (n == 0)
			return;
	}
}

static void transmit(struct guest *g)
{
	send_next(g);
	must(xsring_writable(&g->ring) >= 0);
	g->tx_at +=
		xsring_write(&g->ring, g->tx + g->tx_at, g->tx_len - g->tx_at);
}

/* ---- guests
 * -------------------------------------------------------------------
 */

static struct xenstore_domain_interface *page_of(const struct guest *g)
{
	return g->page.base;
}

static void guest_open(unsigned i)
{
	struct guest *g = &w.guests[i];
	int err;

	memset(g, 0, sizeof(*g));
	g->domid = (domid_t)(i + 1);
	g->hostile = i == 0;
	must(!sim_platform(w.sim, g->domid, &g->platform));
	do
		err = platform_share(g->platform, 0, 1, 0, &g->page);
	while (err == -ENOSPC);
	must(!err);
	do
		err = platform_evtchn_alloc(g->platform, 0, &g->channel);
	while (err == -EAGAIN);
	must(!err);
	xsring_guest_init(
		&g->ring,
		(struct xenstore_domain_interface PV_SHARED *)g->page.base,
		true);
	g->alive = true;
	g->life = ++w.last_life;
	must(!xsd_domain_create(w.xsd, g->domid, g->life, "g"));
	introduce(i, false);
}

/* Its process dies; the store hears of it by the channel or the broker. */
static void guest_die(unsigned i)
{
	struct guest *g = &w.guests[i];
	bool channel_first = chance(2);

	sim_kill(w.sim, g->domid);
	evtchn_close(g->channel);
	platform_unshare(g->platform, &g->page);
	platform_close(g->platform);
	g->alive = false;
	if (channel_first)
		serve(&w.clients[i]);
	must(!xsd_domain_destroy(w.xsd, g->domid));
	must(!w.clients[i].open);
}

static void reconnect(struct guest *g)
{
	must(!xsring_guest_reconnect(&g->ring));
	g->connected = false;
	evtchn_notify(g->channel);
}

static void honest_turn(struct guest *g)
{
	int event = evtchn_clear(g->channel);
	enum xsring_state state;

	must(event >= 0);
	if (!event && !g->kick && !(w.lossy && chance(64)))
		return;
	g->kick = false;
	state = xsring_guest_state(&g->ring);
	if (state == XSRING_FAILED)
		reconnect(g);
	if (state != XSRING_CONNECTED) {
		/* The notification that asks may be lost. */
		if (w.lossy)
			evtchn_notify(g->channel);
		return;
	}
	if (!g->connected)
		connection_begins(g);
	receive(g);
	transmit(g);
	if (xsring_push(&g->ring) || (w.lossy && chance(8)))
		evtchn_notify(g->channel);
}

static void hostile_turn(struct guest *g)
{
	struct xenstore_domain_interface *page = page_of(g);
	uint32_t *const words[] = {
		&page->req_cons, &page->req_prod,	 &page->rsp_cons,
		&page->rsp_prod, &page->server_features, &page->connection,
		&page->error
	};
	uint32_t *word = words[pick(sizeof(words) / sizeof(words[0]))];

	switch (pick(5)) {
	case 0: *word = (uint32_t)sim_random(w.sim); break;
	case 1: *word += (uint32_t)pick(1100); break;
	case 2: page->connection = XENSTORE_RECONNECT; break;
	case 3:
		for (unsigned i = 0; i < XENSTORE_RING_SIZE; i++)
			page->req[i] = (char)(chance(4) ? pick(256) : 0);
		break;
	case 4: break;
	}
	evtchn_notify(g->channel);
}

static bool is_done(const struct guest *g)
{
	if (g->hostile)
		return true;
	for (unsigned k = 0; k < NR_KEYS; k++)
		if (g->owes_event[k])
			return false;
	return g->connected && g->nr_done >= NR_OPS && g->nr_in_flight == 0;
}

static bool all_done(void)
{
	for (unsigned i = 0; i < NR_GUESTS; i++)
		if (!w.guests[i].alive || !is_done(&w.guests[i]))
			return false;
	return true;
}

/* ---- the world
 * -----------------------------------------------------------------
 */

/* What fate does, while there is trouble: die, restart, reconnect. */
static void fate(void)
{
	unsigned i = (unsigned)pick(NR_GUESTS);
	struct guest *g = &w.guests[i];

	switch (pick(400)) {
	case 0: store_restart(); break;
	case 1:
	case 2:
		if (g->alive)
			guest_die(i);
		else
			guest_open(i);
		break;
	case 4:
	case 5: store_update(); break;
	case 3:
		if (g->alive && g->connected && !g->hostile)
			reconnect(g);
		break;
	}
	must(xsd_check(w.xsd) == 0);
}

static void turn(bool trouble)
{
	unsigned who = (unsigned)pick(2 * NR_GUESTS);
	struct guest *g = &w.guests[who % NR_GUESTS];

	w.now_ns += STEP_NS;
	if (chance(2))
		sim_step(w.sim);
	if (trouble)
		fate();
	if (who < NR_GUESTS)
		serve(&w.clients[who]);
	else if (g->alive && g->hostile && trouble)
		hostile_turn(g);
	else if (g->alive && !g->hostile)
		honest_turn(g);
}

static void world_close(void)
{
	for (unsigned i = 0; i < NR_GUESTS; i++)
		if (w.guests[i].alive)
			guest_die(i);
	xsd_close(w.xsd);
	platform_close(w.dom0);
	must(sim_nr_shares(w.sim) == 0 && sim_nr_mapped_pages(w.sim) == 0 &&
	     sim_nr_channels(w.sim) == 0);
	sim_close(w.sim);
}

static void run(uint64_t seed)
{
	struct sim_faults faults = { .notify_duplicate = 200,
				     .map_fail = 100,
				     .share_fail = 100,
				     .bind_fail = 100 };
	unsigned trouble, steps = 0;

	memset(&w, 0, sizeof(w));
	w.last_life = 1; /* domain 0's */
	seed_now = seed;
	must(!sim_open(seed, &w.sim));
	w.lossy = chance(3);
	faults.notify_drop = w.lossy ? 200 : 0;
	faults.delay_max_steps = (uint32_t)pick(12);
	sim_set_faults(w.sim, &faults);
	must(!sim_platform(w.sim, 0, &w.dom0));
	store_open();
	for (unsigned i = 0; i < NR_GUESTS; i++)
		guest_open(i);
	trouble = (unsigned)pick(6000);
	for (; steps < trouble; steps++)
		turn(true);
	for (unsigned i = 0; i < NR_GUESTS; i++)
		if (!w.guests[i].alive)
			guest_open(i);
	while (!all_done() && ++steps < STEPS_MAX)
		turn(false);
	must(all_done());
	must(xsd_check(w.xsd) == 0);
	world_close();
}

int main(int argc, char **argv)
{
	uint64_t first = 1, nr = soak_rounds(100, 3000);

	if (argc > 1) {
		first = strtoull(argv[1], NULL, 10);
		nr = 1;
	}
	for (uint64_t seed = first; seed < first + nr; seed++)
		run(seed);
	printf("store_ring: %llu passed, 0 failed\n", (unsigned long long)nr);
	return 0;
}
