/* SPDX-License-Identifier: MIT */
/*
 * block_bench.c - block-bench: load on a disk that is attached, or on one that
 * is attached for it. The load is blkfront-bench's, a program of its own,
 * because a frontend is no part of the toolstack. See tool.h.
 */
#include <errno.h>

#include "pvsplit/attach.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/tool.h"

const struct cmd_option block_bench_options[] = {
	{ "disk", "SPEC", "attach this disk, to a domain of its own" },
#define LOAD_OPTIONS (block_bench_options + 1) /* the program's own */
	{ "mode", "MODE", "read, write, rw, randread, randwrite or randrw" },
	{ "mix", "PERCENT", "reads in rw and randrw (70)" },
	{ "block-size", "SIZE", "of a request (4K)" },
	{ "depth", "N", "requests in flight on each queue (32)" },
	{ "queues", "N", "queues, with a thread each (1)" },
	{ "area", "SIZE", "only the first SIZE of the disk" },
	{ "runtime", "SECONDS", "how long (5, without --total)" },
	{ "total", "SIZE", "how much" },
	{ "seed", "N", "of what is random" },
	{ "write", NULL, "destroy what is on the disk" },
	{ "verify", NULL, "read back what was written, and compare" },
	{ 0 },
};

const char block_bench_help[] =
	"Reads (or, with a mode that writes and --write, overwrites) a disk\n"
	"as its domain does, and says how many requests and bytes a second\n"
	"went through and how long they took. The domain itself must not be\n"
	"using the disk. With --verify every block carries where and when it\n"
	"was written; it is read back, and the first wrong byte is shown.\n"
	"Ctrl-C ends it early, with the figures so far.\n";

static int bench(struct pvsplit *ps, const struct args *args, domid_t domid,
		 const char *vdev)
{
	struct tool tool;

	if (tool_init(ps, "blkfront-bench", &tool))
		return -ENOENT;
	tool_add_u32(&tool, "--domain", domid);
	tool_add(&tool, "--vdev", vdev);
	tool_add_options(&tool, args, LOAD_OPTIONS);
	return tool_run(ps, args->command, &tool);
}

struct new_disk {
	const struct args *args;
	const struct disk_spec *spec;
};

static int bench_new_disk(struct pvsplit *ps, domid_t domid, void *arg)
{
	const struct new_disk *job = arg;
	int err = block_attach(ps, job->args->command, domid, job->spec, NULL,
			       true, NULL);

	return err ? err : bench(ps, job->args, domid, job->spec->vdev);
}

static int run_new_disk(struct pvsplit *ps, const struct args *args,
			const char *text)
{
	char why[SPEC_WHY_MAX];
	struct disk_spec spec;
	struct new_disk job = { args, &spec };

	if (spec_disk_parse(text, false, &spec, why))
		return complain(-EINVAL, "%s: %s", args->command, why);
	return tool_in_domain(ps, args->command, bench_new_disk, &job);
}

int block_bench_run(struct pvsplit *ps, const struct args *args)
{
	const char *spec = args_get(args, "disk");
	domid_t domid;
	int err;

	if (spec ? args->nr != 0 : args->nr != 2)
		return complain_usage(args, "give DOMAIN and VDEV, or --disk");
	err = pvsplit_connect(ps);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (err)
		return err;
	if (spec)
		return run_new_disk(ps, args, spec);
	err = domain_resolve(ps, args->command, args->words[0], &domid);
	return err ? err : bench(ps, args, domid, args->words[1]);
}
