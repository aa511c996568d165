/* SPDX-License-Identifier: MIT */
/* block.c - block-list, block-detach. See device.h. */
#include <errno.h>

#include "pvsplit/device.h"
#include "pvsplit/jobs.h"
#include "pvsplit/limits.h"
#include "util/vdev.h"

const struct cmd_option detach_options[] = {
	{ "force", NULL, "remove it even if the guest holds on to it" },
	{ 0 },
};

static int add_to_list(struct pvsplit *ps, const struct device *dev, void *arg)
{
	json_t *list = arg, *object = device_json(ps, dev);

	if (!object)
		return -ENOMEM;
	device_json_add(ps, object, dev, "vdev", "vdev");
	device_json_add(ps, object, dev, "mode", "mode");
	device_json_add(ps, object, dev, "params", "target");
	limits_json_add(ps, object, dev);
	return json_array_append_new(list, object) ? -ENOMEM : 0;
}

int block_list_run(struct pvsplit *ps, const struct args *args)
{
	static const struct column columns[] = {
		{ "domain", "DOMAIN" },	      { "vdev", "VDEV" },
		{ "backend", "BACKEND" },     { "frontend-state", "FRONTEND" },
		{ "backend-state", "STATE" }, { "mode", "MODE" },
		{ "target", "TARGET" },	      { 0 },
	};

	return device_list_run(ps, args, DEVICE_VBD, add_to_list, columns);
}

int block_detach_run(struct pvsplit *ps, const struct args *args)
{
	uint32_t handle;

	if (vdev_parse(args->words[1], &handle))
		return complain(-EINVAL,
				"%s: '%s' is not a disk's name; 'pvsplit "
				"block-list' shows them",
				args->command, args->words[1]);
	return device_detach_run(ps, args, DEVICE_VBD, handle);
}
