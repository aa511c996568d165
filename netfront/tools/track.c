/* SPDX-License-Identifier: MIT */
/* track.c - see track.h. */
#include "netfront/tools/track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NR_PLACES                                                              \
	(2 * TRACKS_MAX) /* a power of two, never more than half full */
#define WORDS (TRACK_WINDOW / 64)

struct place {
	bool used;
	uint16_t run, flow;
	struct track track;
};

struct tracks {
	uint32_t nr;
	struct place places[NR_PLACES];
};

/* ---- one flow ------------------------------------------------------------ */

/* The window's bits move up by nr. */
static void window_move(uint64_t seen[WORDS], uint64_t nr)
{
	unsigned words = (unsigned)(nr < TRACK_WINDOW ? nr / 64 : WORDS);
	unsigned bits = (unsigned)(nr % 64);

	for (unsigned i = WORDS; i-- > 0;) {
		uint64_t high = i >= words ? seen[i - words] : 0;
		uint64_t low = i >= words + 1 ? seen[i - words - 1] : 0;

		seen[i] = bits ? high << bits | low >> (64 - bits) : high;
	}
}

static bool add_below(struct track *t, uint64_t seq)
{
	uint64_t back = t->next - 1 - seq;
	uint64_t bit = UINT64_C(1) << back % 64;

	if (back < TRACK_WINDOW) {
		if (t->seen[back / 64] & bit) {
			t->nr_duplicates++;
			return false;
		}
		t->seen[back / 64] |= bit;
	}
	t->nr_reordered++;
	if (seq < t->first)
		t->first = seq;
	return true;
}

bool track_add(struct track *t, uint64_t seq)
{
	if (seq == UINT64_MAX) /* no sender gets there */
		return false;
	if (!t->nr) {
		t->first = t->next = seq;
	}
	if (seq >= t->next) {
		window_move(t->seen, seq + 1 - t->next);
		t->seen[0] |= 1;
		t->next = seq + 1;
	} else if (!add_below(t, seq)) {
		return false;
	}
	t->nr++;
	return true;
}

uint64_t track_nr_lost(const struct track *t)
{
	uint64_t span = t->next - t->first;

	/* Below the window a number may have been taken for new twice. */
	return span > t->nr ? span - t->nr : 0;
}

static void track_merge(struct track *to, const struct track *from)
{
	if (!to->nr) {
		*to = *from;
		return;
	}
	to->nr += from->nr;
	to->nr_reordered += from->nr_reordered;
	to->nr_duplicates += from->nr_duplicates;
	if (from->first < to->first)
		to->first = from->first;
	if (from->next > to->next)
		to->next = from->next;
}

/* ---- all ----------------------------------------------------------------- */

int tracks_open(struct tracks **ret)
{
	struct tracks *tracks = calloc(1, sizeof(*tracks));

	if (!tracks)
		return -ENOMEM;
	*ret = tracks;
	return 0;
}

void tracks_close(struct tracks *tracks)
{
	free(tracks);
}

/* NULL: there is no room for another. */
static struct track *find(struct tracks *tracks, uint16_t run, uint16_t flow)
{
	uint32_t key = (uint32_t)run << 16 | flow;
	uint32_t i = key * 0x9e3779b1u >> 16;

	for (;; i++) {
		struct place *p = &tracks->places[i % NR_PLACES];

		if (p->used && p->run == run && p->flow == flow)
			return &p->track;
		if (p->used)
			continue;
		if (tracks->nr == TRACKS_MAX)
			return NULL;
		tracks->nr++;
		*p = (struct place){ .used = true, .run = run, .flow = flow };
		return &p->track;
	}
}

bool tracks_add(struct tracks *tracks, uint16_t run, uint16_t flow,
		uint64_t seq)
{
	struct track *t = find(tracks, run, flow);

	return !t || track_add(t, seq);
}

void tracks_merge(struct tracks *to, const struct tracks *from)
{
	for (uint32_t i = 0; i < NR_PLACES; i++) {
		const struct place *p = &from->places[i];
		struct track *t = p->used ? find(to, p->run, p->flow) : NULL;

		if (t)
			track_merge(t, &p->track);
	}
}

struct track_sums tracks_sums(const struct tracks *tracks)
{
	struct track_sums sums = { .nr_flows = tracks->nr };

	for (uint32_t i = 0; i < NR_PLACES; i++) {
		const struct track *t = &tracks->places[i].track;

		sums.nr_lost += track_nr_lost(t);
		sums.nr_reordered += t->nr_reordered;
		sums.nr_duplicates += t->nr_duplicates;
	}
	return sums;
}
