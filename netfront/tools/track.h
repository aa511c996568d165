/* SPDX-License-Identifier: MIT */
/*
 * track.h - the numbers of frames as they arrive: what was lost, came late or
 * came twice.
 *
 * Each flow of each run counts by itself. Late (reordered, as RFC 4737 has it)
 * is a number below the highest one so far. Whether such a number came before
 * is known for the TRACK_WINDOW numbers below the highest; one that is older
 * counts as late.
 *
 * Numbers are a peer's: any. Memory is bounded by TRACKS_MAX flows; what
 * belongs to more is counted by tracks_add's caller alone. Pure. Thread: the
 * owner's.
 */
#ifndef NETFRONT_TOOLS_TRACK_H
#define NETFRONT_TOOLS_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "util/annotate.h"

#define TRACK_WINDOW 256u
#define TRACKS_MAX   4096u

/* A zeroed one has seen nothing. */
struct track {
	uint64_t nr;	      /* that arrived, each number once */
	uint64_t first, next; /* the lowest; the highest and one */
	uint64_t nr_reordered, nr_duplicates;
	uint64_t seen[TRACK_WINDOW / 64]; /* next - 1 is bit 0 */
};

/* Returns whether the number was a new one. */
bool track_add(struct track *t, uint64_t seq);
/* Of the numbers between the lowest and the highest: how many are missing. */
uint64_t track_nr_lost(const struct track *t);

/* The tracks of all flows of all runs. */
struct tracks;
int tracks_open(struct tracks **ret) PV_MUST_CHECK;
void tracks_close(struct tracks *tracks); /* NULL is fine */
/* Returns whether the number was a new one, as far as is known. */
bool tracks_add(struct tracks *tracks, uint16_t run, uint16_t flow,
		uint64_t seq);
/* Add what from saw to to: other frames of the same flows, or others. */
void tracks_merge(struct tracks *to, const struct tracks *from);
struct track_sums {
	uint64_t nr_flows, nr_lost, nr_reordered, nr_duplicates;
};
struct track_sums tracks_sums(const struct tracks *tracks);

#endif /* NETFRONT_TOOLS_TRACK_H */
