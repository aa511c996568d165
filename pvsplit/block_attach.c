/* SPDX-License-Identifier: MIT */
/*
 * block_attach.c - block-attach: one disk or many. See attach.h, device.h.
 *
 * Many are written first, BATCH of them, and only then waited for: the driver
 * domain opens one while we write the next.
 */
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
#include "util/url.h"

#define DEFAULT_BACKEND "storage"
#define BATCH		32u
#define SPECS_MAX	65536u

const struct cmd_option block_attach_options[] = {
	{ "from", "FILE", "more SPECs, one a line; - is standard input" },
	{ "backend", "DOMAIN", "the driver domain that serves them" },
	{ "no-wait", NULL, "do not wait for the driver domain's answer" },
	{ 0 },
};

const char block_help[] =
	"SPEC is written as in xl-disk-configuration(5): by position\n"
	"TARGET,FORMAT,VDEV,ACCESS, or by name format=raw, vdev=xvda,\n"
	"access=rw (or r), backend=DOMAIN, and target=PATH at the end. The\n"
	"driver domain is 'storage' when none is named. Several disks are given at\n"
	"once, or read from a file: that is much faster than a command for each.\n"
	"What was attached before one is refused stays attached, and is listed.\n";

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

/* ---- who uses which image ---- */

/*
 * Two writers, or a writer and a reader, of one image destroy it. images: by
 * path, one of its users; there is either one writer or there are readers.
 */
static int image_note(json_t *images, const struct device *dev,
		      const char *target, bool readonly)
{
	json_t *user =
		json_pack("{s:s, s:i, s:b}", "device", device_name(dev),
			  "domid", (int)dev->domid, "readonly", readonly);

	/* A path is any bytes. */
	return json_object_set_new_nocheck(images, target, user) ? -ENOMEM : 0;
}

static int note_device(struct pvsplit *ps, const struct device *dev, void *arg)
{
	char params[PATH_MAX], mode[4];

	if (xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "params", params,
			sizeof(params)) ||
	    is_uri(params))
		return 0;
	if (xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "mode", mode,
			sizeof(mode)))
		mode[0] = '\0';
	return image_note(arg, dev, params, !strcmp(mode, "r"));
}

static int refuse_sharing(const json_t *images, const char *command,
			  const struct disk_spec *spec)
{
	const json_t *user = json_object_get(images, spec->target);

	if (!user ||
	    (spec->readonly && json_is_true(json_object_get(user, "readonly"))))
		return 0;
	return complain(
		-EBUSY,
		"%s: %s is in use by domain %lld (%s) and would be written; "
		"detach it there first",
		command, spec->target,
		json_integer_value(json_object_get(user, "domid")),
		json_string_value(json_object_get(user, "device")));
}

/* ---- attaching ---- */

/* Of one command. */
struct attaching {
	struct pvsplit *ps;
	const char *command;
	domid_t domid;
	const char *backend; /* NULL: the specification's, or the default */
	bool wait;
	json_t *images; /* NULL: nobody has been asked yet */
};

/* Who uses images is asked for once, and only when there are any. */
static int check_sharing(struct attaching *a, const struct disk_spec *spec)
{
	int err = 0;

	if (is_uri(spec->target))
		return 0;
	if (!a->images) {
		a->images = json_object();
		err = a->images ? device_for_each(a->ps, DEVICE_VBD, DEVICE_ALL,
						  note_device, a->images)
				: -ENOMEM;
		if (err)
			return complain(err, "%s: cannot list the disks: %s",
					a->command, strerror(-err));
	}
	return refuse_sharing(a->images, a->command, spec);
}

static int write_disk(struct attaching *a, const struct disk_spec *spec,
		      const struct device *dev)
{
	/* The guest reads the backend's directory. */
	const struct url_shown shown = url_show(spec->target);
	const char *mode = spec->readonly ? "r" : "w";
	char handle[12];
	const struct device_node front[] = { { "virtual-device", handle },
					     { "device-type", "disk" },
					     { 0 } };
	const struct device_node back[] = {
		{ "removable", "0" },	   { "bootable", "0" },
		{ "dev", spec->vdev },	   { "type", "phy" },
		{ "mode", mode },	   { "params", shown.text },
		{ "device-type", "disk" }, { 0 }
	};
	const struct device_node libxl[] = { { "params", spec->target },
					     { "mode", mode },
					     { "vdev", spec->vdev },
					     { 0 } };
	const struct device_nodes nodes = { front, back, libxl, NULL };
	int err;

	snprintf(handle, sizeof(handle), "%u", spec->handle);
	err = device_attach(a->ps, a->command, dev, &nodes, false);
	if (err == -EEXIST)
		return complain(err,
				"%s: domain %u has a disk %s already; choose "
				"another vdev or detach it",
				a->command, a->domid, spec->vdev);
	return err;
}

/* Everything but waiting for the backend. */
static int begin(struct attaching *a, struct disk_spec *spec,
		 struct device *ret)
{
	const char *backend = a->backend ? a->backend : spec->backend;
	domid_t backend_id;
	int err;

	err = domain_resolve(a->ps, a->command,
			     *backend ? backend : DEFAULT_BACKEND, &backend_id);
	if (!err)
		err = check_image(a->command, spec);
	if (!err)
		err = check_sharing(a, spec);
	if (err)
		return err;
	device_init(ret, DEVICE_VBD, a->domid, backend_id, spec->handle);
	err = write_disk(a, spec, ret);
	if (!err && a->images && !is_uri(spec->target))
		err = image_note(a->images, ret, spec->target, spec->readonly);
	return err;
}

/*
 * At most BATCH disks, up to the first that fails. Returns how many were
 * attached; *ret_err why no more were.
 */
