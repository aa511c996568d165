/* SPDX-License-Identifier: MIT */
/*
 * block_resize.c - block-resize: the image or device behind a disk has another
 * size. We write the backend's node `resize`; the driver domain removes it when
 * it has looked and told the guest. See device.h, docs/xenstore-paths.md.
 */
#include <errno.h>
#include <string.h>

#include "abi/xenbus.h"
#include "pvsplit/device.h"
#include "pvsplit/jobs.h"
#include "util/vdev.h"

#define RESIZE_NS (5 * NS_PER_S)

const char block_resize_help[] =
	"Change the size of what is behind the disk first. The guest learns of\n"
	"the new size while it runs; shrinking takes away what is at the end.\n";

/* The driver domain has looked, or nobody is connected who would be told. */
static int looked(struct pvsplit *ps, const struct device *dev)
{
	uint32_t state;
	char text[16];
	int err = xs_read_str(ps->xs, XS_NO_TXN, dev->back, "resize", text,
			      sizeof(text));

	if (err == -ENOENT)
		return 1;
	if (!err)
		err = xs_read_u32(ps->xs, XS_NO_TXN, dev->back, "state",
				  XENBUS_NR_STATES - 1, &state);
	if (err)
		return err;
	return state != XenbusStateConnected;
}

static int ask_backend(struct pvsplit *ps, const char *command,
		       const struct device *dev)
{
	int err = xs_printf(ps->xs, XS_NO_TXN, dev->back, "resize", "1");

	if (!err)
		err = device_wait(ps, dev, clock_now_ns() + RESIZE_NS, looked);
	if (err > 0)
		return 0;
	if (!err)
		return complain(-ETIMEDOUT,
				"%s: %s: the driver domain does not answer; "
				"see 'pvsplit status'",
				command, device_name(dev));
	return complain(err, "%s: %s: cannot ask the driver domain: %s",
			command, device_name(dev), strerror(-err));
}

int block_resize_run(struct pvsplit *ps, const struct args *args)
{
	uint64_t sectors = 0;
	struct device dev;
	uint32_t handle;
	int err;

	if (vdev_parse(args->words[1], &handle))
		return complain(-EINVAL,
				"%s: '%s' is not a disk's name; 'pvsplit "
				"block-list' shows them",
				args->command, args->words[1]);
	err = device_find_args(ps, args, DEVICE_VBD, handle, &dev);
	if (!err)
		err = ask_backend(ps, args->command, &dev);
	if (err)
		return err;
	err = xs_read_u64(ps->xs, XS_NO_TXN, dev.back, "sectors",
			  UINT64_MAX / 512, &sectors);
	if (err == -ENOENT)
		return output_result(ps, json_pack("{s:b}", "connected", 0),
				     "domain %u: %s will have the new size "
				     "when the guest connects",
				     dev.domid, args->words[1]);
	if (err)
		return complain(err, "%s: cannot read the store: %s",
				args->command, strerror(-err));
	return output_result(ps,
			     json_pack("{s:i, s:s, s:I}", "domid",
				       (int)dev.domid, "vdev", args->words[1],
				       "size-bytes",
				       (json_int_t)(sectors * 512)),
			     "domain %u: %s has %llu bytes", dev.domid,
			     args->words[1], (unsigned long long)sectors * 512);
}
