/* SPDX-License-Identifier: MIT */
/*
 * control.h - XS_CONTROL: what an operator may ask of the store and tell it.
 * Private to the store.
 *
 *	control.c        the commands
 *	control_stats.c  stats: what stats.h counts, in pages
 *	control_quota.c  quota, quota-soft
 *	control_log.c    log: a line per request
 *
 * Commands are Xen's where Xen has one, so that xenstore-control works; their
 * table is in control.c. A command gets its words and fills in an answer: whole
 * lines, as many as fit one message. An empty one is sent as "OK".
 */
#ifndef XENSTORE_LITE_CONTROL_H
#define XENSTORE_LITE_CONTROL_H

#include <stdbool.h>

#include "xenstore-lite/request.h"

struct control_text {
	size_t len, end; /* data[end - 1] at most is used, and a NUL */
	char data[XENSTORE_PAYLOAD_MAX];
};

/* Add to the answer all of it or, when there is no room (false), nothing. */
bool control_add(struct control_text *text, const char *fmt, ...)
	PV_PRINTF(2, 3);

struct control_call {
	struct xsd_conn *conn;
	const struct request *rq;
	const char *const *args; /* without the command's own name */
	int nr_args;
	struct control_text *text;
};

/* -EINVAL: not so; xenstore-control then shows what there is. */
typedef int control_fn(const struct control_call *call);
/* No answer now: there will be one. */
#define CONTROL_LATER 1

control_fn control_log;
control_fn control_quota;
control_fn control_quota_soft;
control_fn control_stats;
control_fn control_update;

/* A request was answered while the log is on. */
void control_log_request(const struct xsd_conn *conn, const struct request *rq,
			 int err, uint64_t took_ns);

#endif /* XENSTORE_LITE_CONTROL_H */
