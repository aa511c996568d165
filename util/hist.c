/* SPDX-License-Identifier: MIT */
/* hist.c - log-linear histograms. See hist.h. */
#include "util/hist.h"

#include <assert.h>

_Static_assert(sizeof(struct hist) == 4752, "hist.h says so");

uint64_t hist_bucket_low(unsigned bucket)
{
	unsigned row = bucket / HIST_STEPS;

	assert(bucket < HIST_NR_BUCKETS);
	if (row == 0)
		return bucket;
	return (uint64_t)(HIST_STEPS + bucket % HIST_STEPS) << (row - 1);
}

uint64_t hist_bucket_high(unsigned bucket)
{
	if (bucket == HIST_NR_BUCKETS - 1)
		return UINT64_MAX;
	return hist_bucket_low(bucket + 1) - 1;
}

static uint64_t read_counter(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void hist_copy(struct hist *to, const struct hist *from)
{
	to->sum = read_counter(&from->sum);
	to->max = read_counter(&from->max);
	for (unsigned i = 0; i < HIST_NR_BUCKETS; i++)
		to->counts[i] = read_counter(&from->counts[i]);
}

void hist_merge(struct hist *to, const struct hist *from)
{
	uint64_t max = read_counter(&from->max);

	to->sum += read_counter(&from->sum);
	if (max > to->max)
		to->max = max;
	for (unsigned i = 0; i < HIST_NR_BUCKETS; i++)
		to->counts[i] += read_counter(&from->counts[i]);
}

uint64_t hist_count(const struct hist *h)
{
	uint64_t nr = 0;

	for (unsigned i = 0; i < HIST_NR_BUCKETS; i++)
		nr += h->counts[i];
	return nr;
}

uint64_t hist_mean(const struct hist *h)
{
	uint64_t nr = hist_count(h);

	return nr ? h->sum / nr : 0;
}

/* ceil(nr * ppm / 1e6), at least 1, without an overflow of nr * ppm. */
static uint64_t rank_of(uint64_t nr, uint32_t ppm)
{
	uint64_t rank = nr / HIST_PPM * ppm;

	rank += (nr % HIST_PPM * ppm + HIST_PPM - 1) / HIST_PPM;
	return rank ? rank : 1;
}

uint64_t hist_percentile(const struct hist *h, uint32_t ppm)
{
	uint64_t nr = hist_count(h), seen, rank;
	unsigned i = 0;

	assert(ppm <= HIST_PPM);
	if (nr == 0)
		return 0;
	rank = rank_of(nr, ppm);
	for (seen = h->counts[0]; seen < rank; seen += h->counts[i])
		i++;
	return hist_bucket_high(i) < h->max ? hist_bucket_high(i) : h->max;
}
