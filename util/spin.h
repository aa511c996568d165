/* SPDX-License-Identifier: MIT */
/*
 * spin.h - how long to poll before sleeping, tuned by what polling brings.
 *
 * A wake-up costs far more than a short spin, a long spin that finds nothing
 * only burns the CPU that the other end may need. So: a spin that found work
 * may be longer next time, one that did not is halved, down to none at all;
 * every now and then one is tried that outlasts a wake-up of the other end.
 * Once both ends are awake short spins keep them so; a short trial would always
 * lose against the other end's sleep.
 *
 * While spinning the thread offers its CPU to others now and then; when
 *somebody took it, spinning stops for a while (calm.h).
 *
 *	for (;;) {
 *		if (look())
 *			spin_worked(&spin);
 *		else if (!spin_again(&spin))
 *			sleep;
 *	}
 *
 * Whoever never has work never spins. Thread: the owner's. Zero-initialise.
 */
#ifndef UTIL_SPIN_H
#define UTIL_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "util/calm.h"
#include "util/clock.h"

#define SPIN_MAX_NS (50 * NS_PER_US) /* where the owner names none */
#define SPIN_TRY_NS (200 * NS_PER_US)
#define SPIN_RETRY  32u /* sleeps without a spin until one is tried again */

struct spin {
	uint64_t max_ns; /* the owner's; 0: SPIN_MAX_NS */

	uint64_t limit_ns;  /* the next spin's length */
	uint64_t began_ns;  /* 0: not spinning */
	uint32_t nr_sleeps; /* to go until a spin is tried again */
	/* of this spin: looked last, offered the CPU last */
	uint64_t looked_ns, offered_ns;
	struct calm calm;
};

static inline uint64_t spin_max_ns(const struct spin *s)
{
	return s->max_ns ? s->max_ns : SPIN_MAX_NS;
}

/* There was work: a spin that was under way has paid off. */
static inline void spin_worked(struct spin *s)
{
	if (s->began_ns) {
		s->limit_ns *= 2;
		if (s->limit_ns > spin_max_ns(s))
			s->limit_ns = spin_max_ns(s);
	}
	s->began_ns = 0;
}

/* There was no work: true = look again, false = sleep. */
bool spin_again(struct spin *s);

#endif /* UTIL_SPIN_H */
