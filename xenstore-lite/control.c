/* SPDX-License-Identifier: MIT */
/* control.c - the commands of XS_CONTROL. See control.h. */
#include "xenstore-lite/control.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/num.h"

#define WORDS_MAX 8

bool control_add(struct control_text *text, const char *fmt, ...)
{
	size_t room = text->end - text->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text->data + text->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		text->data[text->len] = '\0';
		return false;
	}
	text->len += (size_t)n;
	return true;
}

/* ---- commands --------------------------------------------------------- */

static int check(const struct control_call *call)
{
	unsigned faults = xsd_check(call->conn->xsd);

	if (faults)
		control_add(call->text, "%u faults", faults);
	return 0;
}

static int print(const struct control_call *call)
{
	const struct xsd_ops *ops = call->conn->xsd->ops;
	char line[160];

	if (call->nr_args != 1 || !ops->log)
		return -EINVAL;
	snprintf(line, sizeof(line), "control: %s", call->args[0]);
	ops->log(line);
	return 0;
}

/* What the connections' buffers take. */
static size_t buffer_bytes(const struct xsd *xsd)
{
	size_t bytes = xsd->nr_spare * XSD_OUTPUT_BYTES;

	list_for_each(d, &xsd->store.domains.all) {
		const struct xsd_domain *domain =
			container_of(d, struct xsd_domain, link);

		list_for_each(c, &domain->conns) {
			const struct xsd_conn *conn =
				container_of(c, struct xsd_conn, of_domain);

			bytes += conn->in.size + conn->out.size;
		}
	}
	return bytes;
}

/* Xen's writes a file when it is given a name; nobody makes us open one. */
static int memreport(const struct control_call *call)
{
	const struct xsd *xsd = call->conn->xsd;
	struct mallinfo2 heap = mallinfo2();

	if (call->nr_args)
		return -EINVAL;
	control_add(call->text,
		    "heap in use: %zu\nheap free: %zu\nmapped: %zu\n"
		    "nodes: %u\nwatched paths: %u\npending events: %u\n"
		    "connections: %llu\nconnection buffers: %zu\n",
		    heap.uordblks, heap.fordblks, heap.hblkhd,
		    xsd->store.nodes.nr, xsd->watches.points.nr,
		    xsd->watches.events.nr,
		    (unsigned long long)xsd->stats.nr_conns, buffer_bytes(xsd));
	return 0;
}

/* ---- dispatch --------------------------------------------------------- */

static control_fn help;

static const struct {
	const char *name, *params;
	control_fn *fn;
	int max_args;
} commands[] = {
	{ "check", "", check, 0 },
	{ "live-update", "-f <file>|-a|-s [-t <timeout>] [-F]", control_update,
	  4 },
	{ "log", "[on|off|+io|-io]", control_log, 1 },
	{ "memreport", "", memreport, 0 },
	{ "print", "<string>", print, 1 },
	{ "quota", "[set <name> <val>|<domid>|max [-r]]", control_quota, 3 },
	{ "quota-soft", "[set <name> <val>]", control_quota_soft, 3 },
	{ "stats", "[<section> [<from>]]", control_stats, 2 },
	{ "help", "", help, 0 },
};

static int help(const struct control_call *call)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		control_add(call->text, "%-15s %s\n", commands[i].name,
			    commands[i].params);
	return 0;
}

int do_control(struct xsd_conn *conn, const struct request *rq)
{
	const char *words[WORDS_MAX];
	struct control_text text = { .end = sizeof(text.data) };
	int nr = request_strings(rq, words, 1, WORDS_MAX);
	struct control_call call = { .conn = conn,
				     .rq = rq,
				     .args = words + 1,
				     .nr_args = nr - 1,
				     .text = &text };
	int err = -EINVAL;

	if (nr < 0)
		return nr;
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(words[0], commands[i].name) == 0 &&
		    call.nr_args <= commands[i].max_args)
			err = commands[i].fn(&call);
	if (err)
		return err < 0 ? err : 0;
	request_answer_string(conn, rq, text.len ? text.data : "OK");
	return 0;
}
