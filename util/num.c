/* SPDX-License-Identifier: MIT */
/* num.c - strict number parsing and bounded formatting. No state, any thread.
 */
#include "util/num.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int parse_digits(const char *text, size_t len, uint64_t max,
			uint64_t *ret)
{
	uint64_t v = 0;

	if (!len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
			return -ERANGE;
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	return parse_digits(text, strlen(text), max, ret);
}

int num_parse_u32(const char *text, uint32_t max, uint32_t *ret)
{
	uint64_t v;
	int err = num_parse_u64(text, max, &v);

	if (!err)
		*ret = (uint32_t)v;
	return err;
}

int num_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char suffixes[] = "KMGT";
	size_t len = strlen(text);
	uint64_t v, unit = 1;
	const char *s;
	int err;

	if (len && (s = strchr(suffixes, text[len - 1])) != NULL) {
		unit = 1ull << (10 * (s - suffixes + 1));
		len--;
	}
	err = parse_digits(text, len, UINT64_MAX, &v);
	if (err)
		return err;
	if (__builtin_mul_overflow(v, unit, &v))
		return -ERANGE;
	*ret_bytes = v;
	return 0;
}

int num_parse_thousands(const char *text, size_t len, uint64_t max,
			uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	const char *suffix = len ? memchr(suffixes, text[len - 1], 3) : NULL;
	uint64_t unit = 1, v;
	int err;

	for (const char *at = suffixes; suffix && at <= suffix; at++)
		unit *= 1000;
	err = parse_digits(text, len - !!suffix, UINT64_MAX, &v);
	if (err)
		return err;
	if (__builtin_mul_overflow(v, unit, &v) || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_printf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size) {
		if (size)
			buf[0] = '\0';
		return -ENAMETOOLONG;
	}
	return n;
}
