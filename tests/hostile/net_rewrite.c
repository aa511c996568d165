/* SPDX-License-Identifier: MIT */
/*
 * net_rewrite.c - guests that rewrite what netback is reading, from a thread of
 * their own: slots of the transmit ring, headers in a page that is being sent.
 * THREATS.md section A: XSA-155: what counts is our copy.
 */
#include "tests/hostile/net_guest.h"
#include "tests/unit/soak.h"
#include "util/clock.h"

#define RING_HEADER_BYTES 64u
#define TX_SLOTS	  256u
#define SLOT_BYTES	  sizeof(struct netif_tx_request)

struct flipper {
	volatile uint8_t *at;
	uint8_t own[6], other[6]; /* flip_source's */
	bool chains;		  /* flip_slots': flags, too */
	atomic_bool stop;
	pthread_t thread;
};

static void flipper_start(struct flipper *f, void *(*fn)(void *arg))
{
	atomic_store(&f->stop, false);
	world_must(!pthread_create(&f->thread, NULL, fn, f), "thread");
}

static void flipper_end(struct flipper *f)
{
	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
}

/* ---- headers ------------------------------------------------------------- */

/* A race by design: the sanitizer need not look. */
__attribute__((no_sanitize("thread"))) static void *flip_source(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop)) {
		for (unsigned i = 0; i < 6; i++)
			f->at[i] = f->other[i];
		for (unsigned i = 0; i < 6; i++)
			f->at[i] = f->own[i];
	}
	return NULL;
}

static int forbid_spoofing(void *arg)
{
	static struct switch_rules rules;
	struct guest *g = arg;

	rules.filter.on = true;
	vif_port_set_rules(g->port, &rules);
	return 0;
}

/* How many frames came to b; each has to be from a's own address. */
static unsigned drain_received(void)
{
	struct netif_rx_response rsp;
	unsigned nr = 0;

	for (; ring_front_pending(&b.q[0].rx) > 0; nr++) {
		const uint8_t *page = b.recv.base;

		ring_front_get(&b.q[0].rx, &rsp, sizeof(rsp));
		page += (size_t)(rsp.id % RX_PAGES) * PV_PAGE_SIZE;
		UNIT_CHECK(rsp.status == 60 && !memcmp(page + 6, a.mac, 6) &&
			   !memcmp(page, b.mac, 6));
	}
	rx_post(&b, nr);
	return nr;
}

/*
 * Its source address is its own when it is looked at, and another's when the
 * frame is copied: the frame that arrives is the one that was looked at.
 */
static void a_header_that_was_checked_is_the_one_that_arrives(void)
{
	uint64_t end_ns = clock_now_ns() + 20 * NS_PER_S;
	unsigned least = soak_rounds(20000, 2000000), nr = 0, nr_received = 0;
	struct flipper f = { .other = { 2, 0, 0, 0, 0, 0x66 } };
	struct netif_tx_request req;
	uint16_t id;

	setup();
	worker_call(worker, forbid_spoofing, &a);
	rx_post(&b, RX_PAGES / 2);
	req = tx_frame(&a, &b, 3, 60);
	memcpy(f.own, a.mac, 6);
	f.at = (uint8_t *)a.send.base + 3 * PV_PAGE_SIZE + 6;
	flipper_start(&f, flip_source);
	/* Until some were looked at in one state, and some in the other. */
	while (nr < least || !nr_received || nr_received == nr) {
		UNIT_CHECK(clock_now_ns() < end_ns || nr >= least);
		if (clock_now_ns() >= end_ns)
			break;
		for (unsigned i = 0; i < 16; i++, nr++)
			tx_request(&a, req);
		tx_show(&a);
		for (unsigned i = 0; i < 16; i++)
			if (tx_status(&a, &id) != NETIF_RSP_OKAY)
				break;
		nr_received += drain_received();
	}
	flipper_end(&f);
	UNIT_CHECK(nr_received > 0 && nr_received < nr);
	UNIT_CHECK(!atomic_load(&a.fault) && served(&b, &a));
	teardown();
}

/* ---- slots --------------------------------------------------------------- */

