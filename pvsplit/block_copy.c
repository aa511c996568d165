/* SPDX-License-Identifier: MIT */
/*
 * block_copy.c - block-copy: between disks, and between disks and files. The
 * copying is blkfront-copy's; here names become what it takes. See tool.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pvsplit/device.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/tool.h"
#include "util/num.h"
#include "util/vdev.h"

const struct cmd_option block_copy_options[] = {
	{ "overwrite", NULL, "the destination is a disk, or a file that is" },
	{ "discard", NULL, "give back what of the disk is to be zeros" },
	{ "verify", NULL, "read both again and compare" },
	{ 0 },
};

const char block_copy_help[] =
	"SOURCE and DESTINATION are each a disk, DOMAIN:VDEV, or a file: a word\n"
	"with a slash, or one that names no disk; one of them has to be a disk.\n"
	"The domains must not be using their disks. Zeros become holes of a\n"
	"file, and are not written to a disk that has them already. A file\n"
	"that was made is removed when it could not be made whole. On a\n"
	"terminal a bar shows how far it is.\n";

struct place_text {
	char text[PATH_MAX + 8];
};

/* "web:xvda" to "disk:3/xvda", anything else to "file:...". */
static int translate(struct pvsplit *ps, const char *command, const char *word,
		     struct place_text *ret)
{
	const char *colon = strrchr(word, ':');
	char domain[DOMAIN_NAME_MAX];
	uint32_t handle;
	domid_t domid;
	int err;

	if (strchr(word, '/') || !colon || vdev_parse(colon + 1, &handle)) {
		err = str_printf(ret->text, sizeof(ret->text), "file:%s", word);
		return err < 0 ? complain(err,
					  "%s: the name of a file is too "
					  "long; shorten it",
					  command)
			       : 0;
	}
	err = str_printf(domain, sizeof(domain), "%.*s", (int)(colon - word),
			 word);
	if (err < 0)
		return complain(err, "%s: '%.20s...' is no domain", command,
				word);
	err = domain_resolve(ps, command, domain, &domid);
	if (err)
		return err;
	snprintf(ret->text, sizeof(ret->text), "disk:%u/%u", domid, handle);
	return 0;
}

struct target {
	const char *command;
	char path[PATH_MAX];
};

static int refuse_image(struct pvsplit *ps, const struct device *dev, void *arg)
{
	const struct target *t = arg;
	char params[PATH_MAX];

	if (xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "params", params,
			sizeof(params)) ||
	    strcmp(params, t->path) != 0)
		return 0;
	return complain(-EBUSY,
			"%s: %s is a disk of domain %u (%s); detach it there "
			"first",
			t->command, t->path, dev->domid, device_name(dev));
}

/* The destination must not be what is behind a disk: of the source, even. */
static int check_destination(struct pvsplit *ps, const char *command,
			     const struct place_text *to)
{
	struct target t = { .command = command };

	if (strncmp(to->text, "file:", 5) != 0 ||
	    !realpath(to->text + 5, t.path))
		return 0;
	return device_for_each(ps, DEVICE_VBD, DEVICE_ALL, refuse_image, &t);
}

int block_copy_run(struct pvsplit *ps, const struct args *args)
{
	struct place_text from, to;
	struct tool tool;
	int err = pvsplit_connect(ps);

	if (!err)
		err = pvsplit_catch_signals(ps);
	if (!err)
		err = translate(ps, args->command, args->words[0], &from);
	if (!err)
		err = translate(ps, args->command, args->words[1], &to);
	if (!err)
		err = check_destination(ps, args->command, &to);
	if (!err)
		err = tool_init(ps, "blkfront-copy", &tool);
	if (err)
		return err;
	tool_add_options(&tool, args, block_copy_options);
	tool_add(&tool, from.text, NULL);
	tool_add(&tool, to.text, NULL);
	return tool_run(ps, args->command, &tool);
}
