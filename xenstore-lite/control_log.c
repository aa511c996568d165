/* SPDX-License-Identifier: MIT */
/*
 * control_log.c - the request log: a line per request, as long as an operator
 * wants it and never more than LINES_PER_S in a second. See control.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "xenstore-lite/control.h"

#define LINES_PER_S 200u

int control_log(const struct control_call *call)
{
	struct xsd *xsd = call->conn->xsd;
	const char *word = call->nr_args ? call->args[0] : "";

	if (!xsd->ops->log)
		return -EINVAL;
	if (!call->nr_args)
		control_add(call->text, "Log switch settings:\n%-8s: %s\n",
			    "io", xsd->log.on ? "on" : "off");
	else if (strcmp(word, "on") == 0 || strcmp(word, "+io") == 0)
		xsd->log.on = true;
	else if (strcmp(word, "off") == 0 || strcmp(word, "-io") == 0)
		xsd->log.on = false;
	else
		return -EINVAL;
	return 0;
}

/* Whether there may be another line now; says how many there were not. */
static bool may_say(const struct xsd *xsd, struct xsd_log *log, uint64_t now_ns)
{
	char line[64];

	if (now_ns - log->second_ns >= NS_PER_S) {
		if (log->nr_lines > LINES_PER_S) {
			snprintf(line, sizeof(line),
				 "%u requests were not shown",
				 log->nr_lines - LINES_PER_S);
			xsd->ops->log(line);
		}
		log->second_ns = now_ns;
		log->nr_lines = 0;
	}
	return ++log->nr_lines <= LINES_PER_S;
}

void control_log_request(const struct xsd_conn *conn, const struct request *rq,
			 int err, uint64_t took_ns)
{
	struct xsd *xsd = conn->xsd;
	size_t shown = strnlen(rq->payload, rq->hdr.len);
	char line[288];

	if (!may_say(xsd, &xsd->log, xsd->stats.turned_ns))
		return;
	snprintf(line, sizeof(line),
		 "d%u c%llu: %s %.*s tx %u: %s, %llu bytes in, %llu ns",
		 conn->domain->domid, (unsigned long long)conn->id,
		 stats_kind_name(stats_kind(rq->hdr.type)),
		 (int)(shown < 128 ? shown : 128), rq->payload, rq->hdr.tx_id,
		 err ? xsd_error_name(-err) : "OK",
		 (unsigned long long)rq->hdr.len, (unsigned long long)took_ns);
	xsd->ops->log(line);
}
