/* SPDX-License-Identifier: MIT */
/* options.c - see options.h. */
#include "tools/options.h"

#include <errno.h>
#include <stdio.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"

#define SECONDS_MAX 1000000u

int option_wrong(const char *option, const char *value, const char *want)
{
	log_error("%s %s: give %s", option, value, want);
	return -EINVAL;
}

int option_u32(const char *option, const char *value, uint32_t min,
	       uint32_t max, uint32_t *ret)
{
	uint32_t number;
	char want[64];

	if (!num_parse_u32(value, max, &number) && number >= min) {
		*ret = number;
		return 0;
	}
	snprintf(want, sizeof(want), "a number from %u to %u", min, max);
	return option_wrong(option, value, want);
}

int option_bytes(const char *option, const char *value, uint64_t max,
		 uint64_t *ret)
{
	uint64_t bytes;

	if (num_parse_size(value, &bytes) || !bytes || bytes > max)
		return option_wrong(option, value,
				    "a size such as 4096, 64K or 1G");
	*ret = bytes;
	return 0;
}

int option_seconds(const char *option, const char *value, uint64_t *ret_ns)
{
	uint32_t seconds;
	int err = option_u32(option, value, 1, SECONDS_MAX, &seconds);

	if (!err)
		*ret_ns = seconds * NS_PER_S;
	return err;
}
