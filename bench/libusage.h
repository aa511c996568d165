/* SPDX-License-Identifier: MIT */
/*
 * libusage.h - what a process costs: time on a CPU, wake-ups, memory. Of a
 * process that does nothing the first two do not change.
 */
#ifndef BENCH_LIBUSAGE_H
#define BENCH_LIBUSAGE_H

#include <sys/types.h>

#include "util/annotate.h"

/* Of all threads that are there now. */
struct usage {
	unsigned long long cpu_ns;
	unsigned long long nr_runs; /* how often they were put on a CPU */
};
int usage_read(pid_t pid, struct usage *ret) PV_MUST_CHECK;

/* Memory; KiB. */
struct usage_memory {
	double private; /* nobody else has it */
	double share;	/* PSS: what is shared counts in parts */
};
struct usage_memory usage_memory(pid_t pid);

#endif /* BENCH_LIBUSAGE_H */
