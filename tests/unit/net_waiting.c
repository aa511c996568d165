/* SPDX-License-Identifier: MIT */
/*
 * net_waiting.c - frames that wait for a guest's buffers: the queue itself
 * against a model (a failure prints its seed), and whole ports (XSA-392, 424:
 * a guest that posts none, or one too few, costs nothing).
 */
#include "netback/waiting.h"

#include "tests/unit/net_chain.h"
#include "tests/unit/soak.h"
#include "util/clock.h"

/* ---- against a model ------------------------------------------------------
 */

#define MODEL_MAX 4096u

static struct {
	uint32_t size, key; /* key: what its bytes are */
} model[MODEL_MAX];
static unsigned model_first, model_nr;

static uint8_t model_byte(uint32_t key, uint32_t at)
{
	return (uint8_t)(key * 31 + at * 7 + at / 256);
}

/* Its bytes in a head and a part. */
static void model_frame(struct frame *f, uint8_t *bytes, uint32_t key,
			uint32_t size)
{
	memset(f, 0, sizeof(*f));
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = model_byte(key, i);
	f->size_bytes = size;
	f->head_bytes = size < PACKET_HEAD_MAX ? size : PACKET_HEAD_MAX;
	memcpy(f->head, bytes, f->head_bytes);
	if (size > f->head_bytes)
		f->parts[f->nr_parts++] = (struct frame_part){
			.base = (const void PV_SHARED *)(bytes + f->head_bytes),
			.size_bytes = size - f->head_bytes,
		};
	f->meta.gso_size = (uint16_t)key;
	f->layout.l4 = (uint16_t)(key >> 1);
}

static bool model_is_first(const struct waiting *w)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	uint32_t key = model[model_first % MODEL_MAX].key;
	struct frame_cursor at = { 0 };
	struct queue_hash hash;
	struct frame f;
	uint64_t since_ns;

	if (!waiting_first(w, &f, &hash, &since_ns))
		return model_nr == 0;
	if (!model_nr || f.size_bytes != model[model_first % MODEL_MAX].size ||
	    since_ns != key || hash.value != key || !hash.known ||
	    f.meta.gso_size != (uint16_t)key || f.layout.l4 != key >> 1)
		return false;
	frame_copy_out(&f, &at, (void PV_SHARED *)bytes, f.size_bytes);
	for (uint32_t i = 0; i < f.size_bytes; i++)
		if (bytes[i] != model_byte(key, i))
			return false;
	return true;
}

static bool model_add(struct waiting *w, uint32_t key, uint32_t *held)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct queue_hash hash = { .known = true, .value = key };
	uint32_t size = 14 + frame_random(frame_random(3) ? 200 : 65000);
	struct frame f;
	int err;

	model_frame(&f, bytes, key, size);
	err = waiting_add(w, &f, &hash, key);
	if (err) /* two frames of the largest kind always fit */
		return err == -ENOBUFS && *held + size > 60000;
	model[(model_first + model_nr) % MODEL_MAX].size = size;
	model[(model_first + model_nr) % MODEL_MAX].key = key;
	model_nr++;
	*held += size;
	return *held <= WAITING_BYTES;
}

static bool model_run(uint32_t seed)
{
	struct waiting w = { 0 };
	uint32_t held = 0;
	bool ok = true;

	frame_seed(seed);
	model_first = model_nr = 0;
	for (uint32_t i = 0; ok && i < 1000; i++) {
		if (model_nr && frame_random(5) < 2) {
			held -= model[model_first % MODEL_MAX].size;
			waiting_drop_first(&w);
			model_first++;
			model_nr--;
		} else {
			ok = model_add(&w, i, &held);
		}
		ok = ok && model_is_first(&w) && w.nr == model_nr;
		if (!frame_random(300)) {
			waiting_free(&w);
			model_nr = held = 0;
		}
	}
	waiting_free(&w);
	return ok;
}

static void frames_come_out_as_they_went_in(void)
{
	uint32_t rounds = soak_rounds(20, 5000);

	for (uint32_t seed = 0; seed < rounds; seed++) {
		bool ok = model_run(seed);

		if (!ok)
			fprintf(stderr, "seed %u\n", seed);
		UNIT_REQUIRE(ok);
	}
}

/* ---- whole ports ----------------------------------------------------------
 */

