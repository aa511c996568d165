/* SPDX-License-Identifier: MIT */
/* report.c - see report.h. */
#include "netfront/tools/report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "tools/latency.h"
#include "util/clock.h"
#include "util/num.h"
#include "util/say.h"

double report_loss_percent(const struct netbench_result *r)
{
	uint64_t all = r->received.frames + r->nr_lost;

	return all ? 100 * (double)r->nr_lost / (double)all : 0;
}

static double per_second(uint64_t nr, uint64_t ns)
{
	return ns ? (double)nr * NS_PER_S / (double)ns : 0;
}

static bool counts_arrivals(const struct options *opt)
{
	return opt->both || opt->bench.mode == NETBENCH_RECEIVE ||
	       opt->bench.mode == NETBENCH_ECHO;
}

/* ---- text ---------------------------------------------------------------- */

static const char *plural(uint64_t nr)
{
	return nr == 1 ? "" : "s";
}

static void print_load(const struct options *opt,
		       const struct netbench_result *r)
{
	const struct netbench_config *b = &opt->bench;
	char elapsed[SAY_BYTES];

	printf("%s", options_mode(b->mode));
	if (b->mode == NETBENCH_SEND || b->mode == NETBENCH_ECHO) {
		printf(", frames of %u", b->sizes[0]);
		for (uint32_t i = 1; i < b->nr_sizes; i++)
			if (b->sizes[i] != b->sizes[i - 1])
				printf(", %u", b->sizes[i]);
		printf(" bytes, %u flow%s", b->nr_flows, plural(b->nr_flows));
	}
	if (b->mode == NETBENCH_ECHO)
		printf(", depth %u", b->depth);
	say_duration(r->elapsed_ns, elapsed);
	printf(", %u queue%s, %s, %s\n", r->nr_queues, plural(r->nr_queues),
	       b->poll ? "polling" : "event-driven", elapsed);
}

static void print_counts(const char *what, const struct netbench_counts *c,
			 uint64_t ns)
{
	printf("  %-9s %12llu frames %12.0f a second %10.3f Gbit/s\n", what,
	       (unsigned long long)c->frames, per_second(c->frames, ns),
	       8e-9 * per_second(c->bytes, ns));
}

static void print_text(const struct options *opt,
		       const struct netbench_result *r)
{
	print_load(opt, r);
	if (opt->bench.mode != NETBENCH_RECEIVE)
		print_counts("sent", &r->sent, r->elapsed_ns);
	if (counts_arrivals(opt)) {
		print_counts("received", &r->received, r->received_ns);
		printf("  %-9s %12llu frames %.4f %%, %llu reordered, %llu "
		       "twice\n",
		       "lost", (unsigned long long)r->nr_lost,
		       report_loss_percent(r),
		       (unsigned long long)r->nr_reordered,
		       (unsigned long long)r->nr_duplicates);
	}
	if (r->nr_unanswered)
		printf("  %-9s %12llu frames, for want of room\n", "not sent",
		       (unsigned long long)r->nr_unanswered);
	if (hist_count(&r->latency_ns)) {
		printf("  %-9s ", opt->bench.mode == NETBENCH_ECHO
					  ? "round trip"
					  : "one way");
		latency_print(&r->latency_ns);
		putchar('\n');
	}
	if (r->nr_foreign)
		printf("  %-9s %12llu frames of others\n", "ignored",
		       (unsigned long long)r->nr_foreign);
}

/* ---- JSON ---------------------------------------------------------------- */

static json_t *counts_json(const struct netbench_counts *c, uint64_t ns)
{
	return json_pack("{s:I, s:I, s:f, s:f}", "frames",
			 (json_int_t)c->frames, "bytes", (json_int_t)c->bytes,
			 "frames-per-second", per_second(c->frames, ns),
			 "bits-per-second", 8 * per_second(c->bytes, ns));
}

static json_t *sizes_json(const struct netbench_config *b)
{
	json_t *sizes = json_array();

	for (uint32_t i = 0; sizes && i < b->nr_sizes; i++)
		if (json_array_append_new(sizes, json_integer(b->sizes[i]))) {
			json_decref(sizes);
			sizes = NULL;
		}
	return sizes;
}

static json_t *arrivals_json(const struct netbench_result *r)
{
	return json_pack("{s:o, s:I, s:f, s:I, s:I}", "received",
			 counts_json(&r->received, r->received_ns), "lost",
			 (json_int_t)r->nr_lost, "loss-percent",
			 report_loss_percent(r), "reordered",
			 (json_int_t)r->nr_reordered, "duplicates",
			 (json_int_t)r->nr_duplicates);
}

/* Puts all of more into object. Takes more over; NULL: out of memory. */
static int add(json_t *object, json_t *more)
{
	int err = more ? json_object_update(object, more) : -1;

	json_decref(more);
	return err ? -ENOMEM : 0;
}

static int print_json(const struct options *opt,
		      const struct netbench_result *r)
{
	const struct netbench_config *b = &opt->bench;
	json_t *object =
		json_pack("{s:s, s:o, s:i, s:i, s:i, s:b, s:f, s:I, s:I}",
			  "mode", options_mode(b->mode), "sizes", sizes_json(b),
			  "flows", (int)b->nr_flows, "depth", (int)b->depth,
			  "queues", (int)r->nr_queues, "poll", b->poll,
			  "seconds", (double)r->elapsed_ns / NS_PER_S,
			  "unanswered", (json_int_t)r->nr_unanswered, "foreign",
			  (json_int_t)r->nr_foreign);
	int err = object ? 0 : -ENOMEM;

	if (!err && b->mode != NETBENCH_RECEIVE)
		err = add(object,
			  json_pack("{s:o}", "sent",
				    counts_json(&r->sent, r->elapsed_ns)));
	if (!err && counts_arrivals(opt))
		err = add(object, arrivals_json(r));
	if (!err && hist_count(&r->latency_ns))
		err = add(object, json_pack("{s:o}", "latency-ns",
					    latency_json(&r->latency_ns)));
	if (!err && json_dumpf(object, stdout, JSON_INDENT(2)) < 0)
		err = -EIO;
	json_decref(object);
	putchar('\n');
	return err;
}

int report_print(const struct options *opt, const struct netbench_result *r)
{
	if (opt->json)
		return print_json(opt, r);
	print_text(opt, r);
	return 0;
}
