/* SPDX-License-Identifier: MIT */
/* stats_list.c - the figures of devices, listed. See stats_list.h. */
#include "pvsplit/stats_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pvsplit/domain.h"
#include "util/num.h"
#include "util/say.h"

/* ---- columns ---- */

void stats_add_duration(json_t *row, const json_t *stats, const char *from,
			const char *key)
{
	char text[SAY_BYTES];

	say_duration(device_stats_get(stats, from), text);
	json_object_set_new(row, key, json_string(text));
}

void stats_add_sum(json_t *row, const json_t *stats, const char *from,
		   const char *key)
{
	char name[32];
	uint64_t sum = 0;
	int len;

	while (sscanf(from, "%31s%n", name, &len) == 1) {
		sum += device_stats_get(stats, name);
		from += len;
	}
	json_object_set_new(row, key, json_integer((json_int_t)sum));
}

static void add_share(json_t *row, const json_t *stats, const char *from,
		      const char *key)
{
	uint64_t whole = device_stats_get(stats, "connected-ns") *
			 device_stats_get(stats, "queues");
	char text[16];

	snprintf(text, sizeof(text), "%.1f %%",
		 whole ? 100.0 * (double)device_stats_get(stats, from) /
				 (double)whole
		       : 0.0);
	json_object_set_new(row, key, json_string(text));
}

void stats_add_shares(json_t *row, const json_t *stats)
{
	add_share(row, stats, "busy-ns", "busy");
	add_share(row, stats, "stalled-ns", "stalled");
	add_share(row, stats, "ring-full-ns", "full");
	add_share(row, stats, "throttled-ns", "throttled");
}

/* ---- the command ---- */

static int add_device(struct pvsplit *ps, const struct device *dev, void *arg)
{
	struct stats_list *s = arg;
	json_t *row, *stats = NULL;
	int err;

	if (s->one && s->handle != dev->handle)
		return 0;
	err = device_stats_read(ps, dev, ps->json, &stats);
	if (err && err != -ENOENT && err != -ETIMEDOUT)
		return err;
	row = device_json(ps, dev);
	if (!row) {
		json_decref(stats);
		return -ENOMEM;
	}
	if (s->node)
		device_json_add(ps, row, dev, s->node, s->node);
	if (stats && !ps->json)
		s->refine(row, stats);
	if (stats)
		json_object_set_new(row, "statistics", stats);
	return json_array_append_new(s->list, row) ? -ENOMEM : 0;
}

int stats_list_run(struct pvsplit *ps, const struct args *args,
		   struct stats_list *s)
{
	uint32_t which = DEVICE_ALL;
	domid_t domid;
	int err = pvsplit_connect(ps);

	if (!err && args->nr) {
		err = domain_resolve(ps, args->command, args->words[0], &domid);
		which = domid;
	}
	if (err)
		return err;
	s->list = json_array();
	err = s->list ? device_for_each(ps, s->kind, which, add_device, s)
		      : -ENOMEM;
	if (!err && s->one && !json_array_size(s->list))
		err = -ENOENT;
	if (err) {
		json_decref(s->list);
		return complain(err, "%s: cannot show it: %s; see 'pvsplit %s'",
				args->command, strerror(-err), s->list_command);
	}
	return output_list(ps, s->list, s->columns);
}
