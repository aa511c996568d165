/* SPDX-License-Identifier: MIT */
/* spin.c - see spin.h. */
#include "util/spin.h"

#include <sched.h>

#define OFFER_NS (20 * NS_PER_US) /* between two offers of the CPU */
#define GAP_NS	 (10 * NS_PER_US) /* two looks that are far apart */

static void begin(struct spin *s, uint64_t now_ns)
{
	s->began_ns = s->looked_ns = s->offered_ns = now_ns;
	if (s->limit_ns < NS_PER_US && s->nr_sleeps-- == 0) {
		s->nr_sleeps = SPIN_RETRY;
		s->limit_ns = SPIN_TRY_NS;
	}
}

static bool give_up(struct spin *s, uint64_t limit_ns)
{
	s->limit_ns = limit_ns;
	s->began_ns = 0;
	return false;
}

bool spin_again(struct spin *s)
{
	uint64_t now_ns = clock_now_ns();

	if (calm_now(&s->calm, now_ns))
		return give_up(s, 0);
	if (!s->began_ns)
		begin(s, now_ns);
	/* May be so because somebody else ran on our CPU. */
	if (now_ns - s->looked_ns > GAP_NS && calm_begins(&s->calm, now_ns))
		return give_up(s, 0);
	s->looked_ns = now_ns;
	if (now_ns - s->began_ns >= s->limit_ns)
		/* A trial that failed is over, not halved into another. */
		return give_up(
			s, s->limit_ns > spin_max_ns(s) ? 0 : s->limit_ns / 2);
	if (now_ns - s->offered_ns >= OFFER_NS) {
		s->offered_ns = now_ns;
		sched_yield();
	} else {
		clock_cpu_relax();
	}
	return true;
}
