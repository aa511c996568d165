/* SPDX-License-Identifier: MIT */
/*
 * fuzz_xs_ring.c - a guest's whole store page: any bytes in its request queue,
 * any value in any of its words, events in any number, at any time between the
 * store's looks at it. The store must never write outside of its queue, never
 * believe its own indices, and serve a second guest all the while.
 *
 * A step is one byte, what it says, and its operands:
 *	0	a word (1 byte: which), a value (4)
 *	1	a word plus a small number (1)
 *	2	bytes (1: how many) into the queue where they belong, shown
 *	3	a header whose length is right: type (1), transaction (1), bytes
 *	4	an event
 *	5	the guest reads all that it can
 *	6	time passes
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "platform/sim.h"
#include "util/clock.h"
#include "xenstore-lite/ringconn.h"

#define SIZE XENSTORE_RING_SIZE

struct input {
	const uint8_t *data;
	size_t size;
};

struct guest {
	struct platform *platform;
	struct share share;
	struct evtchn *channel;
	struct xenstore_domain_interface *page;
	struct ringconn rc;
	bool open, unsent, more;
};

static uint64_t now_ns;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t take(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

static void has_output(void *arg)
{
	((struct guest *)arg)->unsent = true;
}

static void dropped(void *arg)
{
	struct guest *g = arg;

	ringconn_close(&g->rc, false);
	g->open = false;
}

static void serve(struct guest *g)
{
	if (now_ns >= ringconn_resume_ns(&g->rc))
		must(ringconn_event(&g->rc) == 0);
	if (g->rc.got_event || g->more) {
		ringconn_input(&g->rc);
		g->unsent = true;
	}
	if (g->unsent) {
		g->unsent = false;
		g->more = ringconn_output(&g->rc, now_ns);
	}
}

static void guest_open(struct guest *g, struct sim *sim, struct platform *dom0,
		       struct xsd *xsd, domid_t domid)
{
	struct xsd_conn *conn;

	must(!sim_platform(sim, domid, &g->platform));
	must(!platform_share(g->platform, 0, 1, 0, &g->share));
	must(!platform_evtchn_alloc(g->platform, 0, &g->channel));
	g->page = g->share.base;
	must(!xsd_domain_create(xsd, domid, domid + 1u, "g"));
	must(!xsd_conn_open(xsd, domid, g, &conn));
	must(!ringconn_open(&g->rc, dom0, domid, g->share.first_ref,
			    evtchn_port(g->channel), conn));
	ringconn_start(&g->rc);
	g->open = g->unsent = true;
}

static void guest_close(struct guest *g)
{
	evtchn_close(g->channel);
	platform_unshare(g->platform, &g->share);
	platform_close(g->platform);
}

static void put(struct guest *g, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		memcpy(&g->page->req[g->page->req_prod++ % SIZE], data + i, 1);
}

static void put_input(struct guest *g, struct input *in, size_t len)
{
	if (len > in->size)
		len = in->size;
	put(g, in->data, len);
	in->data += len;
	in->size -= len;
}

static void step(struct guest *g, struct input *in)
{
	uint32_t *const words[] = {
		&g->page->req_cons,	   &g->page->req_prod,
		&g->page->rsp_cons,	   &g->page->rsp_prod,
		&g->page->server_features, &g->page->connection,
		&g->page->error,	   &g->page->req_prod
	};
	struct xsd_sockmsg hdr = { 0 };
	uint32_t *word;

	switch (take(in) % 7) {
	case 0:
		word = words[take(in) % 8];
		for (int i = 0; i < 4; i++)
			*word = *word << 8 | take(in);
		break;
	case 1:
		word = words[take(in) % 8];
		*word += take(in);
		break;
	case 2: put_input(g, in, take(in)); break;
	case 3:
		hdr.type = take(in);
		hdr.tx_id = take(in);
		hdr.len = take(in);
		if (hdr.len > in->size)
			hdr.len = (uint32_t)in->size;
		put(g, (const uint8_t *)&hdr, sizeof(hdr));
		put_input(g, in, hdr.len);
		break;
	case 4: evtchn_notify(g->channel); break;
	case 5: g->page->rsp_cons = g->page->rsp_prod; break;
	case 6: now_ns += NS_PER_S; break;
	}
}

/* The other guest's question, and its answer. */
static void check_honest(struct guest *g, uint32_t nr)
{
	const struct xsd_sockmsg hdr = { .type = XS_READ,
					 .req_id = nr,
					 .len = sizeof("domid") };
	struct xsd_sockmsg answer;
	char *bytes = (char *)&answer;

	put(g, (const uint8_t *)&hdr, sizeof(hdr));
	put(g, (const uint8_t *)"domid", sizeof("domid"));
	evtchn_notify(g->channel);
	serve(g);
	must(g->page->rsp_prod - g->page->rsp_cons == sizeof(answer) + 1);
	for (size_t i = 0; i < sizeof(answer); i++)
		bytes[i] = g->page->rsp[g->page->rsp_cons++ % SIZE];
	must(answer.type == XS_READ && answer.req_id == nr && answer.len == 1);
	must(g->page->rsp[g->page->rsp_cons++ % SIZE] == '8');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = dropped };
	static struct guest liar, honest;
	struct input in = { data, size };
	struct platform *dom0;
	struct sim *sim;
	struct xsd *xsd;

	now_ns = 0;
	memset(&liar, 0, sizeof(liar));
	memset(&honest, 0, sizeof(honest));
	must(!sim_open(1, &sim));
	must(!sim_platform(sim, 0, &dom0));
	must(!xsd_open(1, &ops, &xsd));
	guest_open(&liar, sim, dom0, xsd, 7);
	guest_open(&honest, sim, dom0, xsd, 8);
	for (uint32_t nr = 0; in.size; nr++) {
		uint8_t before = liar.page->rsp[SIZE - 1];

		step(&liar, &in);
		serve(&liar);
		/* Nothing is written beyond what its own index has passed. */
		must(liar.rc.ring.out_prod >= SIZE ||
		     (uint8_t)liar.page->rsp[SIZE - 1] == before);
		must(liar.rc.ring.in_prod - liar.rc.ring.in_cons <= SIZE);
		must(liar.rc.ring.out_prod - liar.rc.ring.out_cons <= SIZE);
		if (nr % 16 == 0)
			check_honest(&honest, nr);
		must(xsd_check(xsd) == 0);
	}
	check_honest(&honest, 1u << 31);
	xsd_close(xsd);
	must(!liar.open && !honest.open);
	guest_close(&liar);
	guest_close(&honest);
	platform_close(dom0);
	sim_close(sim);
	return 0;
}
