/* SPDX-License-Identifier: MIT */
/*
 * spin.h - how long to poll before sleeping, tuned by what polling brings.
 *
 * A wake-up costs far more than a short spin, a long spin that finds nothing
 * only burns the CPU that the backend may need. So: a spin that found work may
 * be longer next time, one that did not is halved, down to none at all; every
 * now and then one is tried that outlasts a wake-up of the other end. Once both
 * ends are awake short spins keep them so; a short trial would always lose
 * against the other end's sleep.
 *
 * Thread: the owner's. Zero-initialise.
 */
#ifndef BLKFRONT_SPIN_H
#define BLKFRONT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "util/clock.h"

#define SPIN_MAX_NS (50 * NS_PER_US)
#define SPIN_TRY_NS (200 * NS_PER_US)
#define SPIN_RETRY  32u /* sleeps without a spin until one is tried again */

struct spin {
	uint64_t limit_ns;  /* the next spin's length */
	uint64_t began_ns;  /* 0: not spinning */
	uint32_t nr_sleeps; /* to go until a spin is tried again */
};

/* There was work: a spin that was under way has paid off. */
static inline void spin_worked(struct spin *s)
{
	if (s->began_ns) {
		s->limit_ns *= 2;
		if (s->limit_ns > SPIN_MAX_NS)
			s->limit_ns = SPIN_MAX_NS;
	}
	s->began_ns = 0;
}

/* There was no work: true = look again, false = sleep. */
static inline bool spin_again(struct spin *s)
{
	uint64_t now_ns = clock_now_ns();

	if (!s->began_ns) {
		s->began_ns = now_ns;
		if (s->limit_ns < NS_PER_US && s->nr_sleeps-- == 0) {
			s->nr_sleeps = SPIN_RETRY;
			s->limit_ns = SPIN_TRY_NS;
		}
	}
	if (now_ns - s->began_ns < s->limit_ns) {
		clock_cpu_relax();
		return true;
	}
	/* A trial that failed is over, and not halved into another. */
	s->limit_ns = s->limit_ns > SPIN_MAX_NS ? 0 : s->limit_ns / 2;
	s->began_ns = 0;
	return false;
}

#endif /* BLKFRONT_SPIN_H */