static void post_and_tell(struct guest *g, unsigned nr)
{
	struct guest_queue *q = &g->q[0];

	while (nr--) {
		struct netif_rx_request req = {
			.id = q->next_buffer,
			.gref = g->recv.first_ref + q->next_buffer % RX_PAGES,
		};

		q->next_buffer++;
		ring_front_put(&q->rx, &req, sizeof(req));
	}
	if (ring_front_push(&q->rx))
		evtchn_notify(q->rx_ev);
}

/* Frames of so many bytes, the first of which are numbered from nr on. */
static void send_numbered(unsigned from, unsigned nr, uint16_t size)
{
	uint16_t id;

	for (unsigned i = from; i < from + nr; i++) {
		tx_request(&a, tx_frame(&a, &b, i % TX_PAGES, size));
		tx_show(&a);
		UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	}
}

/* Frame nr of those; its page tells. */
static bool numbered_comes(unsigned nr, uint16_t size)
{
	struct netif_rx_response rsp;
	const uint8_t *p;

	if (!rx_response(&b, &rsp) || rsp.status != (int)size)
		return false;
	p = (uint8_t *)b.recv.base + rsp.id % RX_PAGES * PV_PAGE_SIZE;
	return p[20] == (uint8_t)(20 * 3 + nr % TX_PAGES);
}

static void what_finds_no_buffers_comes_when_some_are_posted(void)
{
	struct traffic t;

	setup();
	rx_post(&b, 4);
	send_numbered(0, 20, 500);
	for (unsigned i = 0; i < 20; i++) {
		UNIT_CHECK(numbered_comes(i, 500));
		post_and_tell(&b, 1);
	}
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_packets == 20 && t.rx_waited == 16);
	UNIT_CHECK(traffic_rx_dropped(&t) == 0);
	UNIT_CHECK(hist_count(&t.rx_wait_ns) == 16);
	teardown();
}

static void a_guest_that_says_nothing_is_looked_after(void)
{
	setup();
	rx_post(&b, 4);
	send_numbered(0, 12, 500);
	usleep(5000);
	for (unsigned i = 0; i < 12; i++) {
		UNIT_CHECK(numbered_comes(i, 500));
		rx_post(&b, 1);
	}
	UNIT_CHECK(port_traffic(&b, 0).rx_packets == 12);
	teardown();
}

/* A later frame does not pass by one that waits. */
static void the_order_stays_as_it_was(void)
{
	setup();
	rx_post(&b, 2);
	send_numbered(0, 3, 500);
	rx_post(&b, 30); /* says nothing */
	send_numbered(3, 5, 500);
	for (unsigned i = 0; i < 8; i++)
		UNIT_CHECK(numbered_comes(i, 500));
	teardown();
}

/* Between two turns of b's queue. */
static int post_and_deliver(void *arg)
{
	struct switch_port *port = arg;
	uint8_t bytes[500];
	struct frame f;

	rx_post(&b, 30);
	model_frame(&f, bytes, 0, sizeof(bytes));
	return port->ops->deliver(port, &f);
}

/* Or who comes first after the queue's turn is always who finds room. */
static void new_buffers_are_used_before_the_queue_has_its_turn(void)
{
	struct traffic before, after;

	setup();
	rx_post(&b, 4);
	send_numbered(0, 60, 4000);
	before = port_traffic(&b, 0);
	UNIT_CHECK(before.rx_drops[TRAFFIC_DROP_FULL] > 0);
	UNIT_CHECK(worker_call(worker, post_and_deliver,
			       vif_port_switch_port(b.port)) == 0);
	after = port_traffic(&b, 0);
	UNIT_CHECK(after.rx_drops[TRAFFIC_DROP_FULL] ==
		   before.rx_drops[TRAFFIC_DROP_FULL]);
	teardown();
}

static void only_so_many_bytes_wait(void)
{
	struct traffic t;
	uint64_t most = WAITING_BYTES / 4000;

	setup();
	rx_post(&b, 4);
	send_numbered(0, 60, 4000);
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_waited <= most && t.rx_waited >= most - 3);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_FULL] == 56 - t.rx_waited);
	teardown();
}

