/* SPDX-License-Identifier: MIT */
/*
 * netbench.h - frames between split interfaces, generated and counted, for the
 * files of netfront-bench.
 *
 *   netfront-bench.c opening the interfaces, running it
 *   options.c        the command line
 *   report.c         what is printed
 *   netbench.c       threads, and when they end
 *   meet.c           whether two interfaces reach each other
 *   role.c           what one queue of one interface does
 *   track.c, probe.c numbers of frames; frames
 *
 * A thread owns the same queue of each interface: both ends of a stream need no
 * more than one CPU beside the backend's.
 */
#ifndef NETFRONT_TOOLS_NETBENCH_H
#define NETFRONT_TOOLS_NETBENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "netfront/netfront.h"
#include "netfront/tools/probe.h"
#include "util/annotate.h"
#include "util/hist.h"

#define NETBENCH_SIZES_MAX 64u
#define NETBENCH_DEPTH_MAX 128u /* less than a ring's buffers */

/* What the first interface does; a second one does what belongs to it. */
enum netbench_mode {
	NETBENCH_SEND,	  /* frames to the other one, which receives */
	NETBENCH_RECEIVE, /* what anybody's NETBENCH_SEND sends */
	NETBENCH_ECHO,	  /* frames there and back: the other one reflects */
	NETBENCH_REFLECT, /* send back what anybody's NETBENCH_ECHO sends */
};

struct netbench_config {
	enum netbench_mode mode;
	/* Of the frames, in turn. */
	uint32_t sizes[NETBENCH_SIZES_MAX];
	uint32_t nr_sizes;
	uint32_t nr_flows;   /* PROBE_FLOWS_MAX at most */
	uint32_t depth;	     /* NETBENCH_ECHO: frames under way, each queue's */
	uint64_t rate;	     /* frames a second, of all queues; 0: any */
	bool rate_is_bytes;  /* rather: bytes a second */
	uint64_t runtime_ns; /* 0: no bound */
	uint64_t nr_frames;  /* to send or to wait for; 0: no bound */
	bool poll;	     /* never sleep */
	uint16_t run;	     /* what is sent says so */
	struct probe_path path; /* of what is sent */
};

struct netbench_counts {
	uint64_t frames, bytes;
};

struct netbench_result {
	uint64_t elapsed_ns; /* until nothing more was sent */
	uint32_t nr_queues;  /* that were used */
	struct netbench_counts sent, received;
	uint64_t received_ns; /* from the first to the last that was */
	/* Frames that came and are nobody's. */
	uint64_t nr_foreign;
	/* Reflected frames that there was no room for. */
	uint64_t nr_unanswered;
	/* Frames that should have come and did not: of all that were sent when
	 * both ends are ours, else of the numbers in between. */
	uint64_t nr_lost;
	uint64_t nr_reordered, nr_duplicates;
	struct hist latency_ns; /* one way, or there and back; or empty */
};

/*
 * Run it on one interface or on two, to its end; stop_asked ends it early.
 * -ENOMEM; -ETIMEDOUT frames of the first do not reach the second; or the error
 * of an interface that was lost.
 */
int netbench_run(struct netfront *const ends[2],
		 const struct netbench_config *config,
		 struct netbench_result *ret) PV_MUST_CHECK;

#endif /* NETFRONT_TOOLS_NETBENCH_H */
