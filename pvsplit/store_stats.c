/* SPDX-License-Identifier: MIT */
/*
 * store_stats.c - store-stats: what the store does, for whom, and what waits.
 * See store_stats.h for where the figures come from.
 */
#include "pvsplit/store_stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "util/num.h"
#include "util/say.h"

/* Rows of a part when it is not asked for with --all. */
#define ROWS_SHOWN 10u

const struct cmd_option store_stats_options[] = {
	{ "domain", "DOMAIN", "only what is this domain's" },
	{ "operations", NULL, "only operations and errors" },
	{ "histograms", NULL, "how long operations took, in whole" },
	{ "domains", NULL, "only what domains do" },
	{ "quotas", NULL, "only what domains use of their quotas" },
	{ "transactions", NULL, "only the open transactions" },
	{ "connections", NULL, "only connections and their queues" },
	{ "journal", NULL, "only the journal" },
	{ "all", NULL, "all rows, not only the first ten of each part" },
	{ 0 },
};

const char store_stats_help[] =
	"Without options: everything, the first ten rows of each part. The\n"
	"fullest quotas, the oldest transactions and the longest queues come\n"
	"first. Times are those that the store spent on a request; FULL is how\n"
	"much of its limit a domain uses. --json shows all rows.\n";

static json_int_t number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

/* ---- what is added to a row ------------------------------------------- */

static void add_duration(json_t *row, const char *key, const char *from)
{
	char text[SAY_BYTES];

	say_duration((uint64_t)number(row, from), text);
	json_object_set_new(row, key, json_string(text));
}

static void refine_operation(json_t *row)
{
	add_duration(row, "mean", "mean-ns");
	add_duration(row, "p50", "p50-ns");
	add_duration(row, "p99", "p99-ns");
	add_duration(row, "max", "max-ns");
}

/* A figure is a time when its name says so: "flush-max-ns". */
static void refine_figure(json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	size_t len = name ? strlen(name) : 0;
	char shown[64];

	if (len < 3 || strcmp(name + len - 3, "-ns") != 0)
		return;
	snprintf(shown, sizeof(shown), "%.*s", (int)len - 3, name);
	add_duration(row, "value", "value");
	json_object_set_new(row, "name", json_string(shown));
}

static void refine_bucket(json_t *row)
{
	add_duration(row, "from", "from-ns");
	add_duration(row, "to", "to-ns");
}

static void refine_domain(json_t *row)
{
	add_duration(row, "spent", "spent-ns");
	add_duration(row, "paused-for", "pauses-ns");
}

static void refine_transaction(json_t *row)
{
	add_duration(row, "age", "age-ns");
}

/* Of a limit; a quota without one is never full. */
static json_int_t permille(const json_t *row)
{
	json_int_t limit = number(row, "limit");

	return limit > 0 ? number(row, "now") * 1000 / limit : 0;
}

static void refine_quota(json_t *row)
{
	char text[24] = "-";

	if (number(row, "limit") > 0)
		snprintf(text, sizeof(text), "%lld %%", permille(row) / 10);
	else
		json_object_set_new(row, "limit", json_string("none"));
	json_object_set_new(row, "full", json_string(text));
}

/* ---- what comes first ------------------------------------------------- */

typedef json_int_t weight_fn(const json_t *row);

static json_int_t weigh_operation(const json_t *row)
{
	return number(row, "count");
}

static json_int_t weigh_domain(const json_t *row)
{
	return number(row, "spent-ns");
}

static json_int_t weigh_transaction(const json_t *row)
{
	return number(row, "age-ns");
}

static json_int_t weigh_connection(const json_t *row)
{
	return number(row, "in-bytes") + number(row, "out-bytes") +
	       number(row, "events");
}

struct weighed {
	json_t *row;
	json_int_t weight;
	size_t idx; /* equals stay in order */
};

static int compare_weights(const void *a, const void *b)
{
	const struct weighed *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return (x->idx > y->idx) - (x->idx < y->idx);
}

/* A new array, the heaviest first; NULL: no memory. */
static json_t *by_weight(const json_t *rows, weight_fn *fn)
{
	size_t nr = json_array_size(rows);
	struct weighed *all = calloc(nr ? nr : 1, sizeof(*all));
	json_t *ret = json_array();

	for (size_t i = 0; all && i < nr; i++) {
		json_t *row = json_array_get(rows, i);

		all[i] = (struct weighed){ row, fn(row), i };
	}
	if (all)
		qsort(all, nr, sizeof(*all), compare_weights);
	for (size_t i = 0; all && ret && i < nr; i++) {
		if (json_array_append(ret, all[i].row)) {
			json_decref(ret);
			ret = NULL;
		}
	}
	if (!all) {
		json_decref(ret);
		ret = NULL;
	}
	free(all);
	return ret;
}

/* ---- the parts -------------------------------------------------------- */

