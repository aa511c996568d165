/* SPDX-License-Identifier: MIT */
/* xs_util.c - the calls of xs.h that are made of other calls. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/xs.h"

static int join(char *path, const char *dir, const char *node)
{
	int n = str_printf(path, XS_PATH_MAX, "%s/%s", dir, node);

	return n < 0 ? n : 0;
}

int xs_printf(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
	      const char *fmt, ...)
{
	char path[XS_PATH_MAX], value[4096];
	va_list ap;
	int err = join(path, dir, node), len;

	if (err)
		return err;
	va_start(ap, fmt);
	len = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(value))
		return -E2BIG;
	return xs_write(xs, tx, path, value, (size_t)len);
}

/* A node's value as text. The caller frees *ret. -EINVAL embedded NUL. */
static int read_text(struct xs *xs, xs_txn_t tx, const char *dir,
		     const char *node, char **ret, size_t *ret_len)
{
	char path[XS_PATH_MAX], *value;
	size_t len;
	int err = join(path, dir, node);

	if (!err)
		err = xs_read(xs, tx, path, &value, &len);
	if (err)
		return err;
	if (memchr(value, '\0', len)) {
		free(value);
		return -EINVAL;
	}
	*ret = value;
	*ret_len = len;
	return 0;
}

int xs_read_u64(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		uint64_t max, uint64_t *ret)
{
	char *value;
	size_t len;
	int err = read_text(xs, tx, dir, node, &value, &len);

	if (err)
		return err;
	err = num_parse_u64(value, max, ret);
	free(value);
	return err;
}

int xs_read_u32(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		uint32_t max, uint32_t *ret)
{
	uint64_t value;
	int err = xs_read_u64(xs, tx, dir, node, max, &value);

	if (!err)
		*ret = (uint32_t)value;
	return err;
}

int xs_read_u32_default(struct xs *xs, xs_txn_t tx, const char *dir,
			const char *node, uint32_t max, uint32_t def,
			uint32_t *ret)
{
	int err = xs_read_u32(xs, tx, dir, node, max, ret);

	if (err != -ENOENT)
		return err;
	*ret = def;
	return 0;
}

int xs_read_str(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		char *buf, size_t size)
{
	char *value;
	size_t len;
	int err = read_text(xs, tx, dir, node, &value, &len);

	if (err)
		return err;
	if (len < size)
		memcpy(buf, value, len + 1);
	else
		err = -ENAMETOOLONG;
	free(value);
	return err;
}

int xs_transaction(struct xs *xs, xs_txn_fn *fn, void *arg)
{
	int err = -EAGAIN;

	for (int i = 0; i < XS_TXN_TRIES && err == -EAGAIN; i++) {
		xs_txn_t tx;
		int end;

		err = xs_transaction_start(xs, &tx);
		if (err)
			return err;
		err = fn(xs, tx, arg);
		end = xs_transaction_end(xs, tx, err == 0);
		/* Lost on the way: what fn thought of it is void. */
		if (!err || (end == -EAGAIN && err != -ETIMEDOUT))
			err = end;
	}
	return err;
}
