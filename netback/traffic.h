/* SPDX-License-Identifier: MIT */
/*
 * traffic.h - what a queue of a vif did, why it dropped frames, and how long
 * its guest waited. Directions are the guest's, as its own `ip -s link` shows
 * them: rx is what it receives.
 *
 *	errors		frames that somebody got wrong: tx, answered with an
 *			error; rx, into a buffer that cannot be mapped
 *	dropped		good frames that went nowhere; each has a reason
 *	tx delay	from the batch in which a frame was found in the ring
 *			(held back by a limit or not) to the end of the one in
 *			which it was answered
 *	rx wait		of those that found no buffers, until there were some
 *	batches		frames taken in one turn, frames shown with one event
 *	times		of the transmit ring: see util/times.h
 *
 * The clock is read twice for a batch.
 *
 * Thread: the queue's data thread writes; traffic_add is for the same thread,
 * or for a queue that does not run. Logs: never.
 */
#ifndef NETBACK_TRAFFIC_H
#define NETBACK_TRAFFIC_H

#include "netback/switch.h"
#include "util/figures.h"
#include "util/hist.h"
#include "util/times.h"

/* Why a frame to the guest was dropped. */
enum traffic_drop {
	TRAFFIC_DROP_FULL,   /* no buffers posted, and too many wait */
	TRAFFIC_DROP_OLD,    /* none were posted while it waited */
	TRAFFIC_DROP_UNABLE, /* more than the frontend can take */
	TRAFFIC_DROP_LIMIT,
	TRAFFIC_DROP_FILTERED, /* a multicast address not asked for */
	TRAFFIC_DROP_LINK,     /* its link is down */
};
#define TRAFFIC_NR_DROPS 6u

/* A zeroed one is valid. */
struct traffic {
	uint64_t rx_packets, rx_bytes, rx_errors;
	uint64_t rx_cut;    /* frames that became several for this guest */
	uint64_t rx_waited; /* for buffers, until there were some or not */
	uint64_t rx_drops[TRAFFIC_NR_DROPS];
	uint64_t tx_packets, tx_bytes, tx_errors;
	uint64_t tx_drops[SWITCH_NR_DROPS]; /* by the switch */
	struct hist rx_batch, rx_wait_ns, tx_batch, tx_delay_ns;
	struct times times;
	uint32_t nr_shown; /* frames to the guest since the last event */
};

/* A frame was put into the guest's buffers. */
void traffic_rx(struct traffic *a, uint32_t size_bytes);
/* What was put there is shown. */
void traffic_rx_shown(struct traffic *a);

/*
 * A turn has ended in which nr frames were taken; the first of them was found
 * at held_ns, if a limit had held it back (else 0). state: answered is ours to
 * fill in.
 */
void traffic_tx_batch(struct traffic *a, struct times_state *state, unsigned nr,
		      uint64_t held_ns);

/* Add what from shows now to to. */
void traffic_add(struct traffic *to, const struct traffic *from,
		 uint64_t now_ns);

uint64_t traffic_rx_dropped(const struct traffic *a);
uint64_t traffic_tx_dropped(const struct traffic *a);

/* "rx_packets", "tx_drop_vlan", "tx_delay_ns-p99", "busy-ns", ... */
void traffic_put(const struct traffic *a, struct figures *f);
/* Histogram i, and what it is called there; NULL after the last. */
const struct hist *traffic_hist(const struct traffic *a, unsigned i,
				const char **ret_name);

#endif /* NETBACK_TRAFFIC_H */
