/* SPDX-License-Identifier: MIT */
/* device.c - split devices in the store. See device.h. */
#include "pvsplit/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/xenbus.h"
#include "pvsplit/domain.h"
#include "util/num.h"
#include "xenbus/xenbus.h"

/* A wait looks again at least this often, whatever the watches say. */
#define RECHECK_NS (200 * NS_PER_MS)

const char *device_type(enum device_kind kind)
{
	return kind == DEVICE_VBD ? "vbd" : "vif";
}

const char *device_daemon(enum device_kind kind)
{
	return kind == DEVICE_VBD ? "blkbackd" : "netbackd";
}

const char *device_name(const struct device *dev)
{
	static char name[48];

	snprintf(name, sizeof(name), "%s d%u/%u", device_type(dev->kind),
		 dev->domid, dev->handle);
	return name;
}

void device_init(struct device *dev, enum device_kind kind, domid_t domid,
		 domid_t backend_id, uint32_t handle)
{
	const char *type = device_type(kind);

	*dev = (struct device){ .kind = kind,
				.domid = domid,
				.backend_id = backend_id,
				.handle = handle };
	snprintf(dev->front, sizeof(dev->front),
		 "/local/domain/%u/device/%s/%u", domid, type, handle);
	snprintf(dev->back, sizeof(dev->back),
		 "/local/domain/%u/backend/%s/%u/%u", backend_id, type, domid,
		 handle);
	snprintf(dev->libxl, sizeof(dev->libxl), "/libxl/%u/device/%s/%u",
		 domid, type, handle);
}

int device_find(struct pvsplit *ps, enum device_kind kind, domid_t domid,
		uint32_t handle, struct device *ret)
{
	struct device dev;
	uint32_t backend_id;
	int err;

	device_init(&dev, kind, domid, 0, handle);
	err = xs_read_u32(ps->xs, XS_NO_TXN, dev.libxl, "backend-id", 0x7fef,
			  &backend_id);
	if (err)
		return err;
	device_init(ret, kind, domid, (domid_t)backend_id, handle);
	return 0;
}

/* ---- attach ---- */

struct attach {
	const struct device *dev;
	const struct device_nodes *nodes;
	bool frontend_missing, backend_missing;
};

static bool exists(struct xs *xs, xs_txn_t tx, const char *path)
{
	char *value;

	if (xs_read(xs, tx, path, &value, NULL))
		return false;
	free(value);
	return true;
}

/* A directory of owner's that reader may read; children inherit that. */
static int make_dir(struct xs *xs, xs_txn_t tx, const char *path,
		    uint32_t owner, uint32_t reader)
{
	struct xs_perm perms[] = { { owner, 'n' }, { reader, 'r' } };
	int err = xs_mkdir(xs, tx, path);

	return err ? err : xs_set_perms(xs, tx, path, perms, 2);
}

static int write_nodes(struct xs *xs, xs_txn_t tx, const char *dir,
		       const struct device_node *nodes)
{
	int err = 0;

	for (; !err && nodes->name; nodes++)
		err = xs_printf(xs, tx, dir, nodes->name, "%s", nodes->value);
	return err;
}

/* The node is the frontend's still, and the backend may write it. */
static int share_node(struct xs *xs, xs_txn_t tx, const struct device *dev,
		      const char *node)
{
	struct xs_perm perms[] = { { dev->domid, 'n' },
				   { dev->backend_id, 'b' } };
	char path[DEVICE_PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dev->front, node);
	return xs_set_perms(xs, tx, path, perms, ARRAY_SIZE(perms));
}

static int write_libxl(struct xs *xs, xs_txn_t tx, const struct attach *a)
{
	const struct device *dev = a->dev;
	int err = make_dir(xs, tx, dev->libxl, 0, dev->backend_id);

	if (!err)
		err = xs_printf(xs, tx, dev->libxl, "backend", "%s", dev->back);
	if (!err)
		err = xs_printf(xs, tx, dev->libxl, "backend-id", "%u",
				dev->backend_id);
	return err ? err : write_nodes(xs, tx, dev->libxl, a->nodes->libxl);
}

