/* SPDX-License-Identifier: MIT */
/*
 * storm.h - whose events are not listened to for a while (XSA-332).
 *
 * A peer may send events without end and without any work behind them. Each
 * costs a wake-up, and who wakes us so time and again is to be asked less and
 * less often: its descriptor is left alone for STORM_MIN_NS, then twice as
 * long, up to STORM_MAX_NS. It is looked at once after each pause, so that real
 * work behind such events waits no longer than that; an event for nothing now
 * and then, which honest peers send too, costs nobody anything.
 *
 * Pure; the worker's thread.
 */
#ifndef WORKER_STORM_H
#define WORKER_STORM_H

#include <stdint.h>

#include "util/clock.h"

#define STORM_TOLERATED 16u /* events for nothing beyond those with work */
#define STORM_MIN_NS	NS_PER_MS
#define STORM_DOUBLINGS 4u
#define STORM_MAX_NS	(STORM_MIN_NS << STORM_DOUBLINGS)

struct storm {
	unsigned score;
};

/* An event came to nothing. Returns for how long no other is listened to. */
static inline uint64_t storm_fruitless(struct storm *s)
{
	const unsigned most = STORM_TOLERATED + STORM_DOUBLINGS + 1;

	if (s->score < most)
		s->score++;
	return s->score > STORM_TOLERATED
		       ? STORM_MIN_NS << (s->score - STORM_TOLERATED - 1)
		       : 0;
}

/* It has done work. What went before is not forgotten at once: else a request
 * now and then would buy any number of events. */
static inline void storm_worked(struct storm *s)
{
	s->score /= 2;
}

/* Not worth a spin: it has woken us in vain before. */
static inline int storm_is_suspect(const struct storm *s)
{
	return s->score > STORM_TOLERATED / 2;
}

#endif /* WORKER_STORM_H */
