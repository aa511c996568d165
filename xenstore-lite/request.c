/* SPDX-License-Identifier: MIT */
/*
 * request.c - one message to one answer. See conn.h.
 *
 * A handler gets a checked length and nothing else: it takes the payload apart
 * itself, and either answers or returns -errno, which becomes an XS_ERROR.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/private.h"

/* ---- payloads ---------------------------------------------------------------
 */

/*
 * The payload's strings, each of which must end with its NUL.
 * Returns their number; -EINVAL when there are other than min..max.
 */
static int strings(const struct request *rq, const char **ret, int min, int max)
{
	const char *at = rq->payload, *end = at + rq->hdr.len;
	int nr = 0;

	if (rq->hdr.len && end[-1] != '\0')
		return -EINVAL;
	while (at < end) {
		if (nr == max)
			return -EINVAL;
		ret[nr++] = at;
		at += strlen(at) + 1;
	}
	return nr < min ? -EINVAL : nr;
}

static void answer(struct xsd_conn *conn, const struct request *rq,
		   const void *data, size_t len)
{
	conn_put(conn, rq->hdr.type, rq->hdr.req_id, rq->hdr.tx_id, data, len);
}

static void answer_string(struct xsd_conn *conn, const struct request *rq,
			  const char *text)
{
	answer(conn, rq, text, strlen(text) + 1);
}

static void answer_ok(struct xsd_conn *conn, const struct request *rq)
{
	answer_string(conn, rq, "OK");
}

static int parse_path(const struct xsd_conn *conn, const char *text,
		      struct xpath *ret)
{
	return xpath_parse(text, conn->domain->domid,
			   conn->domain->limits->path_bytes, ret);
}

/* The payload is one path. */
static int only_path(const struct xsd_conn *conn, const struct request *rq,
		     struct xpath *ret)
{
	const char *text;
	int nr = strings(rq, &text, 1, 1);

	return nr < 0 ? nr : parse_path(conn, text, ret);
}

static int only_domid(const struct request *rq, uint32_t *ret)
{
	const char *text;
	int nr = strings(rq, &text, 1, 1);

	return nr < 0 || num_parse_u32(text, DOMID_FIRST_RESERVED - 1, ret)
		       ? -EINVAL
		       : 0;
}

/* ---- views
 * ------------------------------------------------------------------- */

static struct txn *find_txn(const struct xsd_conn *conn, uint32_t id)
{
	list_for_each(l, &conn->txns) {
		struct txn *txn = container_of(l, struct txn, of_conn);

		if (txn->id == id)
			return txn;
	}
	return NULL;
}

/* The committed tree, or the transaction that the request names. */
static int view_open(struct xsd_conn *conn, const struct request *rq,
		     struct access *ret)
{
	ret->store = &conn->xsd->store;
	ret->domain = conn->domain;
	ret->txn = NULL;
	if (rq->hdr.tx_id == 0)
		return 0;
	ret->txn = find_txn(conn, rq->hdr.tx_id);
	return ret->txn ? 0 : -ENOENT;
}

/* A change outside a transaction is one of its own. */
struct update {
	struct access ax;
	struct txn own;
};

static int update_open(struct xsd_conn *conn, const struct request *rq,
		       struct update *ret)
{
	int err = view_open(conn, rq, &ret->ax);

	if (!err && !ret->ax.txn) {
		txn_init(&ret->own, ret->ax.store, conn->domain, XSD_UNLIMITED);
		ret->ax.txn = &ret->own;
	}
	return err;
}

static int update_close(struct xsd_conn *conn, const struct request *rq,
			struct update *update, int err)
{
	if (update->ax.txn == &update->own) {
		if (!err)
			err = txn_commit(&update->own, xsd_changed, conn->xsd);
		txn_fini(&update->own);
	}
	if (!err)
		answer_ok(conn, rq);
	return err;
}

/* ---- reading
 * ------------------------------------------------------------------ */

static int do_read(struct xsd_conn *conn, const struct request *rq)
{
	const struct blob *value;
	struct access ax;
	struct xpath path;
	int err = view_open(conn, rq, &ax);

	if (!err)
		err = only_path(conn, rq, &path);
	if (!err)
		err = access_read(&ax, &path, &value);
	if (!err)
		answer(conn, rq, value ? value->data : NULL, blob_len(value));
	return err;
}

