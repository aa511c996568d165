/* SPDX-License-Identifier: MIT */
/*
 * log.h - one line per fact, on standard error.
 *
 * Mains and device objects log; libraries return errors. A line reads
 * "blkbackd: vbd d3/51712: what happened". Everything that a peer can provoke
 * goes through log_limited, so that a hostile peer cannot fill a disk.
 * Bytes that are not printable ASCII are written as \xNN: a peer's text cannot
 * forge a line or move the cursor.
 *
 * Thread: any; a line is one write.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdint.h>

#include "util/annotate.h"

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR
};

/* Set the program's name for every line and the least level shown. */
void log_init(const char *program, enum log_level least);
void log_set_level(enum log_level least);

void log_line(enum log_level level, const char *fmt, ...) PV_PRINTF(2, 3);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/*
 * A budget of lines: LOG_LIMIT_BURST lines per LOG_LIMIT_PERIOD_NS, the rest
 * are counted and announced when the next period begins. Zero-initialise; one
 * per device, used by the thread that owns the device.
 */
struct log_limit {
	uint64_t period_start_ns;
	uint32_t nr_lines;
	uint32_t nr_suppressed;
};

#define LOG_LIMIT_BURST	    8u
#define LOG_LIMIT_PERIOD_NS 10000000000ull

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		 ...) PV_PRINTF(3, 4);

#endif /* UTIL_LOG_H */
