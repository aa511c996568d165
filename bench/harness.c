/* SPDX-License-Identifier: MIT */
/* harness.c - see harness.h. */
#include "bench/harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "util/clock.h"

#define LINE_TRIPS_UNTIMED 2000u /* the thread starts */
#define LINE_TRIPS_TIMED   18000u
#define LINE_TRIPS	   (LINE_TRIPS_UNTIMED + LINE_TRIPS_TIMED)
#define LINE_TRIES	   3

/* The CPUs of this process, as they were before anything was pinned. */
static const cpu_set_t *bench_cpus(void)
{
	static cpu_set_t cpus;
	static bool known;

	if (!known) {
		CPU_ZERO(&cpus);
		if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
			CPU_SET(0, &cpus);
		known = true;
	}
	return &cpus;
}

unsigned bench_nr_cpus(void)
{
	return (unsigned)CPU_COUNT(bench_cpus());
}

int bench_pin(unsigned cpu)
{
	const cpu_set_t *cpus = bench_cpus();
	cpu_set_t one;

	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, cpus) || cpu-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
	}
	return -EINVAL;
}

uint64_t bench_cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct bench_stats bench_stats(double *values, unsigned nr)
{
	qsort(values, nr, sizeof(values[0]), compare_doubles);
	return (struct bench_stats){
		.median = nr % 2 ? values[nr / 2]
				 : (values[nr / 2 - 1] + values[nr / 2]) / 2,
		.min = values[0],
		.max = values[nr - 1],
	};
}

/* ---- the cache line ---------------------------------------------------- */

struct line {
	_Alignas(128) uint32_t there;
	_Alignas(128) uint32_t back;
};

static void *line_echo(void *arg)
{
	struct line *line = arg;

	if (bench_pin(1))
		return NULL;
	for (uint32_t i = 1; i <= LINE_TRIPS; i++) {
		/* Pairs with the store in line_trip_ns(), and back. */
		while (__atomic_load_n(&line->there, __ATOMIC_ACQUIRE) != i)
			clock_cpu_relax();
		__atomic_store_n(&line->back, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

static double line_trip_ns(void)
{
	static struct line line;
	pthread_t echo;
	uint64_t start_ns;

	line = (struct line){ 0 };
	if (pthread_create(&echo, NULL, line_echo, &line))
		return 0;
	start_ns = clock_now_ns();
	for (uint32_t i = 1; i <= LINE_TRIPS; i++) {
		if (i == LINE_TRIPS_UNTIMED)
			start_ns = clock_now_ns();
		/* Pairs with the load in line_echo(), and back. */
		__atomic_store_n(&line.there, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&line.back, __ATOMIC_ACQUIRE) != i)
			clock_cpu_relax();
	}
	start_ns = clock_now_ns() - start_ns;
	pthread_join(echo, NULL);
	return (double)start_ns / (double)LINE_TRIPS_TIMED;
}

double bench_line_ns(void)
{
	cpu_set_t before;
	double best = 0;

	if (bench_nr_cpus() < 2 ||
	    sched_getaffinity(0, sizeof(before), &before) != 0 || bench_pin(0))
		return 0;
	for (int i = 0; i < LINE_TRIES; i++) {
		double ns = line_trip_ns();

		if (best == 0 || ns < best)
			best = ns;
	}
	(void)sched_setaffinity(0, sizeof(before), &before);
	return best;
}

/* ---- printing ---------------------------------------------------------- */

static void cpu_model(char *model, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(model, size, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(model, size, "%s", colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

void bench_machine(void)
{
	struct utsname uts;
	char model[128];

	cpu_model(model, sizeof(model));
	if (uname(&uts) != 0)
		snprintf(uts.release, sizeof(uts.release), "unknown");
	printf("machine  %u CPUs of %s, Linux %s, cache line %.0f ns\n",
	       bench_nr_cpus(), model, uts.release, bench_line_ns());
	fflush(stdout);
}

static void compare_print(const struct bench_case *ours,
			  const struct bench_case *peer, const char *unit,
			  const struct bench_result *r)
{
	printf("%-24s %10.4g %s  (%.4g..%.4g)  peer %s %.4g  ratio %.3f\n",
	       ours->name, r->ours.median, unit, r->ours.min, r->ours.max,
	       peer->name, r->peer.median, r->ratio.median);
	printf("%-24s ratio pair by pair %.3f..%.3f, spread %.0f%%, peer "
	       "(%.4g..%.4g), cache line %.0f ns (%.0f..%.0f)\n",
	       "", r->ratio.min, r->ratio.max,
	       100 * (r->ours.max - r->ours.min) / r->ours.median, r->peer.min,
	       r->peer.max, r->line.median, r->line.min, r->line.max);
	fflush(stdout);
}

int bench_compare_ret(const struct bench_case *ours,
		      const struct bench_case *peer, const char *unit,
		      unsigned runs, struct bench_result *ret)
{
	double a[BENCH_RUNS_MAX], b[BENCH_RUNS_MAX], ratio[BENCH_RUNS_MAX];
	double line[BENCH_RUNS_MAX];

	if (runs == 0 || runs > BENCH_RUNS_MAX)
		return -EINVAL;
	if (ours->fn(ours->arg) < 0 || peer->fn(peer->arg) < 0)
		return -EIO;
	for (unsigned i = 0; i < runs; i++) {
		line[i] = bench_line_ns();
		a[i] = ours->fn(ours->arg);
		b[i] = peer->fn(peer->arg);
		if (a[i] < 0 || b[i] <= 0)
			return -EIO;
		ratio[i] = a[i] / b[i];
	}
	*ret = (struct bench_result){
		.ours = bench_stats(a, runs),
		.peer = bench_stats(b, runs),
		.ratio = bench_stats(ratio, runs),
		.line = bench_stats(line, runs),
	};
	compare_print(ours, peer, unit, ret);
	return 0;
}

int bench_compare(const struct bench_case *ours, const struct bench_case *peer,
		  const char *unit, unsigned runs)
{
	struct bench_result result;

	return bench_compare_ret(ours, peer, unit, runs, &result);
}
