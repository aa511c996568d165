/* SPDX-License-Identifier: MIT */
/*
 * switch.c - the learning switch of switch.h: who is where, and who may hear
 * what. Ports are vif queues (queue.c) and the uplink (uplink.c); tag.c writes
 * VLAN tags. Data thread.
 *
 * Most frames go where one before went. So there is a table of routes in front
 * of pins and learned addresses: what a look at those said. A route is good
 * until anything is pinned, learned anew or forgotten (the generation), or
 * until the entry it came from is too old.
 */
#include "netback/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "netback/tag.h"
#include "util/num.h"

#define SETS   256u
#define WAYS   4u
#define ROUTES 64u

#define KEY_MAC	       0x0000ffffffffffffull
#define KEY_MULTICAST  0x1u
#define KEY_VLAN_SHIFT 48

struct entry {
	uint64_t key;
	struct switch_port *port; /* NULL: free */
	uint64_t seen_ns;
};

struct route {
	uint64_t key, generation, until_ns;
	struct switch_port *to; /* NULL: to all */
};

struct vswitch {
	struct list ports;
	struct list dirty; /* ports to flush */
	struct list mirrors;
	struct list pins[SETS]; /* ports by their pinned address */
	uint64_t hash_key;
	uint64_t generation; /* of routes; from 1 on */
	struct switch_stats stats;
	struct route routes[ROUTES];
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
	if (getrandom(&sw->hash_key, sizeof(sw->hash_key), 0) !=
	    sizeof(sw->hash_key)) {
		free(sw);
		return -EIO;
	}
	sw->generation = 1;
	*ret = sw;
	return 0;
}

void switch_close(struct vswitch *sw)
{
	free(sw);
}

/* An address in a VLAN as one number: lowest byte first. */
static uint64_t key_of(uint16_t vlan, const uint8_t *mac)
{
	uint32_t low;
	uint16_t high;

	memcpy(&low, mac, sizeof(low));
	memcpy(&high, mac + sizeof(low), sizeof(high));
	return low | (uint64_t)high << 32 | (uint64_t)vlan << KEY_VLAN_SHIFT;
}

static uint16_t vlan_of(uint64_t key)
{
	return (uint16_t)(key >> KEY_VLAN_SHIFT);
}

static uint32_t hash(const struct vswitch *sw, uint64_t key)
{
	uint64_t h = (key ^ sw->hash_key) * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(h >> 32);
}

static struct entry *set_of(struct vswitch *sw, uint64_t key)
{
	return sw->table[hash(sw, key) % SETS];
}

static struct list *pins_of(struct vswitch *sw, uint64_t key)
{
	return &sw->pins[hash(sw, key & KEY_MAC) % SETS];
}

/* 01:80:c2:00:00:0x: between neighbours only, no bridge passes it on. */
static bool is_link_local(uint64_t mac_key)
{
	return (mac_key & 0xf0ffffffffffull) == 0x0000c28001ull;
}

/* ---- ports ------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
	if (!e->port)
		return;
	e->port->nr_learned--;
	e->port->sw->generation++;
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

			if ((e->key & KEY_MAC) == port->mac_key &&
			    vlan_has(&port->rules.vlans, vlan_of(e->key)))
				entry_free(e);
		}
}

void switch_add(struct vswitch *sw, struct switch_port *port)
{
	port->sw = sw;
	port->mac_key = key_of(0, port->mac);
	port->nr_learned = 0;
	list_init(&port->dirty);
	list_add_tail(&sw->ports, &port->link);
	list_init(&port->pin);
	if (!port->mac_key)
		return;
	list_add_tail(pins_of(sw, port->mac_key), &port->pin);
	sw->generation++;
	forget_pinned(port);
}

void switch_remove(struct switch_port *port)
{
	if (!port->sw)
		return;
	list_del(&port->link);
	list_del(&port->dirty);
	list_del(&port->pin);
	port->sw->generation++;
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
	port->sw->generation++;
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

static struct switch_port *pinned(struct vswitch *sw, uint64_t key)
{
	struct list *pins = pins_of(sw, key);

	list_for_each(l, pins) {
		struct switch_port *port =
			container_of(l, struct switch_port, pin);

		if (port->mac_key == (key & KEY_MAC) &&
		    vlan_has(&port->rules.vlans, vlan_of(key)))
			return port;
	}
	return NULL;
}

static struct entry *entry_find(struct vswitch *sw, uint64_t key,
				uint64_t now_ns)
{
	struct entry *set = set_of(sw, key);

	for (unsigned w = 0; w < WAYS; w++) {
		struct entry *e = &set[w];

		if (!e->port || e->key != key)
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

static void learn(struct switch_port *from, uint64_t key, uint64_t now_ns)
{
	struct vswitch *sw = from->sw;
	struct entry *e = entry_find(sw, key, now_ns);

	if (e && e->port == from) {
		e->seen_ns = now_ns;
		return;
	}
	if (pinned(sw, key))
		return;
	if (!from->uplink && from->nr_learned >= SWITCH_LEARNED_MAX)
		return;
	if (!e)
		e = entry_oldest(set_of(sw, key));
	entry_free(e);
	e->key = key;
	e->port = from;
	e->seen_ns = now_ns;
	from->nr_learned++;
	sw->generation++;
}

/* A route's port, and until when it is that one. */
static struct switch_port *find(struct vswitch *sw, uint64_t key,
				uint64_t now_ns, uint64_t *ret_until_ns)
{
	struct switch_port *port = pinned(sw, key);
	struct entry *e;

	*ret_until_ns = UINT64_MAX;
	if (port)
		return port;
	e = entry_find(sw, key, now_ns);
	if (!e)
		return NULL;
	*ret_until_ns = e->seen_ns + SWITCH_AGE_NS;
	return e->port;
}

static struct switch_port *route(struct vswitch *sw, uint64_t key,
				 uint64_t now_ns)
{
	struct route *r = &sw->routes[hash(sw, key) % ROUTES];

	if (r->key == key && r->generation == sw->generation &&
	    now_ns < r->until_ns)
		return r->to;
	r->to = find(sw, key, now_ns, &r->until_ns);
	r->key = key;
	/* The look itself may have freed an entry: last. */
	r->generation = sw->generation;
	return r->to;
}

struct switch_port *switch_lookup(struct vswitch *sw, uint16_t vlan,
				  const uint8_t *mac, uint64_t now_ns)
{
	return route(sw, key_of(vlan, mac), now_ns);
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
	uint64_t dst = key_of(0, frame->head);
	uint64_t src = key_of(0, frame->head + PACKET_MAC_BYTES), vlan;
	struct switch_port *to = NULL;
	struct passage p;

	show(from->sw, from, true, frame);
	if (from->rules.down)
		return drop(from, SWITCH_DROP_LINK);
	if (src & KEY_MULTICAST || !src || !dst || is_link_local(dst))
		return drop(from, SWITCH_DROP_ADDRESS);
	if (!enter(&p, from, frame))
		return drop(from, SWITCH_DROP_VLAN);
	if (!filter_passes(&from->rules.filter, from->mac, frame))
		return drop(from, SWITCH_DROP_SPOOF);
	vlan = (uint64_t)p.vlan << KEY_VLAN_SHIFT;
	if (src != from->mac_key)
		learn(from, src | vlan, now_ns);
	if (!(dst & KEY_MULTICAST))
		to = route(from->sw, dst | vlan, now_ns);
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
		[SWITCH_DROP_LINK] = "link",
	};

	return (unsigned)why < ARRAY_SIZE(names) ? names[why] : NULL;
}