static int write_front(struct xs *xs, xs_txn_t tx, const struct attach *a)
{
	const struct device *dev = a->dev;
	int err = make_dir(xs, tx, dev->front, dev->domid, dev->backend_id);

	if (!err)
		err = xs_printf(xs, tx, dev->front, "backend", "%s", dev->back);
	if (!err)
		err = xs_printf(xs, tx, dev->front, "backend-id", "%u",
				dev->backend_id);
	if (!err)
		err = write_nodes(xs, tx, dev->front, a->nodes->front);
	if (!err && a->nodes->shared)
		err = share_node(xs, tx, dev, a->nodes->shared);
	return err ? err
		   : xs_printf(xs, tx, dev->front, "state", "%d",
			       XenbusStateInitialising);
}

static int write_back(struct xs *xs, xs_txn_t tx, const struct attach *a)
{
	const struct device *dev = a->dev;
	int err = make_dir(xs, tx, dev->back, dev->backend_id, dev->domid);

	if (!err)
		err = xs_printf(xs, tx, dev->back, "frontend", "%s",
				dev->front);
	if (!err)
		err = xs_printf(xs, tx, dev->back, "frontend-id", "%u",
				dev->domid);
	if (!err)
		err = xs_printf(xs, tx, dev->back, "online", "1");
	if (!err)
		err = write_nodes(xs, tx, dev->back, a->nodes->back);
	return err ? err
		   : xs_printf(xs, tx, dev->back, "state", "%d",
			       XenbusStateInitialising);
}

static int attach_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct attach *a = arg;
	char path[DEVICE_PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "/local/domain/%u", a->dev->domid);
	a->frontend_missing = !exists(xs, tx, path);
	snprintf(path, sizeof(path), "/local/domain/%u", a->dev->backend_id);
	a->backend_missing = !exists(xs, tx, path);
	if (a->frontend_missing || a->backend_missing)
		return -ENOENT;
	/* also while the remains of an earlier one are being closed */
	if (exists(xs, tx, a->dev->libxl) || exists(xs, tx, a->dev->back))
		return -EEXIST;
	if (exists(xs, tx, a->dev->front)) {
		err = xs_rm(xs, tx, a->dev->front);
		if (err)
			return err;
	}
	err = write_libxl(xs, tx, a);
	if (!err)
		err = write_front(xs, tx, a);
	return err ? err : write_back(xs, tx, a);
}

static void watch_fired(void *arg, const char *path)
{
	(void)arg;
	(void)path;
}

int device_wait(struct pvsplit *ps, const struct device *dev,
		uint64_t deadline_ns, device_done_fn *done)
{
	uint64_t asked = clock_now_ns();
	struct xs_watch *watch;
	int ret;

	/* Of many that were begun together, most are done by now. */
	ret = done(ps, dev);
	if (ret)
		return ret;
	ret = xs_watch(ps->xs, dev->back, watch_fired, NULL, &watch);
	if (ret)
		return ret;
	for (;;) {
		uint64_t now, until;

		ret = done(ps, dev);
		now = clock_now_ns();
		until = now + RECHECK_NS;
		deadline_ns += now - asked;
		if (ret || now >= deadline_ns)
			break;
		if (!xs_pending(ps->xs)) {
			ret = pvsplit_wait_fd(
				ps, xs_fd(ps->xs),
				until < deadline_ns ? until : deadline_ns);
			if (ret < 0)
				break;
		}
		ret = xs_dispatch(ps->xs);
		if (ret)
			break;
		asked = clock_now_ns();
	}
	xs_unwatch(ps->xs, watch);
	return ret;
}

