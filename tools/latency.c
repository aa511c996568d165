/* SPDX-License-Identifier: MIT */
/* latency.c - see latency.h. */
#include "tools/latency.h"

#include <stdio.h>

#include "util/num.h"
#include "util/say.h"

static const struct {
	const char *name;
	uint32_t ppm;
} percentiles[] = {
	{ "p50", 500000 },   { "p90", 900000 },	   { "p99", 990000 },
	{ "p99.9", 999000 }, { "p99.99", 999900 }, { "max", HIST_PPM },
};

void latency_print(const struct hist *ns)
{
	char text[SAY_BYTES];

	say_duration(hist_mean(ns), text);
	printf("mean %s", text);
	for (unsigned i = 0; i < ARRAY_SIZE(percentiles); i++) {
		say_duration(hist_percentile(ns, percentiles[i].ppm), text);
		printf("  %s %s", percentiles[i].name, text);
	}
}

json_t *latency_json(const struct hist *ns)
{
	json_t *object = json_pack("{s:I}", "mean", (json_int_t)hist_mean(ns));

	for (unsigned i = 0; object && i < ARRAY_SIZE(percentiles); i++) {
		uint64_t value = hist_percentile(ns, percentiles[i].ppm);

		if (json_object_set_new(object, percentiles[i].name,
					json_integer((json_int_t)value))) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}
