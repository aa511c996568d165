/* SPDX-License-Identifier: MIT */
/*
 * stats.h - a device's figures in the store, when somebody asks for them.
 *
 *	DIR/statistics/request	the asker's word, any text
 *	DIR/statistics/all	of all queues together, as the backend writes
 *				them, and how long it has been connected
 *	DIR/statistics/qI	of queue I, when there are several
 *	DIR/statistics/histograms/NAME/P
 *				when the asker made `histograms`: page P of
 *				histogram NAME of all queues together, as
 *				figures_page() writes it
 *	DIR/statistics/answer	the asker's word: the above is complete
 *
 * Nothing is written that was not asked for. The asker removes it all; what
 * stays is bounded by the number of queues and of buckets.
 *
 * Thread: the control thread. Logs: with the device's name.
 */
#ifndef MONITOR_STATS_H
#define MONITOR_STATS_H

#include "util/figures.h"
#include "xenbus/xenbus.h"

#define STATS_TEXT_MAX 3584

/* What a backend counts; account: its own, of account_bytes. */
struct stats_ops {
	size_t account_bytes;
	/* Add what queue i did so far to account. */
	void (*add)(void *arg, uint32_t queue, void *account);
	void (*put)(const void *account, struct figures *f);
	/* Histogram i and its name, NULL after the last. */
	const struct hist *(*hist)(const void *account, unsigned i,
				   const char **ret_name);
};

/* Its owner's, zeroed at first, with ops, dev and arg set. */
struct stats {
	const struct stats_ops *ops;
	struct xenbus_device *dev;
	void *arg;
	char word[32]; /* the last one that asked */
};

/*
 * Something in the directory changed: does somebody ask? nr_queues: of a device
 * that is connected, since connected_ns; 0: it is not.
 */
void stats_changed(struct stats *s, uint32_t nr_queues, uint64_t connected_ns);

#endif /* MONITOR_STATS_H */
