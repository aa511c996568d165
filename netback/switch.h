/* SPDX-License-Identifier: MIT */
/*
 * switch.h - a learning Ethernet switch between vifs and one uplink.
 *
 * A frame goes from its sender's memory straight into its receivers': deliver()
 * copies it, once for each. Nothing is queued in here. A port without room
 * drops the frame and counts it.
 *
 * Addresses: the one that the toolstack gave a vif is pinned to its port and
 * no other port can take it. All others are learned, at most
 * SWITCH_LEARNED_MAX for each port, forgotten after SWITCH_AGE_NS, and move
 * with the port that was last seen to use them. The table has a fixed size; its
 * hash is keyed, so that nobody can aim at somebody's place in it.
 *
 * Thread: the data thread. Logs: never.
 */
#ifndef NETBACK_SWITCH_H
#define NETBACK_SWITCH_H

#include "netback/frame.h"
#include "util/list.h"

#define SWITCH_AGE_NS	   (300 * 1000000000ull)
#define SWITCH_LEARNED_MAX 128u

struct vswitch;
struct switch_port;

struct switch_port_ops {
	/*
	 * Copy the frame into the port. Returns 0, or -errno when it was
	 * dropped (the port counts it).
	 */
	int (*deliver)(struct switch_port *port, const struct frame *frame);
	/* Frames were delivered since the last flush: tell the other side. */
	void (*flush)(struct switch_port *port);
};

/* The owner embeds this. ops, mac and uplink are the owner's. */
struct switch_port {
	const struct switch_port_ops *ops;
	uint8_t mac[PACKET_MAC_BYTES]; /* pinned; all zero: none */
	bool uplink; /* a whole network behind it: may fill the table */
	/* the switch's: */
	struct vswitch *sw;
	struct list link, pin, dirty;
	uint32_t nr_learned;
};

struct switch_stats {
	uint64_t nr_unicast, nr_flooded;
	uint64_t
		nr_dropped; /* a source or destination that no frame may have */
};

int switch_open(struct vswitch **ret) PV_MUST_CHECK;
void switch_close(struct vswitch *sw); /* no ports left. NULL is fine */

void switch_add(struct vswitch *sw, struct switch_port *port);
void switch_remove(struct switch_port *port); /* idempotent */

/* Send a frame that came from port from to where it belongs. */
void switch_forward(struct switch_port *from, const struct frame *frame,
		    uint64_t now_ns);
/* Flush every port that something was delivered to. */
void switch_flush(struct vswitch *sw);

/* The port behind mac, or NULL when it is not known (any more). */
struct switch_port *switch_lookup(struct vswitch *sw, const uint8_t *mac,
				  uint64_t now_ns);
struct switch_stats switch_stats(const struct vswitch *sw);

#endif /* NETBACK_SWITCH_H */
