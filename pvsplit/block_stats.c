/* SPDX-License-Identifier: MIT */
/* block_stats.c - block-stats: what disks did and how long guests waited. */
#include <errno.h>

#include "pvsplit/jobs.h"
#include "pvsplit/stats_list.h"
#include "util/num.h"
#include "util/vdev.h"

const char block_stats_help[] =
	"Since the disk was connected. P99: the time that 99 of 100 requests\n"
	"took at most. BUSY: the share of time in which the guest had requests\n"
	"unanswered; STALLED: in which none of them was answered for 10 ms and\n"
	"more; FULL: in which its ring was full; THROTTLED: in which a limit\n"
	"held requests back. Of several queues: their mean. --json has all\n"
	"figures, also of each queue, and the histograms of latency and depth.\n";

/* What the table shows of the figures. */
static void refine(json_t *row, const json_t *stats)
{
	stats_add_sum(row, stats, "read-ops", "reads");
	stats_add_sum(row, stats, "write-ops", "writes");
	stats_add_sum(row, stats,
		      "read-errors write-errors flush-errors discard-errors "
		      "refused",
		      "errors");
	stats_add_duration(row, stats, "read-latency-ns-p99", "read-p99");
	stats_add_duration(row, stats, "write-latency-ns-p99", "write-p99");
	stats_add_sum(row, stats, "depth-p50", "depth");
	stats_add_shares(row, stats);
}

int block_stats_run(struct pvsplit *ps, const struct args *args)
{
	static const struct column columns[] = {
		{ "domain", "DOMAIN" },
		{ "vdev", "VDEV" },
		{ "reads", "READS" },
		{ "writes", "WRITES" },
		{ "errors", "ERRORS" },
		{ "read-p99", "READ P99" },
		{ "write-p99", "WRITE P99" },
		{ "depth", "DEPTH" },
		{ "busy", "BUSY" },
		{ "stalled", "STALLED" },
		{ "full", "FULL" },
		{ "throttled", "THROTTLED" },
		{ 0 },
	};
	struct stats_list s = {
		.kind = DEVICE_VBD,
		.one = args->nr == 2,
		.node = "vdev",
		.refine = refine,
		.columns = columns,
		.list_command = "block-list",
	};

	if (s.one && vdev_number(args->words[1], &s.handle) &&
	    num_parse_u32(args->words[1], UINT32_MAX, &s.handle))
		return complain(-EINVAL,
				"%s: '%s' is not a disk's name; 'pvsplit "
				"block-list' shows them",
				args->command, args->words[1]);
	return stats_list_run(ps, args, &s);
}
