/* SPDX-License-Identifier: MIT */
/*
 * say.h - sizes and times as people read them. Pure; any thread.
 */
#ifndef UTIL_SAY_H
#define UTIL_SAY_H

#include <stdint.h>

#define SAY_BYTES 24 /* room for any of them */

/* "512 B", "4.0 KiB", "1.5 GiB" */
void say_bytes(uint64_t bytes, char *buf);
/* "950 ns", "12.3 us", "1.5 s", "4m05s", "3h20m", "2d07h" */
void say_duration(uint64_t ns, char *buf);

#endif /* UTIL_SAY_H */
