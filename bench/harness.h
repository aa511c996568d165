/* SPDX-License-Identifier: MIT */
/*
 * harness.h - one way to measure, one way to print.
 *
 * A comparison runs ours and a named peer alternately (A B A B ...) in the
 * same process and minute, so that a machine that slows down slows both. It
 * prints medians, extremes, and the median of the pair-by-pair ratios:
 *
 *	ring-32  12.3 Mreq/s  (11.9..12.6)  peer bare-spsc 20.1  ratio 0.61
 *
 * then the spreads of ratio and peer, and the cache-line round trip between the
 * two cores, sampled beside every run: a spread there is the machine's.
 *
 * Thread: main. Logs: prints results on standard output.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/annotate.h"

#define BENCH_RUNS_MAX 64

/* Run once. Returns the value in the comparison's unit; negative: it failed. */
typedef double bench_fn(void *arg);

struct bench_case {
	const char *name;
	bench_fn *fn;
	void *arg;
};

struct bench_stats {
	double median, min, max;
};

/* Pin the calling thread to the cpu'th CPU that this process may use. */
int bench_pin(unsigned cpu) PV_MUST_CHECK;
/* CPUs that this process may use (before any pinning). */
unsigned bench_nr_cpus(void);

/* CPU time of all of a process's threads; pid 0: this one. 0: unknown. */
uint64_t bench_cpu_ns(pid_t pid);

/* Statistics of nr >= 1 values; sorts them. */
struct bench_stats bench_stats(double *values, unsigned nr);

/*
 * One cache line there and back between CPUs 0 and 1 of this process, in
 * nanoseconds, the best of a few milliseconds; 0 when there is only one CPU.
 */
double bench_line_ns(void);

/* Print the machine line: once, first. */
void bench_machine(void);

/*
 * Run ours and peer `runs` times (<= BENCH_RUNS_MAX) alternately and print.
 * One unmeasured run of each goes first. Returns 0, or -EIO if a run failed.
 */
int bench_compare(const struct bench_case *ours, const struct bench_case *peer,
		  const char *unit, unsigned runs) PV_MUST_CHECK;

struct bench_result {
	struct bench_stats ours, peer, ratio, line;
};
/* The same, and what was printed. */
int bench_compare_ret(const struct bench_case *ours,
		      const struct bench_case *peer, const char *unit,
		      unsigned runs, struct bench_result *ret) PV_MUST_CHECK;

#endif /* BENCH_HARNESS_H */
