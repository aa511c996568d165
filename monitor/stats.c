/* SPDX-License-Identifier: MIT */
/*
 * stats.c - figures for whoever asks, see stats.h. Neighbours: util/figures.c
 * (their text); blkback/vbd_stats.c and netback/vif_stats.c call. Control
 * thread.
 */
#include "monitor/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"

#define STATS_PATH_MAX (sizeof(((struct xenbus_device *)0)->node) + 80)

/* connected_ns: said too, unless nr_queues is 0. */
static int write_account(struct stats *s, const char *dir, const char *name,
			 const void *account, uint32_t nr_queues,
			 uint64_t connected_ns)
{
	char text[STATS_TEXT_MAX], path[STATS_PATH_MAX];
	struct figures f = { .buf = text, .size = sizeof(text) };
	int len, err;

	s->ops->put(account, &f);
	if (nr_queues) {
		figures_put(&f, "queues", "", nr_queues);
		figures_put(&f, "connected-ns", "",
			    clock_now_ns() - connected_ns);
	}
	len = figures_end(&f);
	if (len < 0)
		return len;
	err = str_printf(path, sizeof(path), "%s/%s", dir, name);
	if (err < 0)
		return err;
	return xs_write(s->dev->xs, XS_NO_TXN, path, text, (size_t)len);
}

static int write_hist(struct stats *s, const char *dir, const struct hist *h,
		      const char *name)
{
	char text[FIGURES_PAGE_MAX], path[STATS_PATH_MAX];
	unsigned from = 0, page = 0;
	int len;

	while ((len = figures_page(h, &from, text)) > 0) {
		int err = str_printf(path, sizeof(path), "%s/histograms/%s/%u",
				     dir, name, page++);

		if (err >= 0)
			err = xs_write(s->dev->xs, XS_NO_TXN, path, text,
				       (size_t)len);
		if (err < 0)
			return err;
	}
	return len;
}

/* If the asker wants them. */
static int write_hists(struct stats *s, const char *dir, const void *account)
{
	const struct hist *h;
	const char *name;
	char word[8];
	int err = xs_read_str(s->dev->xs, XS_NO_TXN, dir, "histograms", word,
			      sizeof(word));

	if (err == -ENOENT)
		return 0;
	err = 0;
	for (unsigned i = 0;
	     err >= 0 && (h = s->ops->hist(account, i, &name)) != NULL; i++)
		err = write_hist(s, dir, h, name);
	return err;
}

static int write_queues(struct stats *s, const char *dir, uint32_t nr_queues,
			uint64_t connected_ns)
{
	size_t size = s->ops->account_bytes;
	void *all = calloc(1, size), *one = malloc(size);
	char name[16];
	int err = all && one ? 0 : -ENOMEM;

	for (uint32_t i = 0; err >= 0 && i < nr_queues; i++) {
		s->ops->add(s->arg, i, all);
		if (nr_queues == 1)
			break;
		s->ops->add(s->arg, i, memset(one, 0, size));
		err = str_printf(name, sizeof(name), "q%u", i);
		if (err >= 0)
			err = write_account(s, dir, name, one, 0, 0);
	}
	if (err >= 0)
		err = write_account(s, dir, "all", all, nr_queues,
				    connected_ns);
	if (err >= 0)
		err = write_hists(s, dir, all);
	free(all);
	free(one);
	return err;
}

void stats_changed(struct stats *s, uint32_t nr_queues, uint64_t connected_ns)
{
	struct xenbus_device *dev = s->dev;
	char dir[sizeof(dev->node) + 16], word[sizeof(s->word)];
	int err;

	snprintf(dir, sizeof(dir), "%s/statistics", dev->node);
	err = xs_read_str(dev->xs, XS_NO_TXN, dir, "request", word,
			  sizeof(word));
	if (err)
		word[0] = '\0';
	/* Our own answer is a change, too. */
	if (!strcmp(word, s->word))
		return;
	memcpy(s->word, word, sizeof(word));
	if (!*word || !nr_queues)
		return;
	err = write_queues(s, dir, nr_queues, connected_ns);
	if (err >= 0)
		err = xs_printf(dev->xs, XS_NO_TXN, dir, "answer", "%s", word);
	if (err < 0)
		log_limited(&dev->limit, LOG_WARN, "%s: writing %s: %s",
			    dev->name, dir, strerrordesc_np(-err));
}