static int do_directory(struct xsd_conn *conn, const struct request *rq)
{
	struct access ax;
	struct xpath path;
	uint64_t generation;
	size_t bytes;
	char *names;
	int err = view_open(conn, rq, &ax);

	if (!err)
		err = only_path(conn, rq, &path);
	if (!err)
		err = access_list(&ax, &path, &names, &bytes, &generation);
	if (err)
		return err;
	if (bytes > XENSTORE_PAYLOAD_MAX)
		err = -E2BIG;
	else
		answer(conn, rq, names, bytes);
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
	answer(conn, rq, buf, used);
}

static int do_directory_part(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct access ax;
	struct xpath path;
	uint64_t generation;
	size_t bytes;
	uint32_t offset;
	char *names;
	int err = view_open(conn, rq, &ax);

	if (!err && strings(rq, args, 2, 2) != 2)
		err = -EINVAL;
	if (!err)
		err = parse_path(conn, args[0], &path);
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

/* ---- changing
 * ----------------------------------------------------------------- */

static int do_write(struct xsd_conn *conn, const struct request *rq)
{
	const char *nul = memchr(rq->payload, '\0', rq->hdr.len);
	struct update update;
	struct xpath path;
	int err;

	if (!nul)
		return -EINVAL;
	err = parse_path(conn, rq->payload, &path);
	if (!err)
		err = update_open(conn, rq, &update);
	if (err)
		return err;
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
	int err = only_path(conn, rq, &path);

	if (!err)
		err = update_open(conn, rq, &update);
	if (err)
		return err;
	return update_close(conn, rq, &update, fn(&update.ax, &path));
}

static int do_mkdir(struct xsd_conn *conn, const struct request *rq)
{
	return change_path(conn, rq, access_mkdir);
}

static int do_rm(struct xsd_conn *conn, const struct request *rq)
{
	return change_path(conn, rq, access_rm);
}

/* ---- rights
 * -------------------------------------------------------------------- */

static int answer_perms(struct xsd_conn *conn, const struct request *rq,
			const struct perms *perms)
{
	char buf[XENSTORE_PAYLOAD_MAX];
	int len = perms_format(perms, &conn->xsd->store.domains, buf,
			       sizeof(buf));

	if (len < 0)
		return len;
	answer(conn, rq, buf, (size_t)len);
	return 0;
}

static int do_get_perms(struct xsd_conn *conn, const struct request *rq)
{
	const struct perms *perms;
	enum xsd_special special;
	const char *text;
	struct access ax;
	struct xpath path;
	int err = view_open(conn, rq, &ax);

	if (err)
		return err;
	if (strings(rq, &text, 1, 1) != 1)
		return -EINVAL;
	if (xsd_special_parse(text, &special) == 0) {
		perms = conn->xsd->special_perms[special];
		if (!(perms_of(perms, conn->domain) & PERM_READ))
			return -EACCES;
		return answer_perms(conn, rq, perms);
	}
	err = parse_path(conn, text, &path);
	if (!err)
		err = access_get_perms(&ax, &path, &perms);
	return err ? err : answer_perms(conn, rq, perms);
}

/* Who may hear of domains that come and go is for domain 0 to say. */
static int set_special_perms(struct xsd_conn *conn, const struct request *rq,
			     enum xsd_special special, struct perms *perms)
{
	if (!conn->domain->privileged)
		return -EACCES;
	if (perms->entries[0].domid != 0)
		return -EINVAL;
	perms_put(conn->xsd->special_perms[special]);
	conn->xsd->special_perms[special] = perms_get(perms);
	answer_ok(conn, rq);
	return 0;
}

static int set_node_perms(struct xsd_conn *conn, const struct request *rq,
			  const char *text, struct perms *perms)
{
	struct update update;
	struct xpath path;
	int err = parse_path(conn, text, &path);

	if (!err)
		err = update_open(conn, rq, &update);
	if (err)
		return err;
	err = access_set_perms(&update.ax, &path, perms);
	return update_close(conn, rq, &update, err);
}

static int do_set_perms(struct xsd_conn *conn, const struct request *rq)
{
	/* "/", NUL, and entries of at least "n0" and a NUL each. */
	const char *args[XENSTORE_PAYLOAD_MAX / 3];
	enum xsd_special special;
	struct perms *perms;
	int nr = strings(rq, args, 2, (int)ARRAY_SIZE(args));
	int err;

	if (nr < 0)
		return nr;
	err = perms_parse(&conn->xsd->store.domains, args + 1, (unsigned)nr - 1,
			  conn->domain->limits->perms, &perms);
	if (err)
		return err;
	if (xsd_special_parse(args[0], &special) == 0)
		err = set_special_perms(conn, rq, special, perms);
	else
		err = set_node_perms(conn, rq, args[0], perms);
	perms_put(perms);
	return err;
}

/* ---- watches
 * ------------------------------------------------------------------- */

/* The path of a watch: a node's or a special name. */
static int watch_path(const struct xsd_conn *conn, const char *text,
		      struct xpath *ret)
{
	enum xsd_special special;

	if (text[0] != '@')
		return parse_path(conn, text, ret);
	if (xsd_special_parse(text, &special))
		return -EINVAL;
	ret->len = (uint16_t)strlen(text);
	ret->rel_off = 0;
	memcpy(ret->text, text, ret->len + 1u);
	return 0;
}

static int do_watch(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct xpath path;
	int err;

	if (strings(rq, args, 2, 2) != 2)
		return -EINVAL;
	err = watch_path(conn, args[0], &path);
	if (!err)
		err = watch_add(&conn->xsd->watches, &conn->watcher, path.text,
				path.len, path.rel_off, args[1]);
	if (!err)
		answer_ok(conn, rq);
	return err;
}

static int do_unwatch(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[2];
	struct xpath path;
	int err;

	if (strings(rq, args, 2, 2) != 2)
		return -EINVAL;
	err = watch_path(conn, args[0], &path);
	if (!err)
		err = watch_del(&conn->xsd->watches, &conn->watcher, path.text,
				path.len, args[1]);
	if (!err)
		answer_ok(conn, rq);
	return err;
}

static int do_reset_watches(struct xsd_conn *conn, const struct request *rq)
{
	watch_del_all(&conn->xsd->watches, &conn->watcher);
	list_for_each_safe(l, tmp, &conn->txns)
		conn_end_txn(conn, container_of(l, struct txn, of_conn));
	answer_ok(conn, rq);
	return 0;
}

/* ---- transactions
 * --------------------------------------------------------------- */

static int do_transaction_start(struct xsd_conn *conn, const struct request *rq)
{
	struct xsd_domain *domain = conn->domain;
	struct txn *txn;
	char text[12];

	if (rq->hdr.tx_id != 0)
		return -EBUSY;
	if (domain->nr_transactions >= domain->limits->transactions)
		return -ENOSPC;
	txn = malloc(sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	txn_init(txn, &conn->xsd->store, domain, domain->limits->txn_nodes);
	do
		txn->id = ++conn->last_txn_id;
	while (txn->id == 0 || find_txn(conn, txn->id));
	list_add_tail(&conn->txns, &txn->of_conn);
	domain->nr_transactions++;
	if (str_printf(text, sizeof(text), "%u", txn->id) < 0)
		return -EIO;
	answer_string(conn, rq, text);
	return 0;
}

static int do_transaction_end(struct xsd_conn *conn, const struct request *rq)
{
	struct txn *txn = find_txn(conn, rq->hdr.tx_id);
	const char *arg;
	bool commit;
	int err = 0;

	if (strings(rq, &arg, 1, 1) != 1)
		return -EINVAL;
	commit = strcmp(arg, "T") == 0;
	if (!commit && strcmp(arg, "F") != 0)
		return -EINVAL;
	if (!txn)
		return -ENOENT;
	if (commit)
		err = txn_commit(txn, xsd_changed, conn->xsd);
	conn_end_txn(conn, txn);
	if (!err)
		answer_ok(conn, rq);
	return err;
}

/* ---- domains
 * ----------------------------------------------------------------------- */

static int do_get_domain_path(struct xsd_conn *conn, const struct request *rq)
{
	char path[40];
	uint32_t domid;
	int err = only_domid(rq, &domid);

	if (err)
		return err;
	if (str_printf(path, sizeof(path), "/local/domain/%u", domid) < 0)
		return -EINVAL;
	answer_string(conn, rq, path);
	return 0;
}

/*
 * One may ask about oneself; about others whoever may hear of domains that are
 * released, for he could learn it that way too.
 */
static int do_is_domain_introduced(struct xsd_conn *conn,
				   const struct request *rq)
{
	const struct perms *perms =
		conn->xsd->special_perms[XSD_RELEASE_DOMAIN];
	uint32_t domid;
	int err = only_domid(rq, &domid);

	if (err)
		return err;
	if (domid != conn->domain->domid &&
	    !(perms_of(perms, conn->domain) & PERM_READ))
		return -EACCES;
	answer_string(conn, rq,
		      xsd_domain_exists(conn->xsd, domid) ? "T" : "F");
	return 0;
}

/* The broker introduces domains; to say it again does nothing. */
static int do_introduce(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[3];
	uint32_t domid;

	if (strings(rq, args, 3, 3) != 3 ||
	    num_parse_u32(args[0], DOMID_FIRST_RESERVED - 1, &domid) ||
	    !xsd_domain_exists(conn->xsd, domid))
		return -EINVAL;
	answer_ok(conn, rq);
	return 0;
}

static int do_release(struct xsd_conn *conn, const struct request *rq)
{
	uint32_t domid;
	int err = only_domid(rq, &domid);

	if (!err)
		err = xsd_domain_destroy(conn->xsd, domid);
	if (!err)
		answer_ok(conn, rq);
	return err;
}

/* ---- control
 * ------------------------------------------------------------------------ */

static int do_control(struct xsd_conn *conn, const struct request *rq)
{
	const char *arg;
	char text[64];

	if (strings(rq, &arg, 1, 1) != 1)
		return -EINVAL;
	if (strcmp(arg, "help") == 0) {
		answer_string(conn, rq, "help\ncheck\n");
		return 0;
	}
	if (strcmp(arg, "check") != 0)
		return -EINVAL;
	unsigned faults = xsd_check(conn->xsd);

	if (faults == 0)
		answer_ok(conn, rq);
	else if (str_printf(text, sizeof(text), "%u faults", faults) > 0)
		answer_string(conn, rq, text);
	return 0;
}

/* ---- dispatch
 * ------------------------------------------------------------------------ */

static const struct {
	int (*fn)(struct xsd_conn *conn, const struct request *rq);
	bool privileged; /* only domain 0 may */
} handlers[XS_TYPE_COUNT] = {
	[XS_CONTROL] = { do_control, true },
	[XS_DIRECTORY] = { do_directory, false },
	[XS_READ] = { do_read, false },
	[XS_GET_PERMS] = { do_get_perms, false },
	[XS_WATCH] = { do_watch, false },
	[XS_UNWATCH] = { do_unwatch, false },
	[XS_TRANSACTION_START] = { do_transaction_start, false },
	[XS_TRANSACTION_END] = { do_transaction_end, false },
	[XS_INTRODUCE] = { do_introduce, true },
	[XS_RELEASE] = { do_release, true },
	[XS_GET_DOMAIN_PATH] = { do_get_domain_path, false },
	[XS_WRITE] = { do_write, false },
	[XS_MKDIR] = { do_mkdir, false },
	[XS_RM] = { do_rm, false },
	[XS_SET_PERMS] = { do_set_perms, false },
	[XS_IS_DOMAIN_INTRODUCED] = { do_is_domain_introduced, false },
	[XS_RESET_WATCHES] = { do_reset_watches, false },
	[XS_DIRECTORY_PART] = { do_directory_part, false },
};

void request_run(struct xsd_conn *conn, const struct request *rq)
{
	const char *error;
	int err = -ENOSYS;

	if (rq->hdr.type < XS_TYPE_COUNT && handlers[rq->hdr.type].fn) {
		err = -EACCES;
		if (!handlers[rq->hdr.type].privileged ||
		    conn->domain->privileged)
			err = handlers[rq->hdr.type].fn(conn, rq);
	}
	if (!err)
		return;
	error = xsd_error_name(-err);
	conn_put(conn, XS_ERROR, rq->hdr.req_id, rq->hdr.tx_id, error,
		 strlen(error) + 1);
}
