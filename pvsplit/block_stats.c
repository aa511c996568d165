/* SPDX-License-Identifier: MIT */
/* block_stats.c - block-stats: what disks did and how long guests waited. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pvsplit/disk_stats.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "util/num.h"
#include "util/vdev.h"

const char block_stats_help[] =
	"Since the disk was connected. P99: the time that 99 of 100 requests\n"
	"took at most. BUSY: the share of time in which the guest had requests\n"
	"unanswered; STALLED: in which none of them was answered for 10 ms and\n"
	"more; FULL: in which its ring was full; THROTTLED: in which a limit\n"
	"held requests back. Of several queues: their mean. --json has all\n"
	"figures, also of each queue, and the histograms of latency and depth.\n";

static void add_duration(json_t *row, const json_t *stats, const char *from,
			 const char *key)
{
	char text[24];

	output_duration(disk_stats_get(stats, from), text, sizeof(text));
	json_object_set_new(row, key, json_string(text));
}

static void add_share(json_t *row, const json_t *stats, const char *from,
		      const char *key)
{
	uint64_t whole = disk_stats_get(stats, "connected-ns") *
			 disk_stats_get(stats, "queues");
	char text[16];

	snprintf(text, sizeof(text), "%.1f %%",
		 whole ? 100.0 * (double)disk_stats_get(stats, from) /
				 (double)whole
		       : 0.0);
	json_object_set_new(row, key, json_string(text));
}

static void add_sum(json_t *row, const json_t *stats, const char *const *names,
		    const char *key)
{
	uint64_t sum = 0;

	for (; *names; names++)
		sum += disk_stats_get(stats, *names);
	json_object_set_new(row, key, json_integer((json_int_t)sum));
}

/* What the table shows of the figures. */
static void refine(json_t *row, const json_t *stats)
{
	static const char *const reads[] = { "read-ops", NULL };
	static const char *const writes[] = { "write-ops", NULL };
	static const char *const errors[] = { "read-errors",  "write-errors",
					      "flush-errors", "discard-errors",
					      "refused",      NULL };

	add_sum(row, stats, reads, "reads");
	add_sum(row, stats, writes, "writes");
	add_sum(row, stats, errors, "errors");
	add_duration(row, stats, "read-latency-ns-p99", "read-p99");
	add_duration(row, stats, "write-latency-ns-p99", "write-p99");
	add_sum(row, stats, (const char *const[]){ "depth-p50", NULL },
		"depth");
	add_share(row, stats, "busy-ns", "busy");
	add_share(row, stats, "stalled-ns", "stalled");
	add_share(row, stats, "ring-full-ns", "full");
	add_share(row, stats, "throttled-ns", "throttled");
}

struct stats_list {
	json_t *list;
	bool one; /* only the disk handle */
	uint32_t handle;
};

static int add_disk(struct pvsplit *ps, const struct device *dev, void *arg)
{
	struct stats_list *s = arg;
	json_t *row, *stats = NULL;
	int err;

	if (s->one && s->handle != dev->handle)
		return 0;
	err = disk_stats_read(ps, dev, ps->json, &stats);
	if (err && err != -ENOENT && err != -ETIMEDOUT)
		return err;
	row = device_json(ps, dev);
	if (!row) {
		json_decref(stats);
		return -ENOMEM;
	}
	device_json_add(ps, row, dev, "vdev", "vdev");
	if (stats && !ps->json)
		refine(row, stats);
	if (stats)
		json_object_set_new(row, "statistics", stats);
	return json_array_append_new(s->list, row) ? -ENOMEM : 0;
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
	struct stats_list s = { .one = args->nr == 2 };
	uint32_t which = DEVICE_ALL;
	domid_t domid;
	int err;

	if (s.one && vdev_number(args->words[1], &s.handle) &&
	    num_parse_u32(args->words[1], UINT32_MAX, &s.handle))
		return complain(-EINVAL,
				"%s: '%s' is not a disk's name; 'pvsplit "
				"block-list' shows them",
				args->command, args->words[1]);
	err = pvsplit_connect(ps);
	if (!err && args->nr) {
		err = domain_resolve(ps, args->command, args->words[0], &domid);
		which = domid;
	}
	if (err)
		return err;
	s.list = json_array();
	err = s.list ? device_for_each(ps, DEVICE_VBD, which, add_disk, &s)
		     : -ENOMEM;
	if (!err && s.one && !json_array_size(s.list))
		err = -ENOENT;
	if (err) {
		json_decref(s.list);
		return complain(err,
				"%s: cannot show it: %s; see 'pvsplit "
				"block-list'",
				args->command, strerror(-err));
	}
	return output_list(ps, s.list, columns);
}
