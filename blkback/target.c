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

const struct monitor_ops target_ops = {
	.open = target_open,
	.release = target_release,
};

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
	err = storage_open(&desc, dev.fds, ret);
	if (err)
		goto fail;
	return 0;

fail:
	for (uint32_t i = 0; i < dev.nr_fds; i++)
		close(dev.fds[i]);
	return err;
}
