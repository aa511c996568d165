/* SPDX-License-Identifier: MIT */
/*
 * target.c - from the toolstack's words to an open disk, see target.h.
 *
 * A disk crosses from monitor to worker as its descriptors and the bytes of a
 * struct storage_desc. Neighbours: storage.h; vbd.c and blkbackd.c call.
 */
#include "blkback/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

/* The monitor serves nobody meanwhile, and its worker waits. */
#define STORE_TIMEOUT_NS (10 * NS_PER_S)

_Static_assert(sizeof(struct storage_desc) <= MONITOR_INFO_MAX,
	       "a description fits a monitor's message");
_Static_assert(STORAGE_FDS_MAX <= MONITOR_FDS_MAX, "descriptors fit too");

struct target_config {
	char params[sizeof(((struct storage_desc *)0)->target)];
	bool readonly;
};

static int read_config(struct xs *xs, domid_t self, const char *dir,
		       struct target_config *ret, char *why)
{
	uint32_t backend_id;
	char mode[4];
	int err;

	err = xs_read_u32(xs, XS_NO_TXN, dir, "backend-id",
			  DOMID_FIRST_RESERVED - 1, &backend_id);
	if (!err && backend_id != self)
		err = -EPERM;
	if (err) {
		snprintf(why, WHY_MAX,
			 err == -ENOENT ? "%s: no such disk is configured"
					: "%s: is not this domain's to serve",
			 dir);
		return err;
	}
	err = xs_read_str(xs, XS_NO_TXN, dir, "mode", mode, sizeof(mode));
	if (!err && strcmp(mode, "r") != 0 && strcmp(mode, "w") != 0)
		err = -EINVAL;
	if (err) {
		snprintf(why, WHY_MAX, "%s/mode: is not r or w", dir);
		return err;
	}
	err = xs_read_str(xs, XS_NO_TXN, dir, "params", ret->params,
			  sizeof(ret->params));
	if (err)
		snprintf(why, WHY_MAX, "%s/params: %s", dir,
			 strerrordesc_np(-err));
	ret->readonly = mode[0] == 'r';
	return err;
}

static int ask_store(struct platform *p, domid_t domid, uint32_t handle,
		     struct target_config *ret, char *why)
{
	char dir[64];
	struct xs *xs;
	int err;

	err = str_printf(dir, sizeof(dir), "/libxl/%u/device/vbd/%u", domid,
			 handle);
	if (err < 0)
		return err;
	err = xs_open(platform_store_connector, p, &xs);
	if (err) {
		snprintf(why, WHY_MAX, "cannot reach the store: %s",
			 strerrordesc_np(-err));
		return err;
	}
	xs_set_timeout(xs, STORE_TIMEOUT_NS);
	err = read_config(xs, platform_domid(p), dir, ret, why);
	xs_close(xs);
	return err;
}

static int target_open(void *arg, domid_t domid, uint32_t handle,
		       struct monitor_device *ret, char *why)
{
	struct target_config config;
	struct storage_desc desc;
	int err;

	err = ask_store(arg, domid, handle, &config, why);
	if (err)
		return err;
	err = storage_acquire(config.params,
			      config.readonly ? STORAGE_READONLY : 0, &desc,
			      ret->fds, why, WHY_MAX);
	if (err)
		return err;
	ret->nr_fds = (uint32_t)desc.nr_fds;
	ret->info_bytes = sizeof(desc);
	memcpy(ret->info, &desc, sizeof(desc));
	return 0;
}

static void target_release(void *arg, domid_t domid, uint32_t handle,
			   struct monitor_device *dev)
{
	/* The descriptors are all that there is; the monitor closes them. */
	(void)arg;
	(void)domid;
	(void)handle;
	(void)dev;
}

static int target_connect(void *arg, const struct monitor_device *dev)
{
	const struct storage_ops *ops;
	struct storage_desc desc;

	(void)arg;
	memcpy(&desc, dev->info, sizeof(desc));
	ops = storage_by_name(desc.driver);
	return ops && ops->connect ? ops->connect(&desc) : -EOPNOTSUPP;
}

