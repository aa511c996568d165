/* SPDX-License-Identifier: MIT */
/*
 * net_switch_model.c - netback/switch.c against a model that is as simple as
 * can be: lists searched from end to end, frames put together byte by byte.
 * Random frames, ports that come, go, move and change their rules; a failure
 * prints its seed and step.
 */
#include "netback/switch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tests/unit/soak.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/num.h"

#define NR_PORTS   6u /* 0 is the uplink */
#define NR_MACS	   14u
#define NR_VLANS   5u
#define NR_LEARNED 64u
#define FRAME_MAX  600u
#define STEPS	   4000u

/* Every table is hashed alike, so that a seed says all. */
ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags)
{
	(void)flags;
	memset(buf, 0x5a, size);
	return (ssize_t)size;
}

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state =
		random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

static const uint16_t vlans[NR_VLANS] = { 0, 10, 20, 30, 4094 };

/* ---- the model --------------------------------------------------------- */

struct model_port {
	bool present, isolated, limited;
	int native; /* -1: none */
	bool tagged[NR_VLANS];
	uint32_t storm;
	uint64_t level, at_ns; /* billionths of a frame */
	uint8_t mac[6];
	uint64_t drops[SWITCH_NR_DROPS];
};

static struct model_port model[NR_PORTS];
static struct {
	uint8_t mac[6];
	uint16_t vlan;
	unsigned port;
	uint64_t seen_ns;
} learned[NR_LEARNED];
static unsigned nr_learned;
static uint64_t now_ns;

/* What the model expects of the frame just sent. */
static struct {
	bool reaches[NR_PORTS];
	uint8_t bytes[NR_PORTS][FRAME_MAX + 4];
	uint32_t size[NR_PORTS];
} expected;

static bool speaks_tagged(unsigned port, uint16_t vlan)
{
	if (!model[port].limited)
		return vlan != 0;
	for (unsigned i = 0; i < NR_VLANS; i++)
		if (vlans[i] == vlan)
			return model[port].tagged[i];
	return false;
}

static bool in_vlan(unsigned port, uint16_t vlan)
{
	int native = model[port].limited ? model[port].native : 0;

	return native == vlan || speaks_tagged(port, vlan);
}

static void model_forget(unsigned port)
{
	for (unsigned i = 0; i < nr_learned;)
		if (learned[i].port == port)
			learned[i] = learned[--nr_learned];
		else
			i++;
}

static int model_pinned(uint16_t vlan, const uint8_t *mac)
{
	for (unsigned p = 1; p < NR_PORTS; p++)
		if (model[p].present && in_vlan(p, vlan) &&
		    !memcmp(model[p].mac, mac, 6))
			return (int)p;
	return -1;
}

/* What is pinned is learned nowhere. */
static void model_unlearn(unsigned port)
{
	for (unsigned i = 0; i < nr_learned;)
		if (!memcmp(learned[i].mac, model[port].mac, 6) &&
		    in_vlan(port, learned[i].vlan))
			learned[i] = learned[--nr_learned];
		else
			i++;
}

static int model_find(uint16_t vlan, const uint8_t *mac)
{
	int port = model_pinned(vlan, mac);

	for (unsigned i = 0; port < 0 && i < nr_learned; i++)
		if (learned[i].vlan == vlan && !memcmp(learned[i].mac, mac, 6))
			port = (int)learned[i].port;
	return port;
}

static void model_learn(unsigned port, uint16_t vlan, const uint8_t *mac)
{
	unsigned i;

	if (model_pinned(vlan, mac) >= 0)
		return;
	for (i = 0; i < nr_learned; i++)
		if (learned[i].vlan == vlan && !memcmp(learned[i].mac, mac, 6))
			break;
	if (i == nr_learned)
		nr_learned++;
	memcpy(learned[i].mac, mac, 6);
	learned[i].vlan = vlan;
	learned[i].port = port;
	learned[i].seen_ns = now_ns;
}

static void model_age(void)
{
	for (unsigned i = 0; i < nr_learned;)
		if (now_ns - learned[i].seen_ns >= SWITCH_AGE_NS)
			learned[i] = learned[--nr_learned];
		else
			i++;
}

