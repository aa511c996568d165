/* SPDX-License-Identifier: MIT */
/*
 * sim.h - several domains in one process, for tests: no broker, no socket, no
 * thread. Everything that happens follows from the seed and the calls made.
 *
 * What differs from a real platform:
 *   - evtchn_fd is -1: nothing can be waited for. With a delay configured a
 *     notification travels until sim_step has delivered it, without one it
 *     arrives at once.
 *   - platform_store_connect is -EOPNOTSUPP: a test drives the store directly.
 *   - every mapping has addresses of its own with exactly the rights asked for,
 *     so that a stray access after unmap or a write to a read-only page faults.
 *
 * Thread: a sim and all its platforms belong to one thread. Logs: never.
 */
#ifndef PLATFORM_SIM_H
#define PLATFORM_SIM_H

#include "platform/platform.h"

struct sim;

/* Chances are out of 1024. All zero: a well-behaved world. */
#define SIM_CHANCE_ONE 1024u

struct sim_faults {
	uint32_t notify_drop;
	uint32_t notify_duplicate;
	uint32_t delay_max_steps; /* each notification: 0 .. this many */
	uint32_t map_fail;	  /* -ENOMEM */
	uint32_t share_fail;	  /* -ENOSPC */
	uint32_t bind_fail;	  /* -EAGAIN; alloc as well */
};

int sim_open(uint64_t seed, struct sim **ret) PV_MUST_CHECK;
/* Every platform of it must have been closed. NULL is fine. */
void sim_close(struct sim *sim);
void sim_set_faults(struct sim *sim, const struct sim_faults *faults);

/* The platform of domain domid; one per domid at a time (-EEXIST). */
int sim_platform(struct sim *sim, domid_t domid,
		 struct platform **ret) PV_MUST_CHECK;

/*
 * One step of time; returns how many notifications were delivered. sim_settle
 * steps until none is on its way, which ends: delays are bounded.
 */
uint32_t sim_step(struct sim *sim);
uint32_t sim_settle(struct sim *sim);
uint32_t sim_nr_travelling(const struct sim *sim);

/*
 * The domain dies now: what it shared cannot be mapped any more, what it had
 * mapped is in use no more, its channels' other ends see -EPIPE, and every
 * later call on its platform is -ECONNRESET. Its objects are still to be given
 * back and its platform closed; then its domid may come again.
 */
void sim_kill(struct sim *sim, domid_t domid);

/* The sim's own randomness, for a test that wants all from one seed. */
uint64_t sim_random(struct sim *sim);

/* For leak checks. */
uint32_t sim_nr_shares(const struct sim *sim); /* quarantined included */
uint32_t sim_nr_mapped_pages(const struct sim *sim);
uint32_t sim_nr_channels(const struct sim *sim);

#endif /* PLATFORM_SIM_H */
