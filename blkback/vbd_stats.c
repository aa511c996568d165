/* SPDX-License-Identifier: MIT */
/*
 * vbd_stats.c - a disk's figures in the store, when somebody asks for them.
 *
 *	DIR/statistics/request	the asker's word, any text
 *	DIR/statistics/all	of all queues together, as account_format()
 *				writes them, and how long it has been connected
 *	DIR/statistics/qI	of queue I, when there are several
 *	DIR/statistics/histograms/NAME/P
 *				when the asker made `histograms`: page P of
 *				histogram NAME of all queues together, as
 *				account_format_hist() writes it
 *	DIR/statistics/answer	the asker's word: the above is complete
 *
 * Nothing is written that was not asked for. The asker removes it all; what
 * stays is bounded by the number of queues and of buckets. Neighbours:
 *account.c, vbd.c calls. Control thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkback/vbd_private.h"
#include "util/clock.h"
#include "util/num.h"

static int write_account(struct vbd *v, const char *dir, const char *name,
			 const struct account *a, const char *more)
{
	char text[ACCOUNT_TEXT_MAX + 64], path[sizeof(v->dev->node) + 64];
	int len = account_format(a, text, ACCOUNT_TEXT_MAX), err;

	if (len < 0)
		return len;
	err = str_printf(text + len, sizeof(text) - (size_t)len, "%s", more);
	if (err >= 0)
		err = str_printf(path, sizeof(path), "%s/%s", dir, name);
	if (err < 0)
		return err;
	return xs_write(v->dev->xs, XS_NO_TXN, path, text, strlen(text));
}

static int write_hist(struct vbd *v, const char *dir, const struct account *a,
		      unsigned i)
{
	char text[ACCOUNT_PAGE_MAX], path[sizeof(v->dev->node) + 64];
	unsigned from = 0, page = 0;
	int len;

	while ((len = account_format_hist(a, i, &from, text)) > 0) {
		int err = str_printf(path, sizeof(path), "%s/histograms/%s/%u",
				     dir, account_hist_name(i), page++);

		if (err >= 0)
			err = xs_write(v->dev->xs, XS_NO_TXN, path, text,
				       (size_t)len);
		if (err < 0)
			return err;
	}
	return len;
}

/* If the asker wants them. */
static int write_hists(struct vbd *v, const char *dir, const struct account *a)
{
	char word[8];
	int err = xs_read_str(v->dev->xs, XS_NO_TXN, dir, "histograms", word,
			      sizeof(word));

	if (err == -ENOENT)
		return 0;
	err = 0;
	for (unsigned i = 0; err >= 0 && account_hist_name(i); i++)
		err = write_hist(v, dir, a, i);
	return err;
}

static int write_queues(struct vbd *v, const char *dir)
{
	struct account *all = calloc(2, sizeof(*all));
	char name[16], more[64];
	int err = 0;

	if (!all)
		return -ENOMEM;
	for (uint32_t i = 0; err >= 0 && i < v->queues.nr; i++) {
		struct account *one = memset(all + 1, 0, sizeof(*one));

		vbd_queues_account(&v->queues, i, all);
		if (v->queues.nr == 1)
			break;
		vbd_queues_account(&v->queues, i, one);
		err = str_printf(name, sizeof(name), "q%u", i);
		if (err >= 0)
			err = write_account(v, dir, name, one, "");
	}
	if (err >= 0)
		err = str_printf(
			more, sizeof(more), "queues %u\nconnected-ns %llu\n",
			v->queues.nr,
			(unsigned long long)(clock_now_ns() - v->connected_ns));
	if (err >= 0)
		err = write_account(v, dir, "all", all, more);
	if (err >= 0)
		err = write_hists(v, dir, all);
	free(all);
	return err;
}

void vbd_stats_changed(struct vbd *v)
{
	struct xenbus_device *dev = v->dev;
	char dir[sizeof(dev->node) + 16], word[sizeof(v->stats_word)];
	int err;

	snprintf(dir, sizeof(dir), "%s/statistics", dev->node);
	err = xs_read_str(dev->xs, XS_NO_TXN, dir, "request", word,
			  sizeof(word));
	if (err)
		word[0] = '\0';
	/* Our own answer is a change, too. */
	if (!strcmp(word, v->stats_word))
		return;
	memcpy(v->stats_word, word, sizeof(word));
	if (!*word || v->state != VBD_RUNNING)
		return;
	err = write_queues(v, dir);
	if (err >= 0)
		err = xs_printf(dev->xs, XS_NO_TXN, dir, "answer", "%s", word);
	if (err < 0)
		log_limited(&dev->limit, LOG_WARN, "%s: writing %s: %s",
			    dev->name, dir, strerrordesc_np(-err));
}
