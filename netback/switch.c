/* SPDX-License-Identifier: MIT */
/*
 * switch.c - the learning switch of switch.h: who is where, and who may hear
 * what. Ports are vif queues (queue.c) and the uplink (uplink.c); tag.c writes
 * VLAN tags. Data thread.
 */
#include "netback/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "netback/tag.h"
#include "util/num.h"

#define SETS 256u
#define WAYS 4u

struct entry {
	uint8_t mac[PACKET_MAC_BYTES];
	uint16_t vlan;
	struct switch_port *port; /* NULL: free */
	uint64_t seen_ns;
};

struct vswitch {
	struct list ports;
	struct list dirty; /* ports to flush */
	struct list mirrors;
	struct list pins[SETS]; /* ports by their pinned address */
	uint64_t key;
	struct switch_stats stats;
	struct entry table[SETS][WAYS];
};

int switch_open(struct vswitch **ret)
{
	struct vswitch *sw = calloc(1, sizeof(*sw));

	if (!sw)
		return -ENOMEM;
	list_init(&sw->ports);
	list_init(&sw->dirty);
	list_init(&sw->mirrors);
	for (unsigned s = 0; s < SETS; s++)
		list_init(&sw->pins[s]);
	if (getrandom(&sw->key, sizeof(sw->key), 0) != sizeof(sw->key)) {
		free(sw);
		return -EIO;
	}
	*ret = sw;
	return 0;
}

void switch_close(struct vswitch *sw)
{
	free(sw);
}

static unsigned hash(const struct vswitch *sw, uint16_t vlan,
		     const uint8_t *mac)
{
	uint64_t h = (uint64_t)vlan << 48;

	memcpy(&h, mac, PACKET_MAC_BYTES);
	h = (h ^ sw->key) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
	return (h >> 32) % SETS;
}

static bool is_multicast(const uint8_t *mac)
{
	return mac[0] & 1;
}

static bool is_zero(const uint8_t *mac)
{
	static const uint8_t zero[PACKET_MAC_BYTES];

	return !memcmp(mac, zero, PACKET_MAC_BYTES);
}

/* 01:80:c2:00:00:0x: between neighbours only, no bridge passes it on. */
static bool is_link_local(const uint8_t *mac)
{
	static const uint8_t prefix[] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

	return !memcmp(mac, prefix, sizeof(prefix)) && mac[5] < 0x10;
}

/* ---- ports ------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
	if (e->port)
		e->port->nr_learned--;
	e->port = NULL;
}

static void forget_port(const struct switch_port *port)
{
	struct vswitch *sw = port->sw;

	for (unsigned s = 0; s < SETS; s++)
		for (unsigned w = 0; w < WAYS; w++)
			if (sw->table[s][w].port == port)
				entry_free(&sw->table[s][w]);
}

/* What is pinned now is nobody else's. */
static void forget_pinned(const struct switch_port *port)
{
	struct vswitch *sw = port->sw;

	for (unsigned s = 0; s < SETS; s++)
		for (unsigned w = 0; w < WAYS; w++) {
			struct entry *e = &sw->table[s][w];

			if (!memcmp(e->mac, port->mac, PACKET_MAC_BYTES) &&
			    vlan_has(&port->rules.vlans, e->vlan))
				entry_free(e);
		}
}

void switch_add(struct vswitch *sw, struct switch_port *port)
{
	port->sw = sw;
	port->nr_learned = 0;
	list_init(&port->dirty);
	list_add_tail(&sw->ports, &port->link);
	list_init(&port->pin);
	if (is_zero(port->mac))
		return;
	list_add_tail(&sw->pins[hash(sw, 0, port->mac)], &port->pin);
	forget_pinned(port);
}

void switch_remove(struct switch_port *port)
{
	if (!port->sw)
		return;
	list_del(&port->link);
	list_del(&port->dirty);
	list_del(&port->pin);
	forget_port(port);
	port->sw = NULL;
}

void switch_set_rules(struct switch_port *port,
		      const struct switch_rules *rules, uint64_t now_ns)
{
	uint32_t burst = rules->storm_per_s / 4;

	port->rules = *rules;
	bucket_set(&port->storm, rules->storm_per_s, burst ? burst : 1, now_ns);
	if (!port->sw)
		return;
	forget_port(port);
	forget_pinned(port);
}

