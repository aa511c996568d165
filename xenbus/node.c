/* SPDX-License-Identifier: MIT */
/*
 * node.c - what a device reads from and writes to the store: who the other end
 * is, both states, our state. Called by device.c and bus.c, control thread.
 */
#include "xenbus/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

#define DOMID_MAX (DOMID_FIRST_RESERVED - 1)

int xenbus_parse_id(const char *text, uint32_t max, uint32_t *ret)
{
	if (text[0] == '0' && text[1])
		return -EINVAL;
	return num_parse_u32(text, max, ret);
}

/* Split PREFIX/A/B off the end of path. Returns PREFIX's length or -EINVAL. */
static int split_ids(const char *path, uint32_t *ret_a, uint32_t *ret_b)
{
	char copy[sizeof(((struct xenbus_device *)0)->node)];
	char *b, *a;

	if (str_printf(copy, sizeof(copy), "%s", path) < 0)
		return -EINVAL;
	b = strrchr(copy, '/');
	if (!b)
		return -EINVAL;
	*b = '\0';
	a = strrchr(copy, '/');
	if (!a || xenbus_parse_id(a + 1, DOMID_MAX, ret_a) ||
	    xenbus_parse_id(b + 1, UINT32_MAX, ret_b))
		return -EINVAL;
	return (int)(a - copy);
}

/* /local/domain/N/backend/TYPE/FRONTEND-ID/HANDLE */
static int identify_backend(struct xenbus_device *dev)
{
	char want[sizeof(dev->otherend)];
	uint32_t id, in_path, handle;
	int err;

	err = xs_read_u32(dev->xs, XS_NO_TXN, dev->node, "frontend-id",
			  DOMID_MAX, &id);
	if (err)
		return err;
	err = xs_read_str(dev->xs, XS_NO_TXN, dev->node, "frontend",
			  dev->otherend, sizeof(dev->otherend));
	if (err)
		return err;
	if (split_ids(dev->node, &in_path, &handle) < 0)
		return -EINVAL;
	err = str_printf(want, sizeof(want), "/local/domain/%u/device/%s/%u",
			 id, dev->driver->type, dev->handle);
	if (err < 0)
		return err;
	if (in_path != id || handle != dev->handle ||
	    strcmp(want, dev->otherend) != 0)
		return -EPERM;
	dev->otherend_id = (domid_t)id;
	err = str_printf(dev->name, sizeof(dev->name), "%s d%u/%u",
			 dev->driver->type, id, dev->handle);
	return err < 0 ? err : 0;
}

