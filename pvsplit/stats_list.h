/* SPDX-License-Identifier: MIT */
/*
 * stats_list.h - block-stats and network-stats as far as they are the same: the
 * figures of all devices, or some, as a table or as JSON.
 */
#ifndef PVSPLIT_STATS_LIST_H
#define PVSPLIT_STATS_LIST_H

#include "pvsplit/device_stats.h"

struct stats_list {
	enum device_kind kind;
	bool one; /* only the device handle */
	uint32_t handle;
	/* What is said of a device besides, from its libxl directory, or NULL.
	 */
	const char *node;
	/* Put into row what the table shows of the figures. */
	void (*refine)(json_t *row, const json_t *stats);
	const struct column *columns;
	const char *list_command; /* where a device is looked for */
	/* its own: */
	json_t *list;
};

/* KIND-stats [DOMAIN [HANDLE]]; the handle is in s already. */
int stats_list_run(struct pvsplit *ps, const struct args *args,
		   struct stats_list *s);

/* ---- for refine: a column, from figures by name ---- */

/* from: names with a space between. */
void stats_add_sum(json_t *row, const json_t *stats, const char *from,
		   const char *key);
void stats_add_duration(json_t *row, const json_t *stats, const char *from,
			const char *key);
/* "busy", "stalled", "full", "throttled": shares of the time connected. */
void stats_add_shares(json_t *row, const json_t *stats);

#endif /* PVSPLIT_STATS_LIST_H */
