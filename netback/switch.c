/* SPDX-License-Identifier: MIT */
/*
 * switch.c - the learning switch of switch.h. Ports are vif queues (queue.c)
 * and the uplink (uplink.c). Data thread.
 */
#include "netback/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SETS 256u
#define WAYS 4u

struct entry {
	uint8_t mac[PACKET_MAC_BYTES];
	struct switch_port *port; /* NULL: free */
	uint64_t seen_ns;
};

struct vswitch {
	struct list ports;
	struct list dirty;	/* ports to flush */
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

static unsigned hash(const struct vswitch *sw, const uint8_t *mac)
{
	uint64_t h = 0;

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

void switch_add(struct vswitch *sw, struct switch_port *port)
{
	port->sw = sw;
	port->nr_learned = 0;
	list_init(&port->dirty);
	list_add_tail(&sw->ports, &port->link);
	list_init(&port->pin);
	if (!is_zero(port->mac))
		list_add_tail(&sw->pins[hash(sw, port->mac)], &port->pin);
}

void switch_remove(struct switch_port *port)
{
	struct vswitch *sw = port->sw;

	if (!sw)
		return;
	list_del(&port->link);
	list_del(&port->dirty);
	list_del(&port->pin);
	for (unsigned s = 0; s < SETS; s++)
		for (unsigned w = 0; w < WAYS; w++)
			if (sw->table[s][w].port == port)
				sw->table[s][w].port = NULL;
	port->sw = NULL;
}

static struct switch_port *pinned(struct vswitch *sw, const uint8_t *mac)
{
	list_for_each(l, &sw->pins[hash(sw, mac)]) {
		struct switch_port *port =
			container_of(l, struct switch_port, pin);

		if (!memcmp(port->mac, mac, PACKET_MAC_BYTES))
			return port;
	}
	return NULL;
}

static void entry_free(struct entry *e)
{
	if (e->port)
		e->port->nr_learned--;
	e->port = NULL;
}

static struct entry *entry_find(struct vswitch *sw, const uint8_t *mac,
				uint64_t now_ns)
{
	struct entry *set = sw->table[hash(sw, mac)];

	for (unsigned w = 0; w < WAYS; w++) {
		struct entry *e = &set[w];

		if (!e->port || memcmp(e->mac, mac, PACKET_MAC_BYTES))
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

static void learn(struct vswitch *sw, struct switch_port *from,
		  const uint8_t *mac, uint64_t now_ns)
{
	struct entry *e = entry_find(sw, mac, now_ns);

	if (e && e->port == from) {
		e->seen_ns = now_ns;
		return;
	}
	if (pinned(sw, mac))
		return;
	if (!from->uplink && from->nr_learned >= SWITCH_LEARNED_MAX)
		return;
	if (!e)
		e = entry_oldest(sw->table[hash(sw, mac)]);
	entry_free(e);
	memcpy(e->mac, mac, PACKET_MAC_BYTES);
	e->port = from;
	e->seen_ns = now_ns;
	from->nr_learned++;
}

struct switch_port *switch_lookup(struct vswitch *sw, const uint8_t *mac,
				  uint64_t now_ns)
{
	struct switch_port *port = pinned(sw, mac);
	struct entry *e;

	if (port)
		return port;
	e = entry_find(sw, mac, now_ns);
	return e ? e->port : NULL;
}

static void deliver(struct vswitch *sw, struct switch_port *to,
		    const struct frame *frame)
{
	if (to->ops->deliver(to, frame))
		return;
	if (list_empty(&to->dirty))
		list_add_tail(&sw->dirty, &to->dirty);
}

void switch_forward(struct switch_port *from, const struct frame *frame,
		    uint64_t now_ns)
{
	struct vswitch *sw = from->sw;
	const uint8_t *dst = frame->head, *src = dst + PACKET_MAC_BYTES;
	struct switch_port *to = NULL;

	if (is_multicast(src) || is_zero(src) || is_zero(dst) ||
	    is_link_local(dst)) {
		sw->stats.nr_dropped++;
		return;
	}
	if (memcmp(src, from->mac, PACKET_MAC_BYTES))
		learn(sw, from, src, now_ns);
	if (!is_multicast(dst))
		to = switch_lookup(sw, dst, now_ns);
	if (to) {
		sw->stats.nr_unicast++;
		if (to != from)
			deliver(sw, to, frame);
		return;
	}
	sw->stats.nr_flooded++;
	/* A port that breaks while it takes the frame leaves the list. */
	list_for_each_safe(l, next, &sw->ports) {
		struct switch_port *port =
			container_of(l, struct switch_port, link);

		if (port != from)
			deliver(sw, port, frame);
	}
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
