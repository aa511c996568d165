/* SPDX-License-Identifier: MIT */
/*
 * spec_rate.c - rate= of an interface, as xl-network-configuration(5) has it;
 * see spec_private.h. Pure.
 */
#include "pvsplit/spec_private.h"

#include <errno.h>
#include <string.h>

#include "util/limiter.h"
#include "util/num.h"

/* "10MB", "64Kb": a thousand is a thousand, a small b is a bit. */
static int parse_amount(const char *text, size_t len, uint64_t *ret_bytes)
{
	char unit = len ? text[len - 1] : '\0';
	uint64_t value;

	if ((unit != 'b' && unit != 'B') ||
	    num_parse_thousands(text, len - 1, LIMITER_RATE_MAX * 8, &value))
		return -EINVAL;
	*ret_bytes = value / (unit == 'b' ? 8 : 1);
	return 0;
}

/* "20ms", "500us", "1s", "50000": microseconds without a unit. */
static int parse_interval(const char *text, uint32_t *ret_ms)
{
	static const struct {
		const char *name;
		uint32_t us;
	} units[] = {
		{ "", 1 }, { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }
	};
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t value;

	if (digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (num_parse_u64(number, LIMITER_BURST_MS_MAX * 1000ull, &value))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t ms = (value * units[i].us + 999) / 1000;

		if (strcmp(text + digits, units[i].name) != 0)
			continue;
		if (!ms || ms > LIMITER_BURST_MS_MAX)
			return -EINVAL;
		*ret_ms = (uint32_t)ms;
		return 0;
	}
	return -EINVAL;
}

#define RATE_INTERVAL_MS 50u /* xl's default */

int spec_rate_parse(const char *text, uint64_t *ret_bytes, uint32_t *ret_ms)
{
	const char *slash = strstr(text, "/s");
	uint32_t ms = RATE_INTERVAL_MS;
	uint64_t bytes;

	if (!slash || parse_amount(text, (size_t)(slash - text), &bytes) ||
	    bytes < LIMITER_BYTES_MIN || bytes > LIMITER_RATE_MAX ||
	    (slash[2] && slash[2] != '@') ||
	    (slash[2] && parse_interval(slash + 3, &ms)))
		return -EINVAL;
	*ret_bytes = bytes;
	*ret_ms = ms;
	return 0;
}