static void refill(struct model_port *p)
{
	uint64_t most = p->storm >= 8 ? p->storm / 4 : 1;
	unsigned __int128 level = p->level;

	level += (unsigned __int128)(now_ns - p->at_ns) * p->storm;
	most *= NS_PER_S;
	p->level = level > most ? most : (uint64_t)level;
	p->at_ns = now_ns;
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* tag: -1 none, else the VLAN in the tag. */
static void expect(unsigned port, const uint8_t *frame, uint32_t size, int tag,
		   uint16_t vlan)
{
	bool bare = (model[port].limited ? model[port].native : 0) == vlan;
	uint8_t *out = expected.bytes[port];

	expected.reaches[port] = true;
	if (!vlan || (bare && tag < 0) || (!bare && tag > 0)) {
		memcpy(out, frame, size);
		expected.size[port] = size;
	} else if (bare) {
		memcpy(out, frame, 12);
		memcpy(out + 12, frame + 16, size - 16);
		expected.size[port] = size - 4;
	} else if (tag < 0) {
		memcpy(out, frame, 12);
		put16(out + 12, 0x8100);
		put16(out + 14, vlan);
		memcpy(out + 16, frame + 12, size - 12);
		expected.size[port] = size + 4;
	} else {
		memcpy(out, frame, size);
		put16(out + 14, (unsigned)(frame[14] & 0xf0) << 8 | vlan);
		expected.size[port] = size;
	}
}

static void model_drop(unsigned port, enum switch_drop why)
{
	model[port].drops[why]++;
}

static bool never_allowed(const uint8_t *frame)
{
	static const uint8_t none[6], local[5] = { 1, 0x80, 0xc2, 0, 0 };

	return frame[6] & 1 || !memcmp(frame, none, 6) ||
	       !memcmp(frame + 6, none, 6) ||
	       (!memcmp(frame, local, 5) && frame[5] < 16);
}

/* Which tag the frame has: -1 none, -2 a bad one. */
static int tag_of(const uint8_t *frame, uint32_t size)
{
	unsigned inner, vlan;

	if (frame[12] != 0x81 || frame[13])
		return -1;
	if (size < 18)
		return -2;
	vlan = (unsigned)(frame[14] & 15) << 8 | frame[15];
	inner = (unsigned)frame[16] << 8 | frame[17];
	if (vlan == 4095 || (!vlan && (inner == 0x8100 || inner == 0x88a8)))
		return -2;
	return (int)vlan;
}

static void model_flood(unsigned from, const uint8_t *frame, uint32_t size,
			int tag, uint16_t vlan)
{
	struct model_port *p = &model[from];

	if (p->storm) {
		refill(p);
		if (p->level < NS_PER_S) {
			model_drop(from, SWITCH_DROP_STORM);
			return;
		}
		p->level -= NS_PER_S;
	}
	for (unsigned i = 0; i < NR_PORTS; i++)
		if (i != from && model[i].present && in_vlan(i, vlan) &&
		    !(p->isolated && model[i].isolated))
			expect(i, frame, size, tag, vlan);
}

static void model_send(unsigned from, const uint8_t *frame, uint32_t size)
{
	struct model_port *p = &model[from];
	int tag = tag_of(frame, size), vlan, to = -1;

	memset(&expected.reaches, 0, sizeof(expected.reaches));
	model_age();
	if (never_allowed(frame)) {
		model_drop(from, SWITCH_DROP_ADDRESS);
		return;
	}
	vlan = tag > 0 ? tag : p->limited ? p->native : 0;
	if (tag == -2 || vlan < 0 ||
	    (tag > 0 && !speaks_tagged(from, (uint16_t)tag))) {
		model_drop(from, SWITCH_DROP_VLAN);
		return;
	}
	model_learn(from, (uint16_t)vlan, frame + 6);
	if (!(frame[0] & 1))
		to = model_find((uint16_t)vlan, frame);
	if (to < 0)
		model_flood(from, frame, size, tag, (uint16_t)vlan);
	else if ((unsigned)to != from && p->isolated && model[to].isolated)
		model_drop(from, SWITCH_DROP_ISOLATED);
	else if ((unsigned)to != from)
		expect((unsigned)to, frame, size, tag, (uint16_t)vlan);
}

/* ---- the switch -------------------------------------------------------- */

struct real_port {
	struct switch_port port;
	bool full; /* takes nothing */
	unsigned nr;
	uint8_t bytes[FRAME_MAX + 4];
	uint32_t size;
};

static struct vswitch *sw;
static struct real_port real[NR_PORTS];

static int real_deliver(struct switch_port *port, const struct frame *frame)
{
	struct real_port *p = container_of(port, struct real_port, port);
	struct frame_cursor at = { 0 };

	p->nr++;
	p->size = frame->size_bytes;
	if (p->size <= sizeof(p->bytes))
		frame_copy_out(frame, &at, (void PV_SHARED *)p->bytes, p->size);
	return p->full ? -ENOBUFS : 0;
}

static void real_flush(struct switch_port *port)
{
	(void)port;
}

static const struct switch_port_ops real_ops = {
	.deliver = real_deliver,
	.flush = real_flush,
};

/* The frame with a head of some length, the rest in two parts. */
static unsigned real_send(unsigned from, const uint8_t *frame, uint32_t size)
{
	struct frame f = { .size_bytes = size };
	uint32_t rest, cut;

	f.head_bytes = size < 18 ? size : 18 + rnd(size - 17);
	if (f.head_bytes > PACKET_HEAD_MAX)
		f.head_bytes = PACKET_HEAD_MAX;
	memcpy(f.head, frame, f.head_bytes);
	rest = size - f.head_bytes;
	cut = rest > 1 ? 1 + rnd(rest - 1) : rest;
	if (cut)
		f.parts[f.nr_parts++] = (struct frame_part){
			(const void PV_SHARED *)(frame + f.head_bytes), cut
		};
	if (rest > cut)
		f.parts[f.nr_parts++] = (struct frame_part){
			(const void PV_SHARED *)(frame + size - rest + cut),
			rest - cut
		};
	return switch_forward(&real[from].port, &f, now_ns);
}

/* ---- steps ------------------------------------------------------------- */

static const uint8_t special[][6] = {
	{ 255, 255, 255, 255, 255, 255 },
	{ 0x33, 0x33, 0, 0, 0, 1 },
	{ 1, 0x80, 0xc2, 0, 0, 14 },
	{ 0 },
};
#define NR_SPECIAL (unsigned)ARRAY_SIZE(special)

/* The first ones nobody has; port p's own is number NR_SPECIAL + p. */
static void a_mac(uint8_t *out, unsigned nr)
{
	if (nr < NR_SPECIAL)
		memcpy(out, special[nr], 6);
	else
		memcpy(out, (uint8_t[6]){ 2, 0, 0, 0, 0, (uint8_t)nr }, 6);
}

static uint32_t a_frame(uint8_t *frame)
{
	uint32_t size = 14 + rnd(rnd(2) ? FRAME_MAX - 14 : 60);

	for (uint32_t i = 12; i < size; i++)
		frame[i] = (uint8_t)rnd(256);
	a_mac(frame, rnd(NR_MACS));
	/* Sources that cannot be are rare, so that there is some traffic. */
	a_mac(frame + 6, rnd(20) ? NR_SPECIAL + rnd(NR_MACS - NR_SPECIAL)
				 : rnd(NR_SPECIAL));
	put16(frame + 12, rnd(2) ? 0x0800 : 0x8100);
	if (frame[12] != 0x81 || size < 16)
		return size;
	put16(frame + 14, rnd(16) << 12 | vlans[rnd(NR_VLANS)]);
	if (!rnd(16))
		put16(frame + 14, rnd(2) ? 4095 : 77);
	if (size >= 18)
		put16(frame + 16, rnd(6) ? 0x86dd : rnd(2) ? 0x8100 : 0x88a8);
	return size;
}

static void change_rules(unsigned port)
{
	struct model_port *m = &model[port];
	struct switch_rules rules = { .isolated = m->isolated = !rnd(3) };
	uint32_t storm = rnd(3) ? 0 : 1 + rnd(40);

	m->limited = rnd(3);
	m->native = rnd(4) ? vlans[rnd(NR_VLANS)] : -1;
	rules.vlans.limited = m->limited;
	rules.vlans.native = m->native < 0 ? VLAN_NONE : (uint16_t)m->native;
	for (unsigned i = 0; i < NR_VLANS; i++) {
		m->tagged[i] = vlans[i] && !rnd(2);
		if (m->tagged[i])
			rules.vlans.tagged[vlans[i] / 64] |= UINT64_C(1)
							     << vlans[i] % 64;
	}
	if (m->storm)
		refill(m);
	else
		m->level = 0;
	m->storm = storm;
	m->at_ns = now_ns;
	if (storm)
		refill(m);
	rules.storm_per_s = storm;
	switch_set_rules(&real[port].port, &rules, now_ns);
	model_forget(port);
	if (m->present)
		model_unlearn(port);
}

/* A port goes, or comes with an address that may have been learned. */
static void plug(unsigned port)
{
	struct model_port *m = &model[port];

	m->present = !m->present;
	if (!m->present) {
		switch_remove(&real[port].port);
		model_forget(port);
		return;
	}
	a_mac(m->mac, NR_SPECIAL + port);
	memcpy(real[port].port.mac, m->mac, 6);
	switch_add(sw, &real[port].port);
	model_unlearn(port);
}

static bool as_expected(unsigned nr_taken)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_PORTS; i++) {
		const struct real_port *r = &real[i];

		if (r->nr != expected.reaches[i] ||
		    memcmp(r->port.drops, model[i].drops,
			   sizeof(model[i].drops)))
			return false;
		nr += r->nr && !r->full;
		if (r->nr && (r->size != expected.size[i] ||
			      memcmp(r->bytes, expected.bytes[i], r->size)))
			return false;
	}
	return nr == nr_taken;
}

