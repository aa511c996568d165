/* SPDX-License-Identifier: MIT */
/* block.c - block-attach, block-list, block-detach. See attach.h, device.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pvsplit/attach.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/limits.h"
#include "util/url.h"
#include "util/vdev.h"

#define DEFAULT_BACKEND "storage"

const struct cmd_option attach_options[] = {
	{ "backend", "DOMAIN", "the driver domain that serves it" },
	{ "no-wait", NULL, "do not wait for the driver domain's answer" },
	{ 0 },
};

const struct cmd_option detach_options[] = {
	{ "force", NULL, "remove it even if the guest holds on to it" },
	{ 0 },
};

const char block_help[] =
	"SPEC is written as in xl-disk-configuration(5): by position\n"
	"TARGET,FORMAT,VDEV,ACCESS, or by name format=raw, vdev=xvda,\n"
	"access=rw (or r), backend=DOMAIN, and target=PATH at the end. The\n"
	"driver domain is 'storage' when none is named.\n";

/* "nbd://...", "null:1G": what only the driver domain understands. */
static bool is_uri(const char *target)
{
	size_t n = strspn(target, "abcdefghijklmnopqrstuvwxyz0123456789+-");

	return n && target[n] == ':';
}

static int check_access(const char *command, const struct disk_spec *spec,
			const struct stat *st)
{
	int fd;

	if (spec->readonly || S_ISBLK(st->st_mode))
		return 0;
	if (!(st->st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)))
		return complain(-EACCES,
				"%s: %s: the image is read-only (mode %04o); "
				"attach it with access=r, or chmod u+w it",
				command, spec->target, st->st_mode & 07777);
	fd = open(spec->target, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return complain(-errno,
				"%s: %s: cannot be written: %s; attach it with "
				"access=r",
				command, spec->target, strerror(errno));
	close(fd);
	return 0;
}

/* What can be known here, before any driver domain is asked. */
static int check_image(const char *command, struct disk_spec *spec)
{
	char path[PATH_MAX];
	struct stat st;

	if (is_uri(spec->target))
		return 0;
	if (!realpath(spec->target, path) || stat(path, &st) < 0)
		return complain(-errno, "%s: %s: %s; give an existing image",
				command, spec->target, strerror(errno));
	snprintf(spec->target, sizeof(spec->target), "%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return complain(-EINVAL,
				"%s: %s: neither a file nor a block device; "
				"give a raw image",
				command, path);
	if (S_ISREG(st.st_mode) && st.st_size % 512)
		return complain(-EINVAL,
				"%s: %s: its size, %lld bytes, is not a "
				"multiple of 512; grow it with 'truncate -s "
				"%%512'",
				command, path, (long long)st.st_size);
	if (S_ISREG(st.st_mode) && !st.st_size)
		return complain(-EINVAL,
				"%s: %s: the image is empty; give it a size "
				"with 'truncate -s 1G'",
				command, path);
	return check_access(command, spec, &st);
}

struct sharing {
	const char *command;
	const struct disk_spec *spec;
};

/* Two writers, or a writer and a reader, of one image destroy it. */
static int refuse_sharing(struct pvsplit *ps, const struct device *dev,
			  void *arg)
{
	const struct sharing *s = arg;
	char params[PATH_MAX], mode[4];

	if (xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "params", params,
			sizeof(params)) ||
	    strcmp(params, s->spec->target) != 0 || is_uri(params))
		return 0;
	if (s->spec->readonly &&
	    !xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "mode", mode,
			 sizeof(mode)) &&
	    !strcmp(mode, "r"))
		return 0;
	return complain(-EBUSY,
			"%s: %s is in use by domain %u (%s) and would be "
			"written; detach it there first",
			s->command, s->spec->target, dev->domid,
			device_name(dev));
}

int block_attach(struct pvsplit *ps, const char *command, domid_t domid,
		 const struct disk_spec *given, const char *backend, bool wait,
		 struct device *ret)
{
	struct disk_spec spec = *given;
	struct sharing sharing = { command, &spec };
	/* The guest reads the backend's directory. */
	const struct url_shown shown = url_show(spec.target);
	const char *mode = spec.readonly ? "r" : "w";
	char handle[12];
	const struct device_node front[] = { { "virtual-device", handle },
					     { "device-type", "disk" },
					     { 0 } };
	const struct device_node back[] = {
		{ "removable", "0" },	   { "bootable", "0" },
		{ "dev", spec.vdev },	   { "type", "phy" },
		{ "mode", mode },	   { "params", shown.text },
		{ "device-type", "disk" }, { 0 }
	};
	const struct device_node libxl[] = { { "params", spec.target },
					     { "mode", mode },
					     { "vdev", spec.vdev },
					     { 0 } };
	const struct device_nodes nodes = { front, back, libxl };
	struct device dev;
	domid_t backend_id;
	int err;

	if (!backend)
		backend = *spec.backend ? spec.backend : DEFAULT_BACKEND;
	err = domain_resolve(ps, command, backend, &backend_id);
	if (!err)
		err = check_image(command, &spec);
	if (!err)
		err = device_for_each(ps, DEVICE_VBD, DEVICE_ALL,
				      refuse_sharing, &sharing);
	if (err)
		return err;
	snprintf(handle, sizeof(handle), "%u", spec.handle);
	device_init(&dev, DEVICE_VBD, domid, backend_id, spec.handle);
	err = device_attach(ps, command, &dev, &nodes, wait);
	if (err == -EEXIST)
		return complain(err,
				"%s: domain %u has a disk %s already; choose "
				"another vdev or detach it",
				command, domid, spec.vdev);
	if (!err && ret)
		*ret = dev;
	return err;
}

int block_attach_run(struct pvsplit *ps, const struct args *args)
{
	struct disk_spec spec;
	char why[SPEC_WHY_MAX];
	domid_t domid;
	int err;

	if (spec_disk_parse(args->words[1], false, &spec, why))
		return complain(-EINVAL, "%s: %s", args->command, why);
	err = pvsplit_connect(ps);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (!err)
		err = domain_resolve(ps, args->command, args->words[0], &domid);
	if (!err)
		err = block_attach(ps, args->command, domid, &spec,
				   args_get(args, "backend"),
				   !args_get(args, "no-wait"), NULL);
	if (err)
		return err;
	return output_result(ps,
			     json_pack("{s:i, s:s, s:i}", "domid", (int)domid,
				       "vdev", spec.vdev, "handle",
				       (int)spec.handle),
			     "domain %u: %s is %s", domid, spec.vdev,
			     url_show(spec.target).text);
}

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
