/* SPDX-License-Identifier: MIT */
/*
 * hist.h - a histogram of fixed size and bounded error: how long things took,
 * how big they were.
 *
 * A value is any number from 0 on; its unit is the user's (say it in the name:
 * latency_ns, size_bytes). Values below 16 are kept exactly. Above, each power
 * of two is cut into 16 equal buckets, so that what is read back is too large
 * by less than 1/16, never too small. HIST_VALUE_MAX (2^40 - 1: 18 minutes of
 * nanoseconds, 1 TiB) and above share the last bucket; the largest value is
 * kept exactly whatever it is.
 *
 *	value		bucket width
 *	0 .. 31		1
 *	32 .. 63	2
 *	64 .. 127	4
 *	2^n .. 2^n+1 - 1	2^(n - 4)
 *
 * To record is a few instructions on two cache lines, allocates nothing and
 * cannot fail. 4,752 bytes; a zeroed one is empty and valid.
 *
 * Threads: one writes (hist_record). Others may hist_copy or hist_merge from
 * it at any time: each counter that they see was true at some moment, none is
 * torn or goes back, but sum and max may be ahead of the counts or behind by
 * the values recorded meanwhile. Everything else is for a histogram that nobody
 * writes: a copy. Logs: never.
 */
#ifndef UTIL_HIST_H
#define UTIL_HIST_H

#include <stdint.h>

#define HIST_STEP_BITS	4u
#define HIST_STEPS	(1u << HIST_STEP_BITS) /* per power of two */
#define HIST_VALUE_BITS 40u
#define HIST_VALUE_MAX	((UINT64_C(1) << HIST_VALUE_BITS) - 1)
#define HIST_NR_BUCKETS ((HIST_VALUE_BITS - HIST_STEP_BITS + 1) * HIST_STEPS)

struct hist {
	uint64_t sum; /* modulo 2^64 */
	uint64_t max; /* 0 when empty */
	uint64_t counts[HIST_NR_BUCKETS];
};

/* The bucket of a value: 0 .. HIST_NR_BUCKETS - 1, ascending with it. */
static inline unsigned hist_bucket(uint64_t value)
{
	unsigned shift;

	if (value < HIST_STEPS)
		return (unsigned)value;
	if (value > HIST_VALUE_MAX)
		return HIST_NR_BUCKETS - 1;
	shift = 63u - (unsigned)__builtin_clzll(value) - HIST_STEP_BITS;
	return shift * HIST_STEPS + (unsigned)(value >> shift);
}

/* The smallest and the largest value of a bucket, bucket < HIST_NR_BUCKETS.
 * The last one has no largest: UINT64_MAX. */
uint64_t hist_bucket_low(unsigned bucket);
uint64_t hist_bucket_high(unsigned bucket);

/* The writer's own counters: relaxed, so that a reader sees no torn one. */
static inline void hist_add(uint64_t *counter, uint64_t more)
{
	__atomic_store_n(counter,
			 __atomic_load_n(counter, __ATOMIC_RELAXED) + more,
			 __ATOMIC_RELAXED);
}

/* The same value nr times. */
static inline void hist_record_many(struct hist *h, uint64_t value, uint64_t nr)
{
	if (!nr)
		return;
	hist_add(&h->counts[hist_bucket(value)], nr);
	hist_add(&h->sum, value * nr);
	if (value > __atomic_load_n(&h->max, __ATOMIC_RELAXED))
		__atomic_store_n(&h->max, value, __ATOMIC_RELAXED);
}

static inline void hist_record(struct hist *h, uint64_t value)
{
	hist_record_many(h, value, 1);
}

/* to is the caller's own; from may be written meanwhile. */
void hist_copy(struct hist *to, const struct hist *from);
void hist_merge(struct hist *to, const struct hist *from); /* adds */

/* ---- of a copy ----------------------------------------------------------- */

uint64_t hist_count(const struct hist *h);
uint64_t hist_mean(const struct hist *h); /* rounded down; 0 when empty */

/*
 * The value that ppm / 1,000,000 of all are not above (500000: the median,
 * 999000: p99.9), as the largest of its bucket but never above max. 0 when
 * empty. ppm 0 asks for the smallest, 1000000 for max.
 */
#define HIST_PPM 1000000u
uint64_t hist_percentile(const struct hist *h, uint32_t ppm);

#endif /* UTIL_HIST_H */
