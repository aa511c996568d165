/* SPDX-License-Identifier: MIT */
/*
 * num.h - strict numbers: text that must be exactly a number, and arithmetic
 * that must not wrap. Values from the store, from a command line and from a
 * configuration all come through here, so there is one notion of "a number".
 */
#ifndef UTIL_NUM_H
#define UTIL_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Parse the whole of text as an unsigned decimal number not above max.
 * No sign, no space, no empty string, no trailing byte, no other base.
 * Returns 0; -EINVAL not a number; -ERANGE above max. *ret only on success.
 */
int num_parse_u64(const char *text, uint64_t max, uint64_t *ret) PV_MUST_CHECK;
int num_parse_u32(const char *text, uint32_t max, uint32_t *ret) PV_MUST_CHECK;

/*
 * Parse a size in bytes with an optional binary suffix K, M, G or T
 * (1024-based; a trailing "iB" or "B" is not accepted).
 * Returns as num_parse_u64; -ERANGE also when the product overflows.
 */
int num_parse_size(const char *text, uint64_t *ret_bytes) PV_MUST_CHECK;

/*
 * Parse len bytes of text as a decimal number with an optional suffix K, M or G
 * that stands for thousands. Returns as num_parse_u64.
 */
int num_parse_thousands(const char *text, size_t len, uint64_t max,
			uint64_t *ret) PV_MUST_CHECK;

/* True when [off, off + len) lies within [0, end); never overflows. */
static inline bool num_range_within(uint64_t off, uint64_t len, uint64_t end)
{
	return off <= end && len <= end - off;
}

/*
 * printf into a fixed buffer.
 * Returns the length; -ENAMETOOLONG when it did not fit (buf then holds "").
 */
int str_printf(char *buf, size_t size, const char *fmt, ...)
	PV_PRINTF(3, 4) PV_MUST_CHECK;

#endif /* UTIL_NUM_H */
