/* SPDX-License-Identifier: MIT */
/* report.h - what netfront-bench found, on standard output. Thread: main. */
#ifndef NETFRONT_TOOLS_REPORT_H
#define NETFRONT_TOOLS_REPORT_H

#include "netfront/tools/options.h"

/* Frames lost, of those that should have come. */
double report_loss_percent(const struct netbench_result *result);
/* As text, or with --json as JSON. */
int report_print(const struct options *opt,
		 const struct netbench_result *result) PV_MUST_CHECK;

#endif /* NETFRONT_TOOLS_REPORT_H */
