/* SPDX-License-Identifier: MIT */
/*
 * role.h - what one queue of one interface does in a run: send, receive, echo
 * or reflect. Between netbench.c and role.c. Thread: the queue's owner.
 */
#ifndef NETFRONT_TOOLS_ROLE_H
#define NETFRONT_TOOLS_ROLE_H

#include "netfront/tools/netbench.h"
#include "netfront/tools/track.h"
#include "util/bucket.h"

struct role {
	/* The maker's. */
	const struct netbench_config *config;
	enum netbench_mode mode;
	struct netfront_queue *queue; /* NULL: this one does nothing */
	bool both; /* what is received was sent by this program */
	uint8_t mac[PACKET_MAC_BYTES];
	/* Of the flows, every so many from a first one on, are sent by us. */
	uint32_t first_flow, flow_step;
	uint64_t left; /* frames to send; UINT64_MAX: any */
	uint64_t rate; /* our part */

	/* What was done. Any thread may look at frames. */
	struct netbench_counts sent, received;
	uint64_t nr_foreign, nr_unanswered;
	uint64_t first_ns, heard_ns; /* the first, the last one came; 0 */
	struct hist latency_ns;
	struct tracks *tracks; /* NULL: this one does not receive */

	/* role.c's own. */
	struct probe_header headers[NETBENCH_SIZES_MAX];
	uint32_t room_bytes, size_at, flow;
	uint64_t seqs[PROBE_FLOWS_MAX];
	struct bucket bucket;
	uint64_t due_ns;     /* when the next frame may be sent */
	uint32_t nr_waiting; /* of echoes: not answered yet */
	uint64_t asked_ns;   /* when the last one was sent */
};

/* The maker's members are set, all others zero. -ENOMEM. */
int role_open(struct role *role, uint64_t now_ns) PV_MUST_CHECK;
void role_close(struct role *role); /* a zeroed one is fine */

/* Does it send frames of its own? */
static inline bool role_sends(const struct role *role)
{
	return role->queue &&
	       (role->mode == NETBENCH_SEND || role->mode == NETBENCH_ECHO) &&
	       role->first_flow < role->config->nr_flows;
}

/* Does what it receives count? */
static inline bool role_receives(const struct role *role)
{
	return role->queue &&
	       (role->mode == NETBENCH_RECEIVE || role->mode == NETBENCH_ECHO);
}

/*
 * Receive and send what is to be received and sent now; may_send: frames of its
 * own, too. Returns whether there was anything.
 */
bool role_step(struct role *role, bool may_send);

#endif /* NETFRONT_TOOLS_ROLE_H */