/* 1 taken; -ECANCELED the backend refused it. */
static int taken(struct pvsplit *ps, const struct device *dev)
{
	uint32_t state;
	char error[8];
	int err;

	err = xs_read_str(ps->xs, XS_NO_TXN, dev->back, "error", error,
			  sizeof(error));
	if (err != -ENOENT)
		return -ECANCELED;
	err = xs_read_u32(ps->xs, XS_NO_TXN, dev->back, "state",
			  XenbusStateReconfigured, &state);
	if (err)
		return err;
	if (state >= XenbusStateClosing)
		return -ECANCELED;
	return state >= XenbusStateInitWait;
}

/* The backend's words about why, without its own prefix. */
static void backend_reason(struct pvsplit *ps, const struct device *dev,
			   char *buf, size_t size)
{
	const char *name = device_name(dev);
	size_t len = strlen(name);

	if (xs_read_str(ps->xs, XS_NO_TXN, dev->back, "error", buf, size)) {
		snprintf(buf, size,
			 "it closed the device without a reason; see its log");
		return;
	}
	if (!strncmp(buf, name, len) && !strncmp(buf + len, ": ", 2))
		memmove(buf, buf + len + 2, strlen(buf + len + 2) + 1);
}

/*
 * Remove a directory, and those above it that became empty, up to and not
 * including the one with so many slashes.
 */
static int remove_upwards(struct xs *xs, xs_txn_t tx, const char *dir,
			  unsigned stop_slashes)
{
	char path[DEVICE_PATH_MAX], *slash, **names;
	unsigned slashes = 0, nr;
	int err = xs_rm(xs, tx, dir);

	if (err == -ENOENT)
		err = 0;
	for (const char *c = dir; *c; c++)
		slashes += *c == '/';
	snprintf(path, sizeof(path), "%s", dir);
	while (!err && --slashes > stop_slashes) {
		slash = strrchr(path, '/');
		*slash = '\0';
		err = xs_directory(xs, tx, path, &names, &nr);
		if (err)
			return err == -ENOENT ? 0 : err;
		free(names);
		if (nr)
			return 0;
		err = xs_rm(xs, tx, path);
	}
	return err;
}

/* "/local/domain/N/device", ".../backend" and "/libxl" stay. */
static int remove_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	const struct device *dev = arg;
	int err = remove_upwards(xs, tx, dev->front, 4);

	if (!err)
		err = remove_upwards(xs, tx, dev->back, 4);
	return err ? err : remove_upwards(xs, tx, dev->libxl, 1);
}

static int remove_dirs(struct pvsplit *ps, const struct device *dev)
{
	struct device copy = *dev;

	return xs_transaction(ps->xs, remove_txn, &copy);
}

static int closed(struct pvsplit *ps, const struct device *dev)
{
	uint32_t state;
	int err = xs_read_u32(ps->xs, XS_NO_TXN, dev->back, "state",
			      XenbusStateReconfigured, &state);

	if (err == -ENOENT)
		return 1;
	if (err)
		return err == -EINVAL || err == -ERANGE ? 0 : err;
	return state == XenbusStateClosed;
}

static int offline_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	const struct device *dev = arg;
	uint32_t state = XenbusStateUnknown;
	int err;

	if (!exists(xs, tx, dev->back))
		return 0;
	err = xs_printf(xs, tx, dev->back, "online", "0");
	if (err)
		return err;
	err = xs_read_u32(xs, tx, dev->back, "state", XenbusStateReconfigured,
			  &state);
	if (!err && state == XenbusStateClosed)
		return 0;
	return xs_printf(xs, tx, dev->back, "state", "%d", XenbusStateClosing);
}

/* Ask the backend to close and wait. 1 closed, 0 not in time, -errno. Quiet. */
static int go_offline(struct pvsplit *ps, const struct device *dev,
		      uint64_t deadline_ns)
{
	struct device copy = *dev;
	int err = xs_transaction(ps->xs, offline_txn, &copy);

	return err ? err : device_wait(ps, dev, deadline_ns, closed);
}

