/* SPDX-License-Identifier: MIT */
/*
 * top.c - top: what the domains' devices do, second by second, as xentop does.
 * A row is a domain; figures are differences of two looks at its devices.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pvsplit/device_stats.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "util/num.h"

#define DELAY_DEFAULT_S 2u
#define DELAY_MAX_S	3600u

const struct cmd_option top_options[] = {
	{ "batch", NULL, "one table after another, nothing is erased" },
	{ "iterations", "N", "end after so many tables" },
	{ "delay", "SECONDS", "between two tables (2)" },
	{ 0 },
};

const char top_help[] =
	"RD/S, WR/S, ERR/S: requests a second, and those that failed; KB/S: read\n"
	"and written; RD US, WR US: how long they took on average. BUSY, STALLED,\n"
	"FULL, THROTTLED: shares of the time, see block-stats. Of several disks\n"
	"the longest and the largest. RX/S, TX/S, DROP/S: frames a second to and\n"
	"from the guest, and those dropped. The first table comes after one\n"
	"delay. --json: one array for each table.\n";

struct top {
	json_t *last, *now; /* devices by "TYPE/DOMID/HANDLE" */
	json_t *rows;	    /* by domain, the next table */
};

/* The difference to the last look; one that began anew counts from 0. */
static uint64_t since(const json_t *last, const json_t *now, const char *name)
{
	uint64_t a = device_stats_get(last, name),
		 b = device_stats_get(now, name);

	return b >= a ? b - a : b;
}

static json_t *row_of(struct pvsplit *ps, struct top *t, domid_t domid)
{
	char key[16], name[DOMAIN_NAME_MAX];
	json_t *row;

	snprintf(key, sizeof(key), "%u", domid);
	row = json_object_get(t->rows, key);
	if (row)
		return row;
	domain_name(ps, domid, name, sizeof(name));
	row = json_pack("{s:s, s:i, s:i, s:i}", "domain", name, "domid",
			(int)domid, "vbds", 0, "vifs", 0);
	json_object_set_new(t->rows, key, row);
	return row;
}

static void add(json_t *row, const char *name, uint64_t more)
{
	json_object_set_new(
		row, name,
		json_integer((json_int_t)(device_stats_get(row, name) + more)));
}

static void most(json_t *row, const char *name, uint64_t value)
{
	if (value >= device_stats_get(row, name))
		json_object_set_new(row, name, json_integer((json_int_t)value));
}

/* Of the requests that were answered since. */
static uint64_t mean_us(const json_t *last, const json_t *now, const char *kind)
{
	char ops[32], sum[32];
	uint64_t nr;

	snprintf(ops, sizeof(ops), "%s-ops", kind);
	snprintf(sum, sizeof(sum), "%s-latency-ns-sum", kind);
	nr = since(last, now, ops);
	return nr ? since(last, now, sum) / nr / 1000 : 0;
}

struct rate {
	const char *from, *key;
	uint64_t unit;
};

static const struct rate disk_rates[] = {
	{ "read-ops", "reads-per-second", 1 },
	{ "write-ops", "writes-per-second", 1 },
	{ "read-bytes", "read-kb-per-second", 1000 },
	{ "write-bytes", "write-kb-per-second", 1000 },
	{ "read-errors", "errors-per-second", 1 },
	{ "write-errors", "errors-per-second", 1 },
	{ "flush-errors", "errors-per-second", 1 },
	{ "discard-errors", "errors-per-second", 1 },
	{ "refused", "errors-per-second", 1 },
	{ 0 },
};

static const struct rate vif_rates[] = {
	{ "rx_packets", "rx-packets-per-second", 1 },
	{ "tx_packets", "tx-packets-per-second", 1 },
	{ "rx_bytes", "rx-kb-per-second", 1000 },
	{ "tx_bytes", "tx-kb-per-second", 1000 },
	{ "rx_dropped", "drops-per-second", 1 },
	{ "tx_dropped", "drops-per-second", 1 },
	{ "rx_errors", "drops-per-second", 1 },
	{ "tx_errors", "drops-per-second", 1 },
	{ 0 },
};

static void add_rates(json_t *row, const struct rate *rates, const json_t *last,
		      const json_t *now)
{
	uint64_t took_ms = since(last, now, "connected-ns") / NS_PER_MS;

	for (; took_ms && rates->from; rates++)
		add(row, rates->key,
		    since(last, now, rates->from) * 1000 / took_ms /
			    rates->unit);
}