void switch_mirror(struct switch_port *port, bool all,
		   struct switch_mirror *mirror)
{
	mirror->port = port;
	mirror->all = all;
	list_add_tail(&port->sw->mirrors, &mirror->link);
}

/* A frame on its way through port; comes: from it. */
static void show(const struct vswitch *sw, const struct switch_port *port,
		 bool comes, const struct frame *frame)
{
	list_for_each(l, &sw->mirrors) {
		struct switch_mirror *m =
			container_of(l, struct switch_mirror, link);

		if (m->all ? comes : m->port == port)
			m->see(m, frame);
	}
}

/* ---- addresses --------------------------------------------------------- */

static struct switch_port *pinned(struct vswitch *sw, uint16_t vlan,
				  const uint8_t *mac)
{
	list_for_each(l, &sw->pins[hash(sw, 0, mac)]) {
		struct switch_port *port =
			container_of(l, struct switch_port, pin);

		if (!memcmp(port->mac, mac, PACKET_MAC_BYTES) &&
		    vlan_has(&port->rules.vlans, vlan))
			return port;
	}
	return NULL;
}

static struct entry *entry_find(struct vswitch *sw, uint16_t vlan,
				const uint8_t *mac, uint64_t now_ns)
{
	struct entry *set = sw->table[hash(sw, vlan, mac)];

	for (unsigned w = 0; w < WAYS; w++) {
		struct entry *e = &set[w];

		if (!e->port || e->vlan != vlan ||
		    memcmp(e->mac, mac, PACKET_MAC_BYTES))
			continue;
		if (now_ns - e->seen_ns < SWITCH_AGE_NS)
			return e;
		entry_free(e);
	}
	return NULL;
}

static struct entry *entry_oldest(struct entry *set)
{
	struct entry *oldest = &set[0];

	for (unsigned w = 0; w < WAYS; w++) {
		if (!set[w].port)
			return &set[w];
		if (set[w].seen_ns < oldest->seen_ns)
			oldest = &set[w];
	}
	return oldest;
}

static void learn(struct switch_port *from, uint16_t vlan, const uint8_t *mac,
		  uint64_t now_ns)
{
	struct vswitch *sw = from->sw;
	struct entry *e = entry_find(sw, vlan, mac, now_ns);

	if (e && e->port == from) {
		e->seen_ns = now_ns;
		return;
	}
	if (pinned(sw, vlan, mac))
		return;
	if (!from->uplink && from->nr_learned >= SWITCH_LEARNED_MAX)
		return;
	if (!e)
		e = entry_oldest(sw->table[hash(sw, vlan, mac)]);
	entry_free(e);
	memcpy(e->mac, mac, PACKET_MAC_BYTES);
	e->vlan = vlan;
	e->port = from;
	e->seen_ns = now_ns;
	from->nr_learned++;
}

struct switch_port *switch_lookup(struct vswitch *sw, uint16_t vlan,
				  const uint8_t *mac, uint64_t now_ns)
{
	struct switch_port *port = pinned(sw, vlan, mac);
	struct entry *e;

	if (port)
		return port;
	e = entry_find(sw, vlan, mac, now_ns);
	return e ? e->port : NULL;
}

/* ---- a frame's way ----------------------------------------------------- */

/* A frame and its VLAN; with a tag and without, the other form when needed. */
struct passage {
	const struct frame *frame;
	enum tag_kind tag;
	uint16_t vlan;
	const struct frame *bare, *tagged; /* NULL: not made yet */
	struct frame made[2];
};

static unsigned drop(struct switch_port *from, enum switch_drop why)
{
	from->drops[why]++;
	from->sw->stats.nr_dropped++;
	return 0;
}

static bool enter(struct passage *p, const struct switch_port *from,
		  const struct frame *frame)
{
	int tag = tag_read(frame, &p->vlan);

	if (tag < 0)
		return false;
	p->frame = frame;
	p->tag = (enum tag_kind)tag;
	p->bare = tag == TAG_NONE ? frame : NULL;
	p->tagged = tag == TAG_VLAN ? frame : NULL;
	if (tag == TAG_VLAN)
		return vlan_is_tagged(&from->rules.vlans, p->vlan);
	p->vlan = vlan_native(&from->rules.vlans);
	return p->vlan != VLAN_NONE;
}

