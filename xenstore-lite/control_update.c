/* SPDX-License-Identifier: MIT */
/*
 * control_update.c - the command live-update, in the words of Xen's
 * xenstore-control: -f FILE names the program, -s starts, -a forgets. See
 * control.h, update.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/num.h"
#include "xenstore-lite/control.h"
#include "xenstore-lite/update.h"

static int set_file(struct xsd_update *update, const char *file)
{
	char *copy;

	if (file[0] != '/')
		return -EINVAL;
	if (access(file, X_OK) < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	copy = strdup(file);
	if (!copy)
		return -ENOMEM;
	free(update->file);
	update->file = copy;
	return 0;
}

static void forget(struct xsd_update *update)
{
	free(update->file);
	memset(update, 0, sizeof(*update));
}

/* Xen's waits for transactions to end, up to -t seconds, and ends them with -F.
 * Here they go on in the new process: there is nothing to wait for. */
static int check_start(const struct control_call *call)
{
	uint32_t seconds;

	for (int i = 1; i < call->nr_args; i++) {
		const char *arg = call->args[i];

		if (strcmp(arg, "-F") == 0)
			continue;
		if (strcmp(arg, "-t") != 0 || ++i == call->nr_args ||
		    num_parse_u32(call->args[i], UINT32_MAX, &seconds))
			return -EINVAL;
	}
	return 0;
}

static int start(const struct control_call *call)
{
	struct xsd_update *update = &call->conn->xsd->update;
	int err = check_start(call);

	if (err)
		return err;
	if (!call->conn->xsd->ops->can_update)
		return -ENOSYS;
	if (update->wanted)
		return -EBUSY;
	update->wanted = true;
	update->conn_id = call->conn->id;
	update->req_id = call->rq->hdr.req_id;
	update->tx_id = call->rq->hdr.tx_id;
	return CONTROL_LATER;
}

int control_update(const struct control_call *call)
{
	struct xsd_update *update = &call->conn->xsd->update;
	const char *word = call->nr_args ? call->args[0] : "";

	if (strcmp(word, "-s") == 0)
		return start(call);
	if (update->wanted)
		return -EBUSY;
	if (strcmp(word, "-f") == 0 && call->nr_args == 2)
		return set_file(update, call->args[1]);
	if (strcmp(word, "-a") != 0 || call->nr_args != 1)
		return -EINVAL;
	forget(update);
	return 0;
}

bool xsd_update_wanted(const struct xsd *xsd, const char **file)
{
	*file = xsd->update.file;
	return xsd->update.wanted;
}

static struct xsd_conn *find_conn(const struct xsd *xsd, uint64_t id)
{
	const struct xsd_domain *domain0 =
		xsd_domain_find(&xsd->store.domains, 0);

	list_for_each(l, &domain0->conns) {
		struct xsd_conn *conn =
			container_of(l, struct xsd_conn, of_domain);

		if (conn->id == id)
			return conn;
	}
	return NULL;
}

void xsd_update_done(struct xsd *xsd, int err)
{
	const char *text = err ? xsd_error_name(-err) : "OK";
	struct xsd_update update = xsd->update;
	struct xsd_conn *conn = find_conn(xsd, update.conn_id);

	forget(&xsd->update);
	if (conn)
		conn_put_late(conn, err ? XS_ERROR : XS_CONTROL, update.req_id,
			      update.tx_id, text, strlen(text) + 1);
}