static const struct column operation_columns[] = {
	{ "name", "OPERATION" }, { "count", "COUNT" },
	{ "errors", "ERRORS" },	 { "mean", "MEAN" },
	{ "p50", "P50" },	 { "p99", "P99" },
	{ "max", "MAX" },	 { 0 },
};
static const struct column bucket_columns[] = {
	{ "name", "OPERATION" },
	{ "from", "FROM" },
	{ "to", "TO" },
	{ "count", "COUNT" },
	{ 0 },
};
static const struct column error_columns[] = {
	{ "name", "ERROR" },
	{ "value", "COUNT" },
	{ 0 },
};
static const struct column domain_columns[] = {
	{ "domain", "DOMAIN" },
	{ "requests", "REQUESTS" },
	{ "errors", "ERRORS" },
	{ "spent", "TIME" },
	{ "conflicts", "CONFLICTS" },
	{ "pauses", "PAUSES" },
	{ "paused-for", "PAUSED FOR" },
	{ "paused", "PAUSED NOW" },
	{ 0 },
};
static const struct column quota_columns[] = {
	{ "domain", "DOMAIN" },
	{ "name", "QUOTA" },
	{ "now", "USED" },
	{ "max", "HIGHEST" },
	{ "limit", "LIMIT" },
	{ "full", "FULL" },
	{ 0 },
};
static const struct column transaction_columns[] = {
	{ "domain", "DOMAIN" },	  { "connection", "CONNECTION" },
	{ "peer", "PEER" },	  { "id", "ID" },
	{ "age", "OPEN FOR" },	  { "nodes", "NODES" },
	{ "changes", "CHANGES" }, { 0 },
};
static const struct column connection_columns[] = {
	{ "domain", "DOMAIN" },
	{ "id", "CONNECTION" },
	{ "peer", "PEER" },
	{ "in-bytes", "INPUT" },
	{ "out-bytes", "OUTPUT" },
	{ "events", "EVENTS" },
	{ 0 },
};
static const struct column journal_columns[] = {
	{ "name", "FIGURE" },
	{ "value", "VALUE" },
	{ 0 },
};

struct part {
	const char *key; /* in the JSON */
	const char *option;
	const char *section, *word; /* of CONTROL stats */
	const char *title;
	const struct column *columns;
	weight_fn *weigh;
	void (*refine)(json_t *row);
	bool pairs;	/* rows of a name and a value */
	bool of_domain; /* rows are a domain's */
	bool on_demand; /* not without its option */
};

static const struct part parts[] = {
	{ .key = "totals",
	  .section = "totals",
	  .word = "total",
	  .pairs = true },
	{ .key = "operations",
	  .option = "operations",
	  .section = "ops",
	  .word = "op",
	  .title = "Operations",
	  .columns = operation_columns,
	  .weigh = weigh_operation,
	  .refine = refine_operation },
	{ .key = "histograms",
	  .option = "histograms",
	  .section = "histograms",
	  .word = "bucket",
	  .title = "How long operations took",
	  .columns = bucket_columns,
	  .refine = refine_bucket,
	  .on_demand = true },
	{ .key = "errors",
	  .option = "operations",
	  .section = "errors",
	  .word = "error",
	  .title = "Errors",
	  .columns = error_columns,
	  .pairs = true },
	{ .key = "domains",
	  .option = "domains",
	  .section = "domains",
	  .word = "domain",
	  .title = "Domains, the busiest first",
	  .columns = domain_columns,
	  .weigh = weigh_domain,
	  .refine = refine_domain,
	  .of_domain = true },
	{ .key = "quotas",
	  .option = "quotas",
	  .section = "quotas",
	  .word = "quota",
	  .title = "Quotas, the fullest first",
	  .columns = quota_columns,
	  .weigh = permille,
	  .refine = refine_quota,
	  .of_domain = true },
	{ .key = "transactions",
	  .option = "transactions",
	  .section = "transactions",
	  .word = "transaction",
	  .title = "Open transactions, the oldest first",
	  .columns = transaction_columns,
	  .weigh = weigh_transaction,
	  .refine = refine_transaction,
	  .of_domain = true },
	{ .key = "connections",
	  .option = "connections",
	  .section = "connections",
	  .word = "connection",
	  .title = "Connections, the longest queues first",
	  .columns = connection_columns,
	  .weigh = weigh_connection,
	  .of_domain = true },
	{ .key = "journal",
	  .option = "journal",
	  .section = "journal",
	  .word = "journal",
	  .title = "Journal",
	  .columns = journal_columns,
	  .refine = refine_figure,
	  .pairs = true },
};

/* Whether the command line asks for the part. */
static bool is_wanted(const struct args *args, const struct part *part)
{
	bool any = false;

	if (args_get(args, "domain") && !part->of_domain)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].option && args_get(args, parts[i].option))
			any = true;
	if (!any)
		return !part->on_demand;
	return part->option && args_get(args, part->option);
}

