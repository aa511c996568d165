/* SPDX-License-Identifier: MIT */
/*
 * store_words.h - the steps of a history (store_steps.h), and the words that
 * they are made of. A step is a few numbers, and any numbers are a step: so a
 * history may come from a random generator or a fuzzer, and any part of one is
 * one too (store_steps_run.h makes a failing one shorter).
 */
#ifndef TESTS_UNIT_STORE_WORDS_H
#define TESTS_UNIT_STORE_WORDS_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "util/num.h"

struct step {
	uint8_t kind, who, tx, path, arg, more;
};

/* What a step is: the first seven are requests on a node. */
enum step_kind {
	STEP_NODES = 7,
	STEP_WATCH = STEP_NODES,
	STEP_UNWATCH,
	STEP_RESET,
	STEP_START,
	STEP_END,
	STEP_TARGET,
	STEP_QUOTA,
	STEP_HANG_UP,
	STEP_LISTEN,
	STEP_CREATE,
	STEP_DESTROY,
	STEP_UPDATE,
	STEP_KINDS
};

static const struct {
	const char *name;
	uint32_t type;
	uint8_t weight; /* how often it comes up */
} step_kinds[STEP_KINDS] = {
	{ "read", XS_READ, 8 },
	{ "write", XS_WRITE, 28 },
	{ "mkdir", XS_MKDIR, 6 },
	{ "rm", XS_RM, 10 },
	{ "directory", XS_DIRECTORY, 8 },
	{ "get_perms", XS_GET_PERMS, 3 },
	{ "set_perms", XS_SET_PERMS, 8 },
	{ "watch", XS_WATCH, 12 },
	{ "unwatch", XS_UNWATCH, 4 },
	{ "reset_watches", XS_RESET_WATCHES, 1 },
	{ "start", XS_TRANSACTION_START, 10 },
	{ "end", XS_TRANSACTION_END, 12 },
	{ "set_target", XS_SET_TARGET, 2 },
	{ "set_quota", XS_SET_QUOTA, 8 },
	{ "hang up", XS_INVALID, 1 },
	{ "listen", XS_INVALID, 6 },
	{ "create", XS_INVALID, 4 },
	{ "destroy", XS_INVALID, 2 },
	{ "update", XS_INVALID, 3 },
};

static inline unsigned step_kind(const struct step *s)
{
	unsigned all = 0, at, kind = 0;

	for (unsigned i = 0; i < STEP_KINDS; i++)
		all += step_kinds[i].weight;
	for (at = s->kind % all; at >= step_kinds[kind].weight; kind++)
		at -= step_kinds[kind].weight;
	return kind;
}

/* ---- words --------------------------------------------------------------- */

static const char *const step_paths[] = {
	"/s",
	"/s/a",
	"/s/a/b",
	"/s/a/b/c",
	"/s/b",
	"/s/b/c/d/e",
	"data",
	"data/a",
	"data/a/b",
	"data/a/b/c/d/e",
	"data/b",
	"data/b/c",
	"/local/domain/1/data",
	"/local/domain/1/data/a",
	"/local/domain/2/data/a",
	"/local/domain/2/data/b/c",
	"/local/domain/3/data/a/b",
	"/local/domain/1/device",
	"/local/domain/1/device/vbd/0",
	"/local/domain/2/device/vif/0/state",
	"/",
	"/t",
	"/t/u/v",
	"/libxl/1/x",
	"/libxl/2/y/z",
	"/local/domain",
	"/local/domain/1",
	"/local/domain/4",
	"name",
	"backend/vbd/1/0",
	"@releaseDomain",
	"@releaseDomain/1",
	"@releaseDomain/4",
	"@introduceDomain",
	"@nothing",
	"",
	"data//a",
	"data/",
	"/s/",
	"data/\x01",
	"data/\xc3\xa4",
	"/s/a.b",
	NULL, /* too long */
};

/* Where everybody meets: the first of them, more often than not. */
#define STEP_COMMON_PATHS 12u

static inline const char *step_path(uint8_t n)
{
	static char too_long[XENSTORE_REL_PATH_MAX + 2];
	unsigned nr = n % 64 < 48 ? STEP_COMMON_PATHS : ARRAY_SIZE(step_paths);
	const char *path = step_paths[n % nr];

	memset(too_long, 'x', sizeof(too_long) - 1);
	return path ? path : too_long;
}

/* '*': the asking domain. */
static const char *const step_perms[] = {
	"b0",	 "b0 n2",	"b*",	 "b* n1",    "r* b1",
	"b1",	 "n0 r1 b2",	"n*",	 "n* r2 w3", "b2 r1",
	"r0",	 "n0 b1 b2 b3", "b* r2", "b3 n1",    "b1 r5",
	"w0 r3", "n* b2 b1",	"r* b3", "n0",	     "n1",
	"n5",	 "n3 b1 r2",	"n* r9", "x1",	     "r",
	"r1x",	 "n65536",	"",	 "n9 r1",    "n0 n1 n2 n3 n4 n5",
};

/* What follows the path in a SET_PERMS. Returns its bytes. */
static inline size_t step_perms_text(uint32_t domid, uint8_t n, char *buf,
				     size_t size)
{
	size_t used = 0;

	for (const char *p = step_perms[n % ARRAY_SIZE(step_perms)]; *p; p++) {
		if (*p == '*')
			used += (size_t)snprintf(buf + used, size - used, "%u",
						 domid);
		else
			buf[used++] = *p == ' ' ? '\0' : *p;
	}
	if (used)
		buf[used++] = '\0';
	return used;
}

static inline size_t step_value(const struct step *s, char *buf, size_t size)
{
	static const size_t sizes[] = { 0, 1, 3, 3, 3, 100, 2048, 2049 };
	size_t len = sizes[s->arg % ARRAY_SIZE(sizes)];

	if (len > size)
		len = size;
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(s->more + i);
	return len;
}

#endif /* TESTS_UNIT_STORE_WORDS_H */