static unsigned attach_batch(struct attaching *a, struct disk_spec *specs,
			     unsigned nr, struct device *devs, int *ret_err)
{
	unsigned nr_begun = 0, nr_done = 0;
	int err = 0;

	while (nr_begun < nr && !err) {
		err = begin(a, &specs[nr_begun], &devs[nr_begun]);
		nr_begun += !err;
	}
	*ret_err = err;
	/* One that the backend refuses is undone; those after it are tried. */
	for (unsigned i = 0; i < nr_begun; i++) {
		err = a->wait ? device_wait_taken(a->ps, a->command, &devs[i])
			      : 0;
		if (err && !*ret_err)
			*ret_err = err;
		if (err)
			continue;
		devs[nr_done] = devs[i];
		specs[nr_done++] = specs[i];
	}
	return nr_done;
}

int block_attach(struct pvsplit *ps, const char *command, domid_t domid,
		 const struct disk_spec *given, const char *backend, bool wait,
		 struct device *ret)
{
	struct attaching a = { ps, command, domid, backend, wait, NULL };
	struct disk_spec spec = *given;
	struct device dev;
	int err;

	if (attach_batch(&a, &spec, 1, &dev, &err) && ret)
		*ret = dev;
	json_decref(a.images);
	return err;
}

/* ---- the command ---- */

struct specs {
	struct disk_spec *all;
	unsigned nr, room;
};

static int add_spec(struct specs *specs, const struct args *args,
		    const char *text)
{
	char why[SPEC_WHY_MAX];

	if (specs->nr == specs->room) {
		unsigned room = specs->room ? 2 * specs->room : 4;
		struct disk_spec *all =
			room > SPECS_MAX
				? NULL
				: reallocarray(specs->all, room, sizeof(*all));

		if (!all)
			return complain(-ENOMEM, "%s: too many disks",
					args->command);
		specs->all = all;
		specs->room = room;
	}
	if (spec_disk_parse(text, false, &specs->all[specs->nr], why))
		return complain(-EINVAL, "%s: %s", args->command, why);
	specs->nr++;
	return 0;
}

/* Lines that are empty or begin with # say nothing. */
static int read_specs(struct specs *specs, const struct args *args,
		      const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int err = 0;

	if (!f)
		return complain(-errno, "%s: %s: %s", args->command, path,
				strerror(errno));
	while (!err && (len = getline(&line, &size, f)) >= 0) {
		if (len && line[len - 1] == '\n')
			line[--len] = '\0';
		if (len && line[0] != '#')
			err = add_spec(specs, args, line);
	}
	if (!err && ferror(f))
		err = complain(-EIO, "%s: %s: cannot be read", args->command,
			       path);
	free(line);
	if (f != stdin)
		fclose(f);
	return err;
}

static int parse_specs(struct specs *specs, const struct args *args)
{
	const char *path = args_get(args, "from");
	int err = 0;

	for (unsigned i = 1; !err && i < args->nr; i++)
		err = add_spec(specs, args, args->words[i]);
	if (!err && path)
		err = read_specs(specs, args, path);
	if (!err && !specs->nr && !path)
		err = complain_usage(args, "which disk? SPEC is missing");
	return err;
}

static json_t *disk_json(domid_t domid, const struct disk_spec *spec)
{
	return json_pack("{s:i, s:s, s:i}", "domid", (int)domid, "vdev",
			 spec->vdev, "handle", (int)spec->handle);
}

/* Returns the first error; what was attached is in list. */
static int attach_all(struct attaching *a, struct specs *specs, json_t *list)
{
	struct device devs[BATCH];
	int err = 0;

	for (unsigned i = 0; !err && i < specs->nr; i += BATCH) {
		unsigned nr = specs->nr - i < BATCH ? specs->nr - i : BATCH;

		nr = attach_batch(a, &specs->all[i], nr, devs, &err);
		for (unsigned k = 0; k < nr; k++) {
			json_t *disk = disk_json(a->domid, &specs->all[i + k]);

			if (disk)
				json_object_set_new_nocheck(
					disk, "target",
					json_string_nocheck(
						url_show(specs->all[i + k]
								 .target)
							.text));
			json_array_append_new(list, disk);
		}
	}
	return err;
}

static int say_all(struct pvsplit *ps, json_t *list, int err)
{
	static const struct column columns[] = { { "domid", "DOMAIN" },
						 { "vdev", "VDEV" },
						 { "target", "TARGET" },
						 { 0 } };
	int said = output_list(ps, list, columns);

	return err ? err : said;
}

static int attach_specs(struct attaching *a, struct specs *specs)
{
	bool alone = specs->nr == 1;
	json_t *list = json_array();
	int err = list ? attach_all(a, specs, list) : -ENOMEM;

	json_decref(a->images);
	if (!alone)
		return say_all(a->ps, list, err);
	json_decref(list);
	return err ? err
		   : output_result(a->ps, disk_json(a->domid, specs->all),
				   "domain %u: %s is %s", a->domid,
				   specs->all->vdev,
				   url_show(specs->all->target).text);
}

int block_attach_run(struct pvsplit *ps, const struct args *args)
{
	struct attaching a = { .ps = ps,
			       .command = args->command,
			       .backend = args_get(args, "backend"),
			       .wait = !args_get(args, "no-wait") };
	struct specs specs = { 0 };
	int err = parse_specs(&specs, args);

	if (!err)
		err = pvsplit_connect(ps);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (!err)
		err = domain_resolve(ps, args->command, args->words[0],
				     &a.domid);
	if (!err)
		err = attach_specs(&a, &specs);
	free(specs.all);
	return err;
}
