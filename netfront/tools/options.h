/* SPDX-License-Identifier: MIT */
/*
 * options.h - netfront-bench's command line. Thread: main. Logs: what is wrong.
 */
#ifndef NETFRONT_TOOLS_OPTIONS_H
#define NETFRONT_TOOLS_OPTIONS_H

#include "netfront/tools/netbench.h"

#define PROGRAM "netfront-bench"

struct options {
	struct netfront_config vifs[2];
	bool both; /* vifs[1] is given */
	struct netbench_config bench;
	bool has_flows, has_to, json;
	double max_loss; /* percent; below 0: any */
};

const char *options_mode(enum netbench_mode mode); /* "send" */
/* Returns 0, 1 when --help was all, or -EINVAL (said what is wrong). */
int options_parse(int argc, char **argv, struct options *ret) PV_MUST_CHECK;

#endif /* NETFRONT_TOOLS_OPTIONS_H */
