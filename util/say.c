/* SPDX-License-Identifier: MIT */
/* say.c - see say.h. */
#include "util/say.h"

#include <stdio.h>

#include "util/clock.h"
#include "util/num.h"

void say_bytes(uint64_t bytes, char *buf)
{
	static const char *const units[] = { "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned i = 0;

	if (bytes < 1024) {
		snprintf(buf, SAY_BYTES, "%u B", (unsigned)bytes);
		return;
	}
	for (value /= 1024; value >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		value /= 1024;
	snprintf(buf, SAY_BYTES, "%.1f %s", value, units[i]);
}

void say_duration(uint64_t ns, char *buf)
{
	double value = (double)ns;
	uint64_t s = ns / NS_PER_S;

	if (ns < NS_PER_US)
		snprintf(buf, SAY_BYTES, "%u ns", (unsigned)ns);
	else if (ns < NS_PER_MS)
		snprintf(buf, SAY_BYTES, "%.1f us", value / NS_PER_US);
	else if (ns < NS_PER_S)
		snprintf(buf, SAY_BYTES, "%.1f ms", value / NS_PER_MS);
	else if (s < 60)
		snprintf(buf, SAY_BYTES, "%.1f s", value / NS_PER_S);
	else if (s < 3600)
		snprintf(buf, SAY_BYTES, "%um%02us", (unsigned)(s / 60),
			 (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(buf, SAY_BYTES, "%uh%02um", (unsigned)(s / 3600),
			 (unsigned)(s / 60 % 60));
	else
		snprintf(buf, SAY_BYTES, "%ud%02uh", (unsigned)(s / 86400),
			 (unsigned)(s / 3600 % 24));
}