static bool send_one(void)
{
	uint8_t frame[FRAME_MAX];
	uint32_t size = a_frame(frame);
	unsigned from, nr_taken;

	do
		from = rnd(NR_PORTS);
	while (!model[from].present);
	for (unsigned i = 0; i < NR_PORTS; i++) {
		real[i].nr = 0;
		real[i].full = !rnd(10);
	}
	model_send(from, frame, size);
	nr_taken = real_send(from, frame, size);
	return as_expected(nr_taken);
}

static bool step(void)
{
	uint32_t what = rnd(200);

	now_ns += rnd(8) ? rnd(20000000) : rnd(2000000000);
	if (what == 0)
		now_ns += SWITCH_AGE_NS / 2 + rnd(3) * (SWITCH_AGE_NS / 4);
	else if (what < 6)
		change_rules(rnd(NR_PORTS));
	else if (what < 10)
		plug(1 + rnd(NR_PORTS - 1));
	else
		return send_one();
	return true;
}

static bool run(uint32_t seed)
{
	bool ok = true;

	random_state = seed;
	now_ns = NS_PER_S;
	nr_learned = 0;
	memset(model, 0, sizeof(model));
	memset(real, 0, sizeof(real));
	if (switch_open(&sw))
		return false;
	for (unsigned i = 0; i < NR_PORTS; i++) {
		real[i].port.ops = &real_ops;
		real[i].port.uplink = i == 0;
		if (i)
			plug(i);
	}
	model[0].present = true;
	switch_add(sw, &real[0].port);
	for (unsigned i = 0; ok && i < STEPS; i++) {
		ok = step();
		if (!ok)
			fprintf(stderr, "seed %u, step %u\n", seed, i);
	}
	for (unsigned i = 0; i < NR_PORTS; i++)
		switch_remove(&real[i].port);
	switch_close(sw);
	return ok;
}

static void does_what_the_model_does(void)
{
	unsigned nr = soak_rounds(400, 100000);

	for (uint32_t seed = 1; seed <= nr; seed++)
		UNIT_REQUIRE(run(seed));
}

UNIT_MAIN("net_switch_model", UNIT_TEST(does_what_the_model_does))
