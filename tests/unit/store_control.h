/* SPDX-License-Identifier: MIT */
/*
 * store_control.h - asking the store about itself, for the tests: by a clock of
 * theirs that goes on by TICK_NS each time that it is read.
 */
#ifndef TESTS_UNIT_STORE_CONTROL_H
#define TESTS_UNIT_STORE_CONTROL_H

#include "tests/unit/store_peer.h"

#include "util/clock.h"
#include "util/num.h"

#define TICK_NS 1000u

static uint64_t clock_ns, nr_readings;
static char lines[64 * 1024];

static inline uint64_t read_clock(void)
{
	nr_readings++;
	return clock_ns += TICK_NS;
}

static inline void take_line(const char *line)
{
	size_t used = strlen(lines);

	snprintf(lines + used, sizeof(lines) - used, "%s\n", line);
}

static inline void describe(void *arg, char *buf, size_t size)
{
	(void)arg;
	snprintf(buf, size, "pid:4711");
}

static inline struct xsd *open_store(void)
{
	static const struct xsd_ops ops = { .output = peer_has_output,
					    .dropped = peer_dropped,
					    .describe = describe,
					    .log = take_line,
					    .now_ns = read_clock };
	struct xsd *xsd = NULL;

	clock_ns = NS_PER_S;
	lines[0] = '\0';
	if (xsd_open(0x5eed, &ops, &xsd) ||
	    xsd_domain_create(xsd, 0, 1, "zero"))
		abort();
	return xsd;
}

/* words: separated by spaces. */
static inline int control(struct peer *peer, const char *words)
{
	char text[256];
	size_t len = strlen(words) + 1;

	memcpy(text, words, len);
	for (char *c = text; *c; c++)
		if (*c == ' ')
			*c = '\0';
	return peer_ask(peer, XS_CONTROL, 0, text, len);
}

static inline int says(struct peer *peer, const char *words, const char *answer)
{
	if (control(peer, words) || !peer)
		return 0;
	if (strcmp(peer->reply, answer) == 0)
		return 1;
	printf("%s: %s\n", words, peer->reply);
	return 0;
}

static inline const char *next_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end ? end + 1 : text + strlen(text);
}

static inline unsigned nr_lines_of(const char *text, const char *begin)
{
	unsigned nr = 0;

	for (; text && *text; text = next_line(text))
		nr += strncmp(text, begin, strlen(begin)) == 0;
	return nr;
}

/* The line of an answer that begins so, without its end; "" when none does. */
static inline const char *line_of(const char *text, const char *begin)
{
	static char line[512];

	for (; *text; text = next_line(text)) {
		if (strncmp(text, begin, strlen(begin)) != 0)
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"),
			 text);
		return line;
	}
	return "";
}

/* The number after " NAME=" in a line; UINT64_MAX when there is none. */
static inline uint64_t field(const char *line, const char *name)
{
	char begin[64];
	const char *at;

	snprintf(begin, sizeof(begin), " %s=", name);
	at = strstr(line, begin);
	return at ? strtoull(at + strlen(begin), NULL, 10) : UINT64_MAX;
}

static inline uint64_t total(struct peer *peer, const char *name)
{
	char begin[64];

	snprintf(begin, sizeof(begin), "total name=%s value=", name);
	if (control(peer, "stats totals"))
		return UINT64_MAX;
	return strtoull(line_of(peer->reply, begin) + strlen(begin), NULL, 10);
}

#endif /* TESTS_UNIT_STORE_CONTROL_H */
