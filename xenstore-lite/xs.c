/* SPDX-License-Identifier: MIT */
/*
 * xs.c - the calls of xs.h, one request each. Those that are made of others are
 * in xs_util.c, what is behind them in xs_private.h.
 */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

/* Numbers in one request. */
#define NUMBERS_MAX 3

/* A directory that the store sends in parts: most bytes of names, and how often
 * the list may change meanwhile. */
#define XS_DIRECTORY_MAX   (4u << 20)
#define XS_DIRECTORY_TRIES 64

/* Submitted and not answered. */
#define XS_SUBMITTED_MAX 4096u

/* ---- nodes ----------------------------------------------------------------
 */

int xs_read(struct xs *xs, xs_txn_t tx, const char *path, char **ret,
	    size_t *len)
{
	size_t unused;

	return xs_talk_text(xs, XS_READ, tx, path, ret, len ? len : &unused);
}

int xs_write(struct xs *xs, xs_txn_t tx, const char *path, const void *data,
	     size_t len)
{
	struct iovec parts[] = { xs_text_part(path),
				 { (void *)(uintptr_t)data, len } };

	return xs_talk(xs, XS_WRITE, tx, parts, len ? 2 : 1, NULL, NULL);
}

int xs_mkdir(struct xs *xs, xs_txn_t tx, const char *path)
{
	return xs_talk_text(xs, XS_MKDIR, tx, path, NULL, NULL);
}

int xs_rm(struct xs *xs, xs_txn_t tx, const char *path)
{
	return xs_talk_text(xs, XS_RM, tx, path, NULL, NULL);
}

/* One part of a listing, appended to *names. 1: that was the last. */
static int add_part(struct xs *xs, xs_txn_t tx, const char *path, char **names,
		    size_t *len, char *generation, size_t size)
{
	struct iovec parts[2] = { xs_text_part(path) };
	char offset[24], *part, *grown;
	size_t bytes, head;
	int err;

	if (str_printf(offset, sizeof(offset), "%zu", *len) < 0)
		return -EOVERFLOW;
	parts[1] = xs_text_part(offset);
	err = xs_talk(xs, XS_DIRECTORY_PART, tx, parts, 2, &part, &bytes);
	if (err)
		return err;
	head = strlen(part) + 1;
	err = -EPROTO;
	if (head >= bytes || part[bytes - 1] != '\0' || head > size)
		goto out;
	err = -EAGAIN;
	if (*len && strcmp(part, generation) != 0)
		goto out;
	memcpy(generation, part, head);
	bytes -= head;
	err = -EOVERFLOW;
	if (bytes > XS_DIRECTORY_MAX - *len)
		goto out;
	err = -ENOMEM;
	grown = realloc(*names, *len + bytes);
	if (!grown)
		goto out;
	*names = grown;
	memcpy(grown + *len, part + head, bytes);
	/* The last part ends with an empty name. */
	err = bytes == 1 || part[head + bytes - 2] == '\0';
	*len += bytes - (unsigned)err;
out:
	free(part);
	return err;
}

static int directory_parts(struct xs *xs, xs_txn_t tx, const char *path,
			   char **ret, size_t *ret_len)
{
	char generation[32] = "", *names = NULL;
	size_t len = 0;
	int err, tries = XS_DIRECTORY_TRIES;

	do {
		err = add_part(xs, tx, path, &names, &len, generation,
			       sizeof(generation));
		if (err == -EAGAIN) {
			len = 0;
			err = --tries ? 0 : -EAGAIN;
		}
	} while (err == 0);
	if (err < 0) {
		free(names);
		return err;
	}
	*ret = names;
	*ret_len = len;
	return 0;
}

/* Turn names into an array of pointers with the text behind it. */
static int split_names(const char *names, size_t len, char ***ret,
		       unsigned *ret_nr)
{
	unsigned nr = 0;
	char **array, *text;

	if (len && names[len - 1] != '\0')
		return -EPROTO;
	for (size_t i = 0; i < len; i++)
		nr += names[i] == '\0';
	array = malloc((nr + 1) * sizeof(char *) + len);
	if (!array)
		return -ENOMEM;
	text = (char *)(array + nr + 1);
	if (len)
		memcpy(text, names, len);
	for (unsigned i = 0; i < nr; i++) {
		array[i] = text;
		text += strlen(text) + 1;
	}
	array[nr] = NULL;
	*ret = array;
	*ret_nr = nr;
	return 0;
}

