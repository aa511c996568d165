/* SPDX-License-Identifier: MIT */
/*
 * device_stats.c - asking for a device's figures, see device_stats.h. The nodes
 * are in docs/xenstore-paths.md. What comes back is a driver domain's word:
 * every line is checked.
 */
#include "pvsplit/device_stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/xenbus.h"
#include "util/hist.h"
#include "util/num.h"

#define ANSWER_NS   (5 * NS_PER_S)
#define LOOK_NS	    (2 * NS_PER_MS)
#define QUEUES_MAX  64u
#define FIGURES_MAX 1024u /* lines of a node */
#define WORD_MAX    32
#define PAGES_MAX   16u /* of a histogram */

uint64_t device_stats_get(const json_t *stats, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(stats, name));
}

/* "NAME VALUE" lines into an object. */
static int parse(char *text, json_t *object)
{
	char *save, *line = strtok_r(text, "\n", &save);

	for (unsigned nr = 0; line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');
		uint64_t number;

		if (!value || nr++ == FIGURES_MAX)
			return -EPROTO;
		*value++ = '\0';
		if (!*line ||
		    line[strspn(line,
				"abcdefghijklmnopqrstuvwxyz0123456789_-")])
			return -EPROTO;
		/* A sum of nanoseconds may be any number; JSON's are signed. */
		if (num_parse_u64(value, UINT64_MAX, &number))
			return -EPROTO;
		if (number > INT64_MAX)
			number = INT64_MAX;
		if (json_object_set_new(object, line,
					json_integer((json_int_t)number)))
			return -ENOMEM;
	}
	return 0;
}

static int read_figures(struct pvsplit *ps, const char *dir, const char *node,
			json_t **ret)
{
	char path[2 * DEVICE_PATH_MAX], *text;
	json_t *object;
	int err;

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	err = xs_read(ps->xs, XS_NO_TXN, path, &text, NULL);
	if (err)
		return err;
	object = json_object();
	err = object ? parse(text, object) : -ENOMEM;
	free(text);
	if (err)
		json_decref(object);
	else
		*ret = object;
	return err;
}

/* A node's word; "": there is none. */
static int read_word(struct pvsplit *ps, const char *dir, const char *node,
		     char word[WORD_MAX])
{
	int err = xs_read_str(ps->xs, XS_NO_TXN, dir, node, word, WORD_MAX);

	if (err)
		word[0] = '\0';
	return err == -ENOENT ? 0 : err;
}

/*
 * Any answer but the one from before will do: who asks at the same time gets
 * the same figures. -EAGAIN: somebody had his and took the nodes away.
 */
static int wait_answer(struct pvsplit *ps, const char *dir, const char *before,
		       uint64_t deadline_ns)
{
	char word[WORD_MAX];

	do {
		int err = read_word(ps, dir, "answer", word);

		if (!err && *word && strcmp(word, before) != 0)
			return 0;
		if (!err)
			err = read_word(ps, dir, "request", word);
		if (!err && !*word)
			return -EAGAIN;
		if (err)
			return err;
		pvsplit_pause(LOOK_NS);
	} while (clock_now_ns() < deadline_ns);
	return -ETIMEDOUT;
}

static int read_queues(struct pvsplit *ps, const char *dir, json_t *all)
{
	uint64_t nr = device_stats_get(all, "queues");
	json_t *queues;
	int err = 0;

	if (nr < 2)
		return 0;
	if (nr > QUEUES_MAX)
		return -EPROTO;
	queues = json_array();
	for (unsigned i = 0; !err && i < nr; i++) {
		char node[16];
		json_t *one;

		snprintf(node, sizeof(node), "q%u", i);
		err = read_figures(ps, dir, node, &one);
		if (!err && json_array_append_new(queues, one))
			err = -ENOMEM;
	}
	if (err) {
		json_decref(queues);
		return err;
	}
	return json_object_set_new(all, "per-queue", queues) ? -ENOMEM : 0;
}

/* JSON's numbers are signed. */
static uint64_t bucket_high(unsigned bucket)
{
	uint64_t high = hist_bucket_high(bucket);

	return high > INT64_MAX ? INT64_MAX : high;
}

