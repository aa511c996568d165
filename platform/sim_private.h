/* SPDX-License-Identifier: MIT */
/*
 * sim_private.h - inside the sim: the world (sim.c), its shared pages
 * (sim_grant.c), its event channels (sim_evtchn.c).
 */
#ifndef PLATFORM_SIM_PRIVATE_H
#define PLATFORM_SIM_PRIVATE_H

#include "platform/private.h"
#include "platform/sim.h"
#include "util/list.h"

struct sim {
	uint64_t random_state;
	uint64_t now_steps;
	struct sim_faults faults;
	struct list domains, shares, channels, travelling;
	uint32_t nr_shares, nr_mapped_pages, nr_channels, nr_travelling;
};

struct sim_domain {
	struct platform platform;
	struct sim *sim;
	struct list link; /* in sim.domains */
	struct list maps; /* struct sim_map */
	bool dead;
	grant_ref_t next_ref;
	evtchn_port_t next_port;
};

static inline struct sim_domain *sim_domain_of(struct platform *p)
{
	return container_of(p, struct sim_domain, platform);
}

/* The living domain of that id, or NULL. */
struct sim_domain *sim_find(struct sim *sim, domid_t domid);
/* Does the fault of this chance strike now? */
bool sim_strikes(struct sim *sim, uint32_t chance);

int sim_share(struct platform *p, domid_t peer, uint32_t nr_pages,
	      uint32_t flags, struct share *ret);
int sim_unshare(struct platform *p, struct share *share);
int sim_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
	    uint32_t nr, bool writable, struct grant_map *ret);
void sim_unmap(struct platform *p, struct grant_map *map);
int sim_copy(struct platform *p, const struct grant_copy *op);
/* A domain's end: its shares cannot be found, its maps count no more. */
void sim_grants_end(struct sim_domain *d);

int sim_evtchn_alloc(struct platform *p, domid_t remote, struct evtchn **ret);
int sim_evtchn_bind(struct platform *p, domid_t remote,
		    evtchn_port_t remote_port, struct evtchn **ret);
void sim_evtchn_notify(struct evtchn *ev);
int sim_evtchn_clear(struct evtchn *ev);
void sim_evtchn_close(struct evtchn *ev, bool keep);
void sim_evtchns_end(struct sim_domain *d);

#endif /* PLATFORM_SIM_PRIVATE_H */