int xs_directory(struct xs *xs, xs_txn_t tx, const char *path, char ***ret,
		 unsigned *nr)
{
	char *names;
	size_t len;
	int err = xs_talk_text(xs, XS_DIRECTORY, tx, path, &names, &len);

	if (err == -E2BIG)
		err = directory_parts(xs, tx, path, &names, &len);
	if (err)
		return err;
	err = split_names(names, len, ret, nr);
	free(names);
	return err == -EPROTO ? xs_conn_nonsense(xs) : err;
}

/* ---- rights ---------------------------------------------------------------
 */

int xs_parse_perms(const char *data, size_t len, struct xs_perm *perms,
		   unsigned *nr)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i += strlen(data + i) + 1, n++) {
		struct xs_perm perm = { .right = data[i] };

		if (!data[i] || !strchr("nrwb", data[i]) ||
		    num_parse_u32(data + i + 1, UINT32_MAX, &perm.domid))
			return -EPROTO;
		if (n == *nr)
			return -E2BIG;
		perms[n] = perm;
	}
	if (n == 0)
		return -EPROTO;
	*nr = n;
	return 0;
}

int xs_get_perms(struct xs *xs, xs_txn_t tx, const char *path,
		 struct xs_perm *perms, unsigned *nr)
{
	char *text;
	size_t len;
	int err = xs_talk_text(xs, XS_GET_PERMS, tx, path, &text, &len);

	if (err)
		return err;
	err = xs_parse_perms(text, len, perms, nr);
	free(text);
	return err;
}

static int perms_text(const struct xs_perm *perms, unsigned nr,
		      char text[XENSTORE_PAYLOAD_MAX], struct iovec *ret)
{
	size_t used = 0;

	for (unsigned i = 0; i < nr; i++) {
		int n = str_printf(text + used, XENSTORE_PAYLOAD_MAX - used,
				   "%c%u", perms[i].right, perms[i].domid);

		if (n < 0)
			return -E2BIG;
		used += (size_t)n + 1;
	}
	*ret = (struct iovec){ .iov_base = text, .iov_len = used };
	return 0;
}

int xs_set_perms(struct xs *xs, xs_txn_t tx, const char *path,
		 const struct xs_perm *perms, unsigned nr)
{
	char text[XENSTORE_PAYLOAD_MAX];
	struct iovec parts[2] = { xs_text_part(path) };
	int err = perms_text(perms, nr, text, &parts[1]);

	return err ? err : xs_talk(xs, XS_SET_PERMS, tx, parts, 2, NULL, NULL);
}

/* ---- submitted ------------------------------------------------------------
 */

int xs_submit(struct xs *xs, const struct xs_request *rq)
{
	static const enum xsd_sockmsg_type types[] = {
		[XS_OP_READ] = XS_READ,
		[XS_OP_DIRECTORY] = XS_DIRECTORY,
		[XS_OP_GET_PERMS] = XS_GET_PERMS,
		[XS_OP_WRITE] = XS_WRITE,
		[XS_OP_MKDIR] = XS_MKDIR,
		[XS_OP_RM] = XS_RM,
		[XS_OP_SET_PERMS] = XS_SET_PERMS,
	};
	struct iovec parts[2] = { xs_text_part(rq->path) };
	char text[XENSTORE_PAYLOAD_MAX];
	struct xs_call *call;
	uint32_t wire;
	int err;

	if ((unsigned)rq->op >= ARRAY_SIZE(types))
		return -EINVAL;
	if (xs->nr_submitted >= XS_SUBMITTED_MAX)
		return -EBUSY;
	if (rq->op == XS_OP_WRITE)
		parts[1] =
			(struct iovec){ (void *)(uintptr_t)rq->data, rq->len };
	err = rq->op == XS_OP_SET_PERMS
		      ? perms_text(rq->perms, rq->nr_perms, text, &parts[1])
		      : 0;
	if (!err)
		err = xs_txn_wire(xs, rq->tx, &wire);
	if (!err)
		err = xs_call_new(xs, types[rq->op], wire, parts, 2, &call);
	if (err)
		return err;
	call->done = rq->done;
	call->arg = rq->arg;
	call->wanted = rq->op <= XS_OP_GET_PERMS;
	call->submitted = true;
	xs->nr_submitted++;
	xs_call_queue(xs, call, &xs->calls);
	return 0;
}

