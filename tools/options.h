/* SPDX-License-Identifier: MIT */
/*
 * options.h - values of a command line. What is wrong is said in one line, with
 * what is wanted instead; outputs are written only on success.
 *
 * Thread: main. Logs: what is wrong.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdint.h>

#include "util/annotate.h"

/* "OPTION VALUE: give WANT". Returns -EINVAL. */
int option_wrong(const char *option, const char *value, const char *want);
/* A number from min to max. */
int option_u32(const char *option, const char *value, uint32_t min,
	       uint32_t max, uint32_t *ret) PV_MUST_CHECK;
/* A size that is not 0, at most max; K, M, G and T are powers of 1024. */
int option_bytes(const char *option, const char *value, uint64_t max,
		 uint64_t *ret) PV_MUST_CHECK;
/* Whole seconds, at least one, in nanoseconds. */
int option_seconds(const char *option, const char *value,
		   uint64_t *ret_ns) PV_MUST_CHECK;

#endif /* TOOLS_OPTIONS_H */