/* Is path /local/domain/ID/backend/WORD/OURS/HANDLE? */
static bool is_backend_path(const struct xenbus_device *dev, const char *path,
			    uint32_t id, uint32_t ours)
{
	char want[sizeof(dev->otherend)];
	const char *word;
	size_t len;

	if (str_printf(want, sizeof(want), "/local/domain/%u/backend/", id) < 0)
		return false;
	len = strlen(want);
	if (strncmp(path, want, len) != 0)
		return false;
	word = path + len;
	len = strcspn(word, "/");
	if (!len || strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_") < len)
		return false;
	if (str_printf(want, sizeof(want), "/%u/%u", ours, dev->handle) < 0)
		return false;
	return strcmp(word + len, want) == 0;
}

/* /local/domain/N/device/TYPE/HANDLE */
static int identify_frontend(struct xenbus_device *dev)
{
	static const char prefix[] = "/local/domain/";
	char want[sizeof(dev->node)], number[16];
	uint32_t id, ours;
	size_t len;
	int err;

	if (strncmp(dev->node, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;
	len = strcspn(dev->node + sizeof(prefix) - 1, "/");
	if (str_printf(number, sizeof(number), "%.*s", (int)len,
		       dev->node + sizeof(prefix) - 1) < 0 ||
	    xenbus_parse_id(number, DOMID_MAX, &ours) ||
	    str_printf(want, sizeof(want), "%s%u/device/%s/%u", prefix, ours,
		       dev->driver->type, dev->handle) < 0 ||
	    strcmp(want, dev->node) != 0)
		return -EINVAL;
	err = xs_read_u32(dev->xs, XS_NO_TXN, dev->node, "backend-id",
			  DOMID_MAX, &id);
	if (err)
		return err;
	err = xs_read_str(dev->xs, XS_NO_TXN, dev->node, "backend",
			  dev->otherend, sizeof(dev->otherend));
	if (err)
		return err;
	if (!is_backend_path(dev, dev->otherend, id, ours))
		return -EPERM;
	dev->otherend_id = (domid_t)id;
	err = str_printf(dev->name, sizeof(dev->name), "%s d%u/%u",
			 dev->driver->type, ours, dev->handle);
	return err < 0 ? err : 0;
}

int xenbus_identify(struct xenbus_device *dev)
{
	return dev->driver->role == XENBUS_BACKEND ? identify_backend(dev)
						   : identify_frontend(dev);
}

/* Errors of the connection or its transaction, as opposed to answers about a
 * node. */
static bool store_is_lost(int err)
{
	return err == -ECONNRESET || err == -EPROTO || err == -ENOMEM ||
	       err == -EPIPE || err == -EIO || err == -EBADF ||
	       err == -EAGAIN || err == -ETIMEDOUT;
}

/* A state as read: Unknown when it is absent, unreadable or nonsense. */
static int read_state(struct xs *xs, xs_txn_t tx, const char *dir,
		      enum xenbus_state *ret, bool *ret_exists)
{
	uint32_t value = 0;
	int err =
		xs_read_u32(xs, tx, dir, "state", XENBUS_NR_STATES - 1, &value);

	if (err && store_is_lost(err))
		return err;
	*ret = err ? XenbusStateUnknown : (enum xenbus_state)value;
	*ret_exists = err != -ENOENT;
	return 0;
}

int xenbus_look(struct xenbus_device *dev, struct xenbus_view *ret)
{
	struct xenbus_view view = { 0 };
	uint32_t online = 1;
	bool exists;
	int err;

	err = read_state(dev->xs, XS_NO_TXN, dev->node, &view.ours,
			 &view.exists);
	if (err)
		return err;
	err = read_state(dev->xs, XS_NO_TXN, dev->otherend, &view.theirs,
			 &exists);
	if (err)
		return err;
	if (dev->driver->role == XENBUS_BACKEND) {
		err = xs_read_u32_default(dev->xs, XS_NO_TXN, dev->node,
					  "online", 1, 0, &online);
		if (err && store_is_lost(err))
			return err;
		if (err)
			online = 0;
		if (view.theirs == XenbusStateUnknown)
			view.domain_gone =
				xs_is_domain_introduced(dev->xs,
							dev->otherend_id) == 0;
	}
	view.online = online != 0;
	*ret = view;
	return 0;
}

struct publish {
	struct xenbus_device *dev;
	enum xenbus_state to;
	const char *node, *text; /* not the state, but these */
};

static int publish_in_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct publish *p = arg;
	struct xenbus_device *dev = p->dev;
	enum xenbus_state stored;
	bool exists;
	int err = read_state(xs, tx, dev->node, &stored, &exists);

	if (err)
		return err;
	if (!exists)
		return -ENOENT;
	if (p->node)
		return xs_printf(xs, tx, dev->node, p->node, "%s", p->text);
	if (dev->driver->role == XENBUS_BACKEND &&
	    stored == XenbusStateClosing && dev->state != stored &&
	    p->to < XenbusStateClosing)
		return -ECANCELED;
	return xs_printf(xs, tx, dev->node, "state", "%u", (unsigned)p->to);
}

/* A driver's nodes in a directory that was removed meanwhile. */
static int remove_debris_in_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct xenbus_device *dev = arg;
	enum xenbus_state stored;
	bool exists;
	int err = read_state(xs, tx, dev->node, &stored, &exists);

	if (err)
		return err;
	return exists ? -EEXIST : xs_rm(xs, tx, dev->node);
}

int xenbus_publish(struct xenbus_device *dev, enum xenbus_state to)
{
	struct publish p = { .dev = dev, .to = to };
	int err = xs_transaction(dev->xs, publish_in_txn, &p);

	if (err == -ENOENT) {
		int ignored =
			xs_transaction(dev->xs, remove_debris_in_txn, dev);

		(void)ignored; /* mostly there was none */
	}
	return err;
}

void xenbus_publish_text(struct xenbus_device *dev, const char *node,
			 const char *text)
{
	struct publish p = { .dev = dev, .node = node, .text = text };
	int err = xs_transaction(dev->xs, publish_in_txn, &p);

	(void)err; /* it was logged; there is no other place for it */
}

int xenbus_look_disabled(struct xenbus_device *dev, bool *ret)
{
	char text[2];
	int err = xs_read_str(dev->xs, XS_NO_TXN, dev->node, "disabled", text,
			      sizeof(text));

	if (err && store_is_lost(err))
		return err;
	*ret = err != -ENOENT;
	return 0;
}
