/* SPDX-License-Identifier: MIT */
/* log.c - format, escape and write one line. See log.h. */
#include "util/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "util/clock.h"

#define LOG_LINE_MAX 1024

static const char *program_name = "pvsplit";
static _Atomic int least_level = LOG_INFO;

void log_init(const char *program, enum log_level least)
{
	program_name = program;
	log_set_level(least);
}

void log_set_level(enum log_level least)
{
	/* pairs with the load in log_va(); no data depends on it */
	atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_DEBUG: return "debug: ";
	case LOG_INFO: return "";
	case LOG_WARN: return "warning: ";
	case LOG_ERROR: return "error: ";
	}
	return "";
}

/* Copy text to out with unprintable bytes as \xNN; stop before room ends. */
static size_t escape(char *out, size_t room, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text && n + 4 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

PV_PRINTF(2, 0)
static void log_va(enum log_level level, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX + 128];
	ssize_t wrote;
	int n;

	/* pairs with log_set_level() */
	if ((int)level <
	    atomic_load_explicit(&least_level, memory_order_relaxed))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	n = snprintf(line, 120, "%s: %s", program_name, level_word(level));
	if (n < 0 || n >= 120)
		n = 0;
	n += (int)escape(line + n, sizeof(line) - (size_t)n - 1, text);
	line[n++] = '\n';
	wrote = write(STDERR_FILENO, line, (size_t)n);
	(void)wrote; /* nowhere left to complain */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(level, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		 ...)
{
	uint64_t now = clock_now_ns();
	va_list ap;

	if (!limit->period_start_ns ||
	    now - limit->period_start_ns > LOG_LIMIT_PERIOD_NS) {
		if (limit->nr_suppressed)
			log_line(level, "%u similar lines were not shown",
				 limit->nr_suppressed);
		limit->period_start_ns = now;
		limit->nr_lines = limit->nr_suppressed = 0;
	}
	if (limit->nr_lines >= LOG_LIMIT_BURST) {
		limit->nr_suppressed++;
		return;
	}
	limit->nr_lines++;
	va_start(ap, fmt);
	log_va(level, fmt, ap);
	va_end(ap);
}