/* Rows of "name" and "value" as one object. */
static json_t *pairs_object(const json_t *rows)
{
	json_t *ret = json_object(), *row;
	size_t idx;

	json_array_foreach(rows, idx, row)
	{
		const char *name =
			json_string_value(json_object_get(row, "name"));

		if (name)
			json_object_set(ret, name,
					json_object_get(row, "value"));
	}
	return ret;
}

static void add_names(struct pvsplit *ps, json_t *rows)
{
	char name[DOMAIN_NAME_MAX];
	json_int_t last = -1;
	json_t *row;
	size_t idx;

	json_array_foreach(rows, idx, row)
	{
		json_int_t domid = number(row, "domid");

		if (domid != last)
			domain_name(ps, (domid_t)domid, name, sizeof(name));
		last = domid;
		json_object_set_new(row, "domain", json_string(name));
	}
}

static int part_read(struct pvsplit *ps, const struct args *args,
		     const struct part *part, uint32_t domid, json_t **ret)
{
	json_t *rows;
	int err = store_stats_read(ps, part->section, part->word, domid, &rows);

	if (err == -EPROTO || err == -EINVAL)
		return complain(err,
				"%s: the store's answer about %s is not "
				"understood; are both of one version?",
				args->command, part->key);
	if (err)
		return complain(err,
				"%s: cannot ask the store: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	if (part->of_domain)
		add_names(ps, rows);
	if (part->weigh) {
		json_t *sorted = by_weight(rows, part->weigh);

		json_decref(rows);
		rows = sorted;
	}
	if (!rows)
		return complain(-ENOMEM, "output: out of memory; try again");
	*ret = rows;
	return 0;
}

/* ---- output ----------------------------------------------------------- */

static void print_totals(const json_t *t)
{
	char up[SAY_BYTES];

	say_duration((uint64_t)number(t, "uptime-ns"), up);
	printf("Up %s: %lld domains, %lld nodes, %lld connections "
	       "(%lld at most)\n",
	       up, number(t, "domains"), number(t, "nodes"),
	       number(t, "connections"), number(t, "connections-max"));
	printf("Bytes: %lld in, %lld out; longest queues ever: %lld in (domain "
	       "%lld), %lld out (domain %lld)\n",
	       number(t, "in-bytes"), number(t, "out-bytes"),
	       number(t, "in-queue-max-bytes"), number(t, "in-queue-max-domid"),
	       number(t, "out-queue-max-bytes"),
	       number(t, "out-queue-max-domid"));
	printf("Watch events: %lld queued, %lld wait; %lld merged, %lld "
	       "replaced by one for the whole\n",
	       number(t, "events-queued"), number(t, "events-pending"),
	       number(t, "events-merged"), number(t, "events-replaced"));
	printf("Transactions: %lld open; %lld committed, %lld in conflict, "
	       "%lld refused, %lld aborted\n",
	       number(t, "transactions-open"),
	       number(t, "transactions-committed"),
	       number(t, "transactions-conflict"),
	       number(t, "transactions-refused"),
	       number(t, "transactions-aborted"));
}

static void print_part(const struct part *part, json_t *rows, bool all,
		       bool first)
{
	size_t nr = json_array_size(rows), idx;
	json_t *row;

	if (!part->columns) {
		json_t *totals = pairs_object(rows);

		print_totals(totals);
		json_decref(totals);
		return;
	}
	printf("%s%s:%s\n", first ? "" : "\n", part->title, nr ? "" : " none");
	if (!nr)
		return;
	while (!all && !part->pairs && json_array_size(rows) > ROWS_SHOWN)
		json_array_remove(rows, ROWS_SHOWN);
	if (part->refine)
		json_array_foreach(rows, idx, row) part->refine(row);
	output_table(rows, part->columns);
	if (nr > json_array_size(rows))
		printf("... and %zu more; --all shows them\n",
		       nr - json_array_size(rows));
}

int store_stats_run(struct pvsplit *ps, const struct args *args)
{
	const char *which = args_get(args, "domain");
	json_t *object = json_object();
	uint32_t domid = STORE_STATS_ALL;
	domid_t found;
	bool first = true;
	int err = pvsplit_connect(ps);

	if (!err && which) {
		err = domain_resolve(ps, args->command, which, &found);
		domid = found;
	}
	for (unsigned i = 0; !err && i < ARRAY_SIZE(parts); i++) {
		json_t *rows = NULL;

		if (!is_wanted(args, &parts[i]))
			continue;
		err = part_read(ps, args, &parts[i], domid, &rows);
		if (err)
			break;
		if (ps->json)
			json_object_set_new(object, parts[i].key,
					    parts[i].pairs ? pairs_object(rows)
							   : json_incref(rows));
		else
			print_part(&parts[i], rows,
				   args_get(args, "all") != NULL, first);
		first = false;
		json_decref(rows);
	}
	if (!err && ps->json)
		return output_result(ps, object, "%s", "");
	json_decref(object);
	return err;
}
