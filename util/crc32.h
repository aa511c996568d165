/* SPDX-License-Identifier: MIT */
/*
 * crc32.h - zlib's crc32, made for short records: zlib's own is fast in long
 * runs, but takes longer for the hundred bytes of a usual record than all the
 * rest of writing them.
 *
 * Thread: any. Logs: never. Source: the polynomial of IEEE 802.3, reflected.
 */
#ifndef UTIL_CRC32_H
#define UTIL_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Of data behind what crc is the sum of; 0 to begin with. */
uint32_t crc32_add(uint32_t crc, const void *data, size_t len);

#endif /* UTIL_CRC32_H */
