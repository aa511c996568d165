/* SPDX-License-Identifier: MIT */
/* figures.c - figures as text. See figures.h. */
#include "util/figures.h"

#include <stdio.h>

#include "util/num.h"

void figures_put(struct figures *f, const char *prefix, const char *name,
		 uint64_t value)
{
	int n;

	if (f->err)
		return;
	n = str_printf(f->buf + f->len, f->size - f->len, "%s%s %llu\n", prefix,
		       name, (unsigned long long)value);
	if (n < 0)
		f->err = n;
	else
		f->len += (size_t)n;
}

void figures_put_hist(struct figures *f, const char *prefix,
		      const struct hist *h)
{
	figures_put(f, prefix, "-sum", h->sum);
	figures_put(f, prefix, "-mean", hist_mean(h));
	figures_put(f, prefix, "-p50", hist_percentile(h, 500000));
	figures_put(f, prefix, "-p90", hist_percentile(h, 900000));
	figures_put(f, prefix, "-p99", hist_percentile(h, 990000));
	figures_put(f, prefix, "-p999", hist_percentile(h, 999000));
	figures_put(f, prefix, "-max", h->max);
}

void figures_put_times(struct figures *f, const struct times *t)
{
	figures_put(f, "busy-ns", "", t->busy.total_ns);
	figures_put(f, "stalled-ns", "", t->stalled.total_ns);
	figures_put(f, "ring-full-ns", "", t->ring_full.total_ns);
	figures_put(f, "throttled-ns", "", t->throttled.total_ns);
}

int figures_end(const struct figures *f)
{
	return f->err ? f->err : (int)f->len;
}

#define BUCKET_LINE_MAX 35u /* of a value below 2^40, and a count */

int figures_page(const struct hist *h, unsigned *from,
		 char buf[FIGURES_PAGE_MAX])
{
	struct figures f = { .buf = buf, .size = FIGURES_PAGE_MAX };
	unsigned bucket = *from;

	for (; bucket < HIST_NR_BUCKETS && f.len + BUCKET_LINE_MAX < f.size;
	     bucket++) {
		char low[24];

		if (!h->counts[bucket])
			continue;
		snprintf(low, sizeof(low), "%llu",
			 (unsigned long long)hist_bucket_low(bucket));
		figures_put(&f, low, "", h->counts[bucket]);
	}
	if (f.err)
		return f.err;
	*from = bucket;
	return (int)f.len;
}
