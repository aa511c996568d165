/* SPDX-License-Identifier: MIT */
/*
 * flow.h - which flow a frame belongs to, and a hash of that.
 *
 * Frames of one flow go into one queue of the receiving guest, so they stay in
 * order. Pure and total: any bytes are a valid input, and nothing outside them
 * is touched. Used by port.c. Thread: any. Logs: never.
 */
#ifndef NETBACK_FLOW_H
#define NETBACK_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

/* Two IPv6 addresses and two ports. */
#define FLOW_BYTES_MAX 36u

/*
 * bytes: source address, destination address, source port, destination port,
 * as they are in the packet. Without IP: both Ethernet addresses and the type.
 * A fragment has no ports, not even the first one: all of a packet's fragments
 * are one flow.
 */
struct flow {
	uint8_t bytes[FLOW_BYTES_MAX];
	uint8_t addr_bytes; /* both addresses; 0: no IP */
	uint8_t size_bytes; /* addresses and ports */
	bool ipv6;
	bool tcp; /* the ports are TCP's */
};

/* head: a frame's first bytes, at least PACKET_ETH_BYTES. */
void flow_parse(const uint8_t *head, size_t head_bytes, struct flow *ret);

/* Keyed at random, so that no sender knows which flows meet. */
struct flow_key {
	uint64_t word[2];
};

int flow_key_init(struct flow_key *key) PV_MUST_CHECK;
uint32_t flow_hash(const struct flow_key *key, const struct flow *flow);

#endif /* NETBACK_FLOW_H */
