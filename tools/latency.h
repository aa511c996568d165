/* SPDX-License-Identifier: MIT */
/*
 * latency.h - a histogram of nanoseconds as people and programs read it: mean,
 * p50, p90, p99, p99.9, p99.99, max.
 */
#ifndef TOOLS_LATENCY_H
#define TOOLS_LATENCY_H

#include <jansson.h>

#include "util/hist.h"

/* "mean 12.3 us  p50 11.9 us  ...", without a new line, on standard output. */
void latency_print(const struct hist *ns);
/* { "mean": 12345, "p50": 11900, ... }; NULL: out of memory. */
json_t *latency_json(const struct hist *ns);

#endif /* TOOLS_LATENCY_H */
