/* SPDX-License-Identifier: MIT */
/*
 * block_fault.c - block-fault: what goes wrong with a disk from now on. The
 * backend reads SPEC and answers: docs/storage.md, docs/xenstore-paths.md.
 */
#include <errno.h>
#include <string.h>

#include "pvsplit/device.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "util/vdev.h"

#define ANSWER_NS (5 * NS_PER_S)

const char block_fault_help[] =
	"The disk was attached with target=fault:SPEC,TARGET. SPEC is off, or\n"
	"clauses joined by '+': seed=N, or read, write, flush, discard or any,\n"
	"each with keys after colons. Which requests: sectors=A-B, one-in=N,\n"
	"after=N, times=N. What happens: error=EIO, delay=20ms or\n"
	"delay=1ms-20ms, hang, torn=N, reorder=N.\n";

static int find_disk(struct pvsplit *ps, const struct args *args,
		     struct device *ret)
{
	uint32_t handle;
	domid_t domid;
	int err;

	if (vdev_parse(args->words[1], &handle))
		return complain(-EINVAL,
				"%s: '%s' is not a disk's name; 'pvsplit "
				"block-list' shows them",
				args->command, args->words[1]);
	err = pvsplit_connect(ps);
	if (!err)
		err = domain_resolve(ps, args->command, args->words[0], &domid);
	if (err)
		return err;
	err = device_find(ps, DEVICE_VBD, domid, handle, ret);
	if (err)
		return complain(err,
				"%s: domain %u has no vbd %s; 'pvsplit "
				"block-list' shows what there is",
				args->command, domid, args->words[1]);
	return 0;
}

/* 1: the backend took it, in whichever way. */
static int answered(struct pvsplit *ps, const struct device *dev)
{
	char text[8];
	int err = xs_read_str(ps->xs, XS_NO_TXN, dev->back, "fault", text,
			      sizeof(text));

	return err == -ENOENT;
}

int block_fault_run(struct pvsplit *ps, const struct args *args)
{
	const char *spec = args->words[2];
	struct device dev;
	char why[256];
	int err = find_disk(ps, args, &dev);

	if (err)
		return err;
	err = xs_printf(ps->xs, XS_NO_TXN, dev.back, "fault", "%s", spec);
	if (!err)
		err = device_wait(ps, &dev, clock_now_ns() + ANSWER_NS,
				  answered);
	if (err < 0)
		return complain(err,
				"%s: cannot write the store: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	if (!err)
		return complain(-ETIMEDOUT,
				"%s: the driver domain does not answer; is the "
				"disk in use by the guest?",
				args->command);
	err = xs_read_str(ps->xs, XS_NO_TXN, dev.back, "fault-refused", why,
			  sizeof(why));
	if (err == -ENOENT)
		return 0;
	return complain(-EINVAL, "%s: %s", args->command,
			err ? strerror(-err) : why);
}