static void add_waits(json_t *row, const json_t *last, const json_t *now)
{
	static const struct {
		const char *from, *key;
	} shares[] = { { "busy-ns", "busy-percent" },
		       { "stalled-ns", "stalled-percent" },
		       { "ring-full-ns", "full-percent" },
		       { "throttled-ns", "throttled-percent" } };
	uint64_t took_ms = since(last, now, "connected-ns") / NS_PER_MS;
	uint64_t queues = device_stats_get(now, "queues");

	if (!took_ms || !queues)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++)
		most(row, shares[i].key,
		     since(last, now, shares[i].from) / NS_PER_MS * 100 /
			     took_ms / queues);
	most(row, "read-us", mean_us(last, now, "read"));
	most(row, "write-us", mean_us(last, now, "write"));
}

static int look_at(struct pvsplit *ps, const struct device *dev, void *arg)
{
	bool disk = dev->kind == DEVICE_VBD;
	struct top *t = arg;
	json_t *row = row_of(ps, t, dev->domid), *stats;
	const json_t *last;
	char key[48];
	int err = device_stats_read(ps, dev, false, &stats);

	add(row, disk ? "vbds" : "vifs", 1);
	if (err == -ENOENT || err == -ETIMEDOUT)
		return 0;
	if (err)
		return err;
	snprintf(key, sizeof(key), "%s/%u/%u", device_type(dev->kind),
		 dev->domid, dev->handle);
	last = json_object_get(t->last, key);
	add_rates(row, disk ? disk_rates : vif_rates, last, stats);
	if (disk)
		add_waits(row, last, stats);
	return json_object_set_new(t->now, key, stats) ? -ENOMEM : 0;
}

static int look(struct pvsplit *ps, struct top *t)
{
	int err;

	json_decref(t->last);
	t->last = t->now;
	t->now = json_object();
	json_decref(t->rows);
	t->rows = json_object();
	if (!t->now || !t->rows)
		return -ENOMEM;
	err = device_for_each(ps, DEVICE_VBD, DEVICE_ALL, look_at, t);
	return err ? err
		   : device_for_each(ps, DEVICE_VIF, DEVICE_ALL, look_at, t);
}

static int show(struct pvsplit *ps, const struct top *t, bool erase)
{
	static const struct column columns[] = {
		{ "domain", "DOMAIN" },
		{ "domid", "ID" },
		{ "vbds", "VBDS" },
		{ "reads-per-second", "RD/S" },
		{ "writes-per-second", "WR/S" },
		{ "read-kb-per-second", "RD KB/S" },
		{ "write-kb-per-second", "WR KB/S" },
		{ "errors-per-second", "ERR/S" },
		{ "read-us", "RD US" },
		{ "write-us", "WR US" },
		{ "busy-percent", "BUSY%" },
		{ "stalled-percent", "STALLED%" },
		{ "full-percent", "FULL%" },
		{ "throttled-percent", "THROTTLED%" },
		{ "vifs", "VIFS" },
		{ "rx-packets-per-second", "RX/S" },
		{ "tx-packets-per-second", "TX/S" },
		{ "rx-kb-per-second", "RX KB/S" },
		{ "tx-kb-per-second", "TX KB/S" },
		{ "drops-per-second", "DROP/S" },
		{ 0 },
	};
	json_t *list = json_array(), *row;
	const char *key;
	int err;

	json_object_foreach(t->rows, key, row) json_array_append(list, row);
	if (erase)
		fputs("\033[H\033[2J", stdout);
	err = output_list(ps, list, columns);
	if (!erase && !ps->json)
		putchar('\n');
	fflush(stdout);
	return err;
}

static int number(const struct args *args, const char *name, uint32_t max,
		  uint32_t def, uint32_t *ret)
{
	const char *text = args_get(args, name);

	*ret = def;
	if (text && (num_parse_u32(text, max, ret) || !*ret))
		return complain_usage(args,
				      "--%s %s: not a number from 1 to %u",
				      name, text, max);
	return 0;
}

int top_run(struct pvsplit *ps, const struct args *args)
{
	bool erase = !args_get(args, "batch") && !ps->json && isatty(1);
	struct top t = { 0 };
	uint32_t nr, delay_s;
	int err = number(args, "iterations", UINT32_MAX, UINT32_MAX, &nr);

	if (!err)
		err = number(args, "delay", DELAY_MAX_S, DELAY_DEFAULT_S,
			     &delay_s);
	if (!err)
		err = pvsplit_connect(ps);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (err)
		return err;
	err = look(ps, &t);
	while (!err && nr-- > 0) {
		err = pvsplit_wait_fd(ps, -1,
				      clock_now_ns() + delay_s * NS_PER_S);
		if (!err)
			err = look(ps, &t);
		if (!err)
			err = show(ps, &t, erase);
	}
	json_decref(t.last);
	json_decref(t.now);
	json_decref(t.rows);
	if (err == -EINTR)
		return 0;
	return err ? complain(err, "%s: cannot look: %s; see 'pvsplit status'",
			      args->command, strerror(-err))
		   : 0;
}
