/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - blocks that say what they are: every 512 bytes carry where they
 * were written to, as which write of that place, in which run, and a checksum.
 * So what is read back wrong also says how: a write that was lost, one that
 * went elsewhere, half of one, or bytes that nobody wrote.
 *
 * Pure; any thread. Logs: never.
 */
#ifndef BLKFRONT_TOOLS_PATTERN_H
#define BLKFRONT_TOOLS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define PATTERN_UNIT	512u
#define PATTERN_WHY_MAX 160

/* buf: size_bytes, a multiple of PATTERN_UNIT, for offset_bytes of the disk. */
void pattern_fill(void *buf, size_t size_bytes, uint64_t offset_bytes,
		  uint64_t run, uint32_t generation);
/*
 * Is that what pattern_fill wrote? -EILSEQ: no; why (PATTERN_WHY_MAX) says
 * "byte N: what is there".
 */
int pattern_check(const void *buf, size_t size_bytes, uint64_t offset_bytes,
		  uint64_t run, uint32_t generation, char *why) PV_MUST_CHECK;

#endif /* BLKFRONT_TOOLS_PATTERN_H */
