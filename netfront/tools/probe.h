/* SPDX-License-Identifier: MIT */
/*
 * probe.h - the frames that netfront-bench sends: IPv4, UDP to the discard
 * port, and in it a run, a flow, a number and a time. A flow is a UDP source
 * port, so that whoever spreads flows over queues spreads these.
 *
 * What was received may be anybody's and anything. Pure; any thread.
 */
#ifndef NETFRONT_TOOLS_PROBE_H
#define NETFRONT_TOOLS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "util/packet.h"

#define PROBE_BYTES_MIN 64u /* all that there is to a probe */
#define PROBE_BYTES_MAX 65535u
#define PROBE_FLOWS_MAX 1024u

struct probe_path {
	uint8_t from_mac[PACKET_MAC_BYTES], to_mac[PACKET_MAC_BYTES];
	uint8_t from_ip[4], to_ip[4];
};

struct probe {
	bool reply;    /* it was sent back */
	uint16_t run;  /* whose it is */
	uint16_t flow; /* < PROBE_FLOWS_MAX */
	uint64_t seq;  /* of the flow, from 0 on */
	uint64_t sent_ns;
};

/* All headers of frames of one size between two stations. */
#define PROBE_HEADER_BYTES 42u
struct probe_header {
	uint8_t bytes[PROBE_HEADER_BYTES];
};

/* size_bytes: PROBE_BYTES_MIN to _MAX. */
void probe_header_init(struct probe_header *header,
		       const struct probe_path *path, uint32_t size_bytes);
/* Write PROBE_BYTES_MIN bytes; what is behind them is whatever it was. */
void probe_put(uint8_t *frame, const struct probe_header *header,
	       const struct probe *probe);
/*
 * What a frame's first size_bytes say, not looked at before. -EINVAL: it is
 * none of ours. They are read once.
 */
int probe_get(const uint8_t *frame, size_t size_bytes,
	      struct probe *ret) PV_MUST_CHECK;
/* Make a private copy of a frame the reply to it, from station mac. */
void probe_turn(uint8_t *frame, const uint8_t mac[PACKET_MAC_BYTES]);

#endif /* NETFRONT_TOOLS_PROBE_H */