/* The backend would not have it: say why, and leave nothing behind. */
static int attach_undo(struct pvsplit *ps, const char *command,
		       const struct device *dev, int err)
{
	char reason[DEVICE_REASON_MAX], name[DOMAIN_NAME_MAX];
	struct pvsplit calm = *ps;
	int undo;

	domain_name(ps, dev->backend_id, name, sizeof(name));
	backend_reason(ps, dev, reason, sizeof(reason));
	/* a signal that is still pending must not cut the undoing short */
	calm.signal_fd = -1;
	undo = go_offline(&calm, dev, clock_now_ns() + NS_PER_S);
	if (undo >= 0)
		undo = remove_dirs(&calm, dev);
	if (undo < 0)
		complain(undo,
			 "%s: %s: cannot undo it: %s; remove it with --force",
			 command, device_name(dev), strerror(-undo));
	switch (err) {
	case 0:
		return complain(-ETIMEDOUT,
				"%s: domain %u (%s) did not answer within %llu "
				"s; see whether its %s runs: 'pvsplit status'",
				command, dev->backend_id, name,
				DEVICE_ATTACH_NS / NS_PER_S,
				device_daemon(dev->kind));
	case -ECANCELED:
		return complain(-EINVAL, "%s: domain %u (%s) refused: %s",
				command, dev->backend_id, name, reason);
	case -EINTR:
		return complain(-EINTR, "%s: interrupted; nothing was attached",
				command);
	default:
		return complain(err, "%s: %s: %s; see 'pvsplit status'",
				command, device_name(dev), strerror(-err));
	}
}

int device_wait_taken(struct pvsplit *ps, const char *command,
		      const struct device *dev)
{
	int err =
		device_wait(ps, dev, clock_now_ns() + DEVICE_ATTACH_NS, taken);

	return err > 0 ? 0 : attach_undo(ps, command, dev, err);
}

/*
 * A driver domain must learn that a guest of its is gone, and only who may read
 * @releaseDomain does. Without it a dead guest's devices stay until detached.
 */
static void permit_release_watch(struct pvsplit *ps, domid_t backend_id)
{
	struct xs_perm perms[64];

	for (int i = 0; i < 3; i++) {
		unsigned nr = ARRAY_SIZE(perms) - 1;

		if (xs_get_perms(ps->xs, XS_NO_TXN, "@releaseDomain", perms,
				 &nr))
			return;
		for (unsigned k = 0; k < nr; k++)
			if (perms[k].domid == backend_id)
				return;
		perms[nr++] =
			(struct xs_perm){ .domid = backend_id, .right = 'r' };
		if (xs_set_perms(ps->xs, XS_NO_TXN, "@releaseDomain", perms,
				 nr))
			return;
		/* Another attach may have written in between: look again. */
	}
}

int device_attach(struct pvsplit *ps, const char *command,
		  const struct device *dev, const struct device_nodes *nodes,
		  bool wait)
{
	struct attach a = { .dev = dev, .nodes = nodes };
	int err;

	permit_release_watch(ps, dev->backend_id);
	err = xs_transaction(ps->xs, attach_txn, &a);
	if (err == -EEXIST)
		return err;
	if (err == -ENOENT && (a.frontend_missing || a.backend_missing))
		return complain(err,
				"%s: domain %u does not exist; 'pvsplit "
				"domain-list' shows those that do",
				command,
				a.frontend_missing ? dev->domid
						   : dev->backend_id);
	if (err)
		return complain(err,
				"%s: %s: cannot write the store: %s; see "
				"'pvsplit status'",
				command, device_name(dev), strerror(-err));
	return wait ? device_wait_taken(ps, command, dev) : 0;
}

int device_detach(struct pvsplit *ps, const char *command,
		  const struct device *dev, bool force, uint64_t deadline_ns)
{
	int err = go_offline(ps, dev, deadline_ns);

	if (err == 0 && !force)
		return complain(-EBUSY,
				"%s: %s is still in use by its guest; end what "
				"uses it, or remove it now with --force",
				command, device_name(dev));
	if (err >= 0)
		err = remove_dirs(ps, dev);
	if (err < 0)
		return complain(err, "%s: %s: %s; try again", command,
				device_name(dev),
				err == -EINTR ? "interrupted" : strerror(-err));
	return 0;
}