static void what_waits_too_long_is_let_go(void)
{
	struct traffic t;

	setup();
	rx_post(&b, 1);
	send_numbered(0, 11, 500);
	usleep(200000);
	/* It is not believed to live any more: nothing waits for it. */
	send_numbered(11, 5, 500);
	post_and_tell(&b, 3);
	UNIT_CHECK(numbered_comes(0, 500));
	UNIT_CHECK(ring_front_pending(&b.q[0].rx) == 0);
	/* It posts: now it is. */
	send_numbered(16, 4, 500);
	for (unsigned i = 16; i < 19; i++)
		UNIT_CHECK(numbered_comes(i, 500));
	post_and_tell(&b, 1);
	UNIT_CHECK(numbered_comes(19, 500));
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_OLD] == 10);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_FULL] == 5);
	UNIT_CHECK(t.rx_packets == 5 && t.rx_waited == 11);
	teardown();
}

static void nothing_waits_for_who_never_posted(void)
{
	struct traffic t;

	setup();
	send_numbered(0, 20, 4000);
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_waited == 0);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_FULL] == 20);
	teardown();
}

/* More buffers than it ever posted: whatever comes behind would wait as well.
 */
static void what_never_fits_does_not_wait(void)
{
	struct traffic t;

	setup();
	rx_post(&b, 4);
	for (unsigned i = 0; i < 10; i++) {
		struct netif_tx_request r = tx_frame(&a, &b, 1, 4096);
		uint16_t id;

		r.size = 5 * 4096;
		for (unsigned k = 0; k < 5; k++) {
			r.flags = k < 4 ? NETTXF_more_data : 0;
			tx_request(&a, r);
			r.size = 4096;
		}
		tx_show(&a);
		for (unsigned k = 0; k < 5; k++)
			UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
		send_numbered(i, 1, 500);
		UNIT_CHECK(numbered_comes(i, 500));
		rx_post(&b, 1);
	}
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_FULL] == 10);
	UNIT_CHECK(t.rx_waited == 0 && t.rx_packets == 10);
	teardown();
}

/* One slot left and a frame of two (XSA-424), while others go on. */
static void a_guest_with_one_slot_too_few_holds_nobody_up(void)
{
	struct traffic t;

	setup();
	rx_post(&a, 60);
	rx_post(&b, 2);
	send_numbered(0, 1, 500);
	UNIT_CHECK(numbered_comes(0, 500));
	for (unsigned i = 0; i < 50; i++) {
		struct netif_tx_request r = tx_frame(&a, &b, 1, 4096);
		uint16_t id;

		r.size = 8000;
		r.flags = NETTXF_more_data;
		tx_request(&a, r);
		r.size = 3904;
		r.flags = 0;
		tx_request(&a, r);
		tx_show(&a);
		UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
		UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
		UNIT_CHECK(served(&b, &a));
	}
	UNIT_CHECK(AWAIT(ring_front_pending(&a.q[0].rx) == 50));
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_waited <= WAITING_BYTES / 8000);
	teardown();
}

/* ---- asleep ---------------------------------------------------------------
 */

static int remember_thread(void *arg)
{
	*(pid_t *)arg = gettid();
	return 0;
}

/* How often a thread of ours went to sleep so far. */
static long nr_sleeps(pid_t tid)
{
	char path[64], line[128];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		(void)!sscanf(line, "voluntary_ctxt_switches: %ld", &n);
	if (f)
		fclose(f);
	return n;
}

static void a_dead_guest_wakes_nobody(void)
{
	pid_t tid = 0;
	long before;

	setup();
	worker_call(worker, remember_thread, &tid);
	rx_post(&b, 1);
	send_numbered(0, 20, 500);
	usleep(250000);
	before = nr_sleeps(tid);
	UNIT_CHECK(before > 0);
	usleep(300000);
	UNIT_CHECK(nr_sleeps(tid) == before);
	UNIT_CHECK(port_traffic(&b, 0).rx_drops[TRAFFIC_DROP_OLD] == 19);
	teardown();
}

UNIT_MAIN("net_waiting", UNIT_TEST(frames_come_out_as_they_went_in),
	  UNIT_TEST(what_finds_no_buffers_comes_when_some_are_posted),
	  UNIT_TEST(a_guest_that_says_nothing_is_looked_after),
	  UNIT_TEST(the_order_stays_as_it_was),
	  UNIT_TEST(new_buffers_are_used_before_the_queue_has_its_turn),
	  UNIT_TEST(only_so_many_bytes_wait),
	  UNIT_TEST(what_waits_too_long_is_let_go),
	  UNIT_TEST(nothing_waits_for_who_never_posted),
	  UNIT_TEST(what_never_fits_does_not_wait),
	  UNIT_TEST(a_guest_with_one_slot_too_few_holds_nobody_up),
	  UNIT_TEST(a_dead_guest_wakes_nobody))