const struct monitor_ops target_ops = {
	.open = target_open,
	.connect = target_connect,
	.release = target_release,
};

/* ---- worker -------------------------------------------------------------- */

static int seen_key(char key[MONITOR_KEY_MAX], domid_t domid, uint32_t handle)
{
	int err = str_printf(key, MONITOR_KEY_MAX, "vbd/%u/%u/seen", domid,
			     handle);

	return err < 0 ? err : 0;
}

/* What a predecessor's open() saw. */
static int recall(struct monitor_client *mc, const char *key,
		  struct storage_desc *desc)
{
	int fd = monitor_client_get(mc, key);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pread(fd, desc, sizeof(*desc), 0);
	close(fd);
	return n == (ssize_t)sizeof(*desc) ? 0 : -EPROTO;
}

static int keep(struct monitor_client *mc, const char *key,
		const struct storage_desc *desc)
{
	int fd = memfd_create("pvsplit-seen", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = pwrite(fd, desc, sizeof(*desc), 0) == (ssize_t)sizeof(*desc)
		      ? monitor_client_keep(mc, key, fd)
		      : -ENOMEM;
	close(fd);
	return err;
}

/* The server's own word on the disk, the first time; then what it said. */
static int open_unseen(struct monitor_client *mc, domid_t domid,
		       uint32_t handle, struct storage_desc *desc,
		       struct storage **ret)
{
	char key[MONITOR_KEY_MAX];
	int sock = -1, err = seen_key(key, domid, handle);

	if (err)
		return err;
	err = recall(mc, key, desc);
	if (!err)
		return storage_open(desc, NULL, ret);
	if (err != -ENOENT)
		return err;
	sock = monitor_client_connect_device(mc, domid, handle);
	if (sock < 0 && sock != -EOPNOTSUPP)
		return sock;
	err = storage_open(desc, &sock, ret);
	if (err) {
		if (sock >= 0)
			close(sock);
		return err;
	}
	err = keep(mc, key, &(*ret)->desc);
	if (err) {
		(*ret)->ops->close(*ret);
		*ret = NULL;
	}
	return err;
}

int target_attach(struct monitor_client *mc, domid_t domid, uint32_t handle,
		  struct storage **ret)
{
	struct monitor_device dev;
	struct storage_desc desc;
	int err = monitor_client_open_device(mc, domid, handle, &dev);

	if (err)
		return err;
	err = -EPROTO;
	if (dev.info_bytes != sizeof(desc))
		goto fail;
	memcpy(&desc, dev.info, sizeof(desc));
	if (desc.nr_fds != (int32_t)dev.nr_fds)
		goto fail;
	if (desc.flags & STORAGE_UNSEEN)
		err = open_unseen(mc, domid, handle, &desc, ret);
	else
		err = storage_open(&desc, dev.fds, ret);
	if (err)
		goto fail;
	return 0;

fail:
	for (uint32_t i = 0; i < dev.nr_fds; i++)
		close(dev.fds[i]);
	return err;
}

struct tended {
	struct monitor_client *mc;
	struct xenbus_device *dev;
	const struct storage *st;
};

static int tended_connect(void *arg)
{
	struct tended *t = arg;

	return monitor_client_connect_device(t->mc, t->dev->otherend_id,
					     t->dev->handle);
}

static void tended_say(void *arg, const char *what)
{
	struct tended *t = arg;

	log_limited(&t->dev->limit, LOG_WARN, "%s: %s: %s", t->dev->name,
		    t->st->desc.target, what);
}

void target_tend(struct monitor_client *mc, struct xenbus_device *dev,
		 struct storage *st)
{
	struct tended t = { .mc = mc, .dev = dev, .st = st };
	const struct storage_keeper keeper = { .connect = tended_connect,
					       .say = tended_say,
					       .arg = &t };

	if (st->ops->tend)
		st->ops->tend(st, &keeper);
}

void target_forget(struct monitor_client *mc, domid_t domid, uint32_t handle)
{
	char key[MONITOR_KEY_MAX];

	if (seen_key(key, domid, handle) == 0)
		monitor_client_drop(mc, key);
	monitor_client_release_device(mc, domid, handle);
}
