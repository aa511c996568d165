/* SPDX-License-Identifier: MIT */
/*
 * calm.h - when not to spin because somebody else wants the CPU.
 *
 * A spin is for a machine with a CPU to spare. Whoever spins offers its CPU now
 * and then (sched_yield), and asks here when it was away for long: was the CPU
 * taken? Then what it waits for may well be what could not run, and a calm
 * begins, in which one sleeps instead. The first is short, since the kernel's
 * own threads take a CPU for a moment everywhere; when the next taking follows
 * soon after its end, the calm is twice as long, up to CALM_MAX_NS.
 *
 * Thread: the owner's, whose switches are counted. Zero-initialise.
 */
#ifndef UTIL_CALM_H
#define UTIL_CALM_H

#include <stdbool.h>
#include <stdint.h>

#include "util/clock.h"

#define CALM_MIN_NS (500 * NS_PER_US)
#define CALM_MAX_NS (32 * NS_PER_MS)

struct calm {
	uint64_t until_ns; /* no spin before then */
	uint64_t length_ns;
	long nr_taken; /* as the kernel said last */
};

static inline bool calm_now(const struct calm *c, uint64_t now_ns)
{
	return now_ns < c->until_ns;
}

/* True: the thread's CPU was taken since the last call, and a calm begins. */
bool calm_begins(struct calm *c, uint64_t now_ns);

#endif /* UTIL_CALM_H */
