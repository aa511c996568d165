/* SPDX-License-Identifier: MIT */
/*
 * figures.h - figures as text, lines "NAME VALUE": "read-ops 17". What is
 * written here nobody changes meanwhile: copies.
 *
 * Pure. Logs: never.
 */
#ifndef UTIL_FIGURES_H
#define UTIL_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "util/hist.h"
#include "util/times.h"

/* Where the lines go: buf and size are the caller's, the rest is 0 at first. */
struct figures {
	char *buf;
	size_t size, len;
	int err;
};

/* The name is in two parts. After the first error nothing is written. */
void figures_put(struct figures *f, const char *prefix, const char *name,
		 uint64_t value);
/* PREFIX-sum, -mean, -p50, -p90, -p99, -p999, -max. */
void figures_put_hist(struct figures *f, const char *prefix,
		      const struct hist *h);
/* busy-ns, stalled-ns, ring-full-ns, throttled-ns. */
void figures_put_times(struct figures *f, const struct times *t);
/* The length of the text; -ENAMETOOLONG: it did not fit. */
int figures_end(const struct figures *f) PV_MUST_CHECK;

/*
 * A histogram, whole. Its buckets as lines "LOW COUNT", LOW the smallest value
 * that is counted there, those that count nothing left out: as many as are sure
 * to fit, from bucket *from on, where the next ones begin afterwards. Returns
 * the length, 0 when there are no more; -ENAMETOOLONG. A driver domain may
 * write no more than 2048 bytes into a node.
 */
#define FIGURES_PAGE_MAX 1900
int figures_page(const struct hist *h, unsigned *from,
		 char buf[FIGURES_PAGE_MAX]) PV_MUST_CHECK;

#endif /* UTIL_FIGURES_H */
