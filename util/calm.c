/* SPDX-License-Identifier: MIT */
/* calm.c - see calm.h. */
#include "util/calm.h"

#include <sys/resource.h>

bool calm_begins(struct calm *c, uint64_t now_ns)
{
	struct rusage ru;

	if (getrusage(RUSAGE_THREAD, &ru) < 0 || ru.ru_nivcsw == c->nr_taken)
		return false;
	c->nr_taken = ru.ru_nivcsw;
	if (c->length_ns && now_ns < c->until_ns + 4 * c->length_ns)
		c->length_ns *= 2;
	else
		c->length_ns = CALM_MIN_NS;
	if (c->length_ns > CALM_MAX_NS)
		c->length_ns = CALM_MAX_NS;
	c->until_ns = now_ns + c->length_ns;
	return true;
}