/* A page's lines as buckets at the end of list. */
static int add_buckets(json_t *page, json_t *list)
{
	const char *low;
	json_t *count;

	json_object_foreach(page, low, count)
	{
		uint64_t value;
		unsigned bucket;
		json_t *one;

		if (num_parse_u64(low, HIST_VALUE_MAX, &value))
			return -EPROTO;
		bucket = hist_bucket(value);
		if (hist_bucket_low(bucket) != value ||
		    json_array_size(list) == HIST_NR_BUCKETS)
			return -EPROTO;
		one = json_pack("{s:I, s:I, s:O}", "low", (json_int_t)value,
				"high", (json_int_t)bucket_high(bucket),
				"count", count);
		if (!one || json_array_append_new(list, one))
			return -ENOMEM;
	}
	return 0;
}

static int read_hist(struct pvsplit *ps, const char *dir, const char *name,
		     json_t *list)
{
	int err = 0;

	for (unsigned i = 0; !err && i < PAGES_MAX; i++) {
		char node[64];
		json_t *page;

		snprintf(node, sizeof(node), "histograms/%s/%u", name, i);
		err = read_figures(ps, dir, node, &page);
		if (err == -ENOENT)
			return 0;
		if (err)
			return err;
		err = add_buckets(page, list);
		json_decref(page);
	}
	return err;
}

static const char *const disk_hists[] = { "read-latency-ns",
					  "write-latency-ns",
					  "flush-latency-ns",
					  "discard-latency-ns",
					  "depth",
					  NULL };

static const char *const vif_hists[] = { "rx_batch", "rx_wait_ns", "tx_batch",
					 "tx_delay_ns", NULL };

static int read_hists(struct pvsplit *ps, const char *dir,
		      const char *const *names, json_t *all)
{
	json_t *hists = json_object();
	int err = hists ? 0 : -ENOMEM;

	for (; !err && *names; names++) {
		json_t *list = json_array();

		err = list ? read_hist(ps, dir, *names, list) : -ENOMEM;
		if (err)
			json_decref(list);
		else if (json_object_set_new(hists, *names, list))
			err = -ENOMEM;
	}
	if (!err && json_object_set(all, "histograms", hists))
		err = -ENOMEM;
	json_decref(hists);
	return err;
}

/* hists: which of them, NULL: none. */
static int ask(struct pvsplit *ps, const char *dir, const char *const *hists,
	       uint64_t deadline_ns, json_t **ret)
{
	static unsigned nr_asked;
	char word[WORD_MAX], before[WORD_MAX];
	json_t *all;
	int err = read_word(ps, dir, "answer", before);

	snprintf(word, sizeof(word), "%u-%u", (unsigned)getpid(), ++nr_asked);
	if (!err && hists)
		err = xs_printf(ps->xs, XS_NO_TXN, dir, "histograms", "1");
	if (!err)
		err = xs_printf(ps->xs, XS_NO_TXN, dir, "request", "%s", word);
	if (!err)
		err = wait_answer(ps, dir, before, deadline_ns);
	if (!err)
		err = read_figures(ps, dir, "all", &all);
	if (err)
		return err == -ENOENT ? -EAGAIN : err;
	err = read_queues(ps, dir, all);
	if (!err && hists)
		err = read_hists(ps, dir, hists, all);
	if (err) {
		json_decref(all);
		return err == -ENOENT ? -EAGAIN : err;
	}
	*ret = all;
	return 0;
}

int device_stats_read(struct pvsplit *ps, const struct device *dev, bool hists,
		      json_t **ret)
{
	const char *const *names =
		dev->kind == DEVICE_VBD ? disk_hists : vif_hists;
	uint64_t deadline_ns = clock_now_ns() + ANSWER_NS;
	char dir[2 * DEVICE_PATH_MAX];
	uint32_t state;
	int err = xs_read_u32(ps->xs, XS_NO_TXN, dev->back, "state",
			      XenbusStateReconfigured, &state);

	if (err || state != XenbusStateConnected)
		return err ? err : -ENOENT;
	snprintf(dir, sizeof(dir), "%s/statistics", dev->back);
	while ((err = ask(ps, dir, hists ? names : NULL, deadline_ns, ret)) ==
		       -EAGAIN &&
	       clock_now_ns() < deadline_ns)
		pvsplit_pause(LOOK_NS);
	/* Whoever asks at the same time asks again. */
	if (xs_rm(ps->xs, XS_NO_TXN, dir) && !err)
		return 0;
	return err == -EAGAIN ? -ETIMEDOUT : err;
}
