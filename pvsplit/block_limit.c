/* SPDX-License-Identifier: MIT */
/* block_limit.c - block-limit: the limits of a disk and of its group. */
#include <errno.h>

#include "pvsplit/jobs.h"
#include "pvsplit/limits.h"
#include "util/num.h"
#include "util/vdev.h"

const struct cmd_option block_limit_options[] = {
	{ "iops", "N", "requests a second, reads and writes together" },
	{ "read-iops", "N", "reads a second" },
	{ "write-iops", "N", "writes a second, flushes and discards included" },
	{ "bytes", "SIZE", "bytes a second, read and written together" },
	{ "read-bytes", "SIZE", "bytes read a second" },
	{ "write-bytes", "SIZE", "bytes written a second" },
	{ "burst", "MS", "what may be saved up while idle, as time (100)" },
	{ "group", "NAME", "share the group's limits; those named are its" },
	{ "none", NULL, "no limits any more, and no group" },
	{ 0 },
};

const char block_limit_help[] =
	"Without options: show them. Limits that are not named stay as they\n"
	"are; 0 takes one away. A size may end in K, M, G or T. All disks of a\n"
	"driver domain with the same group share the limits of that group;\n"
	"each disk may have limits of its own besides. A change is obeyed at\n"
	"once.\n";

int block_limit_run(struct pvsplit *ps, const struct args *args)
{
	uint32_t handle;

	if (vdev_number(args->words[1], &handle) &&
	    num_parse_u32(args->words[1], UINT32_MAX, &handle))
		return complain(-EINVAL,
				"%s: '%s' is not a disk's name; 'pvsplit "
				"block-list' shows them",
				args->command, args->words[1]);
	return limits_run(ps, args, DEVICE_VBD, handle, args->words[1]);
}