/* Bytes of a slot, one after the other, to what they are not to be and back. */
__attribute__((no_sanitize("thread"))) static void *flip_slots(void *arg)
{
	struct flipper *f = arg;
	const uint8_t masks[SLOT_BYTES] = {
		[0] = 0x1f, /* gref */
		[3] = 0x80, /* gref, far away */
		[4] = 0xff, /* offset */
		[5] = 0x0f,
		[6] = f->chains ? NETTXF_more_data | NETTXF_extra_info : 0,
		[7] = f->chains ? 0x80 : 0,
		[10] = 0xff, /* size */
		[11] = 0x0f,
	};

	for (unsigned turn = 0; !atomic_load(&f->stop); turn++)
		for (unsigned i = 0; i < TX_SLOTS * SLOT_BYTES; i++)
			f->at[i] ^= (turn + i) % 3 ? 0 : masks[i % SLOT_BYTES];
	return NULL;
}

/* There are no more answers than there were requests. */
static bool drain_answers(unsigned *ret_nr)
{
	struct netif_tx_response rsp;
	int n;

	while ((n = ring_front_pending(&a.q[0].tx)) > 0) {
		ring_front_get(&a.q[0].tx, &rsp, sizeof(rsp));
		(*ret_nr)++;
	}
	return n == 0;
}

/*
 * A piece of one page as tx_frame fills it: each byte is the one before it and
 * three, but for the first bytes of the page.
 */
static bool is_of_one_page(const uint8_t *p, int size)
{
	for (int i = 15; i < size; i++)
		if (p[i] != (uint8_t)(p[i - 1] + 3))
			return false;
	return true;
}

/* What came to b is within its buffers, and within one page of a's. */
static unsigned check_received(bool chains)
{
	struct netif_rx_response rsp;
	unsigned nr = 0;

	UNIT_CHECK(ring_front_pending(&b.q[0].rx) >= 0);
	for (; ring_front_pending(&b.q[0].rx) > 0; nr++) {
		const uint8_t *page = b.recv.base;

		ring_front_get(&b.q[0].rx, &rsp, sizeof(rsp));
		page += (size_t)(rsp.id % RX_PAGES) * PV_PAGE_SIZE;
		UNIT_CHECK(rsp.status >= 0 && rsp.status <= (int)PV_PAGE_SIZE);
		UNIT_CHECK(chains || is_of_one_page(page, rsp.status));
		rx_post(&b, 1);
	}
	return nr;
}

/* What it did was the end of its vif: another one, with empty rings. */
static void begin_again(void)
{
	struct guest_queue *q = &a.q[0];

	UNIT_CHECK(atomic_load(&a.fault) == -EPROTO);
	UNIT_CHECK(atomic_exchange(&a.nr_faults, 0) == 1);
	atomic_store(&a.fault, 0);
	port_end(&a, true);
	guest_rings_init(q);
	world_must(!port_make(&a, false), "port");
}

static void rewrite_slots(bool chains)
{
	unsigned rounds = soak_rounds(1000, 100000);
	unsigned nr_broken = 0, nr_received = 0;
	struct flipper f = { .chains = chains };

	setup();
	for (unsigned page = 0; page < TX_PAGES; page++)
		(void)tx_frame(&a, &b, page, 4096);
	rx_post(&b, RX_PAGES / 2);
	f.at = (uint8_t *)a.q[0].rings.base + RING_HEADER_BYTES;
	flipper_start(&f, flip_slots);
	for (unsigned round = 0; round < rounds; round++) {
		unsigned nr = 0, want = 1 + round % 16;

		for (unsigned i = 0; i < want; i++)
			tx_request(&a, tx_frame(&a, &b, i, 600));
		tx_show(&a);
		UNIT_CHECK(AWAIT(atomic_load(&a.fault) ||
				 (drain_answers(&nr) && nr == want)));
		nr_received += check_received(chains);
		if (!atomic_load(&a.fault))
			continue;
		nr_broken++;
		begin_again();
		UNIT_CHECK(served(&b, &a));
	}
	flipper_end(&f);
	/* In a chain past the ring it ends before long. */
	UNIT_CHECK(nr_received > 0 && chains == (nr_broken > 0));
	UNIT_CHECK(!atomic_load(&b.fault) && served(&b, &a));
	teardown();
}

static void a_slot_that_is_rewritten_is_its_copy_or_an_error(void)
{
	rewrite_slots(false);
}

static void a_chain_that_is_rewritten_ends_its_own_vif_at_most(void)
{
	rewrite_slots(true);
}

UNIT_MAIN("net_rewrite",
	  UNIT_TEST(a_header_that_was_checked_is_the_one_that_arrives),
	  UNIT_TEST(a_slot_that_is_rewritten_is_its_copy_or_an_error),
	  UNIT_TEST(a_chain_that_is_rewritten_ends_its_own_vif_at_most))
