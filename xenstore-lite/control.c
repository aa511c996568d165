/* SPDX-License-Identifier: MIT */
/* control.c - XS_CONTROL: what an operator may ask. See request.h. */
#include "xenstore-lite/request.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

int do_control(struct xsd_conn *conn, const struct request *rq)
{
	const char *arg;
	char text[64];

	if (request_strings(rq, &arg, 1, 1) != 1)
		return -EINVAL;
	if (strcmp(arg, "help") == 0) {
		request_answer_string(conn, rq, "help\ncheck\n");
		return 0;
	}
	if (strcmp(arg, "check") != 0)
		return -EINVAL;
	unsigned faults = xsd_check(conn->xsd);

	if (faults == 0)
		request_answer_ok(conn, rq);
	else if (str_printf(text, sizeof(text), "%u faults", faults) > 0)
		request_answer_string(conn, rq, text);
	return 0;
}