/* ---- domains --------------------------------------------------------------
 */

/* A request whose whole payload is nr numbers. */
static int talk_numbers(struct xs *xs, enum xsd_sockmsg_type type,
			const uint64_t *numbers, unsigned nr, char **ret,
			size_t *len)
{
	char text[NUMBERS_MAX][24];
	struct iovec parts[NUMBERS_MAX];

	for (unsigned i = 0; i < nr; i++) {
		int n = str_printf(text[i], sizeof(text[i]), "%llu",
				   (unsigned long long)numbers[i]);

		if (n < 0)
			return n;
		parts[i] = xs_text_part(text[i]);
	}
	return xs_talk(xs, type, XS_NO_TXN, parts, nr, ret, len);
}

int xs_is_domain_introduced(struct xs *xs, uint32_t domid)
{
	uint64_t number = domid;
	char *text;
	size_t len;
	int err = talk_numbers(xs, XS_IS_DOMAIN_INTRODUCED, &number, 1, &text,
			       &len);

	if (err)
		return err;
	if (strcmp(text, "T") == 0)
		err = 1;
	else if (strcmp(text, "F") != 0)
		err = xs_conn_nonsense(xs);
	free(text);
	return err;
}

int xs_get_domain_path(struct xs *xs, uint32_t domid, char **ret)
{
	uint64_t number = domid;
	size_t len;

	return talk_numbers(xs, XS_GET_DOMAIN_PATH, &number, 1, ret, &len);
}

int xs_introduce(struct xs *xs, uint32_t domid, uint64_t gfn, uint32_t port)
{
	uint64_t numbers[] = { domid, gfn, port };

	return talk_numbers(xs, XS_INTRODUCE, numbers, 3, NULL, NULL);
}

int xs_release(struct xs *xs, uint32_t domid)
{
	uint64_t number = domid;

	return talk_numbers(xs, XS_RELEASE, &number, 1, NULL, NULL);
}

int xs_resume(struct xs *xs, uint32_t domid)
{
	uint64_t number = domid;

	return talk_numbers(xs, XS_RESUME, &number, 1, NULL, NULL);
}

int xs_set_target(struct xs *xs, uint32_t domid, uint32_t target)
{
	uint64_t numbers[] = { domid, target };

	return talk_numbers(xs, XS_SET_TARGET, numbers, 2, NULL, NULL);
}

int xs_set_quota(struct xs *xs, uint32_t domid, const char *name,
		 uint32_t value)
{
	char id[12], number[12];
	struct iovec parts[3];
	int err = str_printf(id, sizeof(id), "%u", domid);

	if (err >= 0)
		err = str_printf(number, sizeof(number), "%u", value);
	if (err < 0)
		return err;
	parts[0] = xs_text_part(id);
	parts[1] = xs_text_part(name);
	parts[2] = xs_text_part(number);
	return xs_talk(xs, XS_SET_QUOTA, XS_NO_TXN, parts, 3, NULL, NULL);
}

int xs_control(struct xs *xs, const char *const *args, char **ret, size_t *len)
{
	char payload[XENSTORE_PAYLOAD_MAX];
	struct iovec part = { .iov_base = payload };
	size_t unused;

	for (; *args; args++) {
		size_t bytes = strlen(*args) + 1;

		if (bytes > sizeof(payload) - part.iov_len)
			return -E2BIG;
		memcpy(payload + part.iov_len, *args, bytes);
		part.iov_len += bytes;
	}
	return xs_talk(xs, XS_CONTROL, XS_NO_TXN, &part, 1, ret,
		       len ? len : &unused);
}