static const struct frame *bare_form(struct passage *p)
{
	if (!p->bare) {
		p->made[0] = *p->frame;
		tag_pop(&p->made[0]);
		p->bare = &p->made[0];
	}
	return p->bare;
}

/* NULL: too large with a tag. */
static const struct frame *tagged_form(struct passage *p)
{
	struct frame *made = &p->made[1];

	if (p->tagged)
		return p->tagged;
	*made = *p->frame;
	if (p->tag == TAG_PRIORITY)
		tag_set(made, p->vlan);
	else if (!tag_push(made, p->vlan))
		return NULL;
	p->tagged = made;
	return made;
}

static unsigned deliver(struct passage *p, struct switch_port *to)
{
	struct vswitch *sw = to->sw;
	const struct frame *frame = p->frame;

	if (p->vlan)
		frame = vlan_native(&to->rules.vlans) == p->vlan
				? bare_form(p)
				: tagged_form(p);
	if (!frame || to->ops->deliver(to, frame))
		return 0;
	if (list_empty(&to->dirty))
		list_add_tail(&sw->dirty, &to->dirty);
	show(sw, to, false, frame);
	return 1;
}

static bool apart(const struct switch_port *a, const struct switch_port *b)
{
	return a->rules.isolated && b->rules.isolated;
}

static unsigned flood(struct passage *p, struct switch_port *from,
		      uint64_t now_ns)
{
	struct vswitch *sw = from->sw;
	unsigned nr = 0;

	if (from->rules.storm_per_s) {
		if (!bucket_available(&from->storm, now_ns))
			return drop(from, SWITCH_DROP_STORM);
		bucket_take(&from->storm, 1, now_ns);
	}
	sw->stats.nr_flooded++;
	/* A port that breaks while it takes the frame leaves the list. */
	list_for_each_safe(l, next, &sw->ports) {
		struct switch_port *port =
			container_of(l, struct switch_port, link);

		if (port != from && vlan_has(&port->rules.vlans, p->vlan) &&
		    !apart(port, from))
			nr += deliver(p, port);
	}
	return nr;
}

unsigned switch_forward(struct switch_port *from, const struct frame *frame,
			uint64_t now_ns)
{
	const uint8_t *dst = frame->head, *src = dst + PACKET_MAC_BYTES;
	struct switch_port *to = NULL;
	struct passage p;

	show(from->sw, from, true, frame);
	if (is_multicast(src) || is_zero(src) || is_zero(dst) ||
	    is_link_local(dst))
		return drop(from, SWITCH_DROP_ADDRESS);
	if (!enter(&p, from, frame))
		return drop(from, SWITCH_DROP_VLAN);
	if (!filter_passes(&from->rules.filter, from->mac, frame))
		return drop(from, SWITCH_DROP_SPOOF);
	if (memcmp(src, from->mac, PACKET_MAC_BYTES))
		learn(from, p.vlan, src, now_ns);
	if (!is_multicast(dst))
		to = switch_lookup(from->sw, p.vlan, dst, now_ns);
	if (!to)
		return flood(&p, from, now_ns);
	if (apart(to, from) && to != from)
		return drop(from, SWITCH_DROP_ISOLATED);
	from->sw->stats.nr_unicast++;
	return to == from ? 0 : deliver(&p, to);
}

void switch_flush(struct vswitch *sw)
{
	while (!list_empty(&sw->dirty)) {
		struct switch_port *port =
			container_of(sw->dirty.next, struct switch_port, dirty);

		list_del(&port->dirty);
		port->ops->flush(port);
	}
}

struct switch_stats switch_stats(const struct vswitch *sw)
{
	return sw->stats;
}

const char *switch_drop_name(enum switch_drop why)
{
	static const char *const names[SWITCH_NR_DROPS] = {
		[SWITCH_DROP_ADDRESS] = "address",
		[SWITCH_DROP_VLAN] = "vlan",
		[SWITCH_DROP_SPOOF] = "spoof",
		[SWITCH_DROP_STORM] = "storm",
		[SWITCH_DROP_ISOLATED] = "isolated",
	};

	return (unsigned)why < ARRAY_SIZE(names) ? names[why] : NULL;
}
