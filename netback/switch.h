/* SPDX-License-Identifier: MIT */
/*
 * switch.h - a learning Ethernet switch between vifs and one uplink.
 *
 * A frame goes from its sender's memory straight into its receivers': deliver()
 * copies it, once for each. Nothing is queued in here. A port without room
 * drops the frame and counts it.
 *
 * Addresses: the one that the toolstack gave a vif is pinned to its port and
 * no other port of its VLANs can take it. All others are learned, in each VLAN
 * by itself, at most SWITCH_LEARNED_MAX for each port, forgotten after
 * SWITCH_AGE_NS, and move with the port that was last seen to use them. The
 * table has a fixed size; its hash is keyed, so that nobody can aim at
 * somebody's place in it.
 *
 * VLANs: a frame belongs to the one in its tag, which its port must speak with
 * a tag, or to its port's native one. It goes to ports of that VLAN only, with
 * a tag or without as each of them speaks it. Frames without a tag between
 * ports without VLANs go through as they are, a tag without a VLAN included.
 *
 * Thread: the data thread. Logs: never.
 */
#ifndef NETBACK_SWITCH_H
#define NETBACK_SWITCH_H

#include "netback/filter.h"
#include "netback/frame.h"
#include "util/bucket.h"
#include "util/list.h"
#include "util/vlan.h"

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

/* What a port may do. A zeroed one: everything. */
struct switch_rules {
	struct vlan_set vlans;
	struct filter filter; /* what it sends names its own addresses only */
	bool isolated;	      /* no frames to and from other isolated ports */
	bool down;	      /* its link is: no frames from it; none to it is
			       * its owner's to see to */
	/*
	 * Frames a second from this port to more than one receiver: broadcast,
	 * multicast, unknown destinations; 0: any number. A quarter of a
	 * second's may be saved up, at least one.
	 */
	uint32_t storm_per_s;
};

/* Why a frame from a port was dropped. */
enum switch_drop {
	SWITCH_DROP_ADDRESS, /* a source or destination no frame may have */
	SWITCH_DROP_VLAN,    /* a bad tag, or of a VLAN that is not its own */
	SWITCH_DROP_SPOOF,   /* somebody else's address */
	SWITCH_DROP_STORM,
	SWITCH_DROP_ISOLATED, /* its only receiver is isolated from it */
	SWITCH_DROP_LINK,     /* its link is down */
};
#define SWITCH_NR_DROPS 6u
const char *switch_drop_name(enum switch_drop why); /* "vlan" */

/* The owner embeds this, zeroed. ops, mac and uplink are the owner's. */
struct switch_port {
	const struct switch_port_ops *ops;
	uint8_t mac[PACKET_MAC_BYTES]; /* pinned; all zero: none */
	bool uplink; /* a whole network behind it: may fill the table */
	uint64_t drops[SWITCH_NR_DROPS];
	/* the switch's: */
	struct switch_rules rules;
	struct bucket storm;
	struct vswitch *sw;
	struct list link, pin, dirty;
	uint64_t mac_key; /* mac as a number */
	uint32_t nr_learned;
};

/* Is shown frames as they come from a port, and as they go to it. */
struct switch_mirror {
	void (*see)(struct switch_mirror *mirror, const struct frame *frame);
	/* the switch's: */
	struct list link;
	const struct switch_port *port;
	bool all; /* those that come, from any port */
};

struct switch_stats {
	uint64_t nr_unicast, nr_flooded;
	uint64_t nr_dropped; /* of all ports */
};

int switch_open(struct vswitch **ret) PV_MUST_CHECK;
void switch_close(struct vswitch *sw); /* no ports left. NULL is fine */

void switch_add(struct vswitch *sw, struct switch_port *port);
void switch_remove(struct switch_port *port); /* idempotent */

/*
 * Change what the port may do, on a switch or before. What was learned of it is
 * forgotten.
 */
void switch_set_rules(struct switch_port *port,
		      const struct switch_rules *rules, uint64_t now_ns);

/*
 * Show the frames of port, which is on a switch, or all on its switch, to
 * mirror, which is nowhere else: also those that are dropped. Ended by list_del
 * of its link; that of a port, before the port leaves.
 */
void switch_mirror(struct switch_port *port, bool all,
		   struct switch_mirror *mirror);

/*
 * Send a frame that came from port from to where it belongs. Returns how many
 * ports took it.
 */
unsigned switch_forward(struct switch_port *from, const struct frame *frame,
			uint64_t now_ns);
/* Flush every port that something was delivered to. */
void switch_flush(struct vswitch *sw);

/* The port behind mac in a VLAN; NULL: it is not known (any more). */
struct switch_port *switch_lookup(struct vswitch *sw, uint16_t vlan,
				  const uint8_t *mac, uint64_t now_ns);
struct switch_stats switch_stats(const struct vswitch *sw);

#endif /* NETBACK_SWITCH_H */
