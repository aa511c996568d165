/* SPDX-License-Identifier: MIT */
/* request_node.c - nodes: their values, children and rights. See request.h. */
#include "xenstore-lite/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/use.h"

/* ---- reading ---------------------------------------------------------- */

int do_read(struct xsd_conn *conn, const struct request *rq)
{
	const struct blob *value;
	struct access ax;
	struct xpath path;
	int err = request_only_path(conn, rq, &path);

	request_view(conn, rq, &ax);
	if (!err)
		err = access_read(&ax, &path, &value);
	if (!err)
		request_answer(conn, rq, value ? value->data : NULL,
			       blob_len(value));
	return err;
}

int do_directory(struct xsd_conn *conn, const struct request *rq)
{
	struct access ax;
	struct xpath path;
	uint64_t generation;
	size_t bytes;
	char *names;
	int err = request_only_path(conn, rq, &path);

	request_view(conn, rq, &ax);
	if (!err)
		err = access_list(&ax, &path, &names, &bytes, &generation);
	if (err)
		return err;
	if (bytes > XENSTORE_PAYLOAD_MAX)
		err = -E2BIG;
	else
		request_answer(conn, rq, names, bytes);
	free(names);
	return err;
}

/*
 * "generation NUL" and as many whole names from the offset on as fit; an empty
 * name marks the end of the list.
 */
static void answer_part(struct xsd_conn *conn, const struct request *rq,
			uint64_t generation, const char *names, size_t bytes)
{
	char buf[XENSTORE_PAYLOAD_MAX];
	size_t used, taken = 0;
	int n = str_printf(buf, sizeof(buf), "%llu",
			   (unsigned long long)generation);

	used = (size_t)(n < 0 ? 0 : n) + 1;
	while (taken < bytes) {
		size_t len = strlen(names + taken) + 1;

		if (used + len + 1 > sizeof(buf))
			break;
		memcpy(buf + used, names + taken, len);
		used += len;
		taken += len;
	}
	if (taken == bytes)
		buf[used++] = '\0';
	request_answer(conn, rq, buf, used);
}

int do_directory_part(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct access ax;
	struct xpath path;
	uint64_t generation;
	size_t bytes;
	uint32_t offset;
	char *names;
	int err = request_strings(rq, args, 2, 2) < 0
			  ? -EINVAL
			  : request_path(conn, args[0], &path);

	request_view(conn, rq, &ax);
	if (!err && num_parse_u32(args[1], UINT32_MAX, &offset))
		err = -EINVAL;
	if (!err)
		err = access_list(&ax, &path, &names, &bytes, &generation);
	if (err)
		return err;
	if (offset > bytes)
		offset = (uint32_t)bytes;
	answer_part(conn, rq, generation, names ? names + offset : "",
		    names ? bytes - offset : 0);
	free(names);
	return 0;
}

/* ---- changing --------------------------------------------------------- */

/* A change outside a transaction is one of its own. */
struct update {
	struct access ax;
	struct txn own;
};

static void update_open(struct xsd_conn *conn, const struct request *rq,
			struct update *ret)
{
	request_view(conn, rq, &ret->ax);
	if (ret->ax.txn)
		return;
	txn_init(&ret->own, ret->ax.store, conn->domain, XSD_UNLIMITED);
	ret->ax.txn = &ret->own;
}

static int update_close(struct xsd_conn *conn, const struct request *rq,
			struct update *update, int err)
{
	if (update->ax.txn == &update->own) {
		if (!err)
			err = request_commit(conn, &update->own);
		txn_fini(&update->own);
	}
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}

int do_write(struct xsd_conn *conn, const struct request *rq)
{
	const char *nul = memchr(rq->payload, '\0', rq->hdr.len);
	struct update update;
	struct xpath path;
	int err;

	if (!nul)
		return -EINVAL;
	err = request_path(conn, rq->payload, &path);
	if (err)
		return err;
	update_open(conn, rq, &update);
	nul++;
	err = access_write(&update.ax, &path, nul,
			   rq->hdr.len - (uint32_t)(nul - rq->payload));
	return update_close(conn, rq, &update, err);
}

static int change_path(struct xsd_conn *conn, const struct request *rq,
		       int (*fn)(const struct access *, const struct xpath *))
{
	struct update update;
	struct xpath path;
	int err = request_only_path(conn, rq, &path);

	if (err)
		return err;
	update_open(conn, rq, &update);
	return update_close(conn, rq, &update, fn(&update.ax, &path));
}

int do_mkdir(struct xsd_conn *conn, const struct request *rq)
{
	return change_path(conn, rq, access_mkdir);
}

int do_rm(struct xsd_conn *conn, const struct request *rq)
{
	return change_path(conn, rq, access_rm);
}

/* ---- rights ----------------------------------------------------------- */

int request_answer_perms(struct xsd_conn *conn, const struct request *rq,
			 const struct perms *perms)
{
	char buf[XENSTORE_PAYLOAD_MAX];
	int len = perms_format(perms, &conn->xsd->store.domains, buf,
			       sizeof(buf));

	if (len < 0)
		return len;
	request_answer(conn, rq, buf, (size_t)len);
	return 0;
}

int do_get_perms(struct xsd_conn *conn, const struct request *rq)
{
	const struct perms *perms;
	const char *text;
	struct access ax;
	struct xpath path;
	int err = request_only_string(rq, &text);

	if (!err)
		err = request_any_path(conn, text, &path);
	if (err)
		return err;
	if (text[0] == '@')
		return special_get_perms(conn, rq, text);
	request_view(conn, rq, &ax);
	err = access_get_perms(&ax, &path, &perms);
	return err ? err : request_answer_perms(conn, rq, perms);
}

static int set_node_perms(struct xsd_conn *conn, const struct request *rq,
			  const char *text, struct perms *perms)
{
	struct update update;
	struct xpath path;
	int err = request_path(conn, text, &path);

	if (err)
		return err;
	update_open(conn, rq, &update);
	err = access_set_perms(&update.ax, &path, perms);
	return update_close(conn, rq, &update, err);
}

int do_set_perms(struct xsd_conn *conn, const struct request *rq)
{
	/* "/", NUL, and entries of at least "n0" and a NUL each. */
	const char *args[XENSTORE_PAYLOAD_MAX / 3];
	struct perms *perms;
	int nr = request_strings(rq, args, 2, (int)ARRAY_SIZE(args));
	int err;

	if (nr < 0)
		return nr;
	err = perms_parse(&conn->xsd->store.domains, args + 1, (unsigned)nr - 1,
			  conn->domain->limits->perms, &perms);
	if (err)
		return err;
	use_saw(conn->domain, XSD_USE_PERMS, perms->nr);
	if (args[0][0] == '@')
		err = special_set_perms(conn, rq, args[0], perms);
	else
		err = set_node_perms(conn, rq, args[0], perms);
	perms_put(perms);
	return err;
}
