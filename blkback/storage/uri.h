/* SPDX-License-Identifier: MIT */
/*
 * uri.h - targets that are URIs: SCHEME://[AUTHORITY][/PATH][?KEY=VALUE&...].
 * Pure. Any thread. Neighbours: nbd_target.c, iscsi_target.c.
 */
#ifndef BLKBACK_STORAGE_URI_H
#define BLKBACK_STORAGE_URI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "util/annotate.h"

/* Percent-decoded but for authority. "" where the target has no such part. */
struct uri {
	char scheme[16];
	char user[256]; /* before an @ */
	char host[256]; /* without [] */
	char port[8];
	char path[256];	 /* without the first / */
	char query[256]; /* as written */
};

/* -EINVAL: no URI, a bad %XX, a NUL, a port that is none, too long. */
int uri_parse(const char *text, struct uri *ret) PV_MUST_CHECK;
/*
 * The first KEY=VALUE that is left of u->query, decoded; it is taken off.
 * Returns 1, 0 when none is left, or -EINVAL.
 */
int uri_next_option(struct uri *u, char key[32], char value[256]) PV_MUST_CHECK;
/* Look host up; waits for the resolver. -EHOSTUNREACH. */
int uri_resolve(const char *host, const char *port,
		struct sockaddr_storage *ret,
		socklen_t *ret_bytes) PV_MUST_CHECK;

#endif /* BLKBACK_STORAGE_URI_H */
