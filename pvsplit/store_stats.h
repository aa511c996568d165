/* SPDX-License-Identifier: MIT */
/* store_stats.h - what the store says of itself, as JSON; see store-stats. */
#ifndef PVSPLIT_STORE_STATS_H
#define PVSPLIT_STORE_STATS_H

#include "pvsplit/pvsplit.h"

#define STORE_STATS_ALL UINT32_MAX

/*
 * Ask the store's CONTROL stats for all pages of a section: an array of
 * objects, one for each row, whose lines must begin with word. domid: only the
 * rows of this domain, in a section whose rows are ordered by domain; else
 * STORE_STATS_ALL. Quiet. -EPROTO: not an answer to this question.
 */
int store_stats_read(struct pvsplit *ps, const char *section, const char *word,
		     uint32_t domid, json_t **ret) PV_MUST_CHECK;

#endif /* PVSPLIT_STORE_STATS_H */
